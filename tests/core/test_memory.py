from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Recording

import becausal
from becausal import Memory, MemoryConflictError, MemoryKeyError, MemoryValueError
from becausal.errors import StoreError
from becausal.memory_event import MemoryEvent, value_at


@pytest.fixture
def memory(store: str) -> Iterator[Memory]:
    """A memory of an app that is not instrumented."""
    made = Memory("research", store=store)
    yield made
    made.close()


# Values


@pytest.mark.parametrize(
    "value", [None, 0, "text", 1.5, [1, {"a": (1, 2)}], b"bytes", {"n": {1, 2}}], ids=repr
)
def test_a_value_comes_back_as_it_was_written(memory: Memory, value: object) -> None:
    memory.write("key", value)

    assert memory.read("key") == value


def test_a_value_is_fixed_when_it_is_written(memory: Memory) -> None:
    value = {"price": 1}
    memory.write("key", value)
    value["price"] = 2

    assert memory.read("key") == {"price": 1}


def test_what_cannot_be_kept_whole_is_refused_with_its_place(memory: Memory) -> None:
    with pytest.raises(MemoryValueError, match=r"research/key: .*\$\.lock"):
        memory.write("key", {"lock": threading.Lock()})

    assert memory.history("key") == ()


@pytest.mark.parametrize("key", ["", 7])
def test_a_key_that_is_no_text_is_refused(memory: Memory, key: str) -> None:
    with pytest.raises(MemoryValueError, match="a memory's key is a text"):
        memory.write(key, 1)


def test_a_large_value_comes_back_whole(memory: Memory) -> None:
    value = {"rows": [{"text": f"row {number} " + "x" * 200} for number in range(5_000)]}
    memory.write("key", value)

    assert memory.read("key") == value


# Versions


def test_nothing_is_overwritten(memory: Memory) -> None:
    first, second = memory.write("key", "one"), memory.write("key", "two")

    assert [(e.version, e.payload.value() if e.payload else None) for e in memory.history("key")] == [
        (1, "one"),
        (2, "two"),
    ]
    assert memory.at(first.seq).read("key") == "one"
    assert memory.at(second.seq).read("key") == memory.read("key") == "two"
    with pytest.raises(MemoryKeyError, match="had no value at"):
        memory.at(first.seq - 1).read("key")


def test_a_retracted_value_is_no_longer_read_and_stays_in_the_history(memory: Memory) -> None:
    memory.write("key", "wrong")
    retracted = memory.retract("key", reason="the source was a forecast")

    with pytest.raises(MemoryKeyError, match=r"was retracted by nobody named \(the source was a forecast\)"):
        memory.read("key")
    assert memory.get("key", "default") == "default"
    assert "key" not in memory
    assert retracted.of == 1
    assert memory.at(retracted.seq - 1).read("key") == "wrong"


def test_an_earlier_version_can_be_retracted_while_the_later_one_stands(memory: Memory) -> None:
    memory.write("key", "one")
    memory.write("key", "two")
    memory.retract("key", version=1)

    assert memory.read("key") == "two"
    with pytest.raises(MemoryKeyError, match="has no version 9"):
        memory.retract("key", version=9)


def test_a_superseding_value_names_the_version_that_was_wrong(memory: Memory) -> None:
    memory.write("key", 20)
    event = memory.supersede("key", 2, reason="a decimal point")

    assert (event.operation, event.of, event.reason) == ("supersede", 1, "a decimal point")
    assert memory.read("key") == 2
    assert str(memory.diff("key", 1, 2)) != ""


def test_a_deleted_key_is_gone_and_can_be_written_again(memory: Memory) -> None:
    memory.write("key", 1)
    memory.delete("key")
    assert memory.keys() == ()
    with pytest.raises(MemoryKeyError, match="was deleted"):
        memory.delete("key")

    assert memory.write("key", 2).version == 3


def test_a_key_that_nobody_wrote_is_told_with_those_that_are_there(memory: Memory) -> None:
    memory.write("price", 1)

    with pytest.raises(MemoryKeyError, match="research/prize has never been written; it has: price"):
        memory.read("prize")


def test_two_memories_of_one_store_do_not_mix(store: str, memory: Memory) -> None:
    other = Memory("other", store=store)
    memory.write("key", 1)
    other.write("key", 2)

    assert (memory.read("key"), other.read("key")) == (1, 2)
    other.close()


# Several writers


