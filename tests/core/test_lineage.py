"""The promise: why leaves no possible cause out, impact no possible effect, and the nearest come first."""

from __future__ import annotations

import pytest
from tests.core.builders import Record, research_team

from becausal.answers.lineage import impact, why
from becausal.errors import StepNotFoundError
from becausal.handoff import Handoff


def test_the_output_goes_back_to_everything_nearest_first() -> None:
    graph = research_team().graph()

    lineage = why(graph)

    names = [step.name for step in lineage.steps]
    assert lineage.of.name == "team"
    assert len(names) == len(graph) - 1
    assert names.index("writer") < names.index("analyst") < names.index("researcher")
    assert names.index("researcher") < names.index("revenue_database")


def test_a_step_does_not_go_back_to_what_came_later_or_ran_beside_it() -> None:
    graph = research_team().graph()
    analyst = next(step for step in graph.nodes if step.name == "analyst")

    names = {step.name for step in why(graph, analyst).steps}

    assert "revenue_database" in names
    assert not names & {"writer", "critic"}


def test_a_tools_impact_is_what_read_it_and_what_came_of_that() -> None:
    graph = research_team().graph()
    tool = next(step for step in graph.nodes if step.kind == "tool")

    lineage = impact(graph, tool)

    names = [step.name for step in lineage.steps]
    assert {"researcher", "analyst", "writer", "team"} <= set(names)
    assert names.index("researcher") < names.index("writer")


def test_every_edge_of_a_lineage_joins_two_of_its_steps() -> None:
    graph = research_team().graph()

    lineage = why(graph)

    ids = {step.id for step in lineage.steps} | {lineage.of.id}
    assert lineage.edges
    assert all(edge.source.id in ids and edge.target.id in ids for edge in lineage.edges)
    assert "writer" in (lineage.edges[0].source.name, lineage.edges[0].target.name)


def test_a_handoff_may_be_asked_about() -> None:
    graph = research_team().graph()
    step = next(step for step in graph.nodes if step.kind == "handoff")

    assert why(graph, Handoff(step, None, None, None, None)) == why(graph, step.id)


def test_an_empty_run_says_that_there_is_nothing_to_ask_about() -> None:
    with pytest.raises(StepNotFoundError):
        why(Record().graph())


def test_a_lineage_prints_as_its_edges() -> None:
    assert "-> tool revenue_database  (data, observed: tool call call-1)" in str(why(research_team().graph()))
