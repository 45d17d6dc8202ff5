"""Erasing from a store: each content that held something becomes another one, and every reference follows.

Keys are natural here: what is erased may stand in the key of any row. So each table is read through, each row written
anew without the texts and with the new digests, and those that have become others put in their place; in one
transaction, while nobody writes. It wants the tables' owner: the log of memories may not be changed by anybody else,
and by its owner only while this is done.

What it means, and what is the same in every store, stands in `becausal.store.erasing`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import zstandard

from becausal.canonical import digest_text
from becausal.canonical.wire import digest_of
from becausal.payload import ERASED
from becausal.store import memory_log
from becausal.store.encoding import Packer, encodable, step_id_of, unpack
from becausal.store.erasing import Cleaning, above, inside_out, lost, named
from becausal.store.memory_log import Entry, parts_below
from becausal.store.postgres import memory
from becausal.store.postgres.connecting import Connection
from becausal.store.postgres.write import finding
from becausal.store.structure import structure_of
from becausal.store.upkeep import Erasure, Progress, Unread
from becausal.store.wording import ASKS, new_mark

__all__ = ["Erasing"]

Row = tuple[Any, ...]

TEXTS: Final = {
    "steps": {
        "chain_id": "runs", "name": "names", "agent": "names", "error": "errors", "received": "", "produced": "",
        "attributes": "json attributes", "choices": "json decisions",
    },
    "causes": {"chain_id": "runs", "evidence": "evidence"},
    "chains": {"chain_id": "runs", "root_name": "names", "agents": "object names"},
    "marks": {"chain_id": "runs"},
    "anchors": {"name": "anchors", "chain_id": "runs"},
    "gaps": {"reason": "gaps"},
    "erasures": {"reason": "erasures", "chain_ids": "json erasures"},
    "memory_reads": {"memory": "memories", "key": "keys", "chain_id": "runs", "agent": "memory"},
    "payloads": {"type": "names", "lossy": "json losses"},
}  # fmt: skip
"""The columns that may hold a text, by table, and what a place there is counted as: a text, JSON, a JSON object's
keys, a digest."""

NAMED: Final = ("runs", "names", "memories", "keys", "anchors", "gaps")
"""Of these, two that would become the same stay two."""


# The keys that a run alone has written or read: what other runs have as well is not its own to take away.
OWN_KEYS: Final = """SELECT memory, key FROM (
        SELECT memory, key, chain_id FROM memory_events UNION SELECT memory, key, chain_id FROM memory_reads) AS used
    GROUP BY memory, key HAVING bool_and(chain_id IS NOT DISTINCT FROM %s)"""


class Erasing:
    """One erasure, within one transaction."""

    def __init__(self, connection: Connection, what: Erasure, told: Progress) -> None:
        self._clean = Cleaning(what.texts)
        self.places = self._clean.places
        """How many places of each sort held it."""
        self._connection, self._what, self._told = connection, what, told
        self._packer = Packer()
        self._chains: set[str] = set()
        self._unread: dict[str, dict[int, None]] = {}  # steps with damaged contents, by their runs
        self._unread_keys: dict[tuple[str, str], None] = {}
        self._marked: set[tuple[str, int]] = set()  # events of which something goes though all they say stays

    def carry_out(self) -> tuple[list[str], tuple[Unread, ...]]:
        """Erase; returns the ids of the chains that held it, and what could not be read."""
        if self._what.chain_id is not None:
            self._empty(encodable(self._what.chain_id))
        self._rewrite_contents()
        for table, columns in TEXTS.items():
            self._told(f"looking through {table}", 0, 1)
            self._rewrite_table(table, columns)
        self._rewrite_logs()
        query = "SELECT chain_id FROM chains WHERE chain_id = ANY(%s) ORDER BY started_ns, chain_id"
        chain_ids = [chain_id for (chain_id,) in self._connection.execute(query, (sorted(self._chains),))]
        return chain_ids, self._all_unread()

    # -- contents

    def _rewrite_contents(self) -> None:
        gone = set(self._of_the_key())
        hits, wholes = self._look_through(gone)
        touched, waiting = dict.fromkeys(hits), [*hits, *gone]
        while waiting:  # all that has a part which becomes another one
            for digest in wholes.get(waiting.pop(), ()):
                if digest not in touched:
                    touched[digest] = None
                    waiting.append(digest)
        for digest in gone:
            self._clean.digests[digest] = os.urandom(16)
        done: set[bytes] = set(gone)
        for nth, digest in enumerate(touched):
            self._told("rewriting contents", nth + 1, len(touched))
            self._rewrite(digest, touched, done)
        self._move_payloads(gone)
        self._connection.execute("DELETE FROM bodies WHERE digest = ANY(%s)", (list(self._clean.digests),))

    def _of_the_key(self) -> Iterable[bytes]:
        """Yield the digests of all that a memory's key ever held, parts included."""
        if self._what.memory is not None:
            for root in memory.content_digests(self._connection, *self._what.memory):
                yield from parts_below(root, self._found)

    def _found(self, digest: bytes) -> bytes | None:
        try:
            return finding(self._connection, {})(digest)
        except zstandard.ZstdError:
            return None

    def _look_through(self, gone: set[bytes]) -> tuple[list[bytes], dict[bytes, list[bytes]]]:
        """Return which contents hold a text, and which refer to which; adds to what goes as a whole."""
        hits: list[bytes] = []
        wholes: dict[bytes, list[bytes]] = {}
        unread: list[bytes] = []
        with self._connection.cursor(
            "contents", binary=True
        ) as found:  # by and by: they may be more than memory
            found.execute("SELECT digest, codec, data FROM bodies")
            for nth, (digest, codec, data) in enumerate(found):
                if nth % 1_000 == 0:
                    self._told("looking through contents", nth, 0)
                try:
                    content = unpack(codec, data)
                except zstandard.ZstdError:
                    unread.append(digest)
                    continue
                for part in named(content):
                    wholes.setdefault(part, []).append(digest)
                if self._what.texts and self._clean.wording.is_in(content):
                    self.places["contents"] += 1
                    if self._what.whole:
                        gone.add(digest)
                    else:
                        hits.append(digest)
        if self._what.memory is not None:
            self.places["contents"] += len(gone)
        self._note_unread([digest for digest in unread if digest not in gone], wholes)
        return hits, wholes

    def _note_unread(self, unread: list[bytes], wholes: dict[bytes, list[bytes]]) -> None:
        """Note what has damaged contents; what nothing has is nobody's, and goes with the next sweep."""
        for digest in above(unread, lambda part: wholes.get(part, ())):
            query = """SELECT chain_id, step_id FROM steps WHERE received = %s OR produced = %s
                OR position(%s IN attributes) > 0 ORDER BY chain_id, step_id"""
            values = (digest, digest, digest_text(digest))
            for chain_id, step_id in self._connection.execute(query, values).fetchall():
                self._unread.setdefault(chain_id, {})[step_id] = None
            query = "SELECT memory, key FROM memory_events WHERE digest = %s"
            self._unread_keys.update(dict.fromkeys(self._connection.execute(query, (digest,)).fetchall()))

    def _all_unread(self) -> tuple[Unread, ...]:
        runs = [
            Unread("a content", self._clean.name("runs", chain_id), tuple(map(step_id_of, steps)))
            for chain_id, steps in sorted(self._unread.items())
        ]
        keys = [
            (self._clean.name("memories", memory), self._clean.name("keys", key))
            for memory, key in self._unread_keys
        ]
        return (*runs, *(Unread("a content", memory=key) for key in keys))

    def _rewrite(self, digest: bytes, touched: dict[bytes, None], done: set[bytes]) -> None:
        """Rewrite a content, after all of its parts that become others."""
        find = finding(self._connection, {})
        for at, content in inside_out(digest, touched, done, find=find, parts=named):
            self._replace(at, content)

    def _replace(self, digest: bytes, content: bytes) -> None:
        made = self._clean.body(content)
        if made == content:
            return
        new = self._clean.digests[digest] = digest_of(made)
        self._connection.execute(
            "INSERT INTO bodies VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (new, *self._packer.pack(made)),
        )

    def _move_payloads(self, gone: set[bytes]) -> None:
        query = "SELECT digest, belief, size, type, lossy FROM payloads WHERE digest = ANY(%s)"
        rows = self._connection.execute(query, (list(self._clean.digests),)).fetchall()
        beliefs: dict[bytes, bytes] = {}
        for digest, belief, size, type_name, lossy in rows:
            why = ERASED if digest in gone else f"text {ERASED}"
            if belief is not None:
                belief = beliefs.setdefault(belief, self._clean.digests.get(belief) or os.urandom(16))
            kept = None if digest in gone else belief
            self._connection.execute(
                "INSERT INTO payloads VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (self._clean.digests[digest], kept, size, type_name, lost(lossy or "[]", why)),
            )
        self._connection.execute("DELETE FROM payloads WHERE digest = ANY(%s)", (list(self._clean.digests),))

    # -- a run

    def _empty(self, chain_id: str) -> None:
        """Take everything out of a run that says more than what happened."""
        query = "SELECT step_id, received, produced, error, attributes FROM steps WHERE chain_id = %s"
        rows = self._connection.execute(query, (chain_id,)).fetchall()
        if not rows:
            return
        self._chains.add(chain_id)
        emptied: dict[bytes, bytes] = {}
        with self._connection.cursor() as cursor:
            cursor.executemany(
                """UPDATE steps SET received = %s, produced = %s, error = %s, attributes = %s, choices = NULL
                WHERE chain_id = %s AND step_id = %s""",
                [
                    (
                        *(
                            None if side is None else emptied.setdefault(side, os.urandom(16))
                            for side in sides
                        ),
                        None if error is None else ERASED,
                        structure_of(attributes),
                        chain_id,
                        step_id,
                    )
                    for step_id, *sides, error, attributes in rows
                ],
            )
        self._connection.execute("UPDATE causes SET evidence = '' WHERE chain_id = %s", (chain_id,))
        self._empty_names(chain_id)
        self._empty_events(chain_id, emptied)
        query = """INSERT INTO payloads SELECT %s, NULL, size, type, %s FROM payloads WHERE digest = %s"""
        with self._connection.cursor() as cursor:
            cursor.executemany(query, [(new, lost("[]", ERASED), old) for old, new in emptied.items()])
        self.places["contents"] += len(emptied)
        self.places["steps"] += len(rows)

    def _empty_names(self, chain_id: str) -> None:
        which = "FROM steps WHERE chain_id = %s AND kind = %s"
        asked = [name for (name,) in self._connection.execute(f"SELECT name {which}", (chain_id, ASKS))]
        query = "UPDATE steps SET name = kind WHERE chain_id = %s AND kind = %s"
        self._connection.execute(query, (chain_id, ASKS))
        query = "UPDATE chains SET root_name = %s WHERE chain_id = %s AND root_name = ANY(%s)"
        self._connection.execute(query, (ASKS, chain_id, asked))

    def _empty_events(self, chain_id: str, emptied: dict[bytes, bytes]) -> None:
        query = "UPDATE memory_events SET reason = %s WHERE chain_id = %s AND reason IS NOT NULL"
        self._connection.execute(query, (ERASED, chain_id))
        keys = self._connection.execute(OWN_KEYS, (chain_id,)).fetchall()
        self.places["keys"] += len(keys)
        for name, key in keys:
            new = new_mark()
            for table in ("memory_events", "memory_reads"):
                query = f"UPDATE {table} SET key = %s WHERE memory = %s AND key = %s"
                self._connection.execute(query, (new, name, key))
        query = "SELECT memory, nth, digest FROM memory_events WHERE chain_id = %s"
        for name, nth, digest in self._connection.execute(query, (chain_id,)).fetchall():
            self._marked.add((name, nth))
            if digest is not None:
                query = "UPDATE memory_events SET digest = %s WHERE memory = %s AND nth = %s"
                self._connection.execute(query, (emptied.setdefault(digest, os.urandom(16)), name, nth))

    # -- rows

    def _rewrite_table(self, table: str, columns: dict[str, str]) -> None:
        """Put rows that have become others in the place of what they were."""
        names = self._columns(table)
        cleaners = [self._cleaner(columns.get(name)) for name in names]
        keys = {"runs": names.index("chain_id")} if "chain_id" in names else {}
        changed: list[tuple[Row, Row]] = []
        with self._connection.cursor(f"rows of {table}", binary=True) as found:
            found.execute(f"SELECT {', '.join(names)} FROM {table}")
            for row in found:
                new = tuple(clean(value) for clean, value in zip(cleaners, row, strict=True))
                if new != row:
                    changed.append((row, new))
        key = self._key(table)
        which = " AND ".join(f"{name} = %s" for name in key)
        at = [names.index(name) for name in key]
        with self._connection.cursor() as cursor:
            cursor.executemany(
                f"DELETE FROM {table} WHERE {which}", [tuple(row[each] for each in at) for row, _ in changed]
            )
            cursor.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) "
                "ON CONFLICT DO NOTHING",
                [new for _, new in changed],
            )
        if keys and table in ("steps", "causes", "chains"):
            self._chains.update(str(new[keys["runs"]]) for _, new in changed)

    def _rewrite_logs(self) -> None:
        for (name,) in self._connection.execute("SELECT memory FROM memory_heads ORDER BY memory").fetchall():
            log = memory.entries(self._connection, name)
            made = [self._clean_entry(entry, nth) for nth, entry in enumerate(log, 1)]
            if made == log:
                continue
            self.places["memory"] += sum(new.said != old.said for new, old in zip(made, log, strict=True))
            for table in ("memory_events", "memory_salts", "memory_heads"):
                self._connection.execute(f"DELETE FROM {table} WHERE memory = %s", (name,))
            former, held = b"", []
            for new, old in zip(made, log, strict=True):
                if new != old:
                    new = new._replace(commitment=memory_log.link_of(former, new.said, new.hash))
                held.append(new)
                former = new.hash
            memory.add(self._connection, held)

    def _clean_entry(self, entry: Entry, nth: int) -> Entry:
        name, key, *rest = entry.said
        chain_id, step_id, agent, digest, reason = rest[5:]
        said = (
            self._clean.name("memories", name),
            self._clean.name("keys", key),
            *rest[:5],
            None if chain_id is None else self._clean.name("runs", chain_id),
            step_id,
            self._clean.text("memory", agent),
            self._clean.digest(digest),
            self._clean.text("memory", reason),
        )
        is_key = self._what.memory is not None and (name, key) == tuple(map(encodable, self._what.memory))
        if said == entry.said and not is_key and (name, nth) not in self._marked:
            return entry
        return entry._replace(said=said, salt=memory_log.ERASED)

    def _cleaner(self, sort: str | None) -> Callable[[Any], Any]:
        if sort is None:
            return lambda value: value
        if sort == "":
            return self._clean.digest
        form, _, rest = sort.partition(" ")
        if form == "json":
            return lambda text: self._clean.json(rest, text)
        if form == "object":
            return lambda text: json.dumps(
                {self._clean.name(rest, name): seq for name, seq in json.loads(text).items()}
            )
        clean = self._clean.name if sort in NAMED else self._clean.text
        return lambda text: None if text is None else clean(sort, text)

    def _columns(self, table: str) -> list[str]:
        query = """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0
            AND NOT attisdropped ORDER BY attnum"""
        return [str(name) for (name,) in self._connection.execute(query, (table,))]

    def _key(self, table: str) -> list[str]:
        query = """SELECT attname FROM pg_index JOIN pg_attribute
            ON attrelid = indrelid AND attnum = ANY(indkey) WHERE indrelid = %s::regclass AND indisprimary"""
        return [str(name) for (name,) in self._connection.execute(query, (table,))]
