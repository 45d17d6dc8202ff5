"""The promise: whatever is in a file, reading it gives what was recorded or says plainly why it does not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from tests.core.builders import Record, research_team

import becausal
from becausal import canonical
from becausal.canonical.wire import Code, digest_of
from becausal.cassette import Cassette, body, container, read
from becausal.errors import BecausalError, CassetteError, StoreFormatError

DIGEST = 32


def small() -> Record:
    record = Record()
    with record.step("agent", "planner", received="question") as planner:
        record.did("tool", "search", {"q": "x"}, {"hits": [1, 2]})
        planner.decides("answer", reason="it is known", score=0.5).produces("plan")
    return record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cassette of two steps."""
    record = small()
    return Cassette.of(record.chain_id, record.steps()).write(tmp_path / "small.becausal")


def sealed(whole: bytes) -> bytes:
    """Return a file's bytes with the digest that fits them."""
    return whole + hashlib.sha256(whole).digest()


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Change the sections of a file, with all digests right, as somebody who means ill would."""
    found = container.read(path)
    sections = dict(found.sections)
    change(sections)
    path.write_bytes(container.pack(container.Container(found.chain_id, "mallory", sections)))
    return path


def refused(path: Path, match: str | None = None) -> str:
    with pytest.raises(CassetteError, match=match) as caught:
        becausal.open(path)
    return str(caught.value)


# Accidents


def test_each_byte_that_is_changed_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    assert len(whole) < 4000

    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= (0x01, 0x80, 0xFF)[place % 3]
        path.write_bytes(damaged)

        assert refused(path).startswith(str(path))


def test_a_file_that_is_cut_off_anywhere_says_so(path: Path) -> None:
    whole = path.read_bytes()

    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])

        assert "cut off" in refused(path), length
    path.write_bytes(b"")
    assert "cut off: it has 0 bytes" in refused(path)


def test_a_file_with_more_behind_it_or_before_it_is_refused(path: Path) -> None:
    whole = path.read_bytes()

    path.write_bytes(whole + b"more")
    refused(path, "4 bytes too many")
    path.write_bytes(b"\n" + whole)
    refused(path, "is no cassette")


def test_the_section_that_is_damaged_is_named(tmp_path: Path) -> None:
    record = research_team()
    path = Cassette.of(record.chain_id, record.steps()).write(tmp_path / "team.becausal")
    whole = bytearray(path.read_bytes())
    whole[-40] ^= 1
    path.write_bytes(whole)

    refused(path, "its section 'bodies' is not what was written. Copy it again")


def test_a_transfer_that_converts_line_ends_is_recognised(path: Path) -> None:
    whole = path.read_bytes()

    path.write_bytes(whole.replace(b"\r\n", b"\n"))
    refused(path, r"converts line ends.*\.gitattributes")
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    refused(path, "converts line ends")


def test_a_newer_format_is_refused_by_its_number(path: Path) -> None:
    whole = bytearray(path.read_bytes()[:-DIGEST])
    whole[13:15] = (7).to_bytes(2, "big")
    path.write_bytes(sealed(bytes(whole)))

    refused(path, r"newer becausal \(format 7\).*pip install -U becausal")


def test_what_is_something_else_is_told_as_what_it_is(tmp_path: Path) -> None:
    research_team().write(f"sqlite:///{tmp_path / 'runs.db'}")
    with pytest.raises(CassetteError, match="is a database, not a cassette"):
        read(tmp_path / "runs.db")
    (tmp_path / "notes.becausal").write_text("{}")
    refused(tmp_path / "notes.becausal", "is no cassette of becausal")
    with pytest.raises(CassetteError, match="becausal export"):
        read(tmp_path / "none.becausal")
    with pytest.raises(CassetteError, match="is no file"):
        read(tmp_path)
    with pytest.raises(StoreFormatError):
        read(tmp_path / "notes.becausal")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.becausal")

    with pytest.raises(CassetteError, match="is no file"):
        read(tmp_path / "pipe.becausal")


# Malice: all digests are right


def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused_before_it_is_unpacked(path: Path) -> None:
    rewritten(path, lambda sections: sections.update(extra=bytes(50_000_000)))
    assert path.stat().st_size < 20_000

    with pytest.raises(CassetteError, match=r"more than the 1000000 that are allowed.*max_bytes"):
        read(path, max_bytes=1_000_000)
    assert len(read(path).steps) == 2  # a section that nobody knows harms nobody
    with pytest.raises(CassetteError, match="bytes, more than the 100 that are allowed"):
        read(path, max_bytes=100)


def with_header(path: Path, **said: int | str) -> Path:
    """Say otherwise of a file's first section in its header."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[15:19], "big")
    header = json.loads(whole[19 : 19 + length])
    header["sections"][0].update(said)
    packed = json.dumps(header).encode()
    sections = whole[19 + length : -DIGEST]
    path.write_bytes(sealed(whole[:15] + len(packed).to_bytes(4, "big") + packed + sections))
    return path


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"size": 10}, "not what its header says"),
        ({"size": 10**15}, "that are allowed"),
        ({"sha256": "0" * 64}, "not what its header says"),
        ({"stored": 10}, "do not fill the file"),
        ({"stored": -1}, "is no count"),
        ({"codec": "lzma"}, "which is unknown"),
        ({"name": "bodies"}, "two sections 'bodies'"),
    ],
)
def test_a_section_that_is_not_what_the_header_says_is_refused(
    path: Path, said: dict[str, int | str], told: str
) -> None:
    refused(with_header(path, **said), told)


