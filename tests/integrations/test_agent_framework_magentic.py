"""Microsoft Agent Framework: a Magentic workflow is one connected run, whose answer leads back to the task."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

pytest.importorskip("agent_framework_orchestrations")

from agent_framework import Message
from agent_framework_orchestrations import MagenticBuilder
from tests.conftest import Recording
from tests.integrations.fakes_agent_framework import speaker
from tests.integrations.kinds import Kinds

import becausal


def manages(messages: Sequence[Message]) -> str:
    """Answer as the manager's model: a plan, a progress ledger, the answer."""
    asked, said = messages[-1].text or "", " ".join(message.text or "" for message in messages)
    if "is_request_satisfied" not in asked:
        return f"the sum is {said.partition('SUM')[2][:5]}" if "SUM" in said else "plan 4711"
    flags = {
        "is_request_satisfied": "SUM" in said,
        "is_in_loop": False,
        "is_progress_being_made": True,
        "next_speaker": "clerk",
        "instruction_or_question": "add it up",
    }
    return json.dumps({key: {"reason": f"because {key}", "answer": value} for key, value in flags.items()})


async def test_a_magentic_workflow_is_one_connected_run(recording: Recording) -> None:
    clerk = speaker("clerk", lambda messages: "SUM 9876")
    manager = speaker("manager", manages)
    flow = MagenticBuilder(participants=[clerk], manager_agent=manager, max_round_count=4).build()

    await flow.run("do 77")

    run = Kinds(recording.last())
    root = run.one("workflow")
    assert all(step.parent_id in run.by_id for step in run.steps if step is not root)
    orchestrator = run.all("agent", "magentic_orchestrator")
    assert {step.parent_id for step in run.all("agent", "manager")} <= {step.id for step in orchestrator}
    answer = run.one("agent", "clerk")
    assert run.senders(answer) == [orchestrator[0]]
    assert answer in [sender for step in orchestrator for sender in run.senders(step)]
    assert {step.agent for step in run.all("model")} == {"manager", "clerk"}
    segment = becausal.last_run().blame("9876").segments[0]
    assert segment.origin is not None
    assert (segment.origin.agent, segment.source) == ("clerk", "model")
    assert [finding.kind for finding in becausal.last_run().findings if finding.severity != "note"] == []
