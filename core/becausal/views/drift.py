"""What became of a request, hop by hop, for a terminal and as JSON."""

from __future__ import annotations

from typing import TypedDict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from becausal.drift import Change, Drift, Fate, Followed, Hop
from becausal.drift.request import wording
from becausal.facts import Fact
from becausal.step import Step
from becausal.views.clean import cut, styled

__all__ = ["DriftJson", "json", "text"]

WIDEST_FACT = 60
"""Characters of a fact that a line shows."""
BAR = 20
"""Characters of a bar that means all."""

_STYLE: dict[Fate, str] = {"kept": "green", "returned": "yellow", "changed": "bold red", "lost": "bold red"}

_SOURCE = {"system": "system prompt", "earlier": "said earlier"}


class FactJson(TypedDict):
    """A fact, as it stands and what kind it is."""

    kind: str
    text: str


class ChangeJson(TypedDict):
    """A fact that became another one."""

    hop: int
    step: str
    agent: str | None
    before: FactJson
    after: FactJson


class FollowedJson(TypedDict):
    """A fact of the request, and what became of it."""

    fact: FactJson
    source: str
    fate: str
    hop: int | None
    step: str | None
    agent: str | None
    changes: list[ChangeJson]
    returned: str | None
    known: list[bool]
    is_in_output: bool


class HopJson(TypedDict):
    """How things stood at one hop."""

    number: int
    steps: list[str]
    agents: list[str]
    kept: float
    distance: float
    embedded: float | None


class DriftJson(TypedDict):
    """What became of a request."""

    request: str | None
    hops: list[HopJson]
    facts: list[FollowedJson]
    unjudged: str


def text(drift: Drift) -> RenderableType:
    """Return the curve over the hops, and below it what was lost, changed or came back."""
    if drift.unjudged:
        return styled(f"{drift.unjudged[0].upper()}{drift.unjudged[1:]}.")
    if not drift.facts:
        return Group(Text("The request states no fact that could be followed."), _curve(drift))
    deviating = [one for one in drift.facts if one.fate != "kept"]
    lines: list[RenderableType] = [_curve(drift), Text()]
    lines += [_line(one) for one in deviating]
    kept = len(drift.facts) - len(deviating)
    lines.append(styled(f"{kept} of {len(drift.facts)} facts of the request were kept at every hop", "dim"))
    return Group(*lines)


def json(drift: Drift) -> DriftJson:
    """Return what became of a request, for programs."""
    return DriftJson(
        request=None if drift.request is None else drift.request.id,
        hops=list(map(_hop, drift.hops)),
        facts=list(map(_followed, drift.facts)),
        unjudged=drift.unjudged,
    )


def _curve(drift: Drift) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("hop", justify="right")
    table.add_column("who", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("facts known", no_wrap=True)
    table.add_column("moved", justify="right")
    is_embedded = any(hop.embedded is not None for hop in drift.hops)
    if is_embedded:
        table.add_column("by embedding", justify="right")
    for hop in drift.hops:
        row: list[RenderableType] = [
            Text(str(hop.number)),
            styled(", ".join(dict.fromkeys(map(_who, hop.steps))) or "the request"),
            Text(
                f"{'█' * round(BAR * hop.kept):<{BAR}} {hop.kept:.0%}",
                style="" if hop.kept == 1 else "yellow",
            ),
            Text(f"{hop.distance:.2f}"),
        ]
        table.add_row(*row, *([Text(f"{hop.embedded:.2f}")] if hop.embedded is not None else []))
    return table


def _line(one: Followed) -> Text:
    said = Text.assemble(
        styled(f"{one.fate}  ", _STYLE[one.fate]), styled(cut(wording(one.fact), WIDEST_FACT), "bold")
    )
    if one.fate == "changed":
        for change in one.changes:
            said.append_text(styled(f" → {cut(wording(change.after), WIDEST_FACT)}"))
            said.append_text(styled(f" ({_who(change.step)}, hop {change.hop})", "dim"))
    elif one.step is not None:
        said.append_text(styled(f"  {_where(one.step)} at hop {one.hop}", "dim"))
        if one.hop is not None:
            said.append_text(styled(f": it was told there, and not at hop {one.hop + 1}", "dim"))
    if one.returned is not None:
        said.append_text(styled(f"; said again by {_who(one.returned)}", "dim"))
    elif one.fate == "lost" and one.is_in_output:
        said.append_text(styled("; the answer has it all the same, from elsewhere", "dim"))
    if one.source != "user":
        said.append_text(styled(f"  ({_SOURCE[one.source]}{'' if one.counts else ', not counted'})", "dim"))
    return said


def _where(step: Step) -> str:
    return f"on the way {step.name}" if step.kind == "handoff" else f"with {_who(step)}"


def _who(step: Step) -> str:
    return step.agent or step.name


def _hop(hop: Hop) -> HopJson:
    return HopJson(
        number=hop.number,
        steps=[step.id for step in hop.steps],
        agents=list(dict.fromkeys(map(_who, hop.steps))),
        kept=hop.kept,
        distance=hop.distance,
        embedded=hop.embedded,
    )


def _followed(one: Followed) -> FollowedJson:
    return FollowedJson(
        fact=_fact(one.fact),
        source=one.source,
        fate=one.fate,
        hop=one.hop,
        step=None if one.step is None else one.step.id,
        agent=None if one.step is None else one.step.agent,
        changes=list(map(_change, one.changes)),
        returned=None if one.returned is None else one.returned.id,
        known=list(one.known),
        is_in_output=one.is_in_output,
    )


def _change(change: Change) -> ChangeJson:
    return ChangeJson(
        hop=change.hop,
        step=change.step.id,
        agent=change.step.agent,
        before=_fact(change.before),
        after=_fact(change.after),
    )


def _fact(fact: Fact) -> FactJson:
    return FactJson(kind=fact.kind, text=wording(fact))
