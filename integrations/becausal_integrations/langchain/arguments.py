"""The arguments of a tool call that are the model's: without those that LangChain and LangGraph inject."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["own_arguments"]

FILTERED = frozenset({"run_manager", "callbacks"})
"""What a tool's function may take that no schema shows (langchain-core, `tools/base.py`, `FILTERED_ARGS`)."""

INJECTED = frozenset({"InjectedToolArg", "_DirectlyInjectedToolArg"})
"""The classes whose annotation marks a parameter as injected; state, store and runtime are subclasses of these."""


def own_arguments(tool: BaseTool, tool_input: Any) -> Any:
    """Return the arguments of a call without those that are injected (state, store, runtime, call id)."""
    if not isinstance(tool_input, dict):
        return tool_input
    without_injected = getattr(tool, "_filter_injected_args", None)  # since langchain-core 1.0
    if without_injected is not None:
        return without_injected(tool_input)
    schema = getattr(tool, "args_schema", None)
    hidden = FILTERED | (injected_fields(schema) if isinstance(schema, type) else frozenset())
    return {key: value for key, value in tool_input.items() if key not in hidden}


@lru_cache(1024)
def injected_fields(schema: type) -> frozenset[str]:
    """Return the fields of a tool's schema that no model fills: those whose annotation is marked as injected."""
    fields = getattr(schema, "model_fields", None) or {}
    return frozenset(name for name, field in fields.items() if any(map(_is_injected, field.metadata)))


def _is_injected(mark: object) -> bool:
    cls = mark if isinstance(mark, type) else type(mark)
    return not INJECTED.isdisjoint(base.__name__ for base in cls.__mro__)
