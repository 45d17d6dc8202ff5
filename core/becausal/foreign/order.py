"""Which spans are one run, who encloses whom, and in which order they are to be numbered.

Times of different machines need not agree, ids may be there twice, callers may be missing or run in a circle. What the
record says (callers, links) decides; time decides only between what nothing else orders.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from becausal import semconv
from becausal.foreign.span import Span

__all__ = ["Key", "callers", "chain_of", "key", "numbered", "of_each_run", "without_twins"]

Key = tuple[str, str]
"""A span's trace id and span id."""


def key(span: Span) -> Key:
    """Return what a span is known by."""
    return span.trace_id, span.span_id


def chain_of(span: Span) -> str | None:
    """Return the chain that a span of becausal's belongs to."""
    said = span.attributes.get(semconv.CHAIN_ID)
    return said if isinstance(said, str) and said else None


def without_twins(spans: Iterable[Span], gaps: Counter[str]) -> dict[Key, Span]:
    """Return spans by their keys: of twins the one that ended, and of those the first."""
    found: dict[Key, Span] = {}
    for span in spans:
        before = found.get(key(span))
        if before is None or (before.ended_ns is None and span.ended_ns is not None):
            found[key(span)] = span
            other = before
        else:
            other = span
        if other is not None and other.name != found[key(span)].name:
            gaps["spans left out: their ids belong to other spans already"] += 1
    return found


def of_each_run(spans: Mapping[Key, Span]) -> list[list[Span]]:
    """Return the spans of each run, earliest run first: a trace is one, and so are traces that a link joins.

    Where becausal itself recorded, a run is what it says that it is, a chain: of several in one trace each is one, and
    a link from one to another, from who read a memory to who wrote it, does not make them one.
    """
    leads: dict[str, str] = {}

    def lead(trace: str) -> str:
        while leads.setdefault(trace, trace) != trace:
            leads[trace] = leads[leads[trace]]
            trace = leads[trace]
        return trace

    chains = {name: f"chain {said}" for name, span in spans.items() if (said := chain_of(span)) is not None}
    for name, chain in chains.items():
        if name[0] not in leads:
            leads[name[0]] = lead(chain)  # what others recorded of this trace
    for name, span in spans.items():
        for trace, identity, _ in () if name in chains else span.links:
            if (trace, identity) in spans:
                leads[lead(chains.get((trace, identity), trace))] = lead(span.trace_id)
    runs: dict[str, list[Span]] = {}
    for name, span in spans.items():
        runs.setdefault(lead(chains.get(name, span.trace_id)), []).append(span)
    return sorted(runs.values(), key=lambda run: min(span.started_ns for span in run))


def callers(spans: Mapping[Key, Span], gaps: Counter[str]) -> dict[Key, Key]:
    """Return who called whom among the spans; a circle is cut where it begins in time."""
    found = {
        key(span): (span.trace_id, span.parent_id)
        for span in spans.values()
        if span.parent_id is not None and (span.trace_id, span.parent_id) in spans
    }
    done: set[Key] = set()
    for start in spans:
        way: dict[Key, None] = {}
        here: Key | None = start
        while here is not None and here not in done and here not in way:
            way[here] = None
            here = found.get(here)
        if here is not None and here in way:
            circle = list(way)[list(way).index(here) :]
            del found[min(circle, key=lambda name: (spans[name].started_ns, name))]
            gaps["callers left out: they run in a circle"] += 1
        done.update(way)
    return found


def numbered(spans: Sequence[Span], before: Mapping[Key, Sequence[Key]]) -> list[Span]:
    """Return spans with every caller and link source ahead, else by time.

    Args:
        before: which spans come before a span. Where they run in a circle, the earliest of what is left goes first.
    """
    by_time = sorted(spans, key=lambda span: (span.started_ns, key(span)))
    rank = {key(span): number for number, span in enumerate(by_time)}
    waits = {
        name: {other for other in before.get(name, ()) if other in rank and other != name} for name in rank
    }
    after: dict[Key, list[Key]] = {}
    for name, others in waits.items():
        for other in others:
            after.setdefault(other, []).append(name)
    ready = [rank[name] for name, others in waits.items() if not others]
    heapq.heapify(ready)
    done: dict[Key, Span] = {}
    earliest = 0
    while len(done) < len(by_time):
        if not ready:
            while key(by_time[earliest]) in done:
                earliest += 1
            ready = [earliest]
        span = by_time[heapq.heappop(ready)]
        if key(span) in done:
            continue
        done[key(span)] = span
        for other in after.get(key(span), ()):
            waits[other].discard(key(span))
            if not waits[other]:
                heapq.heappush(ready, rank[other])
    return list(done.values())
