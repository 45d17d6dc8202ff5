"""Agents of Microsoft Agent Framework: their runs, model calls, tools and memory."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("agent_framework")

from agent_framework import (
    AgentContext,
    AgentMiddleware,
    AgentResponse,
    AgentSession,
    BaseAgent,
    BaseChatClient,
    ChatContext,
    ChatMiddleware,
    ChatResponse,
    Content,
    ContextProvider,
    FunctionInvocationContext,
    FunctionMiddleware,
    InMemoryHistoryProvider,
    Message,
    tool,
)
from tests.conftest import Recording
from tests.integrations.fakes_agent_framework import PureClient, call, calls, hears_all, results, speaker
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal.step import Step


@tool(approval_mode="never_require")
def weather(city: str) -> dict[str, Any]:
    """Return the weather of a city."""
    return {"city": city, "degrees": 19}


@tool(approval_mode="never_require")
async def fails() -> str:
    """Fail."""
    raise ValueError("no such station")


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


async def test_a_run_is_a_request_with_the_agents_turn_in_it(recording: Recording) -> None:
    answer = await speaker("writer").run("a word")

    run = Kinds(recording.last())
    request, turn, model = run.one("request"), run.one("agent"), run.one("model")
    assert answer.text == "writer(a word)"
    assert (turn.name, turn.agent, turn.parent_id) == ("writer", "writer", request.id)
    assert (model.name, model.agent, model.parent_id) == ("pure-1", "writer", turn.id)
    assert (request.parent_id, {step.chain_id for step in run.steps}) == (None, {request.chain_id})
    assert (value(turn.received), turn.produced and turn.produced.text()) == (
        "a word",
        "writer: writer(a word)",
    )
    assert value(model.received) == [{"role": "user", "content": "a word"}]


async def test_a_model_call_says_what_it_used_why_it_ended_and_what_it_decided(recording: Recording) -> None:
    await speaker("writer").run("a word")

    model = Kinds(recording.last()).one("model")
    assert model.attributes[semconv.INPUT_TOKENS] == 1
    assert model.attributes[semconv.FINISH_REASONS] == ("stop",)
    assert model.attributes[semconv.PROVIDER_NAME] == "pure"
    assert [(c.conclusion, c.premises) for c in model.choices] == [("answer: writer(a word)", ("a word",))]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_call_is_caused_by_the_model_that_asked_and_causes_the_one_that_is_told(
    recording: Recording, stream: bool
) -> None:
    agent = speaker("guide", calls(call("weather", '{"city": "Oslo"}')), tools=[weather])

    await _run(agent, "how warm is it?", stream)

    run = Kinds(recording.last())
    asking, told = run.all("model")
    called = run.one("tool")
    assert (called.name, called.agent, value(called.received)) == ("weather", "guide", {"city": "Oslo"})
    assert called.attributes[semconv.TOOL_CALL_ID] == "call-weather"
    assert called.parent_id == run.one("agent").id
    assert run.causes(called) == [asking]
    assert run.causes(told, "data") == [called]
    assert [choice.conclusion for choice in asking.choices] == ['call weather({"city": "Oslo"})']


async def test_a_tools_own_result_is_kept_as_it_was_where_the_version_shows_it(recording: Recording) -> None:
    from agent_framework import FunctionTool

    await speaker("guide", calls(call("weather", '{"city": "Oslo"}')), tools=[weather]).run("go")

    found = value(Kinds(recording.last()).one("tool").produced)
    shows_it = hasattr(FunctionTool, "_invoke_function")
    assert found == ({"city": "Oslo", "degrees": 19} if shows_it else '{"city": "Oslo", "degrees": 19}')


async def test_tools_that_were_called_together_are_each_a_step(recording: Recording) -> None:
    asked = [call("weather", f'{{"city": "{city}"}}', city) for city in ("Oslo", "Rome", "Lima")]

    await speaker("guide", calls(*asked), tools=[weather]).run("go")

    run = Kinds(recording.last())
    asking, told = run.all("model")
    assert [value(step.received) for step in run.all("tool")] == [
        {"city": city} for city in ("Oslo", "Rome", "Lima")
    ]
    assert all(run.causes(step) == [asking] for step in run.all("tool"))
    assert len(asking.choices) == 3
    assert run.causes(told, "data") == run.all("tool")


async def test_a_tool_that_fails_is_an_error_and_the_model_is_told(recording: Recording) -> None:
    answer = await speaker("guide", calls(call("fails")), tools=[fails]).run("go")

    run = Kinds(recording.last())
    failed = run.one("tool")
    assert (failed.status, failed.error) == ("error", "ValueError: no such station")
    assert run.one("agent").status == "ok"
    assert answer.text.startswith("I found Error")


async def test_a_model_that_fails_fails_its_agent_and_the_caller_gets_the_very_exception(
    recording: Recording,
) -> None:
    problem = RuntimeError("out of order")

    def broken(_: Sequence[Message]) -> str:
        raise problem

    with pytest.raises(RuntimeError) as raised:
        await speaker("guide", broken).run("go")

    run = Kinds(recording.last())
    assert raised.value is problem
    assert {step.status for step in run.steps} == {"error"}


async def test_a_streamed_run_is_told_by_what_the_pieces_make(recording: Recording) -> None:
    stream = speaker("writer").run("one two three", stream=True)
    pieces = [piece.text async for piece in stream]

    run = Kinds(recording.last())
    assert pieces == ["writer(one", " two", " three)", ""]
    assert {step.status for step in run.steps} == {"ok"}
    assert [step.kind for step in run.steps] == ["request", "agent", "model"]
    for step in run.steps:
        assert step.produced is not None
        assert value(step.produced)["content"] == "writer(one two three)"
    assert run.one("model").attributes[semconv.OUTPUT_TOKENS] == 1


async def test_a_stream_that_is_asked_for_its_end_alone_is_told_as_well(recording: Recording) -> None:
    answer = await speaker("writer").run("a word", stream=True).get_final_response()

    run = Kinds(recording.last())
    assert answer.text == "writer(a word)"
    assert [(step.kind, step.status) for step in run.steps] == [
        ("request", "ok"),
        ("agent", "ok"),
        ("model", "ok"),
    ]


async def test_a_stream_that_is_left_is_no_success(recording: Recording) -> None:
    stream = speaker("writer").run("one two three", stream=True)
    async for _ in stream:
        break
    del stream
    gc.collect()

    assert Kinds(recording.last()).one("agent").status in ("abandoned", "closed")


async def test_a_stream_that_nobody_reads_is_no_step(recording: Recording) -> None:
    PureClient(lambda messages: "yes").get_response([Message("user", ["sure?"])], stream=True)

    assert recording.runs() == []


async def test_middleware_of_the_app_sees_and_changes_what_it_did_before(recording: Recording) -> None:
    seen: list[str] = []

    class Turn(AgentMiddleware):
        async def process(self, context: AgentContext, call_next: Callable[[], Awaitable[None]]) -> None:
            seen.append("agent")
            await call_next()

    class Chat(ChatMiddleware):
        async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
            seen.append("chat")
            context.messages = [*context.messages, Message("user", ["and be brief"])]
            await call_next()

    class Function(FunctionMiddleware):
        async def process(
            self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]
        ) -> None:
            seen.append("function")
            await call_next()

    agent = speaker(
        "guide",
        calls(call("weather", '{"city": "Oslo"}')),
        tools=[weather],
        middleware=[Turn(), Chat(), Function()],
    )
    await agent.run("go")

    run = Kinds(recording.last())
    assert seen[:3] == ["agent", "chat", "function"]
    assert len(run.all("agent")) == 1
    assert len(run.all("tool")) == 1
    assert value(run.all("model")[0].received)[-1] == {"role": "user", "content": "and be brief"}


async def test_an_agent_that_is_used_as_a_tool_works_within_the_tools_call(recording: Recording) -> None:
    expert = speaker("expert", lambda messages: "42 degrees")
    helper = expert.as_tool(name="ask_expert")
    boss = speaker("boss", calls(call("ask_expert", '{"task": "how warm?"}')), tools=[helper])

    answer = await boss.run("go")

    run = Kinds(recording.last())
    assert answer.text == "I found 42 degrees"
    assert run.one("agent", "expert").parent_id == run.one("tool", "ask_expert").id
    assert run.one("tool").parent_id == run.one("agent", "boss").id


async def test_messages_of_one_agent_that_are_given_to_another_lead_back_to_it(recording: Recording) -> None:
    with becausal.chain("two in a row"):
        first = await speaker("first").run("a word")
        await speaker("second").run(first.messages)

    run = Kinds(recording.last())
    assert run.causes(run.one("agent", "second"), "data") == [run.one("agent", "first")]


async def test_blame_leads_an_answers_figure_to_the_tool(recording: Recording) -> None:
    await speaker("guide", calls(call("weather", '{"city": "Oslo"}')), tools=[weather]).run("how warm?")

    segment = becausal.last_run().blame("19").segments[0]
    assert segment.origin is not None
    assert (segment.source, segment.origin.name) == ("tool", "weather")


# Memory


async def test_a_session_is_a_memory_whose_reader_is_caused_by_its_last_write(recording: Recording) -> None:
    agent = speaker("writer", hears_all("writer"))
    session = agent.create_session()

    with becausal.chain("a talk"):
        await agent.run("one", session=session)
        answer = await agent.run("two", session=session)

    run = Kinds(recording.last())
    reads, writes = run.all("memory_read"), run.all("memory_write")
    assert answer.text == "writer[one + writer[one] + two]"
    assert run.causes(reads[-1], "memory") == [writes[0]]
    assert reads[-1].attributes[semconv.MEMORY_VERSION] == 1
    assert [step.attributes[semconv.MEMORY_VERSION] for step in writes] == [1, 2]
    assert [message["content"] for message in value(reads[-1].produced)] == ["one", "writer[one]"]
    assert reads[0].attributes[semconv.MEMORY_RECORD] == session.session_id


async def test_sessions_of_one_provider_are_kept_apart(recording: Recording) -> None:
    provider = InMemoryHistoryProvider()
    agent = speaker("writer", context_providers=[provider])

    with becausal.chain("two talks"):
        await agent.run("one", session=AgentSession(session_id="a"))
        await agent.run("one", session=AgentSession(session_id="b"))

    run = Kinds(recording.last())
    assert [step.attributes[semconv.MEMORY_VERSION] for step in run.all("memory_write")] == [1, 1]
    assert all(not step.causes for step in run.all("memory_read"))


async def test_a_context_provider_is_a_memory_that_is_read_before_a_run_and_told_after_it(
    recording: Recording,
) -> None:
    class Notebook(ContextProvider):
        async def before_run(self, *, agent: Any, session: Any, context: Any, state: Any) -> None:
            context.extend_messages(self, [Message("user", ["the code is 4711"])])

        async def after_run(self, *, agent: Any, session: Any, context: Any, state: Any) -> None:
            pass

    agent = speaker("writer", hears_all("writer"), context_providers=[Notebook("notebook")])
    answer = await agent.run("what is it?", session=agent.create_session())

    run = Kinds(recording.last())
    read, write = run.one("memory_read", "notebook"), run.one("memory_write", "notebook")
    assert "4711" in answer.text
    assert value(read.produced) == [{"role": "user", "content": "the code is 4711"}]
    assert [message["content"] for message in value(write.received)] == ["what is it?", answer.text]
    assert read.parent_id == write.parent_id == run.one("agent").id


async def test_what_a_stream_prepares_when_it_is_awaited_is_its_agents_work(recording: Recording) -> None:
    agent = speaker("writer")
    stream = await agent.run("a word", session=agent.create_session(), stream=True)
    await stream.get_final_response()

    run = Kinds(recording.last())
    assert run.one("memory_read").parent_id == run.one("agent").id
    assert {step.status for step in run.steps} == {"ok"}


# Users' own classes


async def test_an_agent_class_of_the_apps_own_is_an_agent_also_when_it_is_defined_late(
    recording: Recording,
) -> None:
    class Echo(BaseAgent):
        async def run(self, messages: Any = None, **_: Any) -> AgentResponse[Any]:
            return AgentResponse(messages=[Message("assistant", [f"echo {messages}"])])

    answer = await Echo(name="echo").run("hello")

    turn = Kinds(recording.last()).one("agent")
    assert answer.text == "echo hello"
    assert (turn.name, value(turn.produced)["content"]) == ("echo", "echo hello")


async def test_a_client_class_that_calls_its_base_is_one_model_call(recording: Recording) -> None:
    class Careful(PureClient):
        def _inner_get_response(self, **given: Any) -> Any:
            return super()._inner_get_response(**given)

    client = Careful(lambda messages: "yes")
    answer = await client.get_response([Message("user", ["sure?"])])

    assert answer.text == "yes"
    assert [step.kind for step in recording.last()] == ["model"]


async def test_a_client_may_define_its_call_as_a_coroutine_function(recording: Recording) -> None:
    class Plain(BaseChatClient):
        async def _inner_get_response(self, *, messages: Any, **_: Any) -> ChatResponse:
            return ChatResponse(messages=[Message("assistant", ["plain"])])

    answer = await Plain().get_response([Message("user", ["go"])])

    step: Step = recording.last()[0]
    assert (answer.text, step.kind, step.name) == ("plain", "model", "Plain")


def test_a_message_is_told_in_the_form_that_all_frameworks_share() -> None:
    from becausal_integrations.agent_framework.messages import told

    asked = Message("assistant", ["let me see", call("weather", '{"city": "Oslo"}')])
    image = Content.from_uri("https://x.y/z.png", media_type="image/png", raw_representation=object())
    picture = Message("user", ["look", image])

    assert told(asked) == {
        "role": "assistant",
        "content": "let me see",
        "tool_calls": [{"id": "call-weather", "name": "weather", "arguments": '{"city": "Oslo"}'}],
    }
    assert told([picture])[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "uri", "uri": "https://x.y/z.png", "media_type": "image/png"},
    ]
    assert told({"to": [asked]})["to"][0]["role"] == "assistant"
    own = object()
    assert told(own) is own
    assert results([Message("tool", [Content.from_function_result(call_id="1", result="ok")])]) == ["ok"]


async def _run(agent: Any, messages: Any, stream: bool) -> Any:
    if not stream:
        return await agent.run(messages)
    answer = agent.run(messages, stream=True)
    async for _ in answer:
        pass
    return await answer.get_final_response()
