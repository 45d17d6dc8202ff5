"""`becausal.callback()`: what callbacks can tell is recorded without patching, and the app's handlers miss nothing."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tests.conftest import Recording
from tests.integrations.fakes_langchain import (
    PureModel,
    State,
    StreamingModel,
    chain_of,
    echo,
    tool_call,
    use_tool_once,
)
from tests.integrations.kinds import Kinds

import becausal
from becausal.doctor import diagnose
from becausal.errors import AdapterError
from becausal.instrument import active_recorder, hooks_report
from becausal_integrations.langchain.listening import listening_of

both = pytest.mark.parametrize("is_async", [False, True])


@pytest.fixture
def heard(store: str) -> Iterator[Recording]:
    """Recording by callbacks alone."""
    becausal.callback(store=store)
    yield Recording(store)
    recorder = active_recorder()
    assert recorder is not None
    assert len(listening_of(recorder)._runs) == 0, "nothing is kept of a run that is over"
    becausal.uninstrument()


def config(**more: Any) -> Any:
    return {"callbacks": [becausal.callback()], **more}


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


def plan(state: State) -> Any:
    return {"findings": f"{state['question']} planned"}


def write(state: State) -> Any:
    return {"draft": f"{state['findings']} and written"}


@tool
def search(query: str) -> str:
    """Search."""
    return f"{query} is 42"


def agent() -> Any:
    """Return a graph of a model that searches once, and its tools."""
    model = PureModel(answer=use_tool_once("search", query="it"))

    def think(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    def goes_on(state: MessagesState) -> str:
        return "tools" if getattr(state["messages"][-1], "tool_calls", ()) else "__end__"

    graph = StateGraph(MessagesState).add_node("think", think).add_node("tools", ToolNode([search]))
    graph.add_edge(START, "think").add_conditional_edges("think", goes_on, ["tools", "__end__"])
    return graph.add_edge("tools", "think").compile()


# What is told


async def ran(graph: Any, how: str, given: Any, options: Any) -> None:
    if how == "invoke":
        graph.invoke(given, options)
    elif how == "ainvoke":
        await graph.ainvoke(given, options)
    elif how == "stream":
        list(graph.stream(given, options))
    elif how == "astream":
        [chunk async for chunk in graph.astream(given, options)]
    elif how == "batch":
        graph.batch([given], [options])
    else:
        [event async for event in graph.astream_events(given, options, version="v2")]


WAYS = pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream", "batch", "astream_events"])


@WAYS
async def test_nodes_and_the_handoffs_between_them_are_recorded(heard: Recording, how: str) -> None:
    await ran(chain_of(plan, write), how, {"question": "q"}, config())

    run = Kinds(heard.last())
    graph, planner, writer = run.one("workflow"), run.one("agent", "plan"), run.one("agent", "write")
    assert {planner.parent_id, writer.parent_id} == {graph.id}
    assert value(graph.received) == {"question": "q"}
    assert value(graph.produced)["draft"] == "q planned and written"
    assert run.senders(writer) == [planner]
    handoff = run.one("handoff")
    assert value(handoff.received) == {"findings": "q planned"}
    assert value(handoff.produced)["findings"] == "q planned"
    assert handoff.causes[0].grade == "inferred"


@WAYS
async def test_models_and_tools_are_recorded_under_their_nodes(heard: Recording, how: str) -> None:
    await ran(agent(), how, {"messages": [HumanMessage("what is it?")]}, config())

    run = Kinds(heard.last())
    first, second = run.all("model")
    call = run.one("tool")
    assert [run.by_id[str(step.parent_id)].name for step in (first, call, second)] == [
        "think",
        "tools",
        "think",
    ]
    assert (call.name, value(call.received), value(call.produced)) == ("search", {"query": "it"}, "it is 42")
    assert run.causes(call, "data") == [first]
    assert call.attributes["gen_ai.tool.call.id"] == "call-1"
    assert first.choices[0].conclusion == "call search(query='it')"
    assert second.choices[0].conclusion == "answer: the tool said it is 42"


@both
async def test_a_bare_chain_a_text_model_and_a_retriever_are_recorded(
    heard: Recording, is_async: bool
) -> None:
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return [Document(f"{query} is 42")]

    prompt = ChatPromptTemplate.from_template("Answer from {found}")
    bare: Any = {"found": Shelf()} | prompt | StreamingModel(answer=echo) | StrOutputParser()
    if is_async:
        await bare.ainvoke("it", config())
        await FakeListLLM(responses=["fine"]).ainvoke("how are you?", config())
    else:
        bare.invoke("it", config())
        FakeListLLM(responses=["fine"]).invoke("how are you?", config())

    text, chain = map(Kinds, heard.runs())
    assert (value(text.one("model").received), value(text.one("model").produced)) == ("how are you?", "fine")
    root = chain.one("workflow")
    found = chain.one("tool", "Shelf")
    assert {found.parent_id, chain.one("model").parent_id} == {root.id}
    assert value(found.received) == "it"
    assert value(found.produced)[0]["page_content"] == "it is 42"
    assert found.attributes["gen_ai.operation.name"] == "retrieval"


@both
async def test_each_item_of_a_batch_is_a_run_of_its_own(heard: Recording, is_async: bool) -> None:
    graph = chain_of(plan, write)
    asked = [{"question": f"q{index}"} for index in range(5)]
    await graph.abatch(asked, config()) if is_async else graph.batch(asked, config())

    runs = [Kinds(steps) for steps in heard.runs()]
    assert len(runs) == 5
    for run in runs:
        question = value(run.one("workflow").received)["question"]
        assert value(run.one("agent", "write").produced) == {"draft": f"{question} planned and written"}


def test_runs_in_many_threads_are_kept_apart(heard: Recording) -> None:
    graph = chain_of(plan, write)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: graph.invoke({"question": f"q{index}"}, config()), range(24)))

    assert len(heard.runs()) == 24
    assert all(len(Kinds(steps).all("handoff")) == 1 for steps in heard.runs())


def test_a_join_names_its_senders_and_a_doubtful_one_has_none(heard: Recording) -> None:
    def a(state: State) -> Any:
        return {"log": ["a"]}

    def b(state: State) -> Any:
        return {"log": ["b"]}

    def join(state: State) -> Any:
        return {"draft": ",".join(state["log"])}

    def after(state: State) -> Any:
        return {"findings": "!"}

    graph = StateGraph(State)
    for node in (plan, a, b, join, after):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "plan").add_edge("plan", "a").add_edge("plan", "b")
    graph.add_edge(["a", "b"], "join").add_edge("b", "after")
    compiled: Any = graph.compile()
    compiled.invoke({"question": "q"}, config())

    run = Kinds(heard.last())
    assert {step.name for step in run.senders(run.one("agent", "join"))} == {"a", "b"}
    assert run.senders(run.one("agent", "after")) == []


@both
async def test_an_interrupt_is_no_error(heard: Recording, is_async: bool) -> None:
    def ask(state: State) -> Any:
        return {"findings": interrupt("ok?")}

    graph, thread = chain_of(ask, checkpointer=InMemorySaver()), {"configurable": {"thread_id": "t1"}}
    turns: list[Any] = [{"question": "q"}, Command(resume="yes")]
    for given in turns:
        await graph.ainvoke(given, config(**thread)) if is_async else graph.invoke(given, config(**thread))

    after, before = map(Kinds, heard.runs())
    assert (before.one("agent").status, before.one("workflow").status) == ("interrupted", "interrupted")
    assert (after.one("agent").status, after.one("workflow").status) == ("ok", "ok")
    assert before.one("workflow").attributes["gen_ai.conversation.id"] == "t1"


@both
async def test_the_app_s_exception_is_the_same_object(heard: Recording, is_async: bool) -> None:
    trouble = ValueError("not today")

    def fail(_: Sequence[BaseMessage]) -> AIMessage:
        raise trouble

    model = PureModel(answer=fail)

    def node(state: State) -> Any:
        return {"draft": model.invoke(state["question"]).content}

    with pytest.raises(ValueError, match="not today") as caught:
        await ran(chain_of(node), "ainvoke" if is_async else "invoke", {"question": "q"}, config())

    assert caught.value is trouble
    run = Kinds(heard.last())
    assert {run.one(kind).status for kind in ("workflow", "agent", "model")} == {"error"}


@both
async def test_tries_are_numbered(heard: Recording, is_async: bool) -> None:
    def fail(_: Sequence[BaseMessage]) -> AIMessage:
        raise ConnectionError("no line")

    tries = PureModel(answer=fail).with_fallbacks([PureModel(answer=echo, model="second")])
    bare: Any = ChatPromptTemplate.from_template("{question}") | tries
    await bare.ainvoke({"question": "q"}, config()) if is_async else bare.invoke({"question": "q"}, config())

    run = Kinds(heard.last())
    failed, answered = run.one("model", "pure-1"), run.one("model", "second")
    assert run.causes(answered, "retry") == [failed]
    assert answered.attributes["becausal.attempt"] == 2


@both
async def test_what_the_model_is_told_of_a_tool_s_failure_is_recorded_as_one(
    heard: Recording, is_async: bool
) -> None:
    search_node = ToolNode([search])
    asked = AIMessage("", tool_calls=[tool_call("search", question="it")])
    graph = StateGraph(MessagesState).add_node("tools", search_node).add_edge(START, "tools").compile()
    given: Any = {"messages": [asked]}
    await graph.ainvoke(given, config()) if is_async else graph.invoke(given, config())

    call = Kinds(heard.last()).one("tool")
    assert (call.status, value(call.received)) == ("error", {"question": "it"})


# The app notices nothing


class Listener(BaseCallbackHandler):
    """Notes what LangChain tells the app's own handlers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self.heard.append("start")

    def on_llm_new_token(self, *_: Any, **__: Any) -> None:
        self.heard.append("token")

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self.heard.append("end")


