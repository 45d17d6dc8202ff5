"""Erasing from a file: each content that held something becomes another one, and every reference follows.

What it means, and what is the same in every store, stands in `becausal.store.erasing`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from becausal.canonical.wire import digest_of
from becausal.payload import ERASED
from becausal.store import memory_log
from becausal.store.encoding import Packer
from becausal.store.erasing import Cleaning, inside_out, lost, named
from becausal.store.sqlite import file, memory, row
from becausal.store.sqlite.attributes import rewritten
from becausal.store.sqlite.bodies import BODIES, Unpacker, drop_remains
from becausal.store.sqlite.damage import UNREADABLE, legibly, replace_unreadable
from becausal.store.sqlite.emptying import Emptying
from becausal.store.sqlite.unread import Unreadable
from becausal.store.upkeep import Erasure, Progress, Unread

__all__ = ["Erasing"]


WORDS = {"error": "its error", "attributes": "its attributes", "choices": "its decisions"}
"""What the columns of a step are."""

OF_NO_RUN = (
    ("gaps", "reason", None),
    ("marks", "chain_id", None),
    ("erasures", "reason", None),
    ("erasures", "chain_ids", "[]"),
    ("anchors", "name", None),
    *(("memory_reads", column, None) for column in ("memory", "key", "chain_id", "agent")),
    *(("memory_events", column, None) for column in ("memory", "key", "chain_id", "agent", "reason")),
)
"""The columns whose texts go where they cannot be read, since no run is erased with them: table, column, by what."""

Clean = Callable[[str | None], str | None]


class Erasing:
    """One erasure, within one transaction."""

    def __init__(self, connection: sqlite3.Connection, what: Erasure, told: Progress) -> None:
        self._clean = Cleaning(what.texts)
        self.places = self._clean.places
        """How many places of each sort held it."""
        self._connection, self._what, self._told = connection, what, told
        self._packer, self._unpacker = Packer(), Unpacker(connection)
        self._chains: set[int] = set()
        self._unread, self._damaged = Unreadable(connection), set[str]()
        self._events: list[int] = []  # of memories, that say less than they did

    def carry_out(self) -> tuple[list[str], tuple[Unread, ...]]:
        """Erase; returns the ids of the chains that held it, and what could not be read."""
        with legibly(self._connection) as self._damaged:
            self._drop_unreadable()
            if self._what.chain_id is not None:
                chain = Emptying(self._connection, self.places).run(self._what.chain_id)
                self._chains.update(() if chain is None else [chain])
            self._rewrite_contents()
            self._rewrite_names()
            self._rewrite_steps()
            self._rewrite_memories()
            self._rewrite_rest()
            found = self._connection.execute(
                "SELECT chain_id FROM chains WHERE chain_no IN (SELECT value FROM json_each(?)) ORDER BY started_ns",
                (file.list_of(self._chains),),
            )
            return [chain_id for (chain_id,) in found], self._unread.all()

    def _drop_unreadable(self) -> None:
        """Take out texts that cannot be read and are no run's: nobody could erase them otherwise."""
        query = "SELECT event_no, memory, key, chain_id, agent, reason FROM memory_events"
        found = self._connection.execute(query).fetchall()
        self._events = [event for event, *texts in found if not self._damaged.isdisjoint(texts)]
        for table, column, by in OF_NO_RUN:
            gone = replace_unreadable(self._connection, table, column, by=by)
            self.places["texts that could not be read"] += gone

    # -- contents

    def _rewrite_contents(self) -> None:
        gone = set(self._of_the_key())
        hits, wholes = self._look_through(gone)
        waiting = [*hits, *gone]
        touched: dict[int, None] = dict.fromkeys(hits.values())
        while waiting:  # all that has a part which becomes another one
            for number, digest in wholes.get(waiting.pop(), ()):
                if number not in touched:
                    touched[number] = None
                    waiting.append(digest)
        for digest in gone:
            self._clean.digests[digest] = os.urandom(16)
        beliefs: dict[bytes, bytes] = {}
        done: set[int] = set()
        for nth, number in enumerate(touched):
            self._told("rewriting contents", nth + 1, len(touched))
            self._rewrite(number, touched, done, beliefs)
        for digest in gone:
            self._take_out(digest)
        # What was rewritten is no longer where it was: its pack or its blocks hold what it was. So may those of bodies
        # long deleted.
        drop_remains(self._connection, self._packer)

    def _of_the_key(self) -> Iterator[bytes]:
        """Yield the digests of all that a memory's key ever held, parts included as far as they can be known."""
        if self._what.memory is not None:
            for root in memory.content_digests(self._connection, *self._what.memory):
                yield from memory_log.parts_below(root, self._found)

    def _found(self, digest: bytes) -> bytes | None:
        try:
            return self._unpacker.body(digest)
        except UNREADABLE:
            return None

    def _look_through(
        self, gone: set[bytes]
    ) -> tuple[dict[bytes, int], dict[bytes, list[tuple[int, bytes]]]]:
        """Return which contents hold a text, by digest, and which refer to which; adds to what goes as a whole."""
        hits: dict[bytes, int] = {}
        wholes: dict[bytes, list[tuple[int, bytes]]] = {}
        unread: dict[bytes, int] = {}
        (total,) = self._connection.execute("SELECT count(*) FROM blobs").fetchone()
        query = f"SELECT digest, blob_no, size, codec, data FROM blobs WHERE {BODIES}"
        for nth, (digest, number, *rest) in enumerate(self._connection.execute(query)):
            if nth % 1_000 == 0:
                self._told("looking through contents", nth, total)
            try:
                body = self._unpacker.body_of(number, *rest)
                parts = () if body is None else named(body)
            except UNREADABLE:
                unread[digest] = number
                continue
            if body is None:
                continue
            for part in parts:
                wholes.setdefault(part, []).append((number, digest))
            if self._what.texts and self._clean.wording.is_in(body):
                self.places["contents"] += 1
                if self._what.whole:
                    gone.add(digest)
                else:
                    hits[digest] = number
        if self._what.memory is not None:
            self.places["contents"] += len(gone)
        self._unread.contents({digest: unread[digest] for digest in unread.keys() - gone}, wholes)
        return hits, wholes

    def _rewrite(
        self, number: int, touched: dict[int, None], done: set[int], beliefs: dict[bytes, bytes]
    ) -> None:
        """Rewrite a content, after all of its parts that become others."""

        def parts(body: bytes) -> Iterator[int]:
            return self._numbers(named(body))

        for at, body in inside_out(number, touched, done, find=self._unpacker.numbered, parts=parts):
            self._replace(at, body, beliefs)

    def _replace(self, number: int, body: bytes, beliefs: dict[bytes, bytes]) -> None:
        made = self._clean.body(body)
        if made == body:
            return
        former, belief, lossy = self._connection.execute(
            "SELECT digest, belief, iif(type IS NULL, NULL, coalesce(lossy, '[]')) FROM blobs WHERE blob_no = ?",
            (number,),
        ).fetchone()
        if former in self._clean.digests:  # it goes as a whole
            return
        digest = self._clean.digests[former] = digest_of(made)
        self._note_chains(number)
        same = self._connection.execute(
            "SELECT blob_no FROM blobs WHERE digest = ? AND blob_no != ?", (digest, number)
        ).fetchone()
        if same is not None:  # two contents that differed in what is gone
            self._redirect(number, same[0])
            return
        if belief is not None:
            belief = beliefs.setdefault(belief, self._clean.digests.get(belief) or os.urandom(16))
        self._connection.execute(
            """UPDATE blobs SET digest = ?, belief = ?, size = ?, codec = ?, data = ?, lossy = ?
            WHERE blob_no = ?""",
            (digest, belief, *self._packer.pack(made), _lost(lossy, f"text {ERASED}"), number),
        )

    def _take_out(self, digest: bytes) -> None:
        """Take a content's bytes away, as a whole."""
        found = self._connection.execute(
            "SELECT blob_no, iif(type IS NULL, NULL, coalesce(lossy, '[]')) FROM blobs WHERE digest = ?",
            (digest,),
        ).fetchone()
        if found is not None:
            self._note_chains(found[0])
            self._connection.execute(
                """UPDATE blobs SET digest = ?, belief = NULL, size = NULL, codec = NULL, data = NULL, lossy = ?
                WHERE blob_no = ?""",
                (self._clean.digests[digest], _lost(found[1], ERASED), found[0]),
            )

    def _redirect(self, number: int, other: int) -> None:
        for side in ("received", "produced"):
            self._connection.execute(f"UPDATE steps SET {side} = ? WHERE {side} = ?", (other, number))
        self._connection.execute(
            """UPDATE blobs SET (belief, total_size, type, lossy) =
                (SELECT belief, total_size, type, lossy FROM blobs WHERE blob_no = ?1)
            WHERE blob_no = ?2 AND type IS NULL""",
            (number, other),
        )
        self._connection.execute("DELETE FROM blobs WHERE blob_no = ?", (number,))

    def _note_chains(self, number: int) -> None:
        query = "SELECT chain_no FROM steps WHERE received = ?1 UNION SELECT chain_no FROM steps WHERE produced = ?1"
        self._chains.update(chain for (chain,) in self._connection.execute(query, (number,)))

    # -- texts beside the contents

    def _rewrite_names(self) -> None:
        changed = []
        for number, name in self._connection.execute("SELECT name_no, name FROM names").fetchall():
            if name in self._damaged:
                self._unread.name(number)
                continue
            new = self._clean.name("names", name)
            if new != name:
                changed.append(number)
                self._connection.execute("UPDATE names SET name = ? WHERE name_no = ?", (new, number))
        if changed:
            query = """SELECT DISTINCT chain_no FROM steps WHERE name IN (SELECT value FROM json_each(?1))
                OR agent IN (SELECT value FROM json_each(?1))"""
            found = self._connection.execute(query, (file.list_of(changed),))
            self._chains.update(chain for (chain,) in found)
        for number, chain_id in self._connection.execute("SELECT chain_no, chain_id FROM chains").fetchall():
            if chain_id in self._damaged:
                self._unread.run(number, "its id")
                continue
            new = self._clean.name("runs", chain_id)
            if new != chain_id:
                self._chains.add(number)
                self._connection.execute("UPDATE chains SET chain_id = ? WHERE chain_no = ?", (new, number))
                for table in ("marks", "memory_reads"):
                    self._connection.execute(
                        f"UPDATE {table} SET chain_id = ? WHERE chain_id = ?", (new, chain_id)
                    )

    def _rewrite_steps(self) -> None:
        (total,) = self._connection.execute("SELECT count(*) FROM steps").fetchone()
        query = "SELECT chain_no, step_id, error, attributes, choices FROM steps"
        json = partial(self._clean.json, "attributes")
        columns: tuple[tuple[str, Clean], ...] = (
            ("error", partial(self._clean.text, "errors")),
            ("attributes", lambda text: rewritten(text, json)),
            ("choices", partial(self._clean.json, "decisions")),
        )
        changed: dict[str, list[tuple[str | None, int, int]]] = {column: [] for column, _ in columns}
        for nth, (chain, step, *texts) in enumerate(self._connection.execute(query)):
            if nth % 10_000 == 0:
                self._told("looking through steps", nth, total)
            for text, (column, clean) in zip(texts, columns, strict=True):
                new, is_read = self._cleaned(text, clean)
                if not is_read:
                    self._unread.step(chain, step, WORDS[column])
                if new != text:
                    changed[column].append((new, chain, step))
        for column, rows in changed.items():
            self._chains.update(chain for _, chain, _ in rows)
            self._connection.executemany(
                f"UPDATE steps SET {column} = ? WHERE chain_no = ? AND step_id = ?", rows
            )
        for chain, step in self._rewrite_texts(
            "causes", "evidence", ("chain_no", "step_id", "nth"), "evidence"
        ):
            self._unread.step(chain, step, "the evidence of a cause")

    def _cleaned(self, text: str | None, clean: Clean) -> tuple[str | None, bool]:
        """Return what cleaning makes of a text, and whether it could be read; else what is in plain sight is gone."""
        if text in self._damaged:
            return text, False
        try:
            return clean(text), True
        except UNREADABLE:
            return self._clean.text("damaged texts", text), False

    def _rewrite_memories(self) -> None:
        query = "SELECT event_no, memory, key, chain_id, agent, digest, reason FROM memory_events ORDER BY event_no"
        changed = []
        for number, *said in self._connection.execute(query).fetchall():
            store, key, chain_id, agent, digest, reason = said
            new = [
                self._clean.name("memories", store),
                self._clean.name("keys", key),
                None if chain_id is None else self._clean.name("runs", chain_id),
                *(
                    self._clean.text("memory", agent),
                    self._clean.digest(digest),
                    self._clean.text("memory", reason),
                ),
            ]
            if new != said:
                changed.append(number)
                self._connection.execute(
                    """UPDATE memory_events SET memory = ?, key = ?, chain_id = ?, agent = ?, digest = ?, reason = ?
                    WHERE event_no = ?""",
                    (*new, number),
                )
        self.places["memory"] += len(changed)
        self._mark_erased(dict.fromkeys((*changed, *self._events)))
        if self._what.memory is not None:
            query = "SELECT event_no FROM memory_events WHERE memory = ? AND key = ?"
            found = self._connection.execute(query, tuple(map(row.encodable, self._what.memory)))
            self._mark_erased([number for (number,) in found])
        reads = self._connection.execute(
            "SELECT memory, key, agent, chain_id, step_id FROM memory_reads"
        ).fetchall()
        for store, key, agent, chain_id, step in reads:
            new_read = (
                self._clean.name("memories", store),
                self._clean.name("keys", key),
                self._clean.text("memory", agent),
                self._clean.name("runs", chain_id),
            )
            if new_read != (store, key, agent, chain_id):
                self._connection.execute(
                    """UPDATE OR REPLACE memory_reads SET memory = ?, key = ?, agent = ?, chain_id = ?
                    WHERE memory = ? AND key = ? AND chain_id = ? AND step_id = ?""",
                    (*new_read, store, key, chain_id, step),
                )

    def _mark_erased(self, events: Iterable[int]) -> None:
        for number in events:
            memory.mark_erased(self._connection, number)

    def _rewrite_rest(self) -> None:
        self._rewrite_texts("anchors", "name", ("name",), "anchors")
        self._rewrite_texts("gaps", "reason", ("reason",), "gaps")
        self._rewrite_texts("marks", "chain_id", ("chain_id", "mark"), "runs")
        self._rewrite_texts("erasures", "reason", ("erasure_no",), "erasures")
        self._rewrite_texts("erasures", "chain_ids", ("erasure_no",), "erasures")
        query = "SELECT blob_no, digest, lossy FROM blobs WHERE lossy IS NOT NULL"
        for number, digest, lossy in self._connection.execute(query).fetchall():
            new, is_read = self._cleaned(lossy, partial(self._clean.json, "losses"))
            if not is_read:
                self._unread.contents({digest: number}, {})
            if new != lossy:
                self._connection.execute("UPDATE blobs SET lossy = ? WHERE blob_no = ?", (new, number))

    def _rewrite_texts(self, table: str, column: str, key: Sequence[str], sort: str) -> list[list[Any]]:
        """Rewrite a column; returns the keys of the rows in which it cannot be read."""
        found = self._connection.execute(f"SELECT {column}, {', '.join(key)} FROM {table}").fetchall()
        where = " AND ".join(f"{name} = ?" for name in key)
        for text, *at in found:
            new = text if text in self._damaged else self._clean.text(sort, text)
            if new != text:
                self._connection.execute(
                    f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}", (new, *at)
                )
        return [at for text, *at in found if text in self._damaged]

    # -- bodies

    def _numbers(self, digests: Iterable[bytes]) -> Iterator[int]:
        for digest in digests:
            found = self._connection.execute(
                "SELECT blob_no FROM blobs WHERE digest = ?", (digest,)
            ).fetchone()
            if found is not None:
                yield found[0]


def _lost(lossy: str | None, why: str) -> str | None:
    return None if lossy is None else lost(lossy, why)  # nothing is said of what is a part alone
