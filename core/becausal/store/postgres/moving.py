"""What a store holds beside its chains and contents, given and taken as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from becausal.memory_event import MemoryRead
from becausal.payload import Payload
from becausal.store.encoding import encodable, number_of, step_id_of
from becausal.store.memory_log import Entry
from becausal.store.moving import missing_from
from becausal.store.postgres import memory as log_table
from becausal.store.postgres.connecting import Connection, Place
from becausal.store.postgres.schema import lock_number
from becausal.store.postgres.write import keep

__all__ = ["Changing", "PostgresMoving", "Rows"]

T = TypeVar("T")

READS_AT_ONCE = 5_000


class Rows(Protocol):
    """Returns what a query finds."""

    def __call__(
        self, doing: str, query: str, values: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return it."""


class Changing(Protocol):
    """Returns what some work gives that is one transaction, and may be done twice."""

    def __call__(self, doing: str, work: Callable[[Connection], T]) -> T:
        """Return it."""


class PostgresMoving:
    """The `becausal.store.moving.Moving` of one store."""

    def __init__(self, rows: Rows, changing: Changing, place: Place) -> None:
        self._rows, self._changing, self._place = rows, changing, place

    def anchors(self, chain_id: str) -> list[tuple[str, str]]:
        """Return the anchors that lead to a chain's steps: name and step id."""
        query = 'SELECT name, step_id FROM anchors WHERE chain_id = %s ORDER BY name COLLATE "C"'
        found = self._rows(f"reading the anchors of {chain_id}", query, (encodable(chain_id),))
        return [(name, step_id_of(number)) for name, number in found]

    def memories(self) -> list[str]:
        """Return the names of the memories that have a log."""
        query = 'SELECT memory FROM memory_heads WHERE nth > 0 ORDER BY memory COLLATE "C"'
        return [memory for (memory,) in self._rows("listing the memories", query)]

    def log(self, memory: str) -> list[Entry]:
        """Return a memory's log as it stands."""
        doing = f"reading the log of {memory}"
        return log_table.entries_of(self._rows(doing, log_table.ENTRIES, {"memory": encodable(memory)}))

    def take_log(
        self, log: Sequence[Entry], payloads: Iterable[Payload], bodies: Mapping[bytes, bytes]
    ) -> int:
        """Append what is missing of one memory's log, as it stands; returns how many events were."""
        if not log:
            return 0
        memory, contents = log[0].said[0], list(payloads)

        def work(connection: Connection) -> int:
            connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (lock_number(self._place),))
            keep(connection, contents, bodies)
            heads = log_table.heads_of(connection, [memory])
            there = log_table.entries(connection, memory)
            missing = missing_from(there, log, self._place.shown)
            log_table.add(connection, missing, heads)
            return len(missing)

        return self._changing(f"taking in the log of {memory}", work)

    def take_reads(self, reads: Sequence[MemoryRead]) -> None:
        """Note who read what from memories."""
        rows = [
            (
                encodable(one.memory),
                encodable(one.key),
                encodable(one.chain_id),
                number_of(one.step_id),
                one.agent and encodable(one.agent),
                one.seq,
                one.version,
                None,
            )
            for one in reads
        ]
        for start in range(0, len(rows), READS_AT_ONCE):
            chunk = rows[start : start + READS_AT_ONCE]
            self._changing(
                "taking in who read the memories",
                lambda connection, chunk=chunk: log_table.add_reads(connection, chunk, replace=False),  # type: ignore[misc]
            )
