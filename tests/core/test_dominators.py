"""The promise: what no way goes around is found, and nothing else, whatever the graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import Record

from becausal.answers.dominators import dominators
from becausal.answers.lineage import impact, why


def by_trying(after: list[list[int]], sources: list[int], goal: int) -> set[int]:
    """Take each point away and look whether the goal can still be reached."""

    def is_reached(without: int) -> bool:
        seen = {s for s in sources if s != without}
        waiting = list(seen)
        while waiting:
            for other in after[waiting.pop()]:
                if other not in seen and other != without:
                    seen.add(other)
                    waiting.append(other)
        return goal in seen

    if not is_reached(-1):
        return set()
    return {p for p in range(len(after)) if p != goal and p not in sources and not is_reached(p)}


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30),
    st.sets(st.integers(0, 3), min_size=1),
)
def test_a_point_is_passed_by_all_ways_just_where_none_is_left_without_it(
    pairs: list[tuple[int, int]], sources: set[int]
) -> None:
    after: list[list[int]] = [[] for _ in range(12)]
    for a, b in pairs:
        if a != b and max(a, b) not in after[min(a, b)]:
            after[min(a, b)].append(max(a, b))
    starts = sorted(sources)

    found = dominators(after, starts, 11)

    # Of several sources, one may lie on the way of another: what begins there goes by no earlier point.
    assert set(found) == by_trying(after, starts, 11)
    assert found == sorted(found)


def team(*, is_doubled: bool) -> Record:
    record = Record()
    with record.step("workflow", "team", received="go") as root:
        first = record.did("agent", "first", "go", "one two three")
        ways = []
        for name in ("left", "right")[: 2 if is_doubled else 1]:
            sent = record.handoff(first, name, "one two three")
            with record.step("agent", name, received="one two three", arrivals=[sent]) as turn:
                turn.produces(f"{name} has it")
            ways.append(record.handoff(turn, "last", f"{name} has it"))
        with record.step("agent", "last", received="all of it", arrivals=ways) as last:
            last.produces("done")
        root.produces("done")
    return record


def names(found: object) -> list[str]:
    return [step.name for step in found.dominators]  # type: ignore[attr-defined]


def test_what_no_way_to_the_output_goes_around_is_told_with_a_lineage() -> None:
    row, diamond = team(is_doubled=False).graph(), team(is_doubled=True).graph()

    assert names(why(row)) == ["first", "first to left", "left", "left to last", "last"]
    assert names(why(diamond)) == ["first", "last"]
    first = next(step for step in row.nodes if step.name == "first")
    assert names(impact(row, first)) == ["first to left", "left", "left to last", "last"]


def test_each_step_of_a_lineage_has_the_grade_of_its_surest_way() -> None:
    lineage = why(team(is_doubled=True).graph())

    grades = {step.name: lineage.grades[step.id] for step in lineage.steps}
    assert set(lineage.grades) == {step.id for step in lineage.steps}
    assert grades["last"] == "observed"
    assert grades["first"] in ("declared", "observed")
