"""Models, messages and tools: chat graphs, `ToolNode`, `create_agent` with middleware, agents as tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, StructuredTool, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command
from tests.integrations.fakes_langchain import PureModel, StreamingModel, echo, tool_call, use_tool_once
from tests.integrations.graphs.case import Case
from tests.integrations.having import HAS_AGENTS, create_agent

__all__ = ["CASES"]

QUESTION: Any = {"messages": [HumanMessage("what is it?", id="h-1")]}
MORE: Any = {"messages": [HumanMessage("and then?", id="h-2")]}


@tool
def search(query: str) -> list[dict[str, str]]:
    """Search."""
    return [{"fact": f"{query} is 42"}]


@tool(response_format="content_and_artifact")
def chart(title: str) -> tuple[str, bytes]:
    """Draw."""
    return f"a chart of {title}", b"\x89PNG"


@tool
def refuse(query: str) -> str:
    """Refuse."""
    raise ToolException(f"not {query}")


@tool
def count(state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Count."""
    return f"{len(state['messages'])} messages"


@tool
def hand_over(call: Annotated[str, InjectedToolCallId]) -> Command[str]:
    """Hand over."""
    return Command(
        goto="closer", update={"messages": [ToolMessage("handed over", tool_call_id=call, id="t-1")]}
    )


def chat() -> Any:
    model = StreamingModel(answer=echo)

    def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    return messages_graph(talk)


def async_chat() -> Any:
    model = StreamingModel(answer=echo)

    async def talk(state: MessagesState) -> dict[str, Any]:
        pieces = [piece async for piece in model.astream(state["messages"])]
        return {"messages": ["".join(str(piece.content) for piece in pieces)]}

    return messages_graph(talk)


def text_model() -> Any:
    def talk(_: MessagesState) -> dict[str, Any]:
        return {"messages": [FakeListLLM(responses=["fine"]).invoke("how are you?")]}

    return messages_graph(talk)


def messages_graph(*nodes: Any) -> Any:
    graph: Any = StateGraph(MessagesState)
    graph.add_sequence(nodes)
    graph.add_edge(START, nodes[0].__name__)
    return graph.compile(checkpointer=InMemorySaver())


def forgetting() -> Any:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [echo(state["messages"])]}

    def forget(state: MessagesState) -> dict[str, Any]:
        return {"messages": [RemoveMessage(id=str(state["messages"][0].id))]}

    return messages_graph(answer, forget)


def calls(*wanted: dict[str, Any]) -> Any:
    """Return a node that asks for tools."""

    def ask(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("let me see", tool_calls=list(wanted), id="m-1")]}

    return ask


def with_ids(told: Any) -> Any:
    """Give a tool's messages their ids: else the reducer does so in place while the saver's thread writes them."""
    for update in told if isinstance(told, list) else [told]:
        for message in update.get("messages", ()) if isinstance(update, dict) else ():
            message.id = message.id or f"of {message.tool_call_id}"
    return told


def tool_node(*wanted: dict[str, Any], **options: Any) -> Any:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("ask", calls(*wanted))
    graph.add_node("tools", ToolNode([search, chart, refuse, count, hand_over], **options) | with_ids)
    graph.add_node("closer", lambda state: {"messages": [echo(state["messages"])]})
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", tools_condition)
    return graph.compile(checkpointer=InMemorySaver())


def parallel_tools() -> Any:
    return tool_node(
        tool_call("search", "c-1", query="it"),
        tool_call("chart", "c-2", title="it"),
        tool_call("count", "c-3"),
    )


def refusing_tools() -> Any:
    wanted = (tool_call("refuse", "c-1", query="it"), tool_call("unknown", "c-2", x=1))
    return tool_node(*wanted, handle_tool_errors=True)


def failing_tools() -> Any:
    return tool_node(tool_call("refuse", "c-1", query="it"), handle_tool_errors=False)


def commanding_tool() -> Any:
    return tool_node(tool_call("hand_over", "c-1"))


