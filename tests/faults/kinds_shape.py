"""Faults of a run's shape: work that goes astray, comes late, goes round in circles or is held back."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any

from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_core.models import SystemMessage
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from tests.faults.case import Framework, Label, Site, Variant, fault
from tests.faults.plan import Plan
from tests.faults.world import FORMATS, STYLES, World, read, write
from tests.integrations.fakes_autogen import Said, calls, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__: list[str] = []


class Talk(TypedDict, total=False):
    request: str
    draft: str
    round: int
    answer: str


# -- going to somebody else


@fault("F18", "work goes to another agent than was decided", "handoff.misrouted")
def misrouted(world: World, variant: Variant, framework: Framework) -> Label:
    asks, wanted, other, last = Plan.of(world.rng, "chain", depth=4).agents
    if framework == "langgraph":
        _swarm_graph(world, variant, asks, wanted, other, last)
    else:
        asyncio.run(_swarm_team(world, variant, asks, wanted, other))
    return Label((Site("handoff", asks, None), Site("agent", asks), Site("model", asks, None)), agent=asks)


def _swarm_graph(world: World, variant: Variant, asks: str, wanted: str, other: str, last: str) -> None:
    @tool(f"transfer_to_{wanted}")
    def transfer(reason: str) -> str:
        """Hand over."""
        return f"handed over: {reason}"

    call = {"name": transfer.name, "args": {"reason": "prices"}, "id": "call-1"}
    model = PureModel(answer=lambda messages: AIMessage("", tool_calls=[call]))
    goto = {"clean": wanted, "sham": wanted, "faulty": other}[variant]

    def router(state: Talk) -> Command[Any]:
        reply = model.invoke(state["request"])
        transfer.invoke(reply.tool_calls[0])
        draft = state["request"] if variant != "sham" else f"Handed over, as asked:\n{state['request']}"
        return Command(goto=goto, update={"draft": draft})

    def says(name: str) -> Any:
        style, form = world.rng.choice(STYLES), world.rng.randrange(FORMATS)
        speaks = PureModel(answer=lambda m: AIMessage(write(read(str(m[-1].content)), style, form)))
        return lambda state: {"answer": speaks.invoke(state["draft"]).content}

    graph: StateGraph[Any] = StateGraph(Talk)
    graph.add_node(asks, router, destinations=(wanted, other))
    graph.add_edge(START, asks)
    for name in (wanted, other):
        graph.add_node(name, says(name))
        graph.add_edge(name, last)
    graph.add_node(last, says(last))
    graph.compile().invoke({"request": world.request()})


async def _swarm_team(world: World, variant: Variant, asks: str, wanted: str, other: str) -> None:
    goto = other if variant == "faulty" else wanted
    said = f"Work for {goto}" if variant == "sham" else f"Transferred to {goto}."
    handoff = Handoff(target=goto, name=f"transfer_to_{wanted}", message=said)
    asking = speaker(asks, calls(handoff.name, lambda m: "done"), handoffs=[handoff])

    def answering(style: str, form: int) -> Any:
        return lambda m: write(read("\n".join(map(text_of, m))), style, form)

    others = [
        speaker(n, answering(world.rng.choice(STYLES), world.rng.randrange(FORMATS))) for n in (wanted, other)
    ]
    await Swarm([asking, *others], termination_condition=MaxMessageTermination(4)).run(task=world.request())


# -- going round in circles


@fault("F34", "a critic is never content", "path.loop")
def loop(world: World, variant: Variant, framework: Framework) -> Label:
    writer, critic = Plan.of(world.rng, "chain", depth=2).agents
    rounds = world.rng.randint(4, 7)
    budget = write({"budget": world.asked["budget"]}, "lines", 0)

    def drafted(heard: str, number: int) -> str:
        values = read(heard)
        is_whole = variant == "faulty" or number + 1 >= rounds
        kept = list(values)[: len(values) if is_whole else number + 1]
        return write({name: values[name] for name in kept}, "lines", 0)

    def judged(draft: str, number: int) -> str:
        if variant != "faulty":
            return (
                f"Better; version {number + 1} still lacks something." if number + 1 < rounds else "APPROVED"
            )
        return f"Not good enough. Mind this: {budget}"

    if framework == "langgraph":
        _critic_graph(world, variant, writer, critic, rounds, drafted, judged)
    else:
        _critic_team(world, writer, critic, rounds, drafted, judged)
    both = tuple(Site(kind, name, None) for kind in ("agent", "model") for name in (writer, critic))
    return Label(both, agent=f"{writer}|{critic}")


def _critic_graph(
    world: World, variant: Variant, writer: str, critic: str, rounds: int, drafted: Any, judged: Any
) -> None:
    def writes(state: Talk) -> dict[str, Any]:
        number = 0 if variant == "faulty" else state.get("round", 0)
        model = PureModel(answer=lambda m: AIMessage(drafted(str(m[-1].content), number)))
        return {"draft": str(model.invoke(state["request"]).content)}

    def judges(state: Talk) -> dict[str, Any]:
        number = state.get("round", 0)
        model = PureModel(answer=lambda m: AIMessage(judged(str(m[-1].content), number)))
        return {"answer": str(model.invoke(state["draft"]).content), "round": number + 1}

    graph: StateGraph[Any] = StateGraph(Talk)
    graph.add_node(writer, writes)
    graph.add_node(critic, judges)
    graph.add_edge(START, writer)
    graph.add_edge(writer, critic)
    graph.add_conditional_edges(critic, lambda s: writer if s["round"] < rounds else END, [writer, END])
    graph.compile().invoke({"request": world.request()})


def _critic_team(world: World, writer: str, critic: str, rounds: int, drafted: Any, judged: Any) -> None:
    def told(messages: Any, by: str) -> int:
        return sum(getattr(message, "source", "") == by for message in messages)

    def writes(messages: Any) -> Said:
        return str(drafted(text_of(messages[0]), told(messages, critic)))

    def judges(messages: Any) -> Said:
        drafts = [text_of(m) for m in messages if getattr(m, "source", "") == writer]
        return str(judged(drafts[-1], len(drafts) - 1))

    team = RoundRobinGroupChat([speaker(writer, writes), speaker(critic, judges)], max_turns=2 * rounds)
    asyncio.run(_ask(team, world.request()))


async def _ask(team: Any, task: str) -> None:
    await team.run(task=task)


# -- held back


@fault("F21", "a window holds back what is needed", "context.evicted", on=("autogen",))
def evicted(world: World, variant: Variant, framework: Framework) -> Label:
    names = Plan.of(world.rng, "chain", depth=world.rng.randint(4, 6)).agents
    name = world.pick("order", "deadline", "budget")
    first = {name: world.asked[name]}
    rest = {key: value for key, value in world.asked.items() if key != name}
    parts = world.rng.randint(2, 3)

    def small(who: str) -> Any:
        return lambda messages: f"{who} is looking into part {len(messages)}; nothing new."

    def final(messages: Any) -> Said:
        said = "\n".join(text_of(m) for m in messages if not isinstance(m, SystemMessage))
        return write(read(said), "lines", world.seed % FORMATS)

    window = {"clean": 30, "sham": 30, "faulty": parts}[variant]
    agents = [speaker(who, small(who)) for who in names[:-1]]
    if variant == "sham":  # what is held back stands in what is shown
        agents[-1] = speaker(names[-2], lambda m: "To sum up:\n" + write(world.asked, "lines", 1))
        window = 2
    last = speaker(names[-1], final, model_context=BufferedChatCompletionContext(window))
    task = f"{write(first, 'lines', 0)}\n{write(rest, 'lines', 0)}\nGive me all of this again at the end."
    asyncio.run(_ask(RoundRobinGroupChat([*agents, last], max_turns=len(names)), task))
    return Label((Site("model", names[-1], None), Site("agent", names[-1])), agent=names[-1])


# -- nobody takes it up


class Board(TypedDict, total=False):
    request: str
    part: str
    found: Annotated[list[str], operator.add]
    scrap: Annotated[list[str], operator.add]
    answer: str


class Found(TypedDict, total=False):
    request: str
    found: Annotated[list[str], operator.add]


@fault("F32", "what a worker brought is read by nobody", "chain.orphaned", "handoff.lost", on=("langgraph",))
def orphaned(world: World, variant: Variant, framework: Framework) -> Label:
    first, worker, last = Plan.of(world.rng, "chain", depth=3).agents
    shops = ["Oslo", "Turin", "Ghent", "Porto", "Basel"][: world.rng.randint(3, 5)]
    lost = world.rng.choice(shops)
    prices = {shop: f"{world.price + place * 13:.2f}" for place, shop in enumerate(shops)}

    def works(state: Board) -> dict[str, Any]:
        said = f"{state['part']} sells at {prices[state['part']]} dollars"
        if variant == "sham" and state["part"] == lost:
            said = f"{prices[lost]} dollars is what {lost} asks"
        field = "scrap" if variant == "faulty" and state["part"] == lost else "found"
        return {field: [said]}

    def joins(state: Found) -> dict[str, Any]:
        return {"answer": "; ".join(state["found"])}

    graph: StateGraph[Any] = StateGraph(Board)
    graph.add_node(first, lambda state: {"part": ""})
    graph.add_node(worker, works)
    graph.add_node(last, joins, input_schema=Found)
    graph.add_edge(START, first)
    graph.add_conditional_edges(first, lambda s: [Send(worker, {"part": shop}) for shop in shops], [worker])
    graph.add_edge(worker, last)
    graph.compile().invoke({"request": world.request()})
    return Label((Site("agent", worker, shops.index(lost)),), agent=worker)


# -- coming late


@dataclass
class Ask:
    """The user's word: what is to be told, one after the other."""

    texts: list[str]


