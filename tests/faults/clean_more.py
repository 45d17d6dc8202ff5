"""Further clean variations: a declared redaction, a speculative branch that is cancelled, a translation on the way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, Final

from autogen_agentchat.teams import RoundRobinGroupChat
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from tests.faults.app import App
from tests.faults.case import FRAMEWORKS
from tests.faults.plan import Plan
from tests.faults.unknown import GERMAN
from tests.faults.world import FORMATS, LABELS, World, read, write
from tests.integrations.fakes_autogen import Said, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal
from becausal import contracts

__all__ = ["MORE"]


class Talk(TypedDict, total=False):
    request: str
    draft: str
    answer: str


def redaction(world: World) -> None:
    """C06: addresses are taken out on the way, as declared."""
    world.asked["contact"] = "sales@borealis.example"
    app = App.of(world, Plan.of(world.rng, "chain", depth=4), is_record=False)
    sender = app.plan.agents[1]
    made = becausal.contract(sender, "*", allow=["redact:*"])

    def sent(who: str, text: Any) -> Any:
        return re.sub(r"\S+@[\w.]+\w", "[redacted]", text) if who == sender else text

    app.meddler.sent = sent
    try:
        app.run(FRAMEWORKS[world.seed % 2])
        becausal.flush()
    finally:
        contracts.declared.remove(made)


def speculation(world: World) -> None:
    """C11: two ways are tried, the first to answer wins, the other is cancelled."""
    said = write(world.asked, "lines", world.seed % FORMATS)

    async def slow(_: object) -> str:
        await asyncio.Event().wait()
        return "never"

    async def first(*ways: Any) -> str:
        tasks = [asyncio.ensure_future(way) for way in ways]
        done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return str(next(iter(done)).result())

    if world.seed % 2:
        asyncio.run(_speculating_team(world, said, first))
        return

    async def tries(state: Talk) -> dict[str, Any]:
        from langchain_core.runnables import RunnableLambda

        model = PureModel(answer=lambda messages: AIMessage(said))

        async def quick() -> str:
            return str((await model.ainvoke(state["request"])).content)

        return {"draft": await first(quick(), RunnableLambda(slow).ainvoke(state["request"]))}

    graph: Any = StateGraph(Talk)
    graph.add_node("ada", tries)
    graph.add_node("bo", lambda state: {"answer": state["draft"]})
    graph.add_edge(START, "ada")
    graph.add_edge("ada", "bo")
    asyncio.run(graph.compile().ainvoke({"request": world.request()}))


async def _speculating_team(world: World, said: str, first: Callable[..., Any]) -> None:
    from tests.integrations.fakes_autogen import PureClient

    class Waiting(PureClient):
        async def create(self, messages: Any, **options: Any) -> Any:
            await asyncio.Event().wait()

    quick, slow = speaker("ada", lambda m: said), speaker("bo")
    slow._model_client = Waiting(lambda m: "never")
    with becausal.chain("the quicker one wins"), becausal.agent("cleo", received=world.request()) as step:
        step.returned(await first(_run(quick, world), _run(slow, world)))


async def _run(agent: Any, world: World) -> str:
    result = await agent.run(task=world.request())
    return str(result.messages[-1].content)


def translation(world: World) -> None:
    """C16: somebody on the way writes in another language, and the next one translates back."""
    names = {LABELS[name].lower().replace(" ", "_"): word for name, word in GERMAN.items()}

    def there(text: str) -> str:
        said = json.loads(write(read(text), "json", 0))
        return "Hier sind die Werte, wie Sie es wünschen:\n" + "\n".join(
            f"{names.get(key, key)}: {value}" for key, value in said.items()
        )

    def back(text: str) -> str:
        for key, word in names.items():
            text = re.sub(
                rf"^\W*{word}: ", f"{key.replace('_', ' ').capitalize()}: ", text, flags=re.MULTILINE
            )
        return write(read(text), "bullets", world.seed % FORMATS)

    if world.seed % 2:
        agents: list[Any] = [speaker("ada", _on_last(there)), speaker("bo", _on_last(back))]

        async def run() -> None:
            await RoundRobinGroupChat(agents, max_turns=2).run(task=world.request())

        asyncio.run(run())
        return
    graph: Any = StateGraph(Talk)
    one, other = _model(there), _model(back)
    graph.add_node("ada", lambda state: {"draft": str(one.invoke(state["request"]).content)})
    graph.add_node("bo", lambda state: {"answer": str(other.invoke(state["draft"]).content)})
    graph.add_edge(START, "ada")
    graph.add_edge("ada", "bo")
    graph.compile().invoke({"request": world.request()})


def _model(change: Callable[[str], str]) -> PureModel:
    return PureModel(answer=lambda messages: AIMessage(change(str(messages[-1].content))))


def _on_last(change: Callable[[str], str]) -> Callable[[Any], Said]:
    return lambda messages: change(text_of(messages[-1]))


MORE: Final[dict[str, Callable[[World], None]]] = {
    "C06": redaction,
    "C11": speculation,
    "C16": translation,
}
