"""Small bodies share frames; what is taken out of a store is in none of them, and the others stay as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import open_step

from becausal import canonical
from becausal.canonical.wire import digest_of
from becausal.errors import StoreFormatError
from becausal.payload import Payload
from becausal.step import OpenStep
from becausal.store import Store, open_store
from becausal.store.encoding import PACKED, Packer, unpack
from becausal.store.sqlite import file
from becausal.store.sqlite.bodies import Unpacker
from becausal.store.sqlite.packs import SIZE, Packing, tidy
from becausal.store.upkeep import Erasure, upkeep_of


def told(number: int, *bodies: bytes) -> OpenStep:
    """Return a step of a chain of its own that received bodies."""
    made = open_step(id=f"{number:016x}", chain_id=f"c{number}", seq=number)
    made.bodies = [(digest_of(body), body) for body in bodies]
    texts = [canonical.digest_text(digest) for digest, _ in made.bodies]
    payloads = [Payload(text, text, len(body), "str") for text, body in zip(texts, bodies, strict=True)]
    made.received, made.produced = payloads[0], payloads[-1]
    return made


def packed_in(path: Path) -> bytes:
    """Return all that the packs of a file hold."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT codec, data FROM packs ORDER BY pack_no").fetchall()
    connection.close()
    return b"".join(unpack(codec, data) for codec, data in found)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{path}")
    yield made
    made.close()


