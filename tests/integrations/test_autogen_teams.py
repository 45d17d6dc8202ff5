"""AutoGen: how each kind of team chooses its speakers, and what one run of a team carries over to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, ledger, speaker, text_of
from tests.integrations.kinds import Kinds

from becausal import semconv


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


# Selector


async def test_a_selector_says_what_its_model_was_offered_what_it_said_and_that_it_was_asked_again(
    recording: Recording,
) -> None:
    def choose(messages: Sequence[Any]) -> str:
        return "then b, please" if "No valid name" in text_of(messages[-1]) else "nobody"

    team = SelectorGroupChat([speaker("a"), speaker("b")], PureClient(choose), max_turns=1)

    await team.run(task="go")

    run = Kinds(recording.last())
    route = run.one("route")
    assert route.attributes[semconv.ROUTE_BY] == "model"
    assert route.attributes[semconv.ROUTE_CANDIDATES] == ("a", "b")
    assert route.attributes[semconv.ATTEMPT] == 2
    assert semconv.ROUTE_FALLBACK not in route.attributes
    assert (route.choices[0].conclusion, route.choices[0].reason) == ("next speaker: b", "then b, please")
    assert [step.parent_id for step in run.all("model")[:2]] == [route.id] * 2


@pytest.mark.parametrize(
    ("said", "chosen"), [("nobody", "a"), ("both a and b", "a")], ids=["named nobody", "named several"]
)
async def test_a_selector_that_falls_back_says_so(recording: Recording, said: str, chosen: str) -> None:
    team = SelectorGroupChat(
        [speaker("a"), speaker("b")], PureClient(lambda _: said), max_turns=2, allow_repeated_speaker=True
    )

    await team.run(task="go")

    first, second = Kinds(recording.last()).all("route")
    assert first.attributes[semconv.ROUTE_FALLBACK] == "first candidate"
    assert second.attributes[semconv.ROUTE_FALLBACK] == "previous speaker"
    assert [route.choices[0].conclusion for route in (first, second)] == [f"next speaker: {chosen}"] * 2
    assert second.choices[0].reason == said


async def test_a_selector_falls_back_to_the_previous_speaker_even_where_no_repetition_is_allowed(
    recording: Recording,
) -> None:
    team = SelectorGroupChat(
        [speaker("a"), speaker("b"), speaker("c")], PureClient(lambda _: "a"), max_turns=2
    )

    await team.run(task="go")

    run = Kinds(recording.last())
    second = run.all("route")[1]
    assert second.attributes[semconv.ROUTE_CANDIDATES] == ("b", "c")
    assert second.attributes[semconv.ROUTE_FALLBACK] == "previous speaker"
    assert [turn.name for turn in run.all("agent")] == ["a", "a"]


async def test_a_selector_says_when_no_model_was_asked(recording: Recording) -> None:
    def select(thread: Sequence[Any]) -> str | None:
        return "b" if len(thread) == 1 else None

    team = SelectorGroupChat(
        [speaker("a"), speaker("b")], PureClient(lambda _: "a"), max_turns=2, selector_func=select
    )
    only = SelectorGroupChat(
        [speaker("a"), speaker("b")],
        PureClient(lambda _: "b"),
        max_turns=1,
        candidate_func=lambda thread: ["b"],
    )

    await team.run(task="go")
    await only.run(task="go")

    second, first = map(Kinds, recording.runs())
    ways = [route.attributes[semconv.ROUTE_BY] for route in first.all("route") + second.all("route")]
    assert ways == ["selector function", "model", "only candidate"]


async def test_the_answer_of_a_team_within_a_selector_leads_back_to_the_outer_task(
    recording: Recording,
) -> None:
    inner = RoundRobinGroupChat([speaker("x"), speaker("y")], name="inner", max_turns=2)
    choose = PureClient(lambda messages: "inner" if "a(go)" in text_of(messages[-1]) else "a")
    team = SelectorGroupChat([speaker("a"), inner], choose, max_turns=2)

    result = await team.run(task="go")

    assert result.messages[-1].to_text() == "y(x(a(go)))"
    run = Kinds(recording.last())
    outer = run.one("workflow", "SelectorGroupChat")
    assert outer.id in run.upstream(run.one("agent", "y"))
    assert run.causes(run.one("workflow", "inner"), "route") == [run.all("route", outer_manager(run))[1]]
    assert [step.parent_id for step in run.steps].count(None) == 1


def outer_manager(run: Kinds) -> str:
    return run.all("route")[0].name


# Swarm and graph


async def test_a_swarm_says_that_a_handoff_chose_and_brings_its_context_along(recording: Recording) -> None:
    triage = speaker(
        "triage",
        calls_two("lookup", "transfer_to_writer"),
        tools=[lookup],
        handoffs=["writer"],
    )
    team = Swarm([triage, speaker("writer", hears_all("writer"))], max_turns=2)

    result = await team.run(task="go")

    assert "x is 42" in result.messages[-1].to_text()
    run = Kinds(recording.last())
    first, second = run.all("route")
    assert first.attributes[semconv.ROUTE_BY] == "same speaker"
    assert second.attributes[semconv.ROUTE_BY] == "handoff"
    assert second.choices[0].reason is not None
    assert "Transferred to writer" in second.choices[0].reason
    read = next(step for step in run.all("model") if step.agent == "writer")
    assert run.one("agent", "triage") in run.causes(read, "data")
    handoff = run.one("handoff", "triage to writer")
    assert "x is 42" in str(handoff.received.value()["context"])  # type: ignore[union-attr, index]


def calls_two(first: str, second: str) -> Any:
    """Return a model that calls two tools at once."""
    one, two = calls(first, adds(""), q="x"), calls(second, adds(""))
    return lambda messages: [*one(messages), *two(messages)]


async def test_each_round_of_a_loop_is_caused_by_the_round_before(recording: Recording) -> None:
    writer = speaker("writer")
    critic = speaker(
        "critic", lambda messages: "fine" if text_of(messages[-1]).count("writer") == 2 else "again writer"
    )
    end = speaker("end", hears_all("end"))
    builder = DiGraphBuilder().add_node(writer).add_node(critic).add_node(end)
    builder.add_edge(writer, critic)
    builder.add_edge(critic, writer, condition="again").add_edge(critic, end, condition="fine")
    builder.set_entry_point(writer)
    team = GraphFlow([writer, critic, end], builder.build(), termination_condition=MaxMessageTermination(20))

    await team.run(task="go")

    run = Kinds(recording.last())
    turns = run.all("agent")
    assert [turn.name for turn in turns] == ["writer", "critic", "writer", "critic", "end"]
    assert turns[1] in run.senders(turns[2])
    assert turns[2] in run.senders(turns[3])
    assert {route.attributes[semconv.ROUTE_BY] for route in run.all("route")} == {"graph"}
    assert run.one("workflow").attributes[semconv.STOP_REASON] == "Digraph execution is complete"


async def test_a_fan_out_is_one_choice_and_the_join_is_chosen_for_both_branches(recording: Recording) -> None:
    a, b, c, d = (speaker(name, hears_all(name)) for name in "abcd")
    graph = DiGraphBuilder().add_node(a).add_node(b).add_node(c).add_node(d)
    graph.add_edge(a, b).add_edge(a, c).add_edge(b, d).add_edge(c, d)

    await GraphFlow([a, b, c, d], graph.build()).run(task="go")

    run = Kinds(recording.last())
    fan_out, join = run.all("route")[1:]
    assert fan_out.choices[0].conclusion == "next speaker: b, c"
    for branch in "bc":
        assert run.causes(run.one("agent", branch), "route") == [fan_out]
    assert run.causes(run.one("agent", "d"), "route") == [join]
    assert {step.name for step in run.causes(join, "data")} == {"b", "c"}


# Magentic-One


async def test_magentic_one_is_told_by_its_plan_its_ledger_turns_and_its_answer(recording: Recording) -> None:
    client = PureClient(ledger(lambda said: "b(" in said, speaker=lambda said: "b" if "a(" in said else "a"))
    team = MagenticOneGroupChat([speaker("a"), speaker("b")], client)

    result = await team.run(task="go")

    run = Kinds(recording.last())
    root, plan = run.one("workflow"), run.one("plan")
    assert {step.parent_id for step in run.all("route")} == {root.id} == {plan.parent_id}
    assert plan.produced is not None
    assert plan.produced.value() == {"task": "go", "facts": "the facts", "plan": "the plan"}
    planning = [step for step in run.all("model") if step.parent_id == root.id]
    assert [step.agent for step in planning] == ["MagenticOneOrchestrator"] * 2
    assert run.causes(plan, "data") == [root, *planning]
    routes = run.all("route")
    assert [route.choices[0].conclusion for route in routes] == [
        "next speaker: a",
        "next speaker: b",
        "route to the final answer",
    ]
    assert routes[0].choices[0].reason == "because next_speaker"
    assert routes[0].produced is not None
    assert routes[0].produced.value()["instruction_or_question"]["answer"] == "say it"  # type: ignore[index]
    assert plan in run.senders(run.one("agent", "a"))
    assert routes[0] in run.senders(run.one("agent", "a"))
    assert run.causes(run.one("agent", "b"), "route") == [routes[1]]
    assert run.causes(routes[1], "data")[-1] == run.one("agent", "a")
    answer = run.one("agent", "MagenticOneOrchestrator")
    assert answer.parent_id == root.id
    assert answer.produced is not None
    assert answer.produced.value()["content"] == result.messages[-1].to_text() == "the answer"  # type: ignore[index]
    assert root.id in run.upstream(answer)


async def test_magentic_one_that_stalls_plans_anew_and_nothing_nests_deeper_for_that(
    recording: Recording,
) -> None:
    client = PureClient(ledger(lambda said: False, speaker=lambda said: "a", progress=lambda said: False))
    team = MagenticOneGroupChat([speaker("a")], client, max_stalls=2, max_turns=4)

    await team.run(task="go")

    run = Kinds(recording.last())
    root = run.one("workflow")
    assert len(run.all("plan")) > 1
    assert {step.parent_id for step in run.all("plan") + run.all("route")} == {root.id}
    stalled = next(
        route for route in run.all("route") if route.choices[0].conclusion == "route to a new plan"
    )
    assert stalled.attributes["autogen.magentic.stalls"] == 2
    replanning = run.causes(run.all("plan")[1], "data")[1:]
    assert [step.parent_id for step in replanning] == [stalled.id] * 2
    assert root.attributes[semconv.STOP_REASON] == "Max rounds reached."


async def test_the_orchestrators_model_sees_what_was_said_and_its_causes_do_not_grow(
    recording: Recording,
) -> None:
    client = PureClient(ledger(lambda said: said.count("a(") > 30, speaker=lambda said: "a"))
    team = MagenticOneGroupChat([speaker("a")], client)

    await team.run(task="go")

    run = Kinds(recording.last())
    asked = [step for step in run.all("model") if step.agent == "MagenticOneOrchestrator"]
    assert max(len(step.causes) for step in asked[:-1]) <= 3
    assert run.all("agent", "a")[0] in run.causes(asked[3], "data")
