"""Runnables, in a graph or alone: a chain that is invoked is one run, and what is tried again stays to be seen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnablePassthrough, chain
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, StreamingModel, chain_of, echo
from tests.integrations.kinds import Kinds

import becausal
from becausal.recorder import Opening, Recorder

PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
WAYS = ("invoke", "ainvoke", "stream", "astream", "transform")


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


async def ask(runnable: Runnable[Any, Any], how: str, question: Any) -> Any:
    if how == "invoke":
        return runnable.invoke(question)
    if how == "ainvoke":
        return await runnable.ainvoke(question)
    if how == "stream":
        return "".join(runnable.stream(question))
    if how == "transform":
        return "".join(runnable.transform(iter([question])))
    return "".join([piece async for piece in runnable.astream(question)])


class Flaky:
    """A model's mind that fails so often before it answers."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, messages: Sequence[BaseMessage]) -> AIMessage:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("no line")
        return echo(messages)


def broken(_: Sequence[BaseMessage]) -> AIMessage:
    raise ConnectionError("no line")


# One run


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("model", [PureModel(answer=echo), StreamingModel(answer=echo)])
async def test_a_bare_chain_is_one_run_with_a_root(recording: Recording, model: Any, how: str) -> None:
    bare = PROMPT | model | StrOutputParser()
    assert await ask(bare, how, {"question": "what is it?"}) == "you said what is it?"

    run = Kinds(recording.last())
    root = run.one("workflow")
    assert (root.name, root.status, root.parent_id) == ("RunnableSequence", "ok", None)
    assert value(root.received) == {"question": "what is it?"}
    assert value(root.produced) == "you said what is it?"
    assert run.one("model").parent_id == root.id


async def test_a_chain_has_the_name_that_the_app_gave(recording: Recording) -> None:
    bare = (PROMPT | PureModel(answer=echo)).with_config(run_name="answerer")
    await bare.ainvoke({"question": "x"})

    assert Kinds(recording.last()).one("workflow").name == "answerer"


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_item_of_a_batch_is_a_run_of_its_own(recording: Recording, is_async: bool) -> None:
    bare = PROMPT | PureModel(answer=echo) | StrOutputParser()
    asked = [{"question": f"q{index}"} for index in range(6)]
    answers = await bare.abatch(asked) if is_async else bare.batch(asked)

    assert answers == [f"you said q{index}" for index in range(6)]
    runs = [Kinds(steps) for steps in recording.runs()]
    assert len(runs) == 6
    for run in runs:
        root, model = run.one("workflow"), run.one("model")
        assert (root.parent_id, model.parent_id) == (None, root.id)
        assert value(root.produced) == "you said " + value(root.received)["question"]
        assert value(model.produced)["content"] == value(root.produced)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_batch_that_is_let_fail_in_part_ends_every_run(recording: Recording, is_async: bool) -> None:
    def picky(messages: Sequence[BaseMessage]) -> AIMessage:
        if messages[-1].content == "q1":
            raise ValueError("not q1")
        return echo(messages)

    bare = PROMPT | PureModel(answer=picky)
    asked = [{"question": f"q{index}"} for index in range(3)]
    if is_async:
        answers = await bare.abatch(asked, return_exceptions=True)
    else:
        answers = bare.batch(asked, return_exceptions=True)

    assert [isinstance(answer, ValueError) for answer in answers] == [False, True, False]
    roots = sorted((Kinds(steps).one("workflow") for steps in recording.runs()), key=lambda step: step.seq)
    assert sorted(root.status for root in roots) == ["error", "ok", "ok"]


def test_the_parts_of_a_parallel_stand_beside_each_other(recording: Recording) -> None:
    both = RunnableParallel(
        a=PROMPT | PureModel(answer=echo), b=PROMPT | PureModel(answer=echo, model="pure-2")
    )
    both.invoke({"question": "x"})

    run = Kinds(recording.last())
    root = run.one("workflow")
    assert [step.parent_id for step in run.all("model")] == [root.id, root.id]
    assert [step.causes for step in run.all("model")] == [(), ()]


def test_a_part_that_begins_while_another_begins_the_run_waits_for_it(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, never = Recorder.begin, threading.Event()

    def slow(self: Recorder, opening: Opening) -> Any:
        if opening.kind == "workflow":
            never.wait(0.2)  # time enough for the others to come along
        return begin(self, opening)

    monkeypatch.setattr(Recorder, "begin", slow)
    parts = {name: RunnableLambda(lambda text: text) | PureModel(answer=echo) for name in "abc"}
    RunnableParallel(parts).invoke("x")

    run = Kinds(recording.last())
    root = run.one("workflow")
    assert [step.parent_id for step in run.all("model")] == [root.id] * 3


@pytest.mark.parametrize("is_async", [False, True])
async def test_own_code_in_a_chain_belongs_to_the_run(recording: Recording, is_async: bool) -> None:
    @becausal.tool
    def look_up(question: str) -> str:
        return f"{question}: 42"

    @tool
    def shout(text: str) -> str:
        """Shout."""
        return text.upper()

    @chain
    def answer(question: str) -> Any:
        return (RunnableLambda(look_up) | shout).invoke(question)

    result = await answer.ainvoke("it") if is_async else answer.invoke("it")

    assert result == "IT: 42"
    run = Kinds(recording.last())
    root = run.one("workflow", "answer")
    assert [step.name for step in run.all("tool")] == ["look_up", "shout"]
    assert {step.parent_id for step in run.all("tool")} == {root.id}


def test_a_graph_in_a_chain_belongs_to_the_run(recording: Recording) -> None:
    def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"draft": state["question"] + "!"}

    (RunnableLambda(lambda text: {"question": text}) | chain_of(node)).invoke("hi")

    run = Kinds(recording.last())
    inner, outer = run.one("workflow", "LangGraph"), run.one("workflow", "RunnableSequence")
    assert (inner.parent_id, outer.parent_id) == (outer.id, None)


