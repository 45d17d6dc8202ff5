"""Part of a long chain: a window of its steps, what encloses them, and what led to those that were asked about.

An agent that runs for a week makes a chain of a million steps, and a question is about few of them. So the window is
loaded, with the callers of its steps (else a step would look like the first one) and what the chain put out. Where an
answer needs what lies before, that is loaded by the ids that the record names, nearest first: callers, causes, and what
is within a cause, whose result it made.

What is not loaded is known by the chain's outline. So an answer can tell "nobody said it" from "somebody may have said
it before what is loaded", and says the latter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from becausal.errors import StepNotFoundError
from becausal.harmless import legible
from becausal.step import Step
from becausal.store import Store
from becausal.store.numbering import load
from becausal.store.outline import Outline

__all__ = ["MOST_REACHED", "USUAL", "Part", "Window"]

USUAL: Final = 10_000
"""Steps of a window whose size was not said."""
MOST_REACHED: Final = 20_000
"""So many steps are loaded beside a window for one question about what led to a step."""
MOST_BESIDE: Final = 256
"""A caller of more steps than this passes on what it has by causes that the record names, or nobody can tell."""
MOST_ENDS: Final = 8
"""So many of the steps that ended last may have made the chain's output."""
DEEPEST_END: Final = 6


@dataclass(frozen=True, slots=True)
class Window:
    """Which of a chain's steps are asked for; by default the last ones."""

    last: int | None = None
    """At most so many."""
    around: str | None = None
    """The id of a step, or its beginning: three quarters of the window lie before it."""
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def places(self, outline: Outline) -> Sequence[int]:
        """Return the places in a chain of the steps that are asked for.

        Raises:
            StepNotFoundError: the chain has no step to load around, or several; or none started within the times.
        """
        most, size = self.last or USUAL, len(outline)
        if self.around is not None:
            start = max(0, place_of(outline, self.around) - most * 3 // 4)
            return range(start, min(size, start + most))
        if self.since is None and self.until is None:
            return range(max(0, size - most), size)
        least, latest = _ns(self.since, -1), _ns(self.until, 1 << 63)
        found = [at for at, started in enumerate(outline.started_ns) if least <= started <= latest]
        if not found:
            raise StepNotFoundError(f"no step started then: {_times(outline.started_ns)}")
        return found if self.last is None else found[-self.last :]


def _times(started_ns: Sequence[int]) -> str:
    """Return when a run's steps started, in this machine's time."""
    if not started_ns:
        return "the run has none"
    first, last = (
        dt.datetime.fromtimestamp(at // 10**9).astimezone() for at in (min(started_ns), max(started_ns))
    )
    return f"this run's steps started from {first.isoformat()} to {last.isoformat()}"


def _ns(moment: dt.datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else int(moment.timestamp() * 1_000_000) * 1_000


def place_of(outline: Outline, step_id: str) -> int:
    """Return the place of a step by its id or the beginning of it.

    Raises:
        StepNotFoundError: no step, or several, answer to it.
    """
    try:
        found = outline.starting(step_id.lower()) if 0 < len(step_id) <= 16 else []
    except ValueError:
        found = []
    if len(found) == 1:
        return found[0]
    few = ", ".join(outline.named(found[:8]))
    raise StepNotFoundError(
        f"{step_id!r} is the beginning of {len(found)} steps: {few}; write more of it"
        if found
        else f"this run has no step whose id begins with {step_id!r}; it has {len(outline)}"
    )


class Part:
    """The steps of one chain that are loaded. It never changes: `reaching` gives a larger one."""

    def __init__(
        self, store: Store, chain_id: str, outline: Outline, window: Sequence[int], loaded: dict[str, Step]
    ) -> None:
        self.store, self.chain_id, self.outline, self.window = store, chain_id, outline, window
        self._loaded = loaded

    @classmethod
    def of(cls, store: Store, chain_id: str, window: Window) -> Part:
        """Load a window of a chain.

        Raises:
            StepNotFoundError: the chain has no step to load around, or several.
        """
        outline = store.outline(chain_id)
        part = cls(store, chain_id, outline, window.places(outline), {})
        part._load(outline.named(part.window))
        part._load_ends()
        part._load_callers()
        return part

    @property
    def steps(self) -> Iterable[Step]:
        """The steps that are loaded."""
        return self._loaded.values()

    @property
    def of_all(self) -> int:
        """How many steps the chain has."""
        return len(self.outline)

    @property
    def begins(self) -> str | None:
        """The id of the first step of the window; None of an empty one."""
        return self.outline.id(self.window[0]) if self.window else None

    @legible
    def __str__(self) -> str:
        here = f"{len(self._loaded):,} of {self.of_all:,} steps are loaded"
        return here if self.begins is None else f"{here}, from the step {self.begins} on"

    @property
    def leaves_any_out(self) -> bool:
        """Whether it is less than the whole chain."""
        return len(self._loaded) < self.of_all

    def leaves_out(self, step_id: str) -> bool:
        """Return whether a step is in the chain, and not loaded."""
        return step_id not in self._loaded and self.outline.place(step_id) is not None

    def has_beginning(self, step_id: str) -> bool:
        """Return whether a step of the chain has an id that begins so."""
        try:
            place_of(self.outline, step_id)
        except StepNotFoundError:
            return False
        return True

    def is_cut(self, step: Step) -> bool:
        """Return whether something that the record names as a step's cause is not loaded."""
        return any(self.leaves_out(cause.source_id) for cause in step.causes)

    def has_all_before(self, step: Step) -> bool:
        """Return whether all is loaded that began before a step."""
        first = self._first_left_out
        return first is None or step.seq < first

    @cached_property
    def torn(self) -> frozenset[str]:
        """The ids of the steps within which something is not loaded."""
        called: dict[str, int] = {}
        for step in self.steps:
            if step.parent_id is not None:
                called[step.parent_id] = called.get(step.parent_id, 0) + 1
        torn: set[str] = set()
        for step in self.steps:
            at = self.outline.place(step.id)
            if at is not None and self.outline.count_children(at) > called.get(step.id, 0):
                outer: Step | None = step
                while outer is not None and outer.id not in torn:
                    torn.add(outer.id)
                    outer = self._loaded.get(outer.parent_id or "")
        return frozenset(torn)

    @cached_property
    def _first_left_out(self) -> int | None:
        places = range(self.of_all)
        return next((self.outline.seqs[at] for at in places if self.outline.id(at) not in self._loaded), None)

    def reaching(self, step_id: str) -> Part:
        """Return this part with what the record says led to a step, the nearest `MOST_REACHED` steps of it.

        Raises:
            StepNotFoundError: the chain has no such step, or several.
        """
        wider = Part(self.store, self.chain_id, self.outline, self.window, dict(self._loaded))
        wider._reach(self.outline.id(place_of(self.outline, step_id)))
        return wider

    # Loading

    def _load(self, ids: Iterable[str]) -> None:
        missing = [name for name in dict.fromkeys(ids) if name not in self._loaded]
        if missing:
            self._loaded.update((step.id, step) for step in load(self.store, self.chain_id, missing))

    def _load_callers(self) -> None:
        outer = {step.parent_id for step in self.steps if step.parent_id is not None}
        while outer := {name for name in outer if name not in self._loaded}:
            self._load(outer)
            found = (self._loaded.get(name) for name in outer)
            outer = {step.parent_id for step in found if step is not None and step.parent_id is not None}

    def _load_ends(self) -> None:
        """Load what may be the chain's output: its last roots, and where they put out nothing, what ended in them."""
        outline = self.outline
        places = [at for at, parent in enumerate(outline.parents) if parent == 0]
        for _ in range(DEEPEST_END):
            places = sorted(places, key=lambda at: (outline.ended_ns[at], at))[-MOST_ENDS:]
            self._load(outline.named(places))
            silent = [at for at in places if (step := self._loaded.get(outline.id(at))) and not step.produced]
            places = [child for at in silent for child in outline.children(at)]

    def _reach(self, step_id: str) -> None:
        """Load what a step's end depends on: what is within it, its callers' starts, its causes' ends."""
        most = len(self._loaded) + MOST_REACHED
        started: set[str] = set()
        ended: set[str] = set()
        starts: list[str] = []
        ends = [step_id]
        while (starts or ends) and len(self._loaded) < most:
            ends = [name for name in dict.fromkeys(ends) if name not in ended]
            ended.update(ends)
            starts = [name for name in dict.fromkeys((*ends, *starts)) if name not in started]
            started.update(starts)
            self._load(starts[: most - len(self._loaded)])
            self._load_callers()
            within = [child for name in ends for child in self._within(name)]
            callers: list[str] = []
            causes: list[str] = []
            for step in filter(None, map(self._loaded.get, starts)):
                around = list(self._around(step))
                callers += around
                causes += [cause.source_id for cause in step.causes if cause.source_id not in around]
                causes += self._beside(step)
            starts, ends = callers, [*within, *causes]

    def _within(self, step_id: str) -> list[str]:
        at = self.outline.place(step_id)
        return [] if at is None else self.outline.named(self.outline.children(at))

    def _beside(self, step: Step) -> list[str]:
        """Return what a step's caller called before it, whose results it had in its hands; none where that is much."""
        at = None if step.parent_id is None else self.outline.place(step.parent_id)
        if at is None or self.outline.count_children(at) > MOST_BESIDE:
            return []
        return [
            self.outline.id(child)
            for child in self.outline.children(at)
            if self.outline.seqs[child] < step.seq
        ]

    def _around(self, step: Step) -> Iterable[str]:
        outer = self._loaded.get(step.parent_id or "")
        while outer is not None:
            yield outer.id
            outer = self._loaded.get(outer.parent_id or "")
