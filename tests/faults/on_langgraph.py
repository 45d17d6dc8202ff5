"""An app of the benchmark as a LangGraph graph: one channel an agent; its reducer is where things befall it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import END, START, StateGraph
from tests.faults.app import App, Asks, answer, note, told
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__ = ["graph_of", "mind", "run", "spoken"]


def run(app: App) -> str:
    """Run an app; return its answer."""
    return str(graph_of(app).compile().invoke({"request": app.world.request()})["answer"])


def mind(app: App, name: str) -> PureModel:
    """Return an agent's model."""

    def said(messages: Sequence[BaseMessage]) -> AIMessage:
        heard = "\n".join(str(m.content) for m in messages if isinstance(m, HumanMessage))
        results = [str(m.content) for m in messages if isinstance(m, ToolMessage)]
        made = answer(app.roles[name], heard, results)
        if isinstance(made, Asks):
            call_id = f"call-{name}-{len(results)}"
            return AIMessage(
                "", tool_calls=[{"name": made.tool, "args": dict(made.arguments), "id": call_id}]
            )
        return AIMessage(app.meddler.said(name, made))

    return PureModel(answer=said)


def spoken(app: App, name: str, heard: str) -> str:
    """Let an agent's model speak, and run the tools that it asks for, until it answers."""
    model = mind(app, name)
    tools = {
        key: StructuredTool.from_function(tool, name=key, description=key) for key, tool in app.tools.items()
    }
    messages: list[BaseMessage] = [SystemMessage(f"You are {name}."), HumanMessage(heard)]
    while True:
        reply = model.invoke(messages)
        messages.append(reply)
        calls = getattr(reply, "tool_calls", [])
        if not calls:
            return str(reply.content)
        for call in calls:
            arguments = app.meddler.executed(call["name"], dict(call["args"]))
            for _ in range(app.meddler.ran(call["name"])):
                result = _executed(app, tools[call["name"]], {**call, "args": arguments})
            messages.append(result)


def _executed(app: App, tool: StructuredTool, call: dict[str, Any]) -> ToolMessage:
    for _ in range(app.retries + 1):
        try:
            result = tool.invoke(call)
        except ConnectionError as error:
            result = ToolMessage(f"I could not look it up: {error}", tool_call_id=call["id"])
        else:
            break
    assert isinstance(result, ToolMessage)
    return result


def graph_of(app: App) -> Any:
    """Return an app's graph."""
    fields: dict[str, Any] = {"request": str, "answer": str}
    payload = dict if app.is_record else str
    for name in app.plan.agents[:-1]:
        fields[f"{name}_note"] = Annotated[payload, _channel(app, name)]
    fields |= dict.fromkeys(app.declared, Any)
    graph: Any = StateGraph(TypedDict("Purchase", fields, total=False))  # type: ignore[operator]
    for name, heard in app.plan.hears.items():
        graph.add_node(name, _node(app, name))
        waited = heard[:1] if name in app.hasty else heard
        graph.add_edge(list(waited) if len(waited) > 1 else waited[0] if waited else START, name)
    graph.add_edge(app.plan.last, END)
    return graph


def _channel(app: App, name: str) -> Callable[[Any, Any], Any]:
    return lambda _, new: app.meddler.sent(name, new)


def _node(app: App, name: str) -> Callable[[Any], dict[str, Any]]:
    def node(state: Any) -> dict[str, Any]:
        heard = [
            (other, state[f"{other}_note"]) for other in app.plan.hears[name] if f"{other}_note" in state
        ]
        text = spoken(app, name, told(heard) if heard else state["request"])
        if name == app.plan.last:
            return {"answer": text}
        return {f"{name}_note": note(text, app.is_record), **app.extra.get(name, {})}

    return node