def test_a_section_is_unpacked_no_further_than_it_is_declared(path: Path) -> None:
    rewritten(path, lambda sections: sections.update(steps=bytes(100_000_000)))
    with_header(path, size=10)

    tracemalloc.start()
    refused(path, "not what its header says")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20_000_000


def in_line(section: str, number: int, **said: Any) -> Callable[[dict[str, bytes]], None]:
    """Return what changes fields of one line of a section; None takes a field away."""

    def change(sections: dict[str, bytes]) -> None:
        lines = sections[section].splitlines()
        record = json.loads(lines[number]) | said
        lines[number] = json.dumps(
            {key: value for key, value in record.items() if value is not None}
        ).encode()
        sections[section] = b"\n".join(lines) + b"\n"

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (in_line("steps", 0, id="../../etc/passwd"), "id is '../../etc"),
        (in_line("steps", 0, id=None), "id is None"),
        (in_line("steps", 0, kind=7), "kind is 7"),
        (in_line("steps", 0, seq=True), "seq is True"),
        (in_line("steps", 0, seq=2**64), "beyond 64 bits"),
        (in_line("steps", 0, started_ns="now"), "started_ns is 'now'"),
        (in_line("steps", 0, attributes={"a": {"b": 1}}), "is no attribute"),
        (in_line("steps", 0, attributes={"a": [1]}), "what is no text"),
        (in_line("steps", 0, attributes=[]), "attributes is"),
        (in_line("steps", 0, causes=[["x", "data", "observed", ""]]), "is no id"),
        (in_line("steps", 0, causes=[[1]]), "is no list of 4"),
        (in_line("steps", 0, choices=[["go"]]), "is no choice"),
        (in_line("steps", 0, choices=[["go", [], None, "high", None]]), "is no score"),
        (in_line("steps", 0, received="bc1-xxh3:" + "0" * 32), "names a payload that is not there"),
        (in_line("steps", 0, parent="0001cccc00000001"), "is within itself"),
        (in_line("steps", 1, id="0001cccc00000001"), "two steps have one id"),
        (in_line("payloads", 0, digest="md5:00"), "not a digest"),
        (in_line("payloads", 0, size=-(2**70)), "beyond 64 bits"),
        (in_line("payloads", 0, lossy=[["$"]]), "is no list of 2"),
        (lambda sections: sections.update(steps=b"["), "line 1 cannot be read"),
        (lambda sections: sections.update(steps=b"[" * 100_000), "line 1 cannot be read"),
        (lambda sections: sections.update(steps=b'{"seq": ' + b"9" * 10_000 + b"}"), "line 1 cannot be read"),
        (lambda sections: sections.update(reads=b"[]"), "no object"),
        (lambda sections: sections.pop("payloads"), "'payloads' is missing"),
        (lambda sections: sections.update(bodies=b"short"), "cut off"),
        (lambda sections: sections.update(bodies=body.packed({bytes(16): b"x"})), "has another digest"),
        (
            lambda sections: sections.update(bodies=2 * body.packed({digest_of(b"\xc0"): b"\xc0"})),
            "there twice",
        ),
    ],
)
def test_what_no_recorder_writes_is_refused(
    path: Path, change: Callable[[dict[str, bytes]], object], told: str
) -> None:
    assert told in refused(rewritten(path, change), "was not written by becausal as it stands")


def part(digest: bytes) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(Code.PART, digest))


def entry(code: Code, content: bytes) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, content))


def test_parts_that_grow_beyond_measure_when_they_are_put_together_are_refused(path: Path) -> None:
    bodies: dict[bytes, bytes] = {}
    inner = b"\xa3lol"
    for _ in range(30):
        digest = digest_of(inner)
        bodies[digest] = inner
        inner = b"\x9a" + 10 * part(digest)
    inner = b"\xdc\x00\x0a" + inner[1:]
    bodies[digest_of(inner)] = inner

    refused(rewritten(path, lambda sections: sections.update(bodies=body.packed(bodies))))


def test_parts_are_counted_as_often_as_they_stand_somewhere() -> None:
    bodies: dict[bytes, bytes] = {}
    inner = b"\xa3lol"
    for _ in range(30):
        digest = digest_of(inner)
        bodies[digest] = inner
        inner = b"\xdc\x00\x0a" + 10 * part(digest)

    with pytest.raises(ValueError, match="grows to more than 1000000 bytes"):
        body.check(bodies, 1_000_000)


