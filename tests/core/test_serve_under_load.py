"""The receiver where things go wrong: bombs, slow senders, a store that does not answer, a stop in the middle of it."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from starlette.testclient import TestClient
from tests.core.spans import recorded
from tests.fuzz.strangers import READERS

from becausal.errors import StoreError
from becausal.foreign import Span, of_spans
from becausal.serve import Assembler, Intake, application
from becausal.serve.wire import JSON, MAX_SPANS, PROTOBUF, Refusal, read
from becausal.store import Store, open_store


def body(number: int, spans: int = 5) -> bytes:
    """Return an export request of one trace."""
    made = [
        {
            "traceId": f"{number:032x}",
            "spanId": f"{number << 20 | at:016x}",
            "name": "invoke_agent a",
            "startTimeUnixNano": "5",
            "endTimeUnixNano": "6",
            "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}}],
        }
        for at in range(1, spans + 1)
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}).encode()


def post(address: str, data: bytes, **headers: str) -> int:
    """Return the status that a request gets."""
    request = urllib.request.Request(
        f"{address}/v1/traces", data, {"Content-Type": JSON, **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


START = """
from becausal.cli import main
from becausal.serve import running
running.STOP_S = {}
raise SystemExit(main())
"""


@contextmanager
def serving(store: str, *, stop_s: int | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Have a receiver as a process of its own; gives the process and its address.

    Args:
        store: where it writes.
        stop_s: for how long it waits for those who are still sending when it is to end; None: as long as it does.
    """
    start = ("-m", "becausal") if stop_s is None else ("-c", START.format(stop_s))
    command = [sys.executable, *start, "serve", "--port", "0", "--store", store, "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        yield server, server.stderr.readline().split(" at ")[1].split()[0].removesuffix("/v1/traces")
    finally:
        server.kill()
        server.communicate()


def stopped(server: subprocess.Popen[str]) -> Any:
    """Stop a receiver; returns what it says that it did."""
    server.send_signal(signal.SIGTERM)
    said, errors = server.communicate(timeout=120)
    assert server.returncode == 0, errors
    return json.loads(said)


def steps_in(path: Path) -> int:
    with sqlite3.connect(path) as store:
        (number,) = store.execute("SELECT count(*) FROM steps").fetchone()
    store.close()
    return int(number)


# Bombs


def zeros(size: int) -> bytes:
    """Return so many megabytes of zeros as gzip packs them: one of them packed, and then again and again."""
    megabyte = b"\0" * (1 << 20)
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packing.compress(megabyte) + packing.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(size >> 20):
        check = zlib.crc32(megabyte, check)
    head = b"\x1f\x8b\x08" + bytes(7)
    return head + packed * (size >> 20) + packing.flush() + struct.pack("<II", check, size & 0xFFFFFFFF)


def test_a_bomb_is_what_gzip_packs() -> None:
    assert gzip.decompress(zeros(3 << 20)) == bytes(3 << 20)


def peak_mb(pid: int) -> float:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_bomb_of_a_gigabyte_costs_the_server_no_more_memory_than_a_body_may(tmp_path: Path) -> None:
    bomb = zeros(1 << 30)
    assert len(bomb) < 1_100_000
    with serving(f"sqlite:///{tmp_path / 'runs.db'}") as (server, address):
        assert post(address, body(1)) == 200
        before = peak_mb(server.pid)
        for kind in (JSON, PROTOBUF):
            assert post(address, bomb, **{"Content-Type": kind, "Content-Encoding": "gzip"}) == 413
        grown = peak_mb(server.pid) - before
        assert grown < 80, f"{grown:.0f} MB"  # 20 of the body, twice while it grows
        assert stopped(server)["requests refused: 413"] == 2


def varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + varint(len(content)) + content


@pytest.mark.parametrize(
    "bomb",
    [
        message(1, message(2, b"\x12\x00" * 2_000_000)),
        message(1, b"\x12\x00" * 2_000_000),
        b"\x0a\x00" * 2_000_000,
        message(1, b"\x18\x07" + message(2, b"\x2a\x00\x8a\x01\x00" + b"\x12\x00" * 2_000_000)),
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}] * (MAX_SPANS + 1)}]}]}).encode(),
    ],
    ids=("spans", "scopes", "resources", "spans behind other fields", "JSON"),
)
def test_millions_of_empty_spans_are_refused_before_they_are_made(bomb: bytes) -> None:
    with pytest.raises(Refusal, match="more than 50000 spans") as refused:
        read(bomb, JSON if bomb.startswith(b"{") else PROTOBUF)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "field", [b"\x4a\x00", b"\x5a\x00", b"\x6a\x00"], ids=("attributes", "events", "links")
)
def test_hundred_thousands_of_empty_parts_of_a_span_are_refused(field: bytes) -> None:
    span = message(2, message(1, b"\x01" * 16) + message(2, b"\x02" * 8) + field * 100_001)
    with pytest.raises(Refusal, match="more than 100000") as refused:
        read(message(1, message(2, span)), PROTOBUF)
    assert refused.value.status == 413


