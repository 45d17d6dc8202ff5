"""What a memory held at a moment is the same whether a store is asked for it or for the whole history of a key."""

from __future__ import annotations

import random

import pytest
from tests.conformance.test_store import payload
from tests.core.builders import open_step

from becausal import Memory, canonical, semconv
from becausal.memory_event import MemoryEvent, NewEvent, value_at
from becausal.step import Cause, OpenStep
from becausal.store import Store
from becausal.store.memory_log import Entry, said, value_of
from becausal.store.moving import moving_of
from becausal.store.numbering import load


def filled(store: Store, seed: int) -> list[MemoryEvent]:
    """Fill a memory of two keys as chance will have it, and another one beside it; return its events."""
    chance = random.Random(seed)
    for number in range(24):
        versions = len(store.memory_events("notes", "a"))
        operation = chance.choice(("write", "write", "supersede", "retract", "delete"))
        key = "a" if chance.random() < 0.8 else "b"
        of = chance.randint(1, versions) if operation in ("retract", "supersede") and versions else None
        content = payload(number % 7 + 1) if operation in ("write", "supersede") else None
        event = NewEvent("notes", key, operation, chance.randint(1, 30), number, content, of=of)  # type: ignore[arg-type]
        store.append(event, {})
    store.append(NewEvent("other", "a", "write", 99, 1, payload(9)), {})
    return store.memory_events("notes", "a")


@pytest.mark.parametrize("seed", range(4))
def test_a_value_is_found_as_the_history_has_it_at_every_moment(store: Store, seed: int) -> None:
    events = filled(store, seed)
    seqs = sorted({event.seq + more for event in events for more in (-1, 0)})

    assert [store.memory_value("notes", "a", seq) for seq in seqs] == [value_at(events, seq) for seq in seqs]  # type: ignore[attr-defined]
    for beyond in (10**30, -(10**30), 1 << 63):  # no number of a database's
        assert value_of(store, "notes", "a", beyond) == value_at(events, beyond)
    assert value_of(store, "notes", "a") == value_at(events)
    assert value_of(store, "notes", "nobody wrote it") is None
    assert value_of(store, "nobody", "a") is None


def logged(store: Store, order: list[tuple[str, int, int | None]]) -> list[MemoryEvent]:
    """Have a log with events of so many operations and seqs, as adapters' steps bring them; return them."""
    log, former = [], b""
    for version, (operation, seq, of) in enumerate(order, 1):
        event = NewEvent("notes", "a", operation, seq, 1, of=of)  # type: ignore[arg-type]
        says = said(event, version, seq)
        former = bytes([version]) * 32
        log.append(Entry(says, None, None, former))
    moving_of(store, store.url).take_log(log, [], {})
    return store.memory_events("notes", "a")


def test_seq_says_which_events_count_and_the_log_which_of_them_came_last(store: Store) -> None:
    order = [
        ("write", 5, None),
        ("write", 3, None),
        ("retract", 9, 1),
        ("write", 7, None),
        ("delete", 8, None),
    ]
    events = logged(store, order)
    assert [event.seq for event in events] == [5, 3, 9, 7, 8]

    found = [value_of(store, "notes", "a", seq) for seq in range(12)]

    assert found == [value_at(events, seq) for seq in range(12)]
    assert [event and event.version for event in found[3:9]] == [2, 2, 2, 2, 4, None]


def test_what_a_key_holds_was_written_by_the_last_process_though_its_numbers_began_again(
    store: Store,
) -> None:
    """And whoever is asked says the same: the store, a memory, the history, and the last moment of all."""
    first = [("write", 6, None), ("write", 28, None)]
    events = logged(store, [*first, ("write", 3, None)])

    assert value_of(store, "notes", "a") == value_at(events) == events[-1]
    assert value_of(store, "notes", "a", 28) == value_at(events, 28) == events[-1]
    assert value_of(store, "notes", "a", 2) is None
    memory = Memory("notes", store=store.url)
    assert memory.blame("a") == memory.history("a")[-1] == events[-1]
    memory.close()


