"""AutoGen: an app does not notice that it is recorded, and hooks leave no trace."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from autogen_agentchat.agents import BaseChatAgent, MessageFilterAgent, SocietyOfMindAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig, PerSourceFilter
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import (
    BaseGroupChat,
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken, FunctionCall
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.model_context import BufferedChatCompletionContext
from opentelemetry.sdk.trace import TracerProvider
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, ledger, speaker

import becausal
from becausal import guard


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


def round_robin() -> BaseGroupChat:
    memory = ListMemory("notes", [MemoryContent(content="x is 41", mime_type="text/plain")])
    caller = speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup], memory=[memory])
    return RoundRobinGroupChat([caller, speaker("b", model_client_stream=True)], max_turns=3)


def selector_with_a_team_inside() -> BaseGroupChat:
    inner = RoundRobinGroupChat([speaker("x"), speaker("y")], name="inner", max_turns=2)
    choose = PureClient(lambda messages: "inner" if "a(" in str(messages[-1].content) else "a")
    return SelectorGroupChat([speaker("a"), inner], choose, max_turns=2, emit_team_events=True)


def swarm() -> BaseGroupChat:
    triage = speaker("triage", calls("transfer_to_writer", adds("triage")), handoffs=["writer"])
    return Swarm([triage, speaker("writer", hears_all("writer"))], max_turns=2)


def graph() -> BaseGroupChat:
    a, b, c, d = (speaker(name, hears_all(name)) for name in "abcd")
    builder = DiGraphBuilder().add_node(a).add_node(b).add_node(c).add_node(d)
    builder.add_edge(a, b).add_edge(a, c).add_edge(b, d).add_edge(c, d)
    return GraphFlow([a, b, c, d], builder.build())


def with_an_agent_as_tool() -> BaseGroupChat:
    tool = AgentTool(speaker("writer"))
    main = speaker(
        "main", calls("writer", adds("main"), task="a poem"), tools=[tool], reflect_on_tool_use=True
    )
    return RoundRobinGroupChat([main], max_turns=1)


def magentic() -> BaseGroupChat:
    def orchestrate(messages: Sequence[Any]) -> str:
        if "pure JSON" not in str(messages[-1].content):
            return "plan"
        done = "a(" in str(messages)
        entry = '{"reason": "r", "answer": %s}'
        flags = {
            "is_request_satisfied": "true" if done else "false",
            "is_in_loop": "false",
            "is_progress_being_made": "true",
            "next_speaker": '"a"',
            "instruction_or_question": '"say it"',
        }
        return "{" + ", ".join(f'"{key}": {entry % value}' for key, value in flags.items()) + "}"

    return MagenticOneGroupChat([speaker("a")], PureClient(orchestrate))


def selector_that_falls_back() -> BaseGroupChat:
    context = BufferedChatCompletionContext(buffer_size=2)
    team: list[Any] = [speaker("a"), speaker("b", model_context=context), speaker("c")]
    return SelectorGroupChat(team, PureClient(lambda _: "nobody"), max_turns=3, emit_team_events=True)


def graph_with_a_loop() -> BaseGroupChat:
    writer = speaker("writer")
    critic = speaker(
        "critic", lambda messages: "fine" if str(messages[-1]).count("writer(") == 2 else "again"
    )
    end = speaker("end", hears_all("end"))
    builder = DiGraphBuilder().add_node(writer).add_node(critic).add_node(end)
    builder.add_edge(writer, critic)
    builder.add_edge(critic, writer, condition="again").add_edge(critic, end, condition="fine")
    builder.set_entry_point(writer)
    return GraphFlow([writer, critic, end], builder.build(), max_turns=8)


def society_of_mind_and_a_filter() -> BaseGroupChat:
    inner = RoundRobinGroupChat([speaker("x"), speaker("y")], name="inner", max_turns=2)
    mind = SocietyOfMindAgent("som", inner, PureClient(hears_all("som")))
    only = MessageFilterConfig(per_source=[PerSourceFilter(source="som", position="last", count=1)])
    return RoundRobinGroupChat(
        [mind, MessageFilterAgent("filter", speaker("z", hears_all("z")), only)], max_turns=4
    )


def with_a_team_as_tool_and_calls_that_fail() -> BaseGroupChat:
    inner = RoundRobinGroupChat([speaker("writer")], name="inner", max_turns=1)
    tool = TeamTool(inner, name="writer", description="Writes.")
    asked = [
        FunctionCall(id=name, name=name, arguments=arguments)
        for name, arguments in (("nosuch", "{}"), ("lookup", "{no json"), ("writer", '{"task": "a poem"}'))
    ]
    main = speaker(
        "main",
        lambda messages: "done" if len(messages) > 2 else asked,
        tools=[tool, lookup],
        reflect_on_tool_use=True,
    )
    return RoundRobinGroupChat([main], max_turns=1)


def magentic_that_plans_anew() -> BaseGroupChat:
    client = PureClient(ledger(lambda said: False, lambda said: "a", progress=lambda said: False))
    return MagenticOneGroupChat([speaker("a")], client, max_stalls=2, max_turns=3)


TEAMS: list[Callable[[], BaseGroupChat]] = [
    round_robin,
    selector_with_a_team_inside,
    swarm,
    graph,
    with_an_agent_as_tool,
    magentic,
    selector_that_falls_back,
    graph_with_a_loop,
    society_of_mind_and_a_filter,
    with_a_team_as_tool_and_calls_that_fail,
    magentic_that_plans_anew,
]


def normalised(*things: Any) -> str:
    """Return things as text, ids numbered in the order of their first appearance and times left out."""
    text = repr(things)
    text = re.sub(r"datetime\.datetime\([^()]*\)|TzInfo\([^()]*\)|\d{4}-\d\d-\d\dT[\d:.]+Z", "T", text)
    numbers: dict[str, str] = {}
    return re.sub(
        r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
        lambda found: numbers.setdefault(found[0], f"id{len(numbers)}"),
        text,
    )


async def told(make: Callable[[], BaseGroupChat]) -> str:
    """Return all that a team lets its app see: events, results, states."""
    streaming, running = make(), make()
    events = [item async for item in streaming.run_stream(task="go")]
    result = await running.run(task="go")
    return normalised(events, await streaming.save_state(), result, await running.save_state())


@contextmanager
def recorded(store: str, **options: Any) -> Iterator[None]:
    becausal.instrument("autogen", store=store, **options)
    try:
        yield
    finally:
        becausal.uninstrument()


@pytest.mark.parametrize("make", TEAMS, ids=lambda make: make.__name__)
async def test_events_results_and_states_are_the_same_with_and_without(
    make: Callable[[], BaseGroupChat], store: str
) -> None:
    without = await told(make)

    with recorded(store, tracer_provider=TracerProvider()):
        within = await told(make)
    after = await told(make)

    assert within == without
    assert after == without
    assert len(Recording(store).runs()) == 2


async def test_an_exception_reaches_the_app_as_the_same_object(store: str) -> None:
    refusal = KeyError("secret")

    def refuse(messages: object) -> str:
        raise refusal

    with recorded(store), pytest.raises(KeyError) as caught:
        await speaker("a", refuse).run(task="go")

    assert caught.value is refusal


async def test_a_cancelled_team_is_cancelled(store: str) -> None:
    token = CancellationToken()

    def cancel(messages: object) -> str:
        token.cancel()
        return "too late"

    with recorded(store), pytest.raises(asyncio.CancelledError):
        await RoundRobinGroupChat([speaker("a", cancel)]).run(task="go", cancellation_token=token)

    assert Recording(store).last()[0].status == "cancelled"


def everything() -> dict[tuple[str, str], Any]:
    """Return what every class and module of AutoGen holds."""
    found: dict[tuple[str, str], Any] = {}
    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith("autogen_"):
            continue
        for name, thing in list(vars(module).items()):
            found[module_name, name] = thing
            if isinstance(thing, type) and thing.__module__.startswith("autogen_"):
                found |= {
                    (f"{thing.__module__}.{thing.__qualname__}", key): value
                    for key, value in vars(thing).items()
                }
    return {key: value for key, value in found.items() if key[1] not in ("__abstractmethods__", "_abc_impl")}


async def test_uninstrumenting_restores_every_attribute(store: str) -> None:
    before = everything()

    with recorded(store):
        within = everything()
        await told(round_robin)
    after = everything()

    hooked = [key for key in before if within[key] is not before[key]]
    assert len(hooked) > 30
    assert [key for key in before if after[key] is not before[key]] == []
    assert set(after) == set(before)


async def test_a_subclass_defined_after_instrumenting_is_recorded_and_restored(store: str) -> None:
    async def on_messages(self: Any, messages: Sequence[BaseChatMessage], _: CancellationToken) -> Response:
        return Response(chat_message=TextMessage(content="late", source=self.name))

    async def on_reset(self: Any, _: CancellationToken) -> None:
        pass

    with recorded(store):
        late = type(
            "Late",
            (BaseChatAgent,),
            {"on_messages": on_messages, "on_reset": on_reset, "produced_message_types": (TextMessage,)},
        )
        assert vars(late)["on_messages"] is not on_messages
        await late("late", "Comes late.").run(task="go")

    assert vars(late)["on_messages"] is on_messages
    assert [step.kind for step in Recording(store).last()] == ["request", "handoff", "agent"]


async def test_a_hook_that_somebody_wrapped_since_falls_silent_and_lets_theirs_be(store: str) -> None:
    with recorded(store):
        ours = vars(PureClient)["create"]

        async def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await ours(self, *args, **kwargs)

        PureClient.create = theirs  # type: ignore[method-assign]
    try:
        result = await speaker("a").run(task="go")
        assert vars(PureClient)["create"] is theirs
    finally:
        PureClient.create = ours.__wrapped__  # type: ignore[method-assign]

    assert result.messages[-1].to_text() == "a(go)"
    assert Recording(store).runs() == []


@pytest.mark.parametrize("leave", ["close", "abandon"])
def test_a_stream_left_midway_logs_nothing_and_leaks_no_context(
    leave: str, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    from opentelemetry import context as otel_context

    async def read_one_item() -> None:
        stream: AsyncGenerator[Any, None] = round_robin().run_stream(task="go")
        async for _ in stream:
            break
        assert otel_context.get_current() == {}
        if leave == "close":
            await stream.aclose()
        del stream
        gc.collect()

    with caplog.at_level(logging.WARNING), recorded(store, tracer_provider=TracerProvider()):
        asyncio.run(read_one_item())
        gc.collect()

    assert [
        record for record in caplog.records if record.name.startswith(("opentelemetry", "becausal"))
    ] == []
    root = Recording(store).last()[0]
    assert root.kind == "workflow"
    assert root.status in ("closed", "abandoned")


async def test_a_failure_of_ours_is_swallowed_and_counted(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    monkeypatch.setattr("becausal_integrations.autogen.describe.is_of_a_team", lambda message: 1 / 0)
    monkeypatch.setattr("becausal_integrations.autogen.describe.usage", lambda result: 1 / 0)
    failed = dict(guard.failures)

    with recorded(store):
        result = await RoundRobinGroupChat([speaker("a")], max_turns=1).run(task="go")

    assert result.messages[-1].to_text() == "a(go)"
    assert dict(guard.failures) != failed
