"""One thing is changed, and only what depends on it runs anew: counted on a graph with two branches."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Send
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal
from becausal import canonical
from becausal.errors import ReplayError
from becausal.payload import Payload
from becausal.replay import Asked
from becausal.run import Run
from becausal.step import Step

asked: list[str] = []
"""What models and tools were really asked."""


def answer(messages: Sequence[BaseMessage]) -> AIMessage:
    asked.append(str(messages[-1].content))
    return AIMessage(f"{messages[0].content}: {messages[-1].content}", id=f"m-{len(messages)}")


model = PureModel(answer=answer)


@tool
def price(item: str) -> dict[str, Any]:
    """Look a price up."""
    asked.append(item)
    return {"price": 20, "item": item}


class Shop(TypedDict, total=False):
    item: str
    price: int
    note: str
    greeting: str
    rule: str
    log: Annotated[list[str], operator.add]


def look_up(state: Shop) -> dict[str, Any]:
    found = price.invoke({"item": state["item"]})
    return {"price": found["price"], "log": ["looked up"]}


def greet(state: Shop) -> dict[str, Any]:
    said = model.invoke([SystemMessage("greet"), HumanMessage("a customer")])
    return {"greeting": str(said.content)}


def judge(state: Shop, *, store: BaseStore) -> dict[str, Any]:
    item = store.get(("rules",), "dear")
    limit = item.value["above"] if item is not None else 0
    return {"rule": "dear" if state["price"] > limit else "cheap"}


def offer(state: Shop) -> dict[str, Any]:
    said = model.invoke([SystemMessage("offer"), HumanMessage(f"{state['item']} for {state['price']}")])
    return {"note": str(said.content), "log": ["offered"]}


def warn(state: Shop) -> dict[str, Any]:
    said = model.invoke([SystemMessage("warn"), HumanMessage(f"{state['price']} is {state['rule']}")])
    return {"note": str(said.content)}


def choose(state: Shop) -> str:
    return state["rule"]


def shop() -> Any:
    graph: Any = StateGraph(Shop)
    for node in (look_up, greet, judge, offer, warn):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "look_up")
    graph.add_edge(START, "greet")
    graph.add_edge("look_up", "judge")
    graph.add_conditional_edges("judge", choose, {"dear": "warn", "cheap": "offer"})
    graph.add_edge("offer", END)
    store = InMemoryStore()
    store.put(("rules",), "dear", {"above": 100})
    return graph.compile(checkpointer=InMemorySaver(), store=store)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    becausal.instrument("langgraph", store=tmp_path / "becausal.db")
    shop().invoke({"item": "tea", "log": []}, {"configurable": {"thread_id": "1"}})
    recorded = becausal.last_run()
    asked.clear()
    yield recorded
    becausal.uninstrument()


def of(run: Run, kind: str, name: str) -> Step:
    (step,) = (step for step in run.steps if (step.kind, step.name) == (kind, name))
    return step


def names(steps: Any) -> list[str]:
    return sorted({step.name for step in steps})


def test_without_an_edit_nothing_is_asked(run: Run) -> None:
    replay = run.replay(shop)

    assert replay.reproduced
    assert replay.value["note"] == "offer: tea for 20"
    assert asked == []


def test_another_answer_of_a_tool_reaches_what_depends_on_it_alone(run: Run) -> None:
    replay = run.replay(shop, edit=becausal.edit(of(run, "tool", "price")).field("price").to(2), live=True)

    assert replay.value["note"] == "offer: tea for 2"
    assert asked == ["tea for 2"]  # not the greeting, and no tool
    assert len(replay.ran) == 1
    assert len(replay.recalled) == 3  # the tool, the greeting, the rule that was read
    assert "greet" not in names(pair.step for pair in replay.comparison.changed)
    assert replay.unapplied == ()


def test_an_edit_outside_the_cone_changes_nothing_else(run: Run) -> None:
    step = of(run, "agent", "greet")

    replay = run.replay(shop, edit=becausal.edit(step).produced.field("greeting").to("hello"))

    assert replay.value["greeting"] == "hello"
    assert replay.value["note"] == "offer: tea for 20"
    assert replay.divergence is None
    assert asked == []


def test_what_would_need_a_live_call_is_told(run: Run) -> None:
    replay = run.replay(shop, edit=becausal.edit(of(run, "tool", "price")).field("price").to(2))

    assert asked == []
    assert replay.divergence is not None
    assert (replay.divergence.why, replay.divergence.agent) == ("needs_live", "offer")
    assert "live=True" in str(replay.divergence)
    assert [str(change.after) for change in replay.divergence.delta] == ["tea for 2"]


def test_a_stand_in_answers_in_the_place_of_a_live_model(run: Run) -> None:
    questions: list[Asked] = []

    def standin(question: Asked) -> str:
        questions.append(question)
        return "a bargain"

    replay = run.replay(
        shop, edit=becausal.edit(of(run, "tool", "price")).field("price").to(2), standin=standin
    )

    assert replay.value["note"] == "a bargain"
    assert [str(question.request[-1].content) for question in questions] == ["tea for 2"]
    assert asked == []


def test_a_message_to_a_model_can_be_changed(run: Run) -> None:
    (step,) = (step for step in run.steps if step.kind == "model" and step.agent == "offer")

    replay = run.replay(shop, edit=becausal.edit(step).message(1).text("coffee for 3"), live=True)

    assert replay.value["note"] == "offer: coffee for 3"
    assert asked == ["coffee for 3"]


def test_a_field_of_what_a_node_receives_can_be_changed(run: Run) -> None:
    replay = run.replay(
        shop, edit=becausal.edit(of(run, "agent", "offer")).field("item").to("rum"), live=True
    )

    assert replay.value["note"] == "offer: rum for 20"
    assert replay.value["item"] == "tea"  # the state itself is as it was
    assert asked == ["rum for 20"]
    changed = of(replay.run, "agent", "offer").received
    assert changed is not None
    assert "rum" in changed.text()


def test_what_a_node_returns_can_be_changed(run: Run) -> None:
    edit = becausal.edit(of(run, "agent", "look_up")).produced.field("price").to(7)

    assert run.replay(shop, edit=edit, live=True).value["note"] == "offer: tea for 7"
    assert asked == ["tea for 7"]


def test_a_value_of_memory_can_be_changed(run: Run) -> None:
    replay = run.replay(shop, edit={"rules/dear": {"above": 10}}, live=True)

    assert replay.value["note"] == "warn: 20 is dear"
    assert asked == ["20 is dear"]


def test_a_branch_can_be_sent_elsewhere(run: Run) -> None:
    route = next(step for step in run.steps if step.kind == "route")

    replay = run.replay(shop, edit={route: "warn"}, live=True)

    assert replay.value["note"] == "warn: 20 is cheap"
    assert asked == ["20 is cheap"]


def test_what_a_handoff_brings_can_be_changed(run: Run) -> None:
    handoff = next(handoff for handoff in run.handoffs if handoff.receiver == "judge")

    replay = run.replay(shop, edit=becausal.edit(handoff).field("price").to(500), live=True)

    assert replay.value["note"] == "warn: 20 is dear"


def test_the_question_can_be_changed(run: Run) -> None:
    replay = run.replay(
        shop, edit=becausal.edit(run.steps[0]).field("item").to("rum"), live=["price", "pure-1"]
    )

    assert replay.value["note"] == "offer: rum for 20"
    assert "rum" in asked


@pytest.mark.parametrize(
    ("kind", "name", "edit", "said"),
    [
        ("tool", "price", lambda place: place.field("colour").to(1), "no 'colour'"),
        ("agent", "offer", lambda place: place.message(3).text("x"), "no 'messages'"),
        ("agent", "offer", lambda place: place.produced.field("price").to(1), "no 'price'"),
    ],
)
def test_an_edit_that_addresses_nothing_is_told_before_anything_runs(
    run: Run, kind: str, name: str, edit: Any, said: str
) -> None:
    with pytest.raises(becausal.ReplayError, match=said):
        run.replay(shop, edit=edit(becausal.edit(of(run, kind, name))), live=True)
    assert asked == []


def test_an_app_that_has_changed_is_told_before_anything_runs(run: Run) -> None:
    graph: Any = StateGraph(Shop)
    graph.add_node(look_up)
    graph.add_node("advertise", greet)
    graph.add_edge(START, "look_up")

    with pytest.raises(becausal.ReplayError, match=r"gone.*advertise new"):
        run.replay(graph.compile(checkpointer=InMemorySaver()))
    assert asked == []


def test_an_app_that_keeps_no_state_any_more_is_told(run: Run) -> None:
    graph = shop()
    graph.checkpointer = None

    with pytest.raises(becausal.ReplayError, match="checkpointer"):
        run.replay(graph)


def test_the_apps_own_saver_and_store_are_left_alone(run: Run) -> None:
    graph = shop()
    graph.invoke({"item": "tea", "log": []}, {"configurable": {"thread_id": "1"}})
    before = repr(graph.checkpointer.storage), repr(graph.checkpointer.writes), repr(graph.store._data)

    assert run.replay(graph).reproduced
    assert (
        repr(graph.checkpointer.storage),
        repr(graph.checkpointer.writes),
        repr(graph.store._data),
    ) == before


BRANCHES = 4


class Turns:
    """Lets the branches of a superstep go on one by one, the last that came first."""

    def __init__(self) -> None:
        self._came: list[threading.Event] = []
        self._lock = threading.Lock()

    def wait(self) -> threading.Event:
        """Wait for this branch's turn; returns what it says that it is done with."""
        mine = threading.Event()
        with self._lock:
            self._came.append(mine)
            if len(self._came) == BRANCHES:
                self._came.pop().set()
        assert mine.wait(10)
        return mine

    def done(self) -> None:
        """Let the next branch go on."""
        with self._lock:
            if self._came:
                self._came.pop().set()