def test_what_appending_gives_back_is_what_is_read(store: Store) -> None:
    encoded = canonical.encode("a text")
    digest = canonical.digest_text(encoded.digest)
    content = payload(1, digest=digest, belief=digest, size=encoded.size)
    event = NewEvent("notes", "k\ud800", "write", 1, 2, content, chain_id="c\ud800", agent="a\ud800")

    made = store.append(event, {encoded.digest: encoded.body})
    again = store.append(NewEvent("notes", "k\ud800", "supersede", 1, 3, content, of=1, reason="why"), {})

    assert [made, again] == store.memory_events("notes")
    assert made is not None
    assert made.payload is not None
    assert made.payload.value() == "a text"


def wrote(number: int, chain_id: str, step_id: str) -> OpenStep:
    """Return a write to a key, as an adapter tells of it."""
    step = open_step(number, id=step_id, chain_id=chain_id, kind="memory_write")
    step.received, step.status, step.ended_ns = payload(number), "ok", number
    step.attributes.update(
        {semconv.MEMORY_STORE: "notes", semconv.MEMORY_RECORD: "a", semconv.MEMORY_VERSION: number}
    )
    return step


def test_what_runs_write_to_a_key_within_a_batch_is_in_the_order_in_which_it_came(store: Store) -> None:
    order = ["f" * 16, "a" * 16, "e" * 16, "b" * 16]

    # Nothing that is told of a run or a step says which came first: not the id of either.
    store.write([wrote(number, f"run {id}", id) for number, id in enumerate(order, 1)])

    events = store.memory_events("notes", "a")
    assert [(event.version, event.step_id) for event in events] == list(enumerate(order, 1))


def test_a_loaded_run_tells_of_versions_by_the_numbers_of_the_log(store: Store) -> None:
    """Each process counts its own from 1; the last reader reads the first version, and another one knows no log."""
    writers = ["f" * 16, "a" * 16, "e" * 16]
    for id in writers:
        write = wrote(7, f"run {id}", id)
        write.attributes[semconv.MEMORY_VERSION] = 1
        store.write([write])
    for chain_id, source in ("reader", writers[1]), ("stranger", "c" * 16):
        read = open_step(9, id="b" * 16, chain_id=chain_id, kind="memory_read")
        read.status, read.ended_ns = "ok", 9
        read.causes = [Cause(source, "memory", "observed", "memory a@1")]
        read.attributes.update(
            {
                semconv.MEMORY_STORE: "notes",
                semconv.MEMORY_RECORD: "a",
                semconv.MEMORY_VERSION: 1,
                semconv.MEMORY_LATEST: 4,
                semconv.MEMORY_SEEN: ("a@1", "a@?"),
                semconv.MEMORY_WRITERS: (f"a@4={writers[2]}",),
            }
        )
        store.write([read])

    versions = [load(store, f"run {id}")[0].attributes[semconv.MEMORY_VERSION] for id in writers]
    (read_by,), (strange,) = load(store, "reader"), load(store, "stranger")
    assert versions == [1, 2, 3]
    assert [read_by.attributes[name] for name in (semconv.MEMORY_VERSION, semconv.MEMORY_LATEST)] == [2, 3]
    assert read_by.attributes[semconv.MEMORY_SEEN] == ("a@2", "a@?")
    assert read_by.attributes[semconv.MEMORY_WRITERS] == (f"a@3={writers[2]}",)
    assert [cause.evidence for cause in read_by.causes] == ["memory a@2"]
    assert strange.attributes[semconv.MEMORY_VERSION] == 1
    assert [(read.chain_id, read.version) for read in store.memory_reads("notes", "a")] == [
        ("reader", 2),
        ("stranger", None),
    ]