def test_as_many_spans_as_are_allowed_are_read() -> None:
    spans = b"".join(
        message(2, message(1, b"\x01" * 16) + message(2, number.to_bytes(8, "big")))
        for number in range(1, 5001)
    )
    assert len(read(message(1, message(2, spans)), PROTOBUF).spans) == 5000


# Room


def test_no_body_is_read_where_there_is_no_room_for_what_is_in_it(kept: Store) -> None:
    goes_on = threading.Event()

    class Stuck(Assembler):
        def add(self, spans: Any, size: int = 0) -> None:
            goes_on.wait(60)

    intake = Intake(Stuck(kept), max_waiting=1000, max_waiting_bytes=2 * len(body(1)))
    client = TestClient(application(intake))
    statuses = [
        client.post("/v1/traces", content=body(number), headers={"content-type": JSON}).status_code
        for number in range(1, 5)
    ]
    assert statuses == [200, 200, 429, 429]  # by its bytes, long before a thousand spans wait
    assert client.post("/v1/traces", content=b"{", headers={"content-type": JSON}).status_code == 429
    goes_on.set()
    assert intake.close(60)


def spans_of(number: int) -> list[Span]:
    return read(body(number), JSON).spans


class Disk:
    """Makes a store fail as long as it is full, or for one chain always."""

    def __init__(self, kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full, self.refuses = False, ""
        write = kept.write

        def writing(steps: Any, **options: Any) -> None:
            if self.is_full or any(step.chain_id == self.refuses for step in steps):
                raise StoreError("no")
            write(steps, **options)

        monkeypatch.setattr(kept, "write", writing)


@pytest.fixture
def disk(kept: Store, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(kept, monkeypatch)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_while_a_store_does_not_answer_nothing_is_dropped_and_who_sends_is_told_to_wait(
    kept: Store, disk: Disk
) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=1.0, max_spans=20, now=clock)
    disk.is_full = True
    for number in range(1, 7):
        assembler.add(spans_of(number))
    assert assembler.is_full
    assert assembler.held == 30
    assert "spans lost: the store did not take them" not in assembler.counts

    disk.is_full, clock.now = False, 100.0
    assembler.write_due()
    assembler.add(spans_of(7))
    assert not assembler.is_full
    assembler.write_all()
    assert len(kept.chains()) == 7


def test_one_run_that_a_store_never_takes_keeps_no_other_from_it(kept: Store, disk: Disk) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=1.0, now=clock)
    disk.refuses = f"{2:032x}"
    for number in range(1, 5):
        assembler.add(spans_of(number))
    for step in range(1, 200):
        clock.now = step * 1.0
        assembler.write_due()
        if step % 9 == 0:
            assembler.add(spans_of(100 + step))
    assert assembler.counts["spans lost: the store did not take them"] == 5
    assembler.write_all()
    assert {info.chain_id for info in kept.chains()} >= {f"{number:032x}" for number in (1, 3, 4, 109)}
    assert assembler.counts["spans lost: the store did not take them"] == 5


def test_what_a_store_does_not_take_until_the_end_is_counted_as_lost(kept: Store, disk: Disk) -> None:
    disk.is_full = True
    assembler = Assembler(kept, quiet_s=0.0)
    for number in range(1, 9):
        assembler.add(spans_of(number))
    assembler.write_all()
    assert assembler.counts["spans lost: the store did not take them"] == 40


def test_a_run_that_is_never_quiet_is_written_all_the_same(kept: Store) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=2.0, now=clock)
    for tick in range(1, 12):
        clock.now = float(tick)
        assembler.add(read(body(1, tick), JSON).spans)
        assembler.write_due()
    assert kept.chains()[0].steps >= 10


