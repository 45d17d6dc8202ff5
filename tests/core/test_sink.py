"""The sink has what the store has: neither less nor twice, whatever fails, and no more than was asked for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.core.builders import open_step, research_team
from tests.core.sinks import TABLES, all_text, counts, cut_off, filled, opened, remember

from becausal.errors import StoreError, StoreFormatError
from becausal.run import Run
from becausal.sink import Copied, behind, copy_all, copying, source_of
from becausal.step import OpenStep
from becausal.store import Store, open_store


def test_a_step_is_in_the_sink_as_it_is_in_the_store(kept: Store, sink_url: str) -> None:
    filled(kept, research_team(), cut_off("d" * 32))
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=True)

        for chain in kept.chains():
            rows = sink.rows(
                """SELECT step_id, kind, name, agent, parent_id, seq, started_ns, ended_ns, status, received, produced,
                received_bytes, causes.source_id, causes.kind, choices.conclusion, choices.score
                FROM steps FINAL WHERE chain_id = {chain:String} ORDER BY seq""",
                chain=chain.chain_id,
            )
            assert rows == [
                (
                    *(step.id, step.kind, step.name, step.agent or "", step.parent_id or "", step.seq),
                    *(step.started_ns, step.ended_ns, step.status),
                    *(side.digest if side else "" for side in (step.received, step.produced)),
                    step.received.size if step.received else 0,
                    [cause.source_id for cause in step.causes],
                    [cause.kind for cause in step.causes],
                    [choice.conclusion for choice in step.choices],
                    [choice.score for choice in step.choices],
                )
                for step in kept.load(chain.chain_id)
            ]
        assert sink.rows("SELECT model, tokens_in, tokens_out FROM steps FINAL WHERE tokens_in > 0") == [
            ("gpt-x", 120, 30)
        ]


def test_a_run_is_in_the_sink_as_it_is_in_the_store(kept: Store, sink_url: str) -> None:
    filled(kept, research_team(), cut_off("d" * 32))
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=True)

        texts = dict(sink.rows("SELECT digest, text FROM contents FINAL"))
        for chain in kept.chains():
            run = Run(chain.chain_id, kept.load(chain.chain_id))
            of = {"chain": chain.chain_id}
            query = "SELECT kind, severity, step_id, message FROM findings WHERE chain_id = {chain:String}"
            assert sink.rows(query, **of) == [
                (f.kind, f.severity, f.step.id, f.message) for f in run.findings
            ]
            query = """SELECT name, started_ns, ended_ns, steps, errors, handoffs, agents FROM runs FINAL
                WHERE chain_id = {chain:String}"""
            said = (chain.name, chain.started_ns, chain.ended_ns, chain.steps, chain.errors, chain.handoffs)
            assert sink.rows(query, **of) == [(*said, list(chain.agents))]
            sides = [side for step in run.steps for side in (step.received, step.produced) if side]
            assert sides
            assert {side.digest: texts[side.digest] for side in sides} == {s.digest: s.text() for s in sides}
        assert sink.rows("SELECT count() FROM findings")[0][0] > 0


def test_what_is_there_is_not_sent_again(kept: Store, sink_url: str) -> None:
    filled(kept, cut_off())
    remember(kept, "tier", "gold")
    kept.add_gaps({"queue full": 2})
    with opened(sink_url) as sink:
        assert copy_all(kept, sink) == Copied(runs=1, steps=5, events=1)
        before = {table: all_text(sink, table) for table in TABLES}

        assert copy_all(kept, sink) == Copied()
        assert {table: all_text(sink, table) for table in TABLES} == before

        remember(kept, "tier", "silver", of=1)
        kept.add_gaps({"queue full": 3})
        filled(kept, cut_off("d" * 32))
        assert copy_all(kept, sink) == Copied(runs=1, steps=5, events=1)
        assert sink.rows("SELECT reason, count FROM gaps FINAL") == [("queue full", 5)]
        events = sink.rows("SELECT nth, key, version, operation FROM memory_events FINAL ORDER BY nth")
        assert events == [(0, "", 1, "write"), (1, "", 2, "supersede")]


@pytest.mark.parametrize(
    ("fails_at", "batch"), [*((n, 5) for n in range(1, 9)), *((n, 100) for n in range(1, 6))]
)
def test_a_copy_that_fails_half_way_is_done_again_and_nothing_is_there_twice(
    fails_at: int, batch: int, kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, *(cut_off(f"{n:032x}") for n in range(4)))
    remember(kept, "tier", "gold")
    kept.add_gaps({"queue full": 2})
    monkeypatch.setattr(copying, "BATCH", batch)
    with opened(sink_url) as sink:
        calls, insert = 0, sink.insert

        def failing(table: str, rows: list[tuple[object, ...]], copied_ns: int) -> None:
            nonlocal calls
            calls += bool(rows)
            insert(table, rows[: len(rows) // 2] if calls == fails_at else rows, copied_ns)
            if calls == fails_at:
                raise StoreError("the line is cut")

        with monkeypatch.context() as cut:
            cut.setattr(sink, "insert", failing)
            with pytest.raises(StoreError, match="the line is cut"):
                copy_all(kept, sink, contents=True)
        copy_all(kept, sink, contents=True)

        steps = sum(chain.steps for chain in kept.chains())
        digests = {
            p.digest
            for c in kept.chains()
            for s in kept.load(c.chain_id)
            for p in (s.received, s.produced)
            if p
        }
        assert counts(sink) == {
            "runs": 4,
            "steps": steps,
            "contents": len(digests) + 1,
            "memory_events": 1,
            "gaps": 1,
        }
        assert copy_all(kept, sink, contents=True) == Copied()


def test_an_open_step_is_replaced_once_it_has_ended(kept: Store, sink_url: str) -> None:
    step = open_step(1, started_ns=time.time_ns())
    kept.write([step])
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        assert sink.rows("SELECT status, ended_ns FROM steps FINAL") == [("open", None)]

        # Ended by another machine, whose clock is behind: nothing of it is later than what was there.
        step.ended_ns, step.status = step.started_ns, "ok"
        kept.write([step])
        assert copy_all(kept, sink) == Copied(runs=1, steps=1)
        assert sink.rows("SELECT status, ended_ns FROM steps FINAL") == [("ok", step.ended_ns)]
        assert sink.rows("SELECT ended_ns FROM runs FINAL") == [(step.ended_ns,)]


def test_a_step_that_ends_while_others_go_on_is_seen_though_the_run_looks_the_same(
    kept: Store, sink_url: str
) -> None:
    now = time.time_ns()
    steps = [open_step(n, started_ns=now + n) for n in (1, 2)]
    kept.write(steps)
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        _end(steps[0])
        steps[0].ended_ns = now + 2
        kept.write(steps[:1])

        assert copy_all(kept, sink).runs == 1
        assert sink.rows("SELECT status FROM steps FINAL ORDER BY step_id") == [("ok",), ("open",)]


def test_what_is_added_to_a_step_that_has_ended_comes_too(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = _end(open_step(1, started_ns=time.time_ns()))
    kept.write([step])
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        step.attributes["becausal.attempt"] = 2  # by the other end of a handoff, say
        kept.write([step])
        copy_all(kept, sink)
        assert sink.rows("SELECT attributes['becausal.attempt'] FROM steps FINAL") == [("2",)]

        with monkeypatch.context() as later:
            later.setattr(time, "time_ns", lambda: step.started_ns + 61 * 10**9)
            copy_all(kept, sink)
            assert copy_all(kept, sink) == Copied()  # by now nobody adds to it any more

            step.attributes["becausal.contract.breaches"] = (
                "late",
            )  # but what is wrong is seen whenever it comes
            kept.write([step])
            assert copy_all(kept, sink) == Copied(runs=1, steps=1)


def test_of_a_large_run_the_newest_steps_are_sent_again_for_what_was_added(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST_JUDGED", 50)
    now = time.time_ns()
    steps = [_end(open_step(n, started_ns=now - (300 - n) * 60 * 10**9)) for n in range(1, 301)]
    kept.write(steps)
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        steps[-10].attributes["becausal.attempt"] = 2
        kept.write(steps[-10:-9])

        assert copy_all(kept, sink).steps == 61  # those of the last hour
        assert sink.rows("SELECT count() FROM steps FINAL WHERE attributes['becausal.attempt'] = '2'") == [
            (1,)
        ]


def test_a_clock_that_went_back_replaces_what_is_there_all_the_same(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = open_step(1, started_ns=time.time_ns())
    kept.write([step])
    with opened(sink_url) as sink:
        with monkeypatch.context() as ahead:
            ahead.setattr(time, "time_ns", lambda: step.started_ns + 3_600 * 10**9)
            copy_all(kept, sink)
        step.ended_ns, step.status = step.started_ns + 1, "ok"
        kept.write([step])
        copy_all(kept, sink)

        assert sink.rows("SELECT status FROM steps FINAL") == [("ok",)]


def test_a_copy_that_was_killed_with_its_clock_ahead_is_replaced_too(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = open_step(1, started_ns=time.time_ns())
    kept.write([step])
    with opened(sink_url) as sink:
        insert = sink.insert

        def killed(table: str, rows: list[tuple[object, ...]], copied_ns: int) -> None:
            if table == "runs" and rows:
                raise StoreError("killed")
            insert(table, rows, copied_ns)

        with monkeypatch.context() as ahead:
            ahead.setattr(time, "time_ns", lambda: step.started_ns + 3_600 * 10**9)
            ahead.setattr(sink, "insert", killed)
            with pytest.raises(StoreError, match="killed"):
                copy_all(kept, sink)
        kept.write([_end(step)])
        copy_all(kept, sink)

        assert sink.rows("SELECT status FROM steps FINAL") == [("ok",)]


def test_a_run_whose_root_is_elsewhere_is_not_loaded_again_and_again(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = time.time_ns() - 3_600 * 10**9
    kept.write([_end(open_step(1, started_ns=since, parent_id="00000000000000aa"))])
    with opened(sink_url) as sink:
        copy_all(kept, sink)

        def loaded(chain_id: str, ids: object = None) -> object:
            raise AssertionError("nothing of it has changed")

        with monkeypatch.context() as patched:
            patched.setattr(kept, "load", loaded)
            assert copy_all(kept, sink) == Copied()
        kept.write([_end(open_step(2, started_ns=since, parent_id="00000000000000aa"))])
        assert copy_all(kept, sink).runs == 1


def test_an_empty_store_leaves_tables_without_rows(kept: Store, sink_url: str) -> None:
    with opened(sink_url) as sink:
        assert copy_all(kept, sink) == Copied()
        assert set(counts(sink).values()) == {0}
        assert behind(kept, sink) == []


def test_a_run_too_large_to_be_loaded_is_sent_in_pieces(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST_JUDGED", 50)
    monkeypatch.setattr(copying, "STEPS_AT_ONCE", 70)
    monkeypatch.setattr(copying, "BATCH", 90)
    hour = 3_600 * 10**9
    steps = [open_step(n, started_ns=n * hour) for n in range(1, 1_001)]
    for step in steps[:-1]:
        _end(step)
    kept.write(steps)
    with opened(sink_url) as sink:
        assert copy_all(kept, sink) == Copied(runs=1, steps=1_000)
        assert sink.rows("SELECT steps, judged FROM runs") == [(1_000, 50)]

        more = [open_step(n, started_ns=n * hour) for n in range(1_001, 1_011)]
        kept.write([_end(steps[-1]), *map(_end, more)])
        assert copy_all(kept, sink) == Copied(runs=1, steps=11)
        assert sink.rows("SELECT count(), countIf(status = 'ok') FROM steps FINAL") == [(1_010, 1_010)]


def test_two_stores_fill_one_sink_and_each_has_its_name(tmp_path: Path, sink_url: str) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("a", "b")]
    for url, chain_id in zip(urls, ("a" * 32, "b" * 32), strict=True):
        cut_off(chain_id).write(url)
    stores = [open_store(url) for url in urls]
    with opened(sink_url) as sink:
        for store in stores:
            copy_all(store, sink)
        assert {row[0] for row in sink.rows("SELECT source FROM runs")} == set(map(source_of, urls))
        assert [behind(store, sink) for store in stores] == [[], []]
    with opened(f"{sink_url}?source=fleet%207") as sink:
        assert [age.chain_id for age in behind(stores[0], sink)] == ["a" * 32]
        copy_all(stores[0], sink)
        assert sink.rows("SELECT chain_id FROM runs WHERE source = 'fleet 7'") == [("a" * 32,)]
        assert counts(sink)["steps"] == 10  # the same steps, whoever sends them
    for store in stores:
        store.close()


def test_what_a_store_is_called_tells_no_password() -> None:
    assert (
        source_of("postgresql://me:word@host:5432/traces?password=word")
        == "postgresql://host:5432/traces?password=***"
    )


def test_a_damaged_run_is_named_and_the_others_are_sent(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, cut_off("a" * 32), cut_off("b" * 32))
    load = kept.load

    def damaged(chain_id: str, ids: object = None) -> object:
        if chain_id == "a" * 32:
            raise StoreFormatError("the file is damaged")
        return load(chain_id, ids)  # type: ignore[arg-type]

    with opened(sink_url) as sink:
        with monkeypatch.context() as patched:
            patched.setattr(kept, "load", damaged)
            copied = copy_all(kept, sink)
        assert copied.broken == [f"{'a' * 32}: the file is damaged"]
        assert sink.rows("SELECT chain_id FROM runs") == [("b" * 32,)]
        assert copy_all(kept, sink) == Copied(runs=1, steps=5)  # once it is whole again


def test_a_run_that_cannot_be_judged_is_sent_and_judged_once_it_can_be(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, cut_off())

    def failing(run: Run) -> None:
        raise StoreError("the server is away")

    with opened(sink_url) as sink:
        with monkeypatch.context() as patched:
            patched.setattr(Run, "findings", property(failing))
            copied = copy_all(kept, sink)
        assert copied.broken == [f"findings of {'c' * 32}: the server is away"]
        assert sink.rows("SELECT judged FROM runs FINAL") == [(0,)]

        assert copy_all(kept, sink, judges=False) == Copied()
        assert copy_all(kept, sink) == Copied(runs=1, steps=5)
        assert sink.rows("SELECT judged FROM runs FINAL") == [(5,)]
        assert sink.rows("SELECT count() FROM findings WHERE kind = 'handoff.truncated'")[0][0] > 0


def _end(step: OpenStep) -> OpenStep:
    step.ended_ns, step.status = step.started_ns + 1, "ok"
    return step