def test_branches_on_equal_content_are_answered_each_its_own(tmp_path: Path) -> None:
    numbers = iter(range(100))
    turns: list[Turns] = []

    def at_random(messages: Sequence[BaseMessage]) -> AIMessage:
        return AIMessage(str(next(numbers)))

    def pick(state: Shop) -> dict[str, Any]:
        if turns:
            turns[-1].wait()
        said = PureModel(answer=at_random).invoke([HumanMessage("draw")])
        if turns:
            turns[-1].done()
        return {"log": [str(said.content)]}

    graph: Any = StateGraph(Shop)
    graph.add_node("draw", pick)
    graph.add_conditional_edges(
        START, lambda _: [Send("draw", {"item": "the same"}) for _ in range(BRANCHES)], ["draw"]
    )
    app = graph.compile()
    becausal.instrument("langgraph", store=tmp_path / "becausal.db")
    try:
        drawn = app.invoke({"item": "x", "log": []})["log"]
        run = becausal.last_run()
        turns.append(Turns())  # in the replay the branches ask the other way round
        replay = run.replay(app)
    finally:
        becausal.uninstrument()

    assert replay.value["log"] == drawn
    assert replay.reproduced


class Talk(TypedDict, total=False):
    messages: Annotated[list[BaseMessage], add_messages]


