"""Which chains depend on which others: what is kept long keeps what it follows from, and a replay goes with its run.

A chain depends on another by the causes of its steps and by what it read from a memory. How the tables are asked is
each store's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from becausal import semconv
from becausal.clock import is_replay
from becausal.step import Attribute

__all__ = ["Asking", "replayed_by", "sources_of"]

Ask = Callable[[Sequence[Any]], Iterable[tuple[Any, ...]]]


class Asking(Protocol):
    """Asks a store's tables."""

    def far(self, chain_ids: Sequence[str]) -> Iterable[tuple[Any, ...]]:
        """Return the causes of chains that are no step of theirs: the cause's step, and the chain that names it."""

    def owners(self, step_ids: Sequence[int]) -> Iterable[tuple[Any, ...]]:
        """Return which chains have steps: the step, and the chain."""

    def read(self, chain_ids: Sequence[str]) -> Iterable[tuple[Any, ...]]:
        """Return what chains have read that others wrote: the chain that read, and the one that wrote."""

    def first(self, chain_ids: Sequence[str]) -> Iterable[tuple[str, str | None]]:
        """Return what is said of the steps of chains that were called by none: the chain, and the attributes."""


def sources_of(chain_ids: Sequence[str], asking: Asking) -> dict[str, set[str]]:
    """Return which other chains these depend on, and what those depend on in turn."""
    found: dict[str, set[str]] = {}
    while chain_ids:
        new = _next(chain_ids, asking)
        found |= {chain_id: new.get(chain_id, set()) for chain_id in chain_ids}
        chain_ids = sorted({one for ones in new.values() for one in ones}.difference(found))
    return found


def replayed_by(
    chain_ids: Iterable[str], asking: Asking, reading: Callable[[str | None], Mapping[str, Attribute]]
) -> dict[str, str]:
    """Return of those of some chains that are replays which runs they ran again.

    Args:
        reading: gives attributes as they were written.
    """
    replays = [chain_id for chain_id in chain_ids if is_replay(chain_id)]
    found: dict[str, str] = {}
    for chain_id, attributes in asking.first(replays) if replays else ():
        with contextlib.suppress(ValueError, AttributeError):  # damaged: whoever asks for the step is told
            of = reading(attributes).get(semconv.REPLAY_OF)
            if isinstance(of, str):
                found[chain_id] = of
    return found


def _next(chain_ids: Sequence[str], asking: Asking) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    far = list(asking.far(chain_ids))
    owners: dict[int, set[str]] = {}
    if far:
        for step_id, chain_id in asking.owners(sorted({step_id for step_id, _ in far})):
            owners.setdefault(step_id, set()).add(chain_id)
    for step_id, chain_id in far:
        found.setdefault(chain_id, set()).update(owners.get(step_id, set()) - {chain_id})
    for chain_id, writer in asking.read(chain_ids):
        found.setdefault(chain_id, set()).add(writer)
    return found
