"""Archives: all of a store in one file or pipe, to be carried to another store, of whatever kind.

    becausal export all -o store.tar
    becausal export all -o - | becausal import - --store postgresql://host/database

An archive is a tar file, written and read from front to back. Its members, in this order:

`becausal.json`
    What it is: its format, who wrote it, the counts of gaps.
`runs/N.becausal`
    A cassette for each run, the oldest first, without what belongs to memories. `runs/N.anchors.json`, before it:
    the names by which a later run finds its steps.
`memories/N.log`
    A container (see `becausal.cassette.container`) for each memory: its log as it stands (with salts and
    hashes, so that it verifies wherever it comes to), the payloads and bodies of its events, and who read it.
`end.json`
    How many there were, and which runs are pinned. An archive without it was cut off.

Importing twice, or going on after an interruption, changes nothing that is there; a run or a memory that the store
tells otherwise is refused.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from becausal.cassette import MAX_BYTES, Cassette, body, container, own_name, read, row
from becausal.cassette.store import take_in
from becausal.errors import CassetteError, StoreFormatError
from becausal.memory_event import MemoryRead
from becausal.payload import Payload
from becausal.store import Store, memory_log
from becausal.store.encoding import number_of, step_id_of
from becausal.store.memory_log import Entry
from becausal.store.moving import Moving, moving_of
from becausal.store.upkeep import upkeep_of

__all__ = ["Moved", "is_archive", "read_archive", "write_archive"]

FORMAT: Final = 1

ABOUT: Final = "becausal.json"
END: Final = "end.json"


@dataclass
class Moved:
    """What was carried."""

    runs: int = 0
    new_runs: int = 0
    steps: int = 0
    memories: int = 0
    events: int = 0
    broken: tuple[str, ...] = ()
    """Which events of which memories are not what was once appended, in words; they were carried as they stand."""
    damaged: tuple[str, ...] = ()
    """What of the store is damaged and was left out, in words, each with why."""


def is_archive(path: Path) -> bool:
    """Return whether a file begins as an archive does."""
    try:
        with path.open("rb") as opened:
            return opened.read(len(ABOUT) + 1) == ABOUT.encode() + b"\0"
    except OSError:
        return False


def begins_as_archive(first: bytes) -> bool:
    """Return whether some first bytes, at least one, may be those of an archive."""
    begin = ABOUT.encode() + b"\0"
    return bool(first) and first[: len(begin)] == begin[: len(first)]


def write_archive(store: Store, out: IO[bytes]) -> Moved:
    """Write all of a store; what is damaged in it is left out, and told (`Moved.damaged`).

    Raises:
        StoreError: it cannot be read, or none of its runs; or it is no whole store.
    """
    moving, moved = moving_of(store, store.url), Moved()
    infos = store.chains()  # before anything is written: what refuses this is no archive
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        about = {"format": FORMAT, "written_by": own_name(), "gaps": {}}
        with _left_out_where_damaged(moved, "the counts of gaps"):
            about["gaps"] = store.gaps()
        _add(tar, ABOUT, json.dumps(about).encode())
        for nth, info in enumerate(reversed(infos), 1):
            with _left_out_where_damaged(moved, f"the run {info.chain_id}"):
                _add_run(tar, nth, info.chain_id, store, moving, moved)
        if infos and not moved.runs:
            raise StoreFormatError(
                f"{store.url} is damaged: none of its {len(infos)} runs can be exported ({moved.damaged[-1]}). "
                "`becausal doctor` says more. Put a backup in its place"
            )
        memories: list[str] = []
        with _left_out_where_damaged(moved, "the memories"):
            memories = moving.memories()
        for nth, memory in enumerate(memories, 1):
            with _left_out_where_damaged(moved, f"the memory {memory}"):
                _add_memory(tar, nth, memory, store, moving, moved)
        pinned: list[str] = []
        with _left_out_where_damaged(moved, "which runs are pinned"):
            pinned = _pinned_in(store)
        end = {"runs": moved.runs, "memories": moved.memories, "pinned": pinned}
        _add(tar, END, json.dumps(end).encode())
    return moved


def read_archive(source: IO[bytes], store: Store, *, max_bytes: int = MAX_BYTES) -> Moved:
    """Take all of an archive into a store; what was taken in before an error stays.

    Args:
        source: read from front to back.
        store: where to.
        max_bytes: what one run, or one memory, may hold when it is unpacked.

    Raises:
        CassetteError: it is no archive, is damaged or cut off, or has a run that the store tells otherwise.
        StoreError: the store cannot be written, or has another log of one of its memories.
    """
    moving, moved = moving_of(store, store.url), Moved()
    anchors: list[tuple[str, str]] = []
    with _told_damage(), tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            gaps, is_whole = _gaps_of(tar), False
            is_new = not store.chains(limit=1) and not store.gaps()
            while (member := tar.next()) is not None:
                if is_whole := member.name == END:
                    _pin(store, _unpacked(tar, member, Path(folder), max_bytes))
                    break
                file = _unpacked(tar, member, Path(folder), max_bytes)
                if member.name.endswith(".anchors.json"):
                    anchors = [(str(name), str(step_id)) for name, step_id in json.loads(file.read_bytes())]
                elif member.name.endswith(".becausal"):
                    made = read(file, max_bytes=max_bytes)
                    moved.new_runs += take_in(made, store, anchors)
                    moved.runs, moved.steps, anchors = moved.runs + 1, moved.steps + len(made.steps), []
                elif member.name.endswith(".log"):
                    _take_log(container.read(file, max_bytes), store, moving, moved, max_bytes)
            if not is_whole:
                raise EOFError("its end is missing")
        if is_new:  # into a store that has runs of its own they would be counted twice when it is done again
            store.add_gaps(gaps)
    return moved


# Inside


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


def _add_run(
    tar: tarfile.TarFile, nth: int, chain_id: str, store: Store, moving: Moving, moved: Moved
) -> None:
    made = Cassette.of(chain_id, store.load(chain_id))
    made.check()
    packed, anchors = made.packed(), list[tuple[str, str]]()
    with _left_out_where_damaged(moved, f"the names by which the run {chain_id} is resumed"):
        anchors = moving.anchors(chain_id)
    # Not before all of it was read: what is in a pipe cannot be taken back.
    if anchors:
        _add(tar, f"runs/{nth}.anchors.json", json.dumps(anchors).encode())
    _add(tar, f"runs/{nth}.becausal", packed)
    moved.runs += 1
    moved.steps += len(made.steps)


def _add_memory(
    tar: tarfile.TarFile, nth: int, memory: str, store: Store, moving: Moving, moved: Moved
) -> None:
    log = moving.log(memory)
    packed, broken = _packed_log(store, memory, log), memory_log.broken_link(log, _Whole(store).body)
    _add(tar, f"memories/{nth}.log", packed)
    moved.memories += 1
    moved.events += len(log)
    moved.broken += () if broken is None else (broken,)


class _Whole:
    """The bodies of a store that are what was written; the others are as good as none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def body(self, digest: bytes) -> bytes | None:
        """Return a body, or None where it is not kept, or damaged."""
        try:
            found = self._store.body(digest)
            if found is not None:
                body.check_digest(digest, found)
        except (StoreFormatError, ValueError):
            return None
        return found


