"""The promise: happened-before is a strict partial order, whatever a record says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becausal.graph import order as order_of_events
from becausal.graph.edge import Edge
from becausal.graph.order import Order
from becausal.step import Step


def step(number: int, parent: int | None = None, *, seq: int | None = None) -> Step:
    return Step(
        id=f"{number:016x}",
        kind="agent",
        name=f"step {number}",
        agent=None,
        parent_id=None if parent is None else f"{parent:016x}",
        chain_id="c" * 32,
        trace_id=None,
        span_id=None,
        seq=number if seq is None else seq,
        hop=0,
        started_ns=number,
        ended_ns=number,
        status="ok",
        error=None,
        received=None,
        produced=None,
    )


def order(steps: list[Step], *causes: tuple[int, int]) -> Order:
    return Order(steps, [Edge(steps[a], steps[b], "transfer", "declared") for a, b in causes])


@st.composite
def records(draw: st.DrawFn) -> tuple[list[Step], Order]:
    """Any record at all: parents and causes may point anywhere, and numbers may repeat."""
    count = draw(st.integers(1, 9))
    numbers = st.integers(0, count - 1)
    steps = [
        step(i, draw(st.none() | numbers), seq=draw(st.just(i) | st.integers(0, count))) for i in range(count)
    ]
    causes = draw(st.lists(st.tuples(numbers, numbers), max_size=12))
    return steps, order(steps, *[(a, b) for a, b in causes if a != b])


@given(records())
def test_no_step_happens_before_itself(record: tuple[list[Step], Order]) -> None:
    steps, laid = record

    assert not [s.id for s in steps if laid.happens_before(s.id, s.id)]


@given(records())
def test_happens_before_is_transitive(record: tuple[list[Step], Order]) -> None:
    steps, laid = record

    pairs = {(a.id, b.id) for a in steps for b in steps if laid.happens_before(a.id, b.id)}

    assert all((a, d) in pairs for a, b in pairs for c, d in pairs if b == c)


@given(records())
def test_what_ended_before_is_what_happens_before(record: tuple[list[Step], Order]) -> None:
    steps, laid = record

    for b in steps:
        assert laid.ended_before_start_of(b.id) == {a.id for a in steps if laid.happens_before(a.id, b.id)}


@given(records())
def test_upstream_and_downstream_hold_all_that_happened_before_and_after(
    record: tuple[list[Step], Order],
) -> None:
    steps, laid = record

    for a in steps:
        for b in steps:
            if laid.happens_before(a.id, b.id):
                assert a.id in laid.upstream(b.id)
                assert b.id in laid.downstream(a.id)


def test_a_tool_comes_before_the_next_model_call_and_its_agent_comes_before_neither() -> None:
    steps = [step(0), step(1, 0), step(2, 0)]
    laid = order(steps, (1, 2))

    assert laid.happens_before(steps[1].id, steps[2].id)
    assert not laid.happens_before(steps[0].id, steps[1].id)
    assert not laid.happens_before(steps[2].id, steps[0].id)


def test_an_agents_result_waits_for_what_it_called() -> None:
    steps = [step(0), step(1, 0), step(2)]
    laid = order(steps, (0, 2))

    assert laid.happens_before(steps[1].id, steps[2].id)


def test_a_cause_that_encloses_its_effect_orders_their_starts_alone() -> None:
    steps = [step(0), step(1, 0), step(2, 1)]
    laid = order(steps, (0, 2))

    assert not laid.happens_before(steps[0].id, steps[2].id)
    assert laid.upstream(steps[2].id) == [steps[1].id, steps[0].id]


def test_a_source_that_was_still_at_work_gives_way_and_its_effect_keeps_its_own() -> None:
    # 0 asks 1 while it works, and 1 answers into 2, which 0 called.
    steps = [step(0), step(1), step(2, 0)]
    laid = order(steps, (0, 1), (1, 2))

    assert laid.happens_before(steps[1].id, steps[2].id)
    assert not laid.happens_before(steps[0].id, steps[1].id)
    assert laid.upstream(steps[0].id) == [steps[2].id, steps[1].id]


def test_an_edge_against_the_logical_clock_orders_nothing() -> None:
    steps = [step(0), step(1)]

    assert not order(steps, (1, 0)).happens_before(steps[1].id, steps[0].id)


def test_parallel_steps_are_unordered() -> None:
    steps = [step(0), step(1, 0), step(2, 0)]
    laid = order(steps)

    assert not laid.happens_before(steps[1].id, steps[2].id)
    assert not laid.happens_before(steps[2].id, steps[1].id)


def test_what_reaches_a_workflow_through_another_step_is_farther_from_it_than_that_step() -> None:
    steps = [step(0), step(1, 0), step(2, 0), step(3, 0)]
    laid = order(steps, (2, 3))

    assert laid.upstream(steps[0].id) == [steps[3].id, steps[1].id, steps[2].id]


def test_ten_thousand_nested_steps_do_not_exhaust_the_stack() -> None:
    steps = [step(i, i - 1 if i else None) for i in range(10_000)]

    assert len(order(steps).upstream(steps[0].id)) == 9_999


def searched(laid: Order, a: int, b: int) -> bool:
    """Whether a's end reaches b's start, by a search along the edges."""
    seen, waiting = {2 * a + 1}, [2 * a + 1]
    while waiting:
        later = [event for event in laid.after[waiting.pop()] if event not in seen]
        seen.update(later)
        waiting += later
    return 2 * b in seen


@given(records(), st.integers(1, 4), st.integers(0, 40))
def test_the_order_is_what_a_search_along_the_edges_finds(
    record: tuple[list[Step], Order], block: int, held: int
) -> None:
    steps, laid = record

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(order_of_events, "BLOCK", block)
        patched.setattr(order_of_events, "MOST_HELD", held)
        for a, one in enumerate(steps):
            for b, other in enumerate(steps):
                assert laid.happens_before(one.id, other.id) == searched(laid, a, b)


def test_asking_for_every_pair_of_steps_walks_the_record_once() -> None:
    steps = [step(i) for i in range(200)]
    laid = order(steps, *[(i, i + 1) for i in range(199)])
    looked_at = 0

    class Counting(list[list[int]]):
        def __getitem__(self, event: Any) -> Any:
            nonlocal looked_at
            looked_at += 1
            return super().__getitem__(event)

    laid.after = Counting(laid.after)

    assert all(laid.happens_before(a.id, b.id) == (a.seq < b.seq) for a in steps for b in steps)
    assert looked_at <= 2 * len(laid.after)
