"""What a file holds beside its chains and contents, given and taken as it stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from becausal.memory_event import MemoryRead
from becausal.payload import Payload
from becausal.store.memory_log import Entry
from becausal.store.moving import missing_from
from becausal.store.sqlite import file, row
from becausal.store.sqlite.write import Writer

__all__ = ["SQLiteMoving"]

SAID = "memory, key, version, operation, of, seq, at_ns, chain_id, step_id, agent, digest, reason"


class SQLiteMoving:
    """The `becausal.store.moving.Moving` of one file."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[sqlite3.Connection]],
        writing: Callable[[], AbstractContextManager[Writer]],
        path: Path | None,
    ) -> None:
        self._reading, self._writing, self._path = reading, writing, path

    def anchors(self, chain_id: str) -> list[tuple[str, str]]:
        """Return the anchors that lead to a chain's steps: name and step id."""
        query = """SELECT name, step_id FROM anchors JOIN chains USING (chain_no)
            WHERE chain_id = ? ORDER BY name"""
        wanted = row.encodable(chain_id)
        with self._reading() as reader, file.read(self._path, f"reading the anchors of {chain_id}"):
            found = reader.execute(query, (wanted,))
            return [(name, row.step_id_of(number)) for name, number in found]

    def memories(self) -> list[str]:
        """Return the names of the memories that have a log."""
        query = "SELECT DISTINCT memory FROM memory_events ORDER BY memory"
        with self._reading() as reader, file.read(self._path, "listing the memories"):
            return [memory for (memory,) in reader.execute(query)]

    def log(self, memory: str) -> list[Entry]:
        """Return a memory's log as it stands."""
        wanted = row.encodable(memory)
        with self._reading() as reader, file.read(self._path, f"reading the log of {memory}"):
            return _log(reader, wanted)

    def take_log(
        self, log: Sequence[Entry], payloads: Iterable[Payload], bodies: Mapping[bytes, bytes]
    ) -> int:
        """Append what is missing of one memory's log, as it stands; returns how many events were."""
        if not log:
            return 0
        memory = log[0].said[0]
        where = str(self._path or "the store in memory")
        doing = f"taking in the log of {memory}"
        with self._writing() as writer, file.told(self._path, doing), writer.transaction():
            missing = missing_from(_log(writer.connection, memory), log, where)
            writer.keep(payloads, bodies)
            writer.connection.executemany(
                "INSERT INTO memory_events VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                [(*entry.said, *entry[1:]) for entry in missing],
            )
        return len(missing)

    def take_reads(self, reads: Sequence[MemoryRead]) -> None:
        """Note who read what from memories."""
        rows = [
            (
                row.encodable(one.memory),
                row.encodable(one.key),
                row.encodable(one.chain_id),
                row.number_of(one.step_id),
                one.agent and row.encodable(one.agent),
                one.seq,
                one.version,
                None,
            )
            for one in reads
        ]
        doing = "taking in who read the memories"
        with self._writing() as writer, file.told(self._path, doing), writer.transaction():
            writer.connection.executemany("INSERT OR IGNORE INTO memory_reads VALUES (?,?,?,?,?,?,?,?)", rows)


def _log(connection: sqlite3.Connection, memory: str) -> list[Entry]:
    query = f"SELECT {SAID}, salt, commitment, hash FROM memory_events WHERE memory = ? ORDER BY event_no"
    return [Entry(r[:12], *r[12:]) for r in connection.execute(query, (memory,))]
