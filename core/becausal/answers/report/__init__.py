"""The incident report of a run: for people who were not there, and fit to be put into a post-mortem.

It tells what was wrong, where it entered, the way it took with each payload before and after, who could have stopped
it, what else it came to and what to change; all of it quoted from the record. Of a run with nothing wrong it says so.
"""

from __future__ import annotations

from typing import Literal, get_args

from becausal.answers.recorded import Recorded
from becausal.answers.report.html import html
from becausal.answers.report.incident import Cause, Incident, Leg, incident
from becausal.answers.report.markdown import markdown
from becausal.errors import BecausalError

__all__ = ["FORMATS", "Cause", "Format", "Incident", "Leg", "incident", "report"]

Format = Literal["markdown", "html"]

FORMATS: tuple[Format, ...] = get_args(Format)


def report(run: Recorded, format: Format = "markdown") -> str:
    """Return the report of a loaded run as text.

    Raises:
        BecausalError: there is no such format.
    """
    if format not in FORMATS:
        raise BecausalError(f"a report is written as {' or '.join(FORMATS)}, not as {format!r}")
    return (markdown if format == "markdown" else html)(incident(run))
