"""Traces put together out of batches that come in any order, and written to the store as runs.

The spans of one run come in many requests, from many processes, the root usually last. So they wait until their run has
been quiet for a moment. What comes after that completes what was written: a run is kept in mind for a while, and
written again, whole. That costs the more the longer a run is; so the next writing waits in proportion to what the last
one took.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from becausal import semconv
from becausal.errors import ImportFormatError, StoreError
from becausal.foreign import Span, of_spans
from becausal.store import Store

__all__ = ["Assembler"]

log: logging.Logger = logging.getLogger("becausal")

SHARE: Final = 20
"""A run that took so long to write is left alone for this many times as long."""


@dataclass(slots=True)
class _Run:
    spans: dict[tuple[str, str], Span] = field(default_factory=dict)
    traces: set[str] = field(default_factory=set)
    touched: float = 0.0
    due: float = 0.0
    took: float = 0.0
    is_written: bool = False


class Assembler:
    """Puts runs together. Used by one thread."""

    def __init__(
        self,
        store: Store,
        *,
        quiet_s: float = 2.0,
        keep_s: float = 600.0,
        max_spans: int = 200_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put runs together for a store.

        Args:
            quiet_s: how long nothing of a run must have come before it is written.
            keep_s: how long a run that was written is kept in mind.
            max_spans: so many are kept in mind; beyond that the runs that were touched longest ago are written and
                forgotten.
            now: the clock, in seconds.
        """
        self._store, self._quiet, self._keep, self._most, self._now = store, quiet_s, keep_s, max_spans, now
        self._runs: OrderedDict[int, _Run] = OrderedDict()  # by when they were touched
        self._of_trace: dict[str, _Run] = {}
        self._of_chain: dict[str, _Run] = {}
        self._held = 0
        self.counts: Counter[str] = Counter()
        """Spans and runs, by what became of them."""

    @property
    def held(self) -> int:
        """Spans that are kept in mind."""
        return self._held

    def add(self, spans: Iterable[Span]) -> None:
        """Take spans in."""
        now = self._now()
        for span in spans:
            run = self._run_of(span)
            name = (span.trace_id, span.span_id)
            self._held += name not in run.spans
            run.spans[name] = span
            run.touched, run.is_written = now, False
            run.due = now + max(self._quiet, SHARE * run.took)
            self._runs.move_to_end(id(run))
        while self._held > self._most and len(self._runs) > 1:
            self._forget(next(iter(self._runs.values())))

    def write_due(self) -> None:
        """Write the runs that have been quiet, and forget those that have been so for long."""
        now = self._now()
        for run in list(self._runs.values()):
            if not run.is_written and now >= run.due:
                self._write(run)
            elif run.is_written and now - run.touched > self._keep:
                self._forget(run)

    def write_all(self) -> None:
        """Write everything that is not yet."""
        for run in list(self._runs.values()):
            if not run.is_written:
                self._write(run)

    def _run_of(self, span: Span) -> _Run:
        """Return the run that a span belongs to: by its trace, its chain, or a trace that it is linked to."""
        chain = span.attributes.get(semconv.CHAIN_ID)
        known = [self._of_trace.get(span.trace_id)]
        if isinstance(chain, str):
            known.append(self._of_chain.get(chain))
        known += [self._of_trace.get(trace) for trace, _, _ in span.links]
        found = list({id(run): run for run in known if run is not None}.values())
        run = found[0] if found else _Run()
        for other in found[1:]:
            self._merge(run, other)
        if not found:
            self._runs[id(run)] = run
        run.traces.add(span.trace_id)
        self._of_trace[span.trace_id] = run
        if isinstance(chain, str):
            self._of_chain[chain] = run
        return run

    def _merge(self, run: _Run, other: _Run) -> None:
        run.spans.update(other.spans)
        run.traces |= other.traces
        del self._runs[id(other)]
        for places in (self._of_trace, self._of_chain):
            for name, held in places.items():
                if held is other:
                    places[name] = run

    def _write(self, run: _Run) -> None:
        began = self._now()
        try:
            steps = of_spans(run.spans.values())
            self._store.write(steps, notes_memory=False)
        except ImportFormatError:  # a trace of something else: a web server's, a database's
            self.counts["runs that no agent took part in"] += not run.took
        except StoreError as failure:
            # Kept in mind, and tried again when the next span comes or the server stops.
            self.counts["runs that the store did not take"] += 1
            log.error("becausal serve: %s; the run is kept in memory and tried again", failure)
            run.due = self._now() + 10 * self._quiet
            return
        else:
            self.counts["runs written"] += not run.took
            self.counts["steps written"] += len(steps)
        run.took = max(self._now() - began, 1e-6)
        run.is_written = True

    def _forget(self, run: _Run) -> None:
        if not run.is_written:
            self._write(run)
        if not run.is_written:
            self.counts["spans lost: the store did not take them"] += len(run.spans)
        self._held -= len(run.spans)
        del self._runs[id(run)]
        for trace in run.traces:
            self._of_trace.pop(trace, None)
        chains = {span.attributes.get(semconv.CHAIN_ID) for span in run.spans.values()}
        for chain in chains:
            if isinstance(chain, str):
                self._of_chain.pop(chain, None)
