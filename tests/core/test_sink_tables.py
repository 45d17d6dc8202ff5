"""The sink's tables: made once, whoever makes them; and what the documentation asks them is answered."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.core.sinks import counts, cut_off, opened, remember

from becausal.errors import StoreError, StoreFormatError
from becausal.run import Run
from becausal.sink import Sink, copy_all
from becausal.sink.schema import COLUMNS, FORMAT, MIGRATIONS, script
from becausal.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "clickhouse.md"


def asked() -> dict[str, str]:
    """Return what the documentation asks, by what it says that it asks."""
    blocks = re.findall(r"^( *)```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    text = "\n\n".join(block.replace(f"\n{indent}", "\n").removeprefix(indent) for indent, block in blocks)
    return dict(re.findall(r"^-- (.+)\n([^;]+);$", text, re.MULTILINE))


QUESTIONS = asked()


def test_making_the_tables_twice_changes_nothing_and_a_newer_sink_is_refused(
    kept: Store, sink_url: str
) -> None:
    kept.write(cut_off().made)
    with pytest.raises(StoreError, match="nothing has been exported"):
        Sink(sink_url, create=False)
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        before = counts(sink)
        for statement in [statement for migration in MIGRATIONS for statement in migration]:
            sink._client.command(statement)
        assert counts(sink) == before
        for table, columns in COLUMNS.items():
            there = [row[0] for row in sink.rows(f"DESCRIBE {table}")]
            assert [name for name in there if name not in ("started", "at")] == [*columns, "copied_ns"]
        sink.insert("meta", [("format", str(FORMAT + 1))], FORMAT + 1)
    with pytest.raises(StoreFormatError, match="newer becausal"):
        Sink(sink_url)


def test_the_printed_script_makes_the_same_tables(kept: Store, sink_url: str) -> None:
    with opened(sink_url) as sink:
        names = sink.rows("SELECT name FROM system.tables WHERE database = 'becausal' ORDER BY name")
        for (name,) in names:
            sink._client.command(f"DROP TABLE {name} SYNC")
        for statement in script().split(";\n"):
            if statement:
                sink._client.command(statement)
        assert sink.rows("SELECT name FROM system.tables WHERE database = 'becausal' ORDER BY name") == names
    with opened(sink_url, create=False) as sink:
        assert counts(sink)["runs"] == 0


def test_neither_the_library_nor_the_command_loads_the_client_where_no_sink_is_asked_for(store: str) -> None:
    cut_off().write(store)
    script = f"""
import sys, becausal
from becausal.cli import main
main(["runs", "--store", {store!r}])
main(["export", "last", "--store", {store!r}, "-o", {store.removeprefix("sqlite:///")!r} + ".becausal"])
print([name for name in sys.modules if name.partition(".")[0] in ("clickhouse_connect", "chdb", "pandas", "pyarrow")])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def digest(kept: Store) -> str:
    """A content's digest, in a store of two runs, of which the later one fails."""
    for chain_id, began in (("a" * 32, 1_790_000_000), ("b" * 32, 1_790_086_400)):
        record = cut_off(chain_id, started_ns=began * 10**9)
        if chain_id.startswith("b"):
            with record.step("tool", "search", received="Acme") as draft:
                draft.step.error = "TimeoutError: no answer"
                draft.step.attributes["error.type"] = "TimeoutError"
                draft.step.agent = "planner"
            draft.step.status = "error"
        kept.write(record.made)
    remember(kept, "tier", "gold")
    remember(kept, "tier", "silver", of=1)
    kept.add_gaps({"queue full": 3, "redacted api key": 4})
    produced = kept.load("a" * 32)[2].produced
    assert produced is not None
    return produced.digest


DAY = dt.date(2026, 9, 21)

ANSWERS: dict[str, list[tuple[object, ...]]] = {
    "Runs a day, and how many failed": [(DAY, 1, 0), (DAY + dt.timedelta(days=1), 1, 1)],
    "The slowest agents": [("planner", 2, 3.0, 3.0), ("writer", 2, 2.0, 2.0)],
    "Where a content first came up (the digest as `becausal show --json` has it)": [
        (dt.datetime(2026, 9, 21, 14, 13, 20, 3_000), "a" * 32, "0003aaaa00000003", "planner", "produced")
    ],
    "Tokens, and what they cost, by agent (prices for a million)": [
        ("planner", "gpt-x", 240, 60, round((240 * 3e3 + 60 * 15e3) / 1e6, 2))
    ],
    "Which agent hands over to which, and how much of it comes from one": [("planner", "writer", 2, 2)],
    "How causes are known": [("transfer", "declared", 4)],
    "Errors by tool": [("search", 1, 1, "TimeoutError")],
    "Who wrote how often to which memory": [("notes", "", 1, 1)],
    "What is not recorded": [("sqlite:///:memory:", "queue full", 3)],
}


@pytest.mark.parametrize("question", ANSWERS)
def test_what_the_documentation_asks_is_answered(
    question: str, digest: str, kept: Store, sink_url: str
) -> None:
    values = {"since": dt.datetime(2026, 1, 1), "digest": digest, "price_in": 3e3, "price_out": 15e3}
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        query = QUESTIONS[question]

        named = {name: value for name, value in values.items() if f"{{{name}:" in query}
        assert sink.rows(query, **named) == ANSWERS[question]


FINDINGS = "Findings by kind, and whose they are"


def test_findings_are_counted_as_the_runs_tell_them(digest: str, kept: Store, sink_url: str) -> None:
    told = [f for chain in "ab" for f in Run(chain * 32, kept.load(chain * 32)).findings]
    expected = Counter((f.kind, f.severity, f.agent or "") for f in told)
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        rows = sink.rows(QUESTIONS[FINDINGS], since=dt.datetime(2026, 1, 1))

    assert {(kind, severity, agent): n for kind, severity, agent, n, _ in rows} == expected
    assert len(expected) > 2


def test_every_question_has_its_answer_here() -> None:
    assert {*QUESTIONS} == {*ANSWERS, FINDINGS, "Steps go after ninety days"}


def test_a_time_to_live_can_be_given_and_what_it_took_is_not_sent_again(kept: Store, sink_url: str) -> None:
    kept.write(cut_off(started_ns=10**18).made)
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        sink._client.command(QUESTIONS["Steps go after ninety days"])
        sink._client.command("OPTIMIZE TABLE steps FINAL")
        assert counts(sink)["steps"] == 0

        copy_all(kept, sink)
        assert (counts(sink)["runs"], counts(sink)["steps"]) == (1, 0)