def test_a_part_within_itself_is_refused() -> None:
    one, other = bytes(16), bytes(15) + b"\x01"

    with pytest.raises(ValueError, match="is a part of itself"):
        body.check({one: part(other), other: part(one)}, 10**9)
    with pytest.raises(ValueError, match="is a part of itself"):
        body.check({one: part(one)}, 10**9)


def test_parts_deeper_than_any_recorder_writes_them_are_refused() -> None:
    bodies: dict[bytes, bytes] = {}
    inner = b"\xc0"
    for _ in range(100_000):
        digest = digest_of(inner)
        bodies[digest] = inner
        inner = part(digest)

    with pytest.raises(ValueError, match="parts deep"):
        body.check(bodies, 10**9)


def nested_entries(levels: int) -> bytes:
    inner = b"\xc0"
    for _ in range(levels):
        inner = entry(Code.SUBCLASS, b"\x92\xa1x" + inner)
    return inner


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(b"\x91" * 5000 + b"\xc0", id="deep"),
        pytest.param(nested_entries(3000), id="deep entries"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="four thousand million items"),
        pytest.param(entry(Code.UUID, b"short"), id="uuid"),
        pytest.param(entry(Code.DATE, b"\x93\x01\x0d\x20"), id="date"),
        pytest.param(entry(Code.ENUM, b"\x91\xa1x"), id="enum"),
        pytest.param(entry(Code.ARRAY, b"\x93\xa3<i8\x91\x05\xc4\x03abc"), id="array"),
        pytest.param(entry(Code.FRACTION, b"1e999999999"), id="fraction"),
        pytest.param(entry(Code.STR, b"\xff\xff\xff"), id="text"),
        pytest.param(entry(Code.TUPLE, b"\x05"), id="tuple"),
        pytest.param(entry(Code.MAP, b"\x91\x91\x01"), id="map"),
    ],
)
def test_a_body_that_no_encoder_writes_is_refused_at_once(path: Path, harm: bytes) -> None:
    before = time.process_time()

    bodies = body.packed({digest_of(harm): harm})

    refused(rewritten(path, lambda sections: sections.update(bodies=bodies)), "cannot be decoded")
    assert time.process_time() - before < 5  # and not the hours that a number of a billion digits takes


def test_nothing_is_executed_imported_or_made(path: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickled = b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    typed = b"\x82\xa1\x00" + entry(Code.TYPE, b"subprocess.Popen") + b"\xa4args" + ormsgpack.packb(pickled)
    ours = {digest_of(typed): typed}
    name = canonical.digest_text(digest_of(typed))

    def plant(sections: dict[str, bytes]) -> None:
        sections["bodies"] = body.packed(ours)
        sections["payloads"] += json.dumps({"digest": name, "size": 1, "type": "subprocess.Popen"}).encode()
        in_line("steps", 0, received=name, name="$(touch executed)", agent="__import__('os')")(sections)

    run = becausal.open(rewritten(path, plant)).last()

    payload = run.steps[0].received
    assert payload is not None
    assert payload.value() == {"args": pickled}
    assert type(payload.value()) is canonical.Record
    assert run.findings is not None
    assert not mark.exists()


def test_causes_in_a_circle_and_of_nobody_do_not_keep_anybody_waiting(path: Path) -> None:
    first, second = "0001cccc00000001", "0002cccc00000002"

    def circle(sections: dict[str, bytes]) -> None:
        in_line("steps", 0, causes=[[second, "data", "observed", ""], [first, "memory", "declared", ""]])(
            sections
        )
        in_line("steps", 1, causes=[[first, "transfer", "x", ""], ["f" * 16, "y", "z", ""]], kind="new")(
            sections
        )

    run = becausal.open(rewritten(path, circle)).last()
    done = threading.Event()

    def ask() -> None:
        assert run.findings is not None
        assert run.why().steps
        assert run.blame().segments
        assert run.impact(run.steps[0]).steps is not None
        assert run.memory.keys() == ()
        done.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(20)

    assert done.is_set()


def test_sections_changed_at_random_are_refused_or_read(path: Path) -> None:
    """Digests right, contents not: the readers of lines and bodies stand alone. Anything but a refusal is a crash."""
    original = path.read_bytes()
    chance = random.Random(7)
    read_all = 0

    for _ in range(400):
        path.write_bytes(original)

        def damage(sections: dict[str, bytes]) -> None:
            name = chance.choice([name for name, content in sections.items() if content])
            content = bytearray(sections[name])
            for _ in range(chance.randint(1, 3)):
                place = chance.randrange(len(content))
                match chance.randrange(3):
                    case 0:
                        content[place] = chance.randrange(256)
                    case 1:
                        del content[place]
                    case _:
                        content.insert(place, chance.randrange(256))
            sections[name] = bytes(content)

        try:
            run = becausal.open(rewritten(path, damage)).last()
        except CassetteError:
            continue
        for step in run.steps:
            assert step.received is None or step.received.text() is not None
        try:
            assert run.findings is not None
            assert run.blame() is not None
        except BecausalError:
            pass
        read_all += 1

    assert read_all > 10  # a changed name is a name
