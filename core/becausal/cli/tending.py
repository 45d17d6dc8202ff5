"""The commands that keep a store within bounds: `prune`, `erase`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence

from rich.text import Text

from becausal.bounds import Retention
from becausal.cli.command import FINE, FOUND, Answer, Commands, add_command, info_of, runs_of
from becausal.cli.progressing import progress
from becausal.cli.sinking import erase_there, left_there
from becausal.clock import is_replay
from becausal.counted import counted
from becausal.errors import SettingsError, StoreError, StoreFormatError
from becausal.harmless import harmless
from becausal.store import Store
from becausal.store.retention import Pruned
from becausal.store.upkeep import Erased, Erasure, NotReleasedError, Unread
from becausal.tending import bounds_of, erase_from, pin_in, prune_from, release_of
from becausal.views.text import short

__all__ = ["add_to"]

RUN_IN_STORE = "a chain id, the beginning of one, or `last`"

MOST_NAMED = 10
"""Runs that are named; all are in the JSON."""


def add_to(commands: Commands) -> None:
    """Add these commands."""
    _add_prune(commands)
    _add_erase(commands)


def _add_prune(commands: Commands) -> None:
    pruned = add_command(
        commands,
        "prune",
        _prune,
        "let the oldest runs go, those with something wrong in them last, and give the space back",
        takes_run=False,
    )
    pruned.add_argument("--older-than", metavar="AGE", help="runs older than this: 30d, 12h, 2w")
    pruned.add_argument("--max-size", metavar="SIZE", help="until the store is no larger: 5GB, 512MiB")
    pruned.add_argument(
        "--keep-last",
        type=int,
        metavar="N",
        help="all but so many of the runs that `becausal runs` lists; replays go with their runs",
    )
    sure = pruned.add_mutually_exclusive_group()
    sure.add_argument("--dry-run", action="store_true", help="only say what would go")
    sure.add_argument(
        "--yes", action="store_true", help="let it go without asking (it is asked for at a terminal alone)"
    )
    pruned.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="RUN",
        help=f"keep this run, whatever is pruned: {RUN_IN_STORE}",
    )
    pruned.add_argument("--unpin", action="append", default=[], metavar="RUN", help="no longer keep it so")
    pruned.add_argument(
        "--compact",
        action="store_true",
        help="rewrite the whole file, too; those who write to it wait, and it takes as much room again",
    )


def _add_erase(commands: Commands) -> None:
    erased = add_command(
        commands,
        "erase",
        _erase,
        "erase a person's or a key's data from every place of the store, for good; "
        "without --yes it only says what would be erased",
        takes_run=False,
    )
    erased.add_argument(
        "--text", action="append", default=[], metavar="TEXT", help="a text, however it is written"
    )
    erased.add_argument(
        "--whole", action="store_true", help="every content that holds such a text, not the text alone"
    )
    erased.add_argument(
        "--memory", nargs=2, metavar=("NAME", "KEY"), help="every content that a memory's key ever had"
    )
    erased.add_argument("--run", metavar="RUN", help=f"all that was said in a run: {RUN_IN_STORE}")
    erased.add_argument(
        "--reason", default="", metavar="WORDS", help="why; is kept, so it should name nobody"
    )
    sure = erased.add_mutually_exclusive_group()
    sure.add_argument(
        "--dry-run", action="store_true", help="only say what would be erased, as without --yes"
    )
    sure.add_argument("--yes", action="store_true", help="erase it; nothing brings it back")


def _prune(options: argparse.Namespace) -> Answer:
    runs = runs_of(options)
    marked = [(name, True) for name in options.pin] + [(name, False) for name in options.unpin]
    # All are looked up before one is marked: of names of which one is wrong, nothing is done.
    for chain_id, keep in [(info_of(runs, name).chain_id, keep) for name, keep in marked]:
        pin_in(runs.store, chain_id, keep=keep)
    asked = (options.older_than, options.max_size, options.keep_last)
    bounds = _bounds(asked, is_needed=not marked and not options.compact)
    if bounds is None:
        if options.compact and not options.dry_run:
            release_of(runs.store)
        said = "compacted" if options.compact else f"{len(options.pin)} pinned, {len(options.unpin)} unpinned"
        return Answer(lambda: Text(said), lambda: {"pinned": options.pin, "unpinned": options.unpin})
    refused = None if options.dry_run or options.yes else _refused(runs.store, bounds, options)
    if refused is not None:
        return Answer(lambda: Text("nothing was let go"), lambda: _pruned_json(refused, bounds, dry_run=True))
    with progress(quiet=options.json) as told:
        done = prune_from(runs.store, bounds, dry_run=options.dry_run, whole=options.compact, told=told)
    return Answer(
        lambda: Text(_pruned(done, bounds, dry_run=options.dry_run)),
        lambda: _pruned_json(done, bounds, dry_run=options.dry_run),
        lambda: FOUND if done.damaged else FINE,
    )


def _refused(store: Store, bounds: Retention, options: argparse.Namespace) -> Pruned | None:
    """Show whoever sits at a terminal what would go, and return it where he does not want it to."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return None
    with progress(quiet=options.json) as told:
        foreseen = prune_from(store, bounds, dry_run=True, told=told)
    if not (foreseen.chain_ids or foreseen.aside):
        return None
    shown = harmless(_pruned(foreseen, bounds, dry_run=True), keeping="\n")
    sys.stderr.write(f"{shown}\nLet this go? Nothing brings it back; --yes does not ask. [y/N] ")
    sys.stderr.flush()
    return None if sys.stdin.readline().strip().casefold() in ("y", "yes") else foreseen


