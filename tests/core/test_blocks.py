"""Large bodies are cut so that what is the same in two of them is the same block, and none of it is lost."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_store import step

from becausal.canonical.wire import digest_of
from becausal.step import OpenStep
from becausal.store import open_store
from becausal.store.blocks import BLOCK, LARGE, LEAST, Block, Cutter, digests_in, listed
from becausal.store.upkeep import Erasure, upkeep_of

WHOLE = random.Random(1).randbytes(12 * BLOCK + 5_000)
"""A body without anything that is in it twice."""

MIDDLE = 6 * BLOCK + 1_234

EDITS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda body: body,
    "a counter at the end": lambda body: body[:-1] + b"\x07",
    "a counter at the beginning": lambda body: b"\x07" + body[1:],
    "something put in at the head": lambda body: body[:40] + b"new" * 100 + body[40:],
    "something put in in the middle": lambda body: body[:MIDDLE] + b"new" * 100 + body[MIDDLE:],
    "something taken out of the middle": lambda body: body[:MIDDLE] + body[MIDDLE + 700 :],
    "a head that is cut off": lambda body: body[10_000:],
    "a tail that is cut off": lambda body: body[:-10_000],
    "something put in behind": lambda body: body + b"new" * 100,
    "both ends": lambda body: b"\x07" + body[1:-1] + b"\x08",
}


def pieces(body: bytes, blocks: list[Block]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the digests and bytes of the blocks of a body."""
    at = 0
    for block in blocks:
        yield block.digest, body[at : at + block.size]
        at += block.size
    assert at == len(body)


@pytest.mark.parametrize("edit", EDITS)
def test_of_a_body_like_the_former_one_little_is_new(edit: str) -> None:
    cutter = Cutter()
    there = dict(pieces(WHOLE, cutter.cut(WHOLE)))
    changed = EDITS[edit](WHOLE)

    found = dict(pieces(changed, cutter.cut(changed)))

    assert sum(len(piece) for digest, piece in found.items() if digest not in there) <= 2 * (BLOCK + LEAST)
    assert b"".join(found.values()) == changed


def test_a_body_that_grows_by_little_stays_in_few_blocks() -> None:
    cutter, body = Cutter(), WHOLE
    for _ in range(200):
        body = body[:30] + b"x" * 50 + body[30:] + b"y" * 50
        blocks = cutter.cut(body)

    assert len(blocks) <= len(body) // LEAST
    assert sum(block.size < LEAST for block in blocks) <= 2


BYTES = st.binary(max_size=60)
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), BYTES), max_size=3)


@given(st.binary(min_size=1, max_size=300), st.lists(CHANGES, max_size=6))
def test_whatever_comes_after_whatever_the_blocks_of_a_body_are_all_of_it(
    body: bytes, rounds: list[list[tuple[float, int, bytes]]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("BLOCK", 32), ("LEAST", 8), ("MARK", 4), ("MOST_REMEMBERED", 5)):
            patch.setattr(f"becausal.store.blocks.{name}", size)
        cutter, there = Cutter(), dict[bytes, bytes]()
        for changes in [[], *rounds]:
            for where, gone, new in changes:
                at = int(where * len(body))
                body = body[:at] + new + body[at + gone :]

            blocks = cutter.cut(body)

            there.update(pieces(body, blocks))
            assert b"".join(there[digest] for digest in digests_in(listed(blocks))) == body


def holding(number: int, *bodies: bytes) -> OpenStep:
    made = step(number)
    made.bodies = [(digest_of(body), body) for body in bodies]
    return made


def rows(path: Path) -> list[tuple[int, int]]:
    """Return the codecs of a file's bodies and blocks, and the bytes that they take."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT codec, length(data) FROM blobs").fetchall()
    connection.close()
    return found


def test_a_file_keeps_once_what_large_bodies_share_whichever_process_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    bodies = [edit(WHOLE) for edit in EDITS.values()]
    for number, body in enumerate(bodies):
        store = open_store(f"sqlite:///{path}")  # what a writer remembers is gone each time
        store.write([holding(number, bodies[0], body)])
        store.close()

    store = open_store(f"sqlite:///{path}")
    assert [store.body(digest_of(body)) for body in bodies] == bodies
    assert sum(size for _, size in rows(path)) < 2 * len(WHOLE)
    assert store.describe().bodies == len(bodies)
    store.close()


def test_a_body_of_which_a_sweep_has_taken_blocks_is_whole_once_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    body = EDITS["something put in in the middle"](WHOLE)
    store = open_store(f"sqlite:///{path}")
    store.write([holding(1, WHOLE)])
    store.write([holding(2, body)])  # cut along the one before
    store.close()
    with sqlite3.connect(path) as connection:
        (data,) = connection.execute("SELECT data FROM blobs WHERE digest = ?", (digest_of(body),)).fetchone()
        anew = {block.digest for block in Cutter().cut(body)}
        taken = [(block,) for block in digests_in(data) if block not in anew]
        connection.executemany("DELETE FROM blobs WHERE digest = ?", taken)
    connection.close()
    assert taken

    store = open_store(f"sqlite:///{path}")
    store.write([holding(3, body)])
    assert store.body(digest_of(body)) == body
    store.close()


def test_a_body_whose_blocks_are_gone_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = open_store(f"sqlite:///{path}")
    store.write([holding(1, WHOLE)])
    with sqlite3.connect(path) as connection:
        connection.execute(
            "DELETE FROM blobs WHERE blob_no = (SELECT max(blob_no) FROM blobs WHERE codec >= 16)"
        )
    connection.close()

    assert store.body(digest_of(WHOLE)) is None
    store.close()


def test_a_text_across_two_blocks_is_in_no_byte_of_the_file_once_it_is_erased(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = open_store(f"sqlite:///{path}")
    text = b"Jane Doe of Nowhere"
    # A text of msgpack, 64 KiB and more of it, with the name across the end of the first block.
    said = b"\xdb" + (2 * LARGE).to_bytes(4, "big")
    body = (
        said + b"a" * (BLOCK - len(said) - 9) + text + b"b" * (2 * LARGE - BLOCK + len(said) + 9 - len(text))
    )
    store.write([holding(1, body), holding(2, body[:-1] + b"c")])
    assert len(rows(path)) > 3

    upkeep = upkeep_of(store)
    assert upkeep is not None
    upkeep.erase(Erasure(texts=(text.decode(),)))

    store.close()
    assert all(codec < 16 for codec, _ in rows(path))
    assert not any(piece in path.read_bytes() for piece in (text, text[:9], text[9:]))


def test_a_body_of_the_same_bytes_as_a_block_is_kept_beside_it(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'runs.db'}")
    same = WHOLE[:BLOCK]

    store.write([holding(1, WHOLE), holding(2, same)])

    assert store.body(digest_of(same)) == same
    assert store.body(digest_of(WHOLE)) == WHOLE
    assert store.describe().bodies == 2
    store.close()
