"""Where an output came in, and what led to it: for a terminal, coloured by the kind of source, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypedDict

from rich.console import Group, RenderableType
from rich.text import Text

from becausal import semconv
from becausal.answers.lineage import Lineage
from becausal.answers.writers import Writers, Written
from becausal.blame import Blame, Derived, Rewording, Segment, Source
from becausal.clock import is_outside
from becausal.step import Step
from becausal.views.clean import cut, styled
from becausal.views.json import (
    DecisionJson,
    EdgeJson,
    StepJson,
    decision_json,
    edge_json,
    step_json,
)
from becausal.views.layout import MANY, Way, ends_of, hanging
from becausal.views.text import GRADE_STYLE, called, decision_line, edges

__all__ = ["MOST_SOURCES", "BlameJson", "LineageJson", "json", "text", "why", "why_json"]

MOST_SOURCES: Final = 20
"""Of so many pieces `why` shows where they came in: of an output, and so of a blame, the first ones are enough."""
MOST_BEYOND: Final = 5
MOST_OPERANDS: Final = 6
MOST_WRITERS: Final = 5
WIDEST: Final = 200

_COLOUR: Final[dict[Source, str]] = {
    "user": "cyan", "tool": "green", "memory": "magenta", "model": "yellow", "agent": "blue", "unknown": "red",
}  # fmt: skip


NOBODY: Final[Writers] = {}

UNKNOWN_WRITER: Final = (
    "who wrote it is not in this store: no log of the memory has it. Ask where the run was recorded, or bring all of "
    "that store here: becausal export all carries the memories"
)

Nowhere = Literal["cut", "left out", "not kept", "not there", "no output"]
"""Why a text was not found: it may stand in the part that was cut off; the content was left out, as the run was beyond
its bound; it was not kept at all; it is not there; there is no output in which it could be."""

NO_OUTPUT: Final = (
    "This run has no output in which anything could stand. `becausal findings RUN` says what went wrong, "
    "`becausal why RUN` who may have caused it, and `becausal blame RUN --of STEP` where came in what a step said."
)


class ChangeJson(TypedDict):
    """A change of a piece's form on its way."""

    kind: str
    step: str
    before: str
    after: str


class DerivedJson(TypedDict):
    """How a figure was reckoned."""

    how: str
    is_sure: bool
    operands: list[SegmentJson]


class WriterJson(TypedDict):
    """Who wrote a version of a memory's key."""

    version: str
    agent: str | None
    run: str | None
    step: str | None


class SegmentJson(TypedDict):
    """A piece of an output."""

    text: str
    asked: str | None
    at: str
    part_of: str | None
    origin: StepJson | None
    source: str
    grade: str
    in_transit: bool
    goes_on: bool
    path: list[StepJson]
    decisions: list[DecisionJson]
    asked_by: list[DecisionJson]
    candidates: list[StepJson]
    changes: list[ChangeJson]
    derived: DerivedJson | None
    written_by: list[WriterJson] | None
    """Of what was read from a memory: who wrote it; empty where no log here says it."""
    nowhere: Nowhere | None


class BlameJson(TypedDict):
    """A blame."""

    of: str | None
    segments: list[SegmentJson]


class LineageJson(TypedDict):
    """A lineage; steps and edges nearest first."""

    of: str
    steps: list[StepJson]
    edges: list[EdgeJson]
    segments: list[SegmentJson]
    goes_on: list[str]


def json(blamed: Blame, writers: Writers = NOBODY) -> BlameJson:
    """Return a blame."""
    of = None if blamed.of is None else blamed.of.id
    return BlameJson(of=of, segments=_segments_json(blamed, writers))


def why_json(lineage: Lineage, blamed: Blame, writers: Writers = NOBODY) -> LineageJson:
    """Return a lineage, and where what it led to says came in."""
    return LineageJson(
        of=lineage.of.id,
        steps=[step_json(step) for step in lineage.steps],
        edges=[edge_json(edge) for edge in lineage.edges],
        segments=_segments_json(blamed, writers),
        goes_on=[step.id for step in lineage.goes_on],
    )


def why(lineage: Lineage, blamed: Blame, writers: Writers = NOBODY) -> RenderableType:
    """Return the edges of a lineage, causes first, and below them where what it led to says came in."""
    if not lineage.edges:
        return styled(f"Nothing led to {called(lineage.of)}: it has no cause in this record.")
    return Group(edges(lineage), *_beyond(lineage), *_sources(blamed, writers))


def _beyond(lineage: Lineage) -> Iterator[RenderableType]:
    """Yield where the way goes on in what is not loaded."""
    for step in lineage.goes_on[:MOST_BEYOND]:
        yield styled(
            f"the way goes on before {called(step)} {step.id}: load more with --around {step.id}", "yellow"
        )
    if len(lineage.goes_on) > MOST_BEYOND:
        yield styled(f"and before {len(lineage.goes_on) - MOST_BEYOND} steps more", "yellow")


