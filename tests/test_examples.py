"""The promise: the examples run offline as they stand, and becausal answers of them what the README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from becausal.cli import _parser as parser

ROOT = Path(__file__).parent.parent


def run(folder: Path, *command: str) -> str:
    """Return what a command prints in a folder of its own; our own failures are let out, and it warns of nothing."""
    environment = {**os.environ, "BECAUSAL_STRICT": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def asked(folder: Path, *question: str) -> Any:
    return json.loads(run(folder, "-m", "becausal", *question, "--json"))


@pytest.mark.parametrize(
    ("example", "hops"),
    [
        ("quickstart.py", ["tools to researcher", "researcher to analyst", "analyst to writer"]),
        ("autogen_team.py", ["researcher to writer"]),
        pytest.param(
            "agent_framework_workflow.py",
            ["researcher to writer"],
            marks=pytest.mark.skipif(find_spec("agent_framework") is None, reason="is not installed"),
        ),
    ],
)
def test_the_wrong_figure_is_led_back_to_the_tool_over_every_hop(
    tmp_path: Path, example: str, hops: list[str]
) -> None:
    assert "20 million USD" in run(tmp_path, str(ROOT / "examples" / example))

    (segment,) = asked(tmp_path, "blame", "last", "20 million")["segments"]

    assert (segment["source"], segment["origin"]["name"]) == ("tool", "revenue_database")
    assert [step["name"] for step in segment["path"] if step["kind"] == "handoff"] == hops
    assert "call revenue_database" in segment["asked_by"][0]["conclusion"]
    why = asked(tmp_path, "why", "last")
    assert "revenue_database" in [step["name"] for step in why["steps"]]
    assert "revenue_database" in [
        segment["origin"]["name"] for segment in why["segments"] if "20 million" in segment["text"]
    ]


def test_what_the_readme_says_to_type_about_the_quickstart_prints_what_it_shows(tmp_path: Path) -> None:
    """As in a checkout: the examples lie in the folder where one asks. Ids and times are of each run."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (typed,) = (block for block in _blocks(readme) if block.startswith("becausal replay last"))
    (blamed,) = (block for block in _blocks(readme) if block.startswith('"20 million"'))
    run(tmp_path, "examples/quickstart.py")

    printed = []
    for line in typed.splitlines():
        if written := re.fullmatch(r"echo '(.*)' > ([\w.]+)", line):
            (tmp_path / written[2]).write_text(written[1])
        else:
            printed.append(run(tmp_path, "-m", *shlex.split(line, comments=True)))
    same, changed, counterfactual, test = printed

    assert same.startswith("reproduced: 17 of 17 steps")
    assert "No audit is due" in changed
    assert counterfactual in _blocks(readme)
    assert "team.becausal" in test
    (segment,) = asked(tmp_path, "blame", "last", "20 million")["segments"]
    assert [int(number) for number in re.findall(r"^ +(\d+)  ", blamed, re.MULTILINE)] == [
        number for number, _ in enumerate(segment["path"], 1)
    ]


def _blocks(readme: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


def test_two_processes_of_own_code_are_one_chain(tmp_path: Path) -> None:
    assert run(tmp_path, str(ROOT / "examples" / "own_code.py")) == "The relaunch is due on Friday.\n"

    (segment,) = asked(tmp_path, "blame", "last", "Friday")["segments"]

    assert (segment["source"], segment["origin"]["name"]) == ("tool", "calendar")
    assert [step["kind"] for step in segment["path"]].count("handoff") == 1
    assert len(asked(tmp_path, "runs")) == 1


@pytest.mark.parametrize(
    ("example", "said", "text", "tool"),
    [
        ("over_http.py", "The press costs 1250 USD.\n", "1250", "price_list"),
        pytest.param(
            "over_mcp.py",
            "Answer: the relaunch is due on Friday.\n",
            "Friday",
            "calendar",
            marks=pytest.mark.skipif(find_spec("mcp") is None, reason="is not installed"),
        ),
    ],
)
def test_what_another_process_did_is_part_of_the_chain(
    tmp_path: Path, example: str, said: str, text: str, tool: str
) -> None:
    assert run(tmp_path, str(ROOT / "examples" / example)) == said

    (segment,) = asked(tmp_path, "blame", "last", text)["segments"]

    assert (segment["source"], segment["origin"]["name"]) == ("tool", tool)
    assert len(asked(tmp_path, "runs")) == 1


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    (commands,) = (action for action in parser()._actions if isinstance(action.choices, dict))
    for command in commands.choices or ():
        assert f"`{command}`" in readme or f"becausal {command}" in readme
