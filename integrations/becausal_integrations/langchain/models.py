"""Model calls as steps, told by LangChain's own callback managers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from opentelemetry.context import Context

from becausal.context import with_step
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.step import OpenStep
from becausal_integrations.langchain.describe import (
    answer,
    answer_attributes,
    choice_of,
    model_name,
    outcome,
    premises_of,
    request_attributes,
    tool_call_ids,
)
from becausal_integrations.langchain.tools import Deciders

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

__all__ = ["Models"]

MAX_RUNS = 4096
"""Model calls that can be open at a time: a stream that nobody finished is given up beyond so many, oldest first."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch of calls about to begin."""

    serialized: Mapping[str, Any]
    params: Mapping[str, Any]
    prompts: list[tuple[Sealed, tuple[str, ...]]]  # what is received, and the premises that it gives


@dataclass(frozen=True, slots=True)
class _Run:
    """A call that is under way."""

    step: OpenStep
    premises: tuple[str, ...]


class Models:
    """Opens and closes a step for each model call, by LangChain's run id."""

    def __init__(self, recorder: Recorder, deciders: Deciders) -> None:
        self._recorder, self._deciders = recorder, deciders
        self._runs: OrderedDict[UUID, _Run] = OrderedDict()
        self._lock = threading.Lock()

    def starting(
        self,
        _: Any,
        serialized: Mapping[str, Any] | None = None,
        messages: Sequence[Any] = (),
        *__: Any,
        prompts: Sequence[str] = (),
        invocation_params: Mapping[str, Any] | None = None,
        **___: Any,
    ) -> _Asked:
        """Seal what each call of the batch received."""
        asked = [(self._recorder.seal(item), premises_of(item)) for item in (messages or prompts)]
        return _Asked(serialized or {}, invocation_params or {}, asked)

    def started(self, asked: _Asked | None, managers: Sequence[Any] | None, _: BaseException | None) -> None:
        """Begin a step for each call, now that LangChain has given it a run id."""
        if asked is None or managers is None:
            return
        for manager, (received, premises) in zip(managers, asked.prompts, strict=False):
            metadata = manager.metadata or {}
            name = model_name(metadata, asked.params, asked.serialized)
            attributes = request_attributes(name, metadata)
            step = self._recorder.begin(Opening("model", name, received=received, attributes=attributes))
            if step is not None:
                self._keep(manager.run_id, _Run(step, premises))

    def inside(self, *_: Any, run_manager: Any = None, **__: Any) -> Context | None:
        """Return the context in which a call's own work is to run."""
        run = None if run_manager is None else self._runs.get(run_manager.run_id)
        return None if run is None else with_step(run.step)

    def ending(self, manager: Any, response: LLMResult, **_: Any) -> None:
        """End a call with its answer."""
        run = self._take(manager.run_id)
        if run is None:
            return
        produced = answer(response)
        if produced is not NOTHING:
            for message in produced if isinstance(produced, list) else [produced]:
                run.step.attributes |= answer_attributes(message)
                self._recorder.decide(run.step, choice_of(message, run.premises))
                self._deciders.note(run.step, tool_call_ids(message))
        self._recorder.end(run.step, produced)

    def failing(self, manager: Any, error: BaseException, **_: Any) -> None:
        """End a call that failed, or whose stream was left."""
        run = self._take(manager.run_id)
        if run is not None:
            self._recorder.end(run.step, error=error, status=outcome(error))

    def _keep(self, run_id: UUID, run: _Run) -> None:
        with self._lock:
            self._runs[run_id] = run
            oldest = self._runs.popitem(last=False)[1] if len(self._runs) > MAX_RUNS else None
        if oldest is not None:
            self._recorder.end(oldest.step, status="abandoned")

    def _take(self, run_id: UUID) -> _Run | None:
        with self._lock:
            return self._runs.pop(run_id, None)
