"""AutoGen: the kinds of agents, what one run carries over to the next, how a run ends, and what a long one costs."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import weakref
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from types import FrameType
from typing import Any

import pytest
from autogen_agentchat.agents import (
    BaseChatAgent,
    CodeExecutorAgent,
    MessageFilterAgent,
    UserProxyAgent,
    _code_executor_agent,
)
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig, PerSourceFilter
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.conditions import ExternalTermination, MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, speaker
from tests.integrations.kinds import Kinds, said

import becausal
from becausal import semconv


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


# Agents


def approve(request: Any) -> Any:
    return _code_executor_agent.ApprovalResponse(approved=True, reason="")


APPROVING: dict[str, Any] = (
    {"approval_func": approve} if hasattr(_code_executor_agent, "ApprovalResponse") else {}
)
"""What keeps the agent from warning that it asks nobody; AutoGen 0.7.0 knows of neither."""


class Runs(CodeExecutor):
    """Runs nothing: says what it was given."""

    component_config_schema = None

    async def execute_code_blocks(
        self, code_blocks: list[CodeBlock], cancellation_token: CancellationToken
    ) -> CodeResult:
        return CodeResult(exit_code=code_blocks[0].code.count("raise"), output=code_blocks[0].code.upper())

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def restart(self) -> None: ...


@pytest.mark.parametrize("code", ["print", "raise"])
async def test_code_that_an_agent_executes_is_a_tool_call(recording: Recording, code: str) -> None:
    agent = CodeExecutorAgent("runner", Runs(), **APPROVING)

    await agent.run(task=f"```python\n{code}\n```")

    run = Kinds(recording.last())
    tool = run.one("tool", "Runs")
    assert tool.parent_id == run.one("agent", "runner").id
    assert code.upper() in tool.produced.text()  # type: ignore[union-attr]
    assert tool.attributes.get(semconv.TOOL_IS_ERROR) is (True if code == "raise" else None)


async def test_a_filter_shows_what_it_let_through_to_the_agent_within(recording: Recording) -> None:
    inner = speaker("inner", hears_all("inner"))
    filtered = MessageFilterAgent(
        "filter",
        inner,
        MessageFilterConfig(per_source=[PerSourceFilter(source="a", position="last", count=1)]),
    )

    await RoundRobinGroupChat([speaker("a"), filtered], max_turns=2).run(task="go")

    run = Kinds(recording.last())
    outer, within = run.one("agent", "filter"), run.one("agent", "inner")
    assert within.parent_id == outer.id
    assert len(run.causes(outer, "transfer")) == 2
    assert run.senders(within) == [run.one("agent", "a")]


async def test_what_a_person_typed_is_what_the_proxys_turn_produced(recording: Recording) -> None:
    proxy = UserProxyAgent("user_proxy", input_func=lambda prompt: "no, in red")

    await RoundRobinGroupChat([speaker("a"), proxy, speaker("b")], max_turns=3).run(task="go")

    run = Kinds(recording.last())
    turn = run.one("agent", "user_proxy")
    assert "no, in red" in turn.produced.text()  # type: ignore[union-attr]
    assert turn in run.senders(run.one("agent", "b"))
    segment = becausal.last_run().blame("in red").segments[0]
    assert (getattr(segment.origin, "id", None), segment.source) == (turn.id, "user")


class Thinks(BaseChatAgent):
    """An agent of an app's own that says something on its way to its answer."""

    produced_message_types = (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: Any) -> Response:
        draft = TextMessage(source=self.name, content="the draft of 808")
        return Response(
            chat_message=TextMessage(source=self.name, content="the answer"), inner_messages=[draft]
        )

    async def on_reset(self, cancellation_token: Any) -> None:
        pass


