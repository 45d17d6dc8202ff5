"""Nothing, where something was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import Calls, Reading

__all__ = ["empty"]

NOTHING_SAID = re.compile(
    r"\s*[\"']?(?:no (?:results?|matches|matching \w+|data|documents?|records?|entries|items|rows)\b[^\n]{0,60}"
    r"|none|null|nil|undefined|n/?a|empty|nothing(?: was)? found|not found|0 (?:results?|rows|records|matches))"
    r"[.!\"']*\s*",
    re.IGNORECASE,
)
ENVELOPE = frozenset(
    ("query", "q", "total", "count", "page", "pages", "status", "ok", "success", "took", "took_ms", "id",
     "request_id", "next", "cursor")
)  # fmt: skip


def empty(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """Nothing, where something was asked for: of a tool that is called for its answer, or that answers otherwise."""
    step = reading.call.step
    if not reading.is_answered or step.status == "error" or not _is_nothing(reading.data):
        return None
    answers_otherwise = any(
        other.is_answered and not _is_nothing(other.data)
        for other in calls.beside(reading)
        if other.call.step.status == "ok"
    )
    # A tool that does something may have nothing to say.
    if reading.data is None and not (reading.is_query or answers_otherwise):
        return None
    if reading.has_effects and not answers_otherwise:
        return None
    said = f"{reading.call.name} answered nothing"
    sure = 0.9 if answers_otherwise else 0.8 if reading.is_query else 0.65
    words = reading.text.strip() or type(reading.raw).__name__
    return reading.breach("tool.empty", said, sure, words)


def _is_nothing(data: object) -> bool:
    match data:
        case None:
            return True
        case str():
            return not data.strip() or (len(data) < 120 and NOTHING_SAID.fullmatch(data) is not None)
        case list() | tuple():
            return all(item is None for item in data)
        case Mapping():
            return all(str(key).lower() in ENVELOPE or _is_void(value) for key, value in data.items())
        case _:
            return False


def _is_void(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, list | tuple | Mapping) and not value)
