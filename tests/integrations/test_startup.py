"""The promise: `import becausal` costs an app little, and `instrument()` imports no framework that the app has not."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest
from benchmarks.startup import rows, unit_ms

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

FOR_FEW = (
    *("becausal.redaction.wire", "becausal.store.depending", "becausal.store.sqlite.sweep"),
    "becausal_integrations.autogen.grpc",
)
"""What takes secrets out, tends stores and speaks over wires: hooking is over before any of it is needed."""

FRAMEWORKS = (
    *("langchain", "langchain_core", "langgraph"),
    *("autogen_core", "autogen_agentchat", "agent_framework", "celery"),
)

MODULES = {
    "langchain": "langchain_core.tools.base, langchain_core.language_models.chat_models",
    "langgraph": "langgraph.graph, langgraph.prebuilt",
    "autogen": "autogen_core, autogen_agentchat.teams",
    "agent_framework": "agent_framework._agents",
    "celery": "celery.signals",
}
"""What apps import, by adapter."""

HOOK = "import sys, becausal; becausal.instrument(store='sqlite:///:memory:')"

MOST_OF_OURS = 54
"""Modules; 53 in November 2026. The whole library has four hundred."""


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


def first_of(imports: str) -> str:
    """Return the first of some packages that are imported."""
    return imports.partition(".")[0].partition(",")[0]


def is_here(adapter: str) -> bool:
    return find_spec(first_of(MODULES[adapter])) is not None


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


def test_hooking_everything_imports_no_framework_and_no_adapter_s_parts() -> None:
    loaded = loaded_by(HOOK)

    assert of(FRAMEWORKS, loaded) == []
    assert [name for name in loaded if name.endswith(".wiring")] == []


def test_hooking_an_app_s_frameworks_loads_nothing_that_few_apps_need() -> None:
    used = [MODULES[name] for name in ("langchain", "langgraph", "autogen") if is_here(name)]
    loaded = loaded_by("\n".join([*(f"import {imports}" for imports in used), HOOK]))

    assert of(FOR_FEW, loaded) == []


@pytest.mark.skipif(find_spec("re2") is None, reason="without RE2 it is what finds secrets")
def test_what_stands_in_for_re2_is_not_loaded_beside_it() -> None:
    assert of(("becausal.redaction.screen",), loaded_by(HOOK)) == []


def test_frameworks_that_come_later_are_hooked_in_the_same_places() -> None:
    there = [imports for name, imports in MODULES.items() if is_here(name)]
    imported = "\n".join(f"import {imports}" for imports in there)
    told = """
from becausal.instrument import hooks_report
told = [[report.name, sorted((hook.place, hook.state) for hook in report.hooks)] for report in hooks_report()]"""

    later, before = run(f"{HOOK}\n{imported}{told}"), run(f"{imported}\n{HOOK}{told}")

    assert later == before
    hooked = {name for name, hooks in later if "hooked" in {state for _, state in hooks}}
    assert {name for name, imports in MODULES.items() if imports in there} <= hooked


@pytest.mark.parametrize(("framework", "imports"), MODULES.items())
def test_hooks_are_in_their_places_before_the_framework_s_first_line(framework: str, imports: str) -> None:
    first = first_of(imports)
    pytest.importorskip(first)
    code = f"""
{HOOK}
from becausal.instrument import hooks_report
import importlib.util
importlib.util.find_spec({first!r})
(report,) = (report for report in hooks_report() if report.name == {framework!r})
told = [sorted({{hook.state for hook in report.hooks}}), {first!r} in sys.modules]"""

    assert run(code) == [["waiting"], False]


def test_what_is_taken_out_before_its_framework_came_is_never_put_in() -> None:
    pytest.importorskip("langchain_core")
    finders = "len(sys.meta_path)"

    told = run(
        f"{HOOK}\nbecausal.uninstrument()\nn = {finders}\nimport langchain_core.tools\ntold = n - {finders}"
    )

    assert told == 0
    loaded = loaded_by(f"{HOOK}\nbecausal.uninstrument()\nimport langchain_core.tools")
    assert "becausal_integrations.langchain.wiring" not in loaded


def test_it_starts_in_no_more_time_than_a_part_of_the_standard_library() -> None:
    """The unit is asyncio, email, zipfile, sqlite3 and unittest.mock: so the machine and its load cancel out."""
    unit = min(unit_ms(1) for _ in range(3))
    ((_, (imported, hooked, first, second)),) = rows(["asyncio"], 3)

    assert imported / unit < 1.5  # 0.9 in November 2026
    assert hooked / unit < 1.75  # 0.7 to 1.0
    assert (
        first + second < 20 * 1024
    )  # KiB: 16 in November 2026, of which the libraries of RE2 and SQLite take 3
