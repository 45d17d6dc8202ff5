"""What happened before what, on a logical clock of two events a step.

A step is not one moment. Its children depend on its start only, its result depends on its children; so each
step is two events, start and end, and "a happened before b" means that a's end reaches b's start. With one
event a step, an agent would either come before its own tool (and the tool's answer could not be a cause of
the agent's) or after it.

Edges between events: a parent's start to its child's start, a child's end to its parent's end, a step's
start to its own end, and for a recorded cause the source's end to the target's start. Where the source
encloses the target, or where the record would otherwise run in a circle (the source was still at work when
it caused the target), the edge goes from start to start. An edge against the numbers of the logical clock
is not honoured at all: no true record holds one, and without it starts cannot form a circle.

Source: Lamport 1978, "Time, Clocks, and the Ordering of Events in a Distributed System", section "Partial
Ordering".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from becausal.graph.edge import Edge
from becausal.step import Step

__all__ = ["Order"]

BLOCK: Final = 512
"""For so many steps at once it is found out what their ends reach: in one pass over all events, a bit for each."""

MOST_HELD: Final = 1 << 20
"""So many events' bits are held, in blocks; the latest block in any case."""


class Order:
    """The events of one chain's steps. Event 2i is the start of step i, event 2i + 1 its end."""

    def __init__(self, steps: Sequence[Step], causes: Sequence[Edge]) -> None:
        self._steps = steps
        self._at = {step.id: i for i, step in enumerate(steps)}
        self._nesting = Nesting(steps)
        spans: list[tuple[int, int]] = []  # end to start
        inner: list[tuple[int, int]] = []  # start to start
        for edge in causes:
            source, target = self._at[edge.source.id], self._at[edge.target.id]
            if edge.source.seq >= edge.target.seq:
                continue
            (inner if self._nesting.encloses(source, target) else spans).append((source, target))
        spans, demoted = self._without_circles(spans, inner)
        self.after = self._events(spans, inner + demoted, self._reaching_siblings(spans))
        self.before: list[list[int]] = [[] for _ in self.after]
        for event, later in enumerate(self.after):
            for other in later:
                self.before[other].append(event)
        self._in_order: list[int] = []
        self._blocks: dict[int, list[int]] = {}

    def happens_before(self, a: str, b: str) -> bool:
        """Return whether a step's end comes before another's start."""
        block, bit = divmod(self._at[a], BLOCK)
        return bool(self._reached_from(block)[2 * self._at[b]] >> bit & 1)

    def upstream(self, step_id: str) -> list[str]:
        """Return the ids of the steps that a step's end depends on, nearest first, then latest first."""
        return self._walk(2 * self._at[step_id] + 1, self.before, latest_first=True)

    def downstream(self, step_id: str) -> list[str]:
        """Return the ids of the steps that depend on a step's start, nearest first, then earliest first."""
        return self._walk(2 * self._at[step_id], self.after, latest_first=False)

    def ended_before_start_of(self, step_id: str) -> frozenset[str]:
        """Return the ids of the steps that happened before a step."""
        seen = {2 * self._at[step_id]}
        queue = list(seen)
        while queue:
            for event in self.before[queue.pop()]:
                if event not in seen:
                    seen.add(event)
                    queue.append(event)
        return frozenset(self._steps[event // 2].id for event in seen if event % 2)

    def encloses(self, outer: str, inner: str) -> bool:
        """Return whether a step is an ancestor of another, by call nesting."""
        return self._nesting.encloses(self._at[outer], self._at[inner])

    def _reached_from(self, block: int) -> list[int]:
        """Return for each event which of a block's steps have an end that reaches it, as bits."""
        found = self._blocks.get(block)
        if found is not None:
            return found
        found = [0] * len(self.after)
        for event in self._topologically():
            step, is_end = divmod(event, 2)
            reached = found[event]
            if is_end and step // BLOCK == block:
                reached |= 1 << step % BLOCK
            if reached:
                for later in self.after[event]:
                    found[later] |= reached
        if (len(self._blocks) + 1) * len(found) > MOST_HELD:
            self._blocks.clear()
        self._blocks[block] = found
        return found

    def _topologically(self) -> list[int]:
        """Return all events, each behind those that reach it; without circles there is such an order."""
        if not self._in_order:
            missing = list(map(len, self.before))
            ready = [event for event, count in enumerate(missing) if not count]
            for event in ready:
                for later in self.after[event]:
                    missing[later] -= 1
                    if not missing[later]:
                        ready.append(later)
            self._in_order = ready
        return self._in_order

    def _walk(self, event: int, links: Sequence[Sequence[int]], *, latest_first: bool) -> list[str]:
        # Going from a step's one event to its other costs nothing; going on to another step costs one.
        distance = {event: 0}
        queue = deque([event])
        while queue:
            here = queue.popleft()
            for other in links[here]:
                cost = distance[here] + (other // 2 != here // 2)
                if cost < distance.get(other, len(links)):
                    distance[other] = cost
                    (queue.append if other // 2 != here // 2 else queue.appendleft)(other)
        nearest: dict[int, int] = {}
        for found, cost in distance.items():
            nearest[found // 2] = min(cost, nearest.get(found // 2, cost))
        del nearest[event // 2]
        sign = -1 if latest_first else 1
        return [
            self._steps[i].id
            for i in sorted(nearest, key=lambda i: (nearest[i], sign * self._steps[i].seq, self._steps[i].id))
        ]

    def _without_circles(
        self, spans: list[tuple[int, int]], inner: list[tuple[int, int]]
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the edges that may stay end to start, and those that must become start to start."""
        demoted: list[tuple[int, int]] = []
        # First only those whose source encloses something of the circle: it was plainly still at work.
        for only_enclosing in (True, False):
            circles = _circles(self._events(spans, inner + demoted, frozenset()))
            if not circles:
                break
            enclosing = {
                self._nesting.parents[event // 2] for event in circles if event % 2 and only_enclosing
            }
            kept = []
            for source, target in spans:
                circle = circles.get(2 * source + 1)
                guilty = circle is not None and circle == circles.get(2 * target)
                if guilty and (source in enclosing or not only_enclosing):
                    demoted.append((source, target))
                else:
                    kept.append((source, target))
            spans = kept
        return spans, demoted

    def _reaching_siblings(self, spans: Sequence[tuple[int, int]]) -> frozenset[int]:
        """Return the steps whose result reaches their parent's through a sibling that they caused.

        Their own edge to the parent's end says nothing new, and would make every step as near to the output
        as the last one.
        """
        parents = self._nesting.parents
        return frozenset(
            source
            for source, target in spans
            if (parent := parents[source]) is not None and self._nesting.encloses(parent, target)
        )

    def _events(
        self,
        spans: Sequence[tuple[int, int]],
        inner: Sequence[tuple[int, int]],
        through_others: frozenset[int],
    ) -> list[list[int]]:
        after: list[list[int]] = [
            [2 * (event // 2) + 1] if event % 2 == 0 else [] for event in range(2 * len(self._steps))
        ]
        for child, parent in enumerate(self._nesting.parents):
            if parent is not None:
                after[2 * parent].append(2 * child)
                if child not in through_others:
                    after[2 * child + 1].append(2 * parent + 1)
        for source, target in spans:
            after[2 * source + 1].append(2 * target)
        for source, target in inner:
            after[2 * source].append(2 * target)
        return after


class Nesting:
    """Who encloses whom, answered in constant time from one walk over the tree."""

    def __init__(self, steps: Sequence[Step]) -> None:
        at = {step.id: i for i, step in enumerate(steps)}
        self.parents: list[int | None] = []
        children: dict[int | None, list[int]] = {}
        for i, step in enumerate(steps):
            parent = at.get(step.parent_id or "")
            if parent is not None and steps[parent].seq >= step.seq:
                parent = None
            self.parents.append(parent)
            children.setdefault(parent, []).append(i)
        self._entered, self._left = [0] * len(steps), [0] * len(steps)
        time = 0
        stack = [(i, False) for i in reversed(children.get(None, []))]
        while stack:
            i, done = stack.pop()
            time += 1
            if done:
                self._left[i] = time
                continue
            self._entered[i] = time
            stack.append((i, True))
            stack.extend((child, False) for child in reversed(children.get(i, [])))

    def encloses(self, outer: int, inner: int) -> bool:
        """Return whether `outer` is an ancestor of `inner`; no step encloses itself."""
        return self._entered[outer] < self._entered[inner] and self._left[inner] < self._left[outer]


def _circles(after: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return the events that lie on a circle, each with the number of its circle.

    Source: Tarjan 1972, "Depth-First Search and Linear Graph Algorithms", with a stack in place of recursion.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    waiting: list[int] = []
    on_stack: set[int] = set()
    found: dict[int, int] = {}
    for root in range(len(after)):
        work = [(root, 0)] if root not in index else []
        while work:
            event, first = work.pop()
            if first == 0:
                index[event] = low[event] = len(index)
                waiting.append(event)
                on_stack.add(event)
            for i in range(first, len(after[event])):
                later = after[event][i]
                if later not in index:
                    work += [(event, i + 1), (later, 0)]
                    break
                if later in on_stack:
                    low[event] = min(low[event], index[later])
            else:
                _close(event, index, low, waiting, on_stack, found)
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[event])
    return found


def _close(
    event: int,
    index: dict[int, int],
    low: dict[int, int],
    waiting: list[int],
    on_stack: set[int],
    found: dict[int, int],
) -> None:
    if low[event] != index[event]:
        return
    members: list[int] = []
    while not members or members[-1] != event:
        members.append(waiting.pop())
        on_stack.discard(members[-1])
    if len(members) > 1:
        found.update(dict.fromkeys(members, event))