def test_a_writer_that_expects_another_version_is_told_who_wrote_since(memory: Memory) -> None:
    seen = memory.write("key", 1)
    memory.write("key", 2, expected=seen.version)

    with pytest.raises(
        MemoryConflictError, match=r"stands at version 2, written by nobody named, and not at 1"
    ):
        memory.write("key", 3, expected=seen.version)
    assert memory.read("key") == 2
    with pytest.raises(MemoryConflictError, match="has never been written"):
        memory.write("new", 1, expected=4)
    assert memory.write("new", 1, expected=0).version == 1


def test_threads_that_count_together_lose_no_count(memory: Memory) -> None:
    memory.write("count", 0)

    def add_one(_: int) -> None:
        while True:
            event = memory.blame("count")
            assert event.payload is not None
            try:
                memory.write("count", event.payload.value() + 1, expected=event.version)  # type: ignore[operator]
                return
            except MemoryConflictError:
                continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(40)))

    assert memory.read("count") == 40
    assert memory.verify() is None


def process(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_write_one_key_lose_no_write(store: str, memory: Memory) -> None:
    code = """
        import sys
        from becausal import Memory
        memory = Memory("research", store=sys.argv[1])
        for number in range(25):
            memory.write("key", f"{sys.argv[2]} {number}")
    """
    writers = [process(code, store, name) for name in "abc"]
    assert [(writer.communicate(timeout=60), writer.returncode)[1] for writer in writers] == [0, 0, 0]

    history = memory.history("key")
    assert [event.version for event in history] == list(range(1, 76))
    assert len({event.seq for event in history}) == 75
    for name in "abc":
        written = [e.payload.value() for e in history if e.payload]
        assert [text for text in written if str(text).startswith(name)] == [f"{name} {n}" for n in range(25)]
    assert memory.verify() is None


def test_closing_does_not_wait_for_what_another_process_has_written(store: str, memory: Memory) -> None:
    writer = process(
        """
        import sys
        from becausal import Memory
        memory = Memory("research", store=sys.argv[1])
        for number in range(30):
            memory.write("key", number)
        """,
        store,
    )
    writer.communicate(timeout=60)

    started = time.monotonic()
    memory.close()
    assert time.monotonic() - started < 10  # SQLite's own time-out is 30 s


def test_a_writer_that_is_killed_leaves_a_log_that_verifies(store: str, memory: Memory) -> None:
    code = """
        import sys
        from becausal import Memory
        memory = Memory("research", store=sys.argv[1])
        number = 0
        while True:
            memory.write("key", number)
            print(number, flush=True)
            number += 1
    """
    writer = process(code, store)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
    writer.kill()
    writer.wait(30)
    writer.stdout.close()

    assert memory.verify() is None
    assert [e.payload.value() for e in memory.history("key") if e.payload][:20] == acknowledged


async def test_async_code_reads_and_writes_without_blocking_the_loop(memory: Memory) -> None:
    await asyncio.gather(*(memory.awrite(f"key {number}", number) for number in range(20)))

    assert await memory.aread("key 7") == 7
    assert await memory.aget("key 99") is None
    await memory.asupersede("key 7", 8, reason="off by one")
    await memory.aretract("key 7")
    await memory.adelete("key 8")
    assert len(memory.keys()) == 18


# The log


TAMPERING = {
    "a content": "UPDATE blobs SET data = CAST('x' AS BLOB), codec = 0 WHERE codec IS NOT NULL",
    "an agent": "UPDATE memory_events SET agent = 'somebody else' WHERE version = 2",
    "a time": "UPDATE memory_events SET at_ns = 1 WHERE version = 1",
    "an event taken out": "DELETE FROM memory_events WHERE version = 2",
    "the first event taken out": "DELETE FROM memory_events WHERE version = 1",
    "an order": "UPDATE memory_events SET event_no = 100 - event_no",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_shows(store: str, memory: Memory, statement: str) -> None:
    for number in range(3):
        memory.write("key", f"value {number}")
    assert memory.verify() is None
    memory.close()

    with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)
    connection.close()

    again = Memory("research", store=store)
    told = again.verify()
    assert told is not None
    assert told.startswith("research/key@")
    again.close()


def test_an_erased_content_is_gone_and_the_log_still_verifies(store: str, memory: Memory) -> None:
    memory.write("name", "Erika Mustermann lives at 7 Elm Street, and this is long enough to be found")
    memory.write("name", "Erika Musterfrau")
    memory.write("other", "stays")
    memory.erase("name")

    assert memory.verify() is None
    with pytest.raises(MemoryKeyError, match=r"the content of research/name@2 .* was erased"):
        memory.read("name")
    assert [event.version for event in memory.history("name")] == [1, 2]
    assert memory.read("other") == "stays"
    memory.close()
    for file in Path(store.removeprefix("sqlite:///")).parent.glob("becausal.db*"):
        assert b"Erika" not in file.read_bytes()
    memory = Memory("research", store=store)
    memory.write("name", "Erika Musterfrau")
    assert memory.read("name") == "Erika Musterfrau"
    memory.close()


OPERATIONS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["write", "retract", "delete"]), st.integers(0, 3)),
    max_size=25,
)


