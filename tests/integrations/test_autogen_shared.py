"""The promise: what shares a runtime, plain agents and teams at the same time, is told apart run by run."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
)
from tests.conftest import Recording
from tests.integrations.fakes_autogen import speaker
from tests.integrations.kinds import Kinds

import becausal


@dataclass
class Note:
    text: str


class Hosts(RoutedAgent):
    """Answers a note with what a team on the same runtime makes of it."""

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        runtime = self.runtime
        assert isinstance(runtime, SingleThreadedAgentRuntime)
        result = await team("inner", runtime).run(task=message.text)
        return Note(result.messages[-1].to_text())


def team(name: str, runtime: SingleThreadedAgentRuntime) -> RoundRobinGroupChat:
    return RoundRobinGroupChat(
        [speaker(f"{name}_a"), speaker(f"{name}_b")], name=name, max_turns=3, runtime=runtime
    )


async def shared() -> SingleThreadedAgentRuntime:
    runtime = SingleThreadedAgentRuntime()
    await Hosts.register(runtime, "hosts", lambda: Hosts("Has a team."))
    runtime.start()
    return runtime


async def test_teams_that_run_at_the_same_time_on_one_runtime_are_a_chain_each(recording: Recording) -> None:
    runtime = await shared()

    results = await asyncio.gather(*[team(name, runtime).run(task=name) for name in ("one", "two", "three")])
    await runtime.stop_when_idle()

    assert [result.messages[-1].to_text() for result in results] == [
        f"{name}_a({name}_b({name}_a({name})))" for name in ("one", "two", "three")
    ]
    runs = [Kinds(run) for run in recording.runs()]
    assert len(runs) == 3
    for run in runs:
        name = run.one("workflow").name
        assert [turn.name for turn in run.all("agent")] == [f"{name}_a", f"{name}_b", f"{name}_a"]
        graph = becausal.open(recording.store).get(run.steps[0].chain_id).graph
        assert (len(graph.roots), graph.missing) == (1, ())


async def test_a_team_that_a_plain_agent_runs_on_its_own_runtime_belongs_to_its_turn(
    recording: Recording,
) -> None:
    runtime = await shared()

    answer = await runtime.send_message(Note("go"), AgentId("hosts", "default"))
    await runtime.stop_when_idle()

    assert answer == Note("inner_a(inner_b(inner_a(go)))")
    run = Kinds(recording.last())
    assert run.one("workflow").parent_id == run.one("agent", "hosts").id
    graph = becausal.open(recording.store).get(run.steps[0].chain_id).graph
    assert graph.roots == (run.one("request"),)
    assert graph.missing == ()


def autogen() -> dict[tuple[str, str], Any]:
    """Return what every class and module of AutoGen holds, the gRPC runtime's included."""
    import autogen_ext.runtimes.grpc  # noqa: F401

    found: dict[tuple[str, str], Any] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("autogen_"):
            for key, thing in list(vars(module).items()):
                found[name, key] = thing
                if isinstance(thing, type) and thing.__module__.startswith("autogen_"):
                    found |= {(thing.__qualname__, inner): value for inner, value in vars(thing).items()}
    return {key: value for key, value in found.items() if key[1] not in ("__abstractmethods__", "_abc_impl")}


async def test_the_places_of_every_runtime_are_restored(store: str) -> None:
    before = autogen()

    becausal.instrument("autogen", store=store)
    within = autogen()
    becausal.uninstrument()
    after = autogen()

    hooked = {key for key in before if within[key] is not before[key]}
    assert ("GrpcWorkerAgentRuntime", "_process_event") in hooked
    assert ("SingleThreadedAgentRuntime", "_process_next") in hooked
    assert ("DefaultInterventionHandler", "on_publish") in hooked
    assert [key for key in before if after[key] is not before[key]] == []