def test_inside_a_graph_or_a_chain_of_the_app_s_own_no_step_is_added(recording: Recording) -> None:
    bare = PROMPT | PureModel(answer=echo) | StrOutputParser()

    def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"draft": bare.invoke({"question": state["question"]})}

    chain_of(node).invoke({"question": "x"})
    with becausal.chain("by hand"):
        bare.invoke({"question": "x"})

    kinds = sorted([step.kind for step in steps] for steps in recording.runs())
    assert kinds == [["request", "model"], ["workflow", "agent", "model"]]


def test_what_does_no_work_alone_is_no_run(recording: Recording) -> None:
    PROMPT.invoke({"question": "x"})
    StrOutputParser().invoke("x")
    PureModel(answer=echo).invoke("x")

    assert [[step.kind for step in steps] for steps in recording.runs()] == [["model"]]


@pytest.mark.parametrize("how", WAYS)
async def test_a_chain_s_exception_is_the_same_object(recording: Recording, how: str) -> None:
    trouble = ValueError("no model today")

    def fail(_: Sequence[BaseMessage]) -> AIMessage:
        raise trouble

    with pytest.raises(ValueError, match="no model today") as caught:
        await ask(PROMPT | PureModel(answer=fail), how, {"question": "x"})

    assert caught.value is trouble
    run = Kinds(recording.last())
    assert (run.one("workflow").status, run.one("model").status) == ("error", "error")


