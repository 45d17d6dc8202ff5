"""What is erased from a store is erased from its sink: by the erasure itself, or else by the next copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.sinks import OFFER, cut_off, opened, remember, text_of_all

import becausal
from becausal.cli import main
from becausal.errors import StoreFormatError
from becausal.sink import Copied, copy_all
from becausal.store import Store, open_store
from becausal.store.upkeep import upkeep_of

NAME = "Jane Müller-Nobody"


def about(name: str, chain_id: str, *, system: str = "You are kind.") -> Record:
    """Return the record of a run in which somebody is named, beside what every run has."""
    record = Record(chain_id, started_ns=1_790_000_000 * 10**9)
    with record.step("agent", "clerk", received=f"Write to {name}") as agent:
        record.did("tool", "look up", f"number of run {chain_id}", "none")
        record.did("model", "gpt-x", system, f"Dear {name},")
        agent.step.attributes["note"] = name.upper()
        agent.produces("done")
    return record


def digests(store: Store, chain_id: str) -> set[str]:
    return {
        p.digest for step in store.load(chain_id) for p in (step.received, step.produced) if p is not None
    }


@pytest.fixture
def two_runs(store: str) -> Store:
    about(NAME, "a" * 32).write(store)
    about("Mr. Other", "b" * 32).write(store)
    return open_store(store)


def test_the_next_copy_takes_out_what_the_store_has_erased(two_runs: Store, sink_url: str) -> None:
    before = digests(two_runs, "a" * 32)
    remember(two_runs, NAME, "likes tea")
    with opened(sink_url) as sink:
        copy_all(two_runs, sink, contents=True)
        assert NAME in text_of_all(sink)

        becausal.runs.Runs(two_runs).erase(NAME)
        copied = copy_all(two_runs, sink, contents=True)

        assert (copied.taken_out, copied.runs) == (1, 1)
        said = text_of_all(sink)
        assert NAME not in said
        assert NAME.upper() not in said
        gone = before - digests(two_runs, "a" * 32)
        assert len(gone) == 2
        assert [digest for digest in gone if digest in said] == []
        # The rest stays as it was, what both have too.
        assert sink.rows("SELECT count() FROM runs FINAL") == [(2,)]
        assert sink.rows("SELECT count() FROM contents FINAL WHERE text = 'You are kind.'") == [(1,)]
        assert "Mr. Other" in said
        assert copy_all(two_runs, sink, contents=True) == Copied()


def test_the_command_erases_from_store_and_sink_at_once(
    two_runs: Store,
    store: str,
    sink_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    remember(two_runs, NAME, "likes tea")
    two_runs.close()
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0
    assert main(["erase", "--text", NAME, "--store", store]) == 0  # only says what would be
    with opened(sink_url) as sink:
        assert NAME in text_of_all(sink)
    capsys.readouterr()

    assert main(["erase", "--text", NAME, "--yes", "--store", store]) == 0
    assert "1 run deleted from the sink chdb://" in capsys.readouterr().out
    with opened(sink_url) as sink:
        said = text_of_all(sink)
        assert NAME not in said
        assert NAME.upper() not in said
        assert "Mr. Other" in said
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0
    with opened(sink_url) as sink:
        assert sink.rows("SELECT count() FROM runs FINAL") == [(2,)]
        assert sink.rows("SELECT count() FROM memory_events FINAL") == [(1,)]
        assert NAME not in text_of_all(sink)


def test_a_run_that_the_store_let_go_is_found_in_the_sink_and_deleted(
    two_runs: Store,
    store: str,
    sink_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    two_runs.close()
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0
    capsys.readouterr()
    assert main(["prune", "--keep-last", "0", "--store", store]) == 0
    assert "keeps what it has of them" in capsys.readouterr().out
    with opened(sink_url) as sink:
        assert sink.rows("SELECT count() FROM runs FINAL") == [(2,)]

    assert main(["erase", "--text", NAME, "--yes", "--store", store]) == 0
    told = capsys.readouterr().out
    assert "nothing of it is in the store" in told
    assert "1 run deleted from the sink" in told
    assert "sends anew those that the store still has" in " ".join(told.split())
    assert main(["erase", "--text", NAME, "--yes", "--store", store]) == 0
    assert "nothing of it is in a run of the sink" in capsys.readouterr().out
    with opened(sink_url) as sink:
        assert sink.rows("SELECT chain_id FROM runs") == [("b" * 32,)]
        said = text_of_all(sink)
        assert NAME not in said
        assert f"number of run {'a' * 32}" not in said  # what it alone had
        assert f"number of run {'b' * 32}" in said
        assert sink.rows("SELECT count() FROM contents FINAL WHERE text = 'You are kind.'") == [(1,)]


def test_an_erasure_of_before_the_first_copy_takes_nothing_out(two_runs: Store, sink_url: str) -> None:
    becausal.runs.Runs(two_runs).erase(NAME)
    with opened(sink_url) as sink:
        copied = copy_all(two_runs, sink, contents=True)
        assert (copied.taken_out, copied.runs) == (0, 2)
        assert copy_all(two_runs, sink, contents=True) == Copied()


def test_a_run_that_cannot_be_read_loses_in_the_sink_whatever_may_have_been_erased(
    two_runs: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(sink_url) as sink:
        copy_all(two_runs, sink, contents=True)
        becausal.runs.Runs(two_runs).erase(NAME)
        load = two_runs.load

        def damaged(chain_id: str, ids: object = None) -> object:
            if chain_id == "a" * 32:
                raise StoreFormatError("the file is damaged")
            return load(chain_id, ids)  # type: ignore[arg-type]

        monkeypatch.setattr(two_runs, "load", damaged)
        copied = copy_all(two_runs, sink, contents=True)

        assert len(copied.broken) == 1
        assert NAME not in text_of_all(sink)
        assert sink.rows("SELECT chain_id FROM runs FINAL") == [("b" * 32,)]


@pytest.mark.parametrize("contents", [True, False])
def test_what_was_erased_goes_from_runs_too_that_only_the_sink_has(
    contents: bool, store: str, sink_url: str
) -> None:
    about(NAME, "a" * 32).write(store)
    about(NAME, "b" * 32).write(store)
    about("Mr. Other", "c" * 32).write(store)
    kept = open_store(store)
    before = digests(kept, "a" * 32)
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=contents)
        upkeep = upkeep_of(kept)
        assert upkeep is not None
        upkeep.forget(["b" * 32])
        becausal.runs.Runs(kept).erase(NAME)

        # Its digests too: a content can be guessed from one.
        assert copy_all(kept, sink, contents=contents).taken_out == 2
        said = text_of_all(sink)
        assert [one for one in before - digests(kept, "a" * 32) if one in said] == []
        assert sink.rows("SELECT chain_id FROM runs FINAL ORDER BY chain_id") == [("a" * 32,), ("c" * 32,)]


def test_a_memorys_key_and_a_run_are_erased_there_too(
    store: str, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = open_store(store)
    remember(kept, "tier", "gold for ever")
    remember(kept, "city", "Berlin")
    record = Record("a" * 32, started_ns=1_790_000_000 * 10**9)
    record.did("tool", "look up", "who", "gold for ever")
    kept.write(record.made)
    kept.write(cut_off("b" * 32).made)
    kept.close()
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    export = ["export", "all", "--to", "--contents", "--store", store]
    assert main(export) == 0

    assert main(["erase", "--memory", "notes", "tier", "--yes", "--store", store]) == 0
    with opened(sink_url) as sink:
        assert "gold for ever" not in text_of_all(sink)
    assert main(["erase", "--run", "b" * 32, "--yes", "--store", store]) == 0
    with opened(sink_url) as sink:
        assert OFFER not in text_of_all(sink)
    assert main(export) == 0
    with opened(sink_url) as sink:
        said = text_of_all(sink)
        assert "gold for ever" not in said
        assert OFFER not in said
        assert "Berlin" in said
        assert sink.rows("SELECT count() FROM runs FINAL") == [(2,)]
        assert sink.rows("SELECT count() FROM memory_events FINAL") == [(2,)]


def test_an_erasure_that_does_not_reach_the_sink_says_so_and_the_next_one_does(
    two_runs: Store,
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    two_runs.close()
    pytest.importorskip("clickhouse_connect")
    monkeypatch.setenv("BECAUSAL_SINK", "clickhouse://me:word@127.0.0.1:1/becausal")

    assert main(["erase", "--text", NAME, "--yes", "--store", store]) == 2
    told = capsys.readouterr().err
    assert "it is erased from the store, but the sink may still hold it" in told
    assert "see that the server is running" in told
    assert ":word@" not in told
    with becausal.open(store) as runs:
        assert NAME not in json.dumps([dict(step.attributes) for step in runs.get("a" * 32).steps])
