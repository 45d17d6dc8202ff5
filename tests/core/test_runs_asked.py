"""The promise: who asks amiss is told what is wrong with the question; a whole store is never called damaged for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.core.builders import Record, research_team

import becausal
from becausal.clock import REPLAYS
from becausal.errors import (
    BecausalError,
    MemoryValueError,
    RunNotFoundError,
    SettingsError,
    StoreError,
    StoreFormatError,
)
from becausal.runs import Runs
from becausal.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = str(tmp_path / "runs.db")
    research_team().write(url)
    becausal.Memory("notes", store=url).write("tier", "gold")
    return url


Ask = Callable[[Any], object]
"""Asks for something with arguments that are not of the kinds that they have to be."""

OF_RUNS: dict[str, tuple[Ask, type[BecausalError], str]] = {
    "get": (lambda runs: runs.get(5), RunNotFoundError, "a int is no chain id"),
    "get, with what a list gave": (
        lambda runs: runs.get(runs.info()),
        RunNotFoundError,
        "a ChainInfo is no chain id: give the text, or the beginning of it",
    ),
    "info": (lambda runs: runs.info(b"11"), RunNotFoundError, "a bytes is no chain id"),
    "pin": (lambda runs: runs.pin(5), RunNotFoundError, "a int is no chain id"),
    "erase a run": (lambda runs: runs.erase(run=5), RunNotFoundError, "a int is no chain id"),
    "erase a number": (lambda runs: runs.erase(4711), SettingsError, "only texts .* not a int"),
    "erase a key alone": (lambda runs: runs.erase(memory="ab"), SettingsError, "a memory's name and a key"),
    "erase no key": (
        lambda runs: runs.erase(memory=("notes", 5)),
        SettingsError,
        "a memory's name and a key",
    ),
    "contaminated": (
        lambda runs: runs.contaminated_by("x", run=5),
        RunNotFoundError,
        "a int is no chain id",
    ),
    "a memory's name": (
        lambda runs: becausal.Memory(5, store=runs.store.url),  # type: ignore[arg-type]
        MemoryValueError,
        "a memory's name is a text, not 5",
    ),
}


@pytest.mark.parametrize("asking", OF_RUNS)
def test_who_asks_for_runs_amiss_is_told_what_to_give(asking: str, url: str) -> None:
    ask, kind, told = OF_RUNS[asking]

    with becausal.open(url) as runs, pytest.raises(kind, match=told) as refused:
        ask(runs)
    assert not isinstance(refused.value, StoreFormatError)


OF_A_STORE: dict[str, Ask] = {
    "chains": lambda store: store.chains(prefix=5),
    "chains, so many": lambda store: store.chains(limit="x"),
    "load": lambda store: store.load(5),
    "load some": lambda store: store.load("c" * 32, [5]),
    "outline": lambda store: store.outline(5),
    "anchored": lambda store: store.anchored(5),
    "memory_value": lambda store: store.memory_value("notes", 5),
    "memory_value, as of": lambda store: store.memory_value("notes", "tier", "x"),
    "broken_link": lambda store: store.broken_link(5),
    "anchors": lambda store: store.moving().anchors(5),
    "log": lambda store: store.moving().log(5),
    "holding": lambda store: store.links().holding([5], limit=1),
}


@pytest.mark.parametrize("asking", OF_A_STORE)
def test_what_a_caller_gives_is_no_damage_of_the_store(asking: str, url: str) -> None:
    store: Store
    with becausal.open(url) as runs:
        store = runs.store
        with pytest.raises((TypeError, AttributeError)):
            OF_A_STORE[asking](store)
        assert store.load(runs.last().chain_id)


def test_a_memory_as_of_what_is_no_number_is_no_damage_either(url: str) -> None:
    with pytest.raises(TypeError):
        becausal.Memory("notes", store=url).at("x").read("tier")  # type: ignore[arg-type]


def test_as_many_runs_as_nobody_has_may_be_asked_for(url: str) -> None:
    runs: Runs
    with becausal.open(url) as runs:
        assert len(runs.list(limit=2**70)) == len(runs.list()) == 1
        assert runs.erase(memory=("notes", "tier"), dry_run=True).places


def test_what_is_damaged_is_still_said_to_be(url: str) -> None:
    with becausal.open(url) as runs:
        chain_id = runs.last().chain_id
    with sqlite3.connect(url) as file:
        file.execute("UPDATE steps SET parent_id = NULL, name = 999999")
    file.close()

    with becausal.open(url) as runs, pytest.raises(StoreError, match="is damaged"):
        runs.get(chain_id)


def test_who_names_no_run_is_told_the_runs_and_no_replays(tmp_path: Path) -> None:
    url = str(tmp_path / "some.db")
    for chain_id in ("a" * 32, f"{REPLAYS}{'b' * 26}"):
        record = Record("a" * 32 if chain_id.startswith("a") else "b" * 32)
        record.did("workflow", "team", "q", "a")
        for step in record.made:
            step.chain_id = chain_id
        record.write(url)

    with becausal.open(url) as runs, pytest.raises(RunNotFoundError) as told:
        runs.get("zzz")

    assert str(told.value).endswith(f"the newest are: {'a' * 16} (team)")
