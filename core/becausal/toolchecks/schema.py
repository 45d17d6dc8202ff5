"""An answer of another shape than the tool's other answers have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import Calls, Reading, items_of

__all__ = ["schema"]

FEWEST = 2
"""Answers that agree, before one that does not is called wrong."""


def schema(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """Fields that all other answers of the tool have are missing, or one is of another type."""
    if not reading.is_answered or reading.call.step.status == "error":
        return None
    others = [
        other for other in calls.beside(reading) if other.is_answered and other.call.step.status == "ok"
    ]
    return _within(reading) or _beside(reading, others)


def _within(reading: Reading) -> Breach | None:
    """Compare the items of one list with one another."""
    items = items_of(reading.data)
    if items is None or len(items) <= FEWEST:
        return None
    records = [item for item in items if isinstance(item, Mapping)]
    if len(records) != len(items):
        return None
    counted = Counter(key for record in records for key in record)
    usual = {key for key, count in counted.items() if count == len(records) - 1}
    for record in records:
        gone = [str(key) for key in usual if key not in record]
        new = [str(key) for key in record if counted[key] == 1]
        if gone and new:  # renamed: what one lacks it has under another name
            said = (
                f"one item of the answer of {reading.call.name} has {new[0]} where the others have {gone[0]}"
            )
            return reading.breach(
                "tool.schema", said, 0.9, f"missing: {', '.join(gone)}", f"new: {', '.join(new)}"
            )
    return None


def _beside(reading: Reading, others: Sequence[Reading]) -> Breach | None:
    shapes = [shape for other in others if (shape := _shape(other.data))]
    mine = _shape(reading.data)
    if len(shapes) < FEWEST or not mine:
        return None
    common = {
        field: kinds.pop()
        for field in set.intersection(*map(set, shapes))
        if len(kinds := {shape[field] for shape in shapes}) == 1
    }
    gone = sorted(common.keys() - mine.keys())
    new = sorted(mine.keys() - set().union(*shapes))
    if gone and new:
        said = f"the answer of {reading.call.name} lacks {gone[0]}, which its others have, and has {new[0]}"
        return reading.breach(
            "tool.schema", said, 0.9, f"missing: {', '.join(gone)}", f"new: {', '.join(new)}"
        )
    for field in sorted(common.keys() & mine.keys()):
        if {mine[field], common[field]} in (
            {"text", "number"},
            {"text", "list"},
            {"list", "record"},
            {"number", "list"},
        ):
            said = f"{field} in the answer of {reading.call.name} is a {mine[field]}; others have a {common[field]}"
            return reading.breach(
                "tool.schema", said, 0.8, f"{field}: {mine[field]}", f"others: {common[field]}"
            )
    return None


def _shape(data: object) -> dict[str, str]:
    """Return the fields of an answer, or of its items, with what sort of value each has."""
    if isinstance(data, list | tuple):
        records = [item for item in data if isinstance(item, Mapping)]
        return _shape(records[0]) if records and len(records) == len(data) else {}
    if not isinstance(data, Mapping):
        return {}
    return {str(key): _sort(value) for key, value in data.items() if value is not None}


def _sort(value: object) -> str:
    match value:
        case bool():
            return "truth value"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list() | tuple():
            return "list"
        case Mapping():
            return "record"
        case _:
            return type(value).__name__
