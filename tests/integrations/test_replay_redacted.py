"""A run whose secrets were taken out replays as itself: with a marker in each secret's place, however long it was."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.teams import RoundRobinGroupChat
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.graph import START, StateGraph
from rich.console import Console
from tests.integrations.fakes_autogen import adds, calls, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal
from becausal.redaction import markers_in
from becausal.replay import Replay
from becausal.run import Run
from becausal.views import replay as view

LENGTHS = (24, 140, 257, 300, 5_000)
KEY = "sk-ant-api03-" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 200

asked: list[str] = []
"""What models and tools were really asked."""


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[None]:
    asked.clear()
    becausal.instrument(store=tmp_path / "becausal.db")
    yield
    becausal.uninstrument()


# Apps


def rate(city: str, api_key: str) -> str:
    """Look a rate up."""
    asked.append(city)
    return f"{city}: 17 degrees"


look_up = becausal.tool(name="look_up")(rate)


@becausal.tool
def post(to: str, headers: dict[str, str]) -> dict[str, Any]:
    return {"to": to, "sent": headers, "note": "so it went " * 9}


class State(TypedDict, total=False):
    note: str
    said: str


def answer(messages: Sequence[BaseMessage]) -> AIMessage:
    asked.append(str(messages[-1].content))
    return AIMessage(f"said {messages[-1].content}", id="m-1")


model = PureModel(answer=answer)


def own_code(secret: str) -> Callable[[], Any]:
    def app() -> str:
        with becausal.chain("what is it like?") as turn:
            told = look_up("Bonn", api_key=secret)
            sent = post("Bonn", {"Authorization": f"Bearer {secret}"})
            turn.returned(sent)
            return str(told)

    return app


def graph(secret: str) -> Callable[[], Any]:
    def tells(state: State) -> State:
        said = model.invoke([SystemMessage(f"the password is {secret}"), HumanMessage("buy tea")])
        return {"note": f"log in with password: {secret} and go on", "said": str(said.content)}

    def ends(state: State) -> State:
        return {"said": str(model.invoke([HumanMessage(f"{state['note']}, then {state['said']}")]).content)}

    def make() -> Any:
        made: Any = StateGraph(State)
        made.add_node("tells", tells)
        made.add_node("ends", ends)
        made.add_edge(START, "tells")
        made.add_edge("tells", "ends")
        return made.compile()

    return make


def team(secret: str) -> Callable[[], RoundRobinGroupChat]:
    def clerk(messages: Sequence[Any]) -> str:
        asked.append(text_of(messages[-1]))
        return f"clerk({text_of(messages[-1])})"

    def make() -> RoundRobinGroupChat:
        call = calls("rate", adds("scout"), city="Bonn", api_key=secret)
        scout = speaker("scout", call, tools=[rate], reflect_on_tool_use=True)
        return RoundRobinGroupChat([scout, speaker("clerk", clerk)], max_turns=2)

    return make


def task(secret: str) -> str:
    return f"log in with password: {secret} and look a rate up, for somebody who " + "asks and " * 30


def recorded(app: Any, given: Any = None) -> Run:
    if isinstance(given, str):
        asyncio.run(app().run(task=given))
    elif given is not None:
        app().invoke(given)
    else:
        app()
    asked.clear()
    run = becausal.last_run()
    assert any(markers_in(step.received.text()) for step in run.steps if step.received is not None)
    return run


RUNS: dict[str, Callable[[str], tuple[Callable[[], Any], Any]]] = {
    "own code": lambda secret: (own_code(secret), None),
    "a graph": lambda secret: (graph(secret), {"said": ""}),
    "a team": lambda secret: (team(secret), task(secret)),
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_with_a_secret_is_reproduced_step_by_step(name: str, length: int) -> None:
    app, given = RUNS[name](KEY[:length])

    replay = recorded(app, given).replay(app)

    assert replay.divergence is None
    assert replay.reproduced
    assert asked == []
    # And every step is told to be the same: in the count, and in what is compared.
    assert replay.same == len(replay.pairs)
    assert replay.comparison.is_same
    assert f"reproduced: {len(replay.pairs)} of {len(replay.pairs)} steps" in told(replay)
    said = json.loads(json.dumps(view.json(replay)))
    assert (said["same"], said["steps"]) == (len(replay.pairs), len(replay.pairs))


def told(replay: Replay[Run]) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(view.text(replay))
    return out.getvalue()


@pytest.mark.parametrize("length", LENGTHS)
def test_what_a_model_was_told_beside_a_secret_can_be_changed(length: int) -> None:
    for app, given in (RUNS["a graph"](KEY[:length]), (two_who_buy, f"password: {KEY[:length]} and buy tea")):
        run = recorded(app, given)
        first = next(step for step in run.steps if step.kind == "model")

        replay = run.replay(app, edit=becausal.edit(first).message(-1).text("buy milk"), live=True)

        assert replay.divergence is None
        assert replay.unapplied == ()
        assert asked[0] == "buy milk"


def two_who_buy() -> RoundRobinGroupChat:
    def says(messages: Sequence[Any]) -> str:
        asked.append(text_of(messages[-1]))
        return f"said {text_of(messages[-1])}"

    return RoundRobinGroupChat([speaker("buyer", says), speaker("clerk", adds("clerk"))], max_turns=2)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("name", "tool"), [("own code", "look_up"), ("a team", "rate")])
def test_what_a_tool_was_asked_beside_a_secret_can_be_changed(name: str, tool: str, length: int) -> None:
    app, given = RUNS[name](KEY[:length])
    run = recorded(app, given)
    (called,) = (step for step in run.steps if step.name == tool)

    replay = run.replay(
        app, edit=becausal.edit(called).received.field("city").to("Köln"), live=[tool, "PureClient", "post"]
    )

    assert replay.divergence is None
    assert replay.unapplied == ()
    assert asked[0] == "Köln"
    (again,) = (step for step in replay.run.steps if step.name == tool)
    assert again.received is not None
    assert "Köln" in again.received.text()


def test_what_an_outcome_hangs_on_is_found_in_a_run_with_a_secret() -> None:
    app, _ = RUNS["own code"](KEY[:300])

    found = recorded(app).counterfactual(app, kinds=["answer"])

    assert found.faithful == found.replays
    assert [cause.pieces[0].step.name for cause in found.causes][:1] == ["post"]
