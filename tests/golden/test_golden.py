"""The promise: a cassette that was written once can be read, asked and replayed for ever. See README.md beside this."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.golden import autogen_app, langgraph_app, own_app

import becausal
from becausal.cassette import read
from becausal.run import Run
from becausal.store import open_store

HERE = Path(__file__).parent

PINNED: dict[str, str] = {
    "autogen-1.becausal": "3d23909bbc6253259c6199f6028390558e0949be2cdf1041fc966fb48f47e0d7",
    "langgraph-1.becausal": "d46fa4e417f76a760f8b2df7a87b8361af0ef9182bba3beea096d28b517175fa",
    "memory-1.becausal": "15596d4d0d7be0256cb007f2a39b871f840275d88f48b5e35f4a3805b9d6f1b4",
    "own-1.becausal": "71188cc9424af306f0ad0015d390b8139661c43f59b630243a6408b3a1a1a95e",
}
"""The SHA-256 of each file. One may be added; none may be changed."""


def run_of(name: str) -> Run:
    return becausal.open(HERE / name).last()


def test_every_file_is_the_one_that_was_written() -> None:
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in HERE.glob("*.becausal")}

    assert there == PINNED


@pytest.mark.parametrize("name", PINNED)
def test_a_golden_file_loads_whole_and_says_what_recorded_it(name: str) -> None:
    made = read(HERE / name)

    assert made.without_body == 0
    assert made.written_by.startswith("becausal ")
    packages = dict(one.split("==") for one in made.packages)
    assert {"python", "becausal"} <= packages.keys()
    assert all(step.received is None or step.received.value() is not Ellipsis for step in made.steps)


@pytest.mark.parametrize("name", PINNED)
def test_a_golden_file_comes_into_a_store_and_out_again_with_the_same_steps(
    name: str, tmp_path: Path
) -> None:
    from becausal.cassette.store import take_in

    made = read(HERE / name)
    store = open_store(f"sqlite:///{tmp_path / 'runs.db'}")

    assert take_in(made, store)

    assert tuple(store.load(made.chain_id)) == made.steps
    store.close()


def test_own_code_still_answers() -> None:
    run = run_of("own-1.becausal")

    assert run.name == "Announce our relaunch"
    assert run.agents == ("planner", "writer")
    assert run.output is not None
    assert run.output.value() == "The relaunch is due on Friday 14 March 2026; 0 offers were found."
    assert "tool.empty" in {finding.kind for finding in run.findings}
    segment = run.blame("Friday 14 March 2026").segments[0]
    assert (segment.source, segment.origin and segment.origin.name) == ("tool", "calendar")
    assert run.decisions[0].confidence is not None
    assert run.decisions[0].confidence.score == 0.8
    assert [handoff.verdict for handoff in run.handoffs] == ["identical"]


def test_a_memory_still_tells_its_history() -> None:
    runs = becausal.open(HERE / "memory-1.becausal")

    assert [str(event) for event in runs.store.memory_events()] == [
        "golden plans/deadline@1 write by nobody named",
        "golden plans/deadline@2 write by clerk",
    ]
    assert runs.last().memory.history("deadline")[0].value() == {"day": "Friday", "was": "Thursday"}


def test_langgraph_still_answers() -> None:
    run = run_of("langgraph-1.becausal")

    assert run.agents == ("researcher", "analyst", "writer")
    assert run.output is not None
    assert "report: Acme had revenue of 20 million USD in 2025. A full audit is due." in run.output.text()
    segment = run.blame("20 million").segments[0]
    assert (segment.source, segment.origin and segment.origin.name) == ("tool", "revenue_database")
    assert [(handoff.sender, handoff.receiver) for handoff in run.handoffs] == [
        ("researcher", "analyst"),
        ("analyst", "writer"),
    ]
    assert run.tool_calls[0].arguments == {"company": "Acme", "year": 2025}


def test_autogen_still_answers() -> None:
    run = run_of("autogen-1.becausal")

    assert {"scout", "packer"} <= set(run.agents)
    assert run.output is not None
    assert "Pack light: It is 31 degrees in Lisbon." in run.output.text()
    assert run.blame("31 degrees").segments[0].source == "tool"
    assert run.tool_calls[0].name == "weather"


APPS: dict[str, Any] = {
    "own-1.becausal": own_app.announce,
    "langgraph-1.becausal": langgraph_app.graph,
    "autogen-1.becausal": autogen_app.build,
}


@pytest.mark.parametrize("name", APPS)
def test_a_golden_file_replays(name: str, replay: Any) -> None:
    replay(name, APPS[name]).reproduces()


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_a_golden_file_replays_in_another_process_whatever_its_hash_seed_and_leaves_nothing_behind(
    seed: str, tmp_path: Path
) -> None:
    code = """
import sys
import becausal
from tests.golden import langgraph_app
from becausal.regression import replayed
replayed(sys.argv[1], langgraph_app.graph).reproduces()
becausal.open(sys.argv[1]).last().replay(langgraph_app.graph)
print("reproduced")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(HERE / "langgraph-1.becausal")],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TMPDIR": str(tmp_path),
        },
    )

    assert done.stdout == "reproduced\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_apps_are_still_what_was_recorded(tmp_path: Path) -> None:
    """They are recorded anew: were one changed, its replay would be proof of nothing."""
    becausal.instrument(store=tmp_path / "anew.db")
    own_app.announce("Announce our relaunch")
    langgraph_app.graph.invoke(langgraph_app.ASKED)
    anew = [becausal.open(tmp_path / "anew.db").get(info.chain_id) for info in _written(tmp_path)]
    becausal.uninstrument()

    for name, run in zip(("langgraph-1.becausal", "own-1.becausal"), anew, strict=True):
        assert run.diff(run_of(name)).is_output_same
    assert autogen_app.ASKED == "What shall I pack for Lisbon?"


def _written(folder: Path) -> Any:
    assert becausal.flush()
    return becausal.open(folder / "anew.db").list()
