"""The pages about backends: each is complete, its code is Python, and what it points at is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.environments import CHECKOUT

from becausal.settings import DIALECTS

FOLDER = CHECKOUT / "docs" / "backends"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@each_page
def test_a_page_says_where_spans_go_and_how_it_is_known(page: Path) -> None:
    text = page.read_text()
    assert "| endpoint |" in text or "| view | endpoint |" in text
    assert "headers" in text
    assert re.search(r"run|Measured|Not run here", text)
    assert "/v1/traces" in text or "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in text


@each_page
def test_the_code_of_a_page_is_python_and_its_dialects_exist(page: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    (instrument,) = [call for call in calls if ast.unparse(call.func) == "becausal.instrument"]
    asked = {keyword.arg: ast.literal_eval(keyword.value) for keyword in instrument.keywords}
    assert asked["watch"] is True
    assert set(asked.get("dialects", ())) <= set(DIALECTS)


def test_every_page_is_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text()
    assert sorted(re.findall(r"\]\((\w+\.md)\)", index)) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", [*PAGES, FOLDER / "README.md"], ids=lambda page: page.stem)
def test_what_a_page_points_at_is_there_and_its_pictures_are_small(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        found = FOLDER / target
        assert found.exists()
        assert found.suffix != ".png" or found.stat().st_size < 200_000
    for named in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (CHECKOUT / named).exists()
