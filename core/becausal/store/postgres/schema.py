"""What the tables are, how they are made and brought up to date, and how they are laid over several servers.

Natural keys: no number is given out that other servers would have to know of. Each table is of one of four families, by
what its rows are found by, so that an engine that spreads tables over servers (Citus; partitions by hash over
foreign tables) keeps together what is asked for together: a chain with its steps and causes (`chain_id`), a content
(`digest`), an anchor (`name`), a memory with its log (`memory`). See `CITUS`.

Steps and causes are partitioned by the day on which their chain began, as it was first heard of. The day never changes,
so a chain lies in one partition, and the data of a day goes by dropping two tables. Days long ago or ahead (a clock
that was wrong, an import) and those of a role that may make no tables go to the default partition.

A list of migrations, in order: each is run once, in one transaction, under an advisory lock.
"""

from __future__ import annotations

import time
from typing import Final, LiteralString

from psycopg import errors, sql

from becausal.errors import StoreError, StoreFormatError
from becausal.store.postgres.connecting import Connection, Place

__all__ = ["CITUS", "FORMAT", "MIGRATIONS", "Partitions", "check", "lock_number", "migrate", "script"]

DAY_NS: Final = 86_400 * 10**9

# Column by column as `becausal.store.postgres.row` has it.
STEPS: Final = """CREATE TABLE steps(
    day integer NOT NULL, chain_id text COLLATE "C" NOT NULL, step_id bigint NOT NULL, parent_id bigint,
    kind text NOT NULL, name text NOT NULL, agent text, seq bigint NOT NULL, hop integer NOT NULL,
    started_ns bigint NOT NULL, ended_ns bigint, status text NOT NULL, error text, received bytea, produced bytea,
    trace_id bytea, span_id bigint, attributes text, choices text,
    PRIMARY KEY (day, chain_id, step_id))"""

CAUSES: Final = """CREATE TABLE causes(
    day integer NOT NULL, chain_id text COLLATE "C" NOT NULL, step_id bigint NOT NULL, nth integer NOT NULL,
    source_id bigint NOT NULL, kind text NOT NULL, grade text NOT NULL, evidence text NOT NULL,
    PRIMARY KEY (day, chain_id, step_id, nth))"""

BY_DAY: Final = " PARTITION BY RANGE (day)"

