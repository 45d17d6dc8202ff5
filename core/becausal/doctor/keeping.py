"""The store: whether it and its newest contents can be read, how large it is, how it grows, how long the disk lasts."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from becausal.canonical import parse_digest
from becausal.canonical.wire import digest_of
from becausal.counted import counted
from becausal.doctor.check import Figure, Line, advice, told_apart, trouble, well
from becausal.doctor.patient import LARGEST
from becausal.errors import StoreError, StoreFormatError
from becausal.payload import Payload
from becausal.store import ChainInfo, Store, StoreInfo
from becausal.store.upkeep import upkeep_of

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_contents", "look_at_damage", "look_at_disk", "look_at_growth", "look_at_store"]

DAY_NS: Final = 86_400 * 10**9

WINDOW_DAYS: Final = 7
"""Growth is that of the last week: what an app did last year says nothing about tomorrow."""

NEWEST: Final = 5_000
"""So many chains are looked at for it, at most."""

SAMPLE: Final = 32
"""So many contents are read to see whether they are as they were written, those of the newest runs first."""

SAMPLED_RUNS: Final = 8

PATIENCE_S: Final = 5.0
"""So long a store is looked over for damage, its pages and its runs each."""

MOST_NAMED: Final = 5
"""Damaged runs that are named."""

LEAST_FREE: Final = 1 << 30
"""Bytes: with less than this free, or less than a week's growth, the disk is about to be full."""


DAMAGED: Final = (
    "put a backup in its place, or move it away (a file with its -wal and -shm), and a new one will be made; "
    "what is whole can still be read: becausal runs, becausal show"
)


def look_at_store(patient: Patient) -> Iterator[Line]:
    """Say what the store is and how much is in it, or why it cannot be read."""
    info = patient.info
    if info is None:
        yield _unreadable(patient)
        return
    megabytes = info.bytes_on_disk / 1e6
    yield well(
        f"{info.path or info.url}, format {info.format}, {megabytes:.1f} MB",
        path=None if info.path is None else str(info.path),
        bytes_on_disk=info.bytes_on_disk,
    )
    yield well(
        f"runs: {info.chains}, steps: {info.steps}, bodies: {info.bodies}",
        runs=info.chains,
        steps=info.steps,
        bodies=info.bodies,
    )


def look_at_damage(patient: Patient) -> Iterator[Line]:
    """Say whether the whole store can be read: its pages, its texts, and its runs, the newest first, within a time."""
    upkeep = None if patient.store is None else upkeep_of(patient.store)
    if patient.store is None or upkeep is None:
        return
    wrong = upkeep.damages(PATIENCE_S)
    try:
        runs, seen = _unloadable(patient.store)
    except StoreFormatError as refusal:
        wrong.append(told_apart(str(refusal))[0].partition(" is damaged: ")[2])
        runs, seen = [], 0
    if runs:
        named = ", ".join(runs[:MOST_NAMED]) + (", …" if len(runs) > MOST_NAMED else "")
        wrong.append(f"of the newest {counted(seen, 'run')} {len(runs)} cannot be loaded: {named}")
    if wrong:
        yield trouble(f"it is damaged: {'; '.join(wrong)}", DAMAGED, is_damaged=True, runs=len(runs))


def look_at_contents(patient: Patient) -> Iterator[Line]:
    """Say whether the newest contents can still be read, and are what was written."""
    if patient.store is None:
        return
    read = 0
    for payload in itertools.islice(_newest(patient.store), SAMPLE):
        says = _wrong_with(patient.store, payload)
        if says:
            yield trouble(says, DAMAGED, is_damaged=True)
            return
        read += 1
    if read:
        yield well(
            f"the newest contents are as they were written: {counted(read, 'payload')} read", read=read
        )


def look_at_growth(patient: Patient) -> Iterator[Line]:
    """Say how many steps a day came in lately, and what they take on disk."""
    grown = growth(patient)
    if grown is None:
        newest = [] if patient.store is None else patient.store.chains(limit=1)
        if newest and time.time_ns() - newest[0].started_ns < DAY_NS:
            yield well("too young to say how it grows: all that it has came in within the last day")
        return
    steps, size = grown
    yield well(
        f"grows by {steps:,.0f} steps and {_bytes(size)} a day, as the last {WINDOW_DAYS} days went",
        steps_per_day=round(steps),
        bytes_per_day=round(size),
    )