@pytest.mark.parametrize("is_first", [False, True])
@both
async def test_the_app_s_own_handlers_hear_every_event(
    heard: Recording, is_first: bool, is_async: bool
) -> None:
    listener, ours = Listener(), becausal.callback()
    handlers = [ours, listener] if is_first else [listener, ours]
    model = FakeListLLM(responses=["fine"])
    if is_async:
        await model.ainvoke("hi", {"callbacks": handlers})
    else:
        model.invoke("hi", {"callbacks": handlers})

    assert listener.heard == ["start", "end"]


def test_it_is_not_taken_for_a_handler_that_wants_streams_or_runs_inline() -> None:
    from langchain_core.tracers._streaming import _StreamingCallbackHandler

    handler = becausal.callback(store="sqlite:///:memory:")
    becausal.uninstrument()

    assert handler.run_inline is False
    assert not isinstance(handler, _StreamingCallbackHandler)
    assert not any(inspect.iscoroutinefunction(getattr(handler, name)) for name in dir(handler))


@WAYS
async def test_nothing_is_current_during_or_after_a_run(
    heard: Recording, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    def node(state: State) -> Any:
        seen.append(becausal.context.current())
        return {"draft": "x"}

    before = otel_context.get_current()
    with caplog.at_level(logging.DEBUG):
        await ran(chain_of(node), how, {"question": "q"}, config())

    assert seen == [None]
    assert otel_context.get_current() is before
    assert [
        record for record in caplog.records if record.name.startswith(("opentelemetry", "langchain"))
    ] == []


def test_a_failure_of_ours_is_swallowed(heard: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    handler = becausal.callback()

    def explode(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("becausal_integrations.langchain.callback.listening_of", explode)
    result = chain_of(plan, write).invoke({"question": "q"}, {"callbacks": [handler]})

    assert result["draft"] == "q planned and written"


def test_a_run_that_is_left_midway_is_forgotten(heard: Recording) -> None:
    stream = chain_of(plan, write).stream({"question": "q"}, config())
    next(stream)
    stream.close()
    gc.collect()

    (graph,) = Kinds(heard.last()).all("workflow")
    assert graph.status == "closed"


def test_what_never_ends_below_a_run_is_forgotten_with_it(heard: Recording) -> None:
    handler, graph, model = becausal.callback(), uuid4(), uuid4()
    handler.on_chain_start({}, {"question": "q"}, run_id=graph, parent_run_id=None, name="graph")
    handler.on_llm_start({"name": "m"}, ["q"], run_id=model, parent_run_id=graph)
    handler.on_chain_end({}, run_id=graph, parent_run_id=None)

    assert Kinds(heard.last()).one("model").parent_id == Kinds(heard.last()).one("workflow").id


def test_many_runs_leave_nothing_behind(heard: Recording) -> None:
    graph = agent()
    for _ in range(30):
        graph.invoke({"messages": [HumanMessage("what is it?")]}, config())

    recorder = active_recorder()
    assert recorder is not None
    assert len(recorder._open) == 0


# With the rest of becausal


def test_the_root_joins_the_chain_and_the_span_that_are_current(store: str) -> None:
    provider = TracerProvider()
    becausal.callback(store=store, tracer_provider=provider)
    with (
        provider.get_tracer("app").start_as_current_span("request") as span,
        becausal.chain("by hand") as mine,
    ):
        chain_of(plan, write).invoke({"question": "q"}, config())
        trace_id = f"{span.get_span_context().trace_id:032x}"

    run = Kinds(Recording(store).last())
    becausal.uninstrument()
    assert run.one("workflow").parent_id == mine.id
    assert {step.trace_id for step in run.steps} == {trace_id}
    assert trace.get_current_span().get_span_context().is_valid is False


def test_two_handlers_count_as_one(heard: Recording) -> None:
    both_of_them = [becausal.callback(), becausal.callback()]
    chain_of(plan, write).invoke({"question": "q"}, {"callbacks": both_of_them})

    assert [step.kind for step in heard.last()] == ["workflow", "agent", "handoff", "agent"]


def test_it_is_silent_where_langchain_is_hooked(store: str) -> None:
    handler = becausal.callback(store=store)
    becausal.instrument(store=store)
    chain_of(plan, write).invoke({"question": "q"}, {"callbacks": [handler]})
    run = Kinds(Recording(store).last())
    becausal.uninstrument()

    assert len(run.all("workflow")) == 1
    assert "becausal.recorded_by" not in run.one("workflow").attributes


def test_it_is_silent_after_uninstrument_and_hooks_nothing(store: str) -> None:
    handler = becausal.callback(store=store)
    assert all(report.hooks == () for report in hooks_report())
    becausal.uninstrument()
    chain_of(plan, write).invoke({"question": "q"}, {"callbacks": [handler]})

    assert active_recorder() is None
    assert Recording(store).runs() == []


def test_last_run_and_flush_work_without_instrument(heard: Recording) -> None:
    chain_of(plan, write).invoke({"question": "q"}, config())

    run = becausal.last_run()
    assert becausal.flush()
    assert [(handoff.sender, handoff.receiver, handoff.verdict) for handoff in run.handoffs] == [
        ("plan", "write", "extended")
    ]
    assert run.why() is not None


def test_the_doctor_says_what_this_way_misses(heard: Recording) -> None:
    chain_of(plan, write).invoke({"question": "q"}, config())
    becausal.flush()

    assert diagnose().patient.by_callback is True
    becausal.uninstrument()
    assert diagnose(heard.store).patient.by_callback is True, "the newest run says so, in another process too"
    becausal.callback(store=heard.store)


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(AdapterError, match="no callback handler for 'autogen'; there are: langchain"):
        becausal.callback("autogen")


def test_asking_for_it_imports_no_framework_before() -> None:
    code = "import becausal, sys; assert not any(m.startswith('langchain') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_runs_beside_each_other_in_one_event_loop_are_kept_apart(heard: Recording) -> None:
    graph = chain_of(plan, write)
    await asyncio.gather(*(graph.ainvoke({"question": f"q{index}"}, config()) for index in range(10)))

    assert [len(Kinds(steps).all("handoff")) for steps in heard.runs()] == [1] * 10