def test_a_run_that_cannot_be_told_keeps_no_other_from_the_store(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(spans: Any, chains: Any) -> Any:
        if any(span.trace_id == f"{1:032x}" for span in spans):
            raise ZeroDivisionError
        return of_spans(spans, chains)

    monkeypatch.setattr("becausal.serve.assembling.of_spans", breaking)
    assembler = Assembler(kept, quiet_s=0.0)
    for number in (1, 2):
        assembler.add(spans_of(number))
    assembler.write_due()
    assert [info.chain_id for info in kept.chains()] == [f"{2:032x}"]
    assert assembler.counts["runs that could not be told"] == 1


def test_several_traces_keep_the_chain_that_they_were_first_written_as(kept: Store) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=1.0, now=clock)
    (late, *_), (early, *_) = spans_of(2), spans_of(1)
    late = dataclasses.replace(late, started_ns=9, links=((early.trace_id, early.span_id, {}),))
    assembler.add([late])
    clock.now = 5.0
    assembler.write_due()
    assembler.add([early])
    clock.now = 10.0
    assembler.write_due()
    (info,) = kept.chains()
    assert (info.chain_id, info.steps) == (late.trace_id, 2)


def test_what_was_missing_is_no_longer_said_when_it_has_come(kept: Store, store: str) -> None:
    spans = read(encode_spans(recorded(store)).SerializeToString(), PROTOBUF).spans
    clock = Clock()
    assembler = Assembler(kept, quiet_s=1.0, now=clock)
    *first, root = sorted(spans, key=lambda span: span.parent_id is None)
    for part in (first, [root]):
        assembler.add(part)
        clock.now += 100.0
        assembler.write_due()
    (info,) = kept.chains()
    notes = [step.attributes.get("becausal.import.notes", ()) for step in kept.load(info.chain_id)]
    assert notes[0] == (f"no content recorded at all, in so many steps: {len(spans)}",)
    assert not any(notes[1:])


# As a process


def test_a_stop_in_the_middle_of_it_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    acknowledged: list[int] = []
    with serving(f"sqlite:///{path}") as (server, address):

        def send(sender: int) -> None:
            for number in range(sender << 20, (sender << 20) + 100_000):
                try:
                    if post(address, body(number + 1, 50)) != 200:
                        return
                except (OSError, urllib.error.URLError):
                    return
                acknowledged.append(50)

        senders = [threading.Thread(target=send, args=(sender,)) for sender in (1, 2)]
        for sender in senders:
            sender.start()
        while len(acknowledged) < 10 and any(sender.is_alive() for sender in senders):
            time.sleep(0.01)
        said = stopped(server)
        for sender in senders:
            sender.join()
    assert said["spans received"] >= sum(acknowledged)
    assert steps_in(path) == said["spans received"]


def test_two_receivers_and_a_process_of_its_own_write_to_one_store(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    url = f"sqlite:///{path}"
    with serving(url) as (one, here), serving(url) as (other, there):
        for number in range(1, 11):
            assert post(here, body(number)) == 200
            assert post(there, body(number + 100)) == 200
        recorded(url)
        said = [stopped(one), stopped(other)]
    assert [counts["runs written"] for counts in said] == [10, 10]
    with closing(open_store(url, read_only=True)) as kept:
        assert len(kept.chains()) == 21


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_may_not_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "read only"
    folder.mkdir(mode=0o500)
    command = [
        sys.executable,
        "-m",
        "becausal",
        "serve",
        "--port",
        "0",
        "--store",
        f"sqlite:///{folder}/runs.db",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "allow writing there" in ended.stderr


def test_who_sends_half_a_request_keeps_nobody_else_waiting_and_not_the_server_from_its_end(
    tmp_path: Path,
) -> None:
    with serving(f"sqlite:///{tmp_path / 'runs.db'}", stop_s=1) as (server, address):
        host, port = address.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(20)]
        for number, connection in enumerate(slow):
            connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n")
            if number % 2:
                connection.sendall(b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        assert post(address, body(1)) == 200
        said = stopped(server)
        for connection in slow:
            connection.close()
    assert said["spans received"] == 5


# Strangers' bytes: a small part of `python -m tests.fuzz`


@pytest.mark.parametrize("reader", READERS)
def test_nothing_that_a_stranger_sends_does_harm(reader: str) -> None:
    assert READERS[reader](150, 8) == []
