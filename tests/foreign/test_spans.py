"""Spans that other people's instrumentors made of our examples give the examples' answer, or say what they lack."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from becausal import foreign, semconv
from becausal.run import Run
from becausal.runs import Runs
from becausal.store import open_store

FIXTURES = Path(__file__).parent / "fixtures"

# What the fixtures' makers call themselves, and what their spans do not have.
MADE = {
    "langgraph-openinference.jsonl": (("OpenInference",), ()),
    "langgraph-openllmetry.jsonl": (("OpenLLMetry", "GenAI"), ()),
    "langgraph-langfuse.jsonl": (("Langfuse",), ()),
    "langgraph-langsmith.jsonl": (("LangSmith",), ()),
    "langgraph-mlflow.json": (("MLflow",), ()),
    "langgraph-genai.jsonl": (("GenAI",), ("no model call recorded, in so many steps: 2",)),
    "agent-framework-genai.jsonl": (
        ("GenAI", "Agent Framework"),
        ("spans left out: of no known dialect: 4",),
    ),
    "autogen-openinference.jsonl": (
        ("AutoGen", "GenAI", "OpenInference"),
        (
            "no model call recorded, in so many steps: 20",
            "outputs known only by the messages that others received: 5",
            "tool results known only by the messages that carry them: 1",
        ),
    ),
    "autogen-native.json": (
        ("AutoGen", "GenAI"),
        (
            "no model call recorded, in so many steps: 16",
            "outputs known only by the messages that others received: 3",
            "tool results known only by the messages that carry them: 1",
        ),
    ),
}

WHOLE = [name for name in MADE if name.startswith("langgraph") and "genai" not in name]


def loaded(path: Path) -> Run:
    """Return the one run in a file, through a store."""
    store = open_store("sqlite:///:memory:")
    store.write(foreign.load(path))
    runs = Runs(store).list()
    assert len(runs) == 1
    return Runs(store).get(runs[0].chain_id)


@pytest.mark.parametrize("name", MADE)
def test_blame_leads_through_spans_of_others_to_the_tool_that_brought_the_figure(name: str) -> None:
    run = loaded(FIXTURES / name)

    segment = run.blame("20 million").segments[0]

    assert segment.origin is not None
    assert (segment.source, segment.origin.name) == ("tool", "revenue_database")


@pytest.mark.parametrize("name", WHOLE)
def test_the_way_of_the_figure_passes_every_agent_that_handed_it_on(name: str) -> None:
    run = loaded(FIXTURES / name)

    agents = [step.agent for step in run.blame("20 million").segments[0].path if step.kind == "agent"]

    assert agents == ["tools", "researcher", "analyst", "writer"]


@pytest.mark.parametrize("name", WHOLE)
def test_the_nodes_of_a_graph_are_agents_whoever_recorded_them(name: str) -> None:
    run = loaded(FIXTURES / name)

    turns = [step.name for step in run.steps if step.kind == "agent" and step.name != "research team"]

    assert turns == ["researcher", "tools", "researcher", "analyst", "writer"]
    assert [call.step.attributes[semconv.TOOL_CALL_ID] for call in run.tool_calls] == ["call-1"]


@pytest.mark.parametrize("name", WHOLE)
def test_what_a_model_and_a_router_decided_is_known(name: str) -> None:
    run = loaded(FIXTURES / name)

    decided = [decision.choice.conclusion for decision in run.decisions]

    assert decided == [
        "call revenue_database(company='Acme', year=2025)",
        "route to tools",
        "route to analyst",
    ]


@pytest.mark.parametrize("name", MADE)
def test_who_recorded_a_run_and_what_it_lacks_stands_on_its_first_step(name: str) -> None:
    dialects, notes = MADE[name]

    first = loaded(FIXTURES / name).steps[0]

    said = first.attributes[semconv.IMPORT_DIALECTS]
    assert isinstance(said, tuple)
    assert sorted(said) == sorted(dialects)
    assert first.attributes.get(semconv.IMPORT_NOTES, ()) == notes


@pytest.mark.parametrize("name", MADE)
def test_a_cause_is_numbered_before_its_effect(name: str) -> None:
    run = loaded(FIXTURES / name)

    numbers = {step.id: step.seq for step in run.steps}

    assert all(numbers[edge.source.id] < numbers[edge.target.id] for edge in run.edges)


@pytest.mark.parametrize("name", MADE)
def test_loading_twice_gives_the_same_steps_and_changes_nothing(name: str) -> None:
    once, again = foreign.load(FIXTURES / name), foreign.load(FIXTURES / name)
    store = open_store("sqlite:///:memory:")

    store.write(once)
    before = store.load(once[0].chain_id)
    store.write(again)

    assert [step.id for step in once] == [step.id for step in again]
    assert store.load(once[0].chain_id) == before


def test_links_join_the_traces_that_a_message_runtime_leaves_apart() -> None:
    run = loaded(FIXTURES / "autogen-native.json")

    senders = {
        (edge.source.agent, edge.target.agent)
        for edge in run.edges
        if edge.kind == "transfer" and edge.evidence == "span link"
    }

    assert ("researcher", "writer") in senders
    assert {step.agent for step in run.steps} == {"RoundRobinGroupChatManager", "researcher", "writer"}


def test_an_autogen_turn_received_what_had_arrived_in_its_container() -> None:
    run = loaded(FIXTURES / "autogen-native.json")

    turn = run.blame("20 million").segments[0].path[-1]

    assert turn.name == "writer"
    assert turn.received is not None
    assert "The database gives 20 million USD." in turn.received.text()


def test_the_same_spans_give_the_same_run_from_otlp_and_from_protobufs_json(tmp_path: Path) -> None:
    hexadecimal = foreign.load(FIXTURES / "langgraph-openinference.jsonl")

    in_base64 = foreign.load(_as_protobuf_writes(FIXTURES / "langgraph-openinference.jsonl", tmp_path))

    assert [(step.id, step.received, step.produced) for step in in_base64] == [
        (step.id, step.received, step.produced) for step in hexadecimal
    ]


def test_runs_that_only_share_a_file_stay_apart(tmp_path: Path) -> None:
    both = tmp_path / "both.jsonl"
    with both.open("wb") as file:
        for name in ("langgraph-openinference.jsonl", "langgraph-langfuse.jsonl"):
            with (FIXTURES / name).open("rb") as one:
                shutil.copyfileobj(one, file)

    steps = foreign.load(both)

    assert len({step.chain_id for step in steps}) == 2
    assert len(steps) == 26


def _as_protobuf_writes(path: Path, folder: Path) -> Path:
    """Return a file of the same spans as `MessageToJson` writes them: ids in base64, names as in the schema."""
    format = pytest.importorskip("google.protobuf.json_format")
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    to = folder / "spans.json"
    whole = service.ExportTraceServiceRequest()
    for line in _lines(path):
        request = service.ExportTraceServiceRequest()
        # The parser takes base64 alone: it reads the digits as such, and the ids are put right.
        format.Parse(line, request)
        whole.MergeFrom(request)
    for resource in whole.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                for name in ("trace_id", "span_id", "parent_span_id"):
                    setattr(span, name, _undone(getattr(span, name)))
    to.write_text(format.MessageToJson(whole, preserving_proto_field_name=True))
    return to


def _lines(path: Path) -> Iterator[str]:
    yield from path.read_text().splitlines()


def _undone(misread: bytes) -> bytes:
    """Return the bytes of hexadecimal digits that were read as base64."""
    return bytes.fromhex(base64.b64encode(misread).decode())
