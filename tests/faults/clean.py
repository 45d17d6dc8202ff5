"""Clean variations that no fault's twin covers: what looks like a fault and is none.

The others are in the cases themselves. Every clean run and sham rewords, reformats and reorders (C01, C02, C05, C08,
C09, C13, C16); some retry (C03), narrow a schema (C04), replace a version (C10), go round a bounded loop (C15), hit a
cache and repeat heartbeats (C17), or handle an error of a tool's (C18).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.model_context import BufferedChatCompletionContext
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from tests.faults.clean_more import MORE
from tests.faults.world import FORMATS, STYLES, World, read, write
from tests.integrations.fakes_autogen import speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__ = ["CLEAN"]


class Talk(TypedDict, total=False):
    request: str
    draft: str
    answer: str


def _model(world: World) -> PureModel:
    style, form = world.rng.choice(STYLES), world.rng.randrange(FORMATS)
    return PureModel(answer=lambda messages: AIMessage(write(read(str(messages[-1].content)), style, form)))


def _row(world: World, *nodes: tuple[str, Callable[[Any], Any]], **options: Any) -> Any:
    graph: Any = StateGraph(Talk)
    before = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph.compile(**options)


def trimmed_chatter(world: World) -> None:
    """C07: a window holds back what says nothing."""

    def small(messages: Any) -> str:
        return "Still looking into it."

    def whole(messages: Any) -> str:
        return write(world.asked, "lines", world.seed % FORMATS)

    def final(messages: Any) -> str:
        return write(read("\n".join(map(text_of, messages))), "bullets", world.seed % FORMATS)

    agents = [speaker("ada", small), speaker("bo", small), speaker("cleo", whole)]
    last = speaker("dan", final, model_context=BufferedChatCompletionContext(2))
    asyncio.run(_asked(RoundRobinGroupChat([*agents, last], max_turns=4), "Please sum up the purchase."))


async def _asked(team: Any, task: str) -> None:
    await team.run(task=task)


def fallback(world: World) -> None:
    """C12: a model fails, and another one answers the same."""

    def failing(messages: Sequence[BaseMessage]) -> AIMessage:
        raise ConnectionError("overloaded")

    model = PureModel(answer=failing).with_fallbacks([_model(world)])
    after = _model(world)
    _row(
        world,
        ("ada", lambda s: {"draft": str(model.invoke(s["request"]).content)}),
        ("bo", lambda s: {"answer": str(after.invoke(s["draft"]).content)}),
    ).invoke({"request": world.request()})


def human_edit(world: World) -> None:
    """C14: somebody who may do so changes a value while the graph waits for him."""
    first, last = _model(world), _model(world)

    def asks(state: Talk) -> dict[str, Any]:
        return {"draft": interrupt({"draft": state["draft"], "question": "Is this right?"})}

    graph = _row(
        world,
        ("ada", lambda s: {"draft": str(first.invoke(s["request"]).content)}),
        ("asks", asks),
        ("bo", lambda s: {"answer": str(last.invoke(s["draft"]).content)}),
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": f"thread-{world.seed}"}}
    graph.invoke({"request": world.request()}, config)
    approved = world.asked | {"quantity": 40 + world.seed}
    graph.invoke(Command(resume=write(approved, "lines", 0)), config)


def refusal(world: World) -> None:
    """C18: a guardrail stops what may not be done, and says so."""
    model = _model(world)
    _row(
        world,
        ("ada", lambda s: {"draft": str(model.invoke(s["request"]).content)}),
        ("guard", lambda s: {"answer": "I cannot place this order: it needs the approval of a manager."}),
    ).invoke({"request": world.request()})


CLEAN: Final[dict[str, Callable[[World], None]]] = {
    "C07": trimmed_chatter,
    "C12": fallback,
    "C14": human_edit,
    "C18": refusal,
    **MORE,
}
