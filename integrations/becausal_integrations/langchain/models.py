"""Model calls as steps, told by LangChain's own callback managers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from opentelemetry.context import Context

from becausal import semconv
from becausal.context import current, with_step
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.step import OpenStep, StepRef
from becausal_integrations.langchain.attempts import Attempts
from becausal_integrations.langchain.calls import Calls
from becausal_integrations.langchain.decisions import choice_of
from becausal_integrations.langchain.describe import (
    answer,
    answer_attributes,
    answer_of,
    generations_of,
    mapping,
    model_name,
    outcome,
    partial_answer,
    premises_of,
    request_attributes,
    tool_call_ids,
)
from becausal_integrations.langchain.kept import Pieces, answer_parts
from becausal_integrations.langchain.runnables import Runnables

if TYPE_CHECKING:
    from langchain_core.outputs import Generation

__all__ = ["Models"]

MAX_RUNS = 4096
"""Model calls that can be open at a time: a stream that nobody finished is given up beyond so many, oldest first."""


_latest: ContextVar[OpenStep | None] = ContextVar("becausal-langchain-latest", default=None)
_at_once: ContextVar[Sequence[OpenStep | None]] = ContextVar("becausal-langchain-at-once", default=())

ParentOf = Callable[[UUID | None], StepRef | None]
"""Returns the step that a call under a run belongs to; None for the one that is current."""


class Asked(NamedTuple):
    """A batch of calls about to begin."""

    serialized: Mapping[str, Any]
    params: Mapping[str, Any]
    is_structured: bool
    prompts: list[tuple[Sealed, tuple[str, ...]]]  # what is received, and the premises that it gives


class _Run(NamedTuple):
    """A call that is under way."""

    step: OpenStep
    premises: tuple[str, ...]
    is_structured: bool
    parent_run_id: UUID | None
    holder: StepRef | None  # the step in whose course it is made
    pieces: Pieces  # in which its answer comes, if it is streamed


class Models:
    """Opens and closes a step for each model call, by LangChain's run id."""

    def __init__(
        self, recorder: Recorder, calls: Calls, runnables: Runnables, parent_of: ParentOf | None = None
    ) -> None:
        self._recorder, self._calls = recorder, calls
        self._parent_of = parent_of or runnables.above
        self._attempts = Attempts(recorder, runnables)
        self._runs: OrderedDict[UUID, _Run] = OrderedDict()
        self._lock = threading.Lock()

    # -- a call

    def starting(
        self,
        _: Any,
        serialized: Mapping[str, Any] | None = None,
        messages: Sequence[Any] = (),
        *__: Any,
        prompts: Sequence[str] = (),
        invocation_params: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **___: Any,
    ) -> Asked:
        """Seal what each call of the batch received."""
        asked = [(self._recorder.seal(item), premises_of(item)) for item in (messages or prompts)]
        is_structured = bool((options or {}).get("ls_structured_output_format"))
        return Asked(serialized or {}, invocation_params or {}, is_structured, asked)

    def started(self, asked: Asked | None, managers: Sequence[Any] | None, _: BaseException | None) -> None:
        """Begin a step for each call, now that LangChain has given it a run id."""
        if asked is None or managers is None:
            return
        for manager, (received, premises) in zip(managers, asked.prompts, strict=False):
            metadata = manager.metadata or {}
            name = model_name(metadata, asked.params, asked.serialized)
            attributes = request_attributes(name, metadata)
            parent_id = getattr(manager, "parent_run_id", None)
            parent = self._parent_of(parent_id)
            step = self._recorder.begin(
                Opening("model", name, received=received, parent=parent, attributes=attributes)
            )
            if step is not None:
                self._attempts.begun(step, parent_id, manager.tags or ())
                run = _Run(step, premises, asked.is_structured, parent_id, parent or current(), Pieces())
                self._keep(manager.run_id, run)
                if self._recorder.replaying is not None:
                    _latest.set(step)

    def inside(self, *_: Any, run_manager: Any = None, **__: Any) -> Context | None:
        """Return the context in which a call's own work is to run."""
        run = None if run_manager is None else self._runs.get(run_manager.run_id)
        return None if run is None else with_step(run.step)

    def telling(self, manager: Any, token: Any, *, chunk: Any = None, **_: Any) -> None:
        """Note a piece of an answer on its way to the reader."""
        run = self._runs.get(manager.run_id)
        if run is not None and chunk is not None:
            run.pieces.add(chunk)

    def ending(self, manager: Any, response: Any, **_: Any) -> None:
        """End a call with its answer."""
        run = self._take(manager.run_id)
        if run is None:
            return
        llm_output = mapping(response, "llm_output")
        for generation in generations_of(response):
            self._answered(run, generation, llm_output)
        pieces = run.pieces.value()
        if pieces is not None:
            self._recorder.keep(run.step, "pieces", pieces)
        else:
            self._recorder.keep(run.step, "answer", answer_parts(response))
        self._recorder.end(run.step, answer(response))

    def failing(self, manager: Any, error: BaseException, response: Any = None, **_: Any) -> None:
        """End a call that failed, or whose stream was left, with what had come of it."""
        run = self._take(manager.run_id)
        if run is None:
            return
        status = outcome(error)
        if (pieces := run.pieces.value()) is not None:
            self._recorder.keep(run.step, "pieces", pieces)
        self._recorder.end(run.step, partial_answer(response), error=error, status=status)
        if run.step.status == "error":
            self._attempts.failed(run.step, run.parent_run_id)

    def _answered(self, run: _Run, generation: Any, llm_output: Mapping[str, Any]) -> None:
        said = answer_of(generation)
        run.step.attributes |= answer_attributes(generation, llm_output)
        information = mapping(generation, "generation_info")
        choice = choice_of(said, run.premises, information=information, is_structured=run.is_structured)
        self._recorder.decide(run.step, choice)
        self._calls.decided(run.step, tool_call_ids(said), run.holder)

    # -- the cache of answers

    def found(self, *_: Any, **__: Any) -> None:
        """Note that a chat model's answer comes from the cache; the look-up is part of the call."""
        step = current()
        if isinstance(step, OpenStep) and step.kind == "model":
            step.attributes[semconv.CACHED] = True

    def looking_up_prompts(
        self, params: Mapping[str, Any], prompts: Sequence[str], *_: Any, **__: Any
    ) -> tuple[Mapping[str, Any], Sequence[str]]:
        """Keep what a text model is asked."""
        return params, prompts

    def looked_up_prompts(self, token: Any, found: Any, _: BaseException | None) -> None:
        """Tell each of a text model's answers that came from the cache: LangChain tells nobody of such a call."""
        if token is None or found is None or not found[0]:
            return
        params, prompts = token
        name = model_name({}, params, {"name": params.get("_type")})
        cached: Mapping[int, Sequence[Generation]] = found[0]
        for index, generations in cached.items():
            prompt = prompts[index]
            attributes = request_attributes(name, {})
            step = self._recorder.begin(Opening("model", name, received=prompt, attributes=attributes))
            if step is None:
                continue
            step.attributes[semconv.CACHED] = True
            run = _Run(step, premises_of(prompt), False, None, current(), Pieces())
            for generation in generations:
                self._answered(run, generation, {})
            said = [answer_of(generation) for generation in generations]
            self._recorder.end(step, said[0] if len(said) == 1 else said or NOTHING)

    # -- what a replay asks

    def step_of(self, run_id: UUID) -> OpenStep | None:
        """Return the step of a call that is under way."""
        run = self._runs.get(run_id)
        return None if run is None else run.step

    def latest(self) -> OpenStep | None:
        """Return the step of the call that began last in this context; noted while somebody replays."""
        return _latest.get()

    def helps(self, steps: Sequence[OpenStep | None]) -> None:
        """Note the calls that are about to be made at once in this context."""
        _at_once.set(steps)

    def helped(self) -> Sequence[OpenStep | None]:
        """Return the calls that are made at once in this context."""
        return _at_once.get()

    # -- inside

    def _keep(self, run_id: UUID, run: _Run) -> None:
        with self._lock:
            self._runs[run_id] = run
            oldest = self._runs.popitem(last=False)[1] if len(self._runs) > MAX_RUNS else None
        if oldest is not None:
            self._recorder.end(oldest.step, status="abandoned")

    def _take(self, run_id: UUID) -> _Run | None:
        with self._lock:
            return self._runs.pop(run_id, None)
