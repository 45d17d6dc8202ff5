"""The supported range: outside it nothing is hooked, and each end of it is a row of the version matrix."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langgraph.pregel import _runner
from packaging.specifiers import SpecifierSet
from tests.versions import ROWS

import becausal
from becausal.adapter import Adapter, version_of
from becausal.errors import BecausalWarning
from becausal.instrument import hooks_report
from becausal_integrations.langchain import LangChainAdapter
from becausal_integrations.langgraph import LangGraphAdapter


def standing(watched: str) -> tuple[Any, Any]:
    owner: Any = _runner if watched == "langgraph" else BaseTool
    names = ("run_with_retry", "arun_with_retry") if watched == "langgraph" else ("run", "arun")
    return vars(owner)[names[0]], vars(owner)[names[1]]


@pytest.mark.parametrize(
    ("watched", "version"),
    [
        ("langgraph", "0.6.10"),
        ("langgraph", "1.3.0"),
        ("langchain-core", "0.3.85"),
        ("langchain-core", "2.0.0"),
    ],
)
def test_outside_the_range_it_is_warned_of_and_no_place_is_touched(
    monkeypatch: pytest.MonkeyPatch, store: str, watched: str, version: str
) -> None:
    module = sys.modules["becausal.adapter"]

    def as_if(adapter: Adapter) -> Any:
        return version if adapter.watches == watched else version_of(adapter)

    monkeypatch.setattr(module, "version_of", as_if)
    before = standing(watched)
    with pytest.warns(BecausalWarning, match=f"{watched} {version} is outside the range .* it is left alone"):
        becausal.instrument(store=store)
    (report,) = (report for report in hooks_report() if report.watches == watched)
    after = standing(watched)
    becausal.uninstrument()

    assert report.hooks == ()
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_the_lowest_of_the_range_and_the_newest_checked_are_rows_of_the_matrix() -> None:
    rows = [requirement for requirements, _ in ROWS.values() for requirement in requirements]

    assert {
        "langgraph==0.6.11",
        "langchain-core==0.3.86",
        "langgraph==1.2.22",
        "langchain-core==1.7.2",
    } <= set(rows)
    for adapter in (LangGraphAdapter(), LangChainAdapter()):
        supported = SpecifierSet(adapter.supports)
        versions = [row.partition("==")[2] for row in rows if row.startswith(f"{adapter.watches}==")]
        assert all(supported.contains(version) for version in versions)
        lowest = next(part.version for part in supported if part.operator == ">=")
        assert lowest in versions