async def test_a_chain_s_stream_that_is_left_is_closed_and_leaks_nothing(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    bare = PROMPT | StreamingModel(answer=echo) | StrOutputParser()
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        stream = bare.stream({"question": "x"})
        next(stream)
        assert becausal.context.current() is None
        del stream
        astream = bare.astream({"question": "x"})
        await anext(astream)
        assert becausal.context.current() is None
        await asyncio.create_task(astream.aclose())  # type: ignore[attr-defined]
        gc.collect()
        await asyncio.get_running_loop().shutdown_asyncgens()  # as a loop does at its end

    runs = [Kinds(steps) for steps in recording.runs()]
    # A sync one LangChain reads to its end all the same (`_transform_stream_with_config`), and tells it as ended.
    assert [run.one("model").status for run in runs] == ["closed", "ok"]
    assert [run.one("workflow").status for run in runs] == ["closed", "ok"]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_runs_are_forgotten_when_they_are_over(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    from becausal_integrations.langchain import runnables

    made: list[Any] = []
    ours = runnables.Runnables.__init__

    def noting(self: Any, *args: Any) -> None:
        ours(self, *args)
        made.append(self)

    monkeypatch.setattr(runnables.Runnables, "__init__", noting)
    becausal.uninstrument()
    becausal.instrument(store=recording.store)
    model = PureModel(answer=broken).with_fallbacks([PureModel(answer=Flaky(1)).with_retry()])
    bare = PROMPT | model | StrOutputParser()
    for _ in range(20):
        bare.batch([{"question": "x"}] * 3, return_exceptions=True)
        "".join(bare.stream({"question": "x"}))

    (kept,) = made
    assert (len(kept._runs), len(kept._failed)) == (0, 0)


# Tries


def in_a_graph(runnable: Runnable[Any, Any]) -> Any:
    def node(state: MessagesState) -> Any:
        return {"messages": [runnable.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("around", ["model", "chain"])
async def test_tries_of_with_retry_are_numbered_and_the_failed_ones_kept(
    recording: Recording, is_async: bool, around: str
) -> None:
    model = PureModel(answer=Flaky(2))
    if around == "model":
        bare = PROMPT | model.with_retry(wait_exponential_jitter=False) | StrOutputParser()
    else:
        bare = (PROMPT | model).with_retry(wait_exponential_jitter=False) | StrOutputParser()
    await ask(bare, "ainvoke" if is_async else "invoke", {"question": "x"})

    run = Kinds(recording.last())
    first, second, third = run.all("model")
    assert [step.status for step in (first, second, third)] == ["error", "error", "ok"]
    assert [step.attributes.get("becausal.attempt") for step in (first, second, third)] == [None, 2, 3]
    assert (run.causes(second, "retry"), run.causes(third, "retry")) == ([first], [second])


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("around", ["model", "chain"])
async def test_a_fallback_s_answer_is_led_to_the_model_that_gave_it(
    recording: Recording, how: str, around: str
) -> None:
    first, second = PureModel(answer=broken, model="first"), PureModel(answer=echo, model="second")
    if around == "model":
        bare: Any = PROMPT | first.with_fallbacks([second]) | StrOutputParser()
    else:
        other = ChatPromptTemplate.from_template("Simply: {question}")
        bare = (PROMPT | first).with_fallbacks([other | second]) | StrOutputParser()
    assert "you said" in await ask(bare, how, {"question": "x"})

    run = Kinds(recording.last())
    failed, answered = run.one("model", "first"), run.one("model", "second")
    assert (failed.status, answered.status) == ("error", "ok")
    assert answered.attributes["becausal.attempt"] == 2
    (cause,) = answered.causes
    assert (cause.source_id, cause.kind, cause.grade) == (failed.id, "retry", "observed")
    assert run.one("workflow").status == "ok"


def test_a_fallback_that_words_its_question_anew_is_another_try_inside_a_graph_too(
    recording: Recording,
) -> None:
    prompts = [ChatPromptTemplate.from_messages([("human", f"{way}: {{it}}")]) for way in ("one", "two")]
    first, second = PureModel(answer=broken, model="first"), PureModel(answer=echo, model="second")
    elsewhere, chain = PureModel(answer=broken, model="elsewhere"), prompts[0] | first
    answering = chain.with_fallbacks([prompts[1] | second])

    def node(_: MessagesState) -> Any:
        with contextlib.suppress(ConnectionError):
            elsewhere.invoke("something else")
        return {"messages": [answering.invoke({"it": "x"})]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.compile().invoke({"messages": [("human", "go")]})

    run = Kinds(recording.last())
    failed, answered = run.one("model", "first"), run.one("model", "second")
    assert (run.causes(failed, "retry"), run.causes(answered, "retry")) == ([], [failed])
    assert answered.attributes["becausal.attempt"] == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_item_of_a_batch_has_tries_of_its_own(recording: Recording, is_async: bool) -> None:
    def picky(messages: Sequence[BaseMessage]) -> AIMessage:
        if messages[-1].content == "q1":
            raise ValueError("not q1")
        return echo(messages)

    model = PureModel(answer=picky).with_fallbacks([PureModel(answer=echo, model="second")])
    bare = PROMPT | model
    asked = [{"question": f"q{index}"} for index in range(3)]
    await bare.abatch(asked) if is_async else bare.batch(asked)

    runs = [Kinds(steps) for steps in recording.runs()]
    tried = [run for run in runs if len(run.all("model")) == 2]
    assert len(tried) == 1
    (run,) = tried
    assert run.causes(run.one("model", "second"), "retry") == [run.one("model", "pure-1")]


@pytest.mark.parametrize(
    "tries",
    [
        PureModel(answer=broken).with_fallbacks([PureModel(answer=echo, model="second")]),
        PureModel(answer=Flaky(1)).with_retry(wait_exponential_jitter=False),
    ],
)
def test_tries_inside_a_graph_are_told_as_well(recording: Recording, tries: Any) -> None:
    in_a_graph(tries).invoke({"messages": [("user", "x")]})

    run = Kinds(recording.last())
    failed, answered = run.all("model")
    assert run.causes(answered, "retry") == [failed]
    assert answered.attributes["becausal.attempt"] == 2


def test_a_loop_of_the_app_s_own_that_asks_again_is_known_by_its_messages(recording: Recording) -> None:
    model = PureModel(answer=Flaky(1))
    with becausal.chain("by hand"):
        for _ in range(2):
            try:
                model.invoke("x")
            except ConnectionError:
                model.invoke("something else")

    run = Kinds(recording.last())
    failed, other, again = run.all("model")
    assert (run.causes(other), run.causes(again, "retry")) == ([], [failed])
    assert again.causes[0].grade == "matched"


def test_a_part_beside_one_that_failed_is_no_other_try(recording: Recording) -> None:
    beside = RunnableParallel(a=PureModel(answer=broken), b=PureModel(answer=echo, model="second"))
    with pytest.raises(ConnectionError):
        (RunnablePassthrough[Any]() | beside).invoke("x", {"max_concurrency": 1})

    assert all(step.causes == () for step in Kinds(recording.last()).all("model"))


class Silent(Runnable[Any, Any]):
    """A runnable of the app's own that tells no callback of its run."""

    def invoke(self, input: Any, config: Any = None, **_: Any) -> Any:
        return "no matter"


@pytest.mark.parametrize("second", [RunnableLambda(lambda _: "no matter"), Silent()])
def test_what_follows_a_failure_that_was_made_good_is_no_other_try(
    recording: Recording, second: Runnable[Any, Any]
) -> None:
    made_good: Any = PureModel(answer=broken).with_fallbacks([second])
    bare = made_good | PureModel(answer=echo, model="next")
    bare.invoke("x")

    run = Kinds(recording.last())
    assert run.causes(run.one("model", "next")) == []
