"""Blame: where a piece of an output came in, and the way that it took. Like `git blame`, for what agents say.

A text came in where somebody first produced it without having received it. The innermost step counts: the
tool inside an agent, not the agent around it. A handoff brings nothing in, unless what was received holds
what was not sent. The way is followed through the payloads that hold the text (`becausal.blame.flow`); no model
is asked.

A sentence that a model worded may well hold a figure that a tool gave, or a quotation of it; so these are blamed by
themselves too. A field of data is blamed with its key: of two equal figures the one of that name is meant. A figure
that nobody gave is the model's; where it can be reckoned from what the model was given, that is told
(`Segment.derived`), each operand with its own way.
"""

from __future__ import annotations

from itertools import groupby

from becausal.blame.asking import Asking
from becausal.blame.changes import Rewording
from becausal.blame.origins import Source
from becausal.blame.pieces import cut
from becausal.blame.segment import Blame, Derived, Segment, unknown
from becausal.facts import remembering
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["Blame", "Derived", "Rewording", "Segment", "Source", "beginning", "blame"]


def blame(graph: Graph, text: str | None = None, *, of: Step | Handoff | str | None = None) -> Blame:
    """Return where each piece of an output came in.

    Args:
        text: the piece to ask about, in whichever wording; None for all: sentences and lines of texts, leaves of data.
        of: the step whose produced payload is asked about (else the received one); None for the run's output.

    Raises:
        StepNotFoundError: there is no such step.
    """
    step = graph.step(of) if of is not None else graph.output_step
    if step is None:
        return Blame(None, [] if text is None else [unknown(text)])
    if text is not None:
        return Blame(step, list(Asking(graph, step).about_text(text)))
    return Blame(step, _pieces(graph, step, None))


def beginning(graph: Graph, most: int, *, of: Step | Handoff | str | None = None) -> Blame:
    """Return the first pieces of an output with where each came in; the others are not asked about.

    Args:
        graph: the run's.
        most: of so many the origin is known, and perhaps of some more that stand in the same place.
        of: see `blame`.

    Raises:
        StepNotFoundError: there is no such step.
    """
    step = graph.step(of) if of is not None else graph.output_step
    return Blame(step, [] if step is None else _pieces(graph, step, most))


def _pieces(graph: Graph, step: Step, most: int | None) -> list[Segment]:
    payload = step.produced or step.received
    if payload is None or not payload.is_kept:
        return []
    asking, found, known = Asking(graph, step), dict[tuple[str, str], Segment](), 0
    with remembering(graph.kept):
        # What is said twice in one place is told once.
        for _, pieces in groupby(cut(graph.values.of(payload)), key=lambda piece: piece.at):
            if most is not None and known >= most:
                break
            there = {
                (segment.text, segment.at): segment for piece in pieces for segment in asking.about(piece)
            }
            known += sum(segment.origin is not None for segment in there.values())
            found |= there
    return list(found.values())
