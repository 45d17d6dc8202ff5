"""AutoGen: what a model really saw, what its context held back, and how a model call is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import MultiModalMessage, StructuredMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken, Image
from autogen_core.model_context import (
    BufferedChatCompletionContext,
    ChatCompletionContext,
    HeadAndTailChatCompletionContext,
    TokenLimitedChatCompletionContext,
    UnboundedChatCompletionContext,
)
from autogen_core.models import CreateResult, LLMMessage, UserMessage
from autogen_core.models._types import ChatCompletionTokenLogprob
from PIL import Image as Picture
from pydantic import BaseModel
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, speaker
from tests.integrations.kinds import Kinds, said

from becausal import semconv
from becausal.step import Step


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


def context_of(step: Step) -> tuple[object, object]:
    return step.attributes.get(semconv.CONTEXT_STORED), step.attributes.get(semconv.CONTEXT_SEEN)


def evicted(step: Step) -> list[str]:
    """Return the ids of the steps whose messages a model call no longer saw, or `unknown`."""
    found = step.attributes.get(semconv.CONTEXT_EVICTED, ())
    assert isinstance(found, tuple)
    return [entry.split(" ")[0] for entry in found]


# What is held back


async def test_a_context_that_drops_the_task_says_what_is_stored_what_was_seen_and_what_is_gone(
    recording: Recording,
) -> None:
    short = speaker("b", hears_all("b"), model_context=BufferedChatCompletionContext(buffer_size=1))

    result = await RoundRobinGroupChat([speaker("a"), short], max_turns=2).run(task="go")

    assert result.messages[-1].to_text() == "b[a(go)]"
    run = Kinds(recording.last())
    model = next(step for step in run.all("model") if step.agent == "b")
    assert context_of(model) == (2, 1)
    assert evicted(model) == [run.one("workflow").id]
    assert run.causes(model, "data") == [run.one("agent", "a")]


async def test_each_message_is_told_as_gone_once_however_long_the_chat_goes_on(recording: Recording) -> None:
    short = speaker("b", model_context=BufferedChatCompletionContext(buffer_size=2))
    team = RoundRobinGroupChat([speaker("a", lambda _: "A"), short], max_turns=40)

    await team.run(task="go")

    run = Kinds(recording.last())
    models = [step for step in run.all("model") if step.agent == "b"]
    gone = [entry for step in models for entry in step.attributes.get(semconv.CONTEXT_EVICTED, ())]  # type: ignore[union-attr]
    assert len(gone) == len(set(gone)) == 38
    assert max(len(evicted(step)) for step in models) <= 2


CONTEXTS: dict[str, Callable[[], ChatCompletionContext]] = {
    "head and tail": lambda: HeadAndTailChatCompletionContext(head_size=1, tail_size=1),
    "token limited": lambda: TokenLimitedChatCompletionContext(PureClient(adds("t")), token_limit=3),
}


@pytest.mark.parametrize("kind", CONTEXTS)
async def test_what_goes_missing_in_the_middle_is_told_by_where_it_came_from(
    recording: Recording, kind: str
) -> None:
    agent = speaker("b", hears_all("b"), model_context=CONTEXTS[kind]())

    await RoundRobinGroupChat([speaker("a"), agent], max_turns=6).run(task="go")

    run = Kinds(recording.last())
    models = [step for step in run.all("model") if step.agent == "b"]
    gone = {entry for step in models for entry in evicted(step)}
    shown = said(models[-1].received)
    assert gone
    for id in gone:
        content = run.by_id[id].produced
        assert content is not None
        assert content.value()["content"] not in shown  # type: ignore[index]


async def test_an_unbounded_context_has_nothing_to_tell(recording: Recording) -> None:
    await RoundRobinGroupChat([speaker("a"), speaker("b")], max_turns=6).run(task="go")

    assert {context_of(model) for model in Kinds(recording.last()).all("model")} == {(None, None)}


class Forgets(UnboundedChatCompletionContext):
    """Shows all but what holds a word, as a context of an app's own may."""

    async def get_messages(self) -> list[LLMMessage]:
        return [message for message in await super().get_messages() if "secret" not in str(message.content)]


async def test_a_context_of_the_apps_own_is_compared_too(recording: Recording) -> None:
    agent = speaker("a", hears_all("a"), model_context=Forgets())

    await agent.run(task=[text("secret"), text("plain")])

    run = Kinds(recording.last())
    assert context_of(run.one("model")) == (2, 1)
    assert evicted(run.one("model")) == [run.one("request").id]


def text(content: str) -> Any:
    from autogen_agentchat.messages import TextMessage

    return TextMessage(content=content, source="user")


async def test_a_dropped_tool_result_is_named_by_its_tool(recording: Recording) -> None:
    ask = calls("lookup", hears_all("a"), q="x")
    agent = speaker(
        "a",
        lambda messages: ask(messages) if messages else "I was told nothing",
        tools=[lookup],
        reflect_on_tool_use=True,
        model_context=BufferedChatCompletionContext(buffer_size=1),
    )

    await agent.run(task="go")

    run = Kinds(recording.last())
    second = run.all("model")[1]
    assert run.one("tool").id in evicted(second)
    assert run.one("tool") not in run.causes(second, "data")


