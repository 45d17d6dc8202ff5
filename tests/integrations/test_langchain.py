"""LangChain without LangGraph: model calls and tool calls are steps, and the app notices nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import InjectedToolArg, ToolException, base, tool
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, StreamingModel, echo, tool_call, use_tool_once

import becausal
from becausal.step import Step
from becausal_integrations.langchain import describe
from becausal_integrations.langchain.calls import Calls
from becausal_integrations.langchain.decisions import choice_of

QUESTION: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("hello there")]


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


async def answered(model: Any, how: str) -> str:
    if how == "invoke":
        return str(model.invoke(QUESTION).content)
    if how == "ainvoke":
        return str((await model.ainvoke(QUESTION)).content)
    if how == "stream":
        return "".join(chunk.content for chunk in model.stream(QUESTION))
    return "".join([chunk.content async for chunk in model.astream(QUESTION)])


# Models


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("model", [PureModel(answer=echo), StreamingModel(answer=echo)])
async def test_each_way_to_call_a_model_is_one_step(recording: Recording, model: Any, how: str) -> None:
    assert await answered(model, how) == "you said hello there"

    (step,) = recording.last()
    assert (step.kind, step.name, step.status) == ("model", "pure-1", "ok")
    assert [message["content"] for message in value(step.received)] == ["Be brief.", "hello there"]
    assert value(step.produced)["content"] == "you said hello there"
    assert step.attributes["gen_ai.request.model"] == "pure-1"
    assert [choice.conclusion for choice in step.choices] == ["answer: you said hello there"]
    assert step.choices[0].premises == ("Be brief.", "hello there")


def test_a_model_step_has_what_the_answer_says_of_itself(recording: Recording) -> None:
    PureModel(answer=echo).invoke(QUESTION)

    attributes = recording.last()[0].attributes
    assert attributes["gen_ai.usage.input_tokens"] == 7
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.response.model"] == "pure-1-0001"
    assert attributes["gen_ai.provider.name"] == "puremodel"


def test_each_prompt_of_a_batch_is_a_step(recording: Recording) -> None:
    PureModel(answer=echo).generate([[HumanMessage("a")], [HumanMessage("b")]])

    produced = [value(step.produced)["content"] for steps in recording.runs() for step in steps]
    assert sorted(produced) == ["you said a", "you said b"]


def test_a_text_model_is_a_model_too(recording: Recording) -> None:
    FakeListLLM(responses=["fine"]).invoke("how are you?")

    (step,) = recording.last()
    assert (step.kind, value(step.received), value(step.produced)) == ("model", "how are you?", "fine")
    assert step.choices[0].premises == ("how are you?",)


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_model_s_exception_is_the_same_object(recording: Recording, how: str) -> None:
    trouble = ValueError("no model today")

    def fail(_: Sequence[BaseMessage]) -> AIMessage:
        raise trouble

    with pytest.raises(ValueError, match="no model today") as caught:
        await answered(StreamingModel(answer=fail), how)

    assert caught.value is trouble
    (step,) = recording.last()
    assert (step.status, step.error) == ("error", "ValueError: no model today")


async def test_a_stream_that_is_left_ends_its_step_and_logs_nothing(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    model = StreamingModel(answer=echo)
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        stream = model.stream(QUESTION)
        next(stream)
        del stream
        astream = model.astream(QUESTION)
        await anext(astream)
        await asyncio.create_task(astream.aclose())  # type: ignore[attr-defined]
        gc.collect()

    assert [steps[0].status for steps in recording.runs()] == ["closed", "closed"]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_stream_that_nobody_finishes_is_given_up_in_the_end(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal_integrations.langchain.models.MAX_RUNS", 2)
    model = StreamingModel(answer=echo)
    streams = [model.stream(QUESTION) for _ in range(3)]
    for stream in streams:
        next(stream)

    statuses = [steps[0].status for steps in recording.runs()]
    assert sorted(statuses) == ["abandoned", "open", "open"]


def test_the_provider_s_own_spans_nest_under_the_model_step(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("provider")

    def over_the_wire(messages: Sequence[BaseMessage]) -> AIMessage:
        with tracer.start_as_current_span("POST"):
            return echo(messages)

    becausal.instrument(store=store, tracer_provider=provider)
    PureModel(answer=over_the_wire).invoke(QUESTION)
    becausal.uninstrument()

    inner, outer = exporter.get_finished_spans()
    assert (inner.name, outer.name) == ("POST", "chat pure-1")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id


class Listener(BaseCallbackHandler):
    """Notes what LangChain tells the app's own handlers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self.heard.append("start")

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self.heard.append("end")


async def test_the_app_s_own_handlers_hear_every_event(recording: Recording) -> None:
    listener = Listener()
    await FakeListLLM(responses=["fine"]).ainvoke("hi", {"callbacks": [listener]})

    assert listener.heard == ["start", "end"]


async def test_a_manager_may_be_told_whatever_the_app_likes(recording: Recording) -> None:
    manager = AsyncCallbackManager(handlers=[])
    (run,) = await manager.on_chat_model_start(serialized={}, messages=[QUESTION])
    await run.on_llm_end(response={"of": "the app's own"})  # type: ignore[arg-type]

    (step,) = recording.last()
    assert (step.name, step.status, step.produced) == ("model", "ok", None)


# Tools


@tool
def search(query: str, user: Annotated[str, InjectedToolArg] = "nobody") -> list[dict[str, str]]:
    """Search."""
    return [{"fact": f"{query} is 42"}]


