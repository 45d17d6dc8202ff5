"""Other ways in which agents work together, on the real frameworks: a hook stands at each model, and at each tool.

Each takes a world, what its models say and what its tools answer, plays one run and returns the agents' names in their
order. The models are pure functions, as everywhere.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, MagenticOneGroupChat, SelectorGroupChat, Swarm
from autogen_core.models import SystemMessage
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from tests.faults.case import Framework
from tests.faults.plan import Plan
from tests.faults.world import FORMATS, STYLES, World, read, write
from tests.integrations.fakes_autogen import PureClient, Said, calls, ledger, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__ = ["TOPOLOGIES", "Hooks", "Topology"]

Says = Callable[[str, str], str]
"""Takes an agent and what its model would say; returns what it says."""
Answers = Callable[[int, str], str]
"""Takes which call of the tool it is and what it would answer; returns what it answers."""


class Hooks:
    """What happens at models and at tools; nothing by itself."""

    def __init__(self, says: Says = lambda _, text: text, answers: Answers = lambda _, text: text) -> None:
        self.says, self.answers, self.calls = says, answers, 0

    def answered(self, text: str) -> str:
        """Return what the tool answers this time."""
        self.calls += 1
        return self.answers(self.calls - 1, text)


Topology = Callable[[World, Sequence[str], Hooks], None]


class Shared(TypedDict, total=False):
    request: str
    draft: str
    round: int
    part: str
    found: Annotated[list[str], operator.add]
    answer: str


def _wording(world: World, names: Sequence[str], hooks: Hooks) -> Callable[[str, str], str]:
    styles = {name: (world.rng.choice(STYLES), world.rng.randrange(FORMATS)) for name in names}
    return lambda name, heard: hooks.says(name, write(read(heard), *styles[name]))


def _spoken(name: str, speak: Callable[[str, str], str], heard: str) -> str:
    model = PureModel(answer=lambda messages: AIMessage(speak(name, str(messages[-1].content))))
    return str(model.invoke(heard).content)


def supervisor(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """A supervisor sends the work to one worker after the other, by commands."""
    speak = _wording(world, names, hooks)
    boss, *workers = names

    def directs(state: Shared) -> Command[Any]:
        at = state.get("round", 0)
        return Command(goto=workers[at] if at < len(workers) else END, update={"round": at + 1})

    def works(name: str) -> Any:
        def node(state: Shared) -> Command[Any]:
            said = _spoken(name, speak, state.get("draft") or state["request"])
            return Command(goto=boss, update={"draft": said})

        return node

    graph: Any = StateGraph(Shared)
    graph.add_node(boss, directs, destinations=(*workers, END))
    graph.add_edge(START, boss)
    for name in workers:
        graph.add_node(name, works(name), destinations=(boss,))
    graph.compile().invoke({"request": world.request()})


def critic(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """A writer and a critic go round a few times, and a third one tells the user."""
    writer, judge, last = names[:3]
    speak = _wording(world, names, hooks)
    rounds = world.rng.randint(2, 3)

    def judges(state: Shared) -> dict[str, Any]:
        at = state.get("round", 0) + 1
        said = "This is good." if at >= rounds else f"Version {at} wants more work."
        model = PureModel(answer=lambda messages: AIMessage(said))
        model.invoke(state["draft"])
        return {"round": at, "part": said}

    graph: Any = StateGraph(Shared)
    graph.add_node(
        writer, lambda s: {"draft": _spoken(writer, speak, f"{s['request']}\n{s.get('part', '')}")}
    )
    graph.add_node(judge, judges)
    graph.add_node(last, lambda s: {"answer": _spoken(last, speak, s["draft"])})
    graph.add_edge(START, writer)
    graph.add_edge(writer, judge)
    graph.add_conditional_edges(judge, lambda s: writer if s["round"] < rounds else last, [writer, last])
    graph.compile().invoke({"request": world.request()})


def _offer(world: World, item: str) -> str:
    return f'{{"item": "{item}", "unit_price": "{world.price:.2f}", "in_stock": {world.stock}, "currency": "USD"}}'


def prebuilt(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """An agent of `create_agent`, with a tool."""

    def get_offer(item: str) -> str:
        """Return what an item costs."""
        return hooks.answered(_offer(world, item))

    def said(messages: Any) -> AIMessage:
        results = [str(m.content) for m in messages if isinstance(m, ToolMessage)]
        if not results:
            item = str(world.asked["item"])
            return AIMessage("", tool_calls=[{"name": "get_offer", "args": {"item": item}, "id": "call-1"}])
        return AIMessage(
            hooks.says(names[0], write(read(f"{world.request()}\n{results[0]}"), "lines", world.seed % 3))
        )

    tool = StructuredTool.from_function(get_offer, name="get_offer", description="Return what an item costs.")
    agent: Any = create_agent(PureModel(answer=said), [tool], name=names[0])
    agent.invoke({"messages": [("user", world.request())]})


def sends(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """One worker a shop, by `Send`; each asks a tool; somebody lists what they found."""
    first, worker, last = names[:3]
    shops = ["Oslo", "Turin", "Ghent", "Porto"][: world.rng.randint(3, 4)]

    def look_up(shop: str) -> str:
        """Return what a shop asks."""
        price = world.price + shops.index(shop) * 13
        return hooks.answers(
            shops.index(shop), f'{{"shop": "{shop}", "unit_price": "{price:.2f}", "currency": "USD"}}'
        )

    tool = StructuredTool.from_function(look_up, name="look_up", description="Look up a shop.")

    def works(state: Shared) -> dict[str, Any]:
        found = str(tool.invoke({"shop": state["part"]}))
        model = PureModel(answer=lambda m: AIMessage(f"{state['part']}: {str(m[-1].content)[-400:]}"))
        return {"found": [str(model.invoke(found).content)]}

    graph: Any = StateGraph(Shared)
    graph.add_node(first, lambda state: {"round": len(shops)})
    graph.add_node(worker, works)
    graph.add_node(last, lambda state: {"answer": hooks.says(last, "\n".join(state["found"]))})
    graph.add_edge(START, first)
    graph.add_conditional_edges(first, lambda s: [Send(worker, {"part": shop}) for shop in shops], [worker])
    graph.add_edge(worker, last)
    graph.compile().invoke({"request": world.request()})


def _team_agents(world: World, names: Sequence[str], hooks: Hooks, **options: Any) -> list[Any]:
    speak = _wording(world, names, hooks)

    def answers(name: str) -> Any:
        def answer(messages: Any) -> Said:
            return speak(name, "\n".join(text_of(m) for m in messages if not isinstance(m, SystemMessage)))

        return answer

    return [speaker(name, answers(name), **options) for name in names]


def _ask(team: Any, world: World) -> None:
    async def run() -> None:
        await team.run(task=world.request())

    asyncio.run(run())


def flow(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """A GraphFlow: one, then two side by side, then one."""
    agents = _team_agents(world, names[:4], hooks)
    graph = DiGraphBuilder()
    for agent in agents:
        graph.add_node(agent)
    one, left, right, last = agents
    graph.add_edge(one, left).add_edge(one, right).add_edge(left, last).add_edge(right, last)
    _ask(GraphFlow(agents, graph=graph.build()), world)


def selector(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """A team whose next speaker is chosen by a function of the app's."""
    agents = _team_agents(world, names, hooks)
    order = list(names)

    def chosen(messages: Any) -> str:
        return order[min(len(order) - 1, sum(m.source in order for m in messages))]

    _ask(
        SelectorGroupChat(agents, PureClient(lambda m: names[0]), selector_func=chosen, max_turns=len(names)),
        world,
    )