def text(
    blamed: Blame, *, asked: str | None, full: bool = False, writers: Writers = NOBODY
) -> RenderableType:
    """Return each piece of an output with where it came in, coloured by the kind of source.

    With the way and the decisions if a piece was asked for.

    Args:
        blamed: what was found.
        asked: the piece that was asked for; None: all of the output was.
        full: whether ways are shown whole, however long.
        writers: who wrote what was read from memories.
    """
    if blamed.of is None:
        return Text(NO_OUTPUT)
    if not blamed.segments:
        return styled(f"The output of {called(blamed.of)} is empty, or its content was not kept.")
    lines: list[RenderableType] = []
    for number, segment in enumerate(blamed.segments):
        is_asked = asked is not None and number == 0
        lines += _lines(segment, blamed.of, writers, is_asked=is_asked, full=full)
    return Group(*lines)


def _sources(blamed: Blame, writers: Writers) -> Iterator[RenderableType]:
    known = [segment for segment in blamed.segments if segment.origin is not None]
    if known:
        yield styled("\nwhat it says, and where that came in", "italic")
    for segment in known[:MOST_SOURCES]:
        said = Text.assemble(
            styled(f'"{cut(segment.text, 60)}"  ', f"bold {_COLOUR[segment.source]}"),
            *_from(segment),
            styled(f"  {_made(segment)}", "dim"),
        )
        indent = 4 if segment.part_of is not None else 2
        yield hanging(said, indent)
        yield from (hanging(one, indent + 2) for one in _written(segment, writers))
    if len(known) > MOST_SOURCES:
        yield styled("  and more: becausal blame shows them, each with its way", "dim")


def _lines(
    segment: Segment, of: Step, writers: Writers, *, is_asked: bool, full: bool
) -> Iterator[RenderableType]:
    indent = 4 if segment.part_of is not None and not is_asked else 0
    place = f"  {segment.at}" if segment.at != "$" else ""
    if segment.asked is not None:
        place += f'  stands there for "{cut(segment.asked, WIDEST)}"'
    said = styled(f'"{cut(segment.text, WIDEST)}"', f"bold {_COLOUR[segment.source]}")
    yield hanging(Text.assemble(said, styled(place, "dim")), indent)
    if segment.origin is None:
        yield _nowhere(of)
        return
    yield hanging(Text.assemble(*_from(segment)), indent + 2)
    for note in (*_written(segment, writers), *_notes(segment, writers, full=full)):
        yield hanging(note, indent + 2)
    if not is_asked:
        yield hanging(Way(segment.path, whole=full, said=called), indent + 2)
        return
    first, left_out, last = ends_of(len(segment.path), MANY, whole=full)
    for number in first:
        yield from _step_of(segment, number)
    if left_out:
        yield styled(f"    …  {left_out:,} more steps of this way: --full shows them, --json has them", "dim")
    for number in last:
        yield from _step_of(segment, number)


def _step_of(segment: Segment, place: int) -> Iterator[RenderableType]:
    """Yield a step of the way, and below it what was decided there."""
    step = segment.path[place]
    yield styled(f"  {place + 1:3}  {called(step)}  {step.id[:8]}")
    for decision in segment.decisions:
        if decision.step.id == step.id and (place == 0 or step.id != segment.path[0].id):
            yield Text.assemble("       ", decision_line(decision), no_wrap=True, overflow="ellipsis")


def _why_nowhere(of: Step | None) -> Nowhere:
    if of is None:
        return "no output"
    payload = of.produced or of.received
    if payload is None:
        return "not there"
    if payload.cut_down:
        return "cut"
    if payload.is_kept:
        return "not there"
    return "left out" if semconv.LEFT_OUT in of.attributes else "not kept"


def _nowhere(of: Step) -> Text:
    payload = of.produced or of.received
    cut_down = "" if payload is None else payload.cut_down
    # Not cut at the edge of the terminal: it says what to do.
    said: dict[Nowhere, str] = {
        "cut": f"does not stand in what was kept of the output of {called(of)}; it may stand in the part that was not "
        f"({cut_down}). An app keeps more with a larger max_payload_bytes (BECAUSAL_MAX_PAYLOAD_BYTES)",
        "left out": f"cannot be looked for: the content of {called(of)} was left out, as the run was beyond its bound. "
        "An app keeps more with a larger max_run_bytes (BECAUSAL_MAX_RUN_BYTES)",
        "not kept": f"cannot be looked for: the content of {called(of)} was not kept. An app keeps it with "
        "BECAUSAL_CAPTURE=full, its default; spans sent to `becausal serve` carry it with "
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY",
        "not there": f"does not stand in the output of {called(of)}; `becausal blame RUN` without a text lists what "
        "does, `--of STEP` asks about another step",
    }
    return Text(f"  {said[_why_nowhere(of)]}", "yellow")


def _from(segment: Segment) -> Iterator[Text]:
    assert segment.origin is not None
    if segment.goes_on:
        yield styled("from before what is loaded, by way of: ", "yellow")
    elif segment.in_transit:
        yield styled("came in on the way, between sent and received: ", "bold red")
    else:
        yield Text(f"from the {segment.source}: ")
    yield styled(called(segment.origin), "bold")
    yield styled(f"  {segment.origin.id[:8]}  ", "dim")
    yield Text(segment.grade, style=GRADE_STYLE[segment.grade])