# The same content in another object


async def test_a_message_that_lost_its_pictures_on_the_way_to_the_model_is_known_by_what_it_says(
    recording: Recording,
) -> None:
    picture = Image(Picture.new("RGB", (1, 1)))
    seen = MultiModalMessage(content=["look at this", picture], source="user")

    await speaker("a", hears_all("a")).run(task=seen)

    run = Kinds(recording.last())
    cause = run.one("model").causes[0]
    assert (cause.source_id, cause.grade) == (run.one("request").id, "matched")
    assert "<image>" in run.one("model").received.text()  # type: ignore[union-attr]


class Answer(BaseModel):
    """A structured answer."""

    figure: int
    unit: str


async def test_a_structured_answer_keeps_its_fields_though_its_text_may_not(recording: Recording) -> None:
    agent = AssistantAgent(
        "a",
        PureClient(lambda _: '{"figure": 42, "unit": "km"}'),
        output_content_type=Answer,
        output_content_type_format="about {figure}",
    )

    result = await RoundRobinGroupChat(
        [agent, speaker("b")], max_turns=2, custom_message_types=[StructuredMessage[Answer]]
    ).run(task="go")

    assert result.messages[1].to_text() == "about 42"
    run = Kinds(recording.last())
    handoff = run.one("handoff", "a to b")
    assert handoff.produced is not None
    assert handoff.produced.value()["content"] == {"figure": 42, "unit": "km"}  # type: ignore[index]
    assert '"unit":"km"' in str(
        next(step for step in run.all("model") if step.agent == "b").received.value()  # type: ignore[union-attr]
    )


# Model calls


class Sure(PureClient):
    """Says how sure it is, and that it had the answer ready."""

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        result = await super().create(messages, **options)
        return result.model_copy(
            update={
                "cached": True,
                "logprobs": [
                    ChatCompletionTokenLogprob(token="x", logprob=-0.5),
                    ChatCompletionTokenLogprob(token="y", logprob=-1.5),
                ],
            }
        )


async def test_a_model_call_tells_its_thought_its_use_of_tokens_how_it_ended_and_how_sure_it_was(
    recording: Recording,
) -> None:
    await AssistantAgent("a", Sure(adds("a"), thought="it seems so")).run(task="go")

    model = Kinds(recording.last()).one("model")
    assert model.attributes[semconv.CACHED] is True
    assert model.attributes[semconv.FINISH_REASONS] == ("stop",)
    assert model.attributes[semconv.INPUT_TOKENS] == 2
    assert model.attributes[semconv.OUTPUT_TOKENS] == 1
    choice = model.choices[0]
    assert (choice.reason, choice.method) == ("it seems so", "logprobs")
    assert choice.score == pytest.approx(0.3679, abs=1e-4)


class Breaks(PureClient):
    """Loses its connection in the middle of an answer."""

    async def create_stream(self, messages: Sequence[LLMMessage], **_: Any) -> AsyncGenerator[Any, None]:
        yield "it is "
        yield "forty"
        raise ConnectionError("lost")


async def test_a_stream_that_breaks_off_is_an_error_and_what_it_had_said_is_kept(
    recording: Recording,
) -> None:
    with pytest.raises(ConnectionError):
        await AssistantAgent("a", Breaks(adds("a")), model_client_stream=True).run(task="go")

    model = Kinds(recording.last()).one("model")
    assert (model.status, model.error) == ("error", "ConnectionError: lost")
    assert model.produced is not None
    assert model.produced.value() == ["it is ", "forty"]


async def test_a_streamed_answer_is_the_same_step_as_one_at_once(recording: Recording) -> None:
    for streams in (False, True):
        await AssistantAgent("a", PureClient(adds("a")), model_client_stream=streams).run(task="go away")

    streamed, whole = (Kinds(run).one("model") for run in recording.runs())
    assert streamed.produced is not None
    assert whole.produced is not None
    assert streamed.produced.digest == whole.produced.digest


async def test_a_model_that_an_app_asks_itself_is_told_by_what_it_was_asked(recording: Recording) -> None:
    import becausal

    with becausal.agent("own"):
        await PureClient(adds("own")).create([UserMessage(content="go", source="user")])

    model = Kinds(recording.last()).one("model")
    assert model.agent == "own"
    assert "own(go)" in model.produced.text()  # type: ignore[union-attr]


async def test_only_what_is_new_to_an_agent_is_a_premise_of_its_answer(recording: Recording) -> None:
    team = RoundRobinGroupChat([speaker("a", hears_all("a")), speaker("b", hears_all("b"))], max_turns=3)

    await team.run(task="go", cancellation_token=CancellationToken())

    models = Kinds(recording.last()).all("model")
    assert models[0].choices[0].premises == ("go",)
    assert models[2].choices[0].premises == ("a[go]", "b[go + a[go]]")
