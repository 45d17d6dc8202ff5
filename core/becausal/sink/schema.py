"""The tables of the sink: what stands in them, and how they are made and brought up to date.

Natural keys, and `ReplacingMergeTree`: a row that is sent again replaces the one that is there, by the higher
`copied_ns`, so a copy that failed half-way is simply done again. Until parts are merged both are there: ask `FINAL`.
What belongs to one step or one run (its causes, decisions, findings) is in its row, as arrays: it is replaced as one.

A list of migrations, in order. ClickHouse has no transaction around them and no lock, so each statement may be
run twice, by two at once: `IF NOT EXISTS`.

`copied_ns` also keeps replicated tables from taking rows for those that were inserted before, and deleted since.

Sources: clickhouse.com/docs/engines/table-engines/mergetree-family/replacingmergetree;
kb.altinity.com/altinity-kb-schema-design/insert_deduplication.
"""

from __future__ import annotations

from typing import Final

__all__ = ["COLUMNS", "FORMAT", "MIGRATIONS", "ORDER", "script"]

# The beginning of DateTime64; what is recorded is the number.
_TIME: Final = (
    "DateTime64(9, 'UTC') DEFAULT fromUnixTimestamp64Nano(greatest({}, -2208988800000000000), 'UTC')"
)

# By months, of time as it goes by: a clock that is wrong, or a hostile import, must not make thousands of partitions.
_BY_MONTH: Final = "PARTITION BY if(toYear(started) BETWEEN 2020 AND 2100, toYYYYMM(started), 0)"

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # `format`; and for each store up to when its erasures have been followed.
        """CREATE TABLE IF NOT EXISTS meta(key String, value String, copied_ns UInt64)
            ENGINE = ReplacingMergeTree(copied_ns) ORDER BY key""",
        f"""CREATE TABLE IF NOT EXISTS steps(
            chain_id String, step_id String, parent_id String, kind LowCardinality(String), name String,
            agent LowCardinality(String), seq Int64, hop Int64,
            started_ns Int64 CODEC(Delta, ZSTD), ended_ns Nullable(Int64), started {_TIME.format("started_ns")},
            status LowCardinality(String), error String,
            received String, received_bytes UInt64, produced String, produced_bytes UInt64,
            trace_id String, span_id String, model LowCardinality(String), tokens_in UInt64, tokens_out UInt64,
            attributes Map(LowCardinality(String), String),
            `causes.source_id` Array(String), `causes.kind` Array(LowCardinality(String)),
            `causes.grade` Array(LowCardinality(String)), `causes.evidence` Array(String),
            `choices.conclusion` Array(String), `choices.reason` Array(String),
            `choices.score` Array(Nullable(Float64)), copied_ns UInt64,
            INDEX by_received received TYPE bloom_filter GRANULARITY 4,
            INDEX by_produced produced TYPE bloom_filter GRANULARITY 4)
            ENGINE = ReplacingMergeTree(copied_ns) {_BY_MONTH} ORDER BY (chain_id, step_id)""",
        # Not partitioned: when a run began is known better once its outermost step has ended.
        f"""CREATE TABLE IF NOT EXISTS runs(
            source LowCardinality(String), chain_id String, name String, started_ns Int64,
            ended_ns Nullable(Int64), started {_TIME.format("started_ns")}, steps UInt64, errors UInt64,
            handoffs UInt64, agents Array(LowCardinality(String)), touched_ns Int64, judged UInt64,
            is_open UInt8, is_troubled UInt8, contents UInt8,
            `findings.kind` Array(LowCardinality(String)), `findings.severity` Array(LowCardinality(String)),
            `findings.confidence` Array(Float64), `findings.agent` Array(String), `findings.tool` Array(String),
            `findings.step_id` Array(String), `findings.message` Array(String), copied_ns UInt64)
            ENGINE = ReplacingMergeTree(copied_ns) ORDER BY (source, chain_id)""",
        """CREATE TABLE IF NOT EXISTS contents(
            digest String, belief String, type LowCardinality(String), bytes UInt64, lossy String,
            text String CODEC(ZSTD(3)), copied_ns UInt64)
            ENGINE = ReplacingMergeTree(copied_ns) ORDER BY digest""",
        f"""CREATE TABLE IF NOT EXISTS memory_events(
            source LowCardinality(String), memory String, nth UInt64, key String, version Int64,
            operation LowCardinality(String), of Nullable(Int64), seq Int64, at_ns Int64, at {_TIME.format("at_ns")},
            chain_id String, step_id String, agent LowCardinality(String), digest String, reason String, hash String,
            contents UInt8, copied_ns UInt64)
            ENGINE = ReplacingMergeTree(copied_ns) ORDER BY (source, memory, nth)""",
        """CREATE TABLE IF NOT EXISTS gaps(
            source LowCardinality(String), reason String, count UInt64, copied_ns UInt64)
            ENGINE = ReplacingMergeTree(copied_ns) ORDER BY (source, reason)""",
        """CREATE VIEW IF NOT EXISTS causes AS
            SELECT chain_id, step_id, started, causes.source_id AS source_id, causes.kind AS kind,
                causes.grade AS grade, causes.evidence AS evidence FROM steps FINAL ARRAY JOIN causes""",
        """CREATE VIEW IF NOT EXISTS findings AS
            SELECT source, chain_id, started, findings.kind AS kind, findings.severity AS severity,
                findings.confidence AS confidence, findings.agent AS agent, findings.tool AS tool,
                findings.step_id AS step_id, findings.message AS message FROM runs FINAL ARRAY JOIN findings""",
    ),
)

FORMAT: Final = len(MIGRATIONS)

_NAMES: Final = {
    "meta": "key value",
    "contents": "digest belief type bytes lossy text",
    "steps": """chain_id step_id parent_id kind name agent seq hop started_ns ended_ns status error
        received received_bytes produced produced_bytes trace_id span_id model tokens_in tokens_out attributes
        causes.source_id causes.kind causes.grade causes.evidence
        choices.conclusion choices.reason choices.score""",
    "memory_events": """source memory nth key version operation of seq at_ns chain_id step_id agent digest reason hash
        contents""",
    "gaps": "source reason count",
    "runs": """source chain_id name started_ns ended_ns steps errors handoffs agents touched_ns judged
        is_open is_troubled contents findings.kind findings.severity findings.confidence findings.agent
        findings.tool findings.step_id findings.message""",
}

COLUMNS: Final = {table: tuple(names.split()) for table, names in _NAMES.items()}
"""What is inserted, by table; `copied_ns` follows as the last."""

ORDER: Final = ("contents", "steps", "memory_events", "gaps", "runs")
"""In which tables are filled: a run is told as copied once all else of it is there."""


def script() -> str:
    """Return the SQL that makes the tables, for those who want them otherwise (on a cluster, with a TTL)."""
    made = [statement for migration in MIGRATIONS for statement in migration]
    return ";\n".join([*made, f"INSERT INTO meta VALUES ('format', '{FORMAT}', 1);\n"])
