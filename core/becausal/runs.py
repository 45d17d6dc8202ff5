"""The runs in a store, and how one gets at them: `becausal.open`, `becausal.last_run`."""

from __future__ import annotations

import datetime as dt
import os
from itertools import islice

from becausal.answers.contamination import Contamination, contaminated_by
from becausal.answers.orphans import Orphan, orphans_in
from becausal.answers.orphans.hosts import MOST_CHAINS, ON_ITS_OWN
from becausal.answers.version import Version, version_of
from becausal.cassette import is_cassette
from becausal.cassette.store import CassetteStore
from becausal.clock import OUTSIDE, REPLAYS, is_aside
from becausal.errors import RunNotFoundError
from becausal.finding import Finding
from becausal.graph.part import Part, Window
from becausal.harmless import legible
from becausal.instrument import active_store, flush, store_url_in_use
from becausal.keeping import REDACTED
from becausal.memory_view import Held
from becausal.run import Asked, Run
from becausal.settings import store_url
from becausal.step import Step
from becausal.store import ChainInfo, Store, newest, open_store
from becausal.store.links import links_of, passing_damage
from becausal.store.numbering import load
from becausal.store.retention import Pruned
from becausal.store.upkeep import Erased, Progress
from becausal.tending import bounds_of, erase_from, pin_in, prune_from

__all__ = ["Runs", "last_run", "open"]

ChainInfos = list[ChainInfo]

MOST_NAMED = 8
"""So many candidates are named when a run is not found."""


