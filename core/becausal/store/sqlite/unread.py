"""What an erasure could not read: named by run and step, so that nobody takes it for erased."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping

from becausal import canonical
from becausal.store.erasing import above
from becausal.store.sqlite import row
from becausal.store.upkeep import Unread

__all__ = ["Unreadable"]

_WITH_CONTENT = """SELECT chain_no, step_id FROM steps WHERE received = ?1 OR produced = ?1
    UNION SELECT chain_no, step_id FROM steps WHERE instr(attributes, ?2) > 0"""
"""What a replay needs of a step is named in its attributes alone."""

_WITH_NAME = "SELECT chain_no, step_id FROM steps WHERE ?1 IN (name, agent, kind, status)"


class Unreadable:
    """Gathers what cannot be read of a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._steps: defaultdict[tuple[int, str], dict[int, None]] = defaultdict(dict)
        self._events: dict[int, str] = {}

    def contents(
        self, found: Mapping[bytes, int], wholes: Mapping[bytes, Iterable[tuple[int, bytes]]]
    ) -> None:
        """Note contents, and so all that has them; what nothing has is nobody's, and goes with the next sweep.

        Args:
            found: their numbers, by their digests.
            wholes: which contents refer to which part, by its digest: number and digest.
        """
        damaged = [(number, digest) for digest, number in found.items()]
        for number, digest in above(damaged, lambda at: wholes.get(at[1], ())):
            values = (number, canonical.digest_text(digest))
            for chain, step in self._connection.execute(_WITH_CONTENT, values).fetchall():
                self.step(chain, step, "a content")
            events = self._connection.execute(
                "SELECT event_no FROM memory_events WHERE digest = ?", (digest,)
            )
            self._events.update((event, "a content") for (event,) in events.fetchall())

    def step(self, chain: int, step: int, what: str) -> None:
        """Note something of a step."""
        self._steps[chain, what][step] = None

    def run(self, chain: int, what: str) -> None:
        """Note something of a run."""
        self._steps[chain, what].update({})

    def name(self, number: int) -> None:
        """Note a name of whatever has it."""
        for chain, step in self._connection.execute(_WITH_NAME, (number,)).fetchall():
            self.step(chain, step, "a name")

    def all(self) -> tuple[Unread, ...]:
        """Return it all as it is called by now, in the order of the runs."""
        runs = [
            Unread(what, self._id_of(chain), tuple(map(row.step_id_of, steps)))
            for (chain, what), steps in sorted(self._steps.items(), key=lambda item: item[0])
        ]
        query = "SELECT memory, key FROM memory_events WHERE event_no = ?"
        keys = {
            self._connection.execute(query, (event,)).fetchone(): what for event, what in self._events.items()
        }
        return (*runs, *(Unread(what, memory=key) for key, what in keys.items()))

    def _id_of(self, chain: int) -> str | None:
        found = self._connection.execute(
            "SELECT chain_id FROM chains WHERE chain_no = ?", (chain,)
        ).fetchone()
        return None if found is None else str(found[0])