def _pinned_in(store: Store) -> list[str]:
    upkeep = upkeep_of(store)
    return [] if upkeep is None else [age.chain_id for age in upkeep.ages() if age.is_pinned]


def _pin(store: Store, end: Path) -> None:
    """Pin what was pinned where an archive comes from; one of an earlier becausal does not say."""
    upkeep = upkeep_of(store)
    for chain_id in json.loads(end.read_bytes()).get("pinned", ()):
        if upkeep is not None:
            upkeep.mark(str(chain_id), "pinned")


def _packed_log(store: Store, memory: str, log: Sequence[Entry]) -> bytes:
    payloads = {
        event.payload.digest: event.payload
        for event in store.memory_events(memory)
        if event.payload is not None
    }
    reads = [{**row.read_line(one), "chain": one.chain_id} for one in store.memory_reads(memory)]
    bodies = body.below([(digest, _Whole(store)) for digest in payloads])
    sections = {
        "log": row.lines(map(_entry_line, log)),
        "payloads": row.lines(map(row.payload_line, payloads.values())),
        "reads": row.lines(reads),
        "bodies": body.packed(bodies),
    }
    packed = container.Container("", own_name(), sections)
    _read_log(packed)  # a damaged store gives what nobody takes
    return container.pack(packed)


def _read_log(
    found: container.Container, max_bytes: int = sys.maxsize
) -> tuple[list[Entry], list[Payload], list[MemoryRead], dict[bytes, bytes]]:
    """Return a memory's log, the payloads of its events, who read it, and the bodies.

    Raises:
        ValueError: nobody wrote it so.
    """
    bodies = body.unpacked(found.sections["bodies"])
    body.check(bodies, max_bytes)
    held = body.Held(bodies)
    log = row.records(found.sections["log"], _entry_of)
    payloads = row.records(found.sections["payloads"], lambda record: row.payload_of(record, bodies=held))
    reads = row.records(
        found.sections["reads"], lambda record: row.read_of(record, chain_id=str(record["chain"]))
    )
    return log, payloads, reads, bodies


