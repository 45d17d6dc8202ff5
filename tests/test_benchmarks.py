"""The benchmarks run, count exactly, and hold what a step may cost."""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import langgraph.pregel.main as pregel
import opentelemetry.sdk.trace as sdk
import pytest
import wrapt
import xxhash
import zstandard
from benchmarks import __main__ as overview
from benchmarks import guard, handoff, tables, where
from benchmarks.__main__ import ALONE
from benchmarks.instrumentor import least
from benchmarks.overhead import Overhead, Row, fill
from benchmarks.quick import parsed
from benchmarks.targets import CELLS, Target
from benchmarks.workloads import Cell

from becausal import canonical, recorder
from becausal.redaction import redactor
from becausal_integrations.langgraph import nodes

ROOT = Path(__file__).parent.parent

FLOOR = """
import sys
from benchmarks.instrumentors import INSTRUMENTORS
from benchmarks.workloads import WORKLOADS
floor = INSTRUMENTORS["duties"]("", sys.argv[3])
floor.start()
workload = WORKLOADS[sys.argv[1]](1024, int(sys.argv[2]), floor.config)
workload.build()
workload.run(workload.prepare())
floor.flush()
print(floor.exporter.spans, workload.operations)
"""


def command(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark as one does by hand: strict is for tests alone."""
    environment = {name: value for name, value in os.environ.items() if name != "BECAUSAL_STRICT"}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )


@pytest.mark.skipif(
    guard.VERSION != "3.11", reason="the counts of benchmarks/guard.json belong to Python 3.11"
)
def test_no_step_costs_more_than_is_written_down() -> None:
    ended = command("benchmarks.guard")

    assert ended.returncode == 0, (
        f"{ended.stderr}\nif that is for a good reason: python -m benchmarks.guard --write"
    )


def test_a_call_and_an_instruction_more_are_counted() -> None:
    def work(times: int) -> None:
        for _ in range(times):
            len("")

    assert guard.calls(lambda: work(101)) - guard.calls(lambda: work(100)) == 1
    assert guard.instructions(lambda: work(100)) == 0, "this is no code of becausal's"


def test_work_in_threads_of_the_app_counts_and_work_aside_does_not() -> None:
    def run(name: str, times: int) -> int:
        def work() -> None:
            for _ in range(times):
                len("")

        def start() -> None:
            thread = threading.Thread(target=work, name=name)
            thread.start()
            thread.join()

        return guard.calls(start)

    # Starting a thread is a few calls, and how many it takes to wait for it varies.
    assert run("worker", 5_000) > 5_000
    assert run("becausal-writer", 5_000) < 500


def test_what_became_dearer_is_named_and_what_became_cheaper_passes() -> None:
    limits = {"linear 1 KB": {"calls": 100.0, "instructions": 1000.0}}

    assert guard.dearer({"linear 1 KB": {"calls": 109.0, "instructions": 500.0}}, limits) == []
    (told,) = guard.dearer({"linear 1 KB": {"calls": 115.0, "instructions": 1000.0}}, limits)
    assert "linear 1 KB: calls 115" in told
    assert "15%" in told


def test_code_belongs_to_the_part_whose_file_it_is_in_and_a_tools_to_who_calls_it() -> None:
    def whose(module: ModuleType) -> str | None:
        assert module.__file__ is not None
        return where.part_of(module.__file__)

    assert whose(canonical) == "sealing: the canonical form and its digests"
    assert whose(redactor) == "redaction"
    assert whose(recorder) == where.SEAM
    assert whose(nodes) == where.HOOKS
    assert whose(pregel) == whose(where) == where.APP
    assert whose(sdk) is whose(wrapt) is whose(functools) is None


def test_a_profile_tells_the_app_from_what_is_added_to_it() -> None:
    alone, ours = (
        json.loads(command("benchmarks.where", "--child", on, "--cells", "linear", "--seconds", "0.3").stdout)
        for on in ("off", "on")
    )

    assert alone[where.APP] > 0
    assert where.HOOKS not in alone
    assert ours[where.APP] > 0
    assert ours[where.HOOKS] > 0
    assert ours[where.STORING] > alone[where.STORING]


def test_a_ratio_may_differ_more_than_a_count() -> None:
    limits = {"linear 1 MB": {"ratio": 4.0}}

    assert guard.dearer({"linear 1 MB": {"ratio": 5.0}}, limits) == []
    assert guard.dearer({"linear 1 MB": {"ratio": 5.5}}, limits)


def test_a_step_that_costs_more_the_longer_the_conversation_is_fails() -> None:
    counts = {
        guard.SHORT.title: {"calls": 100.0},
        guard.LONG.title: {"calls": 120.0},
    }

    assert guard.superlinear(counts)
    assert not guard.superlinear({**counts, guard.LONG.title: {"calls": 105.0}})


def test_a_ratio_is_over_the_app_alone_in_the_same_turn() -> None:
    def turn(cpu: float, wall: float) -> dict[str, float]:
        return {"cpu_us": cpu, "wall_us": wall, "best_wall_us": wall, "peak_mib": 10.0, "flush_s": 0.0}

    row = Row(CELLS[0], "becausal")
    plain = [turn(100, 100), turn(200, 400), turn(100, 100)]
    mine = [turn(120, 110), turn(260, 480), turn(150, 130)]
    fill(row, {"operations": 10}, mine, plain)

    assert row.ratios == [1.2, 1.3, 1.5]
    assert (row.cpu, row.cpu_best) == (1.3, 1.2)
    assert (row.wall, row.wall_best) == (1.2, 1.1)
    assert row.added_us == 5.0


def test_figures_are_written_between_their_markers_and_nowhere_else(tmp_path: Path) -> None:
    place = tmp_path / "page.md"
    place.write_text("before\n<!-- figures: one -->\nold\n<!-- end of figures -->\nafter\n")

    for text in (r"\1 new", "newer"):
        tables.write(place, {"one": text})
        assert place.read_text() == f"before\n<!-- figures: one -->\n{text}\n<!-- end of figures -->\nafter\n"
    with pytest.raises(ValueError, match="figures: two"):
        tables.write(place, {"two": ""})


def test_the_page_has_a_place_for_every_table() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()

    for name in ("machine", "targets", "overhead", "where", "handoff", "switches", "growth", "store"):
        assert f"<!-- figures: {name} -->" in page


def test_a_target_stands_beside_its_figure_and_its_floor() -> None:
    told = tables.target_table(
        [
            Target("quick", "µs", 3, 12),
            Target("slow", "µs", 30, 12, floor=11),
            Target("forbidden", "µs", 30, 12, floor=13),
            Target("rate", "", 3, 2, at_least=True),
        ]
    )

    assert [line[-1] for line in told] == ["met", "yes", "**no**", "**no**: the floor is higher", "yes"]


def on_the_last_floor(workload: str, steps: int, folder: Path) -> list[str]:
    """Run a workload in a process of its own, as what a floor hooks stays hooked; return the spans that were made."""
    arguments = [sys.executable, "-c", FLOOR, workload, str(steps), str(folder)]
    return subprocess.run(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True).stdout.split()


def test_the_last_floor_keeps_every_step_and_each_content_on_disk(tmp_path: Path) -> None:
    spans, operations = on_the_last_floor("linear", 0, tmp_path)

    with sqlite3.connect(tmp_path / "floor.db") as file:
        steps = file.execute("SELECT received, produced FROM step").fetchall()
        kept = dict(file.execute("SELECT digest, body FROM content"))
    bodies = {digest: zstandard.decompress(body) for digest, body in kept.items()}
    assert len(steps) == 1 + int(operations)
    assert {digest for pair in steps for digest in pair} == bodies.keys()
    assert all(xxhash.xxh3_128_digest(body) == digest for digest, body in bodies.items())
    assert int(spans) == 2 * int(operations), "nobody hands anything over to the first node"


def test_the_floors_count_what_each_node_of_a_superstep_hands_over(tmp_path: Path) -> None:
    spans, operations = on_the_last_floor("fan-out", 0, tmp_path)

    nodes = int(operations)  # one that plans, those that work, one that joins
    planned, joined = nodes - 2, nodes - 2
    assert int(spans) == 2 + nodes + planned + joined


def test_the_floors_count_a_team_s_turns_its_model_s_and_its_tool_s_calls(tmp_path: Path) -> None:
    spans, _ = on_the_last_floor("autogen", 3, tmp_path)

    turns, calls = 3, 1
    with sqlite3.connect(tmp_path / "floor.db") as file:
        assert file.execute("SELECT count(*) FROM step").fetchone() == (turns + turns + calls,)
    handed = 1 + 2 + 3  # the task, and what was said since the agent's last turn: each had none yet
    assert int(spans) == turns + turns + calls + handed


def test_a_handoff_s_checksums_and_sizes_are_the_least_that_its_span_can_hold() -> None:
    ids = {"becausal.chain.id": "c" * 32, "becausal.node.id": "s" * 16}
    checksums = {"becausal.payload.input.digest": "d" * 42, "becausal.payload.input.size": 1024}
    rest = {"becausal.belief.digest": "b" * 42, "gen_ai.agent.name": "writer"}

    assert least({**ids, **checksums, **rest}) == len("becausal.chain.idbecausal.node.id") + 48
    handed = least({**ids, **checksums, **rest, "becausal.step.kind": "handoff"})
    assert handed == len("".join(ids) + "".join(checksums)) + 48 + 42 + 8


def test_the_growing_conversation_s_last_step_stands_beside_its_floor() -> None:
    long = Cell("growing", 1024, 200)
    plain = Row(long, "plain", first_us=100, last_us=110)
    bare = Row(long, "snapshots", first_us=100, last_us=165)
    mine = Row(long, "becausal", first_us=200, last_us=440, attribute_bytes=400.0, least_bytes=90.0)

    size, steeper = tables.of_the_conversation(Overhead([plain, bare, mine], {}, []))

    assert (size.found, size.floor) == (400, 90)
    assert steeper.found == pytest.approx(2.0)
    assert steeper.floor == pytest.approx(1.5)
    assert steeper.is_below_floor


def test_every_part_of_a_handoff_is_timed_in_its_place() -> None:
    ended = command("benchmarks.handoff", "--child", "of texts", "--rounds", "20")

    assert ended.returncode == 0, ended.stderr
    took = json.loads(ended.stdout)
    assert took.keys() == handoff.PARTS.keys()
    assert all(each > 0 for each in took.values())


def test_a_run_measures_what_is_asked_for_and_says_what_is_left_out(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ended = command(
        "benchmarks", "--quick", "--only", "control", "becausal", "--cells", "linear", "--payloads", "1024",
        "--seconds", "0.05", "--json", str(figures),
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert "becausal" in ended.stdout
    assert "OpenInference" not in ended.stdout
    assert '"linear"' in figures.read_text()
    assert Cell("linear", 1024, 0).title in ended.stdout


@pytest.mark.parametrize("name", ["__main__", *ALONE])
def test_every_command_that_measures_in_a_short_time_understands_quick(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])

    with pytest.raises(SystemExit) as left:
        importlib.import_module(f"benchmarks.{name}").main()

    assert left.value.code in (0, None)
    assert ("less than half a minute" in " ".join(capsys.readouterr().out.split())) is (
        name not in ("soak", "shapes")
    )


def test_what_is_asked_for_beside_quick_goes_before_what_it_sets(capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*arguments: str) -> dict[str, object]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--steps", nargs="+", type=int, default=[100_000])
        parser.add_argument("--seconds", type=float, default=3.0)
        return vars(parsed(parser, arguments, steps=[1_000], seconds=0.5))

    assert asked() == {"steps": [100_000], "seconds": 3.0, "quick": False}
    assert asked("--quick") == {"steps": [1_000], "seconds": 0.5, "quick": True}
    assert asked("--quick", "--steps", "7") == {"steps": [7], "seconds": 0.5, "quick": True}
    with pytest.raises(SystemExit):
        asked("--help")
    assert "--steps 1000, --seconds 0.5" in " ".join(capsys.readouterr().out.split())


def test_quick_asks_for_less_and_goes_with_nothing_that_is_written_down(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick, whole = overview.asked(["--quick"]), overview.asked([])

    assert "becausal" in quick.only
    assert len(overview.cells_of(quick)) < len(overview.cells_of(whole)) / 2
    assert {cell for cell, _ in overview.cells_of(quick)} <= set(CELLS)
    for main, arguments in ((overview.asked, ["--quick", "--final"]), (guard.main, ["--quick", "--write"])):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
    assert "leave --quick out" in capsys.readouterr().err


def test_who_reads_no_further_than_the_first_line_of_the_list_sees_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--list"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_command_that_the_documents_name_is_listed_and_told_of() -> None:
    table = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    named = {
        name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"python -m benchmarks\.(\w+)", page.read_text("utf-8"))
    }

    assert named
    assert named <= set(ALONE)
    assert set(re.findall(r"^\| `python -m benchmarks\.(\w+)`", table, re.MULTILINE)) == set(ALONE)
