"""Tools in every form: one step for each call, with the model's arguments, the raw answer, and who decided on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    ToolException,
    tool,
)
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, State, tool_call
from tests.integrations.kinds import Kinds

import becausal
from becausal_integrations.langchain.arguments import injected_fields, own_arguments


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


def asking(*calls: dict[str, Any]) -> PureModel:
    """Return a model that asks for these calls, whatever it reads."""
    return PureModel(answer=lambda _: AIMessage("", tool_calls=[dict(call) for call in calls]))


def graph_of(tools: Sequence[Any], *calls: dict[str, Any], **compiled: Any) -> Any:
    """Return a graph of a model that asks for these calls, and a `ToolNode` that makes them."""
    node = tools[0] if isinstance(tools[0], ToolNode) else ToolNode(list(tools))
    model = asking(*calls)

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", node)
    graph.add_edge(START, "think")
    graph.add_edge("think", "tools")
    return graph.compile(**compiled)


async def run(graph: Any, is_async: bool, config: Any = None) -> list[Any]:
    asked = {"messages": [HumanMessage("go")]}
    result = await graph.ainvoke(asked, config) if is_async else graph.invoke(asked, config)
    return [message for message in result["messages"] if isinstance(message, ToolMessage)]


both = pytest.mark.parametrize("is_async", [False, True])


# Forms


@tool
def plain(query: str) -> str:
    """Search."""
    return f"{query} is 42"


class Query(BaseModel):
    query: str


def _search(query: str) -> str:
    return f"{query} is 42"


async def _asearch(query: str) -> str:
    await asyncio.sleep(0)
    return f"{query} is 42"


class OwnTool(BaseTool):
    name: str = "own"
    description: str = "Search."
    args_schema: Any = Query

    def _run(self, query: str) -> str:
        return _search(query)

    async def _arun(self, query: str) -> str:
        return await _asearch(query)


structured = StructuredTool.from_function(
    _search, name="structured", description="Search.", args_schema=Query
)
async_only = StructuredTool.from_function(coroutine=_asearch, name="async_only", description="Search.")
by_json = StructuredTool.from_function(
    _search,
    name="by_json",
    description="Search.",
    args_schema={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)


@pytest.mark.parametrize("form", [plain, structured, OwnTool(), by_json, async_only])
@both
async def test_every_form_of_tool_is_one_step(recording: Recording, form: BaseTool, is_async: bool) -> None:
    if form is async_only and not is_async:
        pytest.skip("it has no sync form")
    call: Any = tool_call(form.name, query="it")
    message = await form.ainvoke(call) if is_async else form.invoke(call)

    assert message.content == "it is 42"
    (step,) = recording.last()
    assert (step.kind, step.name, step.status) == ("tool", form.name, "ok")
    assert value(step.received) == {"query": "it"}
    assert value(step.produced) == "it is 42"
    assert step.attributes["gen_ai.tool.call.id"] == "call-1"


def test_a_tool_that_is_called_with_plain_text_is_a_step_too(recording: Recording) -> None:
    assert plain.invoke("it") == "it is 42"

    (step,) = recording.last()
    assert (value(step.received), value(step.produced)) == ("it", "it is 42")


@both
async def test_parallel_calls_of_a_tool_node_are_one_step_each_with_the_model_call_that_decided(
    recording: Recording, is_async: bool
) -> None:
    calls = [tool_call("plain", f"c{index}", query=f"q{index}") for index in range(8)]
    messages = await run(graph_of([plain], *calls), is_async)

    assert [message.content for message in messages] == [f"q{index} is 42" for index in range(8)]
    run_ = Kinds(recording.last())
    steps = run_.all("tool")
    assert sorted(str(step.attributes["gen_ai.tool.call.id"]) for step in steps) == [
        f"c{i}" for i in range(8)
    ]
    for step in steps:
        index = str(step.attributes["gen_ai.tool.call.id"])[1:]
        assert value(step.received) == {"query": f"q{index}"}
        assert run_.causes(step, "data") == [run_.one("model")]
        assert run_.by_id[str(step.parent_id)].name == "tools"
        assert step.agent == "tools"


# Injection


@tool
def remember(
    fact: str,
    state: Annotated[dict[str, Any], InjectedState],
    store: Annotated[BaseStore, InjectedStore()],
    call_id: Annotated[str, InjectedToolCallId],
    user: Annotated[str, InjectedToolArg] = "nobody",
) -> str:
    """Remember."""
    return f"{fact} of {len(state['messages'])} {call_id} {store is not None}"


@both
async def test_what_langgraph_injects_is_not_told_as_the_model_s_arguments(
    recording: Recording, is_async: bool
) -> None:
    graph = graph_of([remember], tool_call("remember", fact="x"), store=InMemoryStore())
    (message,) = await run(graph, is_async)

    assert message.content == "x of 2 call-1 True"
    step = Kinds(recording.last()).one("tool")
    assert value(step.received) == {"fact": "x"}


def test_injected_fields_are_known_where_langchain_does_not_tell_them() -> None:
    assert injected_fields(remember.args_schema) == {"state", "store", "call_id", "user"}  # type: ignore[arg-type]

    class Old:  # as of langchain-core 0.3
        args_schema = remember.args_schema

    given: dict[str, Any] = {
        "fact": "x",
        "state": {},
        "store": None,
        "call_id": "1",
        "user": "me",
        "run_manager": None,
    }
    assert own_arguments(Old(), given) == {"fact": "x"}  # type: ignore[arg-type]
    assert own_arguments(Old(), "text") == "text"  # type: ignore[arg-type]


def test_a_runtime_is_not_told_as_an_argument(recording: Recording) -> None:
    prebuilt: Any = pytest.importorskip("langgraph.prebuilt")
    runtime_type = getattr(prebuilt, "ToolRuntime", None)
    if runtime_type is None:
        pytest.skip("this version has no ToolRuntime")

    def look(fact: str, runtime: Any) -> str:
        """Look."""
        return f"{fact} {runtime.tool_call_id}"

    look.__annotations__["runtime"] = runtime_type
    asyncio.run(run(graph_of([tool(look)], tool_call("look", fact="x")), False))

    step = Kinds(recording.last()).one("tool")
    assert (value(step.received), value(step.produced)) == ({"fact": "x"}, "x call-1")


# Answers


@both
async def test_an_artifact_stays_beside_the_answer(recording: Recording, is_async: bool) -> None:
    @tool(response_format="content_and_artifact")
    def chart(title: str) -> tuple[str, dict[str, int]]:
        """Draw."""
        return "a chart", {"points": 3}

    (message,) = await run(graph_of([chart], tool_call("chart", title="x")), is_async)

    assert (message.content, message.artifact) == ("a chart", {"points": 3})
    step = Kinds(recording.last()).one("tool")
    assert value(step.produced) == ("a chart", {"points": 3})
    assert step.attributes["becausal.tool.artifact"] is True


def test_return_direct_changes_nothing_of_the_step(recording: Recording) -> None:
    @tool(return_direct=True)
    def last_word(query: str) -> str:
        """Answer."""
        return f"{query}: done"

    last_word.invoke(tool_call("last_word", query="it"))

    (step,) = recording.last()
    assert value(step.produced) == "it: done"


def test_a_command_that_a_tool_returns_is_its_raw_answer(recording: Recording) -> None:
    @tool
    def jump(call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Jump."""
        return Command(update={"messages": [ToolMessage("jumped", tool_call_id=call_id)]})

    (message,) = asyncio.run(run(graph_of([jump], tool_call("jump")), False))

    assert message.content == "jumped"
    step = Kinds(recording.last()).one("tool")
    assert (step.status, value(step.received)) == ("ok", {})
    assert value(step.produced)["update"]["messages"][0]["content"] == "jumped"


