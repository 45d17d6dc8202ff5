"""Pieces of context that can be taken away: what came into a run, and its parts, down to sentences.

What came in is the request, the answers of tools and retrievers, what memories gave, and what models said of
themselves. Everything else is made of these by the app, and changes with them when the run is replayed.

A piece is taken away, where what it stands in can be without it (a key of a dict, an item of a list, a sentence of a
text); where it cannot (a field of an object, a whole answer) it is blanked: an empty text, zero, nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from becausal.answers.comparison.pair import Side
from becausal.canonical import Record
from becausal.canonical.belief import BOOKKEEPING
from becausal.graph import Graph
from becausal.harmless import legible
from becausal.payload import text_of
from becausal.replay.edit import Edit, Place, edit
from becausal.step import Step

__all__ = ["Piece", "PieceKind", "edits_of", "sources"]

PieceKind = Literal["request", "answer", "memory", "statement", "message", "field", "item", "sentence"]
"""`answer`: of a tool or a retriever; `memory`: what a memory gave; `statement`: of a model. The rest are parts."""

_WHOLE: Mapping[str, PieceKind] = {"tool": "answer", "memory_read": "memory", "model": "statement"}

_NOT_SAID = BOOKKEEPING | {
    "type",
    "role",
    "name",
    "source",
    "finish_reason",
    "additional_kwargs",
    "invalid_tool_calls",
}
"""Fields of messages that say who and how, not what."""

_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*(?:[.!?]+|\n|$)\s*")

MOST_PARTS = 400
"""A piece with more parts is not taken apart."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what a step received or produced."""

    step: Step
    side: Side
    path: tuple[str | int, ...] = ()
    """Keys, fields and positions from the outside in; () is the whole."""
    span: tuple[int, int] | None = None
    """Of a text: from where to where."""
    kind: PieceKind = "field"
    value: object = field(default=None, compare=False, repr=False)
    """What is there, as plain data."""
    can_go: bool = field(default=False, compare=False, repr=False)
    """Whether it can be taken away; else it is blanked."""

    @property
    def text(self) -> str:
        """What is there, for people."""
        return text_of(self.value).strip()

    def parts(self) -> tuple[Piece, ...]:
        """Return the pieces that it is made of; empty where it has no parts of its own."""
        made = tuple(self._parts())
        return made if 1 < len(made) <= MOST_PARTS else made[0].parts() if len(made) == 1 else ()

    def __hash__(self) -> int:
        return hash((self.step.id, self.side, self.path, self.span))

    @legible
    def __str__(self) -> str:
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path)
        agent = f" of {self.step.agent}" if self.step.agent and self.step.agent != self.step.name else ""
        said = " ".join(self.text.split())
        shown = said[:100] + ("…" if len(said) > 100 else "")
        return f"{self.kind} {self.step.name}{where}{agent}: {shown!r}"

    def _parts(self) -> Iterator[Piece]:
        value = self.value
        if isinstance(value, Mapping):
            is_object = isinstance(value, Record)
            for key, item in value.items():
                if isinstance(key, str) and not _is_mute(key, item, is_object="content" in value):
                    yield self._part(key, item, "field", can_go=not is_object)
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                kind: PieceKind = "message" if isinstance(item, Mapping) and "content" in item else "item"
                yield self._part(number, item, kind, can_go=True)
        elif isinstance(value, str) and self.span is None:
            for found in _SENTENCE.finditer(value):
                if found[0].strip():
                    yield Piece(self.step, self.side, self.path, found.span(), "sentence", found[0], True)

    def _part(self, key: str | int, value: object, kind: PieceKind, *, can_go: bool) -> Piece:
        return Piece(self.step, self.side, (*self.path, key), None, kind, value, can_go)


def sources(graph: Graph, entries: Iterable[Step]) -> list[Piece]:
    """Return what came into a run and could have reached its output, in the order in which it came.

    Args:
        graph: of the run.
        entries: the steps with which the app was called.
    """
    output = graph.output_step
    cone = None if output is None else {output.id, *(step.id for step in graph.upstream(output))}
    pieces = [
        Piece(step, "received", kind="request", value=step.received.value())
        for step in entries
        if step.received is not None and step.received.is_kept
    ]
    for step in graph.nodes:
        kind = _WHOLE.get(step.kind)
        if kind is None or step.produced is None or not step.produced.is_kept or step.status != "ok":
            continue
        if cone is None or step.id in cone or _follows_no_edge(graph, step):
            pieces.append(Piece(step, "produced", kind=kind, value=step.produced.value()))
    return pieces


def edits_of(
    pieces: Sequence[Piece], corrections: Mapping[Piece, object], blanked: Collection[Piece] = ()
) -> list[Edit]:
    """Return the edits that change these pieces, in an order in which none moves the place of another.

    Args:
        pieces: what is to be changed.
        corrections: what stands there then; what is not among them is taken away.
        blanked: what is blanked though it could be taken away.
    """
    return [_edit(piece, corrections, blanked) for piece in sorted(pieces, key=_from_the_end)]


# Inside


def _edit(piece: Piece, corrections: Mapping[Piece, object], blanked: Collection[Piece]) -> Edit:
    place: Place = edit(piece.step.id)
    place = (place.received if piece.side == "received" else place.produced).field(*piece.path)
    if piece in corrections:
        return place.to(corrections[piece])
    if piece in blanked:
        return place.by(_blank)
    if piece.span is not None:
        start, end = piece.span
        return place.by(lambda text: text[:start] + text[end:])
    return place.removed() if piece.can_go and piece.path else place.by(_blank)


def _blank(value: object) -> object:
    match value:
        case bool():
            return False
        case str() | bytes() | int() | float() | list() | tuple() | dict() | set() | frozenset():
            return type(value)()
    content = getattr(value, "content", None)
    if isinstance(content, str | list):  # a message stays one, and says nothing
        copied = getattr(value, "model_copy", None)
        if copied is not None:
            return copied(update={"content": type(content)()})
    return None


def _from_the_end(piece: Piece) -> tuple[object, ...]:
    """Sort what stands further back before what stands further on in the same list or text."""
    path = tuple((0, -key, "") if isinstance(key, int) else (1, 0, key) for key in piece.path)
    # Parts before the whole that they stand in.
    return piece.step.seq, piece.step.id, piece.side, (*path, (2, 0, "")), -(piece.span or (0, 0))[0]


def _is_mute(key: str, value: object, *, is_object: bool) -> bool:
    """Say whether a field says nothing of its own."""
    return value in (None, "", [], {}) or (is_object and key in _NOT_SAID)


def _follows_no_edge(graph: Graph, step: Step) -> bool:
    """Say whether nobody is known to have used a step: then it cannot be ruled out that somebody did."""
    return not graph.out_edges(step)
