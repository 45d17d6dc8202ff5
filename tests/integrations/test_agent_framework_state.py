"""Microsoft Agent Framework: the steps of functional workflows, and the state that executors share."""

# Without `from __future__ import annotations`: Agent Framework 1.0 reads the handlers' annotations as they stand.

import warnings
from typing import Any

import pytest

pytest.importorskip("agent_framework._workflows._functional")

from agent_framework import (
    AgentExecutor,
    Executor,
    InMemoryCheckpointStorage,
    WorkflowBuilder,
    WorkflowContext,
    handler,
)
from agent_framework._workflows import _functional as functional
from tests.conftest import Recording
from tests.integrations.fakes_agent_framework import hears_all, speaker
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*experimental"),
    pytest.mark.filterwarnings("ignore:WorkflowBuilder built without"),
]


async def price(thing: str) -> str:
    return f"{thing} costs 4711"


async def order(offer: str, ctx: functional.RunContext) -> str:
    answer = await ctx.request_info(f"really? {offer}", str, request_id="sure")
    return f"ordered: {offer} ({answer})"


with warnings.catch_warnings(action="ignore"):  # these are still experimental
    price_step, order_step = functional.step(price), functional.step(order)


async def shopping(thing: str) -> str:
    return str(await order_step(await price_step(thing)))


async def asking(thing: str) -> str:
    offer = await price_step(thing)
    return str((await speaker("clerk", hears_all("clerk")).run(offer)).messages[-1].text)


def flow_of(function: Any) -> Any:
    made = functional.workflow(function)
    return made if isinstance(made, functional.FunctionalWorkflow) else made.build()


async def test_a_function_that_is_a_step_is_work_of_its_own(recording: Recording) -> None:
    await flow_of(asking).run("a chair")

    run = Kinds(recording.last())
    step, clerk = run.one("agent", "price"), run.one("agent", "clerk")
    assert step.parent_id == clerk.parent_id == run.one("workflow").id
    assert (step.received.value(), step.produced.value()) == ("a chair", "a chair costs 4711")  # type: ignore[union-attr]
    segment = becausal.last_run().blame("4711").segments[0]
    assert (getattr(segment.origin, "id", None), segment.source) == (step.id, "agent")


async def test_a_step_that_waits_is_interrupted_and_one_that_is_done_is_not_done_again(
    recording: Recording,
) -> None:
    flow = flow_of(shopping)
    await flow.run("a chair")
    result = await flow.run(responses={"sure": "yes"})

    assert result.get_outputs() == ["ordered: a chair costs 4711 (yes)"]
    run = Kinds(recording.last())
    waited, resumed = run.all("workflow")
    assert run.causes(resumed, "resume") == [waited]
    assert [step.status for step in run.all("agent", "order")] == ["interrupted", "ok"]
    assert [step.attributes.get(semconv.CACHED) for step in run.all("agent", "price")] == [None, True]


async def test_a_step_that_is_called_outside_a_workflow_is_a_plain_function(recording: Recording) -> None:
    assert await price_step("a chair") == "a chair costs 4711"
    assert recording.runs() == []


class Keeps(Executor):
    @handler
    async def keep(self, text: str, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("code", f"{text} 4711")
        await ctx.send_message("kept")


class Recalls(Executor):
    @handler
    async def recall(self, text: str, ctx: WorkflowContext[Any, str]) -> None:
        await ctx.yield_output(f"{text}: {ctx.get_state('code')}, {ctx.get_state('nothing', 'no')}")


async def test_what_an_executor_reads_of_the_shared_state_is_led_back_to_its_write(
    recording: Recording,
) -> None:
    keeps, recalls = Keeps("keeps"), Recalls("recalls")
    flow = WorkflowBuilder(start_executor=keeps).add_edge(keeps, recalls).build()

    assert (await flow.run("the code is")).get_outputs() == ["kept: the code is 4711, no"]

    run = Kinds(recording.last())
    write, (read, nothing) = run.one("memory_write", "state"), run.all("memory_read", "state")
    assert write.parent_id == run.one("agent", "keeps").id
    assert run.causes(read, "memory") == [write]
    assert (nothing.causes, nothing.attributes[semconv.MEMORY_RECORD]) == ((), "nothing")
    assert read.attributes[semconv.MEMORY_VERSION] == write.attributes[semconv.MEMORY_VERSION] == 1
    segment = becausal.last_run().blame("4711").segments[0]
    assert [step.id for step in segment.path][:2] == [run.one("agent", "keeps").id, write.id]


async def test_what_the_framework_keeps_in_the_state_for_itself_is_not_told(recording: Recording) -> None:
    flow = WorkflowBuilder(start_executor=AgentExecutor(speaker("clerk", hears_all("clerk")))).build()

    await flow.run("a chair")

    run = Kinds(recording.last())
    assert run.one("agent", "clerk").status == "ok"
    assert run.all("memory_read", "state") == []


async def test_a_checkpoint_of_functional_steps_is_the_same_with_and_without(store: str) -> None:
    async def ran() -> tuple[Any, ...]:
        storage = InMemoryCheckpointStorage()
        flow = flow_of(shopping)
        first = await flow.run("a chair", checkpoint_storage=storage)
        second = await flow.run(responses={"sure": "yes"}, checkpoint_storage=storage)
        saved = await storage.list_checkpoints(workflow_name=flow.name)
        events = [(event.type, getattr(event, "executor_id", None)) for event in [*first, *second]]
        return events, second.get_outputs(), sorted(str(sorted(saved_one.state)) for saved_one in saved)

    plain = await ran()
    becausal.instrument(store=store)
    try:
        watched = await ran()
    finally:
        becausal.uninstrument()

    assert watched == plain