@given(OPERATIONS)
@settings(max_examples=50, deadline=None)
def test_the_log_folds_to_what_a_dict_would_hold(
    operations: list[tuple[str, str, int]],
) -> None:
    memory = Memory("m", store="sqlite:///:memory:")
    model: dict[str, int] = {}
    states: list[tuple[int, dict[str, int]]] = []
    for key, operation, value in operations:
        if operation == "write":
            event = memory.write(key, value)
            model[key] = value
        elif key in model:
            event = memory.retract(key) if operation == "retract" else memory.delete(key)
            del model[key]
        else:
            continue
        states.append((event.seq, dict(model)))

    for seq, state in states:  # at every moment, and so however the log is split
        then = memory.at(seq)
        assert {key: then.read(key) for key in then} == state
    assert {key: memory.get(key) for key in "abc" if key in memory} == model
    assert memory.verify() is None
    memory.close()


def test_a_value_does_not_depend_on_the_order_in_which_events_are_told(memory: Memory) -> None:
    memory.write("key", 1)
    memory.retract("key")
    memory.write("key", 2)
    events: list[MemoryEvent] = list(memory.history("key"))

    assert value_at(events) == value_at(reversed(events)) == events[2]


# In a run


def test_a_write_and_its_reader_are_joined_over_two_chains(recording: Recording) -> None:
    memory = Memory("research")
    with becausal.chain("find the market's size"), becausal.agent("finder") as finder:
        memory.write("market size", 20_000_000)
    with becausal.chain("write the report"), becausal.agent("writer"):
        assert memory.read("market size") == 20_000_000

    event = memory.blame("market size")
    assert (event.agent, event.chain_id) == ("finder", finder.chain_id)
    second, first = recording.runs()
    (write,) = [step for step in first if step.kind == "memory_write"]
    (read,) = [step for step in second if step.kind == "memory_read"]
    assert event.step_id == write.id
    assert [(cause.source_id, cause.kind) for cause in read.causes] == [(write.id, "memory")]
    assert read.produced is not None
    assert read.produced.value() == 20_000_000
    (reader,) = memory.readers("market size", version=1)
    assert (reader.agent, reader.step_id, reader.chain_id) == ("writer", read.id, read.chain_id)
    assert memory.readers("market size", version=2) == ()


@pytest.mark.usefixtures("recording")
def test_the_write_of_an_instrumented_app_is_one_event() -> None:
    memory = Memory("research")
    with becausal.chain("request"):
        memory.write("key", 1)
    assert becausal.flush()

    assert len(memory.history("key")) == 1


@pytest.mark.usefixtures("recording")
def test_outside_every_chain_a_memory_works_and_makes_no_run() -> None:
    memory = Memory("research")
    memory.write("key", 1)

    assert memory.read("key") == 1
    assert memory.blame("key").chain_id is None
    assert becausal.flush()
    assert becausal.open().list() == []


def test_a_conflict_inside_a_chain_is_an_error_of_its_step(recording: Recording) -> None:
    memory = Memory("research")
    with becausal.chain("request"), pytest.raises(MemoryConflictError):
        memory.write("key", 1, expected=3)

    (write,) = [step for step in recording.last() if step.kind == "memory_write"]
    assert write.status == "error"
    assert memory.history("key") == ()


def test_what_is_erased_is_gone_from_the_runs_too(recording: Recording) -> None:
    memory = Memory("research")
    with becausal.chain("request"):
        memory.write("name", "Erika Mustermann")
    memory.erase("name")

    (write,) = [step for step in recording.last() if step.kind == "memory_write"]
    assert write.received is not None
    assert not write.received.is_kept


def test_a_store_that_cannot_be_used_is_refused_when_the_memory_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")

    with pytest.raises(StoreError, match="is a file, not a directory"):
        Memory("research", store=tmp_path / "file" / "runs.db")
