"""The promise: a request is followed over the handoffs that the real frameworks make, whatever they hand on."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any

from autogen_agentchat.teams import RoundRobinGroupChat
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send
from tests.conftest import Recording
from tests.integrations.fakes_autogen import speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal

ASKED = "Order 400 oak desks, at most $90,000, by 3 May 2027, order number KX-20417."


class Notes(TypedDict, total=False):
    request: str
    one: str
    two: str
    three: str
    four: str
    five: str


def model(said: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that asks a model, which is a pure function of what it is shown."""

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        return AIMessage(said(str(messages[-1].content)))

    made = PureModel(answer=answer)
    return lambda heard: str(made.invoke([HumanMessage(heard)]).content)


def drifting(by: int) -> Callable[[str], str]:
    """Return what adds some desks to those that it is told of."""

    def said(heard: str) -> str:
        number = next(int(word) for word in heard.split() if word.isdigit())
        return heard.replace(f"{number} oak", f"{number + by} oak")

    return model(said)


def in_a_row(*nodes: tuple[str, str, Callable[[str], str]]) -> Any:
    graph: Any = StateGraph(Notes)
    before = START
    for name, reads, works in nodes:
        graph.add_node(name, lambda state, n=name, r=reads, w=works: {n.removeprefix("agent "): w(state[r])})
        graph.add_edge(before, name)
        before = name
    return graph.compile()


def test_five_small_changes_in_a_graph_are_one_drift_from_the_first_hop_on(recording: Recording) -> None:
    fields = ["request", "one", "two", "three", "four", "five"]
    nodes = [(f"agent {name}", reads, drifting(13)) for reads, name in pairwise(fields)]
    in_a_row(*nodes).invoke({"request": ASKED})
    run = becausal.last_run()

    (changed,) = run.drift().changed
    assert [change.after.text for change in changed.changes] == ["413", "426", "439", "452", "465"]
    assert [change.step.agent for change in changed.changes] == [name for name, _, _ in nodes]
    (finding,) = [finding for finding in run.findings if finding.kind.startswith("drift.")]
    assert (finding.kind, finding.agent) == ("drift.changed_fact", "agent one")
    assert finding.evidence == ("400", "413", "426", "439", "452", "465")


def test_workers_that_are_sent_a_part_each_lose_nothing_that_the_state_still_has(
    recording: Recording,
) -> None:
    class Orders(TypedDict, total=False):
        request: str
        part: str
        found: Annotated[list[str], operator.add]
        answer: str

    parts = ["400 oak desks", "order number KX-20417"]
    graph: Any = StateGraph(Orders)
    graph.add_node("planner", lambda state: {"answer": ""})
    graph.add_node("worker", lambda state: {"found": [f"{state['part']} are there"]})
    graph.add_node("writer", lambda state: {"answer": " and ".join(state["found"])})
    graph.add_edge(START, "planner")
    graph.add_conditional_edges(
        "planner", lambda state: [Send("worker", {"part": part}) for part in parts], ["worker"]
    )
    graph.add_edge("worker", "writer")
    graph.compile().invoke({"request": ASKED})

    drift = becausal.last_run().drift()
    assert {one.fate for one in drift.facts} == {"kept"}
    assert [hop.kept for hop in drift.hops] == [1.0] * 4


def test_of_two_branches_that_join_one_may_leave_a_fact_out(recording: Recording) -> None:
    short = model(lambda heard: heard.replace(", order number KX-20417", ""))
    same = model(lambda heard: heard)
    graph: Any = StateGraph(Notes)
    graph.add_node("left", lambda s: {"one": short(s["request"])})
    graph.add_node("right", lambda s: {"two": same(s["request"])})
    graph.add_node("join", lambda s: {"three": same(f"{s['one']}\n{s['two']}")})
    for branch in ("left", "right"):
        graph.add_edge(START, branch)
    graph.add_edge(["left", "right"], "join")
    graph.compile().invoke({"request": ASKED})
    drift = becausal.last_run().drift()

    assert [[step.agent for step in hop.steps] for hop in drift.hops[1:]] == [["left", "right"], ["join"]]
    assert not drift.lost
    assert [hop.kept for hop in drift.hops] == [1.0, 1.0, 1.0]


async def test_a_team_s_conversation_keeps_what_its_last_speaker_leaves_out(recording: Recording) -> None:
    def whole(messages: Any) -> str:
        return "I will see to it."

    team = RoundRobinGroupChat([speaker("ada", whole), speaker("bo", lambda m: text_of(m[-1]))], max_turns=2)
    await team.run(task=ASKED)
    drift = becausal.last_run().drift()

    assert {one.fact.text for one in drift.facts} >= {"400", "KX-20417"}
    assert not drift.lost  # everybody in a group chat hears everything


def test_what_was_asked_in_the_run_before_is_followed_in_a_thread_that_goes_on(recording: Recording) -> None:
    class Chat(TypedDict):
        messages: Annotated[list[BaseMessage], add_messages]

    answering = PureModel(answer=lambda messages: AIMessage("Noted."))
    graph: Any = StateGraph(Chat)
    graph.add_node("clerk", lambda state: {"messages": [answering.invoke(state["messages"])]})
    graph.add_edge(START, "clerk")
    app = graph.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    app.invoke({"messages": [HumanMessage(ASKED)]}, config)
    app.invoke({"messages": [HumanMessage("And 12 chairs, please.")]}, config)
    followed = {one.fact.text: one.source for one in becausal.last_run().drift().facts}

    assert followed["KX-20417"] == "earlier"
    assert followed["12"] == "user"
