"""Traces put together out of batches that come in any order, and written to the store as runs.

The spans of one run come in many requests, from many processes, the root usually last. So they wait until their run has
been quiet for a moment, or for some moments if it never is. What comes after that completes what was written: a run is
kept in mind for a while, and written again, whole. That costs the more the longer a run is; so the next writing waits
in proportion to what the last one took.

What a store does not take is kept, and nothing is taken in beyond the bounds: who sends is told to come again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from becausal import semconv
from becausal.errors import ImportFormatError, StoreError
from becausal.foreign import Span, chain_of, of_spans
from becausal.step import OpenStep
from becausal.store import Store

__all__ = ["Assembler"]

log: logging.Logger = logging.getLogger("becausal")

SHARE: Final = 20
"""A run that took so long to write is left alone for this many times as long."""

PATIENCE: Final = 5
"""A run that is never quiet is written after so many times the quiet that is asked for."""

BATCH: Final = 4096
"""Steps of one transaction: each waits for the disk once."""

TRIES: Final = 5
"""So often a store may refuse a run while it takes others."""


@dataclass(slots=True, eq=False)
class _Run:
    spans: dict[tuple[str, str], Span] = field(default_factory=dict)
    traces: set[str] = field(default_factory=set)
    chains: set[str] = field(default_factory=set)
    size: int = 0
    touched: float = 0.0
    since: float = 0.0
    """When the first span came that is not written."""
    due: float = 0.0
    took: float = 0.0
    refused: int = 0
    named: dict[str, str] = field(default_factory=dict)
    """The chain that each trace was written as."""
    first: str | None = None
    """The step that says who recorded the run, and what that lacks."""


class Assembler:
    """Puts runs together. Used by one thread; `held`, `is_full` and `counts` may be read by others."""

    def __init__(
        self,
        store: Store,
        *,
        quiet_s: float = 2.0,
        keep_s: float = 600.0,
        max_spans: int = 200_000,
        max_bytes: int = 128 << 20,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put runs together for a store.

        Args:
            quiet_s: how long nothing of a run must have come before it is written.
            keep_s: how long a run that was written is kept in mind.
            max_spans: so many are kept in mind; beyond that the runs that were touched longest ago are written and
                forgotten.
            max_bytes: so many of the bodies that they came in.
            now: the clock, in seconds.
        """
        self._store, self._quiet, self._keep, self._now = store, quiet_s, keep_s, now
        self._most, self._most_bytes = max_spans, max_bytes
        self._runs: OrderedDict[int, _Run] = OrderedDict()  # by when they were touched
        self._unwritten: dict[int, _Run] = {}
        self._of_trace: dict[str, _Run] = {}
        self._of_chain: dict[str, _Run] = {}
        self._held = self._bytes = 0
        self._waits_until = 0.0
        self.counts: Counter[str] = Counter()
        """Spans and runs, by what became of them."""

    @property
    def held(self) -> int:
        """Spans that are kept in mind."""
        return self._held

    @property
    def is_full(self) -> bool:
        """Whether no more can be kept in mind, since the store does not take what is."""
        return self._held > self._most or self._bytes > self._most_bytes

    def add(self, spans: Sequence[Span], size: int = 0) -> None:
        """Take spans in, of a body of so many bytes."""
        now = self._now()
        share = size // len(spans) if spans else 0
        for span in spans:
            run = self._run_of(span)
            name = (span.trace_id, span.span_id)
            if name not in run.spans:
                self._held, self._bytes, run.size = self._held + 1, self._bytes + share, run.size + share
            run.spans[name] = span
            number = id(run)
            if number not in self._unwritten:
                self._unwritten[number], run.since = run, now
            if run.touched != now or run.due == 0.0:
                run.touched = now
                quiet = min(now + self._quiet, run.since + PATIENCE * self._quiet)
                run.due = max(quiet, run.since + SHARE * run.took)
                self._runs.move_to_end(number)
        if self.is_full:
            self._make_room()

    def write_due(self) -> None:
        """Write the runs that have been quiet, and forget those that have been so for long."""
        now = self._now()
        self._write([run for run in self._unwritten.values() if now >= run.due])
        while self._runs:
            number, run = next(iter(self._runs.items()))
            if number in self._unwritten or now - run.touched <= self._keep:
                break
            self._forget(run)

    def write_all(self) -> None:
        """Write everything that is not yet; what the store does not take is lost, and counted."""
        self._waits_until = 0.0
        self._write(list(self._unwritten.values()))
        failures = 0
        for run in list(self._unwritten.values()):
            self._waits_until = 0.0
            self._write([run])
            failures = failures + 1 if id(run) in self._unwritten else 0
            if failures == TRIES:  # it is the store, and no run of them
                break
        for run in self._unwritten.values():
            self.counts["spans lost: the store did not take them"] += len(run.spans)

    # -- which run

    def _run_of(self, span: Span) -> _Run:
        """Return the run that a span belongs to: by its chain; without one by its trace, or one that it is linked to.

        A link between two chains does not make them one: it leads from who read a memory to who wrote it, say.
        """
        chain = chain_of(span)
        of_trace = self._of_trace.get(span.trace_id)
        if chain is not None:
            if of_trace is not None and of_trace.chains and chain not in of_trace.chains:
                of_trace = None  # the trace has several chains
            known = [self._of_chain.get(chain), of_trace]
        else:
            known = [of_trace, *(self._of_trace.get(trace) for trace, _, _ in span.links)]
        found = list({id(run): run for run in known if run is not None}.values())
        run = found[0] if found else _Run()
        for other in found[1:]:
            self._merge(run, other)
        if not found:
            self._runs[id(run)] = run
        # What a trace is linked to belongs to its run, whichever comes first.
        for trace in (span.trace_id, *(() if chain is not None else [link[0] for link in span.links])):
            if trace not in self._of_trace:
                run.traces.add(trace)
                self._of_trace[trace] = run
        if chain is not None and chain not in run.chains:
            run.chains.add(chain)
            self._of_chain[chain] = run
        return run

    def _merge(self, run: _Run, other: _Run) -> None:
        run.spans.update(other.spans)
        run.size += other.size
        run.traces |= other.traces
        run.chains |= other.chains
        run.named = other.named | run.named
        run.first, run.took = run.first or other.first, max(run.took, other.took)
        self._of_trace.update(dict.fromkeys(other.traces, run))
        self._of_chain.update(dict.fromkeys(other.chains, run))
        del self._runs[id(other)]
        self._unwritten.pop(id(other), None)

    # -- what is written

    def _write(self, runs: Sequence[_Run]) -> None:
        """Write runs, many in one transaction."""
        if self._now() < self._waits_until:
            return
        batch: list[tuple[_Run, list[OpenStep]]] = []
        size = 0
        for run in runs:
            steps = self._told(run)
            alone = run.refused > 0  # it may be this one that the store cannot take
            if not alone:
                batch.append((run, steps))
                size += len(steps)
            if alone or size >= BATCH:
                self._keep_in_store([(run, steps)] if alone else batch)
                batch, size = (batch, size) if alone else ([], 0)
            if self._now() < self._waits_until:
                return
        if batch:
            self._keep_in_store(batch)

    def _told(self, run: _Run) -> list[OpenStep]:
        began = self._now()
        try:
            steps = of_spans(run.spans.values(), run.named)
        except ImportFormatError:  # a trace of something else: a web server's, a database's
            self.counts["runs that no agent took part in"] += not run.took
            steps = []
        except Exception:  # one that cannot be told must not keep the others from the store
            self.counts["runs that could not be told"] += not run.took
            log.exception("becausal serve could not make a run of %d spans", len(run.spans))
            steps = []
        run.took = max(self._now() - began, 1e-6)
        if steps:
            _move_note(steps, run)
        return steps

    def _keep_in_store(self, batch: Sequence[tuple[_Run, list[OpenStep]]]) -> None:
        steps = [step for _, of_run in batch for step in of_run]
        try:
            self._store.write(steps, notes_memory=False)
        except StoreError as failure:
            self._refused([run for run, _ in batch], failure)
            return
        self._waits_until = 0.0
        for run, of_run in batch:
            if of_run:
                self.counts["runs written"] += run.first is None
                run.first = of_run[0].id
            run.refused = 0
            self._unwritten.pop(id(run), None)
        if steps:
            self.counts["steps written"] += len(steps)

    def _refused(self, runs: Sequence[_Run], failure: StoreError) -> None:
        """Keep runs in mind, to be tried again; one that alone is refused is given up after some tries."""
        self.counts["runs that the store did not take"] += len(runs)
        log.error("becausal serve: %s; what came is kept in memory and tried again", failure)
        for run in runs:
            run.refused += 1
            run.due = self._now() + PATIENCE * self._quiet
            others_pass = self._waits_until == 0.0 and len(runs) == 1
            if others_pass and run.refused > TRIES:
                self.counts["spans lost: the store did not take them"] += len(run.spans)
                self._unwritten.pop(id(run), None)
                return
        self._waits_until = self._now() + self._quiet

    # -- what is forgotten

    def _make_room(self) -> None:
        while self.is_full and len(self._runs) > 1:
            oldest = self._too_many()
            self._write([run for run in oldest if id(run) in self._unwritten])
            written = [run for run in oldest if id(run) not in self._unwritten]
            for run in written:
                self._forget(run)
            if not written:
                return

    def _too_many(self) -> list[_Run]:
        """Return the runs that were touched longest ago, as many as are too many; never the last of all."""
        spans, size = self._held - self._most, self._bytes - self._most_bytes
        found: list[_Run] = []
        for run in islice(self._runs.values(), len(self._runs) - 1):
            if spans <= 0 and size <= 0:
                break
            found.append(run)
            spans, size = spans - len(run.spans), size - run.size
        return found

    def _forget(self, run: _Run) -> None:
        self._held -= len(run.spans)
        self._bytes -= run.size
        del self._runs[id(run)]
        for trace in run.traces:
            self._of_trace.pop(trace, None)
        for chain in run.chains:
            self._of_chain.pop(chain, None)


def _move_note(steps: Sequence[OpenStep], run: _Run) -> None:
    """Take what is said of the whole run from the step that came first when less of it was known."""
    if run.first is None or run.first == steps[0].id:
        return
    for step in steps:
        if step.id == run.first:
            step.attributes[semconv.IMPORT_DIALECTS] = step.attributes[semconv.IMPORT_NOTES] = ()
    run.first = steps[0].id
