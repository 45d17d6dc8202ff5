"""What the SQLite store promises beyond what every store does: of its file, other processes and crashes."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import open_step

import becausal
from becausal import canonical, semconv
from becausal.errors import StoreError, StoreFormatError
from becausal.payload import Payload
from becausal.step import OpenStep
from becausal.store import Store, open_store
from becausal.store.encoding import PACKED, SHAPED, Packer, json_text, number_of, shapes, unpack
from becausal.store.sqlite import file, row
from becausal.store.sqlite.attributes import attributes_of
from becausal.store.sqlite.bodies import Unpacker

posix = pytest.mark.skipif(os.name != "posix", reason="file modes and fork are POSIX's")


def step(number: int, chain: str = "c1") -> OpenStep:
    made = open_step(number, chain_id=chain, name="planner", agent="planner")
    made.ended_ns, made.status = number + 1, "ok"
    return made


@pytest.fixture
def opened() -> Iterator[Callable[..., Store]]:
    """Open stores that are closed after the test."""
    stores: list[Store] = []

    def open_and_note(path: Path, **options: bool) -> Store:
        stores.append(open_store(f"sqlite:///{path}", **options))
        return stores[-1]

    yield open_and_note
    for store in stores:
        store.close()


# The file.


@posix
def test_only_its_owner_can_read_the_file_and_what_lies_beside_it(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path / "new" / "runs.db").write([step(1)])
    finally:
        os.umask(before)

    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "new").iterdir()}
    assert modes == {"runs.db": 0o600, "runs.db-wal": 0o600, "runs.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_the_default_directory_is_made_invisible_to_git(
    tmp_path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)

    opened(Path(".becausal/becausal.db"))
    opened(Path("there/becausal.db"))

    assert Path(".becausal/.gitignore").read_text(encoding="utf-8") == "*\n"
    assert not Path("there/.gitignore").exists()


def test_the_file_stays_the_same_when_the_app_changes_its_directory(
    tmp_path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = opened(Path("runs.db"))

    monkeypatch.chdir(tmp_path / "elsewhere")
    store.write([step(1)])

    assert len(store.load("c1")) == 1
    assert list(Path().iterdir()) == []


def test_a_path_may_hold_what_means_something_in_a_url(tmp_path: Path, opened: Callable[..., Store]) -> None:
    odd = tmp_path / "100%20 ?mode=ro#x é.db"

    opened(odd).write([step(1)])

    assert odd.exists()
    assert len(opened(odd, read_only=True).load("c1")) == 1


def test_a_commit_is_flushed_to_the_disk_and_readers_are_not_locked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: list[object] = []
    real = sqlite3.connect

    def spy(*args: object, **options: object) -> sqlite3.Connection:
        connections.append(real(*args, **options))  # type: ignore[call-overload]
        return connections[-1]

    connections: list[sqlite3.Connection] = []
    monkeypatch.setattr(sqlite3, "connect", spy)
    store = open_store(f"sqlite:///{tmp_path}/runs.db")
    for pragma in ("journal_mode", "synchronous", "wal_autocheckpoint", "busy_timeout"):
        settings += connections[0].execute(f"PRAGMA {pragma}").fetchone()
    store.close()

    assert settings == ["wal", 2, 20_000, 30_000]


def test_closing_leaves_one_file(tmp_path: Path, opened: Callable[..., Store]) -> None:
    store = opened(tmp_path / "runs.db")
    store.write([step(1)])
    store.load("c1")

    store.close()

    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


def test_the_first_step_with_a_digest_is_found_by_index_alone(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    opened(tmp_path / "runs.db").close()
    plans = []
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        for column in ("received", "produced"):
            query = f"SELECT chain_no, step_id FROM steps WHERE {column} = ? ORDER BY started_ns LIMIT 1"
            plans += connection.execute(f"EXPLAIN QUERY PLAN {query}", (1,)).fetchall()
    connection.close()

    assert [plan[-1] for plan in plans] == [
        "SEARCH steps USING COVERING INDEX steps_received (received=?)",
        "SEARCH steps USING COVERING INDEX steps_produced (produced=?)",
    ]


def test_bodies_are_compressed_together_and_what_cannot_be_compressed_is_kept_as_it_is(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    store = opened(tmp_path / "runs.db")
    noise = os.urandom(4000)
    given = [
        [(b"l" * 16, b"word " * 2000), (b"s" * 16, b"word"), (b"e" * 16, b"")],
        [(b"n" * 16, noise)],
    ]

    for number, bodies in enumerate(given, 1):
        written = step(number)
        written.bodies = bodies
        store.write([written])

    assert all(store.body(digest) == body for bodies in given for digest, body in bodies)
    store.close()
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        found = connection.execute("SELECT bodies, size, codec, data FROM packs ORDER BY pack_no").fetchall()
        sizes = dict(connection.execute("SELECT digest, size FROM blobs"))
        (alone,) = connection.execute("SELECT codec, data FROM blobs WHERE digest = ?", (b"n" * 16,))
    connection.close()
    assert found[0][:3] == (3, 10_004, 1)
    assert len(found[0][3]) < 100
    assert found[1:] == []  # what has no company needs no pack
    assert alone == (0, noise)
    assert sizes == {b"l" * 16: 10_000, b"s" * 16: 4, b"e" * 16: 0, b"n" * 16: 4000}


def test_a_body_that_another_process_wrote_meanwhile_is_there_once(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    one, other = opened(tmp_path / "runs.db"), opened(tmp_path / "runs.db")
    bodies = [(bytes([number]) * 16, b"word " * (50 + number)) for number in range(9)]
    first, second = step(1), step(2)
    first.bodies, second.bodies = bodies[2:4], bodies

    one.write([first])
    other.write([second])  # it knows of none of them yet

    assert [one.body(digest) for digest, _ in bodies] == [body for _, body in bodies]
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        kept = connection.execute("SELECT size FROM packs ORDER BY pack_no").fetchall()
    connection.close()
    assert sum(size for (size,) in kept) == sum(len(body) for _, body in bodies)


# What cannot be opened, and what is said then.


@pytest.mark.parametrize("options", [{"read_only": True}, {"create": False}])
def test_what_is_not_there_is_not_made_by_looking_for_it(tmp_path: Path, options: dict[str, bool]) -> None:
    with pytest.raises(StoreError, match=r"no run has been recorded there yet.*becausal\.instrument"):
        open_store(f"sqlite:///{tmp_path}/nowhere/runs.db", **options)

    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_as_good_as_none(tmp_path: Path, opened: Callable[..., Store]) -> None:
    path = tmp_path / "runs.db"
    path.touch()

    with pytest.raises(StoreError, match="no run has been recorded there yet"):
        opened(path, read_only=True)
    assert path.stat().st_size == 0

    opened(path).write([step(1)])
    assert len(opened(path, read_only=True).load("c1")) == 1


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("mysql://host/db", "no store for mysql:// yet; use sqlite:///PATH or postgresql://HOST/DATABASE"),
        ("sqlite://runs.db", "three slashes"),
        ("sqlite:///", "names no file"),
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str, advice: str) -> None:
    with pytest.raises(StoreError, match=advice):
        open_store(url)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for below in ("file/runs.db", "file/deeper/runs.db"):
        with pytest.raises(StoreError, match=r"is a file, not a directory.*another path"):
            open_store(f"sqlite:///{tmp_path}/{below}")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory; name a file in it"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_directory_that_may_not_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(StoreError, match=r"Permission denied.*BECAUSAL_STORE"):
        open_store(f"sqlite:///{tmp_path}/closed/runs.db")


@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"create": False}])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_somebody_elses_database_is_left_untouched(
    tmp_path: Path, mode: str, options: dict[str, bool]
) -> None:
    path = tmp_path / "theirs.db"
    theirs = sqlite3.connect(path)
    theirs.execute(f"PRAGMA journal_mode = {mode}")
    theirs.execute("CREATE TABLE meta(key TEXT, value TEXT)")
    theirs.commit()
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    with pytest.raises(StoreFormatError, match="not one of becausal's; it was left as it is"):
        open_store(f"sqlite:///{path}", **options)

    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    theirs.close()


def test_a_file_that_is_no_database_is_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary", encoding="utf-8")

    with pytest.raises(StoreFormatError, match="no SQLite database"):
        open_store(f"sqlite:///{path}")

    assert path.read_text(encoding="utf-8") == "dear diary"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_format_is_refused_by_its_number(
    tmp_path: Path, opened: Callable[..., Store], read_only: bool
) -> None:
    opened(tmp_path / "runs.db").close()
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    connection.close()

    with pytest.raises(StoreFormatError, match=r"newer becausal \(format 99\); this one reads up to 7: pip"):
        opened(tmp_path / "runs.db", read_only=read_only)


def test_a_file_of_the_first_format_is_upgraded_and_keeps_what_it_has(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    path = tmp_path / "runs.db"
    store = opened(path)
    store.write([step(1)])
    store.close()
    with sqlite3.connect(path) as connection:  # as the first release made it
        connection.executescript(
            """DROP TABLE anchors; DROP TABLE memory_events; DROP TABLE memory_reads;
            DROP TABLE marks; DROP TABLE erasures; DROP TABLE sweeps; DROP TABLE touched; DROP TABLE packs;
            UPDATE meta SET value = '1' WHERE key = 'format'"""
        )
    connection.close()

    assert [kept.id for kept in opened(path, read_only=True).load("c1")] == [step(1).id]
    anchored = step(2)
    anchored.anchors = ["checkpoint 7"]
    again = opened(path)
    again.write([anchored])
    found = again.anchored("checkpoint 7")
    assert found is not None
    assert found.id == anchored.id
    assert again.describe().format == file.FORMAT


def as_the_sixth(connection: sqlite3.Connection) -> None:
    """Make a file what it was up to the sixth format: each body by itself, and all names written out."""
    packer, unpacker = Packer(), Unpacker(connection)
    for (number,) in connection.execute(f"SELECT blob_no FROM blobs WHERE codec = {PACKED}").fetchall():
        body = unpacker.numbered(number)
        assert body is not None
        query = "UPDATE blobs SET size = ?, codec = ?, data = ? WHERE blob_no = ?"
        connection.execute(query, (*packer.pack(body), number))
    connection.execute("DROP TABLE packs")
    for text, *step_of in connection.execute("SELECT attributes, chain_no, step_id FROM steps").fetchall():
        plain = None if text is None else json_text(attributes_of(text))
        connection.execute(
            "UPDATE steps SET attributes = ? WHERE chain_no = ? AND step_id = ?", (plain, *step_of)
        )


def test_a_file_of_the_sixth_format_keeps_its_bodies_and_packs_those_that_come(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    path = tmp_path / "runs.db"
    bodies = [(bytes([number]) * 16, b"word " * (50 + number)) for number in range(6)]
    made = [step(number) for number in (1, 2)]
    made[0].bodies, made[1].bodies = bodies[:3], bodies
    store = opened(path)
    store.write(made[:1])
    store.close()
    with sqlite3.connect(path) as connection:  # as the sixth format was
        as_the_sixth(connection)
        connection.execute("UPDATE meta SET value = '6' WHERE key = 'format'")
    connection.close()

    former = opened(path, read_only=True)
    assert [former.body(digest) for digest, _ in bodies[:3]] == [body for _, body in bodies[:3]]
    store = opened(path)
    store.write(made[1:])
    assert [former.body(digest) for digest, _ in bodies] == [body for _, body in bodies]
    assert store.describe().format == file.FORMAT
    with sqlite3.connect(path) as connection:
        packed = connection.execute(f"SELECT digest FROM blobs WHERE codec = {PACKED} ORDER BY 1").fetchall()
    connection.close()
    assert packed == [(digest,) for digest, _ in bodies[3:]]


def test_a_file_of_the_second_format_gains_the_order_of_its_memories_and_keeps_their_log(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    path = tmp_path / "runs.db"
    memory = becausal.Memory("plan", store=path)
    memory.write("budget", 500)
    memory.close()
    with sqlite3.connect(path) as connection:  # as the second release made it
        as_the_sixth(connection)
        connection.executescript("""DROP INDEX memory_order; DROP TABLE marks; DROP TABLE erasures;
            DROP TABLE sweeps; DROP TABLE touched;
            UPDATE meta SET value = '2' WHERE key = 'format'""")
    connection.close()

    assert [event.version for event in opened(path, read_only=True).memory_events("plan", "budget")] == [1]
    memory = becausal.Memory("plan", store=path)
    memory.write("budget", 600)
    assert (memory.read("budget"), memory.verify()) == (600, None)
    memory.close()
    with sqlite3.connect(path) as connection:
        (row,) = connection.execute(
            "EXPLAIN QUERY PLAN SELECT max(seq) FROM memory_events WHERE memory = 'plan'"
        )
        assert "memory_order" in row[3]
    connection.close()


def test_damage_is_told_with_its_place_and_what_to_do(tmp_path: Path, opened: Callable[..., Store]) -> None:
    path = tmp_path / "runs.db"
    store = opened(path)
    store.write([step(number) for number in range(1, 2000)])
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:40_960] + b"\xff" * (len(whole) - 40_960))

    with pytest.raises(
        StoreFormatError, match=r"runs\.db is damaged: .*chain c1 failed.*move it away"
    ) as told:
        opened(path, read_only=True).load("c1")

    assert isinstance(told.value.__cause__, sqlite3.DatabaseError)


@pytest.mark.parametrize("table", ["blobs", "packs"])
def test_a_damaged_body_is_told_too(tmp_path: Path, opened: Callable[..., Store], table: str) -> None:
    store = opened(tmp_path / "runs.db")
    written = step(1)
    written.bodies = [(b"d" * 16, b"word " * 2000), (b"e" * 16, b"in its company")][: 1 + (table == "packs")]
    store.write([written])
    store.close()
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        connection.execute(f"UPDATE {table} SET data = x'00ff'")
    connection.close()

    with pytest.raises(StoreFormatError, match=f"damaged: reading the body {b'd'.hex() * 16}"):
        opened(tmp_path / "runs.db", read_only=True).body(b"d" * 16)


IDS = st.lists(
    st.one_of(
        st.integers(0, (1 << 64) - 1).map(lambda number: f"{number:016x}"),
        st.integers(0, (1 << 64) - 1).map(lambda number: f"{number:X}"),
        st.sampled_from(
            ("ffffffffffffffff", "8000000000000000", " 1234567890abcde", "0x1234567890abcd", "1_2", "٣" * 16)
        ),
    ),
    max_size=9,
)


@given(IDS)
def test_ids_are_the_same_numbers_all_at_once_and_one_by_one(ids: list[str]) -> None:
    numbers = row.numbers_of(ids)
    assert [numbers[id] for id in ids] == [number_of(id) for id in ids]


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=9))
def test_digests_are_read_the_same_all_at_once_and_one_by_one(digests: list[bytes]) -> None:
    texts = list(map(canonical.digest_text, digests))
    assert canonical.parse_digests(texts) == digests

    odd = canonical.PREFIX + "11 " * 10 + "11"  # of as many letters, which Python reads as fewer bytes
    assert canonical.parse_digests([*texts, odd]) == [*digests, canonical.parse_digest(odd)]
    for wrong in ("", canonical.PREFIX, canonical.PREFIX + "g" * 32, "0" * 41, canonical.PREFIX + "0" * 33):
        with pytest.raises(ValueError, match=r"digest|hex"):
            canonical.parse_digests([*texts, wrong])


# Reading only.


def test_reading_only_changes_nothing(tmp_path: Path, opened: Callable[..., Store]) -> None:
    path = tmp_path / "runs.db"
    store = opened(path)
    store.write([step(1)])
    store.close()
    before = path.read_bytes()

    reader = opened(path, read_only=True)
    assert len(reader.load("c1")) == 1
    with pytest.raises(StoreError, match="opened to read only"):
        reader.write([step(2)])
    reader.close()

    assert path.read_bytes() == before


def test_a_reader_sees_what_is_written_while_it_is_open(tmp_path: Path, opened: Callable[..., Store]) -> None:
    writer = opened(tmp_path / "runs.db")
    reader = opened(tmp_path / "runs.db", read_only=True)
    assert reader.load("c1") == []

    writer.write([step(1)])

    assert len(reader.load("c1")) == 1


@posix
def test_a_store_on_a_medium_that_cannot_be_written_can_be_read(
    tmp_path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "medium"
    store = opened(folder / "runs.db")
    store.write([step(1)])
    store.close()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("root may write everywhere")

    assert len(opened(folder / "runs.db", read_only=True).load("c1")) == 1

    folder.chmod(0o755)
    assert [each.name for each in folder.iterdir()] == ["runs.db"]


# Other processes, and crashes.


def test_two_processes_that_make_the_file_at_once_make_it_once(
    tmp_path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = file.begin

    def overtaken(connection: sqlite3.Connection) -> None:
        monkeypatch.undo()
        opened(tmp_path / "runs.db").write([step(1)])
        begin(connection)

    monkeypatch.setattr(file, "begin", overtaken)
    late = opened(tmp_path / "runs.db")

    assert len(late.load("c1")) == 1


@posix
def test_a_child_is_not_stopped_by_a_lock_that_another_thread_held_at_the_fork(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    store = opened(tmp_path / "runs.db")
    store.write([step(1)])

    # As if it forked in the middle of a batch of the writer's thread.
    with store._writing() as writer:  # type: ignore[attr-defined]
        writer._names["never committed"] = 999
        child = os.fork()
        if child == 0:
            status = 1
            try:
                late = step(2)
                late.name = "never committed"
                store.write([late])
                status = 0 if [s.name for s in store.load("c1")] == ["planner", "never committed"] else 2
            finally:
                os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_another_process_wrote_is_not_written_again(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    first, second = opened(tmp_path / "runs.db"), opened(tmp_path / "runs.db")
    for number, store in enumerate([first, second, first], start=1):
        digest = canonical.digest_text(b"p" * 16)
        written = step(number)
        written.received = Payload(digest, digest, 4, "builtins.str")
        written.bodies = [(b"p" * 16, b"body")]
        store.write([written])

    about = second.describe()

    assert (about.chains, about.steps, about.bodies) == (1, 3, 1)


# Speed


def test_a_write_to_a_long_memory_costs_the_database_no_more_than_the_first(
    tmp_path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    instructions, connect = [0], sqlite3.connect

    def counting(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)  # type: ignore[call-overload]
        connection.set_progress_handler(lambda: instructions.__setitem__(0, instructions[0] + 1), 1)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counting)
    store = opened(tmp_path / "becausal.db")

    def cost_of(number: int) -> int:
        write = step(number)
        write.kind = "memory_write"
        write.attributes = {
            semconv.MEMORY_STORE: "state",
            semconv.MEMORY_RECORD: "draft",
            semconv.MEMORY_VERSION: number,
        }
        before = instructions[0]
        store.write([write])
        return instructions[0] - before

    costs = [cost_of(number) for number in range(1, 400)]

    assert max(costs[-20:]) < 1.3 * max(costs[2:20])


def test_a_number_that_is_none_is_its_text_and_costs_the_step_nothing_when_it_is_completed(
    tmp_path: Path, opened: Callable[..., Store]
) -> None:
    store = opened(tmp_path / "runs.db")
    half = step(1)
    half.attributes = {"score": float("nan"), "most": float("inf"), "rows": ("a",), "share": 0.5}
    store.write([half])
    half.attributes = {**half.attributes, "later": True}
    store.write([half])

    (kept,) = store.load("c1")
    assert kept.attributes == {"score": "nan", "most": "inf", "rows": ("a",), "share": 0.5, "later": True}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_attributes_are_written_as_the_json_of_the_standard_library(value: object) -> None:
    plain = json.JSONEncoder(separators=(",", ":"), default=str, allow_nan=False)
    try:
        wanted = plain.encode(value)
    except ValueError:  # a number that JSON has no word for
        return

    assert json_text(value) == wanted


@given(st.binary(max_size=40), st.integers(0, 1000))
def test_a_body_is_read_as_it_was_written_however_small_or_large(piece: bytes, times: int) -> None:
    body = piece * times

    size, codec, data = Packer().pack(body)

    assert size == len(body)
    assert len(data) <= size
    assert unpack(codec, data) == body


def test_the_dictionary_that_stores_were_written_by_never_changes() -> None:
    made = hashlib.sha256(shapes().as_bytes()).hexdigest()

    assert made == "59af87a10d48bf801a0d39daba174d9a17b2f96407d9e3a9429984be69fb5a9c"
    compressed = bytes.fromhex(
        "28b52ffd20e4250100a380016eb9d8af0ea30afc245e71f322495ae27577386e1ccbff4444e73b56c39f601401"
    )
    assert unpack(SHAPED, compressed) == b"the answer of the assistant, as it was told to the user. " * 4
