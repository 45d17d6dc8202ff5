"""Which runs a store keeps, and letting the others go.

The oldest go first, by when anything of them last happened. A run with something wrong in it counts as a quarter of its
age, and so do the runs that it depends on, through causes and memories: they are kept longest, and yet cannot fill the
store for good. What is wrong is what the record itself says (see `ChainAge.is_troubled`): findings are judged on loaded
runs, and to load all of them would cost more than to keep them.

A number of runs is of those that `becausal runs` lists: after those that may not go, the newest stay as it lists them,
whatever is wrong with others. A replay goes with its run. What memories did outside of every run, and a replay whose
run is not here, go by their age, and where a number was named once they are older than the oldest run of that number.

Never let go: pinned runs and those that they depend on; runs that are under way. One that has an open step though
nothing happened in it for a day was left by a process that is gone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from becausal.bounds import Retention
from becausal.errors import StoreError, StoreFormatError
from becausal.store import Store, newest
from becausal.store.upkeep import ChainAge, Progress, Upkeep, silent, upkeep_of

__all__ = ["LONGER", "Pruned", "prune"]

LONGER: Final = 4
"""How many times as long a run with something wrong in it is kept."""

UNDER_WAY_NS: Final = 86_400 * 10**9
"""For how long after its last sign of life a run with an open step counts as under way: a day."""

ROUNDS: Final = 12
"""How often at most runs are let go and the size is taken again; what runs share is only known by sweeping."""

LOOKS_S: Final = 600.0
"""So long at most a store is looked over for damage before anything goes, where somebody waits for it."""

AT_ONCE: Final = 200
"""Runs between two words on how far it is."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was let go, or would be."""

    chain_ids: tuple[str, ...]
    """The runs, without what is in `aside`. Of a dry run for the sake of the size: as many as would be needed if all
    steps were of one size."""
    steps: int
    bodies: int
    """None are known before the sweep: 0 of a dry run."""
    bytes_before: int
    bytes_after: int
    """Of a dry run the same as before."""
    kept: int
    """Runs that are left, as `becausal runs` lists them."""
    kept_longer: int
    """Of these, how many are older than what was let go or asked for, since they are pinned, under way or something is
    wrong with them."""
    is_within: bool = True
    """Whether the store is now within the bounds; False where what may not go is too much by itself, or where
    `more_may_go`."""
    more_may_go: bool = False
    """Whether it is not, though there are runs left that may go: the size was not foreseen well enough."""
    damaged: tuple[str, ...] = ()
    """What could not be done for the store is damaged, in words."""
    least: int = 0
    """Where the bound of the size is less than the bytes that the store takes without any run: these. Then runs go by
    age and number alone."""
    aside: tuple[str, ...] = ()
    """What else was let go: replays, and what memories did outside of every run."""


def prune(
    store: Store,
    retention: Retention,
    *,
    spare_ns: int = 0,
    dry_run: bool = False,
    now_ns: int | None = None,
    told: Progress | None = None,
    looks_s: float = LOOKS_S,
    whole_for_ns: int = 0,
    sweeps_idle: bool = True,
) -> Pruned:
    """Let go what is beyond a store's bounds, in small steps: whoever writes to it meanwhile hardly waits.

    Args:
        store: one that can be tended.
        retention: the bounds.
        spare_ns: leave alone what was touched so many nanoseconds ago, or less.
        dry_run: only say what would go.
        now_ns: nanoseconds since the epoch, now by default.
        told: told how far it is.
        looks_s: for so long at most it is looked over for damage first.
        whole_for_ns: what was found whole so many nanoseconds ago, or less, is not looked over again.
        sweeps_idle: look for what nothing refers to though no run goes: a look at every content of the store.

    Raises:
        StoreFormatError: its pages are damaged.
        StoreError: it is no store from which anything can be let go, or it fails; or the only bound is a size that is
            less than the store takes without any run.
    """
    upkeep = upkeep_of(store)
    if upkeep is None:
        raise StoreError("nothing can be let go from this store: a cassette never changes")
    least = _beyond_size(upkeep, retention)
    try:
        flaws = upkeep.damages(looks_s, pages_alone=True, whole_for_ns=whole_for_ns, told=told)
    except StoreFormatError as failure:  # so damaged that it cannot be looked over
        flaws = [_flaw_of(failure)]
    # Where two tables share a page, what is deleted of one destroys the other.
    if flaws:
        raise StoreFormatError(
            f"nothing was let go: the store is damaged ({'; '.join(flaws)}), and to delete from it may destroy what is "
            "whole. Carry that to a new store (becausal export all -o FILE, becausal import FILE --store NEW), and "
            "prune there"
        )
    now = time.time_ns() if now_ns is None else now_ns
    pruning = _Pruning(store, upkeep, retention, now, spare_ns, told or silent, least)
    return pruning.foreseen() if dry_run else pruning.carried_out(sweeps_idle=sweeps_idle)


