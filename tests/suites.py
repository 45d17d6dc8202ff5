"""Runs the frameworks' own test suites without becausal and with it, and compares the outcomes test by test.

    python -m tests.suites                                        # every suite: without, full, boundaries
    python -m tests.suites langgraph langchain-core --home /tmp/suites --modes without,full

The source distributions on PyPI hold the tests. Each suite runs against the installed package, not against the source
beside it. What is laid out in `--home` is used again. Needs the network for the first time, and some twenty minutes.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.environments import CHECKOUT, environment
from tests.outcomes import compared, read

TOOLS = (
    "pytest", "pytest-asyncio", "pytest-benchmark", "pytest-codspeed", "pytest-cov", "pytest-dotenv", "pytest-mock",
    "pytest-recording", "pytest-repeat", "pytest-socket", "pytest-watcher", "pytest-xdist[psutil]", "syrupy",
    "blockbuster", "dataclasses-json", "freezegun", "grandalf", "hatchling", "httpx", "langchain-tests", "numpy",
    "opentelemetry-sdk", "pandas", "responses", "toml",
)  # fmt: skip

GRAPH = (
    "langgraph==1.2.22", "langgraph-prebuilt==1.1.2", "langgraph-checkpoint==4.3.2", "langchain-core==1.7.2",
    "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres", "psycopg[binary]", "uvloop", "pyperf",
    "pycryptodome", "redis",
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """The tests of one distribution."""

    distribution: str
    version: str
    package: str  # the folder of its source, which must not shadow what is installed
    tests: tuple[str, ...] = ("tests",)
    environment: str = "venv"
    requirements: tuple[str, ...] = (*GRAPH, *TOOLS)

    @property
    def folder(self) -> str:
        """How its source distribution unpacks."""
        return f"{self.distribution.replace('-', '_')}-{self.version}"


SUITES = (
    Suite("langgraph", "1.2.22", "langgraph", ("tests", "--dist", "worksteal")),
    Suite("langgraph-prebuilt", "1.1.2", "langgraph"),
    Suite("langgraph-checkpoint", "4.3.2", "langgraph"),
    Suite("langchain-core", "1.7.2", "langchain_core", ("tests/unit_tests",)),
    # By its mere presence langchain changes the metadata that langgraph's own tests look at: an environment of its own.
    Suite(
        "langchain",
        "1.4.7",
        "langchain",
        ("tests/unit_tests", "--ignore", "tests/unit_tests/mcp"),
        environment="venv-langchain",
        requirements=("langchain==1.4.7", "langchain-openai", *GRAPH, *TOOLS),
    ),
)

MODES = ("without", "full", "boundaries")


def lay_out(suite: Suite, home: Path) -> Path:
    """Return the interpreter for a suite, once its environment and its source are there."""
    python = environment(home / suite.environment, suite.requirements)
    folder = home / suite.folder
    if not folder.exists():
        wanted = f"{suite.distribution}=={suite.version}"
        options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation")
        subprocess.run([str(python), "-m", "pip", "download", *options, wanted], cwd=home, check=True)
        subprocess.run(["tar", "xzf", f"{suite.folder}.tar.gz"], cwd=home, check=True)
        (folder / suite.package).rename(folder / f"_src_{suite.package}")
    return python


def run(suite: Suite, mode: str, home: Path, python: Path) -> Path:
    """Run a suite in a mode; returns the list of its outcomes."""
    listed, log = (home / f"{suite.distribution}.{mode}.{kind}" for kind in ("jsonl", "log"))
    settings = {"OUTCOMES": str(listed), "PYTHONPATH": str(CHECKOUT / "tests")}
    settings |= {"NO_DOCKER": "true", "LANGSMITH_TRACING": "false"}
    plugins = ["-p", "outcomes"]
    if mode != "without":
        settings |= {"BECAUSAL_LEVEL": mode, "BECAUSAL_STRICT": "1"}
        plugins += ["-p", "transparency_plugin"]
    command = [str(python), "-m", "pytest", *suite.tests, "-q", "-n", "2", "-p", "no:cacheprovider", *plugins]
    environ = {**os.environ, **settings}
    with log.open("w") as out:
        subprocess.run(command, cwd=home / suite.folder, env=environ, stdout=out, stderr=out, check=False)
    told = log.read_text().splitlines()
    ours = [line for line in told if line.startswith("becausal:")]
    print(f"{suite.distribution} {mode}: {told[-1].strip('= ')}", *ours, flush=True)
    return listed


def main() -> int:
    """Run the suites that were asked for; returns 1 if the outcome of any test differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", default=[suite.distribution for suite in SUITES])
    parser.add_argument("--home", type=Path, default=Path("suites"))
    parser.add_argument("--modes", default=",".join(MODES))
    asked = parser.parse_args()
    asked.home.mkdir(parents=True, exist_ok=True)
    home = asked.home.resolve()
    differing = 0
    for suite in SUITES:
        if suite.distribution not in asked.suites:
            continue
        python = lay_out(suite, home)
        lists = {mode: run(suite, mode, home, python) for mode in asked.modes.split(",")}
        without = home / f"{suite.distribution}.without.jsonl"  # of this run or of an earlier one
        for mode in (mode for mode in lists if mode != "without" and without.exists()):
            for test, before, after in (found := compared(read(without), read(lists[mode]))):
                print(f"  {mode}: {before} -> {after}: {test}")
            print(f"{suite.distribution} {mode}: {len(found)} tests differ", flush=True)
            differing += len(found)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
