"""The promise: in runs of the real frameworks a piece is led to who brought it in, by every step that it took."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from tests.conftest import Recording
from typing_extensions import TypedDict

import becausal

NOTES = "The plant made 1,250 units in March, employs 775 people, shipped 60 orders and earned 48000 EUR."


class Report(TypedDict, total=False):
    question: str
    notes: str
    draft: str
    answer: str


def reporting() -> Any:
    """A researcher, an editor who puts a zero too many, and a writer."""
    graph: Any = StateGraph(Report)
    graph.add_node("researcher", lambda state: {"notes": NOTES})
    graph.add_node("editor", lambda state: {"draft": state["notes"].replace("1,250", "12,500")})
    graph.add_node("writer", lambda state: {"answer": f"In short: {state['draft']}"})
    graph.add_edge(START, "researcher")
    graph.add_edge("researcher", "editor")
    graph.add_edge("editor", "writer")
    return graph.compile()


def test_a_figure_that_an_editor_changed_is_the_editor_s_and_no_mean_of_what_he_was_given(
    recording: Recording,
) -> None:
    reporting().invoke({"question": "How did the plant do?"})
    run = becausal.last_run()

    (segment,) = run.blame("12,500").segments

    assert segment.origin is not None
    assert segment.origin.agent == "editor"
    assert segment.derived is None
    assert [(one.kind, one.before, one.after) for one in segment.changes] == [("changed", "1,250", "12,500")]
    assert [one.step for one in run.findings if one.kind == "drift.changed_fact"] == [segment.origin]


def test_the_way_past_a_supervisor_that_said_nothing_of_it_leads_over_both_handoffs(
    recording: Recording,
) -> None:
    class Work(TypedDict, total=False):
        turn: int
        notes: str
        answer: str

    def supervisor(state: Work) -> Any:
        turn = state.get("turn", 0)
        return Command(goto=["researcher", "writer", END][turn], update={"turn": turn + 1})

    graph: Any = StateGraph(Work)
    graph.add_node("supervisor", supervisor)
    graph.add_node("researcher", lambda s: Command(goto="supervisor", update={"notes": NOTES}))
    graph.add_node("writer", lambda s: Command(goto="supervisor", update={"answer": f"So: {s['notes']}"}))
    graph.add_edge(START, "supervisor")
    graph.compile().invoke({"turn": 0})

    way = becausal.last_run().blame(f"So: {NOTES}").segments[1].path

    assert [f"{step.kind} {step.name}" for step in way] == [
        "agent researcher",
        "handoff researcher to supervisor",
        "agent supervisor",
        "handoff supervisor to writer",
        "agent writer",
        "workflow LangGraph",
    ]