def talk() -> Any:
    """A graph whose messages get their ids where they are put into the state, after they were told of."""
    graph = StateGraph(Talk)
    graph.add_node("greet", lambda _: {"messages": [HumanMessage("welcome " * 30)]})
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "greet")
    graph.add_edge("greet", "answer")
    return graph.compile()


def lacking_of(run: Run) -> list[tuple[str, str]]:
    """Return the steps that refer to contents which are not there."""
    sides = [
        (step, side) for step in run.steps for side in (step.received, step.produced) if side is not None
    ]
    return [(step.kind, step.name) for step, side in sides if lacking(side)]


def lacking(payload: Payload | None) -> list[bytes]:
    """Return the digests of what a payload refers to and does not have."""
    assert payload is not None
    assert payload.bodies is not None
    waiting, missing = [canonical.parse_digest(payload.digest)], []
    while waiting:
        digest = waiting.pop()
        body = payload.bodies.body(digest)
        if body is None:
            missing.append(digest)
        else:
            waiting += canonical.part_digests(body)
    return missing


def test_a_replay_with_a_changed_request_keeps_all_that_its_steps_received(tmp_path: Path) -> None:
    becausal.instrument("langgraph", store=tmp_path / "becausal.db")
    try:
        talk().invoke({"messages": [HumanMessage("hello " * 30)]})
        run = becausal.last_run()
        request = next(step for step in run.steps if step.kind == "model")

        played = run.replay(talk, edit=becausal.edit(request).message(0).text("hi"), live=True)

        assert lacking_of(played.run) == []
    finally:
        becausal.uninstrument()


@pytest.mark.parametrize(
    "said", ["dear", {"content": "dear"}, AIMessage("dear")], ids=["text", "dict", "message"]
)
def test_a_text_or_a_message_in_a_models_place_is_its_answer(run: Run, said: Any) -> None:
    request = next(step for step in run.steps if step.kind == "model")

    played = run.replay(shop, edit={request: said}, live=True)

    changed = next(step for step in played.run.steps if step.id in played.recalled and step.kind == "model")
    assert changed.produced is not None
    assert changed.produced.text().endswith("dear")
    assert all(outcome.error is None for outcome in played.outcomes)


def test_what_no_model_answers_or_receives_is_refused_in_words(run: Run) -> None:
    request = next(step for step in run.steps if step.kind == "model")

    with pytest.raises(ReplayError, match="a model answers with a message: write"):
        run.replay(shop, edit=becausal.edit(request).produced.to(3))
    with pytest.raises(ReplayError, match="it receives a list of messages"):
        run.replay(shop, edit={request: 3})