@dataclass
class News:
    """One of several messages of a sender."""

    text: str


class Reporter(RoutedAgent):
    """Tells what is new each time it is asked."""

    @message_handler
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Ask:
        for text in message.texts:
            await self.publish_message(News(text), TopicId("news", "x"))
        return message


class Reader(RoutedAgent):
    """Believes what it heard last."""

    @message_handler
    async def on_news(self, message: News, ctx: MessageContext) -> None:
        pass


@fault("F15", "an older message comes after a newer one", "handoff.reordered", on=("autogen",))
def reordered(world: World, variant: Variant, framework: Framework) -> Label:
    sender, receiver = Plan.of(world.rng, "chain", depth=2).agents
    count = world.rng.randint(3, 6)
    late = world.rng.randrange(count - 1)
    is_held_up = variant == "faulty"

    async def run() -> None:
        runtime = SingleThreadedAgentRuntime()
        await Reporter.register(runtime, sender, lambda: Reporter(sender))
        await Reader.register(runtime, receiver, lambda: Reader(receiver))
        await runtime.add_subscription(TypeSubscription("news", receiver))
        if is_held_up:
            _hold_up(runtime, late)
        runtime.start()
        step = 0 if variant == "sham" else 3
        texts = [f"As of round {n}, the unit price is ${world.price + n * step:.2f}" for n in range(count)]
        await runtime.send_message(Ask(texts), AgentId(sender, "x"))
        await runtime.stop_when_idle()
        await runtime.close()

    asyncio.run(run())
    return Label((Site("handoff", sender, None, receiver),), is_channel=True)


def _hold_up(runtime: SingleThreadedAgentRuntime, late: int) -> None:
    """Let one message of the runtime's queue be overtaken by the next one."""
    queue: Any = runtime._message_queue
    inner, held, seen = queue.put, [], [0]

    async def put(envelope: Any) -> None:
        if not isinstance(getattr(envelope, "message", None), News):
            await inner(envelope)
            return
        seen[0] += 1
        if seen[0] == late + 1:
            held.append(envelope)
            return
        await inner(envelope)
        while held:
            await inner(held.pop())

    queue.put = put