def _erase(options: argparse.Namespace) -> Answer:
    runs = runs_of(options)
    chain_id = None if options.run is None else info_of(runs, options.run).chain_id
    memory = None if options.memory is None else (options.memory[0], options.memory[1])
    what = Erasure(tuple(options.text), options.whole, memory, chain_id)
    try:
        with progress(quiet=options.json) as told:
            done = erase_from(
                runs.store,
                options.text,
                memory=memory,
                chain_id=chain_id,
                whole=options.whole,
                reason=options.reason,
                dry_run=not options.yes,
                told=told,
            )
    except (StoreFormatError, NotReleasedError) as refusal:
        if not options.yes:
            raise
        raise StoreError(_erased_there_though(refusal, runs.store, what)) from refusal
    there = erase_there(runs.store, what, done) if options.yes else ""
    return Answer(
        lambda: Text("\n".join(filter(None, [_erased(done, is_done=options.yes), there]))),
        lambda: {
            "erased": options.yes,
            "places": dict(done.places),
            "runs": list(done.chain_ids),
            "unread": [dataclasses.asdict(one) for one in done.unread],
            **({"sink": there} if there else {}),
        },
        lambda: FOUND if done.unread else FINE,
    )


# Inside


def _bounds(asked: tuple[str | None, str | None, int | None], *, is_needed: bool) -> Retention | None:
    said = os.environ.get("BECAUSAL_RETENTION")
    if any(bound is not None for bound in asked):
        return bounds_of(*asked)
    if said:
        return Retention.read(said)
    if is_needed:
        raise SettingsError(
            "say what is to go: --older-than 30d, --max-size 5GB, --keep-last N, or several of them "
            "(or set BECAUSAL_RETENTION)"
        )
    return None


def _pruned_json(done: Pruned, bounds: Retention, *, dry_run: bool) -> dict[str, object]:
    return {"dry_run": dry_run, "bounds": str(bounds), **dataclasses.asdict(done)}


