"""What is in the SQLite file: its tables, and what makes a file of an earlier format one of this.

Names, chains and blobs have small numbers: random 16-byte keys would dirty a page per row and index, numbers append
(measured: 1.8 times the speed, 0.6 times the disk).
"""

from __future__ import annotations

from becausal.store.sqlite import attributes, memory, packs

__all__ = ["APPLICATION_ID", "FORMAT", "FUNCTIONS", "SCHEMA", "UPGRADES"]

FORMAT = 7
"""The number of the schema below. A file with a higher one is refused; a lower one is upgraded by its first writer."""

APPLICATION_ID = 0x62636175
"""`bcau`, in the header of every file of ours."""

# By which a later process finds the step that it goes on from: an interrupted run by its checkpoint.
ANCHORS = """CREATE TABLE anchors(
    name TEXT PRIMARY KEY, chain_no INTEGER NOT NULL, step_id INTEGER NOT NULL) STRICT, WITHOUT ROWID"""

ANCHORS_OF = "CREATE INDEX IF NOT EXISTS anchors_of ON anchors(chain_no)"
"""So that forgetting a run, or carrying it elsewhere, looks at its own anchors alone; since format 7."""

# What is said of a run beside its steps (see `becausal.store.upkeep.Mark`), and what was ever erased.
UPKEEP = (
    """CREATE TABLE marks(
        chain_id TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY(chain_id, mark)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE erasures(
        erasure_no INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, reason TEXT NOT NULL, places TEXT NOT NULL,
        chain_ids TEXT NOT NULL) STRICT""",
)

# The sweeps that are under way, and what was named meanwhile (see `becausal.store.sweeping`).
SWEEPS = (
    "CREATE TABLE sweeps(sweep TEXT PRIMARY KEY, began_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE touched(
        sweep TEXT NOT NULL, named BLOB NOT NULL, PRIMARY KEY(sweep, named)) STRICT, WITHOUT ROWID""",
)

FUNCTIONS = {"kept_apart": attributes.kept_apart}
"""What upgrades call, by its name in SQL: each takes one value."""

OWN_NAMES = """UPDATE steps SET attributes = kept_apart(attributes) WHERE instr(attributes, '"~') > 0"""
"""Attributes of somebody's own whose names begin as the numbers of names do since format 7."""

UPGRADES = {
    1: (ANCHORS, *memory.SCHEMA),
    2: (memory.ORDER,),
    3: UPKEEP,
    4: SWEEPS,
    5: (),
    6: (packs.SCHEMA, ANCHORS_OF, OWN_NAMES),
}
"""What makes a file of a format one of the next."""

SCHEMA = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    # Agents, tools, models and types, and the words for kinds, statuses and grades too: a new kind is
    # then no new format.
    "CREATE TABLE names(name_no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    """CREATE TABLE chains(
        chain_no INTEGER PRIMARY KEY, chain_id TEXT NOT NULL UNIQUE, started_ns INTEGER NOT NULL) STRICT""",
    "CREATE INDEX chains_started ON chains(started_ns)",
    # belief to lossy describe a payload whose root the blob is: type is NULL for a mere part, belief where
    # it is the digest. size to data are the body; codec is NULL as long as it was not handed over, and says how it
    # is written: since format 6 as a list of blocks too, or by a dictionary, since 7 in a pack. data is last, so that
    # reading the rest never reads through it.
    """CREATE TABLE blobs(
        blob_no INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE,
        belief BLOB, total_size INTEGER, type INTEGER, lossy TEXT,
        size INTEGER, codec INTEGER, data BLOB) STRICT""",
    """CREATE TABLE steps(
        chain_no INTEGER NOT NULL, step_id INTEGER NOT NULL, parent_id INTEGER,
        kind INTEGER NOT NULL, name INTEGER NOT NULL, agent INTEGER,
        seq INTEGER NOT NULL, hop INTEGER NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER,
        status INTEGER NOT NULL, error TEXT, received INTEGER, produced INTEGER,
        trace_id BLOB, span_id INTEGER, attributes TEXT, choices TEXT,
        PRIMARY KEY(chain_no, step_id)) STRICT, WITHOUT ROWID""",
    # "Which step first had this digest?" One popular payload (a system prompt) makes the same index
    # without the time scan 100,000 rows.
    "CREATE INDEX steps_received ON steps(received, started_ns) WHERE received IS NOT NULL",
    "CREATE INDEX steps_produced ON steps(produced, started_ns) WHERE produced IS NOT NULL",
    # Recorded causes alone: call edges follow from steps.parent_id.
    """CREATE TABLE causes(
        chain_no INTEGER NOT NULL, step_id INTEGER NOT NULL, nth INTEGER NOT NULL, source_id INTEGER NOT NULL,
        kind INTEGER NOT NULL, grade INTEGER NOT NULL, evidence TEXT NOT NULL,
        PRIMARY KEY(chain_no, step_id, nth)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE gaps(reason TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ANCHORS,
    ANCHORS_OF,
    *memory.SCHEMA,
    memory.ORDER,
    *UPKEEP,
    *SWEEPS,
    packs.SCHEMA,
    f"PRAGMA application_id = {APPLICATION_ID}",
)
