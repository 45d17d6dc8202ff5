"""Runs of runnables, by LangChain's own run ids: which run belongs to which step, and what was tried again.

Most runs of runnables are no steps. Inside a graph or a chain of the app's own, the step that is current says all, and
little is kept here. Three things need the run ids:

- A bare chain (`prompt | model | parser`, outside everything) is one run: its outermost runnable is a `workflow` step.
- `batch` starts one run for each of its inputs and then works step by step over all of them, in threads: only the run
  id says whose an inner call is.
- `with_retry` and `with_fallbacks` try one thing after the other below one run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from opentelemetry import context as otel_context

from becausal.context import current, with_step
from becausal.recorder import NOTHING, Opening, Recorder
from becausal.step import OpenStep, StepRef
from becausal_integrations.langchain.describe import outcome

__all__ = ["ASYNC", "Runnables"]

MAX_RUNS = 4096
"""Runs that are under way at a time; a stream that nobody finished is given up beyond so many, oldest first."""

FALLBACKS = "RunnableWithFallbacks"

IN_TURN = frozenset({FALLBACKS, "RunnableSequence"})
"""Whose parts run one after another: a part that starts after one that failed is another try. By the name that their
runs have where the app gave none."""

RETRY = "retry:attempt:"
"""How the tag begins that `with_retry` gives to the second and every later try."""

MAX_FAILED = 1024
"""Failed calls that are remembered, in case they are tried again."""

SMALL = frozenset({"prompt", "parser", "llm", "retriever", "tool"})
"""The `run_type`s of runnables that are not worth a run when they are called alone."""

ASYNC = "langchain.async"
"""The attribute of a bare chain that was called asynchronously."""

PLACEHOLDER = {"input": ""}
"""What a streamed runnable says of its input when it begins (langchain-core 1.7.2, `_transform_stream_with_config`)."""


@dataclass(slots=True, eq=False, repr=False)
class _Run:
    parent: _Run | None
    name: str
    inputs: object = NOTHING  # of an outermost one, until its step begins
    step: StepRef | None = None  # what work below belongs to
    own: OpenStep | None = None  # the step that it is
    in_turn: bool = False
    before: StepRef | None = None  # the call that this is another try of
    is_async: bool = False


class Runnables:
    """Says what `on_chain_start` and its fellows mean."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        # By the number of their ids: an id's own hash is a call of Python's for each time that it is looked up.
        self._runs: OrderedDict[Any, _Run] = OrderedDict()
        self._in_turn = 0  # runs among them whose parts run one after another
        self._failed: OrderedDict[UUID, StepRef] = OrderedDict()  # the last failed call below a run
        # Runs with fallbacks by the run that they are part of. Where that one has handlers, as in a graph, LangChain
        # starts the runnables that they try as parts of it (langchain-core 1.7.2, `RunnableWithFallbacks.invoke`).
        self._beside: OrderedDict[UUID, UUID] = OrderedDict()
        self._lock = threading.RLock()

    # -- the callback managers

    def starting(
        self,
        manager: Any,
        serialized: Any = None,
        inputs: object = None,
        *_: Any,
        name: str | None = None,
        run_type: str | None = None,
        **__: Any,
    ) -> _Run | None:
        """Decide whether a run has to be known by its id."""
        in_turn = name in IN_TURN
        is_inside = current() is not None
        if is_inside and not in_turn and not self._failed and not self._in_turn:
            return None  # as most are: a node of a graph, or what it runs
        parent_id = manager.parent_run_id
        parent = None if parent_id is None else self._runs.get(_key(parent_id))
        if is_inside:
            is_known = in_turn or parent_id in self._failed or (parent is not None and parent.in_turn)
            return _Run(parent, str(name), in_turn=in_turn) if is_known else None
        if parent is not None:
            return _Run(parent, str(name), step=self._step_of(parent), in_turn=in_turn)
        if parent_id is None and run_type not in SMALL:
            is_async = type(manager).__name__.startswith("Async")
            return _Run(None, str(name or "chain"), inputs=inputs, in_turn=in_turn, is_async=is_async)
        return None

    def started(self, run: _Run | None, manager: Any, _: BaseException | None) -> None:
        """Keep a run, now that LangChain has given it an id."""
        if run is None or manager is None:
            return
        if self._failed:
            run.before = self._failed_before(run.parent, manager.parent_run_id, manager.tags)
        with self._lock:
            self._runs[_key(manager.run_id)] = run
            self._in_turn += run.in_turn
            if run.name == FALLBACKS and manager.parent_run_id is not None:
                self._failed.pop(manager.parent_run_id, None)  # what failed before is not what it tries
                self._beside[manager.parent_run_id] = manager.run_id
                if len(self._beside) > MAX_FAILED:
                    self._beside.popitem(last=False)
            oldest = self._runs.popitem(last=False)[1] if len(self._runs) > MAX_RUNS else None
            self._in_turn -= oldest is not None and oldest.in_turn
        if oldest is not None and oldest.own is not None:
            self._recorder.end(oldest.own, status="abandoned")

    def inside(self, config: Mapping[str, Any]) -> None:
        """Make a bare chain's step current where its parts run: in a copy of the context that LangChain throws away.

        Called in that copy, so nothing leaks to the app and nothing has to be put back.
        """
        if not self._runs or current() is not None:
            return
        step = self.enclosing(config.get("callbacks"))
        if step is not None:
            otel_context.attach(with_step(step))

    def ending(self, manager: Any, outputs: object = NOTHING, **told: Any) -> None:
        """End the step of a bare chain with its output."""
        run_id = manager.run_id
        run = self._take(run_id) if getattr(run_id, "int", run_id) in self._runs else None
        if self._beside:
            self._is_over(manager)
        if self._failed:
            self._failed.pop(manager.run_id, None)
            self._failed.pop(manager.parent_run_id, None)  # made good
        if run is not None and run.own is not None:
            self._complete(run.own, told)
            self._recorder.end(run.own, outputs)

    def failing(self, manager: Any, error: BaseException, **told: Any) -> None:
        """End the step of a bare chain that failed; what failed in it, failed for what it is part of."""
        run = self._take(manager.run_id)
        self._is_over(manager)
        failed = self._failed.pop(manager.run_id, None)
        if failed is not None:
            self.failed(manager.parent_run_id, failed)
        if run is not None and run.own is not None:
            self._complete(run.own, told)
            self._recorder.end(run.own, error=error, status=outcome(error))

    # -- what models and tools ask

    def enclosing(self, callbacks: Any) -> StepRef | None:
        """Return the step that a call belongs to by its callbacks, where no step is current."""
        return self.step(getattr(callbacks, "parent_run_id", None))

    def above(self, run_id: UUID | None) -> StepRef | None:
        """Return the step that a call under a run belongs to; None where that is the one that is current."""
        return None if current() is not None else self.step(run_id)

    def step(self, run_id: UUID | None) -> StepRef | None:
        """Return the step that a run belongs to; that of a bare chain begins with its first part."""
        run = None if run_id is None else self._runs.get(_key(run_id))
        return None if run is None else self._step_of(run)

    def failed(self, parent_run_id: UUID | None, step: StepRef) -> None:
        """Note that a call failed below a run."""
        if parent_run_id is None:
            return
        with self._lock:
            self._failed[parent_run_id] = step
            if len(self._failed) > MAX_FAILED:
                self._failed.popitem(last=False)

    def tried_before(self, parent_run_id: UUID | None, tags: Sequence[str]) -> StepRef | None:
        """Return the failed call that a call which begins now is another try of."""
        run = None if parent_run_id is None else self._runs.get(getattr(parent_run_id, "int", parent_run_id))
        before = self._failed_before(run, parent_run_id, tags) if self._failed else None
        while before is None and run is not None:
            before, run.before = run.before, None
            run = run.parent
        return before

    # -- inside

    def _failed_before(
        self, parent: _Run | None, parent_id: UUID | None, tags: Sequence[str] | None
    ) -> StepRef | None:
        if parent_id is None or parent_id not in self._failed:
            return None
        is_next = (
            (parent is not None and parent.in_turn)
            or parent_id in self._beside
            or any(tag.startswith(RETRY) for tag in tags or ())
        )
        return self._failed.pop(parent_id, None) if is_next else None

    def _is_over(self, manager: Any) -> None:
        if self._beside.get(manager.parent_run_id) == manager.run_id:
            self._beside.pop(manager.parent_run_id, None)

    def _step_of(self, run: _Run) -> StepRef | None:
        if run.inputs is not NOTHING:
            with (
                self._lock
            ):  # parts of one run may begin in several threads: who comes second waits for the step
                if run.inputs is not NOTHING:
                    received = NOTHING if _is_placeholder(run.inputs) else run.inputs
                    opening = Opening("workflow", run.name, received=received)
                    if run.is_async:  # a replay calls it alike
                        opening.attributes[ASYNC] = True
                    run.step = run.own = self._recorder.begin(opening)
                    run.inputs = NOTHING
        return run.step

    def _complete(self, step: OpenStep, told: Mapping[str, Any]) -> None:
        """Seal a streamed chain's input, which LangChain tells only when the stream is over."""
        if step.received is None:
            inputs = told.get("inputs")
            self._recorder.receive(step, PLACEHOLDER if inputs is None else inputs)

    def _take(self, run_id: UUID) -> _Run | None:
        with self._lock:
            run = self._runs.pop(_key(run_id), None)
            self._in_turn -= run is not None and run.in_turn
        return run


def _key(run_id: Any) -> Any:
    # An app may name a run by a text, too.
    return getattr(run_id, "int", run_id)


def _is_placeholder(inputs: object) -> bool:
    # Without `==`: the values are the app's.
    return (
        isinstance(inputs, dict)
        and list(inputs) == ["input"]
        and isinstance(inputs["input"], str)
        and not inputs["input"]
    )
