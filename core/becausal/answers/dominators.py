"""What every way passes: the points of an acyclic graph that no way from one of its points to another goes around."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["dominators"]


def dominators(after: Sequence[Iterable[int]], sources: Iterable[int], goal: int) -> list[int]:
    """Return the points that every way from any of some sources to a goal passes, the first one first.

    The sources and the goal are left out. Empty where no way leads there. Time and memory are linear in the edges
    that can be reached: of the points on such ways, in an order that no edge goes against, a way around one of them
    would have an edge that jumps over it.

    Args:
        after: the points that each point leads to; without circles.
        sources: where the ways begin. They are taken to begin at one point before all of them.
        goal: where they end.
    """
    starts = set(sources)
    reached = _reached(after, starts)
    before: dict[int, list[int]] = {}
    for point in reached:
        for other in after[point]:
            before.setdefault(other, []).append(point)
    on_a_way = _reached_back(before, goal) & reached
    if goal not in on_a_way:
        return []
    order = _in_order(after, before, on_a_way)
    place = {point: i for i, point in enumerate(order)}
    starts &= on_a_way
    farthest = max(place[point] for point in starts)
    found = []
    for i, point in enumerate(order):
        if farthest <= i and point != goal and point not in starts:
            found.append(point)
        farthest = max([farthest, *(place[other] for other in after[point] if other in on_a_way)])
    return found


def _reached(after: Sequence[Iterable[int]], starts: Iterable[int]) -> set[int]:
    seen, waiting = set(starts), list(starts)
    while waiting:
        for other in after[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def _reached_back(before: dict[int, list[int]], goal: int) -> set[int]:
    seen, waiting = {goal}, [goal]
    while waiting:
        for other in before.get(waiting.pop(), ()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def _in_order(after: Sequence[Iterable[int]], before: dict[int, list[int]], points: set[int]) -> list[int]:
    """Return points so that no edge goes backwards (Kahn 1962, "Topological sorting of large networks")."""
    left = {point: sum(other in points for other in before.get(point, ())) for point in points}
    waiting = sorted((point for point, count in left.items() if count == 0), reverse=True)
    order = []
    while waiting:
        point = waiting.pop()
        order.append(point)
        for other in after[point]:
            if other in points:
                left[other] -= 1
                if left[other] == 0:
                    waiting.append(other)
    return order
