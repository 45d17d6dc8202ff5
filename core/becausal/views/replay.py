"""A replay, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from rich.console import Group, RenderableType
from rich.text import Text

from becausal.replay import Divergence, Replay
from becausal.run import Run
from becausal.views import diff
from becausal.views.clean import cut, head

__all__ = ["ReplayJson", "json", "text"]

MOST_CHANGES = 8
"""So many differences between what was asked and what is recorded are shown."""


class DivergenceJson(TypedDict):
    """Where a replay left the record."""

    why: str
    kind: str
    name: str
    agent: str | None
    place: str
    told: str
    nearest: str | None
    request: str | None
    recorded: str | None


class ReplayJson(TypedDict):
    """What became of a replay."""

    of: str
    run: str
    reproduced: bool
    exact: bool
    steps: int
    same: int
    answered: int
    ran: list[str]
    stood_in: list[str]
    redacted: list[str]
    unapplied: list[str]
    divergence: DivergenceJson | None
    raised: str | None
    diff: diff.DiffJson


def text(shown: Replay[Run]) -> RenderableType:
    """Return a replay as text for people."""
    return Group(*_lines(shown))


def _lines(shown: Replay[Run]) -> Iterator[RenderableType]:
    same, all_steps = shown.same, len(shown.pairs)
    asked = f"{len(shown.recalled)} calls answered from the record, {len(shown.ran)} made"
    asked += f", {len(shown.stood_in)} by a stand-in" if shown.stood_in else ""
    if shown.reproduced:
        how = "byte for byte" if shown.is_exact else "but for ids and times"
        yield Text(f"reproduced: {same} of {all_steps} steps, {how}", "green")
    elif shown.divergence is not None:
        yield Text("left the record", "red")
    else:
        yield Text(f"not the same: {same} of {all_steps} steps are", "yellow")
    yield Text(f"{asked}; recorded as {shown.run.chain_id}")
    if shown.redacted:
        yield Text(
            f"{len(shown.redacted)} of these answers hold markers in place of secrets, which no record has: what "
            "the app does with a secret is not replayed faithfully",
            "yellow",
        )
    if shown.divergence is not None:
        yield from _divergence(shown.divergence)
    elif not shown.reproduced and (raised := _raised(shown)):
        yield Text(f"the app raised {cut(raised, 200)}", "red")
    yield from (Text(f"the edit of step {step[:8]} met no step", "yellow") for step in shown.unapplied)
    if not shown.reproduced:
        yield Text()
        yield diff.text(shown.comparison)


def _divergence(shown: Divergence) -> Iterator[RenderableType]:
    yield Text(f"  {shown}", "red")
    if shown.request is not None:
        yield Text(f"  asked:    {head(shown.request.text(), 160)}")
    if shown.nearest is not None and shown.nearest.received is not None:
        yield Text(f"  recorded: {head(shown.nearest.received.text(), 160)}")
    for change in list(shown.delta)[:MOST_CHANGES]:
        yield diff.change_line(change, "  ")


def json(shown: Replay[Run]) -> ReplayJson:
    """Return a replay as plain data."""
    return ReplayJson(
        of=shown.of.chain_id,
        run=shown.run.chain_id,
        reproduced=shown.reproduced,
        exact=shown.is_exact,
        steps=len(shown.pairs),
        same=shown.same,
        answered=len(shown.recalled),
        ran=list(shown.ran),
        stood_in=list(shown.stood_in),
        redacted=list(shown.redacted),
        unapplied=list(shown.unapplied),
        divergence=None if shown.divergence is None else _divergence_json(shown.divergence),
        raised=_raised(shown),
        diff=diff.json(shown.comparison),
    )


def _raised(shown: Replay[Run]) -> str | None:
    """Return what the app raised, in the words of the step that tells of it: these hold no secrets."""
    raised = next((outcome.error for outcome in shown.outcomes if outcome.error is not None), None)
    if raised is None:
        return None
    kind = type(raised).__qualname__
    told = (step.error for step in shown.run.graph.roots if step.status == "error" and step.error)
    return next((error for error in told if error.startswith(kind)), kind)


def _divergence_json(shown: Divergence) -> DivergenceJson:
    recorded = None if shown.nearest is None else shown.nearest.received
    return DivergenceJson(
        why=shown.why,
        kind=shown.kind,
        name=shown.name,
        agent=shown.agent,
        place=shown.place,
        told=str(shown),
        nearest=None if shown.nearest is None else shown.nearest.id,
        request=None if shown.request is None else shown.request.text(),
        recorded=None if recorded is None else recorded.text(),
    )
