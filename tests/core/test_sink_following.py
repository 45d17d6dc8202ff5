"""The next copy follows whatever was erased from a store: wherever it stood, whenever it was, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.sinks import OFFER, cut_off, filled, opened, remember, text_of_all

import becausal
from becausal.cli import main
from becausal.runs import Runs
from becausal.sink import Copied, copy_all, unfollowed
from becausal.store import Store, open_store
from becausal.store.upkeep import Erased, Upkeep, upkeep_of

NAME = "Jane Müller-Nobody"


def said_to(name: str, chain_id: str = "a" * 32) -> Record:
    """Return the record of a run in which somebody is named."""
    record = Record(chain_id, started_ns=1_790_000_000 * 10**9)
    with record.step("agent", "clerk", received=f"Write to {name}") as agent:
        agent.step.attributes["note"] = name
        agent.produces("done")
    return record


def upkeep(store: Store) -> Upkeep:
    found = upkeep_of(store)
    assert found is not None
    return found


@pytest.mark.parametrize("contents", [True, False])
@pytest.mark.parametrize("by", ["the memory", "a text"])
def test_a_value_that_no_step_has_goes_with_its_digest(
    by: str, contents: bool, store: str, sink_url: str
) -> None:
    notes = becausal.Memory("notes", store=store)
    notes.write("tier", f"gold for {NAME}")
    notes.write("city", "Berlin")
    kept = open_store(store)
    digests = {event.key: event.payload.digest for event in kept.memory_events() if event.payload}
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=contents)
        if by == "the memory":
            notes.erase("tier")
        else:
            Runs(kept).erase(NAME)
        copy_all(kept, sink, contents=contents)

        said = text_of_all(sink)
        assert NAME not in said
        assert digests["tier"] not in said
        assert digests["city"] in said
        assert ("Berlin" in said) is contents
        assert sink.rows("SELECT count() FROM memory_events FINAL") == [(2,)]
        assert copy_all(kept, sink, contents=contents) == Copied()
    kept.close()
    notes.close()


@pytest.mark.parametrize("contents", [True, False])
def test_the_command_leaves_no_digest_of_an_erased_value(
    contents: bool, store: str, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = open_store(store)
    remember(kept, "tier", f"gold for {NAME}")
    [event] = kept.memory_events()
    assert event.payload is not None
    kept.close()
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["export", "all", "--to", *(["--contents"] * contents), "--store", store]) == 0

    assert main(["erase", "--text", NAME, "--yes", "--store", store]) == 0
    with opened(sink_url) as sink:
        assert event.payload.digest not in text_of_all(sink)


def test_a_run_whose_id_named_somebody_is_found_by_its_steps(kept: Store, sink_url: str) -> None:
    filled(kept, said_to(NAME, f"abcd 7 {NAME}"))
    filled(kept, said_to("nobody", "abcd 8"))  # its steps are called the same
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=True)
        Runs(kept).erase(NAME)

        assert copy_all(kept, sink, contents=True).taken_out == 1
        assert NAME not in text_of_all(sink)
        names = [name for (name,) in sink.rows("SELECT chain_id FROM runs FINAL ORDER BY chain_id")]
        assert names[0].startswith("abcd 7 [erased ")
        assert names[1:] == ["abcd 8"]


def test_a_part_of_a_run_that_another_store_has_takes_no_runs_of_that_one_with_it(
    tmp_path: Path, sink_url: str
) -> None:
    stores = [open_store(f"sqlite:///{tmp_path / name}.db") for name in ("a", "b")]
    filled(stores[0], said_to(NAME))
    system = "You are kind."
    part = Record("a" * 32, started_ns=1_790_000_000 * 10**9)
    part.did("model", "gpt-x", system, "fine")
    part.made[0].id = "f" * 16
    filled(stores[1], part)
    for n in range(2, 5):
        record = Record(f"{n:032x}", started_ns=1_790_000_000 * 10**9)
        record.did("model", "gpt-x", system, "fine")
        filled(stores[1], record)
    with opened(sink_url) as sink:
        sink.source = "a"
        copy_all(stores[0], sink, contents=True)
        sink.source = "b"
        copy_all(stores[1], sink, contents=True)
        upkeep(stores[1]).forget([f"{n:032x}" for n in range(2, 5)])  # the sink alone has them now

        Runs(stores[0]).erase(NAME)
        sink.source = "a"
        assert copy_all(stores[0], sink, contents=True).taken_out == 1
        assert sink.rows("SELECT count() FROM runs FINAL WHERE source = 'b'") == [(3,)]
        assert (system,) in sink.rows("SELECT text FROM contents")
        sink.source = "b"
        assert copy_all(stores[1], sink, contents=True) == Copied(runs=1, steps=1, contents=2)
    for one in stores:
        one.close()


def test_what_runs_alone_had_that_share_an_erased_content_goes_with_them(kept: Store, sink_url: str) -> None:
    filled(kept, said_to(NAME, "a" * 32))
    record = said_to(NAME, "b" * 32)
    record.did("tool", "look up", "a query of its own", "none")
    filled(kept, record)
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=True)
        upkeep(kept).forget(["b" * 32])
        Runs(kept).erase(NAME)
        copy_all(kept, sink, contents=True)

        assert "a query of its own" not in text_of_all(sink)


def test_an_erasure_is_followed_though_the_clock_went_back(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, said_to(NAME))
    filled(kept, said_to("Mr. Other", "b" * 32))
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=True)
        Runs(kept).erase("Mr. Other")
        assert copy_all(kept, sink, contents=True).taken_out == 1
        now = time.time_ns()
        with monkeypatch.context() as back:
            back.setattr(time, "time_ns", lambda: now - 3_600 * 10**9)
            Runs(kept).erase(NAME)

        assert copy_all(kept, sink, contents=True).taken_out == 1
        assert NAME not in text_of_all(sink)
        assert unfollowed(sink, kept, upkeep(kept).erasures()) == []


def test_a_gap_is_told_as_the_store_tells_it_now(
    store: str, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = open_store(store)
    kept.add_gaps({f"left out by {NAME}": 2, "queue full": 1})
    with opened(f"{sink_url}?source=other") as sink:
        copy_all(kept, sink)
    with opened(f"{sink_url}?source=own") as sink:
        copy_all(kept, sink)
        Runs(kept).erase(NAME)
        copy_all(kept, sink)
        query = "SELECT reason, count FROM gaps FINAL WHERE source = {source:String} ORDER BY reason"
        own = sink.rows(query, source="own")
        assert [(reason.partition("[")[0], count) for reason, count in own] == [
            ("left out by ", 2),
            ("queue full", 1),
        ]
        assert (f"left out by {NAME}", 2) in sink.rows(query, source="other")
    kept.close()

    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["erase", "--text", NAME, "--yes", "--store", store]) == 0
    with opened(sink_url) as sink:
        assert NAME not in text_of_all(sink)
        assert sink.rows(
            "SELECT count() FROM gaps FINAL WHERE source = 'other' AND reason = 'queue full'"
        ) == [(1,)]


@pytest.mark.parametrize("at", ["contents", "memory_events", "runs", "gaps"])
def test_what_is_erased_during_a_copy_does_not_come_back(
    at: str, kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, said_to(NAME))
    filled(kept, cut_off("b" * 32))
    remember(kept, "who", f"{NAME} pays")
    kept.add_gaps({"queue full": 1})
    with opened(sink_url) as sink:
        insert = sink.insert
        erased: list[Erased] = []

        def erasing(table: str, rows: list[tuple[object, ...]], copied_ns: int) -> None:
            if table == at and rows and not erased:
                erased.append(Runs(kept).erase(NAME))
            insert(table, rows, copied_ns)

        monkeypatch.setattr(sink, "insert", erasing)
        copied = copy_all(kept, sink, contents=True)

        assert erased
        assert NAME not in text_of_all(sink)
        assert OFFER in text_of_all(sink)
        assert copied.broken == []
        assert copy_all(kept, sink, contents=True) == Copied()
        assert sink.rows("SELECT count() FROM runs FINAL") == [(2,)]


def test_what_was_read_before_an_erasure_is_not_sent(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, said_to(NAME))
    sent: list[str] = []
    with opened(sink_url) as sink:
        insert, load = sink.insert, kept.load

        def noting(table: str, rows: list[tuple[object, ...]], copied_ns: int) -> None:
            sent.append(str(rows))
            insert(table, rows, copied_ns)

        def erased_once_loaded(chain_id: str, ids: object = None) -> object:
            steps = load(chain_id, ids)  # type: ignore[arg-type]
            texts = [side.text() for step in steps for side in (step.received, step.produced) if side]
            if any(NAME in text for text in texts):
                Runs(kept).erase(NAME)
            return steps

        monkeypatch.setattr(sink, "insert", noting)
        monkeypatch.setattr(kept, "load", erased_once_loaded)
        copy_all(kept, sink, contents=True)

        assert not any(NAME in rows for rows in sent)
        assert sink.rows("SELECT count() FROM runs FINAL") == [(1,)]


def test_a_copy_comes_to_an_end_though_something_is_erased_all_the_time(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, *(cut_off(f"{n:032x}") for n in range(40)))
    load, loads = kept.load, 0

    def erasing(chain_id: str, ids: object = None) -> object:
        nonlocal loads
        loads += 1
        assert loads < 400, "it begins anew for ever"
        if loads % 30 == 0:
            kept.add_gaps({f"of {NAME} {loads}": 1})
            Runs(kept).erase(f"{NAME} {loads}")
        return load(chain_id, ids)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "load", erasing)
    with opened(sink_url) as sink:
        assert copy_all(kept, sink, judges=False).steps >= 200
        assert sink.rows("SELECT count() FROM runs FINAL") == [(40,)]