MIGRATIONS: Final[tuple[tuple[LiteralString, ...], ...]] = (
    (
        "CREATE TABLE meta(key text PRIMARY KEY, value text NOT NULL)",
        # What a list of chains shows, and what their keeping depends on, is kept up with each batch: neither reads
        # steps. wrong: an attribute of a step says that something was. root_*: the earliest
        # step whose parent is not there. agents: as JSON, each with the seq of its first step.
        """CREATE TABLE chains(
            chain_id text COLLATE "C" PRIMARY KEY, day integer NOT NULL, started_ns bigint NOT NULL,
            ended_ns bigint, steps bigint NOT NULL DEFAULT 0, open bigint NOT NULL DEFAULT 0,
            errors bigint NOT NULL DEFAULT 0, handoffs bigint NOT NULL DEFAULT 0,
            touched_ns bigint NOT NULL DEFAULT 0, wrong boolean NOT NULL DEFAULT false,
            root_seq bigint, root_parent bigint, root_name text,
            agents text NOT NULL DEFAULT '{}')
            WITH (fillfactor = 70)""",
        "CREATE INDEX chains_started ON chains(started_ns, chain_id)",
        STEPS + BY_DAY,
        # Which step first had this digest?
        "CREATE INDEX steps_received ON steps(received, started_ns) WHERE received IS NOT NULL",
        "CREATE INDEX steps_produced ON steps(produced, started_ns) WHERE produced IS NOT NULL",
        CAUSES + BY_DAY,
        "CREATE TABLE steps_other PARTITION OF steps DEFAULT",
        "CREATE TABLE causes_other PARTITION OF causes DEFAULT",
        # What is known of a content whose digest stands in steps and events; and the bytes, each part once.
        """CREATE TABLE payloads(
            digest bytea PRIMARY KEY, belief bytea, size bigint NOT NULL, type text NOT NULL, lossy text)""",
        """CREATE TABLE bodies(
            digest bytea PRIMARY KEY, size bigint NOT NULL, codec smallint NOT NULL, data bytea NOT NULL)""",
        "ALTER TABLE bodies ALTER COLUMN data SET STORAGE EXTERNAL",  # they are compressed already
        "CREATE TABLE anchors(name text PRIMARY KEY, chain_id text NOT NULL, step_id bigint NOT NULL)",
        # What is said of a run beside its steps (see `becausal.store.upkeep.Mark`), and what was ever erased.
        "CREATE TABLE marks(chain_id text NOT NULL, mark text NOT NULL, PRIMARY KEY (chain_id, mark))",
        """CREATE TABLE erasures(
            at_ns bigint PRIMARY KEY, reason text NOT NULL, places text NOT NULL, chain_ids text NOT NULL)""",
        "CREATE TABLE gaps(reason text PRIMARY KEY, count bigint NOT NULL)",
        # The head is the lock and the sequence: whoever appends holds it.
        """CREATE TABLE memory_heads(
            memory text PRIMARY KEY, nth bigint NOT NULL, seq bigint NOT NULL, hash bytea NOT NULL)""",
        """CREATE TABLE memory_events(
            memory text NOT NULL, nth bigint NOT NULL, key text NOT NULL, version bigint NOT NULL,
            operation text NOT NULL, of bigint, seq bigint NOT NULL, at_ns bigint NOT NULL, chain_id text,
            step_id bigint, agent text, digest bytea, reason text, commitment bytea, hash bytea NOT NULL,
            PRIMARY KEY (memory, nth), UNIQUE (memory, key, version))""",
        "CREATE INDEX memory_writers ON memory_events(step_id) WHERE step_id IS NOT NULL",
        # Beside the log and not in it: erasing a content takes its salt away, and the log is never changed.
        """CREATE TABLE memory_salts(
            memory text NOT NULL, nth bigint NOT NULL, salt bytea NOT NULL, PRIMARY KEY (memory, nth))""",
        """CREATE TABLE memory_reads(
            memory text NOT NULL, key text NOT NULL, chain_id text NOT NULL, step_id bigint NOT NULL, agent text,
            seq bigint NOT NULL, version bigint, source_id bigint,
            PRIMARY KEY (memory, key, chain_id, step_id))""",
        # Append-only, for the owner too: no trigger, which Citus would not take.
        "REVOKE UPDATE, DELETE, TRUNCATE ON memory_events FROM PUBLIC, CURRENT_USER",
    ),
    (
        # The sweeps that are under way, and what was named meanwhile (see `becausal.store.sweeping`).
        "CREATE TABLE sweeps(sweep text PRIMARY KEY, began_ns bigint NOT NULL)",
        "CREATE TABLE touched(digest bytea NOT NULL, sweep text NOT NULL, PRIMARY KEY (digest, sweep))",
    ),
    # Small bodies are compressed by a dictionary, which an older becausal does not have.
    (),
)

FORMAT: Final = len(MIGRATIONS)

CITUS: Final = """SELECT create_distributed_table('chains', 'chain_id');
SELECT create_distributed_table('steps', 'chain_id', colocate_with => 'chains');
SELECT create_distributed_table('causes', 'chain_id', colocate_with => 'chains');
SELECT create_distributed_table('payloads', 'digest');
SELECT create_distributed_table('bodies', 'digest', colocate_with => 'payloads');
SELECT create_distributed_table('anchors', 'name');
SELECT create_distributed_table('marks', 'chain_id', colocate_with => 'chains');
SELECT create_distributed_table('memory_heads', 'memory');
SELECT create_distributed_table('memory_events', 'memory', colocate_with => 'memory_heads');
SELECT create_distributed_table('memory_salts', 'memory', colocate_with => 'memory_heads');
SELECT create_distributed_table('memory_reads', 'memory', colocate_with => 'memory_heads');
SELECT create_reference_table('meta');
SELECT create_reference_table('gaps');
SELECT create_reference_table('erasures');
SELECT create_reference_table('sweeps');
SELECT create_distributed_table('touched', 'digest', colocate_with => 'payloads');"""
"""What spreads the tables over the workers of a Citus cluster."""


def script(schema: str, *, citus: bool = False) -> str:
    """Return the SQL that makes the tables in an empty schema; spread over a Citus cluster on request.

    Without days there: shards are the partitions.
    """
    made = [statement for migration in MIGRATIONS for statement in migration]
    if citus:
        made = [statement.removesuffix(BY_DAY) for statement in made if " PARTITION OF " not in statement]
    name = '"' + schema.replace('"', '""') + '"'
    return ";\n".join(
        [
            f"CREATE SCHEMA IF NOT EXISTS {name}",
            f"SET search_path = {name}",
            *made,
            f"INSERT INTO meta VALUES ('format', '{FORMAT}')",
            CITUS if citus else "RESET search_path;",
        ]
    )


