"""No payload and no run is kept beyond its bound; what is cut down says so, and keeps the digest of all of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context
from opentelemetry.context import Context
from tests.core.builders import Record

import becausal
from becausal import canonical, semconv
from becausal.canonical.cutting import cut, is_cut
from becausal.cli import main
from becausal.errors import ReplayError, StoreError
from becausal.step import OpenStep
from becausal.store import open_store
from becausal.writer import Writer

LARGE = "".join(f"line {number} of a long report\n" for number in range(40_000))  # about 1.2 MB


def test_a_large_payload_keeps_its_beginning_its_end_and_the_digest_of_all_of_it(store: str) -> None:
    becausal.instrument(store=store, max_payload_bytes=100_000)
    with becausal.chain("request"), becausal.agent("reader", received=LARGE) as step:
        step.returned({"report": LARGE, "short": "stays"})
    becausal.flush()
    becausal.uninstrument()

    run = becausal.open(store).last()
    received = run.step("reader").received
    assert received is not None
    assert received.digest == canonical.digest_text(canonical.encode(LARGE).digest)
    assert received.size == canonical.encode(LARGE).size
    assert not received.is_whole
    assert received.lossy == (("$", f"cut down: of {received.size:,} bytes 100,000 are kept"),)
    text = received.text()
    assert text.startswith("line 0 of")
    assert text.rstrip().endswith("line 39999 of a long report")
    assert "bytes were not kept …]" in text
    assert len(text) < 101_000
    produced = run.step("reader").produced
    assert produced is not None
    assert produced.value()["short"] == "stays"  # type: ignore[index]
    assert "not whole: cut down to a bound" in str(run.health.reasons)


def test_a_small_payload_is_kept_whole_and_the_bound_can_be_lifted(store: str) -> None:
    becausal.instrument(store=store, max_payload_bytes="none")
    with becausal.chain("request"), becausal.agent("reader", received=LARGE):
        pass
    becausal.flush()
    becausal.uninstrument()

    received = becausal.open(store).last().step("reader").received
    assert received is not None
    assert received.is_whole
    assert received.value() == LARGE


def test_a_run_whose_answer_was_cut_down_says_why_it_cannot_be_replayed(store: str) -> None:
    becausal.instrument(store=store, max_payload_bytes=10_000)

    @becausal.tool
    def fetch(url: str) -> str:
        return LARGE

    def app() -> str:
        with becausal.chain("request"), becausal.agent("reader"):
            return fetch("x")[:10]

    app()
    becausal.flush()
    becausal.uninstrument()

    with pytest.raises(ReplayError, match=r"fetch.*its answer is not whole: cut down"):
        becausal.open(store).last().replay(app)


def test_a_run_whose_answer_was_erased_says_why_it_cannot_be_replayed(store: str) -> None:
    becausal.instrument(store=store)

    @becausal.tool
    def fetch(url: str) -> str:
        return "Jane Doe called"

    def app() -> str:
        with becausal.chain("request"), becausal.agent("reader"):
            return fetch("x")[:10]

    app()
    becausal.flush()
    becausal.uninstrument()
    becausal.open(store).erase("Jane Doe")

    with pytest.raises(ReplayError, match=r"fetch.*its answer is not whole: text erased"):
        becausal.open(store).last().replay(app)
    becausal.open(store).erase("called", whole=True)
    with pytest.raises(ReplayError, match=r"fetch.*erased"):
        becausal.open(store).last().replay(app)


def test_a_cut_down_payload_travels_in_a_cassette(store: str, tmp_path: Path) -> None:
    becausal.instrument(store=store, max_payload_bytes=10_000)
    with becausal.chain("request"), becausal.agent("reader", received=LARGE):
        pass
    becausal.flush()
    becausal.uninstrument()
    run = becausal.open(store).last()

    copied = becausal.open(run.export(tmp_path / "run.becausal")).last()

    assert copied.step("reader").received.text() == run.step("reader").received.text()  # type: ignore[union-attr]


def test_a_run_beyond_its_bound_keeps_its_structure_and_counts_what_it_left_out(store: str) -> None:
    becausal.instrument(store=store, max_run_bytes=50_000)
    with becausal.chain("runaway", id="runaway"):
        for number in range(20):
            with becausal.agent("reader", received={"text": f"{number} " + "x" * 10_000}):
                pass
    with (
        becausal.chain("other", id="other"),
        becausal.agent("reader", received={"text": "19 " + "x" * 10_000}),
    ):
        pass
    becausal.flush()
    becausal.uninstrument()

    runs = becausal.open(store)
    run = runs.get("runaway")
    kept = [step.received.is_kept for step in run.steps if step.kind == "agent" and step.received]
    assert kept[:4] == [True] * 4
    assert sum(kept[:-1]) == 4  # the last says what another run says, which is kept
    left_out = [step for step in run.steps if semconv.LEFT_OUT in step.attributes]
    assert len(left_out) >= 16
    assert runs.gaps() == {"content left out: run beyond max_run_bytes": len(left_out)}
    assert "max_run_bytes" in str(run.health.reasons)
    other = runs.get("other").step("reader").received
    assert other is not None
    assert other.value() == {"text": "19 " + "x" * 10_000}  # not taken for handed out
    runs.close()


VALUES = st.recursive(
    st.integers() | st.text(max_size=300) | st.binary(max_size=300) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.text())
    ),
    max_leaves=60,
)


@settings(max_examples=60)
@given(VALUES, st.integers(20, 500))
def test_whatever_is_cut_down_can_be_read_and_is_not_much_larger_than_its_bound(
    value: object, most: int
) -> None:
    encoded = canonical.encode(value)
    for body in (encoded.body, *(part for _, part in encoded.parts)):
        made = cut(body, most)

        canonical.decode(made, lambda _: None)
        assert is_cut(made)
        assert not is_cut(body)


@pytest.mark.parametrize(
    "value",
    [
        "é" * 100_000,
        b"\x00\xff" * 100_000,
        list(range(100_000)),
        {f"key {number}": number for number in range(50_000)},
        tuple(range(100_000)),
        [["x" * 100_000]],
        {"only": "x" * 200_000},
    ],
    ids=["text", "bytes", "list", "dict", "tuple", "nested", "field"],
)
def test_what_is_large_is_cut_down_to_its_bound(value: object) -> None:
    encoded = canonical.encode(value)
    body = max((encoded.body, *(part for _, part in encoded.parts)), key=len)

    made = cut(body, 10_000)

    assert 1_000 < len(made) < 11_000
    assert "were not kept" in str(canonical.decode(made, lambda _: None))


# The queue, and what is remembered in the process


class Blocked:
    """A store that takes nothing until it is let go."""

    url = "blocked"

    def __init__(self) -> None:
        self.go = threading.Event()
        self.written = 0

    def write(self, steps: list[OpenStep], *, notes_memory: bool = True) -> None:
        assert self.go.wait(30)
        self.written += len(steps)

    def add_gaps(self, gaps: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_memory_is_bounded_while_the_store_takes_nothing() -> None:
    store = Blocked()
    writer = Writer(store, max_steps=1_000, max_bytes=1 << 20, max_run_bytes=None)  # type: ignore[arg-type]
    record = Record("a" * 32)
    step = record.did("tool", "search", {"q": 1}, "x" * 10_000).step
    for _ in range(2_000):
        writer.put(step.as_it_is())

    assert (
        writer.waiting <= 105
    )  # a megabyte of bodies, and the batch that the store is holding up comes on top
    assert writer.gaps["queue full"] >= 2_000 - 105 - 512
    small = record.did("tool", "search", 1, 2).step
    small.bodies.clear()
    for _ in range(3_000):
        writer.put(small)
    assert writer.waiting <= 1_000
    lost = writer.gaps["queue full"]
    store.go.set()
    assert writer.close(30)
    assert store.written + lost == 5_000


def test_the_bytes_of_so_many_runs_alone_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("becausal.bounds.MOST_RUNS", 10)
    store = open_store("sqlite:///:memory:")
    writer = Writer(store)
    for number in range(50):
        record = Record(f"{number:032x}")
        writer.put(record.did("tool", "t", "in", "out").step)

    assert len(writer._allowance.runs) == 10
    writer.close(10)


def test_of_so_many_runs_that_which_was_silent_the_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("becausal.bounds.MOST_RUNS", 10)
    writer = Writer(open_store("sqlite:///:memory:"))
    week = Record("a" * 32)
    for number in range(50):
        writer.put(week.did("tool", "t", f"in {number}", "out").step)
        writer.put(Record(f"{number:032x}").did("tool", "t", "in", "out").step)

    assert writer._allowance.runs["a" * 32].bytes > 50 * 3
    assert len(writer._allowance.runs) == 10
    assert writer._allowance.charged == sum(len(run.counted) for run in writer._allowance.runs.values())
    writer.close(10)


def test_the_bodies_that_were_counted_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("becausal.bounds.MOST_CHARGED", 10)
    writer = Writer(open_store("sqlite:///:memory:"))
    record = Record("a" * 32)
    for number in range(50):
        writer.put(record.did("tool", "t", f"in {number}", "out").step)
        assert writer._allowance.charged == len(writer._allowance.runs["a" * 32].counted) <= 10
    for number in range(3):
        writer.put(Record("b" * 32).did("tool", "t", f"in {number}", "out").step)

    left, last = (run.counted for run in writer._allowance.runs.values())
    assert len(last) > len(left) == writer._allowance.charged - len(last)
    assert writer._allowance.charged <= 10
    writer.close(10)


def test_a_run_is_charged_once_for_a_body_however_often_it_is_flushed(store: str) -> None:
    becausal.instrument(store=store, max_run_bytes=300_000)
    with becausal.chain("request"), becausal.agent("reader", received={"text": "x" * 100_000}) as step:
        for _ in range(20):
            becausal.flush()
        step.returned("fine")
    becausal.flush()
    becausal.uninstrument()

    runs = becausal.open(store)
    assert runs.gaps() == {}
    reader = runs.last().step("reader")
    assert reader.received is not None
    assert reader.produced is not None
    assert reader.received.is_whole
    assert reader.produced.is_whole


def test_a_step_left_open_beyond_the_bound_counts_once_however_often_it_is_flushed(store: str) -> None:
    becausal.instrument(store=store, max_run_bytes=10_000)
    with becausal.chain("request"), becausal.agent("reader", received={"text": "x" * 100_000}):
        for _ in range(5):
            becausal.flush()
    becausal.flush()
    becausal.uninstrument()

    assert becausal.open(store).gaps() == {"content left out: run beyond max_run_bytes": 1}


def test_a_run_beyond_its_bound_costs_other_runs_nothing(store: str) -> None:
    becausal.instrument(store=store, redact=False, max_run_bytes=200_000)
    messages: list[dict[str, str]] = []
    with becausal.chain("good", id="good"):
        for number in range(40):
            messages.append({"role": "user", "content": f"{number} " + "y" * 1_500})
            with becausal.agent("writer", received={"messages": messages}):
                pass
            token = context.attach(Context())
            with (
                becausal.chain("runaway", id="runaway"),
                becausal.agent("loop", received={"text": f"{number} " + "x" * 50_000}),
            ):
                pass
            context.detach(token)
    becausal.flush()
    becausal.uninstrument()

    runs = becausal.open(store)
    good = [step.received for step in runs.get("good").steps if step.name == "writer"]
    assert len(good) == 40
    assert all(received is not None and received.is_whole and received.value() for received in good)
    assert len(good[-1].value()["messages"]) == 40  # type: ignore[union-attr, index]
    assert runs.gaps() == {"content left out: run beyond max_run_bytes": 40 - 3}


def test_a_store_that_fails_loses_nothing_but_what_is_counted() -> None:
    class Failing(Blocked):
        def write(self, steps: list[OpenStep], *, notes_memory: bool = True) -> None:
            raise StoreError("down")

    writer = Writer(Failing())  # type: ignore[arg-type]
    writer.put(Record("a" * 32).did("tool", "t", "in", "out").step)
    writer.close(10)

    assert writer.gaps == {"store failed": 1}


def test_blame_says_that_a_text_may_stand_in_what_was_cut(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    becausal.instrument(store=store, max_payload_bytes=1000)
    with becausal.chain("request") as request:
        request.returned("start " + "x" * 5000 + " NEEDLE " + "y" * 5000)
    becausal.flush()
    becausal.uninstrument()

    main(["blame", "last", "NEEDLE", "--store", store])
    said = " ".join(capsys.readouterr().out.split())
    assert "it may stand in the part that was not (cut down: of " in said
    assert "max_payload_bytes" in said
    main(["blame", "last", "NEEDLE", "--json", "--store", store])
    assert [one["nowhere"] for one in json.loads(capsys.readouterr().out)["segments"]] == ["cut"]
    main(["blame", "last", "start", "--json", "--store", store])
    assert [one["nowhere"] for one in json.loads(capsys.readouterr().out)["segments"]] == [None]
    main(["show", "last", "--store", store])
    assert "B, cut down)" in capsys.readouterr().out
    notes = [
        finding for finding in becausal.open(store).last().findings if "max_payload_bytes" in finding.message
    ]
    assert [note.severity for note in notes] == ["note"]


def test_what_a_run_beyond_its_bound_left_out_is_not_put_down_to_capture(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    becausal.instrument(store=store, max_run_bytes=10)
    with becausal.chain("request " * 9) as request:
        request.returned("answer " * 9)
    becausal.flush()
    becausal.uninstrument()

    main(["blame", "last", "NEEDLE", "--store", store])
    said = " ".join(capsys.readouterr().out.split())
    assert "a larger max_run_bytes (BECAUSAL_MAX_RUN_BYTES)" in said
    assert "BECAUSAL_CAPTURE" not in said
    told = str([(finding.message, finding.evidence) for finding in becausal.open(store).last().findings])
    assert "not judged: the run was beyond max_run_bytes" in told
    assert "capture is digest" not in told
    main(["doctor", "--store", store])
    assert "raise max_run_bytes" in " ".join(capsys.readouterr().out.split())
