"""A span as others recorded it, whichever file or wire brought it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """One span, ids as lower-case text."""

    trace_id: str
    span_id: str
    name: str
    parent_id: str | None = None
    started_ns: int = 0
    ended_ns: int | None = None
    error: str | None = None
    """What went wrong, in words; None where nothing did."""
    attributes: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Values as JSON has them; what stands in a text as JSON is still a text."""
    links: tuple[tuple[str, str, Mapping[str, object]], ...] = field(default=(), hash=False)
    """(trace id, span id, attributes) of what it is linked to."""
    scope: str = ""
    """The instrumentation that made it."""
    source: str = ""
    """The process that it comes from, as far as its resource tells processes apart: equal texts for equal resources."""
