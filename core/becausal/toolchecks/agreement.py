"""Whether what was executed is what was decided, and whether each answer went to the call that it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from becausal import semconv
from becausal.graph import Graph
from becausal.step import Step
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import Calls, Reading

__all__ = ["not_as_decided"]

DEEPEST = 12
"""Levels of a payload that are searched for the call."""


def not_as_decided(reading: Reading, _: Calls, graph: Graph) -> Breach | None:
    """The tool ran with other arguments than the model step that asked for it had given."""
    call_id = reading.call.step.attributes.get(semconv.TOOL_CALL_ID)
    if not isinstance(call_id, str):
        return None
    decided = _decided(reading.call.step, call_id, graph)
    executed = reading.arguments
    if decided is None or not executed:
        return None
    if set(executed) == {""} and len(decided) == 1:  # one argument, given without its name
        decided = {"": next(iter(decided.values()))}
    for name, value in decided.items():
        if name not in executed:
            said = f"{reading.call.name} was executed without {name}, which was decided"
            return reading.breach("tool.not_as_decided", said, 0.95, f"decided: {name}={value!r}"[:200])
        if not _alike(value, executed[name]):
            said = f"{reading.call.name} was executed with another {name} than was decided"
            return reading.breach(
                "tool.not_as_decided",
                said,
                0.97,
                f"decided: {name}={value!r}"[:200],
                f"executed: {name}={executed[name]!r}"[:200],
            )
    return None


def _decided(step: Step, call_id: str, graph: Graph) -> Mapping[str, object] | None:
    """Return the arguments that the deciding step gave to a call."""
    for edge in graph.in_edges(step):
        if edge.kind == "data" and edge.source.kind == "model" and call_id in edge.evidence:
            produced = edge.source.produced
            if produced is not None and produced.is_kept:
                return next(_calls(produced.value(), call_id, 0), None)
    return None


def _calls(value: object, call_id: str, depth: int) -> Iterator[Mapping[str, object]]:
    """Yield the arguments of a call, by its id, wherever a message keeps it."""
    if depth > DEEPEST:
        return
    if isinstance(value, Mapping):
        if value.get("id", value.get("call_id")) == call_id:
            arguments = _arguments(value.get("args", value.get("arguments")))
            if arguments is not None:
                yield arguments
        for item in value.values():
            yield from _calls(item, call_id, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _calls(item, call_id, depth + 1)


def _arguments(given: object) -> Mapping[str, object] | None:
    if isinstance(given, str):  # AutoGen and OpenAI keep them as JSON
        try:
            given = json.loads(given)
        except ValueError:
            return None
    return {str(key): value for key, value in given.items()} if isinstance(given, Mapping) else None


def _alike(decided: object, executed: object) -> bool:
    """Return whether two arguments are the same, apart from what a schema makes of one: "3" as 3, a list as a tuple."""
    if isinstance(decided, Mapping) and isinstance(executed, Mapping):
        # A model of pydantic's adds the defaults of what was left out.
        return all(key in executed and _alike(value, executed[key]) for key, value in decided.items())
    if isinstance(decided, list | tuple) and isinstance(executed, list | tuple | set | frozenset):
        return len(decided) == len(executed) and all(map(_alike, decided, executed))
    if decided is None or executed is None:
        return decided is executed
    return decided == executed or _plain(decided) == _plain(executed)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Mapping) and len(value) == 1:  # an enumeration's member, as it was kept
        return _plain(next(iter(value.values())))
    return str(value).strip().removesuffix(".0").lower()