def _pruned(done: Pruned, bounds: Retention, *, dry_run: bool) -> str:
    gone = " and ".join(_counted_gone(done))
    if gone:
        would = "would go" if dry_run else "gone"
        lines = [f"{gone} {would}, {counted(done.steps, 'step')}; {counted(done.kept, 'run')} kept"]
    elif done.kept:
        lines = [f"no run {'would go' if dry_run else 'had to go'}; {done.kept:,} kept"]
    else:
        lines = ["there is no run in the store"]
    lines += [f"  {short(chain_id)}" for chain_id in done.chain_ids[:MOST_NAMED]]
    if len(done.chain_ids) > MOST_NAMED:
        lines.append(f"  and {len(done.chain_ids) - MOST_NAMED} more")
    if not dry_run:
        lines.append(f"{done.bytes_before / 1e6:.1f} MB before, {done.bytes_after / 1e6:.1f} MB now")
        lines += filter(None, [left_there()])
    if done.kept_longer:
        lines.append(
            f"{done.kept_longer} {'is' if done.kept_longer == 1 else 'are'} kept longer: "
            "pinned, under way, or with something wrong in them"
        )
    if not done.is_within:
        why = "prune again, more may go" if done.more_may_go else "what is left may not go"
        if done.least:
            why = f"it takes {done.least:,} bytes without any run, what memories hold among them; name a larger size"
        lines.append(f"the store is still beyond its bounds ({bounds}): {why}")
    if done.damaged:
        lines += ["The store is damaged, and this could not be done (becausal doctor says more):"]
        lines += [f"  {one}" for one in done.damaged[:MOST_NAMED]]
    return "\n".join(lines)


def _counted_gone(done: Pruned) -> Iterator[str]:
    """Yield how many there are of each sort of what goes, in words."""
    replays = sum(is_replay(chain_id) for chain_id in done.aside)
    outside = len(done.aside) - replays
    if done.chain_ids:
        yield counted(len(done.chain_ids), "run")
    if replays:
        yield counted(replays, "replay")
    if outside:
        yield counted(outside, "record") + " of memories outside of every run"


def _erased_there_though(refusal: StoreFormatError | NotReleasedError, store: Store, what: Erasure) -> str:
    """Erase from the sink what its store did not erase, or not from its free space; returns what became of both."""
    erased = refusal.erased if isinstance(refusal, NotReleasedError) else None
    try:
        there = erase_there(store, what, erased)
    except StoreError as of_the_sink:
        there = str(of_the_sink)
    return ". As for the sink: ".join(filter(None, [str(refusal), there]))


def _erased(done: Erased, *, is_done: bool) -> str:
    return "\n".join((*_erased_places(done, is_done=is_done), *_unread(done.unread)))


def _unread(unread: Sequence[Unread]) -> Iterator[str]:
    """Yield what is damaged, and what to do about it: nobody knows whether it holds what was to be erased."""
    if not unread:
        return
    yield "This is damaged and cannot be looked through; it is in the store still:"
    yield from (f"  {one}" for one in unread[:MOST_NAMED])
    if len(unread) > MOST_NAMED:
        yield f"  and {len(unread) - MOST_NAMED} more; --json names them all"
    runs = any(one.chain_id is not None for one in unread)
    keys = any(one.memory is not None for one in unread)
    ways = ["of a run: becausal erase --run RUN --yes"] * runs
    ways += ["of a memory: becausal erase --memory NAME KEY --yes"] * keys
    yield f"To take all of it out, damaged or not, {'; '.join(ways)}"


def _erased_places(done: Erased, *, is_done: bool) -> list[str]:
    if not done.total:
        return ["nothing of it is in the store" + (" as far as it can be read" if done.unread else "")]
    where = f"in {counted(len(done.chain_ids), 'run')}" if done.chain_ids else "outside of every run"
    lines = [f"{'erased' if is_done else 'would be erased'} {where}; places of each sort:"]
    lines += [f"  {count:>7,}  {sort}" for sort, count in done.places.items()]
    lines += [f"  {short(chain_id)}" for chain_id in done.chain_ids[:MOST_NAMED]]
    if len(done.chain_ids) > MOST_NAMED:
        lines.append(f"  and {counted(len(done.chain_ids) - MOST_NAMED, 'more run')}")
    if is_done:
        lines.append(
            "Cassettes, reports, backups, spans that were sent elsewhere and a sink that BECAUSAL_SINK does not name "
            "are not reached from here."
        )
    else:
        lines.append("Add --yes to erase it; nothing brings it back.")
    return lines
