"""The floors: core stands alone, everything says what it is for, and an import loads nothing that is not used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "core" / "becausal").rglob("*.py"))
INTEGRATIONS = sorted((ROOT / "integrations" / "becausal_integrations").rglob("*.py"))

FRAMEWORKS = ("langchain", "langchain_core", "langgraph", "autogen_core", "autogen_agentchat", "autogen_ext")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> set[str]:
    """Return the packages that a module imports anywhere, in its functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", [*CORE, *INTEGRATIONS], ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_knows_no_adapter_and_no_framework(path: Path) -> None:
    names = imported(ast.parse(path.read_text(encoding="utf-8")))

    assert [name for name in names if name.split(".")[0] in ("becausal_integrations", *FRAMEWORKS)] == []


def test_importing_it_loads_no_framework_no_sdk_and_no_adapter() -> None:
    script = "import json, sys, becausal; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    avoided = (*FRAMEWORKS, "opentelemetry.sdk", "becausal_integrations", "pydantic", "numpy", "rich")
    loaded = [name for name in json.loads(done.stdout) if name.startswith(avoided)]
    assert loaded == []


def test_what_is_public_is_there() -> None:
    script = "import becausal; [getattr(becausal, name) for name in becausal.__all__]"

    assert (
        subprocess.run([sys.executable, "-W", "error", "-c", script], timeout=60, check=False).returncode == 0
    )