def _beyond_size(upkeep: Upkeep, retention: Retention) -> int:
    """Return how many bytes a store takes without any run where that is more than it may; else 0.

    Raises:
        StoreError: no other bound was named.
    """
    most = retention.max_bytes
    if most is None or most >= (least := upkeep.least()):
        return 0
    if retention.max_age_ns is None and retention.keep_last is None:
        raise StoreError(
            f"nothing was let go: the store takes {least:,} bytes without any run, what memories hold among them, so "
            f"that none could stay within {most:,}; name a larger size"
        )
    return least


class _Pruning:
    def __init__(
        self,
        store: Store,
        upkeep: Upkeep,
        retention: Retention,
        now: int,
        spare_ns: int,
        told: Progress,
        least: int,
    ) -> None:
        self._least = least
        self._limit = None if least else retention.max_bytes  # no run that goes brings it down to that
        ages = upkeep.ages()
        self._store, self._upkeep, self._retention, self._ages, self._told = (
            store,
            upkeep,
            retention,
            ages,
            told,
        )
        self._listed = [age for age in ages if age.is_listed]
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
        self._replays: dict[str, list[ChainAge]] = {}
        for age in self._may_go:
            if age.replay_of is not None:
                self._replays.setdefault(age.replay_of, []).append(age)
        self._gone: list[ChainAge] = []
        self._stuck: set[str] = set()  # cannot be deleted
        self._damaged: list[str] = []
        self._bodies = 0
        self._now = now

    def foreseen(self) -> Pruned:
        going = self._beyond()
        if self._limit is not None and self._before > self._limit:
            going += self._share(going, 1 - self._limit / self._before)
        self._gone = going
        return self._told_as(self._before, is_within=True)

    def carried_out(self, *, sweeps_idle: bool) -> Pruned:
        going = self._beyond()
        limit, size = self._limit, self._upkeep.size()
        # What an earlier turn left unswept is no reason to let runs go for the sake of the size.
        if going or sweeps_idle or (limit is not None and size > limit):
            self._let_go(going)
            size = self._upkeep.size()
        for _ in range(ROUNDS):
            if limit is None or size <= limit:
                break
            going = self._share(self._gone, 1 - limit / size)
            if not going:
                break
            self._let_go(going)
            size = self._upkeep.size()
        with self._noting("space was not given back"):
            self._upkeep.release()
        return self._told_as(size, is_within=limit is None or size <= limit)

    def _beyond(self) -> list[ChainAge]:
        """Return the runs that are too old, and those that are too many; the oldest first."""
        oldest, most = self._retention.max_age_ns, self._retention.keep_last
        going = {
            age.chain_id
            for age in self._may_go
            if oldest is not None and self._effective[age.chain_id] > oldest
        }
        if most is not None:
            going |= self._too_many(most, going)
        return self._in_order(going)

    def _in_order(self, going: Iterable[str]) -> list[ChainAge]:
        """Return what goes, the oldest first, and each run's replays with it."""
        gone = set(going)
        gone |= {replay.chain_id for chain_id in going for replay in self._replays.get(chain_id, ())}
        return [age for age in self._may_go if age.chain_id in gone]

    def _too_many(self, most: int, gone: Set[str]) -> set[str]:
        """Return what is to go beside what goes already for so many runs to be left: the newest, as they are listed."""
        left = {age.chain_id for age in self._listed} - gone
        may_go = {age.chain_id for age in self._may_go if age.is_listed} - gone
        if len(left) <= most:
            return set()
        places = max(0, most - len(left - may_go))
        listed = (info for info in newest(self._store, aside=False) if info.chain_id in may_go)
        stay = {info.chain_id: info.started_ns for info in islice(listed, places)}
        since = min(stay.values(), default=self._now)
        beside = {
            age.chain_id
            for age in self._may_go
            if not age.is_listed and age.replay_of not in left and age.touched_ns < since
        }
        return (may_go - stay.keys()) | beside

    def _share(self, gone: Sequence[ChainAge], share: float) -> list[ChainAge]:
        """Return the next runs to go that have such a share of the steps that are left; one at least, but the last."""
        done = {age.chain_id for age in gone} | self._stuck
        wanted = share * sum(age.steps for age in self._ages if age.chain_id not in done)
        # One stays for the sake of a size: what takes more than that is not the runs', or one of them alone.
        runs = sum(age.chain_id not in done for age in self._listed) - 1
        going: set[str] = set()
        for age in self._may_go:
            if age.chain_id in done or age.chain_id in going or (age.is_listed and runs <= 0):
                continue
            if wanted <= 0:
                break
            runs -= age.is_listed
            for one in (age, *self._replays.get(age.chain_id, ())):
                if one.chain_id not in done and one.chain_id not in going:
                    going.add(one.chain_id)
                    wanted -= one.steps
        return self._in_order(going)

    def _let_go(self, going: Sequence[ChainAge]) -> None:
        """Delete runs, and what only they had; what cannot be deleted for the store is damaged is noted."""
        for start in range(0, len(going), AT_ONCE):
            chunk = going[start : start + AT_ONCE]
            gone = self._forget(chunk)
            self._told("letting runs go", start + len(chunk), len(going))
            self._gone += gone
        with self._noting("contents that only they had are still there"):
            self._bodies += self._upkeep.sweep(self._told)

    def _forget(self, chunk: Sequence[ChainAge]) -> Sequence[ChainAge]:
        """Return those of some runs that were deleted: all, unless pages of one of them are damaged."""
        try:
            self._upkeep.forget([age.chain_id for age in chunk])
        except StoreFormatError:
            if len(chunk) > 1:
                return [age for one in chunk for age in self._forget([one])]
            self._stuck.add(chunk[0].chain_id)
            with self._noting(f"the run {chunk[0].chain_id} stays"):
                raise
            return []
        return chunk

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Go on where the store is damaged, and note what is left undone."""
        try:
            yield
        except StoreFormatError as failure:
            said = f"{what}: {_flaw_of(failure)}"
            if said not in self._damaged:
                self._damaged.append(said)

    def _told_as(self, size: int, *, is_within: bool) -> Pruned:
        gone = {age.chain_id for age in self._gone}
        latest = max((age.touched_ns for age in self._gone if age.is_listed), default=0)
        oldest, most = self._retention.max_age_ns, self._retention.keep_last
        if oldest is not None:
            latest = max(latest, self._now - oldest)
        left = [age for age in self._listed if age.chain_id not in gone]
        return Pruned(
            chain_ids=tuple(age.chain_id for age in self._gone if age.is_listed),
            aside=tuple(age.chain_id for age in self._gone if not age.is_listed),
            # And not what `forget` counts: of several transactions, one that fails leaves the others' work unsaid.
            steps=sum(age.steps for age in self._gone),
            bodies=self._bodies,
            bytes_before=self._before,
            bytes_after=size,
            more_may_go=not is_within and bool(self._share(self._gone, 0.001)),
            kept=len(left),
            kept_longer=sum(age.touched_ns < latest for age in left),
            is_within=is_within and not self._least and (most is None or len(left) <= most),
            damaged=tuple(self._damaged),
            least=self._least,
        )


def _flaw_of(failure: StoreFormatError) -> str:
    """Return what is damaged, without what to do about it."""
    return str(failure).partition(" is damaged: ")[2].partition(". ")[0] or str(failure)


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
