"""One thing is changed in a run of AutoGen's, and only what depends on it runs anew: counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core import AgentId, FunctionCall
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, speaker, text_of
from tests.integrations.replays_autogen import outside, with_a_memory, with_a_workbench
from tests.integrations.test_replay_autogen_runs import Ask, office

import becausal
from becausal.replay import Asked
from becausal.run import Run
from becausal.step import Step

asked: list[str] = []
"""What models were really asked, and by whom."""


def told(name: str, answer: Callable[[Sequence[Any]], Any]) -> Callable[[Sequence[Any]], Any]:
    """Return a model that tells that it was asked."""

    def tell(messages: Sequence[Any]) -> Any:
        asked.append(name)
        return answer(messages)

    return tell


def price(item: str) -> dict[str, Any]:
    """Look a price up."""
    asked.append("price")
    return {"price": 20, "item": item}


def shop() -> SelectorGroupChat:
    """A buyer looks a price up, a judge judges it, a greeter greets; by turns that a model gives."""
    buyer = speaker(
        "buyer",
        told("buyer", calls("price", adds("buyer"), item="tea")),
        tools=[price],
        reflect_on_tool_use=True,
    )
    judge = speaker("judge", told("judge", adds("judge")))
    greeter = speaker("greeter", told("greeter", lambda _: "hello"))
    turns = ["greeter", "buyer", "judge"]

    def choose(messages: Sequence[Any]) -> str:
        asked.append("choose")
        said = text_of(messages[-1])
        return turns[("hello" in said) + ("buyer(" in said)]

    return SelectorGroupChat([greeter, buyer, judge], PureClient(choose), max_turns=3)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    becausal.instrument("autogen", store=tmp_path / "becausal.db")

    def recorded(make: Callable[[], Any], task: Any = "what is tea?") -> Run:
        asyncio.run(make().run(task=task))
        run = becausal.last_run()
        asked.clear()
        outside.clear()
        return run

    yield recorded
    becausal.uninstrument()


def of(run: Run, kind: str, name: str) -> Step:
    (step,) = (step for step in run.steps if (step.kind, step.name) == (kind, name))
    return step


def model_of(run: Run, agent: str) -> Step:
    return [step for step in run.steps if step.kind == "model" and step.agent == agent][-1]


def last(replay: Any) -> str:
    return str(replay.value.messages[-1].to_text())


def test_without_an_edit_nothing_is_asked(record: Any) -> None:
    replay = record(shop).replay(shop)

    assert replay.reproduced
    assert asked == []


def test_another_answer_of_a_tool_reaches_what_depends_on_it_alone(record: Any) -> None:
    run = record(shop)

    replay = run.replay(shop, edit=becausal.edit(of(run, "tool", "price")).field("price").to(3), live=True)

    assert last(replay) == "judge(buyer({'price': 3, 'item': 'tea'}))"
    # The buyer's answer, the choice after it, the judge; not the greeter, the buyer's call, the first two choices.
    assert asked == ["buyer", "choose", "judge"]
    assert (len(replay.ran), len(replay.recalled)) == (3, 5)
    assert replay.unapplied == ()


def test_what_would_need_a_live_call_is_told_and_the_team_ends(record: Any) -> None:
    run = record(shop)

    replay = run.replay(shop, edit=becausal.edit(of(run, "tool", "price")).field("price").to(3))

    assert asked == []
    assert replay.divergence is not None
    assert (replay.divergence.why, replay.divergence.agent) == ("needs_live", "buyer")
    assert "live=True" in str(replay.divergence)


@pytest.mark.parametrize("live", [False, True])
def test_a_team_whose_tool_is_asked_what_the_record_does_not_know_ends_at_once(
    record: Any, live: bool
) -> None:
    run = record(shop)
    first = next(step for step in run.steps if step.kind == "model" and step.agent == "buyer")
    other = [FunctionCall(id="1", name="price", arguments='{"item": "milk"}')]

    replay = run.replay(shop, edit=becausal.edit(first).produced.to(other), live=live, timeout=20)

    assert replay.divergence is not None
    assert (replay.divergence.why, replay.divergence.kind, replay.divergence.name) == (
        "needs_live",
        "tool",
        "price",
    )
    assert "price" not in asked
    # It has ended by itself: one whose time is up is left behind, and has none.
    assert type(replay.outcomes[-1].error) is RuntimeError


def test_a_stand_in_answers_in_the_place_of_a_live_model(record: Any) -> None:
    run, questions = record(shop), []

    def standin(question: Asked) -> str:
        questions.append(question.agent)
        return "judge" if question.agent == "SelectorGroupChatManager" else "a bargain"

    edit = becausal.edit(of(run, "tool", "price")).field("price").to(3)
    replay = run.replay(shop, edit=edit, standin=standin)

    assert last(replay) == "a bargain"
    assert questions == ["buyer", "SelectorGroupChatManager", "judge"]
    assert asked == []


def test_a_message_to_a_model_can_be_changed(record: Any) -> None:
    run = record(shop)

    edit = becausal.edit(model_of(run, "judge")).message(-1).text("tea is free")
    replay = run.replay(shop, edit=edit, live=True)

    assert last(replay) == "judge(tea is free)"
    assert asked == ["judge"]


def test_what_a_handoff_brings_can_be_changed(record: Any) -> None:
    run = record(shop)
    handoff = next(found for found in run.handoffs if (found.sender, found.receiver) == ("buyer", "judge"))

    replay = run.replay(shop, edit=becausal.edit(handoff).text("tea is free"), live=True)

    assert last(replay) == "judge(tea is free)"
    assert asked == ["judge"]
    received = of(replay.run, "agent", "judge").received
    assert received is not None
    assert "tea is free" in received.text()


def test_what_an_agent_says_can_be_changed(record: Any) -> None:
    run = record(shop)

    edit = becausal.edit(of(run, "agent", "buyer")).produced.text("buyer(no tea)")
    replay = run.replay(shop, edit=edit, live=True)

    assert last(replay) == "judge(buyer(no tea))"
    assert asked == ["choose", "judge"]


def test_an_edit_outside_the_cone_changes_nothing_else(record: Any) -> None:
    run = record(shop)

    edit = becausal.edit(of(run, "agent", "judge")).produced.text("cheap")
    replay = run.replay(shop, edit=edit)

    assert last(replay) == "cheap"
    assert replay.divergence is None
    assert asked == []


def test_the_next_speaker_can_be_another(record: Any) -> None:
    run = record(shop)
    route = [step for step in run.steps if step.kind == "route"][-1]

    replay = run.replay(shop, edit={route: "greeter"}, live=True)

    assert last(replay) == "hello"
    assert asked == ["greeter"]


def triage() -> Swarm:
    first = speaker(
        "triage", told("triage", calls("transfer_to_writer", adds("triage"))), handoffs=["writer"]
    )
    return Swarm([first, speaker("writer", told("writer", hears_all("writer")))], max_turns=2)


def test_the_payload_of_a_swarms_handoff_can_be_changed(record: Any) -> None:
    run = record(triage)
    (turn,) = (step for step in run.steps if (step.kind, step.name) == ("agent", "writer"))

    replay = run.replay(triage, edit=becausal.edit(turn).message(-1).text("write a poem"), live=True)

    assert "write a poem" in last(replay)
    assert asked == ["writer"]


def test_a_value_of_memory_can_be_changed(record: Any) -> None:
    run = record(with_a_memory)
    step = next(step for step in run.steps if step.kind == "memory_read")

    replay = run.replay(with_a_memory, edit=becausal.edit(step).message(0).text("x is 5"), live=True)

    said = [message.to_text() for message in replay.value.messages if message.source == "a"]
    assert "x is 5" in said[1]
    assert "It is known: x is 41" in said[3]  # it was read again, and found as it was
    assert len(replay.ran) == 3
    assert outside == []


def test_a_value_of_memory_can_be_changed_by_its_key_wherever_it_was_read(record: Any) -> None:
    run = record(with_a_memory)

    replay = run.replay(with_a_memory, edit={"x": "x is 5"}, live=True)

    assert "x is 41" not in str(replay.value.messages)
    assert len(replay.ran) == 3


def test_the_answer_of_a_workbench_can_be_changed(record: Any) -> None:
    run = record(with_a_workbench)

    edit = becausal.edit(of(run, "tool", "far")).to("from near")
    replay = run.replay(with_a_workbench, edit=edit)

    assert last(replay) == "from near"
    assert replay.ran == ()


def with_a_writer() -> RoundRobinGroupChat:
    tool = AgentTool(speaker("writer", told("writer", adds("writer"))))
    main = speaker(
        "main",
        told("main", calls("writer", adds("main"), task="a poem")),
        tools=[tool],
        reflect_on_tool_use=True,
    )
    return RoundRobinGroupChat([main], max_turns=1)


def test_what_an_agent_within_a_tool_is_told_can_be_changed(record: Any) -> None:
    run = record(with_a_writer)

    edit = becausal.edit(of(run, "agent", "writer")).message(0).text("a song")
    replay = run.replay(with_a_writer, edit=edit, live=True)

    assert "writer(a song)" in last(replay)
    assert asked == ["writer", "main"]


def with_a_person() -> RoundRobinGroupChat:
    def person(prompt: str) -> str:
        asked.append("user")
        return "I agree"

    user = UserProxyAgent("user", input_func=person)
    return RoundRobinGroupChat(
        [speaker("a", told("a", adds("a"))), user, speaker("b", told("b", adds("b")))], max_turns=3
    )


def test_what_a_person_typed_can_be_changed(record: Any) -> None:
    run = record(with_a_person)

    edit = becausal.edit(of(run, "agent", "user")).produced.text("I do not")
    replay = run.replay(with_a_person, edit=edit, live=True)

    assert last(replay) == "b(I do not)"
    assert asked == ["b"]


def test_a_person_who_would_be_told_something_else_is_not_answered_for(record: Any) -> None:
    run = record(with_a_person)
    edit = becausal.edit(of(run, "agent", "a")).produced.text("something else")

    replay = run.replay(with_a_person, edit=edit, live=True)
    live = run.replay(with_a_person, edit=edit, live=["user"])

    assert replay.divergence is not None
    assert "what a person would type" in str(replay.divergence)
    assert live.reproduced is False
    assert asked == ["user"]


def test_the_task_can_be_changed(record: Any) -> None:
    run = record(triage, "a letter")

    replay = run.replay(triage, edit={run.steps[0]: "a poem"}, live=True)

    assert "a poem" in last(replay)
    assert asked == ["triage", "writer"]


async def test_a_message_to_an_agent_of_autogen_core_can_be_changed(tmp_path: Path) -> None:
    becausal.instrument("autogen", store=tmp_path / "becausal.db")
    try:
        runtime = await office()
        runtime.start()
        await runtime.send_message(Ask("what?"), AgentId("clerk", "default"))
        await runtime.stop_when_idle()
        run = becausal.last_run()
        (handoff,) = (found for found in run.handoffs if found.receiver == "clerk")

        replay = run.replay(office, edit=becausal.edit(handoff).field("text").to("who?"), live=True)
    finally:
        becausal.uninstrument()

    assert replay.value.text == "clerk(who?)"
    assert len(replay.ran) == 1


@pytest.mark.parametrize(
    ("kind", "name", "edit", "said"),
    [
        ("tool", "price", lambda place: place.field("colour").to(1), "no 'colour'"),
        ("agent", "judge", lambda place: place.message(30).text("x"), "no item 30"),
    ],
)
def test_an_edit_that_addresses_nothing_is_told_before_anything_runs(
    record: Any, kind: str, name: str, edit: Any, said: str
) -> None:
    run = record(shop)

    with pytest.raises(becausal.ReplayError, match=said):
        run.replay(shop, edit=edit(becausal.edit(of(run, kind, name))), live=True)
    assert asked == []


def rate(city: str, api_key: str) -> str:
    """Look a rate up."""
    return f"{city}: 17 degrees"


@pytest.mark.parametrize("length", [6, 24, 80, 140, 200])
def test_a_team_whose_tool_is_given_a_short_or_a_long_secret_is_reproduced(record: Any, length: int) -> None:
    key = "sk-ant-api03-" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 12
    secret = key[:length] if length > 20 else "zQ9w7x"

    def office_with_a_key() -> RoundRobinGroupChat:
        answer = calls("rate", adds("scout"), city="Bonn", api_key=secret)
        scout = speaker("scout", answer, tools=[rate], reflect_on_tool_use=True)
        return RoundRobinGroupChat([scout, speaker("clerk")], max_turns=2)

    run = record(office_with_a_key, "which city?")

    replay = run.replay(office_with_a_key)

    assert replay.divergence is None
    assert replay.reproduced
    assert len(replay.redacted) > 0
    assert replay.ran == ()
