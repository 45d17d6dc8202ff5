"""What a model call says of itself: streamed or not, from the cache, with reasoning, and how sure it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, Generation, GenerationChunk, LLMResult
from pydantic import BaseModel
from tests.conftest import Recording
from tests.integrations.fakes_langchain import (
    PureModel,
    StreamingModel,
    StructuredModel,
    echo,
    tool_call,
    use_tool_once,
)

from becausal.step import Step
from becausal_integrations.langchain import describe
from becausal_integrations.langchain.decisions import choice_of

QUESTION: list[BaseMessage] = [HumanMessage("what is it?")]
WAYS = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch", "generate", "agenerate")


class PureText(LLM):
    """A text model that answers with the words of its prompt turned round; it streams word by word."""

    @property
    def _llm_type(self) -> str:
        return "pure-text"

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> str:
        return " ".join(reversed(prompt.split()))

    def _stream(self, prompt: str, *_: Any, **__: Any) -> Iterator[GenerationChunk]:
        for word in reversed(prompt.split()):
            yield GenerationChunk(text=word + " ", generation_info={"finish_reason": None})


async def ask(model: Any, how: str, question: Any) -> None:
    """Ask a model in one of the ways that LangChain has."""
    if how in ("invoke", "ainvoke"):
        (await model.ainvoke(question)) if how == "ainvoke" else model.invoke(question)
    elif how == "stream":
        list(model.stream(question))
    elif how == "astream":
        [chunk async for chunk in model.astream(question)]
    elif how in ("batch", "abatch"):
        (await model.abatch([question])) if how == "abatch" else model.batch([question])
    else:
        (await model.agenerate([question])) if how == "agenerate" else model.generate([question])


def one(recording: Recording) -> Step:
    (step,) = recording.last()
    return step


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


@pytest.fixture
def cache() -> Iterator[None]:
    """LangChain's cache of answers."""
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.parametrize("how", WAYS)
async def test_every_way_to_ask_a_chat_model_is_one_step(recording: Recording, how: str) -> None:
    await ask(StreamingModel(answer=use_tool_once("search", query="it")), how, QUESTION)

    step = one(recording)
    assert (step.kind, step.name, step.status) == ("model", "pure-1", "ok")
    assert [call["args"] for call in value(step.produced)["tool_calls"]] == [{"query": "it"}]
    assert step.attributes["becausal.tool_call.ids"] == ("call-1",)
    assert [choice.conclusion for choice in step.choices] == ["call search(query='it')"]


@pytest.mark.parametrize("how", WAYS)
async def test_every_way_to_ask_a_text_model_is_one_step(recording: Recording, how: str) -> None:
    await ask(PureText(), how, "one two")

    step = one(recording)
    assert (step.kind, step.status, value(step.received)) == ("model", "ok", "one two")
    assert value(step.produced).strip() == "two one"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_stream_s_step_has_usage_model_id_and_finish_reason(
    recording: Recording, is_async: bool
) -> None:
    await ask(StreamingModel(answer=echo), "astream" if is_async else "stream", QUESTION)

    attributes = one(recording).attributes
    assert attributes["gen_ai.usage.input_tokens"] == 7
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.response.model"] == "pure-1-0001"
    assert attributes["gen_ai.response.id"] == "m-stream"


def test_what_had_come_of_a_stream_that_is_left_is_kept(recording: Recording) -> None:
    stream = StreamingModel(answer=echo).stream(QUESTION)
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    step = one(recording)
    assert (step.status, step.choices) == ("closed", ())
    assert value(step.produced)["content"] == "you said "


def test_a_text_model_says_what_its_provider_told() -> None:
    generation = Generation(text="yes", generation_info={"finish_reason": "length"})
    response = LLMResult(
        generations=[[generation]],
        llm_output={"token_usage": {"prompt_tokens": 5, "completion_tokens": 2}, "model_name": "text-1"},
    )

    assert describe.answer_attributes(generation, response.llm_output) == {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.model": "text-1",
        "gen_ai.response.finish_reasons": ("length",),
    }


