"""Blame: where a piece of an output came in, and the way that it took. Like `git blame`, for what agents say.

A text came in where somebody first produced it without having received it. The innermost step counts: the
tool inside an agent, not the agent around it. A handoff brings nothing in, unless what was received holds
what was not sent. The way is followed through the payloads that hold the text (`becausal.blame.flow`); no model
is asked.

A sentence that a model worded may well hold a figure that a tool gave; so the figures, dates and
identifiers in a piece are blamed by themselves too, and shown where they came from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from becausal.blame.flow import Arrival, Flow, Side, Source
from becausal.decision import Decision
from becausal.graph import Graph
from becausal.graph.content import spoken
from becausal.graph.index import Found
from becausal.graph.wording import Wording, facts, pieces
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.step import Grade, Step

__all__ = ["Blame", "Segment", "Source", "blame"]


@dataclass(frozen=True)
class Segment:
    """One piece of an output."""

    text: str
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


@dataclass(frozen=True)
class Blame:
    """An output, piece by piece."""

    of: Step | None
    """The step whose payload was asked about; None where the run has no output."""
    segments: list[Segment]
    """In the order of the output."""


def blame(graph: Graph, text: str | None = None, *, of: Step | Handoff | str | None = None) -> Blame:
    """Return where each piece of an output came in.

    Args:
        text: the piece to ask about; None for all: sentences and lines of texts, leaves of data.
        of: the step whose produced payload is asked about (else the received one); None for the run's output.

    Raises:
        StepNotFoundError: there is no such step.
    """
    step = graph.step(of) if of is not None else graph.output_step
    if step is None:
        return Blame(None, [] if text is None else [_unknown(text)])
    if text is not None:
        return Blame(step, list(_Asking(graph, step).with_facts(text)))
    payload = step.produced or step.received
    if payload is None or not payload.is_kept:
        return Blame(step, [])
    asked = dict.fromkeys(piece for said in spoken(payload.value()) for piece in pieces(said))
    asking = _Asking(graph, step)
    segments = [segment for piece in asked for segment in asking.with_facts(piece)]
    return Blame(step, list({segment.text: segment for segment in segments}.values()))


class _Asking:
    """Asks about one step's texts. Those that stand in the same places are led back once."""

    def __init__(self, graph: Graph, step: Step) -> None:
        self._graph, self._step = graph, step
        self._flows: dict[Found, Flow] = {}
        self._arrivals: dict[tuple[Found, Side], Arrival] = {}

    def with_facts(self, text: str) -> Iterator[Segment]:
        """Yield the segment of a text, and those of the figures in it that came from elsewhere."""
        whole = self._segment(text)
        yield whole
        if whole.source in ("model", "agent"):
            for fact in facts(text):
                part = self._segment(fact)
                if part.origin is not None and (whole.origin is None or part.origin.id != whole.origin.id):
                    yield part

    def _segment(self, text: str) -> Segment:
        arrival = self._arrival(text)
        if arrival is None:
            return _unknown(text)
        decisions = [
            Decision(passed, choice)
            for passed in {passed.id: passed for passed in arrival.path}.values()
            for choice in passed.choices
        ]
        return Segment(
            text,
            arrival.origin,
            arrival.source,
            list(arrival.path),
            arrival.grade,
            decisions,
            _asked_by(self._graph, arrival.origin),
            list(arrival.candidates),
            arrival.in_transit,
        )

    def _arrival(self, text: str) -> Arrival | None:
        graph, step = self._graph, self._step
        sides: tuple[tuple[Side, Payload | None], ...] = (
            ("produced", step.produced),
            ("received", step.received),
        )
        for side, payload in sides:
            if payload is None or graph.contents.of(payload) is None:
                continue
            found = graph.index.find(Wording(text, graph.contents.texts(payload)))
            if found not in self._flows:
                self._flows[found] = Flow(graph, found)
            flow = self._flows[found]
            if flow.grade(payload) is None:
                continue
            if side == "received" and step.produced is not None and _is_output(graph, step):
                break  # what an output does not say is not in it, even if the request said it
            if (found, side) not in self._arrivals:
                self._arrivals[found, side] = flow.arrival(step, side)
            return self._arrivals[found, side]
        return None


def _asked_by(graph: Graph, origin: Step) -> list[Decision]:
    """Return the decisions behind a tool's call: those of the model that a recorded edge names."""
    callers = [
        edge.source for edge in graph.in_edges(origin) if edge.kind == "data" and origin.kind == "tool"
    ]
    return [
        Decision(caller, choice)
        for caller in {caller.id: caller for caller in callers if caller.kind == "model"}.values()
        for choice in caller.choices
    ]


def _is_output(graph: Graph, step: Step) -> bool:
    return graph.output_step is not None and graph.output_step.id == step.id


def _unknown(text: str) -> Segment:
    return Segment(text, None, "unknown", [], "inferred", [], [], [])
