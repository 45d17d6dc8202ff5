"""What is erased is in no byte of the store; everything else stands as before, and answers."""

from __future__ import annotations

import base64
import json
import logging
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import Record

import becausal
from becausal import canonical
from becausal.errors import StoreError
from becausal.memory_event import MemoryEvent, NewEvent
from becausal.payload import Payload
from becausal.store import open_store
from becausal.store.encoding import unpack
from becausal.store.sqlite.bodies import Unpacker
from becausal.store.sqlite.write import Writer
from becausal.store.upkeep import Erased, Erasure, Unread, upkeep_of
from becausal.store.wording import Rewriting, Wording

NAME = "José Müller-Nobody"
PHONE = 4915112345678


def forms(name: str) -> set[bytes]:
    """Return how a text may stand in a file: encoded, escaped, composed or not, in either case."""
    texts = {name, name.upper(), name.lower(), unicodedata.normalize("NFD", name)}
    texts |= {json.dumps(text)[1:-1] for text in texts} | {
        json.dumps(json.dumps(text))[3:-3] for text in texts
    }
    return {text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le", "utf-16-be")}


def bytes_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all bytes of a store: of its files, and of every body in it, unpacked."""
    for file in path.parent.iterdir():
        if file.name.startswith(path.name):
            yield file.name, file.read_bytes()
    with sqlite3.connect(path) as connection:
        for number, codec, data in connection.execute("SELECT pack_no, codec, data FROM packs"):
            yield f"pack {number}", unpack(codec, data)
        unpacker = Unpacker(connection)
        query = "SELECT blob_no, size, codec, data FROM blobs WHERE codec IS NOT NULL"
        for row in connection.execute(query):
            yield f"body {row[0]}", unpacker.body_of(*row) or b""
    connection.close()


def found_in(path: Path, needles: set[bytes]) -> list[str]:
    return [where for where, data in bytes_of(path) for needle in needles if needle in data]


@pytest.fixture
def path(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


@pytest.fixture
def told(store: str, path: Path) -> Callable[..., Erased]:
    """Erase from the store of a run that told a name in every place that there is; give what was erased."""
    becausal.instrument(store=store)
    memory = becausal.Memory("people")
    long = "The report is long enough to be kept as a part of its own. " * 20
    with becausal.chain(f"who is {NAME}", id=f"for-{NAME}") as chain:
        with becausal.agent("finder", received={"question": f"who is {NAME}?", "note": long}) as step:
            logging.getLogger("app").warning("looking for %s", NAME)
            step.decide(f"call find({NAME})", because=[NAME], reason=f"{NAME} was asked for")
            memory.write(NAME, {"name": NAME, "phone": PHONE, "file": long + NAME}, reason=f"{NAME} said so")
            memory.write("city", "Bern")
            memory.read(NAME)

            @becausal.tool
            def find(arguments: str, raw: bytes) -> dict[str, object]:
                return {"found": [arguments], "nested": {NAME: [{"deep": long + NAME}]}, "phone": PHONE}

            find(json.dumps({"q": json.dumps(NAME)}), NAME.encode("utf-16-le"))
            message = {"type": "human", "content": f"{NAME} again", "id": "run--0123", "name": None}
            with becausal.agent("listener", received={"messages": [message]}):
                pass
            with pytest.raises(ValueError, match="unknown"), becausal.agent(NAME, received=NAME):
                raise ValueError(f"{NAME.upper()} is unknown")
            step.returned({"answer": f"{unicodedata.normalize('NFD', NAME)} lives in Bern", "note": long})
        assert NAME in str(chain.chain_id)
    memory.close()
    assert becausal.flush()
    becausal.uninstrument()
    before = found_in(path, forms(NAME))
    assert len(set(before)) > 3

    def erase(**what: object) -> Erased:
        opened = open_store(store)
        upkeep = upkeep_of(opened)
        assert upkeep is not None
        done = upkeep.erase(Erasure(**what))  # type: ignore[arg-type]
        opened.close()
        return done

    return erase


def test_an_erased_text_is_in_no_byte_of_the_store(path: Path, told: Callable[..., Erased]) -> None:
    done = told(texts=(NAME, str(PHONE)))

    assert found_in(path, forms(NAME)) == []
    assert found_in(path, {str(PHONE).encode(), PHONE.to_bytes(8, "big")}) == []
    assert {"contents", "names", "errors", "attributes", "decisions", "keys", "runs", "memory"} <= set(
        done.places
    )


def test_the_runs_load_and_answer_as_before(store: str, told: Callable[..., Erased]) -> None:
    [before] = [becausal.open(store).get(info.chain_id) for info in becausal.open(store).list()]
    shape = [(step.id, step.kind, step.parent_id, step.status) for step in before.steps]
    edges = [(edge.source.id, edge.target.id, edge.kind) for edge in before.edges]

    done = told(texts=(NAME, str(PHONE)))

    runs = becausal.open(store)
    run = runs.last()
    assert done.chain_ids == (run.chain_id,)
    assert [(step.id, step.kind, step.parent_id, step.status) for step in run.steps] == shape
    assert [(edge.source.id, edge.target.id, edge.kind) for edge in run.edges] == edges
    assert run.output is not None
    assert re.search(r"\[erased [0-9a-f]{8}\] lives in Bern", run.output.text())
    for answer in (run.why, run.blame, run.root_cause, run.drift, run.report):
        assert answer() is not None
    assert (run.findings, run.health, run.decisions, run.logs) is not None
    assert run.logs[0].text.startswith("looking for [erased ")
    runs.close()


def test_what_is_erased_is_followed_by_its_number_as_it_was_by_its_name(
    store: str, told: Callable[..., Erased]
) -> None:
    told(texts=(NAME,))

    run = becausal.open(store).last()
    assert run.output is not None
    [mark] = re.findall(r"\[erased [0-9a-f]{8}\]", run.output.text())
    [request] = [step for step in run.steps if step.name == "finder"]
    assert request.received is not None
    assert mark in request.received.text()


def test_the_memory_log_verifies_after_an_erasure_and_goes_on(
    store: str, told: Callable[..., Erased]
) -> None:
    told(texts=(NAME, str(PHONE)))

    memory = becausal.Memory("people", store=store)
    assert memory.verify() is None
    assert memory.read("city") == "Bern"
    memory.write("city", "Basel")
    assert memory.verify() is None
    memory.close()
    with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE memory_events SET reason = 'forged' WHERE key = 'city' AND version = 1")
    connection.close()
    memory = becausal.Memory("people", store=store)
    assert memory.verify() is not None
    memory.close()


def test_an_erased_event_cannot_be_taken_out_of_the_log_unseen(
    store: str, told: Callable[..., Erased]
) -> None:
    told(texts=(NAME,))

    with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM memory_events WHERE key LIKE '[erased%'")
    connection.close()
    memory = becausal.Memory("people", store=store)
    assert memory.verify() is not None
    memory.close()


def test_no_digest_of_what_was_erased_is_left_to_be_guessed_from(
    store: str, path: Path, told: Callable[..., Erased]
) -> None:
    digests = {
        canonical.parse_digest(digest)
        for info in becausal.open(store).list()
        for step in becausal.open(store).get(info.chain_id).steps
        for side in (step.received, step.produced)
        if side is not None and ("Müller" in unicodedata.normalize("NFC", side.text()))
        for digest in (side.digest, side.belief)
    }
    assert len(digests) > 4
    assert any(
        side.belief != side.digest
        for step in becausal.open(store).last().steps
        for side in (step.received,)
        if side
    )

    told(texts=(NAME,))

    assert found_in(path, digests | {digest.hex().encode() for digest in digests}) == []


def test_a_content_is_erased_whole_where_that_is_asked(
    store: str, path: Path, told: Callable[..., Erased]
) -> None:
    told(texts=(NAME,), whole=True)

    run = becausal.open(store).last()
    assert run.output is not None
    assert not run.output.is_kept
    with pytest.raises(LookupError, match="erased"):
        run.output.value()
    assert found_in(path, {b"lives in Bern"}) == []
    assert (run.findings, run.health) is not None


def test_a_keys_data_is_erased_wherever_it_stands(
    store: str, path: Path, told: Callable[..., Erased]
) -> None:
    told(memory=("people", NAME))

    memory = becausal.Memory("people", store=store)
    assert memory.verify() is None
    assert [event.payload and event.payload.is_kept for event in memory.history(NAME)] == [False]
    assert memory.read("city") == "Bern"
    memory.close()


def test_a_run_is_emptied_and_keeps_its_shape(store: str, path: Path, told: Callable[..., Erased]) -> None:
    [info] = becausal.open(store).list()

    told(chain_id=info.chain_id)

    run = becausal.open(store).last()
    assert len(run.steps) == info.steps
    assert all(not side.is_kept for step in run.steps for side in (step.received, step.produced) if side)
    assert run.logs == ()
    assert (run.findings, run.health, run.why(), run.blame()) is not None
    memory = becausal.Memory("people", store=store)
    assert memory.verify() is None
    memory.close()
    said = {b"The report is long enough", b"lives in Bern", b"who is", b"said so", b"city"}
    assert found_in(path, said) == []


def test_an_erased_run_travels_in_a_cassette_and_says_nothing_there_either(
    store: str, told: Callable[..., Erased], tmp_path: Path
) -> None:
    told(texts=(NAME, str(PHONE)))
    run = becausal.open(store).last()

    file = run.export(tmp_path / "run.becausal")

    copied = becausal.open(file).last()
    assert [step.received for step in copied.steps] == [step.received for step in run.steps]
    assert [finding.kind for finding in copied.findings] == [finding.kind for finding in run.findings]
    assert all(
        NAME not in (side.text()) for step in copied.steps for side in (step.received, step.produced) if side
    )


def test_two_contents_that_differed_in_what_is_erased_become_one(store: str) -> None:
    becausal.instrument(store=store)
    for number, name in enumerate(("Jane Doe", "JANE DOE", "jane\u00a0doe")):
        with (
            becausal.chain(f"run {number}", id=f"run{number}"),
            becausal.agent("a", received=[f"{name} called"]),
        ):
            pass
    becausal.flush()
    becausal.uninstrument()

    becausal.open(store).erase("Jane Doe")

    runs = becausal.open(store)
    texts = [runs.get(f"run{number}").step("a").received.text() for number in range(3)]  # type: ignore[union-attr]
    assert len(set(texts)) == 1
    assert "called" in texts[0]
    runs.close()


def test_parts_within_parts_are_erased_inside_out_and_shared_by_runs_as_before(store: str) -> None:
    becausal.instrument(store=store)
    inner = {"role": "user", "content": "My name is Jane Doe. " * 40, "type": "human"}
    for number in range(2):
        deep = {"level": {"level": {"messages": [inner], "pad": "x" * 600}, "pad": "y" * 600}, "n": number}
        with becausal.chain(f"run {number}", id=f"run{number}"), becausal.agent("a", received=deep):
            pass
        with becausal.chain(f"alone {number}", id=f"alone{number}"), becausal.agent("a", received=[inner]):
            pass
    becausal.flush()
    becausal.uninstrument()

    becausal.open(store).erase("Jane Doe")

    runs = becausal.open(store)
    deeps = [runs.get(f"run{number}").step("a").received for number in range(2)]
    alone = [runs.get(f"alone{number}").step("a").received for number in range(2)]
    assert all("My name is [erased" in payload.text() for payload in (*deeps, *alone) if payload)
    assert alone[0] == alone[1]
    for payload in (*deeps, *alone):
        assert payload is not None
        body = payload.bodies.body(canonical.parse_digest(payload.digest))  # type: ignore[union-attr]
        assert body is not None
        assert canonical.wire.digest_of(body) == canonical.parse_digest(payload.digest)
    runs.close()


def test_a_whole_that_was_stored_before_its_part_is_erased_all_the_same(store: str) -> None:
    opened = open_store(store)
    encoded = canonical.encode({"short": "Jane Doe", "long": "Jane Doe said so. " * 60})
    assert len(encoded.parts) == 1
    record = Record("a" * 32)
    for bodies in ([(encoded.digest, encoded.body)], list(encoded.parts)):
        step = record.did("tool", "t", "in", "out").step
        digest = canonical.digest_text(encoded.digest)
        step.received, step.bodies = Payload(digest, digest, encoded.size, "builtins.dict"), bodies
        opened.write([step])

    opened.upkeep().erase(Erasure(("Jane Doe",)))  # type: ignore[attr-defined]

    for read in opened.load("a" * 32):
        assert read.received is not None
        value = read.received.value()
        assert str(value).count("[erased ") == 61
    opened.close()


def test_what_was_deleted_before_is_gone_from_the_free_space_as_well(store: str, path: Path) -> None:
    opened = open_store(store)
    for number in range(20):
        record = Record(f"{number:032x}")
        record.did("tool", f"of Jane Doe {number}", "Jane Doe", "called")
        opened.write(record.made)
    opened.close()
    with sqlite3.connect(path) as connection:  # some builds of SQLite overwrite what they free, others do not
        connection.executescript("PRAGMA secure_delete = OFF; CREATE TABLE former(said); DROP TABLE former")
        connection.execute("CREATE TABLE former(said)")
        connection.executemany("INSERT INTO former VALUES (?)", [("Jane Doe " * 100,)] * 50)
        connection.commit()
        connection.execute("DROP TABLE former")
    connection.close()
    assert found_in(path, forms("Jane Doe"))
    runs = becausal.open(store)

    runs.erase("Jane Doe")

    assert found_in(path, forms("Jane Doe")) == []
    runs.close()


def test_what_was_read_before_it_was_erased_cannot_be_read_again(store: str) -> None:
    memory = becausal.Memory("people", store=store)
    memory.write("name", "Jane Doe")
    opened = open_store(store)
    [event] = opened.memory_events("people", "name")
    assert event.payload is not None
    assert event.payload.value() == "Jane Doe"

    opened.erase("people", "name")

    assert not event.payload.is_kept
    memory.close()
    opened.close()


def test_a_dry_run_counts_the_same_and_changes_nothing(
    store: str, path: Path, told: Callable[..., Erased]
) -> None:
    opened = open_store(store)
    upkeep = upkeep_of(opened)
    assert upkeep is not None
    before = found_in(path, forms(NAME))

    foreseen = upkeep.erase(Erasure((NAME,)), dry_run=True)

    assert found_in(path, forms(NAME)) == before
    assert upkeep.erasures() == []
    opened.close()
    assert foreseen.places == told(texts=(NAME,)).places


def test_an_erasure_is_noted_without_what_was_erased(store: str, told: Callable[..., Erased]) -> None:
    done = told(texts=(NAME,), reason="ticket 4711")

    opened = open_store(store)
    upkeep = upkeep_of(opened)
    assert upkeep is not None
    assert upkeep.erasures() == [done]
    assert done.reason == "ticket 4711"
    opened.close()


def test_an_event_whose_content_another_process_erases_at_once_was_appended_all_the_same(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = open_store(store), open_store(store)
    append = Writer.append

    def erased_at_once(*given: Any) -> MemoryEvent | None:
        event = append(*given)
        theirs.erase("notes", "plan")
        return event

    monkeypatch.setattr(Writer, "append", erased_at_once)
    content = canonical.encode("a plan")
    text = canonical.digest_text(content.digest)
    event = NewEvent("notes", "plan", "write", 1, 2, Payload(text, text, content.size, "str"))
    made = ours.append(event, {content.digest: content.body})

    assert made is not None
    assert made.version == 1
    assert made.payload is not None
    assert not made.payload.is_kept  # gone by the time that it is asked for
    ours.close()
    theirs.close()


def test_that_a_damaged_content_cannot_be_looked_through_is_told_with_its_run_and_step(
    store: str, path: Path
) -> None:
    opened = open_store(store)
    made = Record("a" * 32).did("tool", "t", "in " * 99, "out " * 99).step
    opened.write([made])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE packs SET data = x'28b52ffd'")
    connection.close()
    upkeep = upkeep_of(opened)
    assert upkeep is not None

    erased = upkeep.erase(Erasure(texts=("Ada Lovelace",)))

    assert (erased.total, erased.unread) == (0, (Unread("a content", "a" * 32, (made.id,)),))
    opened.close()


def test_what_another_process_remembers_of_the_store_is_forgotten(store: str, tmp_path: Path) -> None:
    writer, other = open_store(store), open_store(store)
    becausal.instrument(store=store)
    with becausal.chain("first"), becausal.agent("a", received="Jane Doe " + "x" * 600):
        pass
    becausal.flush()
    [info] = other.chains()
    run = other.load(info.chain_id)
    upkeep = upkeep_of(writer)
    assert upkeep is not None
    upkeep.erase(Erasure(("Jane Doe",)))

    with becausal.chain("second"), becausal.agent("a", received="Jane Doe " + "x" * 600):
        pass
    becausal.flush()
    becausal.uninstrument()

    assert len(run) == 2
    [again, _] = [becausal.open(store).get(info.chain_id) for info in other.chains()]
    assert again.steps[1].received is not None
    assert again.steps[1].received.value() == "Jane Doe " + "x" * 600
    other.close()
    writer.close()


@pytest.mark.parametrize("text", ["ab", " a ", ""])
def test_a_text_too_short_to_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="too short"):
        Wording([text])


@pytest.mark.parametrize(
    "written",
    [
        "Jane Doe",
        "JANE  doe",
        "jane\u00a0doe",
        "Jane\n  Doe",
        "q=Jane+Doe&x",
        "q=Jane%20Doe",
        json.dumps("Jane\tDoe"),
        "xJane Doex",
    ],
)
def test_a_text_is_found_however_it_is_written(written: str) -> None:
    assert Wording(["Jane Doe"]).is_in(written.encode())
    assert "Doe" not in Rewriting(Wording(["Jane Doe"]), {}).text(written)


def test_what_cannot_be_found_is_said_in_the_documentation() -> None:
    from becausal.store import wording

    assert not Wording(["Jane Doe"]).is_in(base64.b64encode(b"Jane Doe"))
    assert "base64" in (wording.__doc__ or "")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_a_body_without_the_text_stays_as_it_is_byte_by_byte(value: object) -> None:
    encoded = canonical.encode(value)

    for body in (encoded.body, *(part for _, part in encoded.parts)):
        assert Rewriting(Wording(["never said by anybody"]), {}).body(body) == body


@given(VALUES, st.text("abcé \n", max_size=5))
def test_a_text_put_anywhere_in_a_value_is_found_and_taken_out(value: object, around: str) -> None:
    encoded = canonical.encode([value, {"key": (around + "Jane Doe" + around, {around + "JANE DOE": value})}])
    wording = Wording(["Jane Doe"])

    bodies = [encoded.body, *(part for _, part in encoded.parts)]
    assert any(wording.is_in(body) for body in bodies)
    assert not any(wording.is_in(Rewriting(wording, {}).body(body)) for body in bodies)
