"""With another instrumentor of LangChain beside us, each event is recorded once, and neither changes what the app gets.

Skipped where they are not installed; `python -m tests.versions beside` installs them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.beside import INSTRUMENTORS

CHECKOUT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = {
    "openinference": "openinference-instrumentation-langchain",
    "openllmetry": "opentelemetry-instrumentation-langchain",
}


def is_installed(whose: str) -> bool:
    try:
        return importlib.util.find_spec(INSTRUMENTORS[whose][0]) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


OTHERS = [
    pytest.param(whose, marks=pytest.mark.skipif(not is_installed(whose), reason=f"{whose} is not installed"))
    for whose in INSTRUMENTORS
]
ORDERS = ("ours-first", "theirs-first")


@functools.cache
def report(whose: str, order: str) -> Any:
    """Return what a process with this instrumentor, put in at this time, tells of two graphs."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.integrations.beside", whose, order]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_beside_nobody_the_steps_are_recorded_and_the_results_are_the_app_s_own() -> None:
    alone = report("none", "ours-first")

    assert alone["results"] == report("none", "nobody")["results"]
    assert sum(map(len, alone["steps"])) > 40
    assert (alone["theirs"], alone["named"]) == (0, [])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("whose", OTHERS)
def test_beside_another_each_event_is_recorded_once(whose: str, order: str) -> None:
    both, alone = report(whose, order), report("none", "ours-first")

    assert both["steps"] == alone["steps"]
    assert both["ours"] == alone["ours"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("whose", OTHERS)
def test_beside_another_the_app_gets_the_same(whose: str, order: str) -> None:
    assert report(whose, order)["results"] == report("none", "nobody")["results"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("whose", OTHERS)
def test_the_other_records_what_it_would_without_us(whose: str, order: str) -> None:
    assert report(whose, order)["theirs"] == report(whose, "theirs-alone")["theirs"] > 0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("whose", OTHERS)
def test_the_doctor_names_the_one_that_is_at_work(whose: str, order: str) -> None:
    assert report(whose, order)["named"] == [DISTRIBUTIONS[whose]]
