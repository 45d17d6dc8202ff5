"""Plays a case: as code of one's own, as a LangGraph graph, as an AutoGen team. Returns the recorded run."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import FunctionExecutionResultMessage, LLMMessage
from autogen_core.tools import FunctionTool
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import END, START, StateGraph
from tests.integrations.fakes_autogen import PureClient, Said
from tests.integrations.fakes_langchain import PureModel
from tests.provenance.case import Case
from typing_extensions import TypedDict

import becausal
from becausal.run import Run

__all__ = ["PLAYERS"]


def by_own_code(case: Case) -> Run:
    """Agents that are functions; some have a model of LangChain, others reckon by themselves."""
    memory = becausal.Memory(f"notes-{uuid.uuid4().hex[:8]}")
    if case.memory:
        with becausal.chain("remember"):
            for key, value in case.memory.items():
                memory.write(key, value)
    with becausal.chain(case.request) as chain:
        heard, envelope = case.request, None
        for number, name in enumerate(case.agents):
            if envelope is None:
                with becausal.agent(name, received=heard) as turn:
                    said = _turn(case, number, name, heard, memory)
                    turn.returned(said)
                    envelope = _handoff(case, number, said)
            else:
                with becausal.receive(name, envelope) as payload:
                    said = _turn(case, number, name, str(payload), memory)
                    becausal.returned(said)
                    envelope = _handoff(case, number, said)
        chain.returned(said)
    return becausal.last_run()


def _handoff(case: Case, number: int, said: str) -> dict[str, object] | None:
    if number + 1 == len(case.agents):
        return None
    return becausal.handoff(case.agents[number], case.agents[number + 1], said)


def _turn(case: Case, number: int, name: str, heard: str, memory: becausal.Memory) -> str:
    known = [heard]
    if number == 0:
        known += [f"{key}: {memory.read(key)}" for key in case.memory]
    for tool, agent in case.called_by.items():
        if agent == number:
            known.append(_as_text(becausal.tool(name=tool)(_tool(case, tool))()))
    if not case.is_model[number]:
        return case.note(number, "\n".join(known))
    return str(_model(case, number).invoke([HumanMessage("\n".join(known))]).content)


def _as_text(given: str | dict[str, Any]) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _tool(case: Case, name: str) -> Callable[[], str | dict[str, Any]]:
    def look_up() -> str | dict[str, Any]:
        return case.given_by(name)

    look_up.__name__ = name
    return look_up


def _model(case: Case, number: int) -> PureModel:
    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        return AIMessage(case.note(number, "\n".join(str(message.content) for message in messages)))

    return PureModel(answer=answer)


def on_langgraph(case: Case) -> Run:
    """A row of nodes, each with a model that calls its tools."""
    fields: dict[str, Any] = {"request": str, **{f"{name}_note": str for name in case.agents}}
    graph: Any = StateGraph(TypedDict("Report", fields, total=False))  # type: ignore[operator]
    for number, name in enumerate(case.agents):
        graph.add_node(name, _node(case, number, name))
        graph.add_edge(case.agents[number - 1] if number else START, name)
    graph.add_edge(case.agents[-1], END)
    graph.compile().invoke({"request": case.request})
    return becausal.last_run()


def _node(case: Case, number: int, name: str) -> Callable[[Any], dict[str, str]]:
    mine = [tool for tool, agent in case.called_by.items() if agent == number]

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        done = sum(isinstance(message, ToolMessage) for message in messages)
        if done < len(mine):
            return AIMessage("", tool_calls=[{"name": mine[done], "args": {}, "id": f"call-{name}-{done}"}])
        return AIMessage(case.note(number, "\n".join(str(message.content) for message in messages)))

    def node(state: Any) -> dict[str, str]:
        tools = {
            tool: StructuredTool.from_function(_tool(case, tool), name=tool, description=tool)
            for tool in mine
        }
        heard = state["request"] if number == 0 else state[f"{case.agents[number - 1]}_note"]
        messages: list[BaseMessage] = [HumanMessage(heard)]
        while True:
            reply = PureModel(answer=answer).invoke(messages)
            messages.append(reply)
            calls = getattr(reply, "tool_calls", [])
            if not calls:
                return {f"{name}_note": str(reply.content)}
            messages += [tools[call["name"]].invoke(call) for call in calls]

    return node


def on_autogen(case: Case) -> Run:
    """A team that takes turns once; everybody hears everything."""

    async def hold() -> None:
        agents: list[Any] = [_assistant(case, number, name) for number, name in enumerate(case.agents)]
        await RoundRobinGroupChat(agents, max_turns=len(agents)).run(task=case.request)

    asyncio.run(hold())
    return becausal.last_run()


def _assistant(case: Case, number: int, name: str) -> AssistantAgent:
    mine = [tool for tool, agent in case.called_by.items() if agent == number]

    def answer(messages: Sequence[LLMMessage]) -> Said:
        done = sum(
            len(message.content)
            for message in messages
            if isinstance(message, FunctionExecutionResultMessage)
        )
        if done < len(mine):
            return [FunctionCall(id=f"call-{name}-{done}", name=mine[done], arguments="{}")]
        return case.note(number, "\n".join(map(_text, messages)))

    tools: list[Any] = [FunctionTool(_json_tool(case, tool), name=tool, description=tool) for tool in mine]
    return AssistantAgent(
        name, PureClient(answer), tools=tools, system_message=None, description=name,
        reflect_on_tool_use=False, max_tool_iterations=len(mine) + 1,
    )  # fmt: skip


def _json_tool(case: Case, name: str) -> Callable[[], str]:
    def look_up() -> str:
        return _as_text(case.given_by(name))

    look_up.__name__ = name
    return look_up


def _text(message: LLMMessage) -> str:
    if isinstance(message, FunctionExecutionResultMessage):
        return "\n".join(result.content for result in message.content)
    return message.content if isinstance(message.content, str) else ""


PLAYERS: Final = {"own code": by_own_code, "langgraph": on_langgraph, "autogen": on_autogen}
