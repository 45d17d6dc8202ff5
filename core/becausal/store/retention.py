"""Which runs a store keeps, and letting the others go.

The oldest go first, by when anything of them last happened. A run with something wrong in it counts as a quarter of its
age, and so do the runs that it depends on, through causes and memories: they are kept longest, and yet cannot fill the
store for good. What is wrong is what the record itself says (see `ChainAge.is_troubled`): findings are judged on loaded
runs, and to load all of them would cost more than to keep them.

Never let go: pinned runs and those that they depend on; runs that are under way. One that has an open step though
nothing happened in it for a day was left by a process that is gone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from becausal.bounds import Retention
from becausal.errors import StoreError
from becausal.store.upkeep import ChainAge, Progress, Upkeep, silent, upkeep_of

__all__ = ["LONGER", "Pruned", "prune"]

LONGER: Final = 4
"""How many times as long a run with something wrong in it is kept."""

UNDER_WAY_NS: Final = 86_400 * 10**9
"""For how long after its last sign of life a run with an open step counts as under way: a day."""

ROUNDS: Final = 12
"""How often at most runs are let go and the size is taken again; what runs share is only known by sweeping."""

AT_ONCE: Final = 200
"""Runs between two words on how far it is."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was let go, or would be."""

    chain_ids: tuple[str, ...]
    """Of a dry run for the sake of the size: as many as would be needed if all steps were of one size."""
    steps: int
    bodies: int
    """None are known before the sweep: 0 of a dry run."""
    bytes_before: int
    bytes_after: int
    """Of a dry run the same as before."""
    kept: int
    """Runs that are left."""
    kept_longer: int
    """Of these, how many are older than what was let go or asked for, since they are pinned, under way or something is
    wrong with them."""
    is_within: bool = True
    """Whether the store is now within the bounds; False where what may not go is too much by itself, or where
    `more_may_go`."""
    more_may_go: bool = False
    """Whether it is not, though there are runs left that may go: the size was not foreseen well enough."""


def prune(
    store: object,
    retention: Retention,
    *,
    spare_ns: int = 0,
    dry_run: bool = False,
    now_ns: int | None = None,
    told: Progress | None = None,
) -> Pruned:
    """Let go what is beyond a store's bounds, in small steps: whoever writes to it meanwhile hardly waits.

    Args:
        store: one that can be tended.
        retention: the bounds.
        spare_ns: leave alone what was touched so many nanoseconds ago, or less.
        dry_run: only say what would go.
        now_ns: nanoseconds since the epoch, now by default.
        told: told how far it is.

    Raises:
        StoreError: it is no store from which anything can be let go, or it fails; or the bound is less than the store
            takes without any run.
    """
    upkeep = upkeep_of(store)
    if upkeep is None:
        raise StoreError("nothing can be let go from this store: a cassette never changes")
    least, most = upkeep.least(), retention.max_bytes
    if most is not None and most < least:
        raise StoreError(
            f"nothing was let go: the store takes {least:,} bytes without any run, so that none could stay within "
            f"{most:,}; name a larger size"
        )
    now = time.time_ns() if now_ns is None else now_ns
    pruning = _Pruning(upkeep, retention, upkeep.ages(), now, spare_ns, told or silent)
    return pruning.foreseen() if dry_run else pruning.carried_out()


