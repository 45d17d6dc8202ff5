"""Every graph of the table is played again from its record, with models and tools made unusable.

What an app or its user can see is the same, byte for byte: results, each piece of each stream, events, callbacks,
exceptions.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integrations.graphs import GRAPHS, Case
from tests.integrations.graphs.plays import played, ways_of
from tests.integrations.replays import conversation, without_the_outside

import becausal
from becausal import guard
from becausal.replay import answering

CASES = [
    pytest.param(
        case,
        id=case.name,
        marks=[] if case.needs else pytest.mark.skip(reason="not in this version of LangGraph"),
    )
    for case in GRAPHS
]

WAYS = ("invoke", "ainvoke", "stream all, subgraphs", "astream all, subgraphs", "astream_events")
"""The ways of `plays` that say most; each of the others shows a part of what these show."""

RUN_INSIDE = {"an agent as a tool": "consult"}
"""A tool that runs an agent: named, so that it runs; what the agent asks is answered all the same."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")  # what LangGraph warns of is not in question here
def test_a_graph_is_played_again_from_its_record(case: Case, tmp_path: Path) -> None:
    failures = sum(guard.failures.values())
    ways = [way for way in ways_of(case) if way in WAYS]

    differ = [way for way in ways if not is_the_same(case, way, tmp_path)]

    assert differ == []
    assert sum(guard.failures.values()) == failures


def is_the_same(case: Case, way: str, folder: Path) -> bool:
    store, live = folder / f"{way.replace(' ', '-')}.db", RUN_INSIDE.get(case.name)
    becausal.instrument(store=store)
    try:
        recorded = played(case, way, is_saved=False)
        becausal.flush()
        with without_the_outside(but=live), answering(conversation(store), case.build, live=live or ()):
            again = played(case, way, is_saved=False)
    finally:
        becausal.uninstrument()
    return bool(again == recorded)
