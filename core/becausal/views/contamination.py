"""Where something wrong came to, run by run, for a terminal and as JSON."""

from __future__ import annotations

from typing import TypedDict

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from becausal.answers.contamination import Contamination, Entry, Spread
from becausal.views.clean import cut, line, styled

__all__ = ["ContaminationJson", "json", "text"]

WIDEST_TEXT = 60
"""Characters of what is wrong that a line shows."""
MOST_SHOWN = 5
"""So many texts, entries and agents are shown of each."""


class EntryJson(TypedDict):
    """How it came into a run."""

    step: str
    kind: str
    agent: str | None
    how: str
    evidence: str
    from_run: str | None


class SpreadJson(TypedDict):
    """A run that it came to."""

    run: str
    name: str
    entries: list[EntryJson]
    reached: list[str]
    carrying: list[str]
    output: str | None
    is_output_wrong: bool
    written: list[str]


class ContaminationJson(TypedDict):
    """Where something wrong came to."""

    texts: list[str]
    versions: list[str]
    runs: list[SpreadJson]


def text(found: Contamination) -> RenderableType:
    """Return what is wrong, and each run that it came to: how, who said it, whether its answer does."""
    if not found.runs:
        asked = ", ".join(map(str, found.versions)) or "It"
        other = (
            "; ask about an earlier version as KEY@NUMBER"
            if any(one.version > 1 for one in found.versions)
            else ""
        )
        return Text(f"{line(asked)} came to no run: nobody read it{other}.")
    wrong = ", ".join(cut(one, WIDEST_TEXT) for one in found.texts[:MOST_SHOWN]) or "(nothing that has words)"
    runs, answers = len(found.runs), len(found.outputs)
    head = (
        f"{runs} run{'s' * (runs != 1)} reached, {answers} answer{'s say' if answers != 1 else ' says'} it: "
    )
    tree = Tree(Text.assemble(styled(head, "bold"), styled(wrong)), guide_style="dim")
    for spread in found.runs:
        branch = tree.add(_line(spread))
        for entry in spread.entries[:MOST_SHOWN]:
            branch.add(styled(_entry(entry)))
        if len(spread.entries) > MOST_SHOWN:
            branch.add(styled(f"and {len(spread.entries) - MOST_SHOWN} more ways", "dim"))
        for version in spread.written:
            branch.add(styled(f"wrote {version}", "yellow"))
    return tree


def json(found: Contamination) -> ContaminationJson:
    """Return where it came to, for programs."""
    return ContaminationJson(
        texts=list(found.texts),
        versions=list(map(str, found.versions)),
        runs=[
            SpreadJson(
                run=spread.chain_id,
                name=spread.name,
                entries=[
                    EntryJson(
                        step=entry.step.id,
                        kind=entry.step.kind,
                        agent=entry.step.agent,
                        how=entry.how,
                        evidence=entry.evidence,
                        from_run=entry.from_run,
                    )
                    for entry in spread.entries
                ],
                reached=[step.id for step in spread.reached],
                carrying=[step.id for step in spread.carrying],
                output=None if spread.output is None else spread.output.id,
                is_output_wrong=spread.is_output_wrong,
                written=list(map(str, spread.written)),
            )
            for spread in found.runs
        ],
    )


def _line(spread: Spread) -> Text:
    agents = list(dict.fromkeys(step.agent for step in spread.carrying if step.agent))
    more = ", …" if len(agents) > MOST_SHOWN else ""
    said = f"  said by {', '.join(agents[:MOST_SHOWN])}{more}" if agents else ""
    if spread.is_output_wrong:
        output = styled("its answer says it", "bold red")
    elif spread.output is not None:
        output = styled("its answer may depend on it, and does not say it", "yellow")
    else:
        output = styled("its answer does not depend on it", "green")
    return Text.assemble(
        styled(f"{spread.name} ", "bold"),
        styled(f"{spread.chain_id[:16]}  ", "dim"),
        output,
        styled(f"  {len(spread.carrying)} of the {len(spread.reached)} steps from there on say it", "dim"),
        styled(said),
    )


def _entry(entry: Entry) -> str:
    who = f"{entry.step.kind} {entry.step.name}" + (f" of {entry.step.agent}" if entry.step.agent else "")
    told = {
        "origin": f"it began with {who}",
        "memory": f"{who} read {entry.evidence}",
        "content": f"{who} had the same {entry.evidence}",
        "continued": f"{who} went on from {entry.evidence}",
    }[entry.how]
    return told if entry.from_run is None else f"{told}, from run {entry.from_run[:16]}"
