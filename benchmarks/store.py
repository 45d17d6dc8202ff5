"""The store: taking steps in, and finding them again, as it grows.

    python -m benchmarks.store --steps 100000 1000000
    python -m benchmarks.store --steps 10000000 --bytes 300 --folder /var/tmp     # 10 million, small payloads
    python -m benchmarks.store --steps 100000 --store postgresql://user:word@host/database
    python -m benchmarks.store --steps 100000 --store postgres      # a server made for it; no fsync

Each size has a store of its own (a file, a schema), made for it and removed again, and processes of its own for writing
and for reading.
Times are processor time of this process (a server's own comes on top, and shows in the wall time). Taken in are
batches of 512 steps, each one transaction, synchronous, payloads compressed; sealing them, which happens in the app, is
told apart. `first tenth` and `last tenth` are what a step costs as the store begins, and as it ends.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.corpus import LONG, LONGEST, Corpus
from benchmarks.quick import parsed
from benchmarks.targets import Target
from benchmarks.timing import exponent, in_own_process, peak_mib

from becausal import canonical
from becausal.memory_event import NewEvent
from becausal.payload import Payload
from becausal.store import Store, open_store
from becausal.store.links import links_of
from becausal.store.memory_log import value_of
from becausal.store.upkeep import upkeep_of

__all__ = ["Found", "measured"]

STEPS = [100_000]
APPENDS, KEYS = 1_000, 25
SQLITE = "sqlite:///"

FIGURES = {
    "seal": ("sealing the payloads of a step", "µs", None),
    "write": ("writing a step", "µs", None),
    "both": ("sealing and writing a step", "µs", 45.0),
    "first tenth": ("writing a step, first tenth", "µs", None),
    "last tenth": ("writing a step, last tenth", "µs", None),
    "rate": ("steps a second, sealed and written, wall time", "", 20_000.0),
    "megabytes": ("on disk for 1M steps", "MB", 900.0),
    "load 20": ("load a run of about 20 steps", "ms", 1.0),
    "load 2000": ("load a run of 2,000", "ms", None),
    "load 10000": ("load a run of 10,000", "ms", 100.0),
    "outline 10000": ("which steps a run of 10,000 has", "ms", None),
    "newest 50": ("list the newest 50 runs", "ms", 49.0),
    "prefix": ("find a run by the beginning of its id", "ms", None),
    "anchor": ("find a step by its anchor, p95", "ms", 1.0),
    "holding": ("find the steps that hold a content, p95", "ms", 1.0),
    "append": ("append to a memory", "ms", 1 / 3.0),
    "append, floor": ("the same rows put there by SQLite alone", "ms", None),
    "as of": ("read a memory's key as of then", "ms", 0.1),
    "forget": ("forget runs, a step", "µs", None),
    "sweep": ("sweep out what nothing refers to, a step of the store", "µs", None),
    "write peak": ("most memory while writing", "MiB", None),
}
"""What each figure is, its unit, and what it may be at most (of the rate: at least)."""


@dataclass(frozen=True, slots=True)
class Found:
    """Figures by the number of steps in the store."""

    sizes: dict[int, dict[str, float]]
    mean_bytes: int

    def targets(self) -> list[Target]:
        """Return the figures of the largest store beside their targets."""
        steps, figures = max(self.sizes.items())
        return [
            Target(
                f"{what}, {steps:,} steps in the store",
                unit,
                figures[name],
                limit,
                at_least=name == "rate",
                floor=figures.get(f"{name}, floor"),
            )
            for name, (what, unit, limit) in FIGURES.items()
            if name in figures and limit is not None
        ]

    def tables(self) -> list[tuple[str, list[list[str]]]]:
        """Return one table: a figure a row, a size a column, and how it grows."""
        sizes = sorted(self.sizes)
        lines = [
            [
                "",
                *(f"{steps:,} steps" for steps in sizes),
                *(["exponent"] if len(sizes) > 1 else []),
                "target",
            ]
        ]
        for name, (what, unit, limit) in FIGURES.items():
            row = [self.sizes[steps].get(name) for steps in sizes]
            if all(one is None for one in row):
                continue
            shown = ["" if one is None else f"{one:,.0f}" if one >= 1000 else f"{one:.3g}" for one in row]
            first, last = row[0], row[-1]
            if len(sizes) > 1:
                grows = bool(first and last)
                shown.append(
                    f"{exponent([sizes[0], sizes[-1]], [first or 1, last or 1]):.2f}" if grows else ""
                )
            aim = "" if limit is None else f"{'≥' if name == 'rate' else '≤'} {limit:,.3g}"
            lines.append([f"{what}{', ' + unit if unit else ''}", *shown, aim])
        return [(f"A store of so many steps (payloads of {self.mean_bytes:,} bytes in the mean)", lines)]


def measured(
    sizes: Sequence[int], *, url: str | None = None, mean_bytes: int = 3_600, folder: Path | None = None
) -> Found:
    """Write stores of these sizes and ask them."""
    found = {}
    for steps in sizes:
        with place(url, folder) as (store, aside):
            shared = ("--child-store", store, "--steps", steps, "--bytes", mean_bytes, "--aside", aside)
            written = in_own_process("benchmarks.store", "--child", "write", *shared)
            found[steps] = {**written, **in_own_process("benchmarks.store", "--child", "read", *shared)}
            print(f"{steps:,} steps in the store: measured", file=sys.stderr, flush=True)
    return Found(found, mean_bytes)


@contextmanager
def place(url: str | None, folder: Path | None) -> Iterator[tuple[str, Path]]:
    """Give the URL of an empty store and a folder beside it; both are gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as made:
        if url is None:
            yield f"{SQLITE}{made}/becausal.db", Path(made)
        else:
            import psycopg

            name = f"becausal_bench_{time.time_ns():x}"
            try:
                yield f"{url}{'&' if urlsplit(url).query else '?'}schema={name}", Path(made)
            finally:
                with psycopg.connect(url, autocommit=True) as server:
                    # A name cannot be a parameter; this one is ours.
                    server.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


