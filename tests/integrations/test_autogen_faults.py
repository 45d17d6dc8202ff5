"""AutoGen: faults of chats, tools and contexts that nobody is told of. Each run went wrong, and its record shows it.

The numbers are those of a list of such faults of autogen 0.7.5. Those of the runtime are tested beside it; more of
those of contexts (11), of selection (15), of tools (17) and of texts (18) in files of their own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
from autogen_agentchat.base import ChatAgent
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core import CancellationToken, FunctionCall
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.model_context import HeadAndTailChatCompletionContext
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, speaker
from tests.integrations.kinds import Kinds, said

from becausal import semconv


def fails_once() -> Any:
    """Return a model that fails when it is first asked."""
    asked: list[int] = []

    def answer(messages: Sequence[Any]) -> str:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("no")
        return hears_all("b")(messages)  # type: ignore[return-value]

    return answer


async def failed_and_ran_again(recording: Recording) -> tuple[Kinds, Kinds]:
    team = RoundRobinGroupChat([speaker("a"), speaker("b", fails_once())], max_turns=4)
    with pytest.raises(RuntimeError):
        await team.run(task="go")
    await team.run(task="again")
    second, first = map(Kinds, recording.runs())
    return first, second


async def test_7_a_team_that_stalls_after_an_agents_error_shows_a_stop_that_nobody_asked_for(
    recording: Recording,
) -> None:
    first, second = await failed_and_ran_again(recording)

    assert first.one("agent", "b").status == "error"
    assert len(second.all("route")) == len(second.all("agent")) < 4
    assert second.one("workflow").attributes[semconv.STOP_REASON] == "The group chat is stopped."


async def test_8_the_error_that_came_first_stands_on_its_turn_whatever_came_out_of_the_team(
    recording: Recording,
) -> None:
    first, _ = await failed_and_ran_again(recording)

    assert first.one("agent", "b").error == "ValueError: no"
    assert next(step for step in first.all("model") if step.agent == "b").error == "ValueError: no"
    assert first.one("workflow").status == "error"


async def test_9_messages_that_an_agent_gets_again_after_its_error_are_read_twice(
    recording: Recording,
) -> None:
    team = RoundRobinGroupChat([speaker("b", fails_once())], max_turns=1)
    with pytest.raises(RuntimeError):
        await team.run(task="go")
    await team.run(task="again")

    second, first = map(Kinds, recording.runs())
    (before,) = first.all("handoff")
    again, new = second.all("handoff")
    assert again.causes[0].evidence == before.causes[0].evidence
    assert [handoff.attributes.get("autogen.duplicate") for handoff in (before, again, new)] == [
        None,
        True,
        None,
    ]


async def test_10_a_call_that_was_cancelled_has_a_cancelled_tool_and_an_answer_that_never_came(
    recording: Recording,
) -> None:
    reached = asyncio.Event()

    async def wait(q: str) -> str:
        """Wait for ever."""
        reached.set()
        await asyncio.Event().wait()
        return q

    ask = calls("wait", adds("a"), q="x")
    agent = speaker(
        "a", lambda messages: ask(messages) if len(messages) == 1 else hears_all("a")(messages), tools=[wait]
    )
    token = CancellationToken()
    turn = asyncio.ensure_future(agent.on_messages([TextMessage(content="go", source="user")], token))
    await asyncio.wait_for(reached.wait(), 5)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await agent.on_messages([TextMessage(content="on", source="user")], CancellationToken())

    second, first = map(Kinds, recording.runs())
    assert first.one("agent").status == "cancelled"
    kinds = [type_of(message) for message in second.one("model").received.value()]  # type: ignore[union-attr]
    assert kinds == ["UserMessage", "AssistantMessage", "UserMessage"]  # a call, and no result of it


def type_of(message: Any) -> str:
    return str(message["type"])


async def test_11_a_placeholder_that_tells_the_model_less_than_is_gone_stands_beside_the_true_number(
    recording: Recording,
) -> None:
    context = HeadAndTailChatCompletionContext(head_size=2, tail_size=1)
    ask = calls("lookup", adds("a"), q="x")
    agent = speaker(
        "a",
        lambda messages: "done" if "Skipped" in str(messages) else ask(messages),
        tools=[lookup],
        reflect_on_tool_use=True,
        model_context=context,
    )

    await agent.run(task="go")
    await agent.run(task="on")

    model = Kinds(recording.runs()[0]).one("model")
    stored, seen = model.attributes[semconv.CONTEXT_STORED], model.attributes[semconv.CONTEXT_SEEN]
    told = next(text for text in said(model.received) if "Skipped" in str(text))
    assert isinstance(stored, int)
    assert isinstance(seen, int)
    assert told == "Skipped 2 messages."
    assert stored - (seen - 1) == 3


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


async def test_12_a_memory_that_is_put_into_the_context_again_each_turn_is_seen_so_often(
    recording: Recording,
) -> None:
    memory = ListMemory("notes", [MemoryContent(content="x is 41", mime_type="text/plain")])
    team = RoundRobinGroupChat([speaker("a", lambda _: "A", memory=[memory])], max_turns=3)

    await team.run(task="go")

    models = Kinds(recording.last()).all("model")
    assert [str(said(model.received)).count("x is 41") for model in models] == [1, 2, 3]
    run = Kinds(recording.last())
    assert len(run.all("memory_read")) == 3
    assert run.all("memory_read")[2] in run.causes(models[2], "data")


async def test_13_a_loaded_selector_has_what_was_said_twice_before_its_model(recording: Recording) -> None:
    team = SelectorGroupChat(
        [speaker("a"), speaker("b"), speaker("c")], PureClient(lambda _: "b"), max_turns=1
    )
    await team.run(task="the task")

    await team.load_state(json.loads(json.dumps(await team.save_state())))
    await team.run(task="on")

    asked = next(step for step in Kinds(recording.runs()[0]).steps if step.kind == "model")
    assert str(said(asked.received)[0]).count("the task") == 4  # twice as a task, twice within b's answer


async def test_13_a_society_of_mind_does_not_know_its_own_answer_in_its_next_turn(
    recording: Recording,
) -> None:
    inner = RoundRobinGroupChat([speaker("x", hears_all("x"))], name="inner", max_turns=1)
    mind = SocietyOfMindAgent("som", inner, PureClient(lambda _: "my answer"))

    await RoundRobinGroupChat([mind, speaker("b", lambda _: "and")], max_turns=3).run(task="go")

    run = Kinds(recording.last())
    first, second = run.all("agent", "som")
    later = [step for step in run.all("model") if step.agent == "x"][1]
    assert "my answer" in first.produced.text()  # type: ignore[union-attr]
    assert "my answer" not in str(said(later.received))
    assert first.id not in {step.id for step in run.causes(second)}


async def test_14_a_graph_that_is_loaded_after_an_agents_error_goes_nowhere_and_its_choice_says_so(
    recording: Recording,
) -> None:
    def team(b: Any) -> GraphFlow:
        members: list[ChatAgent] = [speaker("a"), speaker("b", b), speaker("c")]
        graph = DiGraphBuilder().add_node(members[0]).add_node(members[1]).add_node(members[2])
        return GraphFlow(
            members, graph.add_edge(members[0], members[1]).add_edge(members[1], members[2]).build()
        )

    broken, later = team(fails_once()), team(adds("b"))
    with pytest.raises(RuntimeError):
        await broken.run(task="go")
    await later.load_state(json.loads(json.dumps(await broken.save_state())))
    result = await later.run()

    assert result.messages == []  # b's turn was under way: it is neither ready nor done
    second, first = map(Kinds, recording.runs())
    assert first.one("agent", "b").status == "error"
    assert first.all("agent", "c") == second.all("agent") == []
    assert [choice.conclusion for choice in second.one("route").choices] == ["next speaker: nobody"]
    assert second.one("workflow").attributes[semconv.STOP_REASON] == "The group chat is stopped."
    assert second.one("workflow").causes[0].source_id == first.one("memory_read").id


async def test_16_of_several_handoffs_all_are_calls_and_one_is_the_decision(recording: Recording) -> None:
    both = [FunctionCall(id=name, name=f"transfer_to_{name}", arguments="{}") for name in "bc"]
    agent = speaker("a", lambda _: both, handoffs=["b", "c"])

    with pytest.warns(UserWarning, match="Multiple handoffs"):
        await agent.run(task="go")

    run = Kinds(recording.last())
    assert [step.name for step in run.all("tool")] == ["transfer_to_b", "transfer_to_c"]
    assert [choice.conclusion for choice in run.one("agent").choices] == ["hand over to b"]


class Slow(PureClient):
    """Lets others work while it thinks."""

    async def create(self, messages: Sequence[Any], **options: Any) -> Any:
        await asyncio.sleep(0)
        return await super().create(messages, **options)


async def test_19_turns_of_one_agent_that_overlap_show_what_the_other_call_brought_in(
    recording: Recording,
) -> None:
    writer = AssistantAgent("writer", Slow(hears_all("writer")), system_message=None)
    asked = [
        FunctionCall(id=task, name="writer", arguments=json.dumps({"task": task})) for task in ("T1", "T2")
    ]
    main = speaker(
        "main",
        lambda messages: "done" if "writer[" in str(messages) else asked,
        tools=[AgentTool(writer)],
        reflect_on_tool_use=True,
    )

    await main.run(task="go")

    run = Kinds(recording.last())
    first, second = run.all("agent", "writer")
    assert first.ended_ns is not None
    assert second.started_ns < first.ended_ns
    prompts = [said(step.received) for step in run.all("model") if step.agent == "writer"]
    assert prompts[-1] == ["T1", "T2"]
    late = next(step for step in run.all("model") if step.parent_id == second.id)
    assert {step.id for step in run.causes(late, "data")} == {first.parent_id, second.parent_id}


async def test_15_a_selector_that_goes_round_in_circles_shows_the_same_fallback_again_and_again(
    recording: Recording,
) -> None:
    team = SelectorGroupChat(
        [speaker("a"), speaker("b"), speaker("c")], PureClient(lambda _: "hm"), max_turns=4
    )

    await team.run(task="go")

    routes = Kinds(recording.last()).all("route")
    assert {route.choices[0].conclusion for route in routes} == {"next speaker: a"}
    assert [route.attributes[semconv.ROUTE_FALLBACK] for route in routes] == [
        "first candidate",
        *["previous speaker"] * 3,
    ]
