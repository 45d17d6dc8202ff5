"""`create_agent` with middleware: what the model really received, whose work it is, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("langchain", reason="create_agent is in langchain")

from langchain.agents import create_agent, middleware
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolRetryMiddleware,
    after_model,
    before_model,
    dynamic_prompt,
    wrap_model_call,
    wrap_tool_call,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, echo, tool_call, use_tool_once
from tests.integrations.having import accepts, needs
from tests.integrations.kinds import Kinds, said

both = pytest.mark.parametrize("is_async", [False, True])
TRIES: Any = {"initial_delay": 0, "jitter": False}


@tool
def search(query: str) -> str:
    """Search."""
    return f"{query} is 42"


def broken(_: Sequence[BaseMessage]) -> AIMessage:
    raise ConnectionError("no line")


def failing_once(then: Any) -> Any:
    tries: list[int] = []

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        tries.append(1)
        return broken(messages) if len(tries) == 1 else then(messages)

    return answer


def agent_of(
    *middleware: Any, model: Any = None, tools: Sequence[Any] = (search,), name: str = "finder", **more: Any
) -> Any:
    mind = PureModel(answer=use_tool_once("search", query="it")) if model is None else model
    return create_agent(mind, list(tools), middleware=list(middleware), name=name, **more)


async def run(agent: Any, is_async: bool, asked: Any = "what is it?", config: Any = None) -> list[Any]:
    given = asked if isinstance(asked, Command) else {"messages": [HumanMessage(asked)]}
    result = await agent.ainvoke(given, config) if is_async else agent.invoke(given, config)
    return list(result["messages"])


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


@both
async def test_all_of_an_agent_s_models_and_tools_are_its_own_work(
    recording: Recording, is_async: bool
) -> None:
    await run(agent_of(TodoListMiddleware()), is_async)

    run_ = Kinds(recording.last())
    assert {step.agent for step in run_.all("model") + run_.all("tool")} == {"finder"}
    first, second = run_.all("model")
    call = run_.one("tool")
    assert first.choices[0].conclusion == "call search(query='it')"
    assert first.choices[0].reason == "I have to look it up."
    assert run_.causes(call, "data") == [first]
    assert second.choices[0].conclusion == "answer: the tool said it is 42"
    assert second.choices[0].premises == ("it is 42",)


async def test_a_model_received_what_middleware_made_of_it(recording: Recording) -> None:
    @before_model
    def remind(state: Any, runtime: Any) -> dict[str, Any]:
        return {"messages": [HumanMessage("be quick", id=f"r{len(state['messages'])}")]}

    @dynamic_prompt
    def prompt(request: Any) -> str:
        return "You are terse."

    await run(agent_of(remind, prompt, model=PureModel(answer=echo)), False)

    assert said(Kinds(recording.last()).one("model").received) == [
        "You are terse.",
        "what is it?",
        "be quick",
    ]


async def test_wrapped_model_calls_are_told_as_they_are_made(recording: Recording) -> None:
    @wrap_model_call
    async def censor(request: Any, handler: Any) -> Any:
        changed = request.override(messages=[HumanMessage("[removed]")])
        return await handler(changed)

    @after_model
    def note(state: Any, runtime: Any) -> None:
        return None

    messages = await run(agent_of(censor, note, model=PureModel(answer=echo)), True)

    assert messages[-1].content == "you said [removed]"
    assert said(Kinds(recording.last()).one("model").received) == ["[removed]"]


@both
async def test_a_tool_call_that_middleware_changes_is_told_as_it_was_made(
    recording: Recording, is_async: bool
) -> None:
    class Rewrite(AgentMiddleware):
        def changed(self, request: Any) -> Any:
            return request.override(tool_call={**request.tool_call, "args": {"query": "something else"}})

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(self.changed(request))

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return await handler(self.changed(request))

    await run(agent_of(Rewrite()), is_async)

    run_ = Kinds(recording.last())
    assert run_.all("model")[0].choices[0].conclusion == "call search(query='it')"
    assert value(run_.one("tool").received) == {"query": "something else"}


def test_a_tool_call_that_middleware_denies_is_a_step_that_says_so(recording: Recording) -> None:
    @wrap_tool_call
    def deny(request: Any, handler: Any) -> ToolMessage:
        return ToolMessage("not allowed", tool_call_id=request.tool_call["id"], status="error")

    agent_of(deny).invoke({"messages": [HumanMessage("what is it?")]})

    run_ = Kinds(recording.last())
    step = run_.one("tool")
    assert (step.name, step.status, step.error) == ("search", "error", "not allowed")
    assert (value(step.received), value(step.produced)) == ({"query": "it"}, "not allowed")
    assert run_.causes(step, "data") == [run_.all("model")[0]]
    assert step.agent == "finder"


# Tries


@both
async def test_a_model_that_middleware_falls_back_to_is_led_to_the_one_that_failed(
    recording: Recording, is_async: bool
) -> None:
    fallback = ModelFallbackMiddleware(PureModel(answer=echo, model="second"))
    await run(agent_of(fallback, model=PureModel(answer=broken, model="first")), is_async)

    run_ = Kinds(recording.last())
    failed, answered = run_.one("model", "first"), run_.one("model", "second")
    assert (failed.status, answered.status) == ("error", "ok")
    assert run_.causes(answered, "retry") == [failed]
    assert answered.attributes["becausal.attempt"] == 2
    assert {failed.agent, answered.agent} == {"finder"}


@needs(hasattr(middleware, "ModelRetryMiddleware"), "ModelRetryMiddleware (langchain 1.1)")
@both
async def test_tries_of_a_model_by_middleware_are_numbered(recording: Recording, is_async: bool) -> None:
    model = PureModel(answer=failing_once(echo))
    await run(agent_of(middleware.ModelRetryMiddleware(**TRIES), model=model), is_async)

    run_ = Kinds(recording.last())
    failed, answered = run_.all("model")
    assert (failed.status, answered.status, answered.attributes["becausal.attempt"]) == ("error", "ok", 2)
    assert run_.causes(answered, "retry") == [failed]


@both
async def test_tries_of_a_tool_by_middleware_are_numbered(recording: Recording, is_async: bool) -> None:
    tries: list[str] = []

    @tool("search")
    def flaky(query: str) -> str:
        """Fail at first."""
        tries.append(query)
        if len(tries) < 3:
            raise ConnectionError("no line")
        return "42"

    await run(agent_of(ToolRetryMiddleware(**TRIES), tools=[flaky]), is_async)

    run_ = Kinds(recording.last())
    calls = run_.all("tool")
    decided = run_.all("model")[0]
    assert [step.status for step in calls] == ["error", "error", "ok"]
    assert [step.attributes.get("becausal.attempt") for step in calls] == [None, 2, 3]
    assert [run_.causes(step, "data") for step in calls] == [[decided]] * 3
    assert [run_.causes(step, "retry") for step in calls] == [[], calls[:1], calls[1:2]]


# Longer stories


@needs(
    accepts(SummarizationMiddleware.__init__, "trigger"), "trigger of SummarizationMiddleware (langchain 1.1)"
)
@both
async def test_a_summary_is_a_model_call_of_its_own_and_what_follows_reads_it(
    recording: Recording, is_async: bool
) -> None:
    summarizer = PureModel(answer=lambda _: AIMessage("they asked for it"), model="summarizer")
    short = SummarizationMiddleware(model=summarizer, trigger=("messages", 3), keep=("messages", 1))
    agent = agent_of(short, model=PureModel(answer=echo))
    asked = {"messages": [("user", "a"), ("ai", "b"), ("user", "c"), ("ai", "d"), ("user", "e")]}
    await agent.ainvoke(asked) if is_async else agent.invoke(asked)

    run_ = Kinds(recording.last())
    summary, answer = run_.all("model")
    assert (summary.name, summary.agent, answer.agent) == ("summarizer", "finder", "finder")
    received = said(answer.received)
    assert "they asked for it" in received[0]
    assert received[-1] == "e"


@both
async def test_a_human_in_the_loop_interrupts_and_the_approved_call_is_led_to_who_decided_on_it(
    recording: Recording, is_async: bool
) -> None:
    gate = HumanInTheLoopMiddleware(interrupt_on={"search": True})
    agent = agent_of(gate, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    await run(agent, is_async, config=config)
    assert Kinds(recording.last()).all("tool") == []
    await run(agent, is_async, Command(resume={"decisions": [{"type": "approve"}]}), config)

    run_ = Kinds(recording.last())
    call = run_.one("tool")
    assert (call.status, value(call.received)) == ("ok", {"query": "it"})
    assert run_.causes(call, "data") == [run_.all("model")[0]]


@both
async def test_an_agent_inside_a_tool_does_its_own_work_under_the_tool(
    recording: Recording, is_async: bool
) -> None:
    inner = agent_of(name="librarian")

    if is_async:

        @tool("ask_librarian")
        async def ask(question: str) -> str:
            """Ask the librarian."""
            result = await inner.ainvoke({"messages": [HumanMessage(question)]})
            return str(result["messages"][-1].content)
    else:

        @tool("ask_librarian")
        def ask(question: str) -> str:
            """Ask the librarian."""
            return str(inner.invoke({"messages": [HumanMessage(question)]})["messages"][-1].content)

    mind = PureModel(answer=use_tool_once("ask_librarian", question="what is it?"), model="outer-1")
    messages = await run(agent_of(model=mind, tools=[ask], name="boss"), is_async)

    assert messages[-1].content == "the tool said the tool said it is 42"
    run_ = Kinds(recording.last())
    outer, nested = run_.one("tool", "ask_librarian"), run_.one("tool", "search")
    assert (outer.agent, nested.agent) == ("boss", "librarian")
    assert value(outer.received) == {"question": "what is it?"}
    assert value(outer.produced) == "the tool said it is 42"
    assert {step.agent for step in run_.all("model", "outer-1")} == {"boss"}
    assert {step.agent for step in run_.all("model", "pure-1")} == {"librarian"}
    assert run_.one("workflow", "librarian").parent_id == outer.id


def test_a_handover_by_a_tool_is_a_decision_that_names_the_agent(recording: Recording) -> None:
    @tool
    def transfer_to_billing() -> str:
        """Hand over to billing."""
        return "transferred"

    def mind(messages: Sequence[BaseMessage]) -> AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return AIMessage("done")
        return AIMessage("", tool_calls=[tool_call("transfer_to_billing")])

    agent_of(model=PureModel(answer=mind), tools=[transfer_to_billing]).invoke({"messages": [("user", "x")]})

    first = Kinds(recording.last()).all("model")[0]
    assert [choice.conclusion for choice in first.choices] == ["hand over to billing"]


def test_parallel_tool_calls_of_an_agent_are_one_step_each(recording: Recording) -> None:
    def mind(messages: Sequence[BaseMessage]) -> AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return AIMessage("done")
        return AIMessage("", tool_calls=[tool_call("search", f"c{i}", query=f"q{i}") for i in range(4)])

    agent_of(model=PureModel(answer=mind)).invoke({"messages": [("user", "x")]})

    run_ = Kinds(recording.last())
    calls = run_.all("tool")
    assert sorted(value(step.received)["query"] for step in calls) == ["q0", "q1", "q2", "q3"]
    assert all(run_.causes(step, "data") == [run_.all("model")[0]] for step in calls)
    assert {step.agent for step in calls} == {"finder"}