class Runs:
    """The runs in a store, to be read while an app writes more of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def last(
        self,
        *,
        last: int | None = None,
        around: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> Run:
        """Return the newest run; of work that lost its link while another run was under way, that run.

        With one of the arguments, a part of it, as `get` does.

        Raises:
            RunNotFoundError: there is none yet.
        """
        return self._load(self.info(), Window(last, around, since, until))

    def get(
        self,
        chain_id: str,
        *,
        last: int | None = None,
        around: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> Run:
        """Return a run by its chain id or by the beginning of it; with one of the arguments, a part of it.

        A part has what encloses its steps, too, and what the run put out. What led to a step is loaded when it is asked
        about (`why`, `blame`), and `run.part` says what is loaded. A run no longer than that is loaded whole.

        Args:
            chain_id: its id, or the beginning of it.
            last: at most so many steps, the last ones; with `around`, so many around that one, most of them before it.
            around: a step's id, or the beginning of it.
            since: only what started then or later.
            until: only what started then or earlier.

        Raises:
            RunNotFoundError: no run, or more than one, answers to it.
            StepNotFoundError: there is no step to load around.
        """
        return self._load(self.info(chain_id), Window(last, around, since, until))

    def info(self, chain_id: str | None = None) -> ChainInfo:
        """Return what there is of a run, by its chain id or by the beginning of it, without loading it.

        Args:
            chain_id: None for the newest run.

        Raises:
            RunNotFoundError: no run, or more than one, answers to it.
        """
        if chain_id is None:
            infos = [*islice(newest(self.store, aside=False), MOST_NAMED)]
            if not infos:
                raise RunNotFoundError(self._nothing_yet())
            return self._not_within_another(infos)
        if not isinstance(chain_id, str):
            raise RunNotFoundError(
                f"a {type(chain_id).__name__} is no chain id: give the text, or the beginning of it"
            )
        found = self.store.chains(prefix=chain_id, limit=MOST_NAMED + 1) if chain_id else []
        exact = [info for info in found if info.chain_id == chain_id]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            raise RunNotFoundError(
                f"{chain_id!r} is the beginning of several chain ids; write more of it: {_named(found)}"
            )
        there = [*islice(newest(self.store, aside=False), MOST_NAMED + 1)] or self.store.chains(
            limit=MOST_NAMED + 1
        )
        if not there:
            raise RunNotFoundError(self._nothing_yet())
        raise RunNotFoundError(f"no run's chain id begins with {chain_id!r}; the newest are: {_named(there)}")

    def list(self, *, limit: int | None = None, replays: bool = True) -> ChainInfos:
        """Return what there is, newest first, without loading it.

        Args:
            limit: at most so many.
            replays: whether what is no run of the app's is among them: replays, and what memories did outside of every
                run.
        """
        if replays:
            return self.store.chains(limit=limit)
        return [*islice(newest(self.store, aside=False), limit)]

    def count(self, *, replays: bool = True) -> int:
        """Return how many there are.

        Args:
            replays: whether what is no run of the app's is counted; see `list`.
        """
        chains = self.store.describe().chains
        if replays:
            return chains
        begin = (info for one in (OUTSIDE, REPLAYS) for info in self.store.chains(prefix=one))
        return chains - sum(is_aside(info.chain_id) for info in begin)

    def contaminated_by(
        self, of: Asked | Finding | Held | Version, *, run: str | None = None, possible: bool = False
    ) -> Contamination:
        """Return where something wrong came to: every reader, every output derived from it, in all runs of the store.

            runs.contaminated_by("research/prices@3").outputs    # runs whose answers say what this version said

        Args:
            of: a version of a memory's key (`memory/key@3`, `key@3`; without a number the last), or what
                `Run.contamination` takes; a step's id, or a key of a state's channel, is looked for in `run`.
            run: a chain id or the beginning of one; the newest run by default.
            possible: follow what depends on it without saying it into other runs, too.

        Raises:
            MemoryKeyError: several memories have this key.
            StepNotFoundError: nobody wrote such a key, and the run has no such step.
            RunNotFoundError: there is no such run.
        """
        known = version_of(self.store, of) if isinstance(of, str) and run is None else None
        if known is not None or isinstance(of, Version):
            return contaminated_by(self.store, known or of, possible=possible)  # type: ignore[arg-type]
        step = of if isinstance(of, Step) else getattr(of, "step", None)
        chain_id = step.chain_id if isinstance(step, Step) else run
        found = self.last() if chain_id is None else self.get(chain_id)
        return found.contamination(of, possible=possible)

    def orphans(self, *, limit: int = 1_000) -> tuple[Orphan, ...]:
        """Return the chains that are no runs of their own, newest first, each with the run that shows its content.

        Args:
            limit: so many of the newest chains are looked at.
        """
        return tuple(orphans_in(self.store, limit=limit))

    def prune(
        self,
        older_than: str | dt.timedelta | None = None,
        *,
        max_size: str | int | None = None,
        keep_last: int | None = None,
        dry_run: bool = False,
        told: Progress | None = None,
    ) -> Pruned:
        """Let go the oldest runs, until the store is within bounds; see `becausal.store.retention` for the order.

        Args:
            older_than: runs older than `"30d"`; those with something wrong are kept four times as long.
            max_size: of the store: `"5GB"`, or a number of bytes.
            keep_last: how many of the runs that `list(replays=False)` gives: the newest.
            dry_run: only say what would go.
            told: told how far it is: what is being done, how much of how much.

        Raises:
            SettingsError: no bound, or one that means nothing.
            StoreError: the store cannot be written.
        """
        bounds = bounds_of(older_than, max_size, keep_last)
        return prune_from(self.store, bounds, dry_run=dry_run, told=told)

    def pin(self, chain_id: str, *, keep: bool = True) -> None:
        """Keep a run, and what it depends on, whatever is pruned; with `keep=False` no longer.

        Args:
            chain_id: its id, the beginning of it, or `last`: the newest run.
            keep: whether it is kept.

        Raises:
            RunNotFoundError: no run, or more than one, answers to it.
            StoreError: the store cannot be written.
        """
        pin_in(self.store, self._id_of(chain_id), keep=keep)

    def erase(
        self,
        *texts: str,
        memory: tuple[str, str] | None = None,
        run: str | None = None,
        whole: bool = False,
        reason: str = "",
        dry_run: bool = False,
        told: Progress | None = None,
    ) -> Erased:
        """Erase data for good: from contents, names, errors, logs, decisions and memories, and from the disk.

            runs.erase("Jane Doe", "jane.doe@example.org", reason="ticket 4711")

        In its place stands `[erased 1a2b3c4d]`; a content that is gone as a whole is told as erased. The runs keep
        their shape and answer as before, and the memories' logs verify.

        Args:
            texts: what is to go, however it is written (see `becausal.store.wording`).
            memory: a memory's name and a key: every content that it ever had, wherever that stands.
            run: a chain id, the beginning of one, or `last`: all that was said in it.
            whole: every content that holds one of the texts, not the text alone.
            reason: is kept with the time and the counts; it should name nobody.
            dry_run: only count.
            told: told how far it is.

        Raises:
            SettingsError: nothing was named.
            StoreError: a text is too short; the store cannot be written, or not be rewritten.
        """
        chain_id = None if run is None else self._id_of(run)
        return erase_from(
            self.store,
            texts,
            memory=memory,
            chain_id=chain_id,
            whole=whole,
            reason=reason,
            dry_run=dry_run,
            told=told,
        )

    def gaps(self) -> dict[str, int]:
        """Return how much could not be recorded, by reason."""
        return {
            reason: count for reason, count in self.store.gaps().items() if not reason.startswith(REDACTED)
        }

    def redacted(self) -> dict[str, int]:
        """Return how many values of which kinds were redacted in what the store was given."""
        counts = self.store.gaps()
        return {
            reason[len(REDACTED) :]: count for reason, count in counts.items() if reason.startswith(REDACTED)
        }

    def close(self) -> None:
        """Let go of the store. Bodies of the runs that came from it can no longer be read."""
        self.store.close()

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @legible
    def __repr__(self) -> str:
        return f"<Runs in {self.store.url}>"

    def _not_within_another(self, infos: ChainInfos) -> ChainInfo:
        """Return the newest of some chains; where a tool or a model began it while a run was under way, that run."""
        links, newest = links_of(self.store), infos[0]
        if links is None:
            return newest
        with passing_damage("what else was under way"):
            began = links.begun(newest.started_ns, newest.started_ns, limit=MOST_CHAINS)
            if any(one.chain_id == newest.chain_id and one.kind in ON_ITS_OWN for one in began):
                return newest
            holding = {
                one.chain_id: one.kind for one in links.under_way(newest.started_ns, limit=MOST_CHAINS)
            }
            return next((info for info in infos[1:] if holding.get(info.chain_id) in ON_ITS_OWN), newest)
        return newest

    def _id_of(self, name: str) -> str:
        """Return the id of a run that was named as the commands take it."""
        return self.info(None if name == "last" else name).chain_id

    def _load(self, info: ChainInfo, window: Window) -> Run:
        is_whole = window == Window() or (
            window == Window(last=window.last) and info.steps <= (window.last or 0)
        )
        if is_whole:
            return Run(info.chain_id, load(self.store, info.chain_id), store=self.store)
        part = Part.of(self.store, info.chain_id, window)
        if not part.leaves_any_out:
            return Run(info.chain_id, part.steps, store=self.store)
        return Run.of_part(part)

    def _nothing_yet(self) -> str:
        return (
            f"no run has been recorded in {self.store.url} yet: call becausal.instrument() before the app runs, "
            "or name another store"
        )


def open(store: str | os.PathLike[str] | None = None) -> Runs:
    """Open a store, or a cassette, to read runs from it.

    Args:
        store: a URL or a path; None for the store that this process records to, else `BECAUSAL_STORE`, else
            `sqlite:///.becausal/becausal.db`.

    Raises:
        StoreError: there is no such store, or it cannot be read.
        StoreFormatError: it is damaged, no store of ours, or of a newer format; of a cassette a `CassetteError`.
    """
    if store is not None and is_cassette(store):
        return Runs(CassetteStore(store))
    url = store_url_in_use() if store is None else store_url(os.fspath(store))
    return Runs(open_store(url, read_only=True))


def last_run() -> Run:
    """Return the newest run in this process's store, after writing what is still on its way there.

    Raises:
        RunNotFoundError: there is none yet.
        StoreError: the store cannot be read.
    """
    flush()
    store = active_store()
    # One in memory is known to this process alone, and cannot be opened a second time.
    return open().last() if store is None or ":memory:" not in store.url else Runs(store).last()


def _named(infos: ChainInfos) -> str:
    few = ", ".join(f"{info.chain_id[:16]} ({info.name})" for info in infos[:MOST_NAMED])
    return f"{few}, …" if len(infos) > MOST_NAMED else few