def test_a_message_of_the_tool_s_own_that_says_error_is_an_error(recording: Recording) -> None:
    @tool
    def refuse(call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Refuse."""
        return ToolMessage("quota used up", tool_call_id=call_id, status="error")

    asyncio.run(run(graph_of([refuse], tool_call("refuse")), False))

    step = Kinds(recording.last()).one("tool")
    assert (step.status, step.error) == ("error", "quota used up")


# Errors


def failing(**settings: Any) -> BaseTool:
    @tool
    def fail(query: str) -> str:
        """Fail."""
        raise ToolException(f"no {query} today")

    for name, setting in settings.items():
        setattr(fail, name, setting)
    return fail


def shorten(error: ToolException) -> str:
    return f"sorry: {error}"


@pytest.mark.parametrize(
    ("handler", "told"),
    [(True, "no it today"), ("try later", "try later"), (shorten, "sorry: no it today")],
)
@both
async def test_an_error_that_the_tool_answers_is_a_failed_step_with_that_answer(
    recording: Recording, handler: Any, told: str, is_async: bool
) -> None:
    fail = failing(handle_tool_error=handler)
    call: Any = tool_call("fail", query="it")
    message = await fail.ainvoke(call) if is_async else fail.invoke(call)

    assert (message.content, message.status) == (told, "error")
    (step,) = recording.last()
    assert (step.status, step.error, value(step.produced)) == ("error", told, told)


@both
async def test_an_error_that_nobody_handles_reaches_the_app(recording: Recording, is_async: bool) -> None:
    fail = failing(handle_tool_error=False)

    with pytest.raises(ToolException, match="no it today"):
        await fail.ainvoke({"query": "it"}) if is_async else fail.invoke({"query": "it"})

    (step,) = recording.last()
    assert (step.status, step.error, step.produced) == ("error", "ToolException: no it today", None)


def told_late(error: Exception) -> str:
    becausal.flush()  # the failed step is in the store by now
    return f"sorry: {error}"


@pytest.mark.parametrize("handle", [True, "try later", (ToolException,), told_late])
@both
async def test_a_failure_that_a_tool_node_tells_as_data_is_a_failed_step_with_what_was_told(
    recording: Recording, handle: Any, is_async: bool
) -> None:
    node = ToolNode([failing()], handle_tool_errors=handle)
    (message,) = await run(graph_of([node], tool_call("fail", query="it")), is_async)

    assert message.status == "error"
    step = Kinds(recording.last()).one("tool")
    assert (step.status, step.error) == ("error", "ToolException: no it today")
    assert value(step.produced) == message.content


@both
async def test_a_tool_that_does_not_exist_is_a_failed_step_all_the_same(
    recording: Recording, is_async: bool
) -> None:
    (message,) = await run(graph_of([plain], tool_call("invented", query="it")), is_async)

    assert message.status == "error"
    run_ = Kinds(recording.last())
    step = run_.one("tool")
    assert (step.name, step.status, value(step.received)) == ("invented", "error", {"query": "it"})
    assert value(step.produced) == message.content
    assert step.error is not None
    assert step.error.startswith("Error: invented is not a valid tool")
    assert run_.causes(step, "data") == [run_.one("model")]
    assert run_.by_id[str(step.parent_id)].name == "tools"


@both
async def test_arguments_that_do_not_fit_are_a_failed_step_all_the_same(
    recording: Recording, is_async: bool
) -> None:
    (message,) = await run(graph_of([plain], tool_call("plain", question="it")), is_async)

    assert message.status == "error"
    step = Kinds(recording.last()).one("tool")
    assert (step.status, value(step.received)) == ("error", {"question": "it"})
    assert value(step.produced) == message.content


@both
async def test_a_call_that_is_interrupted_is_no_failure_and_is_resumed(
    recording: Recording, is_async: bool
) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    @tool
    def ask(question: str) -> str:
        """Ask."""
        return f"they said {interrupt(question)}"

    graph = graph_of([ask], tool_call("ask", question="ok?"), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    await run(graph, is_async, config)
    (message,) = (await graph.ainvoke(Command(resume="yes"), config))["messages"][-1:]

    assert message.content == "they said yes"
    run_ = Kinds(recording.last())
    before, after = run_.all("tool")
    assert (before.status, after.status) == ("interrupted", "ok")
    assert run_.causes(after, "resume") == [before]
    assert "becausal.attempt" not in after.attributes


# Tries


def test_a_call_that_is_made_again_is_numbered_and_led_to_the_one_before(recording: Recording) -> None:
    tries: list[str] = []

    @tool
    def flaky(query: str) -> str:
        """Fail at first."""
        tries.append(query)
        if len(tries) < 3:
            raise ConnectionError("no line")
        return "42"

    with becausal.chain("look it up"):
        asked = asking(tool_call("flaky", query="it")).invoke("go")
        for _ in range(3):
            try:
                flaky.invoke(asked.tool_calls[0])
            except ConnectionError:
                continue

    run_ = Kinds(recording.last())
    first, second, third = run_.all("tool")
    assert [step.status for step in (first, second, third)] == ["error", "error", "ok"]
    assert [step.attributes.get("becausal.attempt") for step in (first, second, third)] == [None, 2, 3]
    assert (run_.causes(second, "retry"), run_.causes(third, "retry")) == ([first], [second])


@both
async def test_tries_of_a_tool_with_retry_are_numbered(recording: Recording, is_async: bool) -> None:
    tries: list[str] = []

    @tool
    def flaky(query: str) -> str:
        """Fail at first."""
        tries.append(query)
        if len(tries) < 2:
            raise ConnectionError("no line")
        return "42"

    patient = flaky.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    call = {"query": "it"}
    assert (await patient.ainvoke(call) if is_async else patient.invoke(call)) == "42"

    run_ = Kinds(recording.last())
    first, second = run_.all("tool")
    assert [first.status, second.status] == ["error", "ok"]
    assert second.attributes["becausal.attempt"] == 2
    assert run_.causes(second, "retry") == [first]


def test_a_new_decision_is_no_other_try_though_its_id_is_the_same(recording: Recording) -> None:
    model = asking(tool_call("plain", query="it"))
    with becausal.chain("twice"):
        for _ in range(2):
            plain.invoke(model.invoke("go").tool_calls[0])

    run_ = Kinds(recording.last())
    calls, decided = run_.all("tool"), run_.all("model")
    assert [run_.causes(step) for step in calls] == [decided[:1], decided[1:]]
    assert ["becausal.attempt" in step.attributes for step in calls] == [False, False]


def test_calls_by_hand_that_share_an_id_are_no_tries_of_each_other(recording: Recording) -> None:
    with becausal.chain("by hand"):
        for query in ("a", "b"):
            plain.invoke(tool_call("plain", "c1", query=query))

    calls = Kinds(recording.last()).all("tool")
    assert [step.causes for step in calls] == [(), ()]
    assert ["becausal.attempt" in step.attributes for step in calls] == [False, False]


def test_agents_beside_each_other_may_give_the_same_ids(recording: Recording) -> None:
    meet = threading.Barrier(3)

    def worker(state: Any) -> Any:
        asked = asking(tool_call("plain", query=state["n"])).invoke("go")
        meet.wait(10)  # all have decided before one acts
        return {"log": [plain.invoke(asked.tool_calls[0]).content]}

    def spread(_: Any) -> list[Send]:
        return [Send("worker", {"n": f"q{index}"}) for index in range(3)]

    graph = StateGraph(State).add_node("worker", worker).add_conditional_edges(START, spread, ["worker"])
    compiled: Any = graph.compile()
    compiled.invoke({"question": "x"})

    run_ = Kinds(recording.last())
    calls = run_.all("tool")
    assert len(calls) == 3
    for step in calls:
        (decider,) = run_.causes(step)
        assert decider.parent_id == step.parent_id
        assert decider.choices[0].conclusion == f"call plain(query={value(step.received)['query']!r})"


def test_a_model_s_mind_is_not_needed_for_a_tool_node_to_be_told(recording: Recording) -> None:
    def answer(messages: Sequence[BaseMessage]) -> str:
        return str(messages[-1].content)

    node = ToolNode([plain])
    asked = AIMessage("", tool_calls=[tool_call("plain", query="it"), tool_call("gone", "call-2")])
    with becausal.chain("by hand"):
        messages = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()
        result = messages.invoke({"messages": [asked]})

    assert answer(result["messages"][1:2]) == "it is 42"
    steps = Kinds(recording.last()).all("tool")
    assert sorted((step.name, step.status) for step in steps) == [("gone", "error"), ("plain", "ok")]


def test_what_an_error_says_is_content_and_kept_only_where_content_is(store: str) -> None:
    becausal.instrument(store=store, capture="digest")
    asyncio.run(run(graph_of([plain], tool_call("secret_tool", query="my address")), False))
    failing(handle_tool_error=True).invoke({"query": "my address"})
    steps = [step for steps in Recording(store).runs() for step in steps if step.kind == "tool"]
    becausal.uninstrument()

    assert sorted(str(step.error) for step in steps) == ["ToolException", "ToolMessage"]
