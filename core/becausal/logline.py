"""A line of a log, as it is kept on the step that it was written in."""

from __future__ import annotations

from typing import Final, NamedTuple

from becausal.step import Attribute, OpenStep, Step

__all__ = ["LogLine", "kept", "lines_of"]

# Not under `becausal.`: lines are content, and stay off the spans.
LINES: Final = "log.lines"
COUNT: Final = "log.count"

MAX_LINES: Final = 64
"""Lines kept of one step, the first ones; all are counted."""

MAX_TEXT: Final = 500
"""Characters kept of one line."""


class LogLine(NamedTuple):
    """One line."""

    step: Step
    """In which it was written."""
    time_ns: int
    """Nanoseconds since the epoch."""
    level: str
    """As its library calls it: `WARNING`."""
    logger: str
    """The logger's name; empty where its library has none."""
    text: str
    """The message, cut at 500 characters; empty where content is not kept."""


def kept(step: OpenStep, time_ns: int, level: str, logger: str, text: str) -> None:
    """Keep a line on a step that is open."""
    said = step.attributes
    count = said.get(COUNT, 0)
    number = count if isinstance(count, int) else 0
    said[COUNT] = number + 1
    if number < MAX_LINES and step.ended_ns is None:
        shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
        line = "\t".join((str(time_ns), level, logger.replace("\t", " "), shown))
        said[LINES] = (*_rows(said.get(LINES)), line)


def lines_of(step: Step) -> list[LogLine]:
    """Return the lines that a step kept, in the order of writing."""
    lines = []
    for row in _rows(step.attributes.get(LINES)):
        time_ns, level, logger, text = row.split("\t", 3)
        lines.append(LogLine(step, int(time_ns), level, logger, text))
    return lines


def _rows(value: Attribute | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