def swarm(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """A swarm: the first hands over, the second answers."""
    asks, answers = names[:2]
    first = speaker(asks, calls(f"transfer_to_{answers}", lambda m: "done"), handoffs=[answers])
    _ask(
        Swarm(
            [first, *_team_agents(world, [answers], hooks)], termination_condition=MaxMessageTermination(4)
        ),
        world,
    )


def magentic(world: World, names: Sequence[str], hooks: Hooks) -> None:
    """A team led by an orchestrator's ledger."""
    agents = _team_agents(world, names[:2], hooks)
    team = ledger(lambda said: False, lambda said: names[0])
    _ask(MagenticOneGroupChat(agents, PureClient(team), max_turns=2), world)


TOPOLOGIES: Final[dict[str, tuple[Framework, Topology, str]]] = {
    "T01": ("langgraph", supervisor, "model"),
    "T02": ("langgraph", critic, "model"),
    "T03": ("langgraph", prebuilt, "tool"),
    "T04": ("langgraph", sends, "tool"),
    "T05": ("autogen", flow, "model"),
    "T06": ("autogen", selector, "model"),
    "T07": ("autogen", swarm, "model"),
    "T08": ("autogen", magentic, "model"),
}
"""By id: the framework, what is played, and where a fault is put in."""


def names_for(world: World) -> Sequence[str]:
    """Return the names of a topology's agents."""
    return Plan.of(world.rng, "chain", depth=world.rng.randint(4, 6)).agents
