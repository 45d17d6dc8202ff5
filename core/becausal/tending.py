"""Letting runs go and erasing data, as people ask for it: of a store by name, in their words."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence

from becausal.bounds import Retention, age_ns, byte_count
from becausal.errors import SettingsError, StoreError
from becausal.instrument import flush
from becausal.store import Store, open_store
from becausal.store.retention import Pruned, prune
from becausal.store.upkeep import Erased, Erasure, Progress, Upkeep, upkeep_of

__all__ = ["bounds_of", "erase_from", "pin_in", "prune_from", "release_of"]


def bounds_of(
    older_than: str | dt.timedelta | None, max_size: str | int | None, keep_last: int | None
) -> Retention:
    """Return the bounds that somebody named.

    Raises:
        SettingsError: none, or one that means nothing.
    """
    if older_than is None and max_size is None and keep_last is None:
        raise SettingsError(
            "say what is to go: older_than ('30d'), max_size ('5GB'), keep_last (a number of runs), or several of them"
        )
    if keep_last is not None and keep_last < 0:
        raise SettingsError(f"keep_last={keep_last} is no number of runs")
    return Retention(
        None if older_than is None else age_ns(older_than),
        None if max_size is None else _size(max_size),
        keep_last,
    )


def prune_from(
    store: Store,
    retention: Retention,
    *,
    dry_run: bool = False,
    whole: bool = False,
    told: Progress | None = None,
) -> Pruned:
    """Let go what is beyond a store's bounds; see `becausal.store.retention`.

    Args:
        store: any that was opened, to read only too.
        retention: the bounds.
        dry_run: only say what would go.
        whole: rewrite the file afterwards, so that all free space goes back to the disk.
        told: told how far it is.
    """
    with _writable(store) as opened:
        done = prune(opened, retention, dry_run=dry_run, told=told)
        if whole and not dry_run:
            _upkeep(opened).release(whole=True)
        return done


def release_of(store: Store) -> None:
    """Rewrite a store, so that all free space goes back to the disk."""
    with _writable(store) as opened:
        _upkeep(opened).release(whole=True)


def pin_in(store: Store, chain_id: str, *, keep: bool) -> None:
    """Keep a run until it is unpinned, whatever the bounds; or no longer."""
    with _writable(store) as opened:
        _upkeep(opened).mark(chain_id, "pinned", remove=not keep)


def erase_from(
    store: Store,
    texts: Iterable[str] = (),
    *,
    memory: tuple[str, str] | None = None,
    chain_id: str | None = None,
    whole: bool = False,
    reason: str = "",
    dry_run: bool = False,
    told: Progress | None = None,
) -> Erased:
    """Erase data for good, in every place where it stands; see `becausal.store.upkeep.Erasure`.

    Raises:
        SettingsError: nothing was named, or not as it has to be.
        StoreError: it cannot be erased from this store.
    """
    wanted = (texts,) if isinstance(texts, str) else tuple(texts)
    if not wanted and memory is None and chain_id is None:
        raise SettingsError("say what is to be erased: a text, a memory's key, or a run")
    if other := [text for text in wanted if not isinstance(text, str)]:
        raise SettingsError(f"only texts can be looked for and erased, not a {type(other[0]).__name__}")
    if memory is not None and not _is_pair(memory):
        raise SettingsError("a memory's name and a key say what is to be erased: memory=('notes', 'tier')")
    with _writable(store) as opened:
        return _upkeep(opened).erase(
            Erasure(wanted, whole, memory, chain_id, reason), dry_run=dry_run, told=told
        )


# Inside


def _is_pair(memory: object) -> bool:
    if isinstance(memory, str) or not isinstance(memory, Sequence):
        return False  # of a text, two letters would be looked for, and nothing found
    return len(memory) == 2 and all(isinstance(one, str) for one in memory)


def _size(said: str | int) -> int:
    """Return the bytes of a bound. What is said amiss deletes runs: who writes a size writes its unit."""
    if isinstance(said, str) and re.fullmatch(r"\s*[\d.]+\s*", said):
        raise SettingsError(f"{said!r} of what? write for instance {said.strip()}GB or {said.strip()}MB")
    return byte_count(said)


@contextlib.contextmanager
def _writable(store: Store) -> Iterator[Store]:
    """Give a store opened to write; what this process has on its way there is there first."""
    flush()
    if ":memory:" in store.url or upkeep_of(store) is None:
        yield store
        return
    with contextlib.closing(open_store(store.url, create=False)) as opened:
        yield opened


def _upkeep(store: Store) -> Upkeep:
    found = upkeep_of(store)
    if found is None:
        raise StoreError(f"{store.url} cannot be changed; name the store that it came from")
    return found