def _take_log(found: container.Container, store: Store, moving: Moving, moved: Moved, max_bytes: int) -> None:
    log, payloads, reads, bodies = _read_log(found, max_bytes)
    moved.memories += 1
    moved.events += moving.take_log(log, payloads, bodies)
    moving.take_reads(reads)
    broken = memory_log.broken_link(log, bodies.get)
    moved.broken += () if broken is None else (broken,)


def _entry_line(entry: Entry) -> Mapping[str, object]:
    memory, key, version, operation, of, seq, at_ns, chain_id, step_id, agent, digest, reason = entry.said
    return {
        "memory": memory,
        "key": key,
        "version": version,
        "operation": operation,
        "of": of,
        "seq": seq,
        "at": at_ns,
        "chain": chain_id,
        "step": None if step_id is None else step_id_of(step_id),
        "agent": agent,
        "digest": None if digest is None else digest.hex(),
        "reason": reason,
        "salt": None
        if entry.salt is None
        else f"x{entry.salt.hex()}",  # an erased one is empty, and is not none
        "commitment": None if entry.commitment is None else entry.commitment.hex(),
        "hash": entry.hash.hex(),
    }


def _entry_of(record: row.Record) -> Entry:
    said = (
        str(record.get("memory", "")),
        str(record.get("key", "")),
        int(record["version"]),
        str(record["operation"]),
        record.get("of"),
        int(record["seq"]),
        int(record["at"]),
        record.get("chain"),
        None if "step" not in record else number_of(record["step"]),
        record.get("agent"),
        _bytes(record, "digest"),
        record.get("reason"),
    )
    salt = record.get("salt")
    return Entry(
        said,
        None if salt is None else bytes.fromhex(str(salt)[1:]),
        _bytes(record, "commitment"),
        bytes.fromhex(record["hash"]),
    )


def _bytes(record: row.Record, name: str) -> bytes | None:
    return bytes.fromhex(record[name]) if name in record else None


def _gaps_of(tar: tarfile.TarFile) -> dict[str, int]:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == ABOUT else None
    if content is None:
        raise CassetteError("this is no archive of becausal's; `becausal export all -o FILE` writes one")
    about = json.loads(content.read(1 << 20))
    if about["format"] > FORMAT:
        raise CassetteError(
            f"the archive was written by a newer becausal (format {about['format']}); this one reads up to "
            f"{FORMAT}: pip install -U becausal"
        )
    return {str(reason): int(count) for reason, count in about["gaps"].items()}


def _unpacked(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, max_bytes: int) -> Path:
    """Return a file with a member's content, by a name of ours: no path in an archive is followed."""
    content = tar.extractfile(member) if member.isfile() else None
    if content is None or member.size > max_bytes:
        raise CassetteError(
            f"the archive's {member.name!r} is no file, or larger than the {max_bytes} bytes that are allowed"
        )
    file = folder / "member.becausal"
    with file.open("wb") as out:
        shutil.copyfileobj(content, out)
    return file


@contextmanager
def _left_out_where_damaged(moved: Moved, what: str) -> Iterator[None]:
    """Go on with the rest where a store gives what is damaged, or what nobody could take in again."""
    try:
        yield
    except StoreFormatError as failure:
        why = str(failure).partition(" is damaged: ")[2].partition(". ")[0]
        moved.damaged += (f"{what}: {why or failure}",)
    except (ValueError, LookupError, TypeError, AttributeError):
        moved.damaged += (f"{what}: what stands there cannot have been written so",)


@contextmanager
def _told_damage() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as failure:
        if isinstance(failure, CassetteError):
            raise
        raise CassetteError(
            f"the archive is damaged or cut off ({failure}). What came before that was imported; make it again and "
            "import it again: what is there already stays as it is"
        ) from failure
