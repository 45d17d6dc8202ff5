"""The promise: what a handoff must carry is checked where it arrives, and a breach is told, not thrown."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel
from tests.conftest import Recording

import becausal
from becausal import ContractError, contracts, semconv
from becausal.step import Step


@pytest.fixture(autouse=True)
def _no_contracts_left() -> Iterator[None]:
    before = list(contracts.declared)
    contracts.declared.clear()
    yield
    contracts.declared[:] = before


class Brief(BaseModel):
    order_id: str
    amount: float


def pass_on(sent: object, received: object | None = None) -> None:
    """Hand something from the planner to the writer, who may get something else."""
    with becausal.chain("request"):
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", sent)
        if received is not None:
            envelope["payload"] = received
        with becausal.receive("writer", envelope):
            pass


def handoff_of(recording: Recording) -> Step:
    (handoff,) = [step for step in recording.last() if step.kind == "handoff"]
    return handoff


def breaches(recording: Recording) -> tuple[str, ...]:
    said = handoff_of(recording).attributes.get(semconv.CONTRACT_BREACHES, ())
    assert isinstance(said, tuple)
    return said


def test_a_contract_that_is_kept_says_nothing(recording: Recording) -> None:
    becausal.contract("planner", "writer", model=Brief, must_carry=["order_id"])
    pass_on({"order_id": "A-17", "amount": 12.5})

    assert breaches(recording) == ()


def test_a_payload_that_does_not_fit_the_model_breaks_it_with_the_field(recording: Recording) -> None:
    becausal.contract("planner", "writer", model=Brief)
    pass_on({"order_id": "A-17", "amount": "a lot"})

    (said,) = breaches(recording)
    assert said.startswith("Brief: amount: Input should be a valid number")


def test_what_a_model_and_a_list_of_fields_both_miss_is_told_once_with_its_value(
    recording: Recording,
) -> None:
    schema = {"type": "object", "required": ["order_id"]}
    becausal.contract("planner", "writer", model=Brief, schema=schema, must_carry=["order_id"])
    with becausal.chain("refund"):
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", {"order_id": "A-17", "amount": 1})
        envelope["payload"] = {"amount": 1}
        with becausal.receive("writer", envelope):
            pass

    assert breaches(recording) == ("order_id ('A-17') did not arrive",)


@pytest.mark.parametrize(
    "received",
    [
        {"content": '{"order_id": "A-17", "amount": 1}', "source": "planner"},
        {"messages": [{"content": "hello"}, {"content": '{"order_id": "A-17", "amount": 1}'}]},
        {"messages": [], "order_id": "A-17", "amount": 1},
    ],
    ids=["a message", "a state of messages", "a state"],
)
def test_a_model_may_fit_what_a_message_says(recording: Recording, received: object) -> None:
    becausal.contract("planner", "writer", model=Brief)
    pass_on(received)

    assert breaches(recording) == ()


def test_a_json_schema_is_checked_with_the_place_that_breaks_it(recording: Recording) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    becausal.contract("planner", "writer", schema=schema)
    pass_on({"n": "seven"})

    assert breaches(recording) == ("$.n: 'seven' is not of type 'integer'",)


CARRIED: Sequence[tuple[str, object, object, tuple[str, ...]]] = [
    ("the field", {"order_id": "A-17"}, {"order_id": "A-17", "more": 1}, ()),
    ("deeper", {"order_id": "A-17"}, {"brief": [{"order_id": "A-17"}]}, ()),
    ("in a text", {"order_id": "A-17"}, "please refund order a-17 today", ()),
    ("in json", {"order_id": "A-17"}, {"content": '{"order_id": "A-17"}'}, ()),
    ("gone", {"order_id": "A-17"}, {"note": "refund"}, ("order_id ('A-17') did not arrive",)),
    (
        "changed",
        {"order_id": "A-17"},
        {"order_id": "A-71"},
        ("order_id was 'A-17' when it was sent and is 'A-71'",),
    ),
    ("emptied", {"order_id": "A-17"}, {"order_id": ""}, ("order_id ('A-17') did not arrive",)),
    ("never there", {"x": 1}, {"x": 1}, ("order_id was neither sent nor received",)),
    ("a word", "the order_id is on the slip", "the order_id is on the slip", ()),
]


@pytest.mark.parametrize(
    ("sent", "received", "said"), [row[1:] for row in CARRIED], ids=[row[0] for row in CARRIED]
)
def test_what_must_be_carried_is_looked_for_in_what_arrives(
    recording: Recording, sent: object, received: object, said: tuple[str, ...]
) -> None:
    becausal.contract("planner", "writer", must_carry=["order_id"])
    pass_on(sent, received)

    assert breaches(recording) == said


def test_a_check_of_the_apps_says_what_is_wrong_and_one_that_raises_is_told_of(recording: Recording) -> None:
    def small(received: Any) -> str | None:
        return "more than 100" if received["amount"] > 100 else None

    becausal.contract("planner", "writer", check=small)
    becausal.contract("planner", "*", check=lambda received: received["no such field"])
    becausal.contract("*", "reader", check=small)
    pass_on({"amount": 500})

    first, second = breaches(recording)
    assert first == "more than 100"
    assert second == "check <lambda> failed: KeyError: 'no such field'"


def test_a_check_that_blocks_costs_the_app_nothing(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    from becausal import afterwards

    monkeypatch.setattr(afterwards, "MOST_SECONDS", 0.01)
    never = threading.Event()
    becausal.contract("planner", "writer", check=lambda _: never.wait())
    pass_on({"amount": 1})

    (said,) = breaches(recording)
    never.set()
    assert "did not answer within" in said


def test_what_a_contract_allows_stands_on_the_handoff(recording: Recording) -> None:
    becausal.contract("planner", "writer", allow=["drop:notes", "trim"])
    becausal.contract("*", "writer", allow=["trim"])
    pass_on({"amount": 1})

    assert handoff_of(recording).attributes[semconv.CONTRACT_ALLOWS] == ("drop:notes", "trim:*")


def test_a_contract_for_agents_that_do_not_exist_is_told_of_once(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    becausal.contract("planer", "writer", must_carry=["order_id"])
    becausal.contract("planner", "*", must_carry=["order_id"])
    becausal.flush()
    assert caplog.text == ""  # nobody has handed over anything yet
    pass_on({"order_id": "A-17"})

    assert breaches(recording) == ()
    becausal.flush()
    (said,) = [row.getMessage() for row in caplog.records]
    assert said == (
        "becausal: the contract from planer to writer has held nobody so far: these handed over: "
        "planner to writer; planer may mean planner"
    )


def test_facts_of_a_kind_and_fields_by_their_path_must_be_carried(recording: Recording) -> None:
    becausal.contract("planner", "writer", must_carry=["money:*", "brief.id", "date:*"])
    with becausal.chain("refund"):
        with becausal.agent("planner"):
            sent = {"brief": {"id": 7}, "shop": {"id": 9}, "text": "pay $40 and $50"}
            envelope = becausal.handoff("planner", "writer", sent)
        envelope["payload"] = {"brief": {}, "shop": {"id": 9}, "text": "pay USD 40"}
        with becausal.receive("writer", envelope):
            pass

    assert breaches(recording) == (
        "money '$50' did not arrive",
        "brief.id (7) did not arrive",
        "no date was sent or received",
    )


def test_a_handoff_of_others_falls_under_no_contract(recording: Recording) -> None:
    becausal.contract("planner", "reader", must_carry=["order_id"])
    pass_on({"amount": 1})

    assert semconv.CONTRACT_BREACHES not in handoff_of(recording).attributes


def test_where_no_content_is_kept_a_contract_is_not_broken_and_that_nobody_looked_is_counted(
    store: str,
) -> None:
    becausal.instrument(store=store, capture="digest")
    becausal.contract("planner", "writer", must_carry=["order_id"])
    pass_on({"order_id": 1})
    becausal.uninstrument()

    with becausal.open(store) as runs:
        run = runs.last()
        assert semconv.CONTRACT_BREACHES not in run.handoffs[0].step.attributes
        assert all(finding.kind != "contract.broken" for finding in run.findings)
        assert runs.gaps() == {"not checked": 1}


class State(TypedDict, total=False):
    order_id: str
    text: str


def test_a_state_between_nodes_of_a_graph_falls_under_a_contract(recording: Recording) -> None:
    becausal.contract("planner", "writer", must_carry=["order_id", "deadline"])
    graph = StateGraph(State)
    graph.add_node("planner", lambda state: {"text": "plan", "order_id": "A-17"})
    graph.add_node("writer", lambda state: {"text": state["order_id"]})
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "writer")
    graph.add_edge("writer", END)
    graph.compile().invoke({"text": "go"})

    assert breaches(recording) == ("deadline was neither sent nor received",)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"model": dict}, "model is to be a class derived from pydantic.BaseModel"),
        ({"model": Brief(order_id="x", amount=1)}, "model is to be a class"),
        ({"schema": {"type": "no such type"}}, "this is no JSON schema"),
        ({"must_carry": "order_id"}, r"must_carry=\['order_id'\]"),
        ({"allow": "drop:x"}, "are lists of texts"),
        ({"allow": ["lose:notes"]}, "'lose' is none of drop, trim, redact, summarise, reorder"),
    ],
    ids=["no model", "an instance", "no schema", "a text", "a text to allow", "no kind"],
)
def test_what_cannot_be_checked_is_refused_when_it_is_declared(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ContractError, match=told):
        becausal.contract("planner", "writer", **arguments)

    assert contracts.declared == []


def test_a_schema_without_the_library_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "jsonschema":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ContractError, match=r"pip install 'becausal\[contracts\]'"):
        becausal.contract("planner", "writer", schema={})


def test_the_same_contract_declared_again_is_one() -> None:
    for _ in range(2):
        becausal.contract("planner", "writer", must_carry=["order_id"])

    assert len(contracts.declared) == 1


def test_contracts_may_be_named_where_the_app_is_instrumented(store: str) -> None:
    made = becausal.contract("planner", "writer", must_carry=["order_id"])
    contracts.declared.clear()
    becausal.instrument(store=store, contracts=[made])
    becausal.uninstrument()

    assert contracts.declared == [made]
    with pytest.raises(ContractError, match=r"what becausal\.contract\(\.\.\.\) returns, not 'order_id'"):
        becausal.instrument(store=store, contracts=["order_id"])  # type: ignore[list-item]
