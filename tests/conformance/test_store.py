"""What every store promises, run against each of them.

A new store is one more line in `STORES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext
from tests.at_once import at_once
from tests.core.builders import open_step

from becausal import canonical
from becausal.errors import StoreError
from becausal.payload import Payload
from becausal.step import Cause, Choice, OpenStep, Status, StepKind
from becausal.store import Store, open_store
from becausal.store.postgres import schema
from becausal.store.sqlite import file as sqlite_file

STORES: dict[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "file": lambda request, folder: f"sqlite:///{folder}/runs.db",
    "memory": lambda request, folder: "sqlite:///:memory:",
    "postgres": lambda request, folder: str(request.getfixturevalue("postgres_url")),
}


FORMATS = {"sqlite": sqlite_file.FORMAT, "postgresql": schema.FORMAT}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(STORES[request.param](request, tmp_path))
    yield opened
    opened.close()


def step(
    number: int,
    *,
    chain: str = "c1",
    kind: StepKind = "agent",
    name: str = "planner",
    agent: str | None = "planner",
    parent: int | None = None,
    seq: int | None = None,
    status: Status = "ok",
) -> OpenStep:
    """Return a step that started at second `seq` and, unless it is open, ended a second later."""
    seq = number if seq is None else seq
    made = open_step(
        number,
        chain_id=chain,
        kind=kind,
        name=name,
        agent=agent,
        parent_id=None if parent is None else f"{parent:016x}",
        seq=seq,
        started_ns=seq * 1_000_000_000,
    )
    made.status = status
    made.ended_ns = None if status == "open" else made.started_ns + 1_000_000_000
    return made


def payload(fill: int, **changes: object) -> Payload:
    """Return a payload whose digest is one byte, sixteen times."""
    digest = canonical.digest_text(bytes([fill]) * 16)
    told: dict[str, object] = {"digest": digest, "belief": digest, "size": 9, "type_name": "builtins.str"}
    return Payload(**{**told, **changes})  # type: ignore[arg-type]


def test_a_step_comes_back_as_it_was_written(store: Store) -> None:
    written = step(0xFFFF_FFFF_FFFF_FFFE, kind="tool", name="search", parent=0x8000_0000_0000_0000, seq=7)
    written.hop = 3
    written.status = "error"
    written.error = "ValueError: no such city: Zürich"
    written.received = payload(1, belief=canonical.digest_text(b"b" * 16), lossy=(("$.s", "opaque socket"),))
    written.produced = payload(2)
    written.attributes = {
        "a.text": "é\n",
        "a.flag": True,
        "a.int": 1,
        "a.float": 1.0,
        "a.tuple": ("x", "y"),
        "a.none": (),
    }
    written.causes = [
        Cause("00000000000000ff", "data", "observed", "channel findings@3"),
        Cause("ffffffffffffffff", "transfer", "declared"),
        Cause("00000000000000ff", "memory", "matched"),
    ]
    written.choices = [Choice("ask", ("p1", "p2"), "because", 0.5, "stated"), Choice("stop")]

    store.write([written])
    [read] = store.load("c1")

    for field in (
        "id",
        "kind",
        "name",
        "agent",
        "parent_id",
        "chain_id",
        "seq",
        "hop",
        "started_ns",
        "ended_ns",
    ):
        assert getattr(read, field) == getattr(written, field), field
    assert (read.status, read.error, read.trace_id) == ("error", "ValueError: no such city: Zürich", None)
    assert (read.received, read.produced) == (written.received, written.produced)
    assert read.attributes == written.attributes
    assert [type(value) for value in read.attributes.values()] == [str, bool, int, float, tuple, tuple]
    assert read.causes == tuple(written.causes)
    assert read.choices == tuple(written.choices)


def test_writing_a_batch_twice_changes_nothing(store: Store) -> None:
    batch = [step(1), step(2, parent=1)]
    batch[1].causes = [Cause("0000000000000001", "data", "observed")]
    batch[1].received = payload(1)
    batch[1].bodies = [(b"\1" * 16, b"body")]
    store.write(batch)
    once = (store.load("c1"), store.chains())

    store.write(batch)

    assert (store.load("c1"), store.chains()) == once


def test_a_chain_whose_root_is_lost_is_listed_as_such(store: Store) -> None:
    store.write([step(2, parent=1), step(3, parent=1)])
    store.write([step(12, chain="c2", parent=11), step(13, chain="c2")])  # taken up again: a second root
    store.write([step(22, chain="c3", parent=21), step(21, chain="c3")])

    assert {one.chain_id: one.root_is_lost for one in store.chains()} == {
        "c1": True,
        "c2": False,
        "c3": False,
    }

    store.write([step(1)])

    assert [info.root_is_lost for info in store.chains(prefix="c1")] == [False]


def test_a_step_written_open_is_completed_when_it_has_ended(store: Store) -> None:
    running = step(1, status="open")
    store.write([running])
    assert [s.status for s in store.load("c1")] == ["open"]
    assert store.chains()[0].ended_ns is None

    running.status, running.ended_ns, running.produced = "ok", 5_000_000_000, payload(1)
    running.causes.append(Cause("00000000000000aa", "data", "observed"))
    store.write([running])

    [read] = store.load("c1")
    assert (read.status, read.ended_ns, read.produced) == ("ok", 5_000_000_000, payload(1))
    assert len(read.causes) == 1
    assert store.chains()[0].ended_ns == 5_000_000_000


def test_an_ended_step_is_never_opened_again_by_a_late_write(store: Store) -> None:
    store.write([step(1)])

    store.write([step(1, status="open")])

    assert [s.status for s in store.load("c1")] == ["ok"]


@pytest.mark.parametrize("sender_first", [True, False])
def test_the_two_ends_of_a_handoff_complete_each_other_in_either_order(
    store: Store, sender_first: bool
) -> None:
    sent, received = step(1, kind="handoff", parent=7), step(1, kind="handoff")
    sent.received, sent.attributes = payload(1), {"becausal.transfer.source.name": "planner"}
    received.received, received.produced = payload(1), payload(2)
    received.attributes = {"becausal.transfer.received_by": "00000000000000aa"}
    received.ended_ns = 9_000_000_000

    for end in (sent, received) if sender_first else (received, sent):
        store.write([end])

    [read] = store.load("c1")
    assert (read.received, read.produced, read.ended_ns) == (payload(1), payload(2), 9_000_000_000)
    assert read.parent_id == f"{7:016x}"
    assert read.attributes == {**sent.attributes, **received.attributes}


def test_one_batch_may_hold_a_step_open_and_ended(store: Store) -> None:
    store.write([step(1, status="open"), step(1)])

    assert [s.status for s in store.load("c1")] == ["ok"]


def test_writing_leaves_the_steps_as_they_are(store: Store) -> None:
    written = step(1)
    written.received = payload(1)
    written.bodies = [(b"\1" * 16, b"body")]

    store.write([written])

    assert written.bodies == [(b"\1" * 16, b"body")]
    assert written.received.bodies is None


def test_steps_come_in_the_order_of_the_logical_clock(store: Store) -> None:
    store.write([step(1, seq=30), step(0xF000_0000_0000_0000, seq=10), step(2, seq=20)])

    assert [s.seq for s in store.load("c1")] == [10, 20, 30]


def test_some_steps_of_a_chain_come_alone_as_they_come_with_all(store: Store) -> None:
    written = [step(n, seq=10 - n % 8) for n in (1, 2, 3, 0x8000_0000_0000_0004)]
    written[0].causes = [Cause("0000000000000002", "data", "observed", "channel a@1")]
    written[0].produced = payload(1)
    store.write([*written, step(1, chain="c2")])
    whole = store.load("c1")

    assert store.load("c1", [written[2].id, written[0].id]) == [
        one for one in whole if one.id in (written[2].id, written[0].id)
    ]
    assert store.load("c1", [one.id for one in whole]) == whole
    assert store.load("c1", ["00000000000000ff"]) == store.load("c1", []) == store.load("c3", ["01"]) == []


def test_an_outline_has_every_step_in_the_order_of_the_steps(store: Store) -> None:
    store.write(
        [
            step(0xFFFF_FFFF_FFFF_FFFE, seq=3),
            step(2, seq=5, parent=0xFFFF_FFFF_FFFF_FFFE, status="open"),
            step(7, seq=4, parent=0xFFFF_FFFF_FFFF_FFFE),
            step(2, chain="c2"),
        ]
    )

    outline, steps = store.outline("c1"), store.load("c1")

    assert outline.named(range(len(outline))) == [one.id for one in steps]
    assert [*outline.parents] == [int(one.parent_id or "0", 16) for one in steps]
    assert [*outline.seqs] == [one.seq for one in steps]
    assert [*outline.started_ns] == [one.started_ns for one in steps]
    assert [*outline.ended_ns] == [4_000_000_000, 5_000_000_000, -1]
    assert [outline.id(place) for place in outline.children(0)] == [steps[1].id, steps[2].id]
    assert [outline.place(one.id) for one in steps] == [0, 1, 2]
    assert outline.place("00000000000000ff") is None
    assert [outline.id(place) for place in outline.starting("fff")] == [steps[0].id]
    assert outline.starting("000000000000000") == [2, 1]
    assert len(store.outline("c3")) == 0


def test_chains_are_kept_apart(store: Store) -> None:
    store.write([step(1, chain="c1"), step(1, chain="c2", name="other")])

    assert [s.name for s in store.load("c1")] == ["planner"]
    assert [s.name for s in store.load("c2")] == ["other"]
    assert store.load("c3") == []


def test_a_payload_reads_its_body_from_the_store(store: Store) -> None:
    long = b"the same again. " * 1000
    written = step(1)
    written.received, written.produced = payload(1), payload(2)
    written.bodies = [(b"\1" * 16, b"short"), (b"\2" * 16, long)]

    store.write([written])
    [read] = store.load("c1")

    assert store.body(b"\1" * 16) == b"short"
    assert store.body(b"\2" * 16) == long
    assert store.body(b"\3" * 16) is None
    assert read.received is not None
    assert read.received.bodies is store


def test_a_body_that_comes_later_fills_the_payload_that_waited_for_it(store: Store) -> None:
    first, second = step(1), step(2)
    first.received = second.received = payload(1)
    store.write([first])
    assert store.body(b"\1" * 16) is None
    assert store.load("c1")[0].received == payload(1)

    second.bodies = [(b"\1" * 16, b"here it is")]
    store.write([second])

    assert store.body(b"\1" * 16) == b"here it is"
    assert store.describe().bodies == 1


def test_a_part_of_one_payload_may_be_another_payload(store: Store) -> None:
    first, second = step(1), step(2)
    first.bodies = [(b"\1" * 16, b"a part")]
    store.write([first])

    second.received = payload(1, type_name="app.Part")
    store.write([second])

    assert store.load("c1")[1].received == second.received
    assert store.body(b"\1" * 16) == b"a part"


def test_a_body_is_kept_once_however_often_it_passes(store: Store) -> None:
    for number in range(1, 4):
        written = step(number)
        written.received = payload(1)
        written.bodies = [(b"\1" * 16, b"body")]
        store.write([written, written])

    assert store.describe().bodies == 1


def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    good, bad = step(1), step(2)
    good.name = "a new name"
    good.received = payload(1)
    good.bodies = [(b"\1" * 16, b"body")]
    bad.seq = 2**64  # no store has so large an integer

    with pytest.raises(StoreError, match="2 steps"):
        store.write([good, bad])
    assert (store.load("c1"), store.chains(), store.describe().bodies) == ([], [], 0)

    # What the failed batch had numbered must be forgotten with it.
    store.write([good])
    [read] = store.load("c1")
    assert (read.name, read.received, store.body(b"\1" * 16)) == ("a new name", payload(1), b"body")


def test_chains_come_newest_first_with_their_counts(store: Store) -> None:
    store.write([step(9, chain="old", seq=5, name="solo", agent=None)])
    store.write(
        [
            step(3, chain="new", parent=2, seq=12, name="writer", agent="writer", status="error"),
            step(4, chain="new", parent=2, seq=13, name="search", agent="planner", kind="tool"),
            step(5, chain="new", parent=2, seq=14, name="writer", agent="writer", kind="handoff"),
        ]
    )
    store.write([step(2, chain="new", seq=11, name="team", agent="supervisor", parent=0xDEAD)])

    new, old = store.chains()

    assert (new.chain_id, new.name, new.steps, new.errors, new.handoffs) == ("new", "team", 4, 1, 1)
    assert (new.started_ns, new.ended_ns) == (11_000_000_000, 15_000_000_000)
    assert new.agents == ("supervisor", "writer", "planner")
    assert (old.chain_id, old.name, old.agents) == ("old", "solo", ())


def test_a_chain_has_the_name_of_its_root_though_that_comes_last_and_its_clock_is_behind(
    store: Store,
) -> None:
    store.write([step(2, parent=1, seq=5, name="within")])
    assert [info.name for info in store.chains()] == ["within"]

    store.write([step(1, seq=10, name="root")])

    assert [info.name for info in store.chains()] == ["root"]


def test_a_chain_is_as_old_as_its_earliest_step_whenever_that_is_written(store: Store) -> None:
    store.write([step(1, chain="late root", seq=20)])
    store.write([step(2, chain="between", seq=15)])
    assert [c.chain_id for c in store.chains()] == ["late root", "between"]

    store.write([step(3, chain="late root", seq=10)])

    assert [c.chain_id for c in store.chains()] == ["between", "late root"]
    assert [c.chain_id for c in store.chains(limit=1)] == ["between"]


def test_chains_can_be_limited_and_found_by_prefix(store: Store) -> None:
    store.write([step(n, chain=name) for n, name in enumerate(["ab%1", "ab_2", "ab3", "b", "é1"], start=1)])

    assert [c.chain_id for c in store.chains(prefix="ab")] == ["ab3", "ab_2", "ab%1"]
    assert [c.chain_id for c in store.chains(prefix="ab_")] == ["ab_2"]
    assert [c.chain_id for c in store.chains(prefix="é")] == ["é1"]
    assert [c.chain_id for c in store.chains(limit=2)] == ["é1", "b"]
    assert store.chains(prefix="zz") == []


def test_odd_texts_pass(store: Store) -> None:
    chain = "x" * 100 + "'\";\0☃" + "y" * 95
    odd = step(1, chain=chain, name="lone \ud800 surrogate", agent="")
    twin = step(2, chain=chain, name="lone \\ud800 surrogate", agent="a\0b")
    odd.error = "\udcff"
    odd.attributes = {"k": "\ud800", "big": 2**70}

    store.write([odd, twin])
    first, second = store.load(chain)

    assert (first.name, first.agent) == ("lone \\ud800 surrogate", "")
    assert (second.name, second.agent, first.chain_id) == ("lone \\ud800 surrogate", "a\0b", chain)
    assert first.attributes == {"k": "\ud800", "big": 2**70}


def test_an_attribute_of_a_foreign_type_costs_no_batch(store: Store) -> None:
    odd = step(1)
    odd.attributes = {"path": Path("/x")}  # type: ignore[dict-item]

    store.write([odd])

    assert store.load("c1")[0].attributes == {"path": str(Path("/x"))}


def test_the_ids_of_its_span_come_back_with_a_step(store: Store) -> None:
    traced, untraced = step(1), step(2)
    traced.span_context = SpanContext(trace_id=0xF1 << 120, span_id=0xF2 << 56, is_remote=False)
    untraced.span_context = INVALID_SPAN_CONTEXT

    store.write([traced, untraced])
    first, second = store.load("c1")

    assert (first.trace_id, first.span_id) == ("f1" + "0" * 30, "f2" + "0" * 14)
    assert (second.trace_id, second.span_id) == (None, None)


def test_gaps_add_up_by_reason(store: Store) -> None:
    assert store.gaps() == {}

    store.add_gaps({"queue full": 3, "too deep": 1})
    store.add_gaps({"queue full": 2})
    store.add_gaps({})

    assert store.gaps() == {"queue full": 5, "too deep": 1}


def test_more_than_one_query_can_ask_for_passes(store: Store) -> None:
    many = [step(n, chain=f"c{n % 1200}", name=f"name {n}") for n in range(1, 2500)]
    for each in many:
        digest = canonical.digest_text(bytes.fromhex(each.id) * 2)
        each.received = Payload(digest, digest, 1, "t")

    store.write(many)

    assert len(store.chains()) == 1200
    assert sum(info.steps for info in store.chains()) == len(many)
    assert [s.name for s in store.load("c7")] == ["name 7", "name 1207", "name 2407"]


def test_every_method_may_be_called_from_any_thread(store: Store) -> None:
    def work(number: int) -> None:
        for nth in range(20):
            written = step(number * 100 + nth, chain=f"c{number}")
            written.bodies = [(bytes([number]) * 16, b"of a thread")]
            store.write([written])
            assert len(store.load(f"c{number}")) == nth + 1
            assert store.body(bytes([number]) * 16) == b"of a thread"
            store.chains(limit=3)

    at_once([partial(work, number) for number in range(1, 7)])

    assert store.describe().steps == 120


def test_it_describes_itself(store: Store) -> None:
    store.write([step(1), step(2, chain="c2")])

    about = store.describe()

    format = FORMATS[store.url.partition(":")[0]]
    assert (about.url, about.format, about.chains, about.steps, about.bodies) == (store.url, format, 2, 2, 0)
    assert about.bytes_on_disk > 0


def test_closing_twice_is_harmless_and_later_use_is_refused(store: Store) -> None:
    store.close()
    store.close()

    with pytest.raises(OSError, match="is closed"):
        store.write([step(1)])


def test_a_step_is_found_by_its_anchor_the_one_written_last(store: Store) -> None:
    first, second = step(1), step(2, chain="c2", agent="writer")
    first.anchors, second.anchors = ["checkpoint 7", "checkpoint 8"], ["checkpoint 7"]
    first.hop = 3
    store.write([first])
    found = store.anchored("checkpoint 8")
    assert found is not None
    assert (found.id, found.chain_id, found.seq, found.hop, found.agent) == (first.id, "c1", 1, 3, "planner")
    store.write([second])
    later = store.anchored("checkpoint 7")
    assert later is not None
    assert (later.id, later.chain_id, later.agent) == (second.id, "c2", "writer")


def test_an_anchor_that_nobody_set_is_nowhere(store: Store) -> None:
    assert store.anchored("checkpoint 7") is None
