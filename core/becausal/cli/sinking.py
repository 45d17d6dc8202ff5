"""What `becausal export all --to` does: copies a store to the sink, once or again and again."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from dataclasses import asdict
from typing import NoReturn

from rich.text import Text

from becausal.cli.command import FINE, FOUND, Answer, runs_of, seconds
from becausal.cli.progressing import progress
from becausal.counted import counted
from becausal.errors import SettingsError, StoreError
from becausal.harmless import harmless
from becausal.settings import shown_url, sink_named
from becausal.store import Store
from becausal.store.upkeep import Erased, Erasure

__all__ = ["add_sink", "erase_there", "export_there", "left_there"]


def add_sink(export: argparse.ArgumentParser) -> None:
    """Let the user of `export` name a sink."""
    sink = export.add_argument_group("to ClickHouse, for analytics: what it does not have yet of `all`")
    sink.add_argument(
        "--to",
        nargs="?",
        const="",
        metavar="URL",
        help="clickhouse://USER:PASSWORD@HOST:8123/DATABASE (default: BECAUSAL_SINK)",
    )
    sink.add_argument("--contents", action="store_true", help="also what was said, not its digests alone")
    sink.add_argument(
        "--unjudged", action="store_true", help="without findings: to judge takes most of the time"
    )
    sink.add_argument("--every", type=seconds, metavar="SECONDS", help="again and again, until it is stopped")


def export_there(options: argparse.Namespace) -> Answer:
    """Copy a store to the sink.

    Raises:
        SettingsError: it is not said which sink.
        StoreError: the store cannot be read, or the sink not be written.
    """
    url = options.to or sink_named()
    if options.run != "all" or options.output:
        raise SettingsError("a sink takes what a whole store has: becausal export all --to URL")
    if not url:
        raise SettingsError(
            "say which sink: --to clickhouse://USER:PASSWORD@HOST:8123/DATABASE, or BECAUSAL_SINK"
        )
    if options.every is not None:
        _again_and_again(options, url)
    told, data, status = _once(options, url)
    return Answer(lambda: Text(told), lambda: data, lambda: status)


def erase_there(store: Store, what: Erasure, erased: Erased | None) -> str:
    """Erase from the sink that the environment names what was erased from a store; returns what was done, in words.

    Args:
        store: from which it was erased.
        what: was to be.
        erased: what was; None where the store is too damaged for it.

    Raises:
        StoreError: it cannot be; says that the sink still has it.
    """
    url = sink_named()
    if not url:
        return ""
    from becausal.sink import Sink, erase

    try:
        with closing(Sink(url, create=False)) as sink:
            gone = erase(sink, store, what, erased or Erased())
    except StoreError as refusal:
        but = "" if erased is None else "it is erased from the store, but "
        raise StoreError(
            f"{but}the sink may still hold it: {refusal}. Erase it again once it answers"
        ) from refusal
    if not gone:
        said = f"nothing of it is in a run of the sink {shown_url(url)}"
    else:
        said = f"{counted(gone, 'run')} deleted from the sink {shown_url(url)}"
    if erased is None:
        return (
            f"{said}, as far as texts stand there, but the next export of this store sends them again; erase it from "
            "the new store with the same BECAUSAL_SINK"
        )
    return f"{said}; becausal export all --to sends anew those that the store still has" if gone else said


def left_there() -> str:
    """Return what is to be said to one who lets runs go from a store; empty where no sink is named."""
    url = sink_named()
    return f"the sink {shown_url(url)} keeps what it has of them (its tables may have a TTL)" if url else ""


def _again_and_again(options: argparse.Namespace, url: str) -> NoReturn:
    """Copy what is new, in turns, until somebody stops it; what fails in one is told, and the next one sends it."""
    while True:
        try:
            said, _, _ = _once(options, url)
        except StoreError as refusal:
            said = str(refusal)
        sys.stderr.write(harmless(f"becausal: {said}\n", keeping="\n"))
        time.sleep(options.every)


def _once(options: argparse.Namespace, url: str) -> tuple[str, dict[str, object], int]:
    from becausal.sink import Sink, copy_all

    with closing(runs_of(options)) as runs, closing(Sink(url)) as sink:
        with progress(quiet=options.json) as shown:
            copied = copy_all(
                runs.store, sink, contents=options.contents, judges=not options.unjudged, told=shown
            )
        told = (
            f"{counted(copied.runs, 'run')} new or changed, {counted(copied.steps, 'step')}, "
            f"{counted(copied.events, 'event')} of memories sent to {sink.shown}"
        )
    told += f"; {counted(copied.taken_out, 'run')} sent anew, for what was erased" if copied.taken_out else ""
    lines = [told, *(f"cannot be read: {one}" for one in copied.broken)]
    return "\n".join(lines), {"sink": shown_url(url), **asdict(copied)}, FOUND if copied.broken else FINE
