"""Replays of Microsoft Agent Framework's runs are not there, which is said before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agent_framework")

from agent_framework import WorkflowBuilder
from tests.integrations.fakes_agent_framework import speaker

import becausal

asked: list[str] = []


def answer(messages: Sequence[Any]) -> str:
    asked.append("model")
    return "said"


@pytest.mark.parametrize("what", ["agent", "workflow", "function"])
async def test_a_run_of_the_agent_framework_is_refused_before_anything_runs(
    what: str, tmp_path: Path
) -> None:
    agent = speaker("writer", answer)

    async def run(task: str) -> Any:
        return await agent.run(task)

    workflow = WorkflowBuilder(start_executor=agent).build()
    app: Any = {"agent": agent, "workflow": workflow, "function": run}[what]
    becausal.instrument(store=tmp_path / "becausal.db")
    try:
        await (run("go") if what == "function" else app.run("go"))
        asked.clear()

        with pytest.raises(becausal.ReplayError, match="not there yet"):
            becausal.last_run().replay(app, live=True)
    finally:
        becausal.uninstrument()

    assert asked == []