def agent(**options: Any) -> Any:
    model = StreamingModel(answer=use_tool_once("search", query="it"))
    return create_agent(model, [search], checkpointer=InMemorySaver(), name="finder", **options)


def an_agent() -> Any:
    return agent()


def guarded_agent() -> Any:
    from langchain.agents.middleware import AgentMiddleware

    class Guard(AgentMiddleware):
        def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
            return None

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(request)

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return ToolMessage("denied", tool_call_id=request.tool_call["id"], id="t-denied")

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return self.wrap_tool_call(request, handler)

    return agent(middleware=[Guard()])


def limited_agent() -> Any:
    from langchain.agents.middleware import ModelCallLimitMiddleware

    return agent(middleware=[ModelCallLimitMiddleware(run_limit=1)])


def asking_agent() -> Any:
    from langchain.agents.middleware import HumanInTheLoopMiddleware

    return agent(middleware=[HumanInTheLoopMiddleware(interrupt_on={"search": True})])


def agent_as_a_tool() -> Any:
    inner, thread = agent(), {"configurable": {"thread_id": "inside"}}

    def consult(query: str) -> str:
        """Ask the finder."""
        given = {"messages": [HumanMessage(query, id="h-in")]}
        return str(inner.invoke(given, thread)["messages"][-1].content)

    async def aconsult(query: str) -> str:
        given = {"messages": [HumanMessage(query, id="h-in")]}
        return str((await inner.ainvoke(given, thread))["messages"][-1].content)

    both = StructuredTool.from_function(consult, coroutine=aconsult)
    model = PureModel(answer=use_tool_once("consult", query="it"))
    return create_agent(model, [both], checkpointer=InMemorySaver(), name="chief")


def agents_in_a_team() -> Any:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("scout", agent_without_saver())
    graph.add_node("closer", lambda state: {"messages": [echo(state["messages"])]})
    graph.add_edge(START, "scout")
    graph.add_edge("scout", "closer")
    return graph.compile(checkpointer=InMemorySaver())


def agent_without_saver() -> Any:
    return create_agent(PureModel(answer=use_tool_once("search", query="it")), [search])


def silent(messages: Sequence[BaseMessage]) -> AIMessage:
    raise ConnectionError(f"no model for {len(messages)} messages")


def a_model_that_fails() -> Any:
    def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [StreamingModel(answer=silent).invoke(state["messages"])]}

    return messages_graph(talk)


def a_model_with_a_fallback() -> Any:
    model = PureModel(answer=silent).with_fallbacks([PureModel(answer=echo)])

    def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    return messages_graph(talk)


APPROVED: Any = Command(resume={"decisions": [{"type": "approve"}]})

CASES = (
    Case("a chat", chat, (QUESTION, MORE)),
    Case("an async chat", async_chat, (QUESTION,)),
    Case("a text model", text_model, (QUESTION,)),
    Case("messages removed", forgetting, (QUESTION, MORE)),
    Case("tools in parallel", parallel_tools, (QUESTION,), is_parallel=True),
    Case("tools that refuse", refusing_tools, (QUESTION,), is_parallel=True),
    Case("a tool that fails", failing_tools, (QUESTION,), raises="ToolException"),
    Case("a tool that commands", commanding_tool, (QUESTION,)),
    Case("a model that fails", a_model_that_fails, (QUESTION,), raises="ConnectionError"),
    Case("a model with a fallback", a_model_with_a_fallback, (QUESTION,)),
    Case("an agent", an_agent, (QUESTION, MORE), needs=HAS_AGENTS),
    Case("an agent with middleware", guarded_agent, (QUESTION,), needs=HAS_AGENTS),
    Case("an agent at its limit", limited_agent, (QUESTION,), needs=HAS_AGENTS),
    Case("an agent that asks a person", asking_agent, (QUESTION, APPROVED), needs=HAS_AGENTS),
    Case("an agent as a tool", agent_as_a_tool, (QUESTION,), needs=HAS_AGENTS),
    Case("an agent in a team", agents_in_a_team, (QUESTION,), needs=HAS_AGENTS),
)
