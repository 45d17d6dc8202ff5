"""Workflows of Microsoft Agent Framework: executors, the messages between them, joins, choices, pauses."""

# Without `from __future__ import annotations`: Agent Framework 1.0 reads the handlers' annotations as they stand.

import inspect
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("agent_framework")
pytest.importorskip("agent_framework_orchestrations")

from agent_framework import (
    AgentExecutor,
    AgentExecutorRequest,
    Case,
    Default,
    Executor,
    InMemoryCheckpointStorage,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
    tool,
)
from agent_framework_orchestrations import (
    ConcurrentBuilder,
    GroupChatBuilder,
    HandoffBuilder,
    SequentialBuilder,
)
from tests.conftest import Recording
from tests.integrations.fakes_agent_framework import call, calls, hears_all, speaker
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal.step import Step


@dataclass
class Brief:
    topic: str
    limit: int


@dataclass
class Question:
    text: str


class Adds(Executor):
    """Puts its id to a text, sends it on and gives it out."""

    @handler
    async def add(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.send_message(f"{self.id}({text})")


class Ends(Executor):
    @handler
    async def end(self, text: str, ctx: WorkflowContext[Any, str]) -> None:
        await ctx.yield_output(f"{self.id}({text})")


class Joins(Executor):
    @handler
    async def join(self, texts: list[str], ctx: WorkflowContext[Any, str]) -> None:
        await ctx.yield_output(" + ".join(texts))


class Changes(Executor):
    """Sends one list and changes it afterwards: whoever reads it gets what it has become."""

    @handler
    async def change(self, text: str, ctx: WorkflowContext[list[str]]) -> None:
        sent = [text, "keep this"]
        await ctx.send_message(sent)
        sent[1] = "something else"


class Asks(Executor):
    @handler
    async def ask(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.request_info(Question(text), str)

    @response_handler
    async def answered(self, question: Question, answer: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(f"{question.text}: {answer}")


@tool(approval_mode="never_require")
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"19 degrees in {city}"


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


def built_from(start: Any, **options: Any) -> WorkflowBuilder:
    """Return a builder whose executors all give out what they yield; later versions want that said."""
    if "output_from" in inspect.signature(WorkflowBuilder.__init__).parameters:
        options["output_from"] = "all"
    return WorkflowBuilder(start_executor=start, **options)


def chain(*executors: Any, **options: Any) -> Workflow:
    builder = built_from(executors[0], **options)
    for before, after in pairwise(executors):
        builder.add_edge(before, after)
    return builder.build()


def diamond() -> Workflow:
    start, left, right, end = Adds("start"), Adds("left"), Adds("right"), Joins("end")
    builder = built_from(start)
    return builder.add_fan_out_edges(start, [left, right]).add_fan_in_edges([left, right], end).build()


def switch() -> Workflow:
    start = Adds("start")
    cases: list[Case | Default] = [
        Case(condition=lambda text: "urgent" in text, target=Ends("fast")),
        Default(target=Ends("slow")),
    ]
    return built_from(start).add_switch_case_edge_group(start, cases).build()


async def test_a_message_between_executors_is_one_handoff_sealed_at_both_ends(recording: Recording) -> None:
    result = await chain(Adds("one"), Adds("two"), Ends("three"), name="line").run("go")

    run = becausal.last_run()
    steps = Kinds(recording.last())
    workflow = steps.one("workflow", "line")
    assert result.get_outputs() == ["three(two(one(go)))"]
    assert [(h.sender, h.receiver, h.verdict) for h in run.handoffs] == [
        ("one", "two", "identical"),
        ("two", "three", "identical"),
    ]
    assert [h.sent and h.sent.value() for h in run.handoffs] == ["one(go)", "two(one(go))"]
    assert {step.parent_id for step in steps.steps} == {None, workflow.id}
    assert {step.chain_id for step in steps.steps} == {workflow.chain_id}
    assert steps.senders(steps.one("agent", "three")) == [steps.one("agent", "two")]
    assert (value(workflow.received), value(workflow.produced)) == ("go", "three(two(one(go)))")


async def test_data_of_the_apps_own_crosses_as_it_is(recording: Recording) -> None:
    class Plans(Executor):
        @handler
        async def plan(self, text: str, ctx: WorkflowContext[Brief]) -> None:
            await ctx.send_message(Brief(text, 3))

    class Reads(Executor):
        @handler
        async def read(self, brief: Brief, ctx: WorkflowContext[Any, str]) -> None:
            await ctx.yield_output(f"{brief.topic} x {brief.limit}")

    await chain(Plans("plans"), Reads("reads")).run("tea")

    handoff = becausal.last_run().handoffs[0]
    assert handoff.sent is not None
    assert handoff.sent.type_name.endswith("Brief")
    assert handoff.sent.value() == {"topic": "tea", "limit": 3}


async def test_a_message_that_is_changed_after_it_was_sent_shows_what_became_of_it(
    recording: Recording,
) -> None:
    class Reads(Executor):
        @handler
        async def read(self, texts: list[str], ctx: WorkflowContext[Any, str]) -> None:
            await ctx.yield_output(texts[1])

    await chain(Changes("changes"), Reads("reads")).run("go")

    handoff = becausal.last_run().handoffs[0]
    assert handoff.verdict == "differs"
    assert [(change.before, change.after) for change in handoff.delta] == [("keep this", "something else")]


async def test_a_join_has_every_branch_for_a_cause(recording: Recording) -> None:
    result = await diamond().run("go")

    run = becausal.last_run()
    steps = Kinds(recording.last())
    join = steps.one("agent", "end")
    assert result.get_outputs() == ["left(start(go)) + right(start(go))"]
    assert [step.name for step in steps.senders(join)] == ["left", "right"]
    assert [h.verdict for h in run.handoffs] == ["identical"] * 4
    assert [h.received_by and h.received_by.name for h in run.handoffs if h.receiver == "end"] == ["end"] * 2
    assert (join.hop, steps.one("agent", "left").hop) == (2, 1)
    assert all(h.step.attributes[semconv.TRANSFER_EQUAL] for h in run.handoffs)
    assert steps.one("workflow").name == "Workflow"  # not the builder's, which is another each time


@pytest.mark.parametrize(("text", "chosen"), [("urgent!", "fast"), ("later", "slow")])
async def test_a_switch_is_a_choice_that_causes_the_executor_it_chose(
    recording: Recording, text: str, chosen: str
) -> None:
    await switch().run(text)

    steps = Kinds(recording.last())
    route = steps.one("route")
    assert route.attributes[semconv.ROUTE_CANDIDATES] == ("fast", "slow")
    assert [choice.conclusion for choice in route.choices] == [f"route to {chosen}"]
    assert steps.causes(steps.one("agent", chosen), "route") == [route]
    assert steps.causes(route) == [steps.one("agent", "start")]
    assert becausal.last_run().handoffs[0].verdict == "identical"


async def test_a_condition_on_an_edge_is_a_choice_either_way(recording: Recording) -> None:
    start, yes, no = Adds("start"), Ends("yes"), Ends("no")
    builder = built_from(start)
    builder.add_edge(start, yes, condition=lambda text: True)
    builder.add_edge(start, no, condition=lambda text: False)
    await builder.build().run("go")

    steps = Kinds(recording.last())
    assert {choice.conclusion for route in steps.all("route") for choice in route.choices} == {
        "route to yes",
        "route to nobody",
    }
    assert len(steps.causes(steps.one("agent", "yes"), "route")) == 1
    assert len(steps.all("handoff")) == 1


async def test_a_message_that_no_executor_takes_is_lost(recording: Recording) -> None:
    class Counts(Executor):
        @handler
        async def count(self, text: str, ctx: WorkflowContext[str]) -> None:
            await ctx.send_message(len(text))  # type: ignore[arg-type]

    await chain(Counts("counts"), Ends("ends")).run("go")

    handoffs = becausal.last_run().handoffs
    assert [(h.sender, h.receiver, h.verdict) for h in handoffs] == [("counts", None, "lost")]


async def test_an_executor_that_fails_is_an_error_of_the_run_and_the_very_exception(
    recording: Recording,
) -> None:
    problem = ValueError("no")

    class Fails(Executor):
        @handler
        async def fail(self, text: str, ctx: WorkflowContext[Any]) -> None:
            raise problem

    with pytest.raises(ValueError, match="no") as raised:
        await chain(Adds("one"), Fails("two")).run("go")

    steps = Kinds(recording.last())
    assert raised.value is problem
    assert [steps.one("agent", name).status for name in ("one", "two")] == ["ok", "error"]
    assert steps.one("workflow").status == "error"


@pytest.mark.parametrize("stream", [False, True])
async def test_two_agents_are_two_turns_and_blame_leads_through_both_to_the_tool(
    recording: Recording, stream: bool
) -> None:
    guide = speaker("guide", calls(call("weather", '{"city": "Oslo"}')), tools=[weather])
    workflow = chain(guide, speaker("writer"))
    if stream:
        async for _ in workflow.run("how warm is it?", stream=True):
            pass
    else:
        await workflow.run("how warm is it?")

    steps, run = Kinds(recording.last()), becausal.last_run()
    assert [step.name for step in steps.all("agent")] == ["guide", "writer"]
    assert [(h.sender, h.receiver, h.verdict) for h in run.handoffs] == [("guide", "writer", "identical")]
    assert steps.one("tool").parent_id == steps.one("agent", "guide").id
    assert {step.status for step in steps.steps} == {"ok"}
    segments = [segment for segment in run.blame("19 degrees in Oslo").segments if segment.origin]
    assert {(segment.source, segment.origin and segment.origin.name) for segment in segments} == {
        ("tool", "weather")
    }
    path = [(step.kind, step.name) for step in segments[0].path]
    assert path[0] == ("tool", "weather")
    assert ("handoff", "guide to writer") in path
    assert ("agent", "writer") in path


async def test_a_workflow_in_a_workflow_lies_within_the_executor_that_runs_it(recording: Recording) -> None:
    inner = WorkflowExecutor(chain(Adds("a"), Ends("b"), name="inner"), id="sub")
    result = await chain(Adds("one"), inner, Ends("two"), name="outer").run("go")

    steps = Kinds(recording.last())
    assert result.get_outputs() == ["two(b(a(one(go))))"]
    assert steps.one("workflow", "inner").parent_id == steps.one("agent", "sub").id
    assert [(h.sender, h.receiver) for h in becausal.last_run().handoffs] == [
        ("one", "sub"),
        ("a", "b"),
        ("sub", "two"),
    ]
    assert len({step.chain_id for step in steps.steps}) == 1


async def test_a_workflow_that_is_used_as_an_agent_is_one_turn_with_a_run_in_it(recording: Recording) -> None:
    agent = chain(speaker("first"), speaker("second")).as_agent("both")
    await agent.run("go")

    steps = Kinds(recording.last())
    assert steps.one("workflow").parent_id == steps.one("agent", "both").id
    assert steps.one("agent", "both").parent_id == steps.one("request").id


# Stopping and going on


async def test_an_answer_from_outside_goes_on_with_the_chain_that_asked(recording: Recording) -> None:
    workflow = chain(Adds("one"), Asks("asks"), name="gate")
    first = await workflow.run("may I?")
    request = first.get_request_info_events()[0]
    second = await workflow.run(responses={request.request_id: "yes"})

    steps = Kinds(recording.last())
    asked, answered = steps.all("agent", "asks")
    stopped, went_on = steps.all("workflow", "gate")
    assert second.get_outputs() == ["one(may I?): yes"]
    assert (stopped.status, went_on.status) == ("interrupted", "ok")
    assert steps.causes(went_on, "resume") == [asked]
    assert steps.causes(answered, "resume") == [asked]
    assert value(answered.received) == "yes"


async def test_a_checkpoint_goes_on_with_the_messages_that_were_on_their_way(recording: Recording) -> None:
    storage = InMemoryCheckpointStorage()
    await chain(Adds("one"), Ends("two"), name="line", checkpoint_storage=storage).run("go")
    saved = await storage.list_checkpoints(workflow_name="line")
    middle = next(point for point in saved if point.messages.get("one"))

    again = chain(Adds("one"), Ends("two"), name="line", checkpoint_storage=storage)
    result = await again.run(checkpoint_id=middle.checkpoint_id)

    steps = Kinds(recording.last())
    first, second = steps.all("workflow", "line")
    assert result.get_outputs() == ["two(one(go))"]
    assert steps.causes(second, "resume") == [first]
    assert [h.verdict for h in becausal.last_run().handoffs] == ["identical", "identical"]
    assert all(steps.senders(turn) == [steps.one("agent", "one")] for turn in steps.all("agent", "two"))


async def test_a_later_process_finds_the_run_that_saved_its_checkpoint(
    recording: Recording, store: str
) -> None:
    storage = InMemoryCheckpointStorage()
    await chain(Adds("one"), Ends("two"), name="line", checkpoint_storage=storage).run("go")
    saved = (await storage.list_checkpoints(workflow_name="line"))[0]

    becausal.uninstrument()
    becausal.instrument(store=store)  # knows nothing of the first
    again = chain(Adds("one"), Ends("two"), name="line", checkpoint_storage=storage)
    await again.run(checkpoint_id=saved.checkpoint_id)

    steps = Kinds(recording.last())
    first, second = steps.all("workflow", "line")
    assert steps.causes(second, "resume") == [first]


async def test_messages_that_an_agent_keeps_for_later_are_causes_of_its_turn(recording: Recording) -> None:
    class Tells(Executor):
        @handler
        async def tell(self, text: str, ctx: WorkflowContext[AgentExecutorRequest]) -> None:
            for said, responds in (("a fact", False), (text, True)):
                message = Message("user", [said])
                await ctx.send_message(AgentExecutorRequest([message], should_respond=responds))

    await chain(Tells("tells"), AgentExecutor(speaker("writer", hears_all("writer")))).run("go")

    steps = Kinds(recording.last())
    kept, turn = steps.all("agent", "writer")
    assert steps.causes(turn, "data") == [kept]
    assert turn.produced is not None
    assert value(turn.produced)["content"] == "writer[a fact + go]"


# The orchestrations


def _connected(steps: list[Step]) -> None:
    known = {step.id for step in steps}
    assert [step for step in steps if step.parent_id is not None and step.parent_id not in known] == []
    assert len([step for step in steps if step.parent_id is None]) == 1


async def test_agents_in_sequence_hand_over_one_to_the_next(recording: Recording) -> None:
    workflow = SequentialBuilder(participants=[speaker("first"), speaker("second")]).build()
    await workflow.run("go")

    steps = Kinds(recording.last())
    _connected(steps.steps)
    assert steps.one("agent", "first").id in steps.upstream(steps.one("agent", "second"))
    assert {h.verdict for h in becausal.last_run().handoffs} == {"identical"}


async def test_agents_side_by_side_are_all_causes_of_what_puts_them_together(recording: Recording) -> None:
    workflow = ConcurrentBuilder(participants=[speaker("left"), speaker("right")]).build()
    await workflow.run("go")

    steps = Kinds(recording.last())
    _connected(steps.steps)
    join = steps.one("agent", "aggregator")
    assert [step.name for step in steps.senders(join)] == ["left", "right"]
    assert {h.verdict for h in becausal.last_run().handoffs} == {"identical"}


async def test_a_group_chat_is_led_back_from_its_last_speaker_to_its_first(recording: Recording) -> None:
    order = iter(["one", "two", "one"])
    workflow = GroupChatBuilder(
        participants=[speaker("one", hears_all("one")), speaker("two", hears_all("two"))],
        selection_func=lambda state: next(order),
        max_rounds=3,
    ).build()
    await workflow.run("go")

    steps = Kinds(recording.last())
    _connected(steps.steps)
    turns = [step for step in steps.all("agent", "one") if step.produced is not None]
    assert steps.all("agent", "two")[-1].id in steps.upstream(turns[-1])
    assert turns[0].id in steps.upstream(turns[-1])
    assert {h.verdict for h in becausal.last_run().handoffs} == {"identical"}


async def test_an_agent_that_hands_over_is_the_cause_of_who_takes_over(recording: Recording) -> None:
    triage = speaker(
        "triage", calls(call("handoff_to_expert")), require_per_service_call_history_persistence=True
    )
    expert = speaker("expert", lambda messages: "42", require_per_service_call_history_persistence=True)
    builder = HandoffBuilder(
        participants=[triage, expert], termination_condition=lambda messages: messages[-1].text == "42"
    )
    workflow = builder.with_start_agent(triage).build()
    await workflow.run("go")

    steps = Kinds(recording.last())
    _connected(steps.steps)
    assert steps.all("agent", "triage")[0].id in steps.upstream(steps.all("agent", "expert")[-1])