# The cache


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_chat_model_s_answer_from_the_cache_is_told_as_one(
    recording: Recording, cache: None, how: str
) -> None:
    model = PureModel(answer=echo)
    await ask(model, how, QUESTION)
    await ask(model, how, QUESTION)

    steps = sorted((steps[0] for steps in recording.runs()), key=lambda step: step.seq)
    assert [step.attributes.get("becausal.cached", False) for step in steps] == [False, True]
    assert [value(step.produced)["content"] for step in steps] == ["you said what is it?"] * 2


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_text_model_s_answer_from_the_cache_is_told_though_no_callback_is(
    recording: Recording, cache: None, how: str
) -> None:
    await ask(PureText(), how, "one two")
    await ask(PureText(), how, "one two")

    steps = sorted((steps[0] for steps in recording.runs()), key=lambda step: step.seq)
    assert [step.attributes.get("becausal.cached", False) for step in steps] == [False, True]
    assert [value(step.received) for step in steps] == ["one two"] * 2
    assert [value(step.produced) for step in steps] == ["two one"] * 2
    assert steps[1].choices[0].conclusion == "answer: two one"


# Confidence


def logprobs(*values: float) -> list[dict[str, Any]]:
    return [{"token": "a", "logprob": value} for value in values]


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage("a", response_metadata={"logprobs": {"content": logprobs(-0.1, -0.3)}}),
        AIMessage("a", response_metadata={"logprobs": logprobs(-0.1, -0.3)}),
        AIMessage(
            "a", response_metadata={"logprobs": {"tokens": ["a", "b"], "token_logprobs": [-0.1, -0.3]}}
        ),
        AIMessage("a", response_metadata={"avg_logprobs": -0.2}),
        AIMessage([{"type": "text", "text": "a", "logprobs": logprobs(-0.1, -0.3)}]),
    ],
)
def test_confidence_is_read_from_each_provider_s_log_probabilities(answer: AIMessage) -> None:
    choice = choice_of(answer, ())

    assert choice.method == "logprobs"
    assert choice.score == pytest.approx(0.8187, abs=1e-4)


def test_a_text_model_s_log_probabilities_stand_beside_its_answer() -> None:
    choice = choice_of("a", (), information={"logprobs": {"token_logprobs": [None, -0.2]}})

    assert choice.method == "logprobs"
    assert choice.score == pytest.approx(0.8187, abs=1e-4)


@pytest.mark.parametrize(
    "told", [{"logprobs": None}, {"logprobs": {"content": []}}, {"logprobs": "none"}, {}]
)
def test_without_a_figure_there_is_no_confidence(told: dict[str, Any]) -> None:
    choice = choice_of(AIMessage("I am 95 % sure", response_metadata=told), ())

    assert (choice.score, choice.method) == (None, None)


def test_an_answer_in_json_may_state_how_sure_it_is() -> None:
    assert choice_of(AIMessage('{"city": "Rome", "confidence": 0.7}'), ()).score == 0.7
    assert choice_of(AIMessage('{"city": "Rome", "confidence": 0.7}'), ()).method == "stated"
    assert choice_of(AIMessage('{"film": "Roma", "score": 0.7}'), ()).score is None
    assert choice_of(AIMessage('{"confidence": 70}'), ()).score is None
    assert choice_of(AIMessage('{"confidence": true}'), ()).score is None
    assert choice_of(AIMessage('{"confidence": 0.7'), ()).score is None


def test_an_argument_of_an_ordinary_tool_call_is_no_confidence() -> None:
    message = AIMessage("", tool_calls=[tool_call("filter", confidence=0.5)])

    assert choice_of(message, ()).score is None
    assert choice_of(message, (), is_structured=True).score == 0.5