def test_what_is_swept_out_is_in_no_pack_and_the_others_are_whole(store: Store, path: Path) -> None:
    bodies = [b"body number %d " % number * 20 for number in range(12)]
    store.write([told(number, *bodies[2 * number : 2 * number + 2]) for number in range(6)])
    kept = [body for number, body in enumerate(bodies) if number // 2 not in (1, 4)]
    assert all(store.body(digest_of(body)) == body for body in kept)
    upkeep = upkeep_of(store)
    assert upkeep is not None

    upkeep.forget(["c1", "c4"])
    assert upkeep.sweep() == 4

    assert packed_in(path) == b"".join(kept)
    assert [store.body(digest_of(body)) for body in kept] == kept
    again = open_store(f"sqlite:///{path}", read_only=True)
    assert [again.body(digest_of(body)) for body in kept] == kept
    again.close()

    upkeep.forget([f"c{number}" for number in range(6)])
    upkeep.sweep()
    assert packed_in(path) == b""


def test_a_full_pack_is_closed_and_a_large_body_is_in_none(store: Store, path: Path) -> None:
    small = [b"%06d" % number * 1_000 for number in range(2 * SIZE // 6_000)]
    large = b"%06d" % 7 * 20_000
    store.write([told(1, *small, large)])

    with sqlite3.connect(path) as connection:
        sizes = [size for (size,) in connection.execute("SELECT size FROM packs")]
    connection.close()
    assert sum(sizes) == sum(map(len, small))
    assert max(sizes) < SIZE + 6_000
    assert len(sizes) == 2
    assert store.body(digest_of(large)) == large


@given(st.lists(st.binary(max_size=300), min_size=2, max_size=12, unique=True), st.data())
def test_whatever_is_taken_out_of_a_pack_the_rest_is_found(
    bodies: list[bytes], chance: st.DataObject
) -> None:
    connection, packer = file.in_memory(), Packer()
    packing = Packing(packer)
    for body in bodies:
        packing.add(digest_of(body), body)
    packing.finish()
    (pack,) = packing.packs
    connection.execute("INSERT INTO packs VALUES (?,?,?,?,?)", (1, len(bodies), *pack.packed))
    for number, (digest, packed) in enumerate(pack.places.items(), 1):
        row = (number, digest, None, None, None, None, *packed)
        connection.execute("INSERT INTO blobs VALUES (?,?,?,?,?,?,?,?,?)", row)
    unpacker = Unpacker(connection)
    left = list(bodies)

    while left:
        gone = chance.draw(st.lists(st.sampled_from(left), min_size=1, unique=True))
        connection.executemany("DELETE FROM blobs WHERE digest = ?", [(digest_of(body),) for body in gone])
        left = [body for body in left if body not in gone]
        tidy(connection, packer, [1])

        assert [unpacker.body(digest_of(body)) for body in left] == left
        held = connection.execute("SELECT codec, data FROM packs").fetchall()
        assert [unpack(*one) for one in held] == ([b"".join(left)] if left else [])
    connection.close()


def test_a_body_whose_row_has_another_pack_s_number_next_to_it_stays_in_its_own(
    store: Store, path: Path
) -> None:
    # The last numbers are given again once their bodies are gone, and then lie in the range of a former pack.
    bodies = [b"body number %d " % number * 20 for number in range(8)]
    store.write([told(1, *bodies[:2]), told(2, *bodies[2:5])])
    upkeep = upkeep_of(store)
    assert upkeep is not None
    upkeep.forget(["c2"])
    upkeep.sweep()
    store.write([told(3, *bodies[5:7]), told(4, bodies[7])])
    with sqlite3.connect(path) as connection:
        packs = connection.execute("SELECT pack_no, bodies FROM packs ORDER BY pack_no").fetchall()
        count = connection.execute(f"SELECT count(*) FROM blobs WHERE codec = {PACKED}").fetchone()
    connection.close()
    assert packs == [(1, 5), (3, 3)]
    assert count == (5,)

    upkeep.forget(["c1"])
    upkeep.sweep()

    assert packed_in(path) == b"".join(bodies[5:])
    assert [store.body(digest_of(body)) for body in bodies[5:]] == bodies[5:]


def test_a_body_whose_number_is_given_to_another_while_it_is_read_is_gone_and_no_other(
    store: Store, path: Path
) -> None:
    bodies = [b"body number %d " % number * 20 for number in range(5)]
    store.write([told(1, *bodies[:2]), told(2, bodies[2])])
    found = upkeep_of(store)
    assert found is not None
    upkeep = found

    class Meanwhile(sqlite3.Connection):
        asked = 0

        def execute(self, *query: Any) -> sqlite3.Cursor:
            """Sweep the body out and write others, once its row was read."""
            self.asked += 1
            if self.asked == 2:
                upkeep.forget(["c2"])
                upkeep.sweep()
                store.write([told(3, *bodies[3:])])
            return super().execute(*query)

    reader = sqlite3.connect(path, factory=Meanwhile)
    assert Unpacker(reader).body(digest_of(bodies[2])) is None
    reader.close()
    assert [store.body(digest_of(body)) for body in bodies[3:]] == bodies[3:]


def test_a_pack_that_an_older_release_has_left_without_bodies_is_in_nobody_s_way(
    store: Store, path: Path
) -> None:
    bodies = [b"body number %d " % number * 20 for number in range(6)]
    store.write([told(1, *bodies[:2])])
    store.write([told(2, *bodies[2:4])])
    with sqlite3.connect(path) as connection:  # as a process does that was running when the file was upgraded
        connection.execute("DELETE FROM blobs WHERE blob_no > 2")
        connection.execute("INSERT INTO meta VALUES ('generation', '1')")
    connection.close()

    store.write([told(3, *bodies[4:])])

    assert packed_in(path) == b"".join(bodies[:2] + bodies[4:])
    assert [store.body(digest_of(body)) for body in bodies[4:]] == bodies[4:]


def damaged_pack(path: Path, held: bytes) -> None:
    """Make the only pack of a file one that nobody can read, and that holds some bytes as they are."""
    with sqlite3.connect(path) as connection:
        assert connection.execute("UPDATE packs SET data = ?", (b"(\xb5/\xfd\xff" + held,)).rowcount == 1
    connection.close()


def test_what_is_taken_out_of_a_damaged_pack_is_gone_and_the_others_are_told_as_damaged(
    store: Store, path: Path
) -> None:
    bodies = [b"body number %d " % number * 20 for number in range(5)]
    store.write([told(1, *bodies[:2]), told(2, *bodies[2:4])])
    store.write([told(3, bodies[4])])
    damaged_pack(path, b"".join(bodies))
    upkeep = upkeep_of(store)
    assert upkeep is not None

    upkeep.forget(["c2"])
    assert upkeep.sweep() == 2
    upkeep.release(whole=True)

    assert b"body number" not in path.read_bytes()
    assert store.body(digest_of(bodies[2])) is None
    with pytest.raises(StoreFormatError, match="damaged: reading the body"):
        store.body(digest_of(bodies[0]))
    assert store.body(digest_of(bodies[4])) == bodies[4]

    upkeep.forget(["c1"])
    assert upkeep.sweep() == 2
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM packs").fetchone() == (0,)
    connection.close()


def test_a_pack_that_is_shorter_than_it_says_is_damaged_and_shifts_nobody(store: Store, path: Path) -> None:
    bodies = [b"body number %d " % number * 20 for number in range(4)]
    store.write([told(1, *bodies[:2]), told(2, *bodies[2:])])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE packs SET codec = 0, data = ?", (b"".join(bodies)[:-9],))
    connection.close()
    upkeep = upkeep_of(store)
    assert upkeep is not None

    upkeep.forget(["c1"])
    upkeep.sweep()

    assert store.body(digest_of(bodies[0])) is None
    with pytest.raises(StoreFormatError, match="damaged: reading the body"):
        store.body(digest_of(bodies[3]))


def test_erasing_takes_out_of_packs_what_an_older_release_has_left_in_them(store: Store, path: Path) -> None:
    bodies = [b"body number %d " % number * 20 for number in range(4)]
    store.write([told(1, *bodies)])
    with sqlite3.connect(path) as connection:  # as a process does that was running when the file was upgraded
        connection.execute("DELETE FROM blobs WHERE blob_no IN (2, 3)")
        connection.execute("INSERT INTO meta VALUES ('generation', '1')")
    connection.close()
    assert bodies[1] in packed_in(path)
    upkeep = upkeep_of(store)
    assert upkeep is not None

    upkeep.erase(Erasure(texts=("number 2",)))

    assert packed_in(path) == bodies[0] + bodies[3]
    assert [store.body(digest_of(body)) for body in (bodies[0], bodies[3])] == [bodies[0], bodies[3]]
