"""What blame says of a piece of an output."""

from __future__ import annotations

from dataclasses import dataclass, field

from becausal.blame.changes import Rewording, shortly
from becausal.blame.origins import Source
from becausal.counted import counted
from becausal.decision import Decision
from becausal.harmless import legible
from becausal.step import Grade, Step

__all__ = ["Blame", "Derived", "Segment", "unknown"]


@dataclass(frozen=True)
class Derived:
    """How a figure was reckoned that stands in nothing that was given."""

    how: str
    """`sum`, `difference`, `product`, `quotient`, `share`, `growth`, `mean`, `rounded`, `scaled`, `count`, `date`."""
    operands: list[Segment]
    """What it was reckoned from, each with where it came in; the first ones of many."""
    is_sure: bool
    """False where other figures that were given make it as well, or chance may."""

    @legible
    def __repr__(self) -> str:
        few = ", ".join(operand.text for operand in self.operands)
        return f"<Derived {self.how} of {shortly.repr(few)}>"


@dataclass(frozen=True)
class Segment:
    """One piece of an output."""

    text: str
    """As it stands in the output; where it stands nowhere in it, as it was asked for."""
    origin: Step | None
    """The step that brought it in; None where the text does not stand in the output."""
    source: Source
    path: list[Step]
    """From the origin to the step that was asked about, cause first; empty where the origin is not known."""
    grade: Grade
    """`observed`: the same text all the way, along recorded edges. `matched`: the same content in another
    wording, or along an edge found by content. `inferred`: through something that was not recorded."""
    decisions: list[Decision]
    """What the steps on the path decided, cause first."""
    asked_by: list[Decision]
    """The decisions that the origin carried out: of a tool, the model's to call it."""
    candidates: list[Step]
    """Others that may as well have brought it in: they produced the same, and nothing says whose was used."""
    in_transit: bool = False
    """Whether it came in between what was sent and what was received: nobody that we saw produced it."""
    at: str = "$"
    """Where it stands in the output: `$.report.total`; of a text in an output that is no data, `$`."""
    part_of: str | None = None
    """The piece that it is a part of, if that as a whole came in elsewhere."""
    changes: list[Rewording] = field(default_factory=list)
    """What changed on the way, in order: first, if its origin put it in the place of something else, that (`changed`);
    then its form."""
    goes_on: bool = False
    """Whether its way goes on before what is loaded of the run (`Run.part`): who brought it in is not known, and
    `origin` is only the first step that is loaded on its way."""
    derived: Derived | None = None
    """How the origin reckoned it, and from what; None where it did not, or nothing shows it."""
    asked: str | None = None
    """How it was asked for, where the output has it in other words: `48,000` of a `text` of 48000."""

    @legible
    def __repr__(self) -> str:
        said = shortly.repr(self.text)
        if self.origin is None:
            return f"<Segment {said} from nowhere>"
        return f"<Segment {said} from the {self.source}: {self.origin.kind} {self.origin.name}, {self.grade}>"


@dataclass(frozen=True)
class Blame:
    """An output, piece by piece."""

    of: Step | None
    """The step whose payload was asked about; None where the run has no output."""
    segments: list[Segment]
    """In the order of the output; what came in elsewhere within a piece follows it."""

    @legible
    def __repr__(self) -> str:
        of = "no output" if self.of is None else f"{self.of.kind} {self.of.name}"
        return f"<Blame of {of}: {counted(len(self.segments), 'segment')}>"


def unknown(text: str) -> Segment:
    """Return the segment of a text that stands nowhere."""
    return Segment(text, None, "unknown", [], "inferred", [], [], [])
