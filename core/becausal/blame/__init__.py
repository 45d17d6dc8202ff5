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

from becausal.blame.asking import Asking
from becausal.blame.changes import Rewording
from becausal.blame.origins import Source
from becausal.blame.pieces import cut
from becausal.blame.segment import Blame, Derived, Segment, unknown
from becausal.facts import remembering
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["Blame", "Derived", "Rewording", "Segment", "Source", "blame"]


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
    asking = Asking(graph, step)
    if text is not None:
        return Blame(step, list(asking.about_text(text)))
    payload = step.produced or step.received
    if payload is None or not payload.is_kept:
        return Blame(step, [])
    with remembering(graph.kept):
        found = [segment for piece in cut(payload.value()) for segment in asking.about(piece)]
    return Blame(step, list({(segment.text, segment.at): segment for segment in found}.values()))
