"""Tool calls as steps, with the model call that decided on each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Opening, Recorder
from becausal.step import Attribute, Cause, OpenStep, Status, StepRef
from becausal_integrations.langchain.describe import head, outcome

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["Deciders", "Tools"]

MAX_CALLS = 10_000
"""Tool calls that are decided on and not yet made; the oldest is forgotten beyond so many."""

HAS_ARTIFACT = "becausal.tool.artifact"


class Deciders:
    """Which model step asked for which tool call, within a chain."""

    def __init__(self) -> None:
        self._steps: OrderedDict[tuple[str, str], StepRef] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, step: StepRef, tool_call_ids: Iterable[str]) -> None:
        """Remember that a model step asked for these calls."""
        for tool_call_id in tool_call_ids:
            with self._lock:
                self._steps[step.chain_id, tool_call_id] = step
                if len(self._steps) > MAX_CALLS:
                    self._steps.popitem(last=False)

    def of(self, chain_id: str, tool_call_id: str) -> StepRef | None:
        """Return the model step that asked for a call, if it is known."""
        return self._steps.get((chain_id, tool_call_id))


class Tools:
    """Says what `BaseTool.run` and its helpers mean."""

    def __init__(self, recorder: Recorder, deciders: Deciders) -> None:
        self._recorder, self._deciders = recorder, deciders

    def opened(
        self, tool: BaseTool, tool_input: Any = None, *_: Any, tool_call_id: str | None = None, **__: Any
    ) -> Opening:
        """Tell a call of `BaseTool.run`: received are the arguments that the model gave."""
        attributes: dict[str, Attribute] = {}
        causes: list[Cause] = []
        if tool_call_id is not None:
            attributes[semconv.TOOL_CALL_ID] = tool_call_id
            here = current()
            decider = None if here is None else self._deciders.of(here.chain_id, tool_call_id)
            if decider is not None:
                evidence = f"tool call id {tool_call_id}"
                causes.append(Cause(decider.id, "data", "observed", evidence, decider.span_context))
        return Opening(
            "tool", tool.name, received=own_arguments(tool, tool_input), causes=causes, attributes=attributes
        )

    def answered(self, content: Any, artifact: Any, tool_call_id: str | None, name: str, status: str) -> None:
        """Seal a tool's raw answer, before it becomes a message."""
        step = current()
        if not isinstance(step, OpenStep) or step.kind != "tool" or step.name != name:
            return
        self._recorder.produce(step, content if artifact is None else (content, artifact))
        if artifact is not None:
            step.attributes[HAS_ARTIFACT] = True
        if status == "error":  # a ToolException that the tool was told to answer with
            step.error = head(content) if isinstance(content, str) else None
            step.attributes[semconv.ERROR_TYPE] = "ToolException"

    def closed(self, step: OpenStep, result: Any) -> Any:
        """Tell the end of a call; the raw answer was sealed by `answered`."""
        if semconv.ERROR_TYPE in step.attributes:
            self._recorder.end(step, status="error")
        return NOTHING if step.produced is not None else result

    def failed(self, _: OpenStep, error: BaseException) -> Status | None:
        """Tell an interrupt inside a tool from a failure."""
        return outcome(error)


def own_arguments(tool: BaseTool, tool_input: Any) -> Any:
    """Return the arguments of a call without those that LangChain injects (state, store, runtime)."""
    without_injected = getattr(tool, "_filter_injected_args", None)  # since langchain-core 1.0
    if isinstance(tool_input, dict) and without_injected is not None:
        return without_injected(tool_input)
    return tool_input
