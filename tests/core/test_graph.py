"""The promise: a chain's graph holds every edge that the record or equal content shows, and no flood of others."""

from __future__ import annotations

import pytest
from tests.core.builders import Record, message, research_team

from becausal.errors import BecausalError, StepNotFoundError
from becausal.graph import Graph


def edges(graph: Graph, kind: str) -> set[tuple[str, str]]:
    return {(edge.source.name, edge.target.name) for edge in graph.edges if edge.kind == kind}


def test_the_caller_of_each_step_is_an_edge() -> None:
    graph = research_team().graph()

    calls = edges(graph, "call")

    assert {("team", "researcher"), ("researcher", "revenue_database"), ("team", "writer")} <= calls


def test_a_recorded_cause_keeps_its_kind_grade_and_evidence() -> None:
    graph = research_team().graph()

    (edge,) = [e for e in graph.edges if e.kind == "transfer" and e.target.name == "writer"]

    assert (edge.source.kind, edge.grade, edge.evidence) == ("handoff", "declared", "said so")


def test_a_tool_call_is_joined_to_the_model_that_asked_and_to_the_one_that_read_the_answer() -> None:
    graph = research_team().graph()

    found = {
        (edge.source.kind, edge.target.kind): (edge.grade, edge.evidence)
        for edge in graph.edges
        if edge.kind == "data" and "tool" in (edge.source.kind, edge.target.kind)
    }

    assert found == {
        ("model", "tool"): ("observed", "tool call call-1"),
        ("tool", "model"): ("observed", "tool call call-1"),
    }


def test_a_recorded_cause_that_asked_for_a_tool_call_needs_no_second_edge() -> None:
    record = Record()
    ask = message("ai", "", tool_calls=[{"name": "db", "args": {}, "id": "call-1"}])
    with record.step("workflow", "team"):
        with record.step("agent", "asker", produced=ask):
            model = record.did("model", "m", "q", ask)
        record.did("tool", "db", {}, "x", call="call-1").caused_by(model, "data", "observed")

    assert edges(record.graph(), "data") == {("m", "db")}


def test_equal_content_that_nothing_else_explains_is_a_matched_edge() -> None:
    record = Record()
    with record.step("workflow", "team"):
        record.did("tool", "search", "q", "the harbour closes at nine")
        record.did("model", "m", [message("human", "Summarise.\nthe harbour closes at nine")], "closes at 9")

    (edge,) = [edge for edge in record.graph().edges if edge.kind == "data"]

    assert (edge.source.name, edge.target.name, edge.grade) == ("search", "m", "matched")
    assert edge.evidence == 'text "the harbour closes at nine"'


def test_a_short_text_links_only_where_it_is_all_that_was_said() -> None:
    record = Record()
    with record.step("workflow", "team"):
        record.did("tool", "count", "q", 42)
        record.did("model", "whole", [message("human", "42")], "a")
        record.did("model", "part", [message("human", "The answer is 42, they say")], "b")

    assert edges(record.graph(), "data") == {("count", "whole")}


def test_what_the_caller_received_needs_no_edge_from_whoever_also_said_it() -> None:
    record = Record()
    with record.step("workflow", "team", received="Tell me about the harbour"):
        record.did("agent", "echo", "x", "Tell me about the harbour")
        record.did("agent", "other", "Tell me about the harbour", "no")

    assert edges(record.graph(), "data") == set()


def test_what_a_recorded_cause_brought_needs_no_second_edge() -> None:
    graph = research_team().graph()

    assert {pair for pair in edges(graph, "data") if pair[1] in ("analyst", "writer")} == set()


def test_a_producer_that_had_not_finished_is_no_source() -> None:
    record = Record()
    with record.step("agent", "outer") as outer:
        record.did("model", "inner", "the same words", "x")
        outer.produces("the same words")

    assert edges(record.graph(), "data") == set()


def test_a_producer_that_was_still_at_work_beside_the_reader_is_no_source() -> None:
    record = Record()
    with (
        record.step("workflow", "team") as team,
        record.step("agent", "slow", produced="the same words"),
        record.step("agent", "reader", received="the same words", parent=team),
    ):
        pass

    assert edges(record.graph(), "data") == set()


def test_what_an_enclosing_sender_will_produce_explains_nothing_yet() -> None:
    record = Record()
    with record.step("agent", "planner", received="q", produced="the harbour closes at nine") as planner:
        record.did("tool", "search", "q", "the harbour closes at nine")
        record.handoff(planner, "writer", "the harbour closes at nine")

    assert edges(record.graph(), "data") == {("search", "planner to writer")}