# In processes of their own.


def write(url: str, steps: int, mean_bytes: int, aside: Path) -> dict[str, float]:
    """Write a corpus; what to ask for goes into a file beside the store."""
    store, corpus = open_store(url), Corpus(steps, mean_bytes=mean_bytes)
    encoding, writing = Spent(), Spent()
    corpus.encoder.encode = encoding.around(corpus.encoder.encode)  # type: ignore[method-assign]
    each: list[float] = []
    for batch in corpus.batches():
        before = writing.cpu
        writing.around(store.write)(batch)
        each.append((writing.cpu - before) / len(batch))
    store.close()
    store = open_store(url, read_only=True)
    size = store.describe().bytes_on_disk
    store.close()
    (aside / "samples.json").write_text(
        json.dumps([sorted(corpus.samples.chains.items()), corpus.samples.anchors, corpus.samples.digests])
    )
    tenth = max(1, len(each) // 10)
    wall = encoding.wall + writing.wall
    return {
        "seal": encoding.cpu / steps * 1e6,
        "write": writing.cpu / steps * 1e6,
        "both": (encoding.cpu + writing.cpu) / steps * 1e6,
        "first tenth": statistics.mean(each[:tenth]) * 1e6,
        "last tenth": statistics.mean(each[-tenth:]) * 1e6,
        "rate": steps / wall,
        "megabytes": size / steps,
        "write peak": peak_mib(),
    }


class Spent:
    """Adds up what calls take."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time added up."""

        def timed(*arguments: Any) -> Any:
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.cpu += time.process_time() - cpu
                self.wall += time.perf_counter() - wall

        return timed


def read(url: str, steps: int, mean_bytes: int, aside: Path) -> dict[str, float]:
    """Ask a store that was written for what it has; forgetting comes last."""
    by_length, anchors, digests = json.loads((aside / "samples.json").read_text())
    chains: dict[int, list[str]] = dict(by_length)
    store = open_store(url)
    few = [chain_id for length, ids in chains.items() if 15 <= length <= 25 for chain_id in ids[-20:]][:60]
    found = {"load 20": middle(store.load, few)}
    for length in (LONG, LONGEST):
        if length in chains:
            found[f"load {length}"] = middle(store.load, chains[length][:5])
    if LONGEST in chains:
        found[f"outline {LONGEST}"] = middle(store.outline, chains[LONGEST])
    found["newest 50"] = middle(lambda _: store.chains(limit=50), range(10))
    found["prefix"] = middle(lambda one: store.chains(prefix=one[:12], limit=9), few)
    found["anchor"] = most(store.anchored, anchors)
    links = links_of(store)
    if links is not None:
        found["holding"] = most(lambda one: links.holding([one], limit=20), digests)
    found |= memory(store)
    if url.startswith(SQLITE):
        found["append, floor"] = bare_appends(Path(url.removeprefix(SQLITE)), aside / "bare.db")
    found |= forgetting(store, steps, few)
    store.close()
    return found


def memory(store: Store) -> dict[str, float]:
    """Append to a memory of 25 keys, and read from it as it stood."""
    contents = [f"a note of some words, the {number}th of them" for number in range(APPENDS)]

    def append(number: int) -> None:
        encoded = canonical.encode(contents[number])
        digest, belief = canonical.digest_text(encoded.digest), canonical.digest_text(encoded.belief)
        payload = Payload(digest, belief, encoded.size, encoded.type_name)
        event = NewEvent("notes", f"key {number % KEYS}", "write", number + 1, number, payload)
        store.append(event, {encoded.digest: encoded.body})

    took = [spent(lambda number=number: append(number)) for number in range(APPENDS)]  # type: ignore[misc]
    late = statistics.mean(took[-200:])
    asked = [(f"key {number % KEYS}", APPENDS // 2 + number) for number in range(200)]
    as_of = middle(lambda one: value_of(store, "notes", *one), asked)
    return {"append": late * 1e3, "as of": as_of}


def bare_appends(written: Path, bare: Path) -> float:
    """Return the milliseconds that SQLite alone takes to put the rows of those appends into tables like theirs.

    Each has a transaction of its own, on disk when it returns, as an append promises; nothing is digested, hashed,
    chained, numbered, or read back.
    """
    with (
        closing(sqlite3.connect(written)) as source,
        closing(sqlite3.connect(bare, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA journal_mode = WAL")
        target.execute("PRAGMA synchronous = FULL")
        for table in ("blobs", "memory_events"):
            for (made,) in source.execute(
                "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC",
                (table,),
            ):
                target.execute(made)
        events = source.execute(
            "SELECT * FROM memory_events ORDER BY rowid DESC LIMIT ?", (APPENDS,)
        ).fetchall()
        find = "SELECT blobs.* FROM blobs JOIN memory_events USING (digest) WHERE event_no = ?"
        rows = [(event, source.execute(find, event[:1]).fetchone()) for event in reversed(events)]
        took = [spent(lambda row=row: bare_append(target, *row)) for row in rows]  # type: ignore[misc]
    return statistics.mean(took[-200:]) * 1e3


def bare_append(target: sqlite3.Connection, event: Sequence[object], content: Sequence[object]) -> None:
    """Put two rows into a file, at once and for good."""
    target.execute("BEGIN IMMEDIATE")
    for table, row in (("blobs", content), ("memory_events", event)):
        target.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    target.execute("COMMIT")


def forgetting(store: Store, steps: int, some: Sequence[str]) -> dict[str, float]:
    """Forget some runs and sweep."""
    upkeep = upkeep_of(store)
    if upkeep is None:
        return {}
    began = time.process_time()
    gone = upkeep.forget(some)
    forgot = time.process_time() - began
    swept = spent(upkeep.sweep)
    return {"forget": forgot / max(1, gone) * 1e6, "sweep": swept / steps * 1e6}


def spent(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that something takes, once."""
    began = time.process_time()
    work()
    return time.process_time() - began


def middle(ask: Callable[[Any], object], about: Sequence[Any]) -> float:
    """Return the median of the processor time of asking, in milliseconds; one is asked beforehand."""
    ask(about[0])
    return statistics.median(spent(lambda one=one: ask(one)) for one in about) * 1e3  # type: ignore[misc]


def most(ask: Callable[[Any], object], about: Sequence[Any]) -> float:
    """Return what 95 of 100 stay below, in milliseconds of wall time: the disk is in it."""
    took = []
    for one in about:
        began = time.perf_counter()
        ask(one)
        took.append(time.perf_counter() - began)
    return sorted(took)[int(len(took) * 0.95)] * 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument(
        "--store",
        help="a database of PostgreSQL, by its URL; `postgres`: a server made for it; default: an SQLite file",
    )
    parser.add_argument("--bytes", type=int, default=3_600, help="mean size of a payload (default: 3600)")
    parser.add_argument("--folder", type=Path, help="where the files are made")
    parser.add_argument("--child", choices=["write", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--child-store", help=argparse.SUPPRESS)
    parser.add_argument("--aside", type=Path, help=argparse.SUPPRESS)
    options = parsed(parser, arguments, steps=[10_000])
    if options.child:
        child = write if options.child == "write" else read
        print(json.dumps(child(options.child_store, options.steps[0], options.bytes, options.aside)))
        return 0
    from benchmarks.tables import aligned
    from tests.postgres import serving

    with ExitStack() as stack:
        url = options.store
        if url == "postgres":
            url = stack.enter_context(serving()).url()
        found = measured(options.steps, url=url, mean_bytes=options.bytes, folder=options.folder)
    for title, table in found.tables():
        print(f"{title}\n{aligned(table)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
