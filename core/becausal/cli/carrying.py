"""The commands that carry a run elsewhere: `export`, `import`, `test`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from becausal.cassette import MAX_BYTES, SUFFIX, Cassette, is_cassette, read
from becausal.cassette.archive import Moved, begins_as_archive, is_archive, read_archive, write_archive
from becausal.cassette.store import take_in
from becausal.cli.command import FINE, FOUND, Answer, Commands, add_command, count, run_of, runs_of, store_of
from becausal.cli.importing import import_others
from becausal.cli.printing import writing
from becausal.cli.sinking import add_sink, export_there
from becausal.counted import counted
from becausal.errors import BecausalError, CassetteError
from becausal.harmless import file_name, harmless
from becausal.regression.written import write
from becausal.settings import store_url
from becausal.store import open_store

__all__ = ["add_to"]

ARCHIVE = "becausal.tar"
"""Where a whole store is written, unless its user says."""

AS_IT_STANDS = "it is in the archive as it stands"


def add_to(commands: Commands) -> None:
    """Add these commands."""
    export = add_command(
        commands,
        "export",
        _export,
        "write a run to a cassette: one file, payloads included; or, with `all`, the whole store to an archive",
        fails="what was exported is not what was once written",
    )
    export.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the file to write (default: the run's id and {SUFFIX}, {ARCHIVE} for `all`); of `all`, - is the output",
    )
    add_sink(export)
    take = add_command(
        commands,
        "import",
        _import,
        "take the runs of a file into a store, under their own ids: a cassette's, or what others recorded",
        takes_run=False,
        fails="what was imported is not what was once written",
    )
    take.add_argument(
        "file",
        metavar="FILE",
        help="a cassette; an archive (- is the input); "
        "spans (OTLP/JSON, a LangSmith export, an MLflow trace); a log of a conversation",
    )
    take.add_argument(
        "--max-bytes",
        type=count,
        default=MAX_BYTES,
        metavar="N",
        help=f"refuse a file that holds more when it is unpacked (default: {MAX_BYTES})",
    )

    test = add_command(
        commands, "test", _test, "write a regression test that replays a run, with its cassette"
    )
    test.add_argument("-o", "--output", required=True, metavar="FILE", help="the test's file: test_refund.py")
    test.add_argument(
        "--app", required=True, metavar="MODULE:NAME", help="the app, as the test will import it"
    )


def _export(options: argparse.Namespace) -> Answer:
    if options.to is not None:
        return export_there(options)
    if options.run == "all":
        return _export_all(options)
    if options.output == "-":
        raise CassetteError(
            "a run is written to a file: -o FILE; `becausal export all -o -` is what goes to the output"
        )
    run = run_of(options)
    path = run.export(options.output or f"{file_name(run.chain_id[:8])}{SUFFIX}")
    made = read(path)
    return Answer(
        lambda: Text(_exported(path, made)),
        lambda: {"path": str(path), "bytes": path.stat().st_size, **_told(made)},
    )


def _export_all(options: argparse.Namespace) -> Answer:
    output = options.output or ARCHIVE
    if output == "-" and options.json:
        raise CassetteError(
            "the archive and --json both want the output; write the archive to a file: -o FILE"
        )
    with closing(runs_of(options)) as runs:
        if output == "-":
            with writing():
                moved = write_archive(runs.store, sys.stdout.buffer)
            _tell(*_left_out(moved), *(f"{one}; {AS_IT_STANDS}" for one in moved.broken))
            # The archive is all that the output has.
            return Answer(lambda: "", lambda: None, lambda: _status(moved))
        path = Path(output).expanduser()
        try:
            with ExitStack() as undoing:
                with open(path, "xb", opener=_for_its_owner) as out:
                    undoing.callback(path.unlink)  # a piece of an archive is none, and in the next one's way
                    moved = write_archive(runs.store, out)
                undoing.pop_all()
        except FileExistsError:
            raise CassetteError(f"{path} is there already; name another file") from None
        except OSError as failure:
            if isinstance(failure, BecausalError):
                raise
            raise CassetteError(f"cannot write {path}: {failure.strerror}; name another file") from failure
    _tell(*_left_out(moved))
    return Answer(
        lambda: Text(f"{path}: {_counted(moved)}{_broken(moved, AS_IT_STANDS)}"),
        lambda: {"path": str(path), **asdict(moved)},
        lambda: _status(moved),
    )


def _import_all(options: argparse.Namespace, path: Path) -> Answer:
    given = sys.stdin.buffer if options.file == "-" else None
    if isinstance(given, io.BufferedReader) and not begins_as_archive(given.peek(1)):
        raise CassetteError(
            "nothing was imported: the input is no archive; `becausal export all -o -` writes one"
        )
    with closing(open_store(store_url(store_of(options)))) as store:
        if options.file == "-":
            moved = read_archive(sys.stdin.buffer, store, max_bytes=options.max_bytes)
        else:
            with path.open("rb") as source:
                moved = read_archive(source, store, max_bytes=options.max_bytes)
        url = store.url
    broken = _broken(moved, "it was like this before, and came as it stood")
    told = f"{_counted(moved)} in {url}, {moved.new_runs} of the runs new to it{broken}"
    return Answer(lambda: Text(told), lambda: {"store": url, **asdict(moved)})


def _import(options: argparse.Namespace) -> Answer:
    path = Path(options.file).expanduser()
    if options.file == "-" or is_archive(path):
        return _import_all(options, path)
    if path.suffix != SUFFIX and path.is_file() and not is_cassette(path):
        return import_others(path, store_url(store_of(options)))
    made = read(options.file, max_bytes=options.max_bytes)
    store = open_store(store_url(store_of(options)))
    try:
        is_new = take_in(made, store)
    finally:
        store.close()
    done = "imported" if is_new else "is there already"
    return Answer(
        lambda: Text(f"{made.chain_id} {done}: {counted(len(made.steps), 'step')} in {store.url}"),
        lambda: {"store": store.url, "is_new": is_new, **_told(made)},
    )


def _test(options: argparse.Namespace) -> Answer:
    written = write(run_of(options), Path(options.output).expanduser(), options.app)
    return Answer(
        lambda: Text(
            f"{written.test}: {', '.join(written.functions)}\n{written.cassette} is what they replay"
        ),
        lambda: {
            "test": str(written.test),
            "cassette": str(written.cassette),
            "functions": list(written.functions),
        },
    )


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _counted(moved: Moved) -> str:
    return (
        f"{counted(moved.runs, 'run')}, {counted(moved.steps, 'step')}, "
        f"{counted(moved.memories, 'memory', 'memories')} with {counted(moved.events, 'event')}"
    )


def _broken(moved: Moved, what: str) -> str:
    """Return which events are not what was once appended, each in a line of its own."""
    return "".join(f"\n{one}; {what}" for one in moved.broken)


def _left_out(moved: Moved) -> Iterator[str]:
    """Yield what is damaged and was left out, each thing in a line of its own."""
    for one in moved.damaged:
        yield f"{one}; it is left out, and `becausal doctor` says more"


def _tell(*damage: str) -> None:
    """Say on the error output what of a store is damaged."""
    for one in damage:
        sys.stderr.write(f"becausal: {harmless(one)}\n")


def _status(moved: Moved) -> int:
    return FOUND if moved.broken or moved.damaged else FINE


def _exported(path: Path, made: Cassette) -> str:
    without = f"; {made.without_body} payloads have no body" if made.without_body else ""
    return (
        f"{path}: {counted(len(made.steps), 'step')}, {path.stat().st_size} bytes{without}\n"
        "It holds what was said and handed on in this run, as far as that was recorded."
    )


def _told(made: Cassette) -> dict[str, object]:
    return {
        "chain_id": made.chain_id,
        "steps": len(made.steps),
        "bodies": len(made.bodies),
        "payloads_without_body": made.without_body,
        "packages": made.packages,
        "sha256": made.digest,
    }