def test_content_is_led_to_the_latest_producer_and_to_the_outermost_of_it() -> None:
    record = Record()
    with record.step("workflow", "team"):
        record.did("tool", "first", "q", "the harbour closes at nine")
        with record.step("agent", "second", produced="the harbour closes at nine"):
            record.did("tool", "inner", "q", "the harbour closes at nine")
        record.did("agent", "reader", "the harbour closes at nine", "ok")

    assert ("second", "reader") in edges(record.graph(), "data")
    assert ("first", "reader") not in edges(record.graph(), "data")
    assert ("inner", "reader") not in edges(record.graph(), "data")


def test_a_long_conversation_gets_edges_by_its_turns_and_not_by_their_square() -> None:
    record, history = Record(), [message("human", "let us begin this conversation")]
    with record.step("agent", "talker", received=list(history)):
        for turn in range(60):
            reply = message("ai", f"this is reply number {turn}")
            record.did("model", "m", list(history), reply)
            history += [reply, message("human", f"and what about number {turn}")]

    assert len([edge for edge in record.graph().edges if edge.kind == "data"]) < 120


def test_a_cause_that_is_not_in_the_store_is_named_and_makes_no_edge() -> None:
    record, elsewhere = Record(), Record("d" * 32)
    with elsewhere.step("agent", "far") as far, record.step("agent", "near") as near:
        near.caused_by(far)

    graph = record.graph()

    assert graph.missing == (far.id,)
    assert list(graph.edges) == []


def test_a_step_answers_to_itself_its_id_and_the_beginning_of_its_id() -> None:
    graph = research_team().graph()
    step = graph.nodes[3]

    assert graph.step(step) is graph.step(step.id) is graph.step(step.id[:5]) is step


def test_an_unknown_step_is_refused_with_the_steps_that_there_are() -> None:
    graph = research_team().graph()

    with pytest.raises(StepNotFoundError, match=r"no step 'ffff'.*workflow team"):
        graph.step("ffff")
    with pytest.raises(StepNotFoundError, match=r"beginning of .* steps.*write more"):
        graph.step("000")


def test_the_output_is_the_roots_and_of_several_roots_the_last_that_ended() -> None:
    record = Record()
    record.did("workflow", "first", "q", "one")
    record.did("workflow", "second", "q", "two")
    with record.step("workflow", "silent"):
        pass

    assert getattr(record.graph().output_step, "name", None) == "second"


def test_a_request_that_names_no_output_has_that_of_its_last_child() -> None:
    record = Record()
    with record.step("request", "ask", received="q"):
        planner = record.did("agent", "planner", "q", "plan")
        handoff = record.handoff(planner, "writer", "plan")
        with record.step("agent", "writer", received="plan", arrivals=[handoff]) as writer:
            writer.produces("text")

    assert getattr(record.graph().output_step, "name", None) == "writer"


def test_a_turn_whose_app_did_not_say_what_came_out_gives_what_was_said_within_it() -> None:
    record = Record()
    with record.step("request", "ask"):
        record.did("agent", "planner", "q", "a plan")
        with record.step("agent", "writer", received="a plan"):
            record.did("model", "m", "a plan", "a text")

    assert getattr(record.graph().output_step, "name", None) == "m"


def test_what_was_said_within_a_turn_that_failed_is_no_output() -> None:
    record = Record()
    with record.step("request", "ask"):
        with record.step("agent", "writer", received="a plan") as writer:
            record.did("model", "m", "a plan", "a text")
        writer.step.status = "error"

    assert record.graph().output_step is None


def test_nodes_and_edges_read_as_attributes_and_as_calls() -> None:
    graph = research_team().graph()

    assert graph.nodes() == graph.nodes
    assert len(graph.edges()) == len(graph.edges) == sum(graph.in_degree(step) for step in graph.nodes)
    assert graph.nodes[0] in graph
    assert graph.predecessors(graph.successors(graph.nodes[0])[0]) == [graph.nodes[0]]


def test_without_networkx_the_conversion_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)

    with pytest.raises(BecausalError, match="pip install networkx"):
        research_team().graph().to_networkx()


def test_a_step_answers_to_its_agents_name_where_that_is_one_turn_alone() -> None:
    record = Record()
    with record.step("workflow", "team"):
        record.did("agent", "ada", "q", "a")
        record.did("tool", "look_up", "q", "a")
        for _ in range(2):
            record.did("agent", "bo", "q", "a")
    graph = record.graph()

    assert (graph.step("ada").kind, graph.step("ada").name) == ("agent", "ada")
    assert graph.step("look_up").kind == "tool"
    with pytest.raises(StepNotFoundError, match=r"'bo' names 2 steps: .*; give the id of one"):
        graph.step("bo")
