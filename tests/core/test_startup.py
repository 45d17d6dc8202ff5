"""The promise: `import becausal` costs an app little, and `instrument()` imports no framework that the app has not."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

FOR_LATER = (
    *("argparse", "asyncio", "concurrent.futures", "email", "http", "importlib.metadata", "logging.config"),
    *("multiprocessing", "pickle", "socket", "sqlite3", "ssl", "subprocess", "unittest", "xml", "zipfile"),
    *(
        "babel",
        "jsonschema",
        "opentelemetry.propagate",
        "opentelemetry.sdk",
        "packaging",
        "rich",
        "wrapt",
        "zstandard",
    ),
    *(
        "becausal.blame",
        "becausal.delta",
        "becausal.facts",
        "becausal.findings",
        "becausal.graph",
        "becausal.memory",
    ),
    *(
        "becausal.replay",
        "becausal.run",
        "becausal.runs",
        "becausal.serve",
        "becausal.store.sqlite",
        "becausal.views",
    ),
    "becausal_integrations",
)
"""What recording needs later, if ever. Each cost milliseconds when `import becausal` brought it."""

FRAMEWORKS = (
    *("langchain", "langchain_core", "langgraph"),
    *("autogen_core", "autogen_agentchat", "agent_framework", "celery"),
)

MOST_OF_OURS = 48
"""Modules; 43 in November 2026. The whole library has four hundred."""


@cache
def loaded_by(code: str) -> frozenset[str]:
    """Return the modules that a program has loaded at its end."""
    told = run(f"{code}\nimport json, sys; told = sorted(sys.modules)")
    return frozenset(told)


def run(code: str) -> Any:
    """Return what a program leaves in `told`, run by a Python that has loaded nothing else of ours."""
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json; print(json.dumps(told))"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(out.stdout)


def of(names: tuple[str, ...], modules: frozenset[str]) -> list[str]:
    return sorted({name for name in names for module in modules if f"{module}.".startswith(f"{name}.")})


def test_importing_it_loads_nothing_that_only_later_steps_need() -> None:
    loaded = loaded_by("import becausal") - loaded_by("")

    assert of(FOR_LATER, loaded) == []


def test_importing_it_brings_few_packages_of_others() -> None:
    new = loaded_by("import becausal") - loaded_by("")
    tops = {name.partition(".")[0] for name in new} - set(sys.stdlib_module_names)
    others = {name for name in tops if not name.startswith("_")}  # the standard library has unlisted ones

    assert others <= {"becausal", "opentelemetry", "ormsgpack", "xxhash", "typing_extensions"}
    assert len([name for name in new if name.startswith("becausal")]) <= MOST_OF_OURS


def test_hooking_everything_imports_no_framework() -> None:
    loaded = loaded_by("import becausal; becausal.instrument(store='sqlite:///:memory:')")

    assert of(FRAMEWORKS, loaded) == []