def lock_number(place: Place) -> int:
    """Return the number of the advisory lock of a store: writers share it, who clears away has it alone."""
    whole = int.from_bytes(place.schema.encode()[-7:].rjust(7, b"\0"), "big")
    return whole & 0x7FFF_FFFF_FFFF | 0x6263 << 47


def migrate(connection: Connection, place: Place, *, create: bool) -> None:
    """Make the tables, or bring them to the newest form; several processes may do so at once.

    Raises:
        StoreError: there are none, and none may be made.
        StoreFormatError: they are of a newer becausal.
    """
    found = _found(connection, place)
    if found is None and not create:
        raise _nothing(place)
    if found == FORMAT:
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(place) - 1,))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(place.schema)))
        found = _found(connection, place) or 0  # another process may have been faster
        for migration in MIGRATIONS[found:]:
            for statement in migration:
                connection.execute(statement)
        if found < FORMAT:
            connection.execute(
                """INSERT INTO meta VALUES ('format', %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value""",
                (str(FORMAT),),
            )


def check(connection: Connection, place: Place) -> None:
    """See that the tables are there and can be read.

    Raises:
        StoreError: there are none.
        StoreFormatError: they are of a newer becausal.
    """
    found = _found(connection, place)
    if found is None:
        raise _nothing(place)
    if found < FORMAT:
        raise StoreFormatError(
            f"{place.shown} was written by an older becausal (format {found}, this one reads {FORMAT}): "
            "open it once to write, which brings it up to date"
        )


def _found(connection: Connection, place: Place) -> int | None:
    """Return the format of the tables; None where there are none."""
    name = sql.Identifier(place.schema, "meta").as_string(connection)
    (there,) = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone() or (False,)
    row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() if there else None
    if row is None:
        return None
    found = int(row[0])
    if found > FORMAT:
        raise StoreFormatError(
            f"{place.shown} was written by a newer becausal (format {found}); this one reads up to {FORMAT}: "
            "pip install -U becausal"
        )
    return found


def _nothing(place: Place) -> StoreError:
    return StoreError(
        f"{place.shown} does not exist in that database (schema {place.schema}): no run has been recorded there "
        "yet. Call becausal.instrument() before the app runs, or name another store (BECAUSAL_STORE, --store)"
    )


class Partitions:
    """Those that a connection knows to be there."""

    YEARS = 2
    """Days that lie further back get no partition of their own."""

    def __init__(self, connection: Connection) -> None:
        query = """SELECT partstrat FROM pg_partitioned_table WHERE partrelid = to_regclass('steps')"""
        row = connection.execute(query).fetchone()
        self._connection = connection
        # Of a store that is spread over servers by hash, shards are the partitions.
        self._by_day = row is not None and row[0] in ("r", b"r")
        self._known: set[int] = set()

    def make(self, days: set[int]) -> None:
        """Make the partitions of some days, where they are to have one and have none."""
        if not self._by_day or days <= self._known:
            return
        today = time.time_ns() // DAY_NS
        for day in sorted(days - self._known):
            if today - 366 * self.YEARS <= day <= today + 1:
                self._make(day)
            self._known.add(day)

    def _make(self, day: int) -> None:
        name = time.strftime("%Y%m%d", time.gmtime(day * 86_400))
        for table in ("steps", "causes"):
            made, parent = sql.Identifier(f"{table}_{name}"), sql.Identifier(table)
            try:
                with self._connection.transaction():
                    # Made apart and put in then: nobody who reads or writes waits for it.
                    self._connection.execute(
                        "SELECT pg_advisory_xact_lock(hashtext(%s))", (f"{table}_{name}",)
                    )
                    found = self._connection.execute(
                        "SELECT to_regclass(%s)", (f"{table}_{name}",)
                    ).fetchone()
                    if found is not None and found[0] is None:
                        like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING STORAGE)").format(made, parent)
                        self._connection.execute(like)
                        self._connection.execute(
                            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                                parent, made, sql.Literal(day), sql.Literal(day + 1)
                            )
                        )
            except (errors.InsufficientPrivilege, errors.CheckViolation):
                return  # the default partition takes it
