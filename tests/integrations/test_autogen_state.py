"""The promise: a state that is saved and loaded again, by another process perhaps, is known by what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from tests.conftest import Recording
from tests.integrations.kinds import Kinds

import becausal


@dataclass
class Note:
    text: str


class Counter(RoutedAgent):
    """Counts what it was told."""

    count = 0

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        self.count += 1
        return Note(f"{message.text} {self.count}")

    async def save_state(self) -> Mapping[str, Any]:
        return {"count": self.count, "pair": (1, 2)}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]


async def counted(*, state: Mapping[str, Any] | None = None) -> tuple[str, Mapping[str, Any]]:
    """Ask a runtime of one agent once; returns its answer and the state after it."""
    runtime = SingleThreadedAgentRuntime()
    await Counter.register(runtime, "counter", lambda: Counter("Counts."))
    if state is not None:
        await runtime.load_state(state)
    runtime.start()
    answer = await runtime.send_message(Note("tell"), AgentId("counter", "default"))
    await runtime.stop_when_idle()
    return answer.text, await runtime.save_state()


async def test_a_state_stands_in_the_chain_of_the_work_that_led_to_it(recording: Recording) -> None:
    _, state = await counted()

    run = Kinds(recording.last())
    saved = run.one("memory_write", "SingleThreadedAgentRuntime")
    assert saved.parent_id == run.one("request").id
    assert saved.received is not None
    assert saved.received.value() == state


async def test_a_state_that_another_process_loads_goes_on_from_the_save(store: str) -> None:
    becausal.instrument("autogen", store=store)
    _, state = await counted()
    becausal.uninstrument()  # nothing is remembered in the process from here on
    saved = Kinds(Recording(store).last()).one("memory_write")

    becausal.instrument("autogen", store=store)
    answer, _ = await counted(state=json.loads(json.dumps(state)))
    becausal.uninstrument()

    assert answer == "tell 2"
    asked, first = map(Kinds, Recording(store).runs())
    loaded = first.one("memory_read")
    assert [(cause.source_id, cause.kind, cause.grade) for cause in loaded.causes] == [
        (saved.id, "resume", "matched")
    ]
    assert loaded.chain_id == saved.chain_id
    assert [(cause.source_id, cause.kind) for cause in asked.one("request").causes] == [(loaded.id, "resume")]


async def test_a_state_that_was_edited_goes_on_from_nothing_that_is_known(recording: Recording) -> None:
    _, state = await counted()
    edited = json.loads(json.dumps(state))
    edited["counter/default"]["count"] = 40

    answer, _ = await counted(state=edited)

    assert answer == "tell 41"
    assert not any(Kinds(run).all("memory_read") for run in recording.runs())


async def test_a_save_within_a_chain_is_one_step_with_what_it_calls(recording: Recording) -> None:
    runtime = SingleThreadedAgentRuntime()
    await Counter.register(runtime, "counter", lambda: Counter("Counts."))

    with becausal.chain("keep"):
        await runtime.get(AgentId("counter", "default"), lazy=False)
        await runtime.agent_load_state(AgentId("counter", "default"), {"count": 3})
        await runtime.save_state()

    run = Kinds(recording.last())
    assert [step.kind for step in run.steps] == ["request", "memory_read", "memory_write"]
    assert not run.one("memory_read").causes
