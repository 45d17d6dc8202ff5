"""Runs the tests of an adapter with each end of the versions that it supports, and with the middle.

    python -m tests.versions                             # every row
    python -m tests.versions 0.6.11 1.2.22 --home /tmp/versions

Each row gets a virtual environment of its own, which is used again the next time. What a version does not have is
skipped by a condition that says so (`tests/integrations/having.py`).
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.environments import CHECKOUT, environment

TOOLS = ("pytest>=8", "pytest-asyncio>=0.24", "hypothesis>=6.100", "numpy>=1.26", "opentelemetry-sdk")

LANGGRAPH = (
    "tests/integrations/test_lang*.py", "tests/integrations/test_differential_langgraph.py",
    "tests/integrations/test_pitfalls*.py",
)  # fmt: skip

AUTOGEN = ("tests/integrations/test_autogen*.py",)

ROWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # The lowest of langgraph and of langchain-core; create_agent came later.
    "0.6.11": (("langgraph==0.6.11", "langchain-core==0.3.86"), LANGGRAPH),
    # The newest langgraph-prebuilt that it allows cannot be imported with it, nor the newest checkpoint with this core.
    "1.0.10": (
        (
            "langgraph==1.0.10",
            "langgraph-prebuilt==1.0.8",
            "langgraph-checkpoint>=3,<4",
            "langchain-core>=1.0,<1.1",
            "langchain>=1.0,<1.1",
        ),
        LANGGRAPH,
    ),
    "1.1.10": (("langgraph==1.1.10", "langchain-core>=1.2,<1.4", "langchain>=1.2,<1.3"), LANGGRAPH),
    "1.2.0": (("langgraph==1.2.0", "langchain>=1.2,<1.5"), LANGGRAPH),
    "1.2.22": (("langgraph==1.2.22", "langchain-core==1.7.2", "langchain==1.4.7"), LANGGRAPH),
    # The lowest of AutoGen and the newest; its extension brings the runtime over gRPC.
    "autogen-0.7.0": (
        ("autogen-core==0.7.0", "autogen-agentchat==0.7.0", "autogen-ext[grpc]==0.7.0"),
        AUTOGEN,
    ),
    "autogen-0.7.5": (
        ("autogen-core==0.7.5", "autogen-agentchat==0.7.5", "autogen-ext[grpc]==0.7.5"),
        AUTOGEN,
    ),
    # A run recorded with other patch versions, in another process: the golden cassettes.
    "cassettes": (
        (
            "langgraph==1.2.20",
            "langchain-core==1.7.0",
            "autogen-core==0.7.4",
            "autogen-agentchat==0.7.4",
        ),
        ("tests/golden/test_golden.py",),
    ),
    # Other instrumentors of LangChain beside us.
    "beside": (
        (
            "langgraph==1.2.22",
            "langchain==1.4.7",
            "openinference-instrumentation-langchain==0.1.80",
            "opentelemetry-instrumentation-langchain==0.62.4",
        ),
        ("tests/integrations/test_coexistence.py",),
    ),
}
"""What is installed, and what is run with it."""


def main() -> int:
    """Run the rows that were asked for; returns how many had a test that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--home", type=Path, default=Path("versions"))
    parser.add_argument("--make-only", action="store_true", help="make the environments, run nothing")
    asked = parser.parse_args()
    home = asked.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in asked.rows:
        requirements, patterns = ROWS[name]
        python = environment(home / name, (*requirements, *TOOLS))
        if asked.make_only:
            continue
        files = [str(file) for pattern in patterns for file in sorted(CHECKOUT.glob(pattern))]
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            *files,
        ]
        ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        (home / f"{name}.log").write_text(ended.stdout + ended.stderr)
        print(f"{name}: {ended.stdout.strip().splitlines()[-1].strip('= ')}", flush=True)
        print(*(line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), sep="\n")
        failed += ended.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
