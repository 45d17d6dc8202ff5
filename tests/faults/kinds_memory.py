"""Faults of what agents share: a graph's store and state, a team's memory."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType, MemoryQueryResult
from autogen_core.models import LLMMessage
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from tests.faults.case import Framework, Label, Site, Variant, fault
from tests.faults.edits import spoilt
from tests.faults.plan import Plan
from tests.faults.world import FORMATS, STYLES, World, read, write
from tests.integrations.fakes_autogen import Said, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__: list[str] = []

SHELF = ("facts",)


class Shelf(InMemoryStore):
    """A store that may give another thing than it holds, or keep another thing than it is given."""

    def __init__(self, variant: Variant, fault: str, wrong: str) -> None:
        super().__init__()
        self.variant, self.fault, self.wrong = variant, fault, wrong
        self.first: Any = None

    def put(self, namespace: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        super().put(namespace, key, value, *args, **kwargs)
        if self.first is None:
            self.first = super().get(namespace, key)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        is_old = self.variant == "faulty" and self.fault in ("F24", "F29")
        return self.first if is_old else super().get(*args, **kwargs)


class Purchase(TypedDict, total=False):
    request: str
    answer: str


def says(world: World, name: str) -> PureModel:
    """Return a model that writes down all that it is told."""
    from langchain_core.messages import AIMessage

    style, form = world.rng.choice(STYLES), world.rng.randrange(FORMATS)
    return PureModel(answer=lambda messages: AIMessage(write(read(str(messages[-1].content)), style, form)))


def on_a_shelf(world: World, variant: Variant, kind: str) -> tuple[str, list[str], str]:
    """Play agents that share a store: a scout writes, somebody writes again or withdraws, readers answer."""
    wrong = f"{spoilt('price', world.price, world.rng):.2f}"
    store = Shelf(variant, kind, wrong)
    names = Plan.of(world.rng, "chain", depth=world.rng.randint(4, 7)).agents
    models = {name: says(world, name) for name in names}
    graph: StateGraph[Any] = StateGraph(Purchase)
    withdraws = kind == "F29"

    def scout(state: Purchase) -> dict[str, Any]:
        models[names[0]].invoke(state["request"])
        price = wrong if kind == "F23" and variant == "faulty" else f"{world.price:.2f}"
        get_store().put(SHELF, "price", {"unit_price": price})
        return {}

    def changes(state: Purchase) -> dict[str, Any]:
        if withdraws:
            if variant == "faulty":
                get_store().delete(SHELF, "price")
        elif kind == "F24":
            get_store().put(SHELF, "price", {"unit_price": f"{world.price + 7:.2f}"})
        return {}

    def reads(name: str) -> Any:
        def node(state: Purchase) -> dict[str, Any]:
            found = get_store().get(SHELF, "price")
            said = f"Unit price: ${found.value['unit_price']}" if found is not None else ""
            heard = f"{state['request']}\n{state.get('answer', '')}\n{said}"
            return {"answer": str(models[name].invoke(heard).content)}

        return node

    nodes = {names[0]: scout, names[1]: changes, **{name: reads(name) for name in names[2:]}}
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    graph.compile(store=store).invoke({"request": world.request()})
    return wrong, list(names), "price"


class Board(ListMemory):
    """A team's memory that may give or keep another thing."""

    def __init__(self, variant: Variant, fault: str, wrong: str) -> None:
        super().__init__()
        self.variant, self.fault, self.wrong = variant, fault, wrong
        self.all: list[MemoryContent] = []

    async def add(self, content: MemoryContent, cancellation_token: Any = None) -> None:
        self.all.append(content)
        self._contents = [c for c in self._contents if (c.metadata or {}).get("id") != "price"]
        await super().add(content, cancellation_token)

    async def query(self, *args: Any, **kwargs: Any) -> MemoryQueryResult:
        is_old = self.variant == "faulty" and self.fault == "F24"
        return MemoryQueryResult(results=self.all[:1] if is_old else list(self._contents))

    async def update_context(self, model_context: Any) -> Any:
        kept = self._contents
        if self.variant == "faulty" and self.fault == "F24":
            self._contents = self.all[:1]
        try:
            return await super().update_context(model_context)
        finally:
            self._contents = kept


