"""An incident in Markdown. Quoted content stands in fences that it cannot end, or has its signs escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from becausal.answers.report.excerpt import Excerpt, one_line
from becausal.answers.report.incident import Cause, Incident, Leg

__all__ = ["markdown"]


def markdown(shown: Incident) -> str:
    """Return a report in Markdown."""
    lines = [
        f"# Incident report: {_plain(shown.name) or 'run'}",
        "",
        f"- run: `{_code(shown.chain_id)}`",
        f"- when: {shown.when}",
        f"- agents: {_plain(', '.join(shown.agents)) or 'none'}; {shown.steps} steps",
        f"- verdict: **{shown.health.verdict}**",
        "",
        *_body(shown),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _body(shown: Incident) -> Iterator[str]:
    yield f"## {'What was wrong' if shown.causes else 'What the record says'}"
    yield ""
    yield from _items(shown.health.reasons)
    if shown.more_causes:
        yield f"\nThe first {len(shown.causes)} are told below; {shown.more_causes} more are in `becausal findings`."
    for number, cause in enumerate(shown.causes, 1):
        yield from _cause(number, cause)
    yield from _section("Put right before the output", shown.contained)
    yield from _section("Worth knowing", shown.notes)
    yield "\n## The request and the output\n"
    yield "Asked:\n"
    yield _fenced(shown.request)
    yield "\nAnswered:\n"
    yield _fenced(shown.output)
    yield "\nAll of this is read from the record of the run; no model was asked."


def _cause(number: int, cause: Cause) -> Iterator[str]:
    suspect = cause.suspect
    yield f"\n## Cause {number}: {_plain(cause.kind)}, {_plain(suspect.who)}\n"
    yield _plain(cause.message)
    is_agents = suspect.step.agent and suspect.step.kind != "handoff"
    agent = f", agent {_plain(suspect.step.agent or '')}" if is_agents else ""
    where = f"{_plain(suspect.step.kind)} `{_code(suspect.step.name)}` (step `{_code(suspect.step.id[:8])}`{agent})"
    yield f"\nIt entered in {where}; score {suspect.score:.2f}.\n"
    if cause.evidence:
        yield "Evidence:\n"
        yield from (f"> {_plain(one_line(row, 300))}\n>" for row in cause.evidence[:-1])
        yield f"> {_plain(one_line(cause.evidence[-1], 300))}"
    yield from _section("What followed from it", cause.followed, level=3)
    yield "\n### The way it took\n"
    for place, leg in enumerate(cause.way, 1):
        yield from _leg(place, leg)
    yield from _section("Decisions on the way", cause.decisions, level=3)
    yield from _section("Who could have stopped it", cause.stoppers, level=3)
    yield from _section("What else it came to", cause.spread, level=3)
    yield from _section("Other runs that it came to", cause.elsewhere, level=3)
    yield from _section("What to change", cause.advice, level=3, is_ours=True)


def _leg(place: int, leg: Leg) -> Iterator[str]:
    if leg.step is None:
        yield f"*… {_plain(leg.name)} …*\n"
        return
    yield f"**{place}. {_plain(leg.name)}** (`{_code(leg.step.id[:8])}`)\n"
    if leg.is_same:
        yield "What was sent arrived:\n"
        yield _fenced(leg.after) + "\n"
        return
    first, second = ("sent", "arrived") if leg.step.kind == "handoff" else ("received", "gave")
    yield f"{first}:\n"
    yield _fenced(leg.before)
    yield f"\n{second}:\n"
    yield _fenced(leg.after) + "\n"


def _section(title: str, rows: Iterable[str], *, level: int = 2, is_ours: bool = False) -> Iterator[str]:
    found = tuple(rows)
    if found:
        yield f"\n{'#' * level} {title}\n"
        yield from (f"- {row}" for row in found) if is_ours else _items(found)


def _items(rows: Iterable[str]) -> Iterator[str]:
    return (f"- {_plain(row)}" for row in rows)


def _fenced(shown: Excerpt) -> str:
    longest = max((len(run) for run in re.findall(r"`+", shown.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown.text}\n{fence}"


def _plain(text: str) -> str:
    """Return a text whose signs mean nothing in Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", one_line(text, 800))


def _code(text: str) -> str:
    return one_line(text, 80).replace("`", "'")
