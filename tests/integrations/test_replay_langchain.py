"""Chains, models, tools and retrievers of LangChain run again, answered from the record."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException, tool
from tests.integrations.fakes_langchain import PureModel, StreamingModel, echo
from tests.integrations.replays import without_the_outside

import becausal
from becausal.replay import DivergenceError
from becausal.run import Run

asked: list[str] = []


@dataclasses.dataclass
class Offer:
    price: int


@tool
def price(item: str) -> Offer:
    """Look a price up."""
    asked.append(item)
    return Offer(3)


@tool(response_format="content_and_artifact")
def chart(title: str) -> tuple[str, dict[str, Any]]:
    """Draw."""
    asked.append(title)
    return "a chart", {"z": 1, "a": b"\x00"}


@tool
def refuse(item: str) -> str:
    """Refuse."""
    asked.append(item)
    raise ToolException("never", item)


class Shelf(BaseRetriever):
    """Finds two documents."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        asked.append(query)
        return [Document(f"{query} is 42", metadata={"z": 1, "page": number}) for number in range(2)]


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[None]:
    asked.clear()
    becausal.instrument("langchain", store=tmp_path / "becausal.db")
    yield
    becausal.uninstrument()


def last() -> Run:
    run = becausal.last_run()
    asked.clear()
    return run


def test_a_chain_is_replayed() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "be brief"), ("user", "{question}")])
    chain = prompt | PureModel(answer=echo) | StrOutputParser()
    told = chain.invoke({"question": "what is it?"})
    run = last()

    with without_the_outside():
        replay = run.replay(chain)

    assert replay.value == told
    assert replay.reproduced


def test_a_chain_that_is_async_alone_is_called_so() -> None:
    async def ask(question: str) -> str:
        return str((await PureModel(answer=echo).ainvoke(question)).content)

    chain = RunnableLambda(ask)
    told = asyncio.run(chain.ainvoke("what?"))
    run = last()

    with without_the_outside():
        replay = run.replay(chain)

    assert replay.value == told
    assert replay.reproduced


@pytest.mark.parametrize(
    ("found", "given", "told"),
    [
        (price, {"item": "tea"}, Offer(3)),
        (Shelf(), "tea", [Document("tea is 42", metadata={"z": 1, "page": number}) for number in range(2)]),
    ],
)
def test_a_tool_and_a_retriever_are_answered_with_objects(found: Any, given: Any, told: Any) -> None:
    assert found.invoke(given) == told
    run = last()

    assert run.replay(found).value == told
    assert asked == []


def test_an_artifact_and_a_refusal_are_as_they_were() -> None:
    def app(title: str) -> list[Any]:
        with becausal.chain(title):
            drawn = chart.invoke({"name": "chart", "args": {"title": title}, "id": "c", "type": "tool_call"})
            quiet = refuse.model_copy(update={"handle_tool_error": lambda error: f"handled {error.args}"})
            try:
                refuse.invoke({"item": title})
            except ToolException as error:
                return [drawn, list(drawn.artifact), quiet.invoke({"item": title}), error.args]
            return []

    told = app("tea")
    run = last()

    assert run.replay(app).value == told
    assert told[1:] == [["z", "a"], "handled ('never', 'tea')", ("never", "tea")]
    assert asked == []


def test_a_model_streams_in_the_same_pieces_to_whoever_listens() -> None:
    class Tokens(BaseCallbackHandler):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def on_llm_new_token(self, token: Any, **_: Any) -> None:
            self.heard.append(token)

    heard: list[list[str]] = []

    def app(question: str) -> Any:
        tokens = Tokens()
        heard.append(tokens.heard)
        with becausal.chain(question):
            model = StreamingModel(answer=echo)
            return list(model.stream([HumanMessage(question)], {"callbacks": [tokens]}))

    told = app("a question of many words")
    run = last()

    with without_the_outside():
        again = run.replay(app).value

    assert [piece.content for piece in again] == [piece.content for piece in told]
    assert [piece.usage_metadata for piece in again] == [piece.usage_metadata for piece in told]
    assert heard[0] == heard[1]
    assert len(heard[0]) > 4


def test_a_text_model_answers_several_prompts() -> None:
    model = FakeListLLM(responses=["one", "two", "three"])

    def app(question: str) -> Any:
        with becausal.chain(question):
            return [model.batch([question, question]), list(model.stream(question))]

    told = app("count")
    run = last()

    with without_the_outside():
        replay = run.replay(app)

    assert replay.value == told


def test_what_came_from_a_cache_comes_from_the_record() -> None:
    cache = InMemoryCache()

    def app(question: str) -> Any:
        model = PureModel(answer=echo, cache=cache)
        with becausal.chain(question):
            return [model.invoke([HumanMessage(question, id="h")]) for _ in range(2)]

    told = app("what?")
    run = last()
    before = dict(cache._cache)
    cache.clear()

    with without_the_outside():
        replay = run.replay(app)

    assert replay.value == told
    assert replay.reproduced
    assert cache._cache == {}
    assert before


def test_fallbacks_and_retries_go_the_same_way() -> None:
    def broken(_: Any) -> AIMessage:
        raise ConnectionError("no model")

    model = PureModel(answer=broken, model="broken").with_retry(
        retry_if_exception_type=(ConnectionError,), wait_exponential_jitter=False, stop_after_attempt=2
    )
    both = model.with_fallbacks([PureModel(answer=echo, model="good")])

    def app(question: str) -> Any:
        with becausal.chain(question):
            return both.invoke([HumanMessage(question)]).content

    told = app("what?")
    run = last()

    with without_the_outside():
        replay = run.replay(app)

    assert replay.value == told
    assert replay.reproduced
    assert [step.status for step in replay.run.steps if step.kind == "model"].count("error") == 2


def test_no_fallback_goes_on_where_the_record_ends() -> None:
    model = PureModel(answer=echo)

    def app(question: str) -> Any:
        with becausal.chain(question):
            return model.with_fallbacks([PureModel(answer=echo, model="other")]).invoke(
                f"{len(asked)} {question}"
            )

    app("what?")
    run = last()
    asked.append("changes what is asked")

    replay = run.replay(app)

    assert replay.divergence is not None
    assert len([step for step in replay.run.steps if step.kind == "model"]) == 1


def test_nothing_is_hooked_once_the_replay_is_over() -> None:
    model = PureModel(answer=echo)
    chain = model | StrOutputParser()
    chain.invoke("what?")
    run = last()
    before = [vars(PureModel)["_generate"], vars(type(price))["_run"], vars(BaseRetriever)["invoke"]]

    run.replay(chain)

    after = [vars(PureModel)["_generate"], vars(type(price))["_run"], vars(BaseRetriever)["invoke"]]
    assert all(one is other for one, other in zip(before, after, strict=True))


async def test_a_divergence_of_a_model_that_is_asked_asynchronously_comes_to_the_app_as_such(
    recording: Path,
) -> None:
    said: list[BaseException] = []
    words = ["tea"]

    async def asks(request: str) -> None:
        with becausal.chain(request):
            try:
                await PureModel(answer=echo).ainvoke([HumanMessage(words[0])])
            except BaseException as error:
                said.append(error)
                raise

    await asks("ask")
    run = becausal.last_run()
    words[0] = "coffee"

    played = await run.areplay(asks)

    assert played.divergence is not None
    assert [type(error) for error in said] == [DivergenceError]
