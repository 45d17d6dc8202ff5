"""The project's own graphs: one table, every feature of LangGraph that becausal tells of.

`test_differential_langgraph.py` plays each of them in every way with and without becausal. A new feature of LangGraph
gets a row here.
"""

from __future__ import annotations

from tests.integrations.graphs import agents, failing, functional, pausing, states, wiring
from tests.integrations.graphs.case import Case

__all__ = ["GRAPHS", "Case"]

GRAPHS: tuple[Case, ...] = (
    *wiring.CASES,
    *pausing.CASES,
    *failing.CASES,
    *states.CASES,
    *functional.CASES,
    *agents.CASES,
)