class Clerk(BaseChatAgent):
    """Writes what it knows to the memory, one after the other."""

    def __init__(self, name: str, board: ListMemory, texts: list[str]) -> None:
        super().__init__(name, "Keeps the board.")
        self.board, self.texts = board, texts

    @property
    def produced_message_types(self) -> Sequence[type[TextMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Any, cancellation_token: CancellationToken) -> Response:
        for text in self.texts:
            content = MemoryContent(content=text, mime_type=MemoryMimeType.TEXT, metadata={"id": "price"})
            await self.board.add(content)
        return Response(chat_message=TextMessage(content="The board is up to date.", source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        pass


def on_a_board(world: World, variant: Variant, kind: str) -> tuple[str, list[str], str]:
    """Play a team of AutoGen's whose agents share a memory that was written before they speak."""
    wrong = f"{spoilt('price', world.price, world.rng):.2f}"
    names = Plan.of(world.rng, "chain", depth=world.rng.randint(3, 5)).agents
    board = Board(variant, kind, wrong)
    wordings = {name: (world.rng.choice(STYLES), world.rng.randrange(FORMATS)) for name in names}

    def answering(name: str) -> Any:
        def answer(messages: Any) -> Said:
            told: list[LLMMessage] = list(messages)
            return write(read("\n".join(text_of(message) for message in told)), *wordings[name])

        return answer

    prices = (world.price, world.price + 7) if kind == "F24" else (world.price,)
    texts = [f"Unit price: ${price:.2f}" for price in prices]
    if kind == "F23" and variant == "faulty":
        texts = [f"Unit price: ${wrong}"]
    agents: list[Any] = [Clerk("clerk", board, texts)]
    agents += [speaker(name, answering(name), memory=[board]) for name in names]

    async def run() -> None:
        await RoundRobinGroupChat(agents, max_turns=len(agents)).run(task=world.request())

    asyncio.run(run())
    return wrong, list(names), "price"


@fault("F23", "a poisoned write to memory")
def poisoned_write(world: World, variant: Variant, framework: Framework) -> Label:
    if framework == "langgraph":
        wrong, names, key = on_a_shelf(world, variant, "F23")
        return Label((Site("memory_write", key), Site("agent", names[0])), agent=names[0], value=wrong)
    wrong, _, key = on_a_board(world, variant, "F23")
    return Label((Site("memory_write", key, None), Site("agent", "clerk")), agent="clerk", value=wrong)


@fault("F24", "a stale read of memory", "memory.stale_read")
def stale_read(world: World, variant: Variant, framework: Framework) -> Label:
    if framework == "langgraph":
        _, names, key = on_a_shelf(world, variant, "F24")
        return Label((Site("memory_read", key),), agent=names[2], key=f"facts/{key}")
    _, names, key = on_a_board(world, variant, "F24")
    return Label((Site("memory_read", names[0]),), agent=names[0])


@fault("F29", "a retracted value is read", "memory.retracted_read", on=("langgraph",))
def retracted_read(world: World, variant: Variant, framework: Framework) -> Label:
    _, names, key = on_a_shelf(world, variant, "F29")
    return Label((Site("memory_read", key),), agent=names[2], key=f"facts/{key}")


def last_write(_: Any, new: Any) -> Any:
    return new


def merged(old: Any, new: Any) -> Any:
    return {**(old or {}), **new}


@fault("F25", "an update is lost in a merge", "memory.lost_update", on=("langgraph",))
def lost_update(world: World, variant: Variant, framework: Framework) -> Label:
    reducer = {
        "clean": merged,
        "sham": lambda old, new: dict(reversed(merged(old, new).items())),
        "faulty": last_write,
    }
    state: Any = TypedDict(
        "state",
        {"request": str, "offers": Annotated[dict[str, Any], reducer[variant]], "answer": str},
        total=False,
    )
    names = Plan.of(world.rng, "map").agents
    first, workers, last = names[0], names[1:-1], names[-1]
    graph: StateGraph[Any] = StateGraph(state)

    def worker(name: str, price: Decimal) -> Any:
        return lambda state: {"offers": {name: f"{price:.2f} dollars"}}

    graph.add_node(first, lambda state: {"offers": {}})
    graph.add_edge(START, first)
    for place, name in enumerate(workers):
        graph.add_node(name, worker(name, world.price + place * 11))
        graph.add_edge(first, name)
    graph.add_node(last, lambda state: {"answer": f"offers: {state['offers']}"})
    graph.add_edge(list(workers), last)
    graph.compile().invoke({"request": world.request()})
    return Label(
        (Site("memory_write", "offers", None), *(Site("agent", name) for name in workers)), key="offers"
    )


@fault(
    "F27",
    "a node changes shared state without a write",
    "memory.aliased",
    "handoff.mutated",
    on=("langgraph",),
)
def aliased(world: World, variant: Variant, framework: Framework) -> Label:
    state: Any = TypedDict("state", {"request": str, "plan": dict[str, Any], "answer": str}, total=False)
    names = Plan.of(world.rng, "chain", depth=world.rng.randint(4, 7)).agents
    bad = world.rng.choice(names[1:-1])
    name = world.pick("quantity", "order")
    wrong = spoilt(name, world.asked[name], world.rng)
    graph: StateGraph[Any] = StateGraph(state)

    def node(who: str) -> Any:
        def work(state: Any) -> dict[str, Any]:
            if who == names[0]:
                return {"plan": {"item": world.asked["item"], "data": {name: world.asked[name]}}}
            if who == bad and variant != "clean":
                plan = state["plan"] if variant == "faulty" else copy.deepcopy(state["plan"])
                plan["data"][name] = wrong
            return {"answer": f"{state['plan']['item']}: {state['plan']['data']}"} if who == names[-1] else {}

        return work

    before = START
    for who in names:
        graph.add_node(who, node(who))
        graph.add_edge(before, who)
        before = who
    graph.compile().invoke({"request": world.request()})
    return Label(
        (Site("agent", bad), Site("memory_write", bad), Site("memory_write", "plan", None)), agent=bad
    )
