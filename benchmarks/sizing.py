"""What a store takes for a thousand steps: bytes, and processor time of the app's process and of the server.

    python -m benchmarks.sizing --steps 40000 --bytes 300 1000 3600

Steps are those of `benchmarks.corpus`: about 20 a run, of a step's two payloads 30 % were never seen before. Each
store is made for it and removed again; the PostgreSQL is the one that the tests use, and waits for the disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.corpus import Corpus
from benchmarks.quick import parsed
from tests.postgres import serving

from becausal.store import open_store

__all__ = ["Size", "main", "measured"]


@dataclass(frozen=True, slots=True)
class Size:
    """What a thousand steps take."""

    kilobytes: float
    client_ms: float
    """Processor time of the process that writes, sealing payloads left out: it is the same for every store."""
    server_ms: float


def measured(url: str, steps: int, mean_bytes: int, server_seconds: Callable[[], float]) -> Size:
    """Write a corpus to an empty store."""
    store, corpus = open_store(url), Corpus(steps, mean_bytes=mean_bytes)
    server, client = server_seconds(), 0.0
    for batch in corpus.batches():
        began = time.process_time()
        store.write(batch)
        client += time.process_time() - began
    store.close()
    took = server_seconds() - server
    reader = open_store(url, read_only=True)
    size = reader.describe().bytes_on_disk
    reader.close()
    return Size(size / steps, client / steps * 1e6, took / steps * 1e6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table of Markdown."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument(
        "--bytes", type=int, nargs="+", default=[300, 1_000, 3_600], help="mean sizes of a payload"
    )
    options = parsed(parser, arguments, steps=4_000, bytes=[1_000])
    out = sys.stdout.write
    out("| mean payload | store | bytes for 1,000 steps | app, CPU µs a step | server, CPU µs a step |\n")
    out("| --- | --- | --- | --- | --- |\n")
    with serving(is_durable=True) as server, tempfile.TemporaryDirectory() as folder:
        for mean in options.bytes:
            places = {
                "SQLite": (f"sqlite:///{folder}/{mean}.db", lambda: 0.0),
                "PostgreSQL": (server.url(schema=f"of {mean}"), server.processor_seconds),
            }
            for name, (url, seconds) in places.items():
                size = measured(url, options.steps, mean, seconds)
                out(
                    f"| {mean:,} bytes | {name} | {size.kilobytes:,.0f} KB | {size.client_ms:.0f} "
                    f"| {size.server_ms:.0f} |\n"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
