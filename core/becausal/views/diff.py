"""Two runs side by side, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from becausal.answers.comparison import Comparison, Pair, State
from becausal.delta import Change, Delta
from becausal.finding import Finding
from becausal.payload import Payload
from becausal.views.clean import cut, head, styled
from becausal.views.json import Json, plain

__all__ = ["DiffJson", "change_line", "json", "text"]

MOST_PAIRS = 60
"""So many steps that differ are shown."""

MOST_CHANGES = 6
"""So many changes of one payload are shown."""

MOST_LINES = 30
WIDEST_VALUE = 52

_SIGN: dict[State, tuple[str, str]] = {
    "same": (" ", ""),
    "changed": ("~", "yellow"),
    "appeared": ("+", "green"),
    "vanished": ("−", "red"),  # noqa: RUF001
}


class ChangeJson(TypedDict):
    """What differs at one place."""

    kind: str
    path: str
    before: Json
    after: Json


class PairJson(TypedDict):
    """A step of either run, or of both."""

    state: str
    kind: str
    name: str
    agent: str | None
    before: str | None
    after: str | None
    received: list[ChangeJson]
    produced: list[ChangeJson]


class PartingJson(TypedDict):
    """Where the runs part."""

    before: str | None
    after: str | None
    side: str | None
    why: str


class DiffJson(TypedDict):
    """Two runs; steps that are the same are counted, the others listed."""

    before: str
    after: str
    is_same: bool
    same: int
    steps: list[PairJson]
    partings: list[PartingJson]
    output: list[ChangeJson]
    is_output_same: bool
    findings_came: list[str]
    findings_went: list[str]


def text(shown: Comparison) -> RenderableType:
    """Return where two runs part and why, the steps that differ, what became of the findings, and the outputs."""
    counts = f"{len(shown.changed)} changed, {len(shown.appeared)} appeared, {len(shown.vanished)} vanished"
    title = f"{shown.before.chain_id[:16]} and {shown.after.chain_id[:16]}"
    if shown.is_same:
        return styled(f"{title} are the same, step by step: {len(shown.pairs)} steps.")
    return Group(
        Text.assemble(styled(title, "bold"), styled(f"  {counts} of {len(shown.pairs)} steps", "dim")),
        *_partings(shown),
        *_steps(shown),
        *_findings("findings that came", shown.findings_came, "red"),
        *_findings("findings that went", shown.findings_went, "green"),
        *_outputs(shown),
    )


def _partings(shown: Comparison) -> Iterator[RenderableType]:
    for number, parting in enumerate(shown.partings[:MOST_CHANGES]):
        said = "they first part here:" if number == 0 else "and, by itself, here:"
        yield Text.assemble(
            styled(said + " ", "italic"),
            styled(parting.why, "bold"),
            styled(f"  {parting.pair.step.id[:8]}", "dim"),
        )
        if parting.side is not None:
            differs = parting.pair.received if parting.side == "received" else parting.pair.produced
            for change in list(differs)[:MOST_CHANGES]:
                yield change_line(change, "    ")


def _steps(shown: Comparison) -> Iterator[RenderableType]:
    rows = [pair for pair in shown.pairs if pair.state != "same"]
    tree = Tree(styled("steps that differ", "italic"), guide_style="dim")
    told: set[str] = set()
    for pair in rows[:MOST_PAIRS]:
        branch = tree.add(_pair(pair))
        for side, differs in (("received", pair.received), ("produced", pair.produced)):
            _add(branch, side, list(differs), told)
    if len(rows) > MOST_PAIRS:
        tree.add(styled(f"… and {len(rows) - MOST_PAIRS} more: --json has all of them", "dim"))
    yield Text("")
    yield tree


def _add(branch: Tree, side: str, changes: list[Change], told: set[str]) -> None:
    """Add what differs on one side of a step; what was told of a step before is only named."""
    marks = [(change, repr((change.before, change.after))) for change in changes]
    new = [(change, mark) for change, mark in marks if mark not in told]
    for change, mark in new[:MOST_CHANGES]:
        told.add(mark)
        branch.add(
            Text.assemble(styled(f"{side} ", "dim"), change_line(change), no_wrap=True, overflow="ellipsis")
        )
    if len(new) > MOST_CHANGES:
        branch.add(styled(f"{side} … and {len(new) - MOST_CHANGES} more", "dim"))
    if again := [change.path for change, mark in marks if mark in told and (change, mark) not in new]:
        branch.add(styled(f"{side} {cut(', '.join(again), WIDEST_VALUE)}  as above", "dim"))


def _pair(pair: Pair) -> Text:
    sign, style = _SIGN[pair.state]
    step = pair.step
    agent = f" of {step.agent}" if step.agent and step.agent != step.name and step.kind != "handoff" else ""
    told = f"{sign} {cut(f'{step.kind} {step.name}{agent}', 80)}"
    status = ""
    if pair.before is not None and pair.after is not None:
        status = (
            f"  {pair.before.status} → {pair.after.status}" if pair.before.status != pair.after.status else ""
        )
        status += f"  went elsewhere, not as {cut(pair.before.name, 60)!r}" if pair.is_elsewhere else ""
    ids = "  ".join(one.id[:8] for one in (pair.before, pair.after) if one is not None)
    return Text.assemble(styled(told, style), styled(status, "yellow"), styled(f"  {ids}", "dim"))


def change_line(change: Change, indent: str = "") -> Text:
    """Return a change in a line, of two long texts the part where they differ."""
    before, after = head(change.before, WIDEST_VALUE), head(change.after, WIDEST_VALUE)
    match change.kind:
        case "dropped":
            said = f"− {change.path}  {before}"  # noqa: RUF001
        case "added":
            said = f"+ {change.path}  {after}"
        case _:
            before, after = _around(change)
            said = f"~ {change.path}  {before} → {after}"
    return Text.assemble(indent, styled(said))


def _around(change: Change) -> tuple[str, str]:
    """Return two values, of two long texts the part where they differ."""
    before, after = change.before, change.after
    if not (isinstance(before, str) and isinstance(after, str)):
        return head(before, WIDEST_VALUE), head(after, WIDEST_VALUE)
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
        min(len(before), len(after)),
    )
    start = max(0, same - WIDEST_VALUE // 3) if max(len(before), len(after)) > WIDEST_VALUE else 0
    sign = "…" if start else ""
    return head(sign + before[start:], WIDEST_VALUE), head(sign + after[start:], WIDEST_VALUE)


def _findings(title: str, found: tuple[Finding, ...], style: str) -> Iterator[RenderableType]:
    if found:
        yield Text("")
        yield styled(title, "italic")
        for finding in found:
            yield Text.assemble("  ", styled(f"{finding.kind}  ", style), styled(finding.message))


def _outputs(shown: Comparison) -> Iterator[RenderableType]:
    if shown.is_output_same:
        yield styled("the outputs are the same", "italic")
        return
    yield Text("")
    table = Table(box=None, expand=True, title_justify="left", header_style="dim", padding=(0, 2, 0, 0))
    table.title = styled("the outputs", "italic")
    table.add_column(shown.before.chain_id[:16], ratio=1, overflow="fold")
    table.add_column(shown.after.chain_id[:16], ratio=1, overflow="fold")
    table.add_row(_output(shown.before.output), _output(shown.after.output))
    yield table


def _output(payload: Payload | None) -> Text:
    if payload is None:
        return Text("(none)", style="dim")
    if not payload.is_kept:
        return Text(f"(not kept: {payload.size} bytes)", style="dim")
    lines = payload.text().split("\n")
    more = [f"… {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return Text("\n".join([*(styled(line).plain for line in lines[:MOST_LINES]), *more]))


def json(shown: Comparison) -> DiffJson:
    """Return two runs side by side."""
    return DiffJson(
        before=shown.before.chain_id,
        after=shown.after.chain_id,
        is_same=shown.is_same,
        same=sum(pair.state == "same" for pair in shown.pairs),
        steps=[_pair_json(pair) for pair in shown.pairs if pair.state != "same"],
        partings=[
            PartingJson(
                before=parting.pair.before.id if parting.pair.before else None,
                after=parting.pair.after.id if parting.pair.after else None,
                side=parting.side,
                why=parting.why,
            )
            for parting in shown.partings
        ],
        output=_changes(shown.output),
        is_output_same=shown.is_output_same,
        findings_came=[str(finding) for finding in shown.findings_came],
        findings_went=[str(finding) for finding in shown.findings_went],
    )


def _pair_json(pair: Pair) -> PairJson:
    return PairJson(
        state=pair.state,
        kind=pair.step.kind,
        name=pair.step.name,
        agent=pair.step.agent,
        before=pair.before.id if pair.before else None,
        after=pair.after.id if pair.after else None,
        received=_changes(pair.received),
        produced=_changes(pair.produced),
    )


def _changes(delta: Delta) -> list[ChangeJson]:
    return [
        ChangeJson(kind=one.kind, path=one.path, before=plain(one.before), after=plain(one.after))
        for one in delta
    ]
