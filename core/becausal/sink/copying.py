"""Copies what a store has to the sink: what is new since the last time, or was missed by it.

The store is the truth, and nothing waits in between: what the sink has is asked of the sink itself, and what differs is
sent. So a server that is down, or a copy that is killed, loses nothing that the store has at the next one; and to do
it again sends nothing twice. Runs that the store lets go later stay in the sink.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from becausal.errors import BecausalError, RunNotFoundError, StoreError, StoreFormatError
from becausal.finding import Finding
from becausal.payload import Payload
from becausal.run import Run
from becausal.runs import Runs
from becausal.sink import row
from becausal.sink.erasing import STEPS_AT_ONCE, follow
from becausal.sink.place import Row, Sink
from becausal.sink.schema import ORDER
from becausal.step import Step
from becausal.store import Store
from becausal.store.encoding import encodable
from becausal.store.moving import moving_of
from becausal.store.numbering import load
from becausal.store.upkeep import ChainAge, Progress, Upkeep, silent, upkeep_of

__all__ = ["Copied", "behind", "copy_all", "upkeep_in"]

MOST_JUDGED: Final = 20_000
"""Steps of a run that is loaded whole and judged; of a larger one the last so many are judged, as commands do."""

BATCH: Final = 20_000
"""Rows that are sent at once: ClickHouse wants ten thousand or more."""

LEAST_BATCH: Final = 100
"""As few are sent at once where erasures come all the time."""

BATCH_CHARS: Final = 64 << 20
"""Characters of contents, beyond which fewer rows are sent."""

REMEMBERED: Final = 100_000
"""Contents of which it is known that they have been sent."""

SETTLED_NS: Final = 60 * 10**9
"""A step that has ended is written once more when its checks are made, or the other end of a handoff is known. So a run
is sent again that was copied so soon after its last sign of life."""

LATE_NS: Final = 3_600 * 10**9
"""Of a larger run, so much of its end is sent again for it."""

UNDER_WAY_NS: Final = 86_400 * 10**9
"""For how long a run with an open step is looked through each time."""


Lacking = Literal["all", "some", "ends", "nothing"]
"""What the sink lacks of a run: all of it; what may have changed; what has ended unseen, if anything."""


class _There(NamedTuple):
    """What tells whether a run is in the sink as it is in its store."""

    touched_ns: int
    steps: int
    is_open: int
    is_troubled: int
    is_judged: int
    contents: int
    copied_ns: int

    def differs(self, age: ChainAge) -> bool:
        """Return whether the run has changed since."""
        then = (self.touched_ns, self.steps, bool(self.is_open), bool(self.is_troubled))
        return then != (age.touched_ns, age.steps, age.is_open, age.is_troubled)


class _ErasedMeanwhileError(Exception):
    """Something was erased from the store while it was copied: what was read of it until then may not be sent."""


@dataclass
class Copied:
    """What was sent."""

    runs: int = 0
    """That were new, had changed, or may have had something added to them."""
    steps: int = 0
    contents: int = 0
    events: int = 0
    taken_out: int = 0
    """Runs that an erasure of the store had changed: deleted from the sink, and sent as they are now."""
    broken: list[str] = field(default_factory=list)
    """What could not be read, or not be judged, and why; it is tried again by the next copy."""


def copy_all(
    store: Store,
    sink: Sink,
    *,
    contents: bool = False,
    judges: bool = True,
    told: Progress | None = None,
) -> Copied:
    """Send what the sink does not have yet.

    Args:
        store: any that can be tended; what is on its way to it is not waited for.
        sink: where to.
        contents: send what was said, too; else names, digests, sizes and figures alone.
        judges: send the findings of each run, too; to judge takes most of the time.
        told: told how far it is.

    Raises:
        StoreError: the store cannot be read, or the sink not be written; what was sent until then stays.
    """
    copied = Copied()
    for nth in itertools.count():
        copying = _Copying(store, sink, copied, contents=contents, judges=judges)
        # In smaller pieces each time: where an app erases all day, something has to come through in between.
        copying.batch = min(BATCH, max(LEAST_BATCH, BATCH >> 4 * nth))
        try:
            copying.everything(told or silent)
        except _ErasedMeanwhileError:
            copied.broken.clear()  # all of it is tried anew
        else:
            break
    return copied


def behind(store: Store, sink: Sink) -> list[ChainAge]:
    """Return the runs that the sink lacks, or has as they were before; first those that were touched longest ago."""
    known = _known(sink, sink.name_of(store))
    return [
        age
        for age in upkeep_in(store).ages()
        if (there := known.get(encodable(age.chain_id))) is None or there.differs(age)
    ]


def upkeep_in(store: Store) -> Upkeep:
    """Return what tends a store.

    Raises:
        StoreError: nothing does; it is of a kind that is not copied.
    """
    found = upkeep_of(store)
    if found is None:
        raise StoreError(f"{store.url} is no whole store; name the one that it came from")
    return found


# Inside


class _Copying:
    """One copying: rows are gathered, and sent when there are enough of them."""

    def __init__(self, store: Store, sink: Sink, copied: Copied, *, contents: bool, judges: bool) -> None:
        self._runs, self._store, self._sink, self._contents = Runs(store), store, sink, contents
        self._source, self._judges, self._copied = sink.name_of(store), judges, copied
        self._upkeep = upkeep_in(store)
        # Before anything else is read: see `_hold`.
        self._erasures = self._upkeep.erasures()
        # Higher than all that is there, also where a clock went back or another machine's is ahead.
        self._copied_ns = max(time.time_ns(), sink.latest_ns() + 1)
        self._rows: dict[str, list[Row]] = {table: [] for table in ORDER}
        self._chars = 0
        self._sent: set[str] = set()
        self.batch = BATCH

    def everything(self, told: Progress) -> None:
        """Send all that the sink lacks."""
        self._copied.taken_out += follow(self._sink, self._store, self._erasures, self._copied_ns)
        known = _known(self._sink, self._source)
        asked = [
            (age, how)
            for age in self._upkeep.ages()
            if (how := _lacking(age, known, contents=self._contents, judges=self._judges)) != "nothing"
        ]
        for nth, (age, how) in enumerate(asked):
            told("sending runs", nth, len(asked))
            with self._trying(age.chain_id):
                self._run(age, how)
        self._flush()
        with self._trying("the names of memories"):
            there = self._events_there()
            for memory in moving_of(self._store, self._store.url).memories():
                with self._trying(f"the memory {memory}"):
                    self._memory(memory, *there.get(encodable(memory), (0, "")))
        with self._trying("the counts of what could not be recorded"):
            self._gaps()
        self._flush()
        self._hold()  # what was erased while the last rows were on their way

    # -- what is sent

    def _run(self, age: ChainAge, how: Lacking) -> None:
        """Send a run's steps that the sink lacks, and what is to be said of it as a whole."""
        info = self._runs.info(age.chain_id)
        is_small = info.steps <= MOST_JUDGED
        whole: Sequence[Step] | None = None
        wanted: Sequence[str] = ()
        if how == "ends" or not is_small:
            wanted = self._wanted(age, how)
            if how == "ends" and not wanted:
                return
        if is_small:
            whole = load(self._store, age.chain_id)
            self._steps(whole, only=set(wanted) if how == "ends" else None)
        else:
            for start in range(0, len(wanted), STEPS_AT_ONCE):
                self._steps(load(self._store, age.chain_id, wanted[start : start + STEPS_AT_ONCE]))
        judged, findings = self._judged(age.chain_id, whole)
        self._put("runs", row.run_row(self._source, info, age, judged, findings, contents=self._contents))

    def _wanted(self, age: ChainAge, how: Lacking) -> list[str]:
        """Return the ids of the steps that the sink lacks, or has without their ends; `some`: and the newest.

        Told from the outline: a run that is under way for long is looked through at each copy.
        """
        outline = self._store.outline(age.chain_id)
        query = "SELECT step_id, ended_ns FROM steps FINAL WHERE chain_id = {chain_id:String}"
        there: Mapping[str, int | None] = (
            {} if how == "all" else dict(self._sink.rows(query, chain_id=encodable(age.chain_id)))
        )
        since_ns = age.touched_ns - LATE_NS
        ends = ((outline.id(place), at) for place, at in enumerate(outline.ended_ns))
        return [
            step_id
            for step_id, at in ends
            if step_id not in there
            or there[step_id] != (None if at == -1 else at)
            or (how == "some" and at >= since_ns)
        ]

    def _judged(self, chain_id: str, whole: Sequence[Step] | None) -> tuple[int, Sequence[Finding]]:
        """Return of how many steps the findings are, and the findings; 0 where it is not judged.

        A run is judged by itself: to hold each to the others, as commands do, would load them again and again.
        """
        if self._judges:
            with self._trying(f"findings of {chain_id}", also=StoreError):
                run = self._runs.get(chain_id, last=MOST_JUDGED) if whole is None else Run(chain_id, whole)
                return len(run.steps), run.findings
        return 0, ()

    def _events_there(self) -> dict[str, tuple[int, str]]:
        """Return how many events of each memory the sink has, and the hash of the last one."""
        query = """SELECT memory, count(), argMax(hash, nth) FROM memory_events FINAL
            WHERE source = {source:String} AND contents >= {contents:UInt8} GROUP BY memory"""
        found = self._sink.rows(query, source=self._source, contents=int(self._contents))
        return {memory: (count, last) for memory, count, last in found}

    def _memory(self, memory: str, count: int, last: str) -> None:
        """Send the events of a memory that the sink lacks: it has so many, of which the last has this hash."""
        events = self._store.memory_events(memory)
        is_begun = 0 < count <= len(events) and events[count - 1].hash == last
        for nth, event in enumerate(events[count:] if is_begun else events, count if is_begun else 0):
            self._content(event.payload)
            self._put("memory_events", row.event_row(self._source, nth, event, contents=self._contents))

    def _gaps(self) -> None:
        """Send the counts of what could not be recorded, where they have changed; what is told otherwise now goes."""
        query = "SELECT reason, count FROM gaps FINAL WHERE source = {source:String}"
        there = dict(self._sink.rows(query, source=self._source))
        now = {encodable(reason): count for reason, count in self._store.gaps().items()}
        self._sink.delete("gaps", "reason", sorted(there.keys() - now.keys()), source=self._source)
        for reason, count in now.items():
            if there.get(reason) != row.figure(count):
                self._put("gaps", (self._source, reason, row.figure(count)))

    def _steps(self, steps: Iterable[Step], *, only: Collection[str] | None = None) -> None:
        for step in steps:
            if only is None or step.id in only:
                self._content(step.received)
                self._content(step.produced)
                self._put("steps", row.step_row(step, contents=self._contents))

    def _content(self, payload: Payload | None) -> None:
        if payload is None or not self._contents or payload.digest in self._sent:
            return
        made = row.content_row(payload)
        if len(self._sent) >= REMEMBERED:
            self._sent.clear()
        self._sent.add(payload.digest)
        self._chars += len(str(made[-1]))
        self._put("contents", made)

    # -- how it is sent

    @contextmanager
    def _trying(self, what: str, *, also: type[Exception] = StoreFormatError) -> Iterator[None]:
        """Note what cannot be read, whatever is wrong with it, and go on: one damaged thing keeps nothing else back.

        A store or a sink that does not answer ends the copy all the same, unless `also` says otherwise.
        """
        try:
            yield
        except RunNotFoundError:  # let go meanwhile
            pass
        except _ErasedMeanwhileError:
            raise
        except Exception as failure:
            if isinstance(failure, StoreError) and not isinstance(failure, also):
                raise
            says = str(failure) if isinstance(failure, BecausalError) else _shortly(failure)
            self._copied.broken.append(f"{what}: {says}")

    def _put(self, table: str, made: Row) -> None:
        self._rows[table].append(made)
        if len(self._rows[table]) >= self.batch or self._chars >= BATCH_CHARS:
            self._flush()

    def _flush(self) -> None:
        """Send what was gathered, the runs last: one that stands there is there whole."""
        self._hold()
        for table in ORDER:
            self._sink.insert(table, self._rows[table], self._copied_ns)
        self._copied.runs += len(self._rows["runs"])
        self._copied.steps += len(self._rows["steps"])
        self._copied.contents += len(self._rows["contents"])
        self._copied.events += len(self._rows["memory_events"])
        self._rows = {table: [] for table in ORDER}
        self._chars = 0

    def _hold(self) -> None:
        """Send nothing that was read before an erasure.

        Raises:
            _ErasedMeanwhileError: there was one.
        """
        if len(self._upkeep.erasures()) != len(self._erasures):
            raise _ErasedMeanwhileError


def _shortly(failure: Exception) -> str:
    """Return what is wrong in words that quote nothing that is stored."""
    return f"what stands there cannot have been written so ({type(failure).__name__})"


def _known(sink: Sink, source: str) -> dict[str, _There]:
    """Return the runs that the sink has of a store."""
    query = """SELECT chain_id, touched_ns, steps, is_open, is_troubled, judged > 0, contents, copied_ns
        FROM runs FINAL WHERE source = {source:String}"""
    return {chain_id: _There(*rest) for chain_id, *rest in sink.rows(query, source=source)}


def _lacking(age: ChainAge, known: Mapping[str, _There], *, contents: bool, judges: bool) -> Lacking:
    there = known.get(encodable(age.chain_id))
    if there is None or contents > there.contents:
        return "all"
    is_fresh = there.copied_ns - age.touched_ns < SETTLED_NS
    if there.differs(age) or is_fresh or judges > there.is_judged:
        return "some"
    return "ends" if age.is_open and time.time_ns() - age.touched_ns < UNDER_WAY_NS else "nothing"