def call_of(recording: Recording) -> Step:
    (step,) = (step for step in recording.last() if step.kind == "tool")
    return step


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tool_step_has_the_model_s_arguments_and_the_raw_answer(
    recording: Recording, is_async: bool
) -> None:
    call = tool_call("search", query="it", user="me")
    message = await search.ainvoke(call) if is_async else search.invoke(call)

    assert isinstance(message, ToolMessage)
    step = call_of(recording)
    assert (step.name, step.status) == ("search", "ok")
    assert value(step.received) == {"query": "it"}
    assert value(step.produced) == [{"fact": "it is 42"}]
    assert step.attributes["gen_ai.tool.call.id"] == "call-1"


def test_a_tool_s_helper_may_be_called_by_keyword(recording: Recording) -> None:
    answer: Any = base._format_output(
        content="x", artifact=None, tool_call_id="1", name="n", status="success"
    )

    assert answer.content == "x"


def test_an_artifact_is_part_of_the_raw_answer(recording: Recording) -> None:
    @tool(response_format="content_and_artifact")
    def chart(title: str) -> tuple[str, bytes]:
        """Draw."""
        return "a chart", b"\x89PNG"

    chart.invoke(tool_call("chart", title="x"))

    step = call_of(recording)
    assert value(step.produced) == ("a chart", b"\x89PNG")
    assert step.attributes["becausal.tool.artifact"] is True


def test_a_tool_s_exception_is_the_same_object(recording: Recording) -> None:
    trouble = RuntimeError("no search today")

    @tool
    def fail(query: str) -> str:
        """Fail."""
        raise trouble

    with pytest.raises(RuntimeError) as caught:
        fail.invoke({"query": "it"})

    assert caught.value is trouble
    step = call_of(recording)
    assert (step.status, step.error) == ("error", "RuntimeError: no search today")


def test_an_error_that_a_tool_answers_with_is_an_error(recording: Recording) -> None:
    @tool
    def refuse(query: str) -> str:
        """Refuse."""
        raise ToolException("not allowed")

    refuse.handle_tool_error = True
    message = refuse.invoke(tool_call("refuse", query="it"))

    assert message.status == "error"
    step = call_of(recording)
    assert (step.status, step.error) == ("error", "not allowed")
    assert value(step.produced) == "not allowed"


def test_a_tool_call_is_caused_by_the_model_call_that_asked_for_it(recording: Recording) -> None:
    model = PureModel(answer=use_tool_once("search", query="it"))
    with becausal.chain("look it up"):
        asked = model.invoke([HumanMessage("what is it?")])
        search.invoke(asked.tool_calls[0])

    steps = recording.last()
    (decided,) = (step for step in steps if step.kind == "model")
    (call,) = (step for step in steps if step.kind == "tool")
    assert [(cause.source_id, cause.kind, cause.grade) for cause in call.causes] == [
        (decided.id, "data", "observed")
    ]
    assert call.causes[0].evidence == "tool call id call-1"
    assert decided.attributes["becausal.tool_call.ids"] == ("call-1",)
    assert [choice.conclusion for choice in decided.choices] == ["call search(query='it')"]
    assert decided.choices[0].reason == "I have to look it up."


def test_which_model_call_asked_is_forgotten_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("becausal_integrations.langchain.calls.MAX_IDS", 2)
    calls, step = Calls(), becausal.step.RemoteStep("0" * 16, "chain", 1)
    calls.decided(step, ["a", "b", "c"])

    assert [calls.call("chain", name, None) is not None for name in "abc"] == [False, True, True]


# Descriptions, without a framework at work


def test_a_conclusion_runs_no_code_of_the_app_s_classes() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise AssertionError("not to be called")

    message = AIMessage(
        "", tool_calls=[tool_call("find", thing=Loud(), many=list(range(20)), who={"a": None})]
    )

    assert choice_of(message, ()).conclusion == (
        "call find(thing=<Loud>, many=[0, 1, 2, 3, 4, 5, 6, 7, …], who={a: None})"
    )


def test_premises_are_what_is_new_since_the_model_s_last_answer() -> None:
    messages = [HumanMessage("old"), AIMessage("answered"), ToolMessage("x" * 300, tool_call_id="1")]

    (premise,) = describe.premises_of(messages)
    assert len(premise) == 200
    assert premise.endswith("…")


def test_confidence_comes_from_the_tokens_probabilities() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.3}]}
    choice = choice_of(AIMessage("ab", response_metadata={"logprobs": logprobs}), ())

    assert choice.method == "logprobs"
    assert choice.score == pytest.approx(0.8187, abs=1e-4)


def test_reasoning_is_the_stated_reason() -> None:
    content: list[Any] = [{"type": "reasoning", "reasoning": "Because."}, {"type": "text", "text": "Yes."}]

    choice = choice_of(AIMessage(content), ())
    assert (choice.conclusion, choice.reason) == ("answer: Yes.", "Because.")


def test_a_model_without_a_name_is_called_like_its_class() -> None:
    serialized = {"id": ["app", "models", "House"], "name": None}

    assert describe.model_name({}, {}, serialized) == "House"
    assert describe.model_name({}, {"model": "m-1"}, serialized) == "m-1"
    assert describe.model_name({"ls_model_name": "m-2"}, {}, serialized) == "m-2"
    assert describe.model_name({}, {}, {}) == "model"


def test_models_and_tools_are_left_alone_at_the_level_of_boundaries(store: str) -> None:
    becausal.instrument(store=store, level="boundaries")
    PureModel(answer=echo).invoke(QUESTION)
    search.invoke({"query": "it"})

    assert Recording(store).runs() == []
    becausal.uninstrument()
