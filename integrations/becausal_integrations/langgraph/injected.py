"""State that LangGraph hands to a tool beside the model's arguments, as a read of memory.

Hooked place, and why this
--------------------------
`BaseTool._to_args_and_kwargs` (langchain-core)
    Called within the tool's step with all that the tool's function is about to get. Only a tool that declares that it
    takes the state (`InjectedState`, `ToolRuntime`) makes a step of it: whether its node has the state at hand says
    nothing of the tool.

What a tool takes of the state is none of its arguments, yet it may give it on, as a tool that hands a conversation
over to another agent does. Without this read the tool would seem to have made it up.

Checked against langchain-core 0.3.86 to 1.7 (source: `tools/base.py`) and langgraph-prebuilt 0.6 to 1.2
(source: `tool_node.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import NOTHING, Opening, Recorder
from becausal.step import OpenStep
from becausal_integrations.langgraph.channels import is_state
from becausal_integrations.langgraph.register import Register
from becausal_integrations.patch import Notice, notice

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["injected_state", "install"]

NAME = "state"


def install(recorder: Recorder, hooks: Hooks, register: Register) -> None:
    """Hook what a tool's function is given; nothing at `level="boundaries"`, where tools are no steps."""
    if recorder.level == "full":
        given = Notice(Injections(recorder, register).given)
        notice(recorder, hooks, "langchain_core.tools.base:BaseTool._to_args_and_kwargs", given)


class Injections:
    """Tells what tools are given of the state."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register

    def given(self, tool: BaseTool, tool_input: Any = None, *_: Any, **__: Any) -> None:
        """Tell the state among a tool's arguments as a read, with those who wrote it as its causes."""
        if type(tool_input) is not dict:
            return
        step = current()
        if not isinstance(step, OpenStep) or step.kind != "tool" or step.parent_id is None:
            return
        state = injected_state(tool, tool_input)
        record = None if state is NOTHING else self._register.steps.get(step.parent_id)
        if record is None:
            return
        graph = record.graph
        names = [name for name in state if is_state(name)] if isinstance(state, Mapping) else []
        read = self._recorder.begin(
            Opening(
                "memory_read",
                NAME,
                causes=graph.ledger.remembered(names),
                attributes={semconv.MEMORY_STORE: graph.workflow.name},
            )
        )
        if read is not None:
            self._recorder.end(read, state)


def injected_state(tool: BaseTool, tool_input: Mapping[str, Any]) -> Any:
    """Return what a tool is given of the state, by channel; `NOTHING` if it takes none."""
    schema = getattr(tool, "args_schema", None)
    fields = _state_fields(schema) if isinstance(schema, type) else ()
    for name, channel in fields:
        if name in tool_input:
            return tool_input[name] if channel is None else {channel: tool_input[name]}
    for value in tool_input.values():
        if type(value).__name__ == "ToolRuntime":
            return getattr(value, "state", NOTHING)
    return NOTHING


@lru_cache(1024)
def _state_fields(schema: type) -> tuple[tuple[str, str | None], ...]:
    """Return the fields of a tool's schema that take the state, or one channel of it."""
    fields = getattr(schema, "model_fields", None) or {}
    return tuple(
        (name, getattr(mark, "field", None))
        for name, field in fields.items()
        for mark in field.metadata
        if "InjectedState" in {base.__name__ for base in _class_of(mark).__mro__}
    )


def _class_of(mark: object) -> type:
    return mark if isinstance(mark, type) else type(mark)
