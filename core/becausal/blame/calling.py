"""Which of a model's decisions a tool's execution carried out: one turn may ask for several calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from becausal import semconv
from becausal.graph import Graph
from becausal.step import Choice, Step

__all__ = ["called_by"]

DEEPEST: Final = 6
"""So deep in what a model said are its calls looked for."""


def called_by(graph: Graph, model: Step, tool: Step) -> Sequence[Choice]:
    """Return the choices of a model that a tool carried out.

    That is the call with the tool's id; where no id tells it, those of the tool's name, else all.
    """
    calls = [choice for choice in model.choices if choice.conclusion.startswith("call ")]
    if len(calls) < 2:
        return calls or model.choices
    ids = _ids(graph, model)
    asked = tool.attributes.get(semconv.TOOL_CALL_ID)
    if len(ids) == len(calls) and asked in ids:
        return [calls[ids.index(asked)]]
    name = f"call {tool.name}"
    return [one for one in calls if one.conclusion == name or one.conclusion.startswith(f"{name}(")] or calls


def _ids(graph: Graph, model: Step) -> list[object]:
    """Return the ids of the calls that a model asked for, in their order."""
    told = model.attributes.get(semconv.TOOL_CALL_IDS)
    if isinstance(told, tuple):
        return list(told)
    payload = model.produced
    if payload is None or not payload.is_kept:
        return []
    return list(dict.fromkeys(_calls_in(graph.values.of(payload), DEEPEST)))


def _calls_in(value: object, depth: int) -> Iterator[object]:
    if depth <= 0:
        return
    if isinstance(value, Mapping):
        called = value.get("call_id", value.get("id"))
        if isinstance(called, str) and "name" in value and ("arguments" in value or "args" in value):
            yield called
            return
        for one in value.values():
            yield from _calls_in(one, depth - 1)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _calls_in(one, depth - 1)
