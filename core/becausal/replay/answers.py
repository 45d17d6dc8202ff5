"""What a recorded run answered, found by what is asked and where, never by when.

A call of a replay is matched with a recorded step of its kind and name. The best match wins: at the same place, below
callers that received the same, and of exactly the same content; then of the same meaning (ids and times of messages
left aside); then at the same place below callers that received something else. Of several that match equally well the
one that was recorded first is taken. Each recorded step answers once.

A *place* is the chain of enclosing steps from the top, each by kind and name, and by its branch where several of a name
run side by side (the attribute `semconv.BRANCH`). What merely frames a run (an originating request, a handoff) is not
part of it.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from becausal import semconv
from becausal.answers.comparison.pair import steady
from becausal.payload import Payload
from becausal.step import Attribute, Step, StepKind

__all__ = ["ANSWERED", "NOWHERE", "Answers", "Coming", "Place", "place_below", "places_of"]

ANSWERED: frozenset[StepKind] = frozenset({"model", "tool", "memory_read"})
"""The kinds of step that are answered from the record; all others run again."""

FRAMES: frozenset[StepKind] = frozenset({"request", "handoff"})

Names = tuple[tuple[str, str, Attribute], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands."""

    names: Names = ()
    """(kind, name, branch) of each enclosing step, the outermost first."""
    contents: tuple[str, ...] = ()
    """The belief digest of what each of them received."""

    def __str__(self) -> str:
        return " / ".join(f"{kind} {name}" for kind, name, _ in self.names) or "the top"


NOWHERE = Place()


class Placed(Protocol):
    """A step, recorded or under way."""

    @property
    def kind(self) -> StepKind: ...
    @property
    def name(self) -> str: ...
    @property
    def received(self) -> Payload | None: ...
    @property
    def attributes(self) -> Mapping[str, Attribute]: ...


@dataclass(frozen=True, slots=True)
class Coming:
    """A step that is about to begin."""

    kind: StepKind
    name: str
    received: Payload | None
    attributes: Mapping[str, Attribute]


def place_below(above: Place, step: Placed) -> Place:
    """Return the place of what a step encloses."""
    if step.kind in FRAMES:
        return above
    received = "" if step.received is None else step.received.belief
    name = (step.kind, steady(step.name), step.attributes.get(semconv.BRANCH, ""))
    return Place((*above.names, name), (*above.contents, received))


def places_of(steps: Iterable[Step]) -> dict[str, Place]:
    """Return the place of each recorded step, by its id."""
    inside: dict[str | None, Place] = {}
    places: dict[str, Place] = {}
    for step in steps:  # parents come first: they began first
        places[step.id] = inside.get(step.parent_id, NOWHERE)
        inside[step.id] = place_below(places[step.id], step)
    return places


class Answers:
    """The recorded steps that can answer, each once. Safe to be asked by several threads."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._by_key: defaultdict[Hashable, deque[Step]] = defaultdict(deque)
        self._taken: set[str] = set()
        self._steps = tuple(steps)
        self._places = places_of(self._steps)
        self._lock = threading.Lock()
        for step in self._steps:
            for key in _keys(step, self._places[step.id]):
                self._by_key[key].append(step)

    def take(self, step: Placed, place: Place) -> Step | None:
        """Return the recorded step that a step at a place stands for; None where none is left that does.

        One that is answered from the record must ask the same; one that runs again may have received something else.
        """
        keys = _keys(step, place)
        with self._lock:
            for key in keys[:-1] if step.kind in ANSWERED else keys:
                waiting = self._by_key.get(key) or deque()
                while waiting and waiting[0].id in self._taken:  # by another key
                    waiting.popleft()
                if waiting:
                    self._taken.add(waiting[0].id)
                    return waiting.popleft()
        return None

    def take_where(self, step: Placed, place: Place, asks: Callable[[Step], bool]) -> Step | None:
        """Return the first recorded step left at a place of which `asks` is true; None where there is none."""
        with self._lock:
            for found in self._by_key.get(_keys(step, place)[-1], ()):
                if found.id not in self._taken and asks(found):
                    self._taken.add(found.id)
                    return found
        return None

    def has(self, step: Placed, place: Place) -> bool:
        """Return whether a recorded step is left that would answer one that asks here; it is not taken."""
        with self._lock:
            return any(
                waiting.id not in self._taken
                for key in _keys(step, place)[:-1]
                for waiting in self._by_key.get(key, ())
            )

    def nearest(self, step: Placed, place: Place) -> Step | None:
        """Return the recorded step that most likely stood in the place of one that asks something else.

        Among those of its kind and name: one that has not answered yet before others, then the one with which it shares
        most of its place, then the first.
        """
        alike = [
            found
            for found in self._steps
            if found.kind == step.kind and steady(found.name) == steady(step.name)
        ]
        return max(
            alike,
            key=lambda found: (
                found.id not in self._taken,
                _shared(self._places[found.id].names, place.names),
            ),
            default=None,
        )

    def place(self, step: Step) -> Place:
        """Return where a recorded step stands."""
        return self._places[step.id]

    @property
    def taken(self) -> frozenset[str]:
        """The ids of the recorded steps that have answered."""
        return frozenset(self._taken)


def _keys(step: Placed, place: Place) -> tuple[Hashable, ...]:
    """Return what a step can be found by, best first."""
    what = step.kind, steady(step.name)
    received = step.received
    digest, belief = ("", "") if received is None else (received.digest, received.belief)
    return (
        (what, place.names, place.contents, digest, "exact"),
        (what, place.names, place.contents, belief, "meant"),
        (what, place.names, digest, "exact"),
        (what, place.names, belief, "meant"),
        (what, place.names, "whatever"),
    )


def _shared(first: Names, second: Names) -> int:
    """Return of how many enclosing steps two places agree, from the inside; nearer is surer than further."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count