class Verdict(BaseModel):
    """A verdict."""

    city: str
    score: float


@pytest.mark.parametrize("is_async", [False, True])
async def test_structured_output_states_how_sure_it_is(recording: Recording, is_async: bool) -> None:
    def decide(messages: Sequence[BaseMessage]) -> AIMessage:
        return AIMessage("", tool_calls=[tool_call("Verdict", city="Rome", score=0.6)])

    asked = StructuredModel(answer=decide).with_structured_output(Verdict)
    verdict = await asked.ainvoke(QUESTION) if is_async else asked.invoke(QUESTION)

    assert verdict == Verdict(city="Rome", score=0.6)
    (model,) = (step for step in recording.last() if step.kind == "model")
    (choice,) = model.choices
    assert choice.conclusion == "call Verdict(city='Rome', score=0.6)"
    assert (choice.score, choice.method) == (0.6, "stated")


# Reasoning and conclusions


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage("Yes.", additional_kwargs={"reasoning_content": "Because."}),
        AIMessage([{"type": "thinking", "thinking": "Because."}, {"type": "text", "text": "Yes."}]),
        AIMessage([{"type": "reasoning", "reasoning": "Because."}, {"type": "text", "text": "Yes."}]),
        AIMessage(
            [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Because."}]},
                {"type": "text", "text": "Yes."},
            ]
        ),
        AIMessage("<think>\nBecause.\n</think>\n\nYes."),
    ],
)
def test_a_provider_s_reasoning_is_the_stated_reason(answer: AIMessage) -> None:
    choice = choice_of(answer, ())

    assert (choice.conclusion, choice.reason) == ("answer: Yes.", "Because.")


def test_a_long_reason_is_cut_and_says_so() -> None:
    reason = choice_of(AIMessage("Yes.", additional_kwargs={"reasoning_content": "x" * 5000}), ()).reason

    assert reason is not None
    assert (len(reason), reason[-1]) == (500, "…")


def test_a_call_of_a_transfer_tool_is_a_handover() -> None:
    to_billing, to_sales = tool_call("transfer_to_billing"), tool_call("transfer_to_sales", why="price")
    search = tool_call("search", query="it")

    def conclusion(*calls: Any) -> str:
        return choice_of(AIMessage("", tool_calls=list(calls)), ()).conclusion

    assert conclusion(to_billing) == "hand over to billing"
    assert conclusion(to_billing, to_sales) == "hand over to billing, sales"
    assert conclusion(to_billing, search) == "call transfer_to_billing(), search(query='it')"


def test_a_call_whose_arguments_cannot_be_read_is_still_a_decision() -> None:
    broken: Any = {
        "name": "search",
        "args": '{"query": ',
        "id": "1",
        "error": "cut off",
        "type": "invalid_tool_call",
    }

    assert choice_of(AIMessage("", invalid_tool_calls=[broken]), ()).conclusion == (
        "call search(unreadable arguments)"
    )


def test_reasoning_that_is_streamed_is_put_together(recording: Recording) -> None:
    class Thinking(PureModel):
        def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Any:
            for part in ("Be", "cause."):
                message = AIMessageChunk(content="", additional_kwargs={"reasoning_content": part}, id="m")
                yield ChatGenerationChunk(message=message)
            yield ChatGenerationChunk(message=AIMessageChunk(content="Yes.", id="m"))

    list(Thinking(answer=echo).stream(QUESTION))

    (choice,) = one(recording).choices
    assert (choice.conclusion, choice.reason) == ("answer: Yes.", "Because.")


def test_a_premise_is_what_the_model_received_not_what_the_app_had(recording: Recording) -> None:
    StreamingModel(answer=echo).invoke([HumanMessage(json.dumps({"budget": 500}))])

    step = one(recording)
    assert step.choices[0].premises == ('{"budget": 500}',)
    assert [message["content"] for message in value(step.received)] == ['{"budget": 500}']
