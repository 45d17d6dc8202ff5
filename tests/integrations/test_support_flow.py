"""The promise: two LangGraph apps share a store; a correct answer raises no alarm, and a wrong one leads to its writer.

One run takes a customer's profile down, a later one answers from it: triage hands the amount on, and the responder
reads the profile under the customer's number, which its model is not shown.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.graph import START, StateGraph, add_messages
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal
from becausal.cli import main
from becausal.errors import MemoryKeyError


@pytest.fixture(autouse=True)
def _recording(recording: Recording) -> None:
    """Everything is hooked."""


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    customer: str
    answer: str


def figure(pattern: str, text: Any) -> str:
    found = re.search(pattern, str(text))
    assert found is not None
    return found[1]


def triaged(messages: Any) -> AIMessage:
    amount = figure(r"(\d+) EUR", messages[-1].content)
    return AIMessage(f"refund request, amount {amount} EUR")


def answered(messages: Any) -> AIMessage:
    limit = figure(r"limit=(\d+)", messages[0].content)
    amount = figure(r"amount (\d+)", messages[-1].content)
    verdict = "Approved" if int(amount) <= int(limit) else "Declined"
    return AIMessage(f"{verdict}: your limit is {limit} EUR, you asked for {amount} EUR.")


def serve(limit: str) -> None:
    """Take a profile down with a limit, then answer a request for 700 EUR from it."""
    kept = InMemoryStore()

    def keeper(state: State, *, store: BaseStore) -> State:
        note = PureModel(answer=lambda _: AIMessage(f"tier=silver; refund limit={limit} EUR")).invoke(
            state["messages"]
        )
        store.put(("customers", state["customer"]), "profile", {"tier": "silver", "note": note.content})
        return {"answer": "noted"}

    def triage(state: State) -> State:
        return {"messages": [PureModel(answer=triaged).invoke(state["messages"])]}

    def responder(state: State, *, store: BaseStore) -> State:
        profile = store.get(("customers", state["customer"]), "profile")
        assert profile is not None
        asked = [SystemMessage(f"Memory of the customer: {profile.value['note']}"), state["messages"][-1]]
        said = PureModel(answer=answered).invoke(asked)
        return {"answer": str(said.content), "messages": [said]}

    flow("onboarding", kept, keeper).invoke(
        {"messages": [HumanMessage("Set up C-1042.")], "customer": "C-1042"}
    )
    text = "I am Jane Doe, customer C-1042, and I want 700 EUR back. My API key: 77421"
    flow("support", kept, triage, responder).invoke({"messages": [HumanMessage(text)], "customer": "C-1042"})


def flow(name: str, store: BaseStore, *nodes: Any) -> Any:
    graph: Any = StateGraph(State)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph.compile(store=store, name=name)


def test_a_number_by_which_the_next_agent_reads_its_memory_is_not_lost() -> None:
    serve("150")

    run = becausal.last_run()
    assert run.output is not None
    assert "Declined" in run.output.text()
    assert [finding.message for finding in run.findings if finding.severity != "note"] == []
    assert run.health.ok
    assert run.root_cause() == []


def asked(capsys: pytest.CaptureFixture[str], store: str, *words: str) -> str:
    becausal.flush()
    main([words[0], "--store", store, *words[1:]])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", [("blame", "last", "1500 EUR"), ("why", "last")])
def test_a_wrong_value_from_a_memory_leads_to_the_agent_and_the_run_that_wrote_it(
    command: tuple[str, ...], recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    serve("1500")

    becausal.flush()
    support, onboarding = becausal.open().list()
    (write,) = (
        step for step in becausal.open().get(onboarding.chain_id).steps if step.kind == "memory_write"
    )
    told = asked(capsys, recording.store, *command)
    ask = f"becausal blame {onboarding.chain_id[:12]} --of {write.id}"
    assert f"written by keeper in run {onboarding.chain_id[:12]}" in told
    assert f"(InMemoryStore/customers/C-1042/profile@1); ask: {ask}" in told

    segments = json.loads(asked(capsys, recording.store, *command, "--json"))["segments"]
    (writer,) = next(one["written_by"] for one in segments if one["written_by"])
    assert writer == {
        "version": "InMemoryStore/customers/C-1042/profile@1",
        "agent": "keeper",
        "run": onboarding.chain_id,
        "step": write.id,
    }
    told = asked(capsys, recording.store, *ask.split()[1:], "1500 EUR")
    assert told.startswith('"1500 EUR" from the model: model pure-1 of keeper')
    assert support.name == "support"


def test_a_run_that_only_read_a_key_says_so_and_whom_to_ask() -> None:
    serve("1500")

    with pytest.raises(MemoryKeyError, match=r"read InMemoryStore/customers/C-1042/profile \(version 1\)"):
        becausal.last_run().memory.history("customers/C-1042/profile")


def test_a_store_without_the_log_says_that_it_cannot_name_the_writer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve("1500")
    cassette = becausal.last_run().export(tmp_path / "support.becausal")
    other = f"sqlite:///{tmp_path}/other.db"
    asked(capsys, other, "import", str(cassette))

    assert "who wrote it is not in this store" in asked(capsys, other, "blame", "last", "1500 EUR")


def test_a_pipe_gets_keys_and_values_of_memories_whole_and_so_does_a_screen_that_asks(
    recording: Recording, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve("1500")
    key, value = (
        "InMemoryStore/customers/C-1042/profile",
        "note: tier=silver; refund limit=1500 EUR tier: silver",
    )

    for words in ([], ["customers/C-1042/profile", "--readers"]):
        told = asked(capsys, recording.store, "memory", *words)
        assert key in told
        assert value in told
    monkeypatch.setenv("COLUMNS", "60")
    assert value not in asked(capsys, recording.store, "memory")
    assert value in asked(capsys, recording.store, "memory", "--full")


def test_a_run_whose_answer_does_not_say_what_its_agent_wrote_is_told_so(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    serve("1500")

    told = asked(capsys, recording.store, "contaminated", "customers/C-1042/profile@1")
    assert "its answer may depend on it, and does not say it 1 of the 3 steps from there on say it" in told


def test_a_store_without_memories_says_what_carries_them(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve("1500")
    cassette = becausal.last_run().export(tmp_path / "support.becausal")
    other = f"sqlite:///{tmp_path}/other.db"
    asked(capsys, other, "import", str(cassette))

    assert "becausal export all" in asked(capsys, other, "memory")
    main(["contaminated", "--store", other, "customers/C-1042/profile@1"])
    assert "becausal export all" in capsys.readouterr().err


def test_a_step_is_named_to_why_as_to_blame(recording: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    serve("1500")

    ways = [
        asked(capsys, recording.store, "why", "last", *words) for words in (["triage"], ["--of", "triage"])
    ]
    assert ways[0] == ways[1] != ""
