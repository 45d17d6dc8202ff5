"""Retrievers: a retrieval is a step with its query and its documents, and the app notices nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv

PAGES = [
    Document("The market is 20 million.", metadata={"page": 1}, id="p1"),
    Document("It grows by 3 percent.", metadata={"page": 2}, id="p2"),
]
TROUBLE = OSError("no index")


class Containing(BaseRetriever):
    """Finds the pages that have a word of the query in them."""

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [page for page in PAGES if set(query.lower().split()) & set(page.page_content.lower().split())]


class Failing(BaseRetriever):
    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        raise TROUBLE


class Rephrasing(BaseRetriever):
    """Asks a model for another query, and a retriever for the documents."""

    model: Any
    behind: Any

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return list(self.behind.invoke(self.model.invoke(query).content))


class Own(Containing):
    """Has doors of its own before those of its base."""

    def invoke(self, input: str, *args: Any, **kwargs: Any) -> list[Document]:
        return super().invoke(input, *args, **kwargs)[:1]

    async def ainvoke(self, input: str, *args: Any, **kwargs: Any) -> list[Document]:
        return (await super().ainvoke(input, *args, **kwargs))[:1]


def vectors() -> BaseRetriever:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(PAGES)
    return store.as_retriever(search_kwargs={"k": 1})


async def called(retriever: Any, how: str, query: str, **kwargs: Any) -> Any:
    return retriever.invoke(query, **kwargs) if how == "sync" else await retriever.ainvoke(query, **kwargs)


def contents(payload: Any) -> list[tuple[str, int]]:
    return [(page["page_content"], page["metadata"]["page"]) for page in payload.value()]


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("retriever", [Containing(), Own()])
async def test_a_retrieval_is_a_step_with_query_and_documents(
    recording: Recording, retriever: BaseRetriever, how: str
) -> None:
    assert await called(retriever, how, "the market") == PAGES[:1]

    (step,) = recording.last()
    assert (step.kind, step.name, step.status) == ("tool", type(retriever).__name__, "ok")
    assert step.attributes[semconv.OPERATION_NAME] == "retrieval"
    assert step.received is not None
    assert step.received.value() == "the market"
    assert contents(step.produced) == [("The market is 20 million.", 1)]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_vector_store_s_retriever_is_seen(recording: Recording, how: str) -> None:
    found = await called(vectors(), how, "It grows by 3 percent.")
    assert [page.metadata for page in found] == [{"page": 2}]

    (step,) = recording.last()
    assert step.name == "VectorStoreRetriever"
    assert contents(step.produced) == [("It grows by 3 percent.", 2)]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_retriever_s_exception_is_the_same_object(recording: Recording, how: str) -> None:
    with pytest.raises(OSError, match="no index") as caught:
        await called(Failing(), how, "anything")

    assert caught.value is TROUBLE
    (step,) = recording.last()
    assert (step.status, step.error) == ("error", "OSError: no index")


class Moody(Containing):
    """Fails the first time."""

    calls: list[str]

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        self.calls.append(query)
        if len(self.calls) == 1:
            raise TROUBLE
        return super()._get_relevant_documents(query)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_another_try_is_numbered_and_led_back_to_the_failed_one(recording: Recording, how: str) -> None:
    retriever = Moody(calls=[]).with_retry(wait_exponential_jitter=False)
    assert await called(retriever, how, "market") == PAGES[:1]

    failed, answered = Kinds(recording.last()).all("tool", "Moody")
    assert (failed.status, answered.status) == ("error", "ok")
    assert answered.attributes[semconv.ATTEMPT] == 2
    assert [(cause.source_id, cause.kind) for cause in answered.causes] == [(failed.id, "retry")]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_fallback_is_led_back_to_the_retriever_that_failed(recording: Recording, how: str) -> None:
    assert await called(Failing().with_fallbacks([Containing()]), how, "market") == PAGES[:1]

    steps = Kinds(recording.last())
    failed, answered = steps.one("tool", "Failing"), steps.one("tool", "Containing")
    assert [(cause.source_id, cause.kind) for cause in answered.causes] == [(failed.id, "retry")]


def test_what_a_retriever_asks_for_stands_under_it(recording: Recording) -> None:
    model = PureModel(answer=lambda messages: AIMessage(f"{messages[-1].content} grows"))
    Rephrasing(model=model, behind=Containing()).invoke("it")

    steps = Kinds(recording.last())
    outer = steps.one("tool", "Rephrasing")
    assert steps.one("model").parent_id == outer.id
    assert steps.one("tool", "Containing").parent_id == outer.id


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_retriever_behind_a_tool_stands_under_the_tool(recording: Recording, how: str) -> None:
    lookup = create_retriever_tool(Containing(), "lookup", "Look up a page.")
    assert await called(lookup, how, {"query": "market"}) == "The market is 20 million."  # type: ignore[arg-type]

    steps = Kinds(recording.last())
    assert steps.one("tool", "Containing").parent_id == steps.one("tool", "lookup").id


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_retriever_in_a_chain_is_in_the_chain_s_run(recording: Recording, how: str) -> None:
    prompt = PromptTemplate.from_template("{pages} {question}")
    model = PureModel(answer=lambda messages: AIMessage(str(messages[-1].content)[:20]))
    app: Any = {"pages": Containing(), "question": RunnablePassthrough()} | prompt | model
    await called(app, how, "market")

    steps = Kinds(recording.last())
    assert len(steps.all("tool", "Containing")) == len(steps.all("model")) == 1


def test_each_query_of_a_batch_is_a_retrieval(recording: Recording) -> None:
    with becausal.chain("batch"):
        found = Containing().batch(["market", "grows"])
    assert found == [PAGES[:1], PAGES[1:]]

    steps = Kinds(recording.last()).all("tool")
    assert sorted(str(step.received.value()) for step in steps if step.received) == ["grows", "market"]


def test_a_retrieval_goes_by_its_run_name(recording: Recording) -> None:
    Containing().invoke("market", config={"run_name": "pages"})

    assert recording.last()[0].name == "pages"


def test_the_span_of_a_retrieval_is_called_so(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument(store=store, tracer_provider=provider)
    try:
        Containing().invoke("market")
    finally:
        becausal.uninstrument()

    (span,) = exporter.get_finished_spans()
    assert span.name == "retrieval Containing"
    assert dict(span.attributes or {})[semconv.OPERATION_NAME] == "retrieval"


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("make", [Containing, Own, vectors])
async def test_results_are_the_same_with_and_without(
    store: str, how: str, make: Callable[[], BaseRetriever]
) -> None:
    without = await called(make(), how, "The market")
    becausal.instrument(store=store)
    with_us = await called(make(), how, "The market")
    becausal.uninstrument()
    assert with_us == without


def test_wrong_arguments_fail_as_without_us(recording: Recording) -> None:
    retriever: Any = Containing()
    with pytest.raises(TypeError):
        retriever.invoke()


def test_a_retriever_defined_later_is_seen_and_all_are_as_before_in_the_end(store: str) -> None:
    before = (vars(BaseRetriever)["invoke"], vars(BaseRetriever)["ainvoke"], vars(Own)["invoke"])
    becausal.instrument(store=store)

    class Later(Containing):
        def invoke(self, input: str, *args: Any, **kwargs: Any) -> list[Document]:
            return super().invoke(input, *args, **kwargs)

    Later().invoke("market")
    steps = Recording(store).last()
    becausal.uninstrument()

    assert [step.name for step in steps] == ["Later"]
    assert (vars(BaseRetriever)["invoke"], vars(BaseRetriever)["ainvoke"], vars(Own)["invoke"]) == before
    assert not hasattr(vars(Later)["invoke"], "_self_becausal")