class _Pruning:
    def __init__(
        self,
        upkeep: Upkeep,
        retention: Retention,
        ages: Sequence[ChainAge],
        now: int,
        spare_ns: int,
        told: Progress,
    ) -> None:
        self._upkeep, self._retention, self._ages, self._told = upkeep, retention, ages, told
        self._before = upkeep.size()
        pinned = _with_sources(ages, (age.chain_id for age in ages if age.is_pinned))
        slow = _with_sources(ages, (age.chain_id for age in ages if age.is_troubled))
        # A clock that was set back leaves runs of the future: they are new.
        old = {age.chain_id: max(0, now - age.touched_ns) for age in ages}
        self._effective = {
            chain_id: each // (LONGER if chain_id in slow else 1) for chain_id, each in old.items()
        }
        may_go = [
            age
            for age in ages
            if age.chain_id not in pinned
            and old[age.chain_id] >= spare_ns
            and not (age.is_open and old[age.chain_id] < UNDER_WAY_NS)
        ]
        self._may_go = sorted(may_go, key=lambda age: -self._effective[age.chain_id])
        self._gone: list[ChainAge] = []
        self._steps = self._bodies = 0
        self._now = now

    def foreseen(self) -> Pruned:
        going = self._beyond()
        limit = self._retention.max_bytes
        if limit is not None and self._before > limit:
            going += self._share(going, 1 - limit / self._before)
        self._gone = going
        self._steps = sum(age.steps for age in going)
        return self._told_as(self._before, is_within=True)

    def carried_out(self) -> Pruned:
        self._let_go(self._beyond())
        self._bodies += self._upkeep.sweep(self._told)
        limit = self._retention.max_bytes
        size = self._upkeep.size()
        for _ in range(ROUNDS):
            if limit is None or size <= limit:
                break
            going = self._share(self._gone, 1 - limit / size)
            if not going:
                break
            self._let_go(going)
            self._bodies += self._upkeep.sweep(self._told)
            size = self._upkeep.size()
        self._upkeep.release()
        return self._told_as(size, is_within=limit is None or size <= limit)

    def _beyond(self) -> list[ChainAge]:
        """Return the runs that are too old, and those that are too many."""
        oldest, most = self._retention.max_age_ns, self._retention.keep_last
        going = [age for age in self._may_go if oldest is not None and self._effective[age.chain_id] > oldest]
        if most is not None:
            excess = len(self._ages) - most
            going = self._may_go[: max(len(going), excess, 0)]
        return going

    def _share(self, gone: Sequence[ChainAge], share: float) -> list[ChainAge]:
        """Return the next runs to go that have such a share of the steps that are left; one at least."""
        done = {age.chain_id for age in gone}
        left = sum(age.steps for age in self._ages if age.chain_id not in done)
        wanted, going = share * left, []
        for age in self._may_go:
            if age.chain_id in done:
                continue
            if wanted <= 0:
                break
            going.append(age)
            wanted -= age.steps
        return going

    def _let_go(self, going: Sequence[ChainAge]) -> None:
        for start in range(0, len(going), AT_ONCE):
            chunk = going[start : start + AT_ONCE]
            self._steps += self._upkeep.forget([age.chain_id for age in chunk])
            self._told("letting runs go", start + len(chunk), len(going))
        self._gone += going

    def _told_as(self, size: int, *, is_within: bool) -> Pruned:
        gone = {age.chain_id for age in self._gone}
        newest = max((age.touched_ns for age in self._gone), default=0)
        oldest = self._retention.max_age_ns
        if oldest is not None:
            newest = max(newest, self._now - oldest)
        longer = sum(age.chain_id not in gone and age.touched_ns < newest for age in self._ages)
        return Pruned(
            chain_ids=tuple(age.chain_id for age in self._gone),
            steps=self._steps,
            bodies=self._bodies,
            bytes_before=self._before,
            bytes_after=size,
            more_may_go=not is_within and any(age.chain_id not in gone for age in self._may_go),
            kept=len(self._ages) - len(gone),
            kept_longer=longer,
            is_within=is_within and self._is_few_enough(gone),
        )

    def _is_few_enough(self, gone: set[str]) -> bool:
        most = self._retention.keep_last
        return most is None or len(self._ages) - len(gone) <= most


def _with_sources(ages: Iterable[ChainAge], chosen: Iterable[str]) -> set[str]:
    """Return chains and those that they depend on, however far."""
    sources = {age.chain_id: age.sources for age in ages}
    found: set[str] = set()
    waiting = list(chosen)
    while waiting:
        chain_id = waiting.pop()
        if chain_id not in found:
            found.add(chain_id)
            waiting += sources.get(chain_id, ())
    return found
