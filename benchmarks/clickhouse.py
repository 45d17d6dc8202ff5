"""The sink: copying a store to ClickHouse's engine, and asking it.

    python -m benchmarks.clickhouse --steps 100000

The engine runs in this process (chDB), so its processor time is in these figures; of a server, only the client's part
would be. The corpus is that of `benchmarks.store`, whose time to be made is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing

from benchmarks.corpus import Corpus
from benchmarks.quick import parsed

from becausal.sink import Sink, copy_all
from becausal.store import Store, open_store

__all__ = ["measured"]

Figure = tuple[str, float, str]

QUERIES = {
    "runs a day": "SELECT toDate(started) AS day, count() FROM runs FINAL GROUP BY day",
    "slowest agents": """SELECT agent, quantile(0.95)(ended_ns - started_ns) AS slow FROM steps FINAL GROUP BY agent
        ORDER BY slow DESC LIMIT 20""",
    "first use of a content": """SELECT min(started_ns) FROM steps
        WHERE received = (SELECT any(received) FROM steps) OR produced = (SELECT any(received) FROM steps)""",
}


def measured(steps: int, mean_bytes: int, *, judges: bool = False) -> list[Figure]:
    """Fill a store, copy it, and ask the sink."""
    with ExitStack() as undoing:
        folder = undoing.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        store = undoing.enter_context(closing(open_store(f"sqlite:///{folder}/becausal.db")))
        for batch in Corpus(steps, mean_bytes=mean_bytes).batches():
            store.write(batch)
        sink = undoing.enter_context(closing(Sink(f"chdb://{folder}/sink")))
        return [*_copied(store, sink, steps, judges=judges), *_asked(sink, steps)]


def _copied(store: Store, sink: Sink, steps: int, *, judges: bool) -> list[Figure]:
    found: list[Figure] = []
    turns = [("copied", False, False), ("copied again: nothing is new", False, False)]
    turns += [("copied with contents", True, False), *([("judged", True, True)] if judges else [])]
    for what, contents, findings in turns:
        cpu, wall = time.process_time(), time.perf_counter()
        copy_all(store, sink, contents=contents, judges=findings)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        found += [(f"{what}, CPU a step", cpu / steps * 1e6, "µs"), (f"{what}, wall", wall, "s")]
    return found


def _asked(sink: Sink, steps: int) -> list[Figure]:
    found: list[Figure] = []
    for what, query in QUERIES.items():
        sink.rows(query)
        wall = time.perf_counter()
        sink.rows(query)
        found.append((what, (time.perf_counter() - wall) * 1e3, "ms"))
    sizes = sink.rows(
        "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'becausal' GROUP BY 1"
    )
    return found + [(f"{table} on disk for 1M steps", size / steps, "MB") for table, size in sorted(sizes)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=3_600, help="of a payload, in the mean")
    parser.add_argument("--judged", action="store_true", help="the runs' findings, too, which takes minutes")
    options = parsed(parser, arguments, steps=10_000)
    for what, figure, unit in measured(options.steps, options.bytes, judges=options.judged):
        print(f"{what:40} {figure:>12,.1f} {unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
