"""The promise: a store that is spread over three servers is a store like every other, at one URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from tests.at_once import at_once
from tests.conformance.carrying import answers, carried
from tests.conformance.test_store import payload, step
from tests.postgres import Server, serving
from tests.sharded import SPREAD, make_store, rows_by_server

import becausal
from becausal.runs import Runs
from becausal.store import Store
from becausal.store.postgres import schema
from becausal.store.upkeep import upkeep_of


@pytest.fixture(scope="module")
def servers(postgres: Server) -> Iterator[list[Server]]:
    with ExitStack() as running:
        yield [postgres, *(running.enter_context(serving()) for _ in range(2))]


@pytest.fixture
def spread(servers: list[Server]) -> str:
    """The URL of a store that lies on three servers."""
    return make_store(servers)


def test_the_same_answers_come_from_three_servers(
    recorded: str,
    spread: str,
    opened: Callable[..., Store],
) -> None:
    source, target = opened(recorded, read_only=True), opened(spread)
    carried(source, target)

    assert target.chains() == source.chains()
    for info in source.chains():
        here, there = (answers(Runs(store).get(info.chain_id)) for store in (source, target))
        for question in here:
            assert there[question] == here[question], question
    assert target.broken_link("prices") is None
    assert target.memory_events("prices") == source.memory_events("prices")


def test_rows_lie_on_every_server_and_batches_of_several_writers_meet(
    servers: list[Server],
    spread: str,
    opened: Callable[..., Store],
) -> None:
    stores = [opened(spread) for _ in range(3)]

    def work(who: int) -> None:
        memory = becausal.Memory("shared", store=spread)
        for nth in range(6):
            batch = []
            for at in range(12):
                written = step(who * 10_000 + nth * 100 + at, chain=f"chain {at}")
                written.received, written.anchors = payload(at), [f"anchor {at % 3}"]
                written.bodies = [(bytes([at]) * 16, b"shared %d" % at)]
                batch.append(written)
            stores[who].write(batch[:: -1 if who % 2 else 1])
            stores[who].write(batch[:4])
            memory.write("key", nth)
        memory.close()

    at_once([partial(work, who) for who in range(3)])

    assert [info.steps for info in stores[0].chains()] == [18] * 12
    assert all(len(stores[0].load(info.chain_id)) == 18 for info in stores[0].chains())
    assert stores[0].describe().bodies == 12 + 6  # and what the memory held
    for table in ("steps", "chains", "bodies"):
        assert len(rows_by_server(servers[0], spread, table)) == 3, table
    memory = becausal.Memory("shared", store=spread)
    assert [event.version for event in memory.history("key")] == list(range(1, 19))
    assert memory.verify() is None
    memory.close()


def test_runs_are_forgotten_and_erased_on_three_servers(
    recorded: str,
    spread: str,
    opened: Callable[..., Store],
) -> None:
    store = opened(spread)
    carried(opened(recorded), store)
    upkeep = upkeep_of(store)
    assert upkeep is not None

    assert upkeep.forget(["anchored"]) == 2
    assert upkeep.sweep() == 0
    assert len(store.chains()) == 2


def test_what_citus_spreads_is_found_by_what_it_is_spread_by() -> None:
    script = schema.script("becausal", citus=True)

    made = dict(
        re.findall(r"CREATE TABLE (\w+)\((.*?)\)(?:\n\s+WITH \(fillfactor = 70\))?;\n", script, re.DOTALL)
    )
    assert "PARTITION" not in script
    assert SPREAD.keys() | {"meta", "gaps", "erasures", "sweeps"} == made.keys()
    for table, column in SPREAD.items():
        # Citus takes no key that does not hold the column that rows are spread by.
        keys = re.findall(r"(?:PRIMARY KEY|UNIQUE) \(([^)]*)\)?", made[table])
        keys += re.findall(r"(\w+) \w+(?: COLLATE \"C\")? PRIMARY KEY", made[table])
        assert keys, table
        assert all(column in key for key in keys), table