def look_at_disk(patient: Patient) -> Iterator[Line]:
    """Say how much of the disk is free, and how long that lasts."""
    info, grown = patient.info, growth(patient)
    if info is None or info.path is None:
        return
    free = shutil.disk_usage(info.path.parent).free
    per_day = grown[1] if grown is not None else 0.0
    lasts = f", which lasts {free / per_day:,.0f} days" if per_day > 0 else ""
    says = f"{_bytes(free)} are free on its disk{lasts}"
    if free < max(LEAST_FREE, 7 * per_day):
        yield trouble(says, "make room, or move the store (BECAUSAL_STORE) to a larger disk", bytes_free=free)
    else:
        yield well(says, bytes_free=free)


def _unloadable(store: Store) -> tuple[list[str], int]:
    """Return which of the newest runs cannot be loaded, and how many were tried."""
    ends = time.monotonic() + PATIENCE_S
    found, seen = [], 0
    for chain in store.chains(limit=NEWEST):
        if time.monotonic() > ends:
            break
        if chain.steps <= LARGEST:
            seen += 1
            try:
                store.load(chain.chain_id)
            except StoreFormatError:
                found.append(chain.chain_id)
    return found, seen


def _newest(store: Store) -> Iterator[Payload]:
    """Yield the payloads of the newest runs, each content once."""
    seen = set()
    for chain in store.chains(limit=SAMPLED_RUNS):
        for step in store.load(chain.chain_id) if chain.steps <= LARGEST else ():
            for payload in (step.received, step.produced):
                if payload is not None and payload.digest not in seen:
                    seen.add(payload.digest)
                    yield payload


def _wrong_with(store: Store, payload: Payload) -> str:
    """Return what is wrong with a content as the store keeps it; empty where nothing is, or it was not kept."""
    digest = parse_digest(payload.digest)
    try:
        body = store.body(digest)
    except StoreError as refusal:
        says, _, _ = str(refusal).partition(". ")
        return says
    # What was cut down or erased in part is another content than the one that its digest was made of.
    if body is None or not payload.is_whole or digest_of(body) == digest:
        return ""
    return f"a content is not what was written: {payload.digest} is the digest of another one"


def growth(patient: Patient, *, now_ns: int | None = None) -> tuple[float, float] | None:
    """Return steps and bytes a day, reckoned from the runs of the last week; None without any, or of less than a day.

    Bytes are those that a step of this store takes on average: old and new alike.
    """
    info = patient.info
    if patient.store is None or info is None or not info.steps:
        return None
    now = time.time_ns() if now_ns is None else now_ns
    recent = [
        chain for chain in patient.store.chains(limit=NEWEST) if now - chain.started_ns < WINDOW_DAYS * DAY_NS
    ]
    if not recent or _is_young(recent, info, now):
        return None
    steps = sum(chain.steps for chain in recent) / _days(recent, now)
    return steps, steps * info.bytes_on_disk / info.steps


def _is_young(recent: Sequence[ChainInfo], info: StoreInfo, now_ns: int) -> bool:
    """Return whether all that a store has came in within the last day: no rate is known from that."""
    return len(recent) == info.chains and now_ns - min(chain.started_ns for chain in recent) < DAY_NS


def _days(recent: Sequence[ChainInfo], now_ns: int) -> float:
    """Return how long ago the first of these runs began, a day at least: one run of a minute is no rate."""
    return max(1.0, (now_ns - min(chain.started_ns for chain in recent)) / DAY_NS)


def _unreadable(patient: Patient) -> Line:
    # A refusal says what is wrong, and after that what to do.
    says, do = told_apart(patient.store_trouble or "")
    # An app that never ran yet is not ill.
    made = advice if "does not exist" in says or "is empty" in says else trouble
    _, _, name = patient.url.rpartition("/")
    named = says if name and name in says else f"{patient.url}: {says}"
    is_damaged = " is damaged" in says
    figures: dict[str, Figure] = {"is_readable": False, **({"is_damaged": True} if is_damaged else {})}
    return made(named, DAMAGED if is_damaged else do or "name another store (--store)", **figures)


def _bytes(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