def _written(segment: Segment, writers: Writers) -> Iterator[Text]:
    """Yield who wrote what a segment was read from, and how to ask on there."""
    if segment.origin is None or (segment.origin.id, segment.text) not in writers:
        return
    known = writers[segment.origin.id, segment.text]
    for one in known[:MOST_WRITERS]:
        yield _whole(_writer(one, segment.text), "magenta")
    if len(known) > MOST_WRITERS:
        yield _whole(f"or one of {len(known) - MOST_WRITERS} more: --json names them", "magenta")
    if not known:
        yield _whole(UNKNOWN_WRITER, "yellow")


def _writer(one: Written, text: str) -> str:
    who = one.agent or "nobody named"
    if one.chain_id is None or one.step_id is None or is_outside(one.chain_id):
        return f"written by {who}, outside of every run ({one.version})"
    ask = f'becausal blame {one.chain_id[:12]} --of {one.step_id} "{cut(text, 60)}"'
    return f"written by {who} in run {one.chain_id[:12]} ({one.version}); ask: {ask}"


def _notes(segment: Segment, writers: Writers, *, full: bool) -> Iterator[Text | Way]:
    if segment.goes_on and segment.origin is not None:
        own = segment.origin.id
        yield _whole(f"the way goes on before the step {own}: load more with --around {own}", "yellow")
    if segment.derived is not None:
        yield _whole(_reckoned(segment.derived), "italic")
        for operand in segment.derived.operands[:MOST_OPERANDS]:
            if operand.origin is not None:
                said = f'  "{cut(operand.text, 60)}" {operand.at}  '
                yield Way(operand.path, before=said, whole=full, said=called)
                yield from _written(operand, writers)
    for change in segment.changes:
        before, after = cut(change.before, 80), cut(change.after, 80)
        yield _whole(f'{change.kind} by {called(change.step)}: "{before}" became "{after}"', "dim")
    for other in segment.candidates:
        yield _whole(f"or, as the record cannot tell, from {called(other)}  {other.id[:8]}", "yellow")
    for decision in segment.asked_by:
        yield Text.assemble(
            styled(f"as {called(decision.step)} decided: "),
            styled(cut(decision.conclusion, WIDEST), "italic"),
            styled(f"  {decision.step.id[:8]}", "dim"),
        )


def _whole(said: str, style: str) -> Text:
    """Return a text that goes on in a further line where the screen is narrow: its end says which step."""
    return Text.assemble(styled(said, style))


def _made(segment: Segment) -> str:
    """Return what a figure was made of, in short; empty where it was said as it was given."""
    changed = [change.before for change in segment.changes if change.kind == "changed"]
    if changed:
        return f"in the place of {', '.join(changed)}"
    return "" if segment.derived is None else _reckoned(segment.derived)


def _reckoned(derived: Derived) -> str:
    few = ", ".join(operand.text for operand in derived.operands[:MOST_OPERANDS])
    more = ", …" if len(derived.operands) > MOST_OPERANDS else ""
    sure = "" if derived.is_sure else "; other figures make it as well, or chance may"
    return f"reckoned: {derived.how} of {few}{more}{sure}"


def _segments_json(blamed: Blame, writers: Writers) -> list[SegmentJson]:
    return [_segment_json(segment, blamed.of, writers) for segment in blamed.segments]


def _segment_json(segment: Segment, of: Step | None, writers: Writers) -> SegmentJson:
    known = None if segment.origin is None else writers.get((segment.origin.id, segment.text))
    return SegmentJson(
        text=segment.text,
        asked=segment.asked,
        at=segment.at,
        part_of=segment.part_of,
        origin=None if segment.origin is None else step_json(segment.origin),
        source=segment.source,
        grade=segment.grade,
        in_transit=segment.in_transit,
        goes_on=segment.goes_on,
        path=[step_json(step) for step in segment.path],
        decisions=[decision_json(decision) for decision in segment.decisions],
        asked_by=[decision_json(decision) for decision in segment.asked_by],
        candidates=[step_json(step) for step in segment.candidates],
        changes=[_change_json(change) for change in segment.changes],
        derived=None if segment.derived is None else _derived_json(segment.derived, of, writers),
        written_by=None if known is None else list(map(_writer_json, known)),
        nowhere=None if segment.origin is not None else _why_nowhere(of),
    )


def _change_json(change: Rewording) -> ChangeJson:
    return ChangeJson(kind=change.kind, step=change.step.id, before=change.before, after=change.after)


def _writer_json(one: Written) -> WriterJson:
    return WriterJson(version=str(one.version), agent=one.agent, run=one.chain_id, step=one.step_id)


def _derived_json(derived: Derived, of: Step | None, writers: Writers) -> DerivedJson:
    operands = [_segment_json(operand, of, writers) for operand in derived.operands]
    return DerivedJson(how=derived.how, is_sure=derived.is_sure, operands=operands)
