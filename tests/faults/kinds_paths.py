"""Faults of the way that a run takes: joined too early, a check passed over, an order turned round, a stranger.

What no single run shows is shown beside the earlier runs of the same app in the same store, which are played first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from autogen_agentchat.teams import DiGraphBuilder, GraphFlow
from langgraph.graph import END, START, StateGraph
from tests.faults.app import App
from tests.faults.case import Framework, Label, Site, Variant, fault
from tests.faults.plan import Plan
from tests.faults.world import FORMATS, STYLES, World, read, write
from tests.integrations.fakes_autogen import Said, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__: list[str] = []

EARLIER = 3
"""So many good runs of the same app come first."""


class Talk(TypedDict, total=False):
    request: str
    draft: str
    answer: str


def _answering(world: World, names: Sequence[str]) -> dict[str, Any]:
    wordings = {name: (world.rng.choice(STYLES), world.rng.randrange(FORMATS)) for name in names}
    return {name: lambda text, name=name: write(read(text), *wordings[name]) for name in names}


def _row_graph(world: World, row: Sequence[str], says: dict[str, Any]) -> None:
    from langchain_core.messages import AIMessage

    def node(name: str, is_last: bool) -> Any:
        model = PureModel(answer=lambda messages: AIMessage(says[name](str(messages[-1].content))))
        field = "answer" if is_last else "draft"
        return lambda state: {field: str(model.invoke(state.get("draft") or state["request"]).content)}

    graph: Any = StateGraph(Talk)
    for place, name in enumerate(row):
        graph.add_node(name, node(name, place == len(row) - 1))
        graph.add_edge(row[place - 1] if place else START, name)
    graph.add_edge(row[-1], END)
    graph.compile().invoke({"request": world.request()})


def _row_team(world: World, row: Sequence[str], says: dict[str, Any]) -> None:
    def answers(name: str) -> Any:
        def answer(messages: Any) -> Said:
            return str(says[name]("\n".join(map(text_of, messages))))

        return answer

    agents: list[Any] = [speaker(name, answers(name)) for name in row]
    flow = DiGraphBuilder()
    for agent in agents:
        flow.add_node(agent)
    for one, other in pairwise(agents):
        flow.add_edge(one, other)

    async def run() -> None:
        await GraphFlow(agents, graph=flow.build()).run(task=world.request())

    asyncio.run(run())


def _played(world: World, framework: Framework, usual: Sequence[str], now: Sequence[str]) -> None:
    says = _answering(world, sorted({*usual, *now}))
    for row in (*[usual] * EARLIER, now):
        (_row_graph if framework == "langgraph" else _row_team)(world, row, says)


@fault("F35", "a check is passed over", "path.skipped", "path.deviated")
def skipped(world: World, variant: Variant, framework: Framework) -> Label:
    first, *rest = Plan.of(world.rng, "chain", depth=world.rng.randint(3, 6)).agents
    check = world.rng.choice(("validator", "guardrail", "reviewer", "policy_check"))
    place = world.rng.randrange(1, len(rest))
    usual = [first, *rest[:place], check, *rest[place:]]
    now = [name for name in usual if name != check] if variant == "faulty" else usual
    _played(world, framework, usual, now)
    before, after = usual[place], usual[place + 2]
    return Label(
        (Site("agent", before), Site("agent", after), Site("handoff", before, None, after)), agent=before
    )


@fault("F36", "an order turned round, or a stranger in between", "path.deviated")
def out_of_order(world: World, variant: Variant, framework: Framework) -> Label:
    usual = list(Plan.of(world.rng, "chain", depth=world.rng.randint(4, 7)).agents)
    now, place = list(usual), world.rng.randrange(1, len(usual) - 2)
    if world.rng.random() < 0.5:
        now[place], now[place + 1] = now[place + 1], now[place]
        agents = now[place : place + 2]
    else:
        now.insert(place, "stranger")
        agents = ["stranger"]
    _played(world, framework, usual, now if variant == "faulty" else usual)
    return Label(tuple(Site("agent", name) for name in agents), agent="|".join(agents))


@fault(
    "F33",
    "a join goes on before all is there",
    "chain.orphaned",
    "run.anomaly",
    "handoff.lost",
    on=("autogen",),  # of a graph whose two last turns race nobody can say which is the answer
)
def premature(world: World, variant: Variant, framework: Framework) -> Label:
    first, quick, slow, slower, last = Plan.of(world.rng, "chain", depth=5).agents
    hears = {first: (), quick: (first,), slow: (first,), slower: (slow,), last: (quick, slower)}
    app = App.of(world, Plan("diamond", hears), asker=slower, is_record=False)
    app.is_awaited = True
    if variant == "faulty":
        app.hasty = frozenset([last])
    app.run(framework)
    return Label(
        (Site("agent", slower), Site("agent", last, None), Site("handoff", slower, None)),
        agent=f"{slower}|{last}",
    )
