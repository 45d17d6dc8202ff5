"""What an app logged inside a run's steps, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypedDict

from rich.console import Group, RenderableType
from rich.text import Text

from becausal.logline import LogLine
from becausal.views.clean import styled

__all__ = ["LogLineJson", "json", "text"]

_STYLE: Final = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}


class LogLineJson(TypedDict):
    """One line of a log."""

    step: str
    agent: str | None
    time_ns: int
    level: str
    logger: str
    text: str


def text(shown: Sequence[LogLine], *, agent: str | None = None) -> RenderableType:
    """Return the lines as they were written, each with its step and its agent.

    Args:
        shown: the lines.
        agent: whose they are, where only one agent's are asked for.
    """
    if not shown:
        return styled(f"Nothing was logged inside a step of {agent or 'this run'}.")
    return Group(*(_line(line) for line in shown))


def json(shown: Sequence[LogLine]) -> list[LogLineJson]:
    """Return the lines."""
    return [
        LogLineJson(
            step=line.step.id,
            agent=line.step.agent,
            time_ns=line.time_ns,
            level=line.level,
            logger=line.logger,
            text=line.text,
        )
        for line in shown
    ]


def _line(line: LogLine) -> Text:
    time = datetime.fromtimestamp(line.time_ns / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
    where = line.step.agent or line.step.name
    return Text.assemble(
        styled(f"{time} {line.step.id[:8]} ", "dim"),
        styled(f"{line.level} ", _STYLE.get(line.level, "")),
        styled(f"{where} ", "bold"),
        styled(f"{line.logger} " if line.logger else "", "dim"),
        # An app that keeps no content keeps no text of a line either; one that is empty is hardly ever logged.
        styled(" ".join(line.text.split())) if line.text else styled("(not kept, or empty)", "dim"),
    )
