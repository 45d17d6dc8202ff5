"""What a store may know about more than one chain: which were under way at once, which hold the same content, which
go on from another.

Not every store does (a cassette holds one chain). One that does has a method `links`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from becausal.errors import StoreFormatError
from becausal.step import EdgeKind, StepKind

__all__ = ["Begun", "Holding", "Linked", "Links", "Taken", "links_of", "passing_damage"]

log: logging.Logger = logging.getLogger("becausal")


@dataclass(frozen=True, slots=True)
class Begun:
    """A chain, as far as it is known without loading it."""

    chain_id: str
    kind: StepKind
    """Of its first step that nobody called."""
    started_ns: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A step that received or produced a payload."""

    chain_id: str
    step_id: str
    side: Literal["received", "produced"]
    digest: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A step whose cause stands in another chain: a conversation that goes on, a result that was carried over."""

    chain_id: str
    step_id: str
    source_id: str
    kind: EdgeKind


class Links(Protocol):
    """Answers about all chains of a store, each by an index."""

    def begun(self, since_ns: int, until_ns: int, *, limit: int) -> list[Begun]:
        """Return the chains that began in a stretch of time, earliest first."""

    def under_way(self, at_ns: int, *, limit: int) -> list[Begun]:
        """Return the chains that had begun at a moment and whose first step had not ended, latest first."""

    def holding(self, digests: Iterable[str], *, limit: int) -> list[Holding]:
        """Return the steps that received or produced payloads with these digests, in the order of their chains."""

    def taken_from(self, step_ids: Iterable[str]) -> list[Taken]:
        """Return the steps that name one of these as their cause and stand in another chain."""


@runtime_checkable
class Linked(Protocol):
    """A store that knows about more than one chain."""

    def links(self) -> Links:
        """Return what answers about its chains."""


@contextmanager
def passing_damage(what: str) -> Iterator[None]:
    """Do without what is damaged where a run is asked about that is not, and say so.

    Args:
        what: is left out then.
    """
    try:
        yield
    except StoreFormatError as failure:
        with suppress(Exception):  # a filter of the app's may fail
            log.warning(
                "becausal: %s cannot be read and is left out: %s", what, str(failure).partition(". ")[0]
            )


def links_of(store: object) -> Links | None:
    """Return what answers about a store's chains; None of a store that cannot."""
    return store.links() if isinstance(store, Linked) else None
