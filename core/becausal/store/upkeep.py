"""What keeps a store within bounds: runs are forgotten, bodies that nothing refers to swept out, contents erased.

Not every store can (a cassette never changes). One that can has a method `upkeep`. Which runs go is decided in
`becausal.store.retention`, for every store alike; here is what a store does about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from becausal import semconv
from becausal.clock import is_aside
from becausal.errors import StoreError

__all__ = [
    "MARKS",
    "SAYS_WRONG",
    "SWEPT",
    "ChainAge",
    "Erased",
    "Erasure",
    "Mark",
    "NotReleasedError",
    "Progress",
    "Tended",
    "Unread",
    "Upkeep",
    "silent",
    "upkeep_of",
]

Mark = Literal["pinned", "found"]
"""`pinned`: kept until it is unpinned. `found`: whoever judged the run found something wrong with it."""

MARKS: tuple[Mark, ...] = ("pinned", "found")

SAYS_WRONG = (semconv.CHECKS, semconv.CONTRACT_BREACHES, semconv.MUTATED)
"""Attributes of steps that are there when something was recorded as wrong."""

SWEPT = "part swept while in use"
"""The gap of a part that a process had handed out before it was swept, and then referred to once more."""

MOST_STEPS = 5
"""Steps that are named of one run."""

Progress = Callable[[str, int, int], object]
"""Told what is being done, how much of it is done, and how much there is in all."""


@dataclass(frozen=True, slots=True)
class ChainAge:
    """A chain, as far as its keeping depends on it."""

    chain_id: str
    touched_ns: int
    """When anything of it last began or ended, nanoseconds since the epoch."""
    steps: int
    is_open: bool
    """Whether any of its steps has no end, or a parent that is not there: steps are written when they end, and the
    root ends last. A process that was killed leaves such runs too."""
    is_troubled: bool
    """Whether something in it is recorded as wrong: a step that failed, a check or a contract that was not met, a
    handed-over value that was changed, or the mark `found`. Findings that nobody asked for yet are not known."""
    is_pinned: bool
    sources: tuple[str, ...] = ()
    """Of a chain that is troubled or pinned, and of its sources in turn: the other chains that a step of it names as
    its cause, or that wrote what it read from a memory."""
    replay_of: str | None = None
    """Of a replay, the run that was run again."""

    @property
    def is_listed(self) -> bool:
        """Whether it is a run of the app's: no replay, and not what memories did outside of every run."""
        return not is_aside(self.chain_id)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased; of several things, all of them."""

    texts: tuple[str, ...] = ()
    """Texts, wherever they stand: in contents, names, attributes, errors, logs. See `becausal.store.wording`."""
    whole: bool = False
    """Erase every content that holds one of the texts as a whole, not the text alone."""
    memory: tuple[str, str] | None = None
    """A memory's name and a key: every content that the key ever had, and the key itself."""
    chain_id: str | None = None
    """Every content of a run, what was asked (the names of its requests), and of what it wrote to memories the reasons
    and those keys that it alone has used; its steps stay, and the names of agents and tools."""
    reason: str = ""
    """Why, such as a ticket's number; it is kept, so it names nobody."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something of a run, or of a memory's key, that cannot be read."""

    what: str
    """In words: a content, attributes, a name."""
    chain_id: str | None = None
    step_ids: tuple[str, ...] = ()
    memory: tuple[str, str] | None = None
    """Its name and the key."""

    def __str__(self) -> str:
        if self.memory is not None:
            return f"memory {self.memory[0]}, key {self.memory[1]}: {self.what}"
        steps = ", ".join(self.step_ids[:MOST_STEPS]) + (", …" if len(self.step_ids) > MOST_STEPS else "")
        return f"run {self.chain_id}{f', step {steps}' if steps else ''}: {self.what}"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, or would be."""

    places: Mapping[str, int] = field(default_factory=dict)
    """How many places of each sort hold it: `contents`, `names`, `attributes`, `errors`, …"""
    chain_ids: tuple[str, ...] = ()
    """The runs that hold it, as they are called afterwards."""
    at_ns: int = 0
    reason: str = ""
    unread: tuple[Unread, ...] = ()
    """What is damaged, so that nobody knows whether it holds it; it is still there."""

    @property
    def total(self) -> int:
        """How many places."""
        return sum(self.places.values())


class NotReleasedError(StoreError):
    """What was to be erased is, but the space that held it could not be given back."""

    def __init__(self, erased: Erased, why: StoreError) -> None:
        super().__init__(
            "it is erased, but what was deleted may still stand in what the store has of free space; erase it again, "
            f"or run `becausal prune --compact`, once this is mended: {why}"
        )
        self.erased = erased
        """What is."""


class Upkeep(Protocol):
    """Keeps one store within bounds. Every method may be called from any thread, and raises `StoreError`."""

    @property
    def generation(self) -> int:
        """How often something was deleted by now, as far as the last write saw it. Once it has changed, parts of
        payloads that were handed out before have to be handed out again."""

    def size(self) -> int:
        """Return how many bytes the store takes, without what it holds free for later."""

    def least(self) -> int:
        """Return about how many bytes the store takes without any run; what memories hold is in it."""

    def damages(
        self,
        seconds: float,
        *,
        pages_alone: bool = False,
        whole_for_ns: int = 0,
        told: Progress | None = None,
    ) -> list[str]:
        """Return what is damaged in the store as a whole, in words; after so many seconds the rest is left out.

        Args:
            seconds: so long at most.
            pages_alone: look at what the store itself is made of, and read none of the texts in it.
            whole_for_ns: return nothing where it was found whole so many nanoseconds ago, or less, by somebody who
                named this too; and remember it where it is found whole now.
            told: told how long it takes; what it raises puts an end to it.
        """

    def ages(self) -> list[ChainAge]:
        """Return all chains, those that were touched longest ago first."""

    def mark(self, chain_id: str, mark: Mark, *, remove: bool = False) -> None:
        """Give a chain a mark, or take it away. Doing so twice is harmless."""

    def forget(self, chain_ids: Sequence[str]) -> int:
        """Delete chains: their steps, causes, anchors, marks and readings of memories; returns how many steps.

        The events of memories stay, as does every body: see `sweep`. Done in small transactions, so that nobody who
        writes waits for long; a chain is either there or gone.
        """

    def sweep(self, told: Progress | None = None) -> int:
        """Delete every body that no step and no event of a memory refers to any more; returns how many.

        Done by mark and sweep, in small transactions. Whoever has written to the store learns of it at his next
        write (in whatever process), and remembers none of the bodies that he handed out before.
        """

    def release(self, *, whole: bool = False) -> None:
        """Give space that is free back to the disk.

        Args:
            whole: rewrite the store, so that nothing of what was deleted is left in it anywhere; others who write
                wait meanwhile. Otherwise a little at a time, as far as the store can do that.
        """

    def take_turn(self, every_ns: int) -> bool:
        """Return whether it is this caller's turn to prune: True to one of all processes, once in so long."""

    def erase(self, what: Erasure, *, dry_run: bool = False, told: Progress | None = None) -> Erased:
        """Erase contents for good, in every place where they stand, and in what the disk still holds of them.

        Each content that held it becomes another one, with a digest of its own: the former digest, from which a
        content can be guessed, is nowhere left. Steps that shared a content share what becomes of it. The logs of
        memories verify as before. A content or a text that is damaged keeps nothing else from being erased, and is told
        (`Erased.unread`); a run, or a key, that is erased as a whole loses it, too. A file whose pages are damaged is
        refused, and not changed: not all of it would be found, and what is whole could be destroyed.

        Args:
            dry_run: only count.
            told: told how far it is.

        Raises:
            NotReleasedError: it is erased, but what was deleted may still stand in what the disk has of it.
            StoreError: nothing was erased.
        """

    def erasures(self) -> list[Erased]:
        """Return what was ever erased, oldest first: when, why and how much; never what."""


@runtime_checkable
class Tended(Protocol):
    """A store that can be kept within bounds."""

    def upkeep(self) -> Upkeep:
        """Return what does it."""


def upkeep_of(store: object) -> Upkeep | None:
    """Return what keeps a store within bounds; None of a store that cannot be."""
    return store.upkeep() if isinstance(store, Tended) else None


def silent(doing: str, done: int, total: int) -> None:
    """Be told of some progress, and say nothing of it."""