async def test_what_an_agent_says_on_its_way_to_its_answer_is_its_own(recording: Recording) -> None:
    chooses = PureClient(lambda messages: "a" if "808" in str(messages) else "thinker")
    team = SelectorGroupChat([speaker("a"), Thinks("thinker", "Thinks.")], chooses, max_turns=2)

    await team.run(task="go")

    run = Kinds(recording.last())
    turn, choice = run.one("agent", "thinker"), run.all("route")[1]
    assert said(turn.produced) == ["the draft of 808", "the answer"]
    assert [cause.source_id for cause in choice.causes] == [turn.id, turn.id]
    segment = becausal.last_run().blame("808").segments[0]
    assert (getattr(segment.origin, "id", None), segment.source) == (turn.id, "agent")


# From one run to the next


def pair() -> RoundRobinGroupChat:
    return RoundRobinGroupChat([speaker("a", hears_all("a")), speaker("b", hears_all("b"))], max_turns=2)


async def test_a_second_run_of_a_team_remembers_the_first_and_its_task_is_new(recording: Recording) -> None:
    team = pair()

    await team.run(task="first")
    await team.run(task="second")

    second, first = map(Kinds, recording.runs())
    assert second.one("workflow").causes == ()
    choice = second.all("route")[0].causes[0]
    assert (choice.source_id, choice.kind) == (first.one("workflow").id, "memory")
    model = second.all("model")[0]
    carried = [cause for cause in model.causes if cause.kind == "memory"]
    assert [cause.source_id for cause in carried if "seen before" in cause.evidence] == [
        first.all("model")[0].id
    ]
    assert first.one("agent", "b").id in {cause.source_id for cause in carried}
    assert all("earlier run" in cause.evidence for cause in carried)
    assert [cause.kind for cause in model.causes if cause.source_id in second.by_id] == ["data"]


async def test_what_was_said_in_an_earlier_run_was_remembered_and_a_new_task_was_asked(
    recording: Recording,
) -> None:
    team = pair()
    await team.run(task="the code is 4711")

    await team.run(task="and the colour is teal")

    run = becausal.last_run()
    assert {segment.source for segment in run.blame("4711").segments} == {"memory"}
    assert {segment.source for segment in run.blame("teal").segments} == {"user"}


async def test_a_team_that_goes_on_without_a_task_goes_on_from_its_last_run(recording: Recording) -> None:
    team = pair()

    await team.run(task="first")
    await team.run()

    second, first = map(Kinds, recording.runs())
    assert [cause.source_id for cause in second.one("workflow").causes] == [first.one("workflow").id]


async def test_a_team_that_was_reset_remembers_nothing(recording: Recording) -> None:
    team = pair()

    await team.run(task="first")
    await team.reset()
    await team.run(task="second")

    second = Kinds(recording.runs()[0])
    assert {cause.source_id for step in second.steps for cause in step.causes} <= set(second.by_id)


async def test_a_team_that_loads_a_state_goes_on_from_the_work_that_was_saved(recording: Recording) -> None:
    team, later = pair(), pair()
    await team.run(task="first")
    state = json.loads(json.dumps(await team.save_state()))

    await later.load_state(state)
    await later.run(task="second")

    second, first = map(Kinds, recording.runs())
    load = first.one("memory_read")
    assert first.causes(load, "resume") == [first.one("memory_write")]
    resumed = second.all("route")[0].causes[0]
    assert (resumed.source_id, resumed.kind) == (load.id, "resume")
    assert load.id in {cause.source_id for cause in second.all("model")[0].causes if cause.kind == "memory"}


async def test_an_agent_that_loads_a_state_remembers_what_was_saved(recording: Recording) -> None:
    agent, later = speaker("a", hears_all("a")), speaker("a", hears_all("a"))
    await agent.run(task="first")

    await later.load_state(json.loads(json.dumps(await agent.save_state())))
    result = await later.run(task="second")

    assert "first" in result.messages[-1].to_text()
    second, first = map(Kinds, recording.runs())
    load = first.one("memory_read")
    assert load.parent_id == first.one("memory_write").id or load.causes[0].kind == "resume"
    memories = [cause for cause in second.one("model").causes if cause.kind == "memory"]
    assert [cause.source_id for cause in memories] == [load.id]


