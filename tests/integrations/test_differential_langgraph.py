"""The app never notices: the same graphs, played in every way, are the same with becausal and without.

Results, streams in every mode, events, the app's own callbacks, exceptions, and the bytes of checkpoints and stores.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integrations.graphs import GRAPHS, Case
from tests.integrations.graphs.doings import DOINGS
from tests.integrations.graphs.plays import done, ends, played, ways_of

import becausal
from becausal import guard

CASES = [
    pytest.param(
        case,
        id=case.name,
        marks=[] if case.needs else pytest.mark.skip(reason="not in this version of LangGraph"),
    )
    for case in GRAPHS
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")  # what LangGraph warns of is not in question here
def test_a_graph_is_the_same_with_and_without(case: Case, tmp_path: Path) -> None:
    ways, failures = ways_of(case), sum(guard.failures.values())
    without = {way: played(case, way) for way in ways}
    becausal.instrument(store=tmp_path / "becausal.db")
    try:
        with_becausal = {way: played(case, way) for way in ways}
    finally:
        becausal.uninstrument()

    assert [way for way in ways if with_becausal[way] != without[way]] == []
    assert sum(guard.failures.values()) == failures


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_graph_ends_as_its_row_says(case: Case) -> None:
    assert ends(case) == ({case.raises} if case.raises else set())


@pytest.mark.parametrize("name", DOINGS)
@pytest.mark.filterwarnings("ignore")
def test_what_is_done_from_outside_is_the_same_with_and_without(name: str, tmp_path: Path) -> None:
    without = done(*DOINGS[name])
    becausal.instrument(store=tmp_path / "becausal.db")
    try:
        with_becausal = done(*DOINGS[name])
    finally:
        becausal.uninstrument()

    assert with_becausal == without


def test_there_are_at_least_forty_graphs_each_of_a_name_of_its_own() -> None:
    assert len({case.name for case in GRAPHS}) == len(GRAPHS) >= 40
