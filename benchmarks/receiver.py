"""What the receiver takes: spans a second from several processes on loopback, and whether one of them was lost.

    PYTHONPATH=. python -m benchmarks.receiver --rate 10000 --seconds 60 --processes 4

It starts `becausal serve` with a store of its own and, beside it, so many senders. A sender's spans are those of a real
run (two agents, a model call, a tool, a handoff) that becausal recorded, each time with new ids, in bodies of about 512
spans as OpenTelemetry's exporter sends them, encoded beforehand: what an app pays for its spans is not measured here.
Who is told to come again (429, 503) waits as long as it was told, and sends the same body once more. At the end the
server is told to stop, and the steps in its store are counted. Ends with status 1 if a span is missing that was
acknowledged, or if fewer than were asked for could be sent.

The rate is what the senders keep to; a machine that does other work as well shows less than it could.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.quick import parsed
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import becausal

BODY = 512
"""Spans of a body: what OpenTelemetry's batch processor sends at once by default."""

MARK = b"\xfa\xce\xb0\x0c"
"""In the pattern's ids, where each run has its number."""


@becausal.tool(name="search")
def search(query: str) -> list[str]:
    """Find what the question asks for."""
    return [f"{query}: 20 million"]


def pattern() -> tuple[bytes, int]:
    """Return an encoded run with `MARK` in all of its ids, and how many spans it has."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("threads", store="sqlite:///:memory:", tracer_provider=provider)
    with becausal.chain("What was the revenue?", id="chain"):
        for agent in ("planner", "researcher", "analyst"):
            with becausal.agent(agent) as step:
                step.returned(search(f"revenue by {agent}"))
                envelope = becausal.handoff(agent, "writer", {"found": "20 million"})
            with becausal.receive("writer", envelope):
                pass
    becausal.uninstrument()
    spans = exporter.get_finished_spans()
    request = encode_spans(spans)
    by_id: dict[str, str] = {"chain": f"bench-{MARK.hex()}"}
    numbers: dict[bytes, bytes] = {}
    for span in request.resource_spans[0].scope_spans[0].spans:
        numbers[span.span_id] = MARK + struct.pack(">I", len(numbers) + 1)
        own = next(pair.value.string_value for pair in span.attributes if pair.key == "becausal.node.id")
        by_id[own] = numbers[span.span_id].hex()
    _mark(request, numbers, by_id)
    return bytes(request.SerializeToString()), len(spans)


def _mark(request: ExportTraceServiceRequest, numbers: dict[bytes, bytes], by_id: dict[str, str]) -> None:
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = bytes(11) + b"\x01" + MARK
        span.span_id, span.parent_span_id = numbers[span.span_id], numbers.get(span.parent_span_id, b"")
        for link in span.links:
            link.trace_id, link.span_id = span.trace_id, numbers[link.span_id]
        for pair in span.attributes:
            texts = [pair.value, *pair.value.array_value.values]
            for value in texts:
                if value.string_value in by_id:
                    value.string_value = by_id[value.string_value]


def body_of(pattern: bytes, runs: range) -> bytes:
    """Return an export request of runs of the pattern, each with its own ids."""
    made = []
    for run in runs:
        number = struct.pack(">I", run)
        made.append(pattern.replace(MARK, number).replace(MARK.hex().encode(), number.hex().encode()))
    return b"".join(made)  # messages one after the other are one message with all of their fields


def send(address: str, sender: int, spans: int, rate: float, results: Queue[dict[str, float]]) -> None:
    """Send so many spans at a rate, and say what became of them."""
    encoded, size = pattern()
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    each = max(1, BODY // size)
    told = {"acknowledged": 0.0, "again": 0.0, "slowest": 0.0}
    began = time.monotonic()
    next_run = (sender + 1) << 26
    while told["acknowledged"] < spans:
        body = body_of(encoded, range(next_run, next_run + each))
        next_run += each
        time.sleep(max(0.0, began + told["acknowledged"] / rate - time.monotonic()))
        while True:
            asked = time.monotonic()
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            told["slowest"] = max(told["slowest"], time.monotonic() - asked)
            if response.status == 200:
                break
            if response.status not in (429, 503):
                raise SystemExit(f"status {response.status}")
            told["again"] += 1
            time.sleep(float(response.headers.get("Retry-After", "1")))
        told["acknowledged"] += each * size
    told["seconds"] = time.monotonic() - began
    results.put(told)


def cost(pid: int) -> tuple[float, float]:
    """Return the processor seconds that a process took so far, and its largest memory in megabytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024


def stopped(server: subprocess.Popen[str]) -> tuple[dict[str, int], float, float]:
    """Stop the server; return what it says, the seconds until it was done, and the processor time of those."""
    before, asked = cost(server.pid)[0], time.monotonic()
    server.send_signal(signal.SIGTERM)
    after = before
    while server.poll() is None:
        try:
            after = cost(server.pid)[0]
        except (OSError, StopIteration):
            break
        time.sleep(0.05)
    said, _ = server.communicate()
    return json.loads(said), time.monotonic() - asked, after - before


def measured(options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Run it once."""
    place = Path(folder) / "received.db"
    command = [
        sys.executable,
        "-m",
        "becausal",
        "serve",
        "--port",
        "0",
        "--json",
        "--store",
        f"sqlite:///{place}",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        return told_by(server, place, options)
    finally:
        server.kill()


def told_by(server: subprocess.Popen[str], place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Send to a server, stop it, and return what became of it all."""
    assert server.stderr is not None
    address = server.stderr.readline().split(" at ")[1].split()[0]
    context = multiprocessing.get_context("spawn")
    results: Queue[dict[str, float]] = context.Queue()
    each, rate = options.rate * options.seconds // options.processes, options.rate / options.processes
    senders = [
        context.Process(target=send, args=(address, number, each, rate, results))
        for number in range(options.processes)
    ]
    for sender in senders:
        sender.start()
    told = [results.get() for _ in senders]
    for sender in senders:
        sender.join()
    taken, peak = cost(server.pid)
    said, seconds, more = stopped(server)
    with sqlite3.connect(place) as store:
        (written,) = store.execute("SELECT count(*) FROM steps").fetchone()
    acknowledged = int(sum(one["acknowledged"] for one in told))
    took = max(one["seconds"] for one in told)
    return {
        "acknowledged": acknowledged,
        "received": said["spans received"],
        "sent back (429, 503)": int(sum(one["again"] for one in told)),
        "written": written,
        "lost": acknowledged - written,
        "spans a second": round(acknowledged / took),
        "seconds of sending": round(took, 1),
        "slowest answer, ms": round(1000 * max(one["slowest"] for one in told)),
        "seconds to stop": round(seconds, 1),
        "processor time, s": round(taken + more, 1),
        "processor time of a span, µs": round((taken + more) / acknowledged * 1e6, 1),
        "largest memory, MB": round(peak),
        "bytes in the store of a span": round(place.stat().st_size / written),
        "load of the machine, 1 min": os.getloadavg()[0],
    }


def main() -> int:
    """Measure, print, and say whether it held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=10_000, help="spans a second, of all senders")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--processes", type=int, default=4)
    options = parsed(parser, None, seconds=5)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options, folder)
    for what, number in found.items():
        print(f"{number:>12,}  {what}")
    return int(found["lost"] != 0 or found["spans a second"] < 0.99 * options.rate)


if __name__ == "__main__":
    raise SystemExit(main())