# How a run ends


async def test_why_a_team_stopped_is_on_its_run(recording: Recording) -> None:
    external = ExternalTermination()
    stops: list[Any] = [MaxMessageTermination(2), TextMentionTermination("a("), external]
    external.set()
    for stop in stops:
        await RoundRobinGroupChat([speaker("a")], termination_condition=stop).run(task="go")
    await RoundRobinGroupChat([speaker("a")], max_turns=1).run(task="go")

    reasons = [Kinds(run).one("workflow").attributes[semconv.STOP_REASON] for run in recording.runs()[::-1]]
    assert reasons == [
        "Maximum number of messages 2 reached, current message count: 2",
        "Text 'a(' mentioned",
        "External termination requested",
        "Maximum number of turns 1 reached.",
    ]


async def test_a_run_that_was_told_to_pause_and_to_go_on_says_so(recording: Recording) -> None:
    async def hold(q: str) -> str:
        """Hold the team."""
        await team.pause()
        await team.resume()
        return q

    team = RoundRobinGroupChat([speaker("a", calls("hold", adds("a"), q="x"), tools=[hold])], max_turns=1)
    await team.run(task="go")

    root = Kinds(recording.last()).one("workflow")
    assert (root.attributes["autogen.pauses"], root.attributes["autogen.resumes"]) == (1, 1)


async def test_a_turn_that_is_cancelled_in_its_middle_is_told_as_cancelled(recording: Recording) -> None:
    reached = asyncio.Event()

    async def wait(q: str) -> str:
        """Wait for ever."""
        reached.set()
        await asyncio.Event().wait()
        return q

    running = asyncio.ensure_future(
        speaker("a", calls("wait", adds("a"), q="x"), tools=[wait]).on_messages(
            [TextMessage(content="go", source="user")], CancellationToken()
        )
    )
    await asyncio.wait_for(reached.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    run = Kinds(recording.last())
    assert run.one("agent").status == "cancelled"
    assert run.one("request").status == "cancelled"


async def test_a_stream_that_its_reader_leaves_is_told_as_closed_and_holds_no_context(
    recording: Recording,
) -> None:
    from opentelemetry import context as otel_context

    stream = RoundRobinGroupChat([speaker("a"), speaker("b")], max_turns=2).run_stream(task="go")
    async for item in stream:
        if not isinstance(item, TaskResult):
            break
    left_in = otel_context.get_current()
    await stream.aclose()

    assert left_in == {}
    assert recording.last()[0].status == "closed"


async def test_nothing_of_ours_keeps_a_team_or_its_agents_alive(recording: Recording) -> None:
    agent = speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup])
    team = RoundRobinGroupChat([agent, speaker("b")], max_turns=2)
    await team.run(task="go")
    gone: list[weakref.ref[Any]] = [weakref.ref(agent), weakref.ref(team)]

    del agent, team
    becausal.flush()
    gc.collect()

    assert [ref() for ref in gone] == [None, None]


# A long chat


async def test_a_turn_late_in_a_long_chat_costs_no_more_than_one_at_its_beginning(
    recording: Recording,
) -> None:
    """Counted in calls of our own functions: of 300 turns, those of the last quarter against the first."""
    ours, marks = [0], []

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "becausal" in frame.f_code.co_filename:
            ours[0] += 1

    def say(_: object) -> str:
        marks.append(ours[0])
        return "x" * 600

    team = RoundRobinGroupChat([speaker(name, say) for name in "abc"], max_turns=300)
    sys.setprofile(count)
    try:
        await team.run(task="go")
    finally:
        sys.setprofile(None)

    costs = [late - early for early, late in pairwise(marks)]
    first, last = median(costs[3:75]), median(costs[-75:])
    assert last <= 1.05 * first, f"{first} calls a turn, then {last}"
