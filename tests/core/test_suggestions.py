"""The promise: what handoffs have always carried is suggested as a contract, in words that can be pasted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import becausal
from becausal import contracts
from becausal.cli import main
from becausal.suggestions import suggest


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path}/runs.db"
    becausal.instrument(store=url)
    yield url
    becausal.uninstrument()


def pass_on(sent: dict[str, object], received: dict[str, object]) -> None:
    with becausal.chain("request") as chain:
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", sent)
        envelope["payload"] = received
        with becausal.receive("writer", envelope):
            pass
        chain.returned("done")


def test_what_always_arrived_must_be_carried_and_what_never_did_may_be_dropped(store: str) -> None:
    for number in range(3):
        brief = {
            "order_id": f"A-{number}",
            "amount": number + 100,
            "scratch": "x",
            "extra": "y" if number else "",
        }
        pass_on(brief, {key: brief[key] for key in ("order_id", "amount")})
    assert becausal.flush()
    runs = becausal.open(store)

    (found,) = suggest(runs.get(info.chain_id) for info in runs.list())
    assert (found.sender, found.receiver, found.seen) == ("planner", "writer", 3)
    assert found.must_carry == ("amount", "order_id")
    assert found.allow == ("drop:scratch",)


def test_a_suggestion_is_code_that_declares_it(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        pass_on({"order_id": f"A-{number}"}, {"order_id": f"A-{number}"})
    assert becausal.flush()

    assert main(["contracts", "suggest", "--store", store]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith("becausal.contract('planner', 'writer', must_carry=['order_id'])")
    before = list(contracts.declared)
    declared = eval(line)
    contracts.declared[:] = before
    assert declared.must_carry == ("order_id",)
    assert main(["contracts", "suggest", "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["must_carry"] == ["order_id"]


def test_fields_within_others_are_suggested_by_name_and_by_path_where_two_have_it(store: str) -> None:
    for number in range(3):
        brief = {
            "order_id": f"A-{number}",
            "notes": f"n{number}",
            "customer": {"id": 7, "name": f"Ada {number}"},
        }
        sent = {"brief": brief, "shop": {"name": "Acme"}}
        pass_on(sent, {"brief": {**brief, "notes": ""}, "shop": {"name": "Acme"}})
    assert becausal.flush()
    runs = becausal.open(store)

    (found,) = suggest(runs.get(info.chain_id) for info in runs.list())
    assert found.must_carry == ("brief.customer.name", "order_id", "shop.name")
    assert found.allow == ("drop:brief.notes",)
    code = str(found)
    assert max(map(len, code.splitlines())) <= 79
    before = list(contracts.declared)
    declared = eval(code)
    contracts.declared[:] = before
    assert (declared.must_carry, declared.allow) == (found.must_carry, found.allow)


def test_the_facts_that_texts_always_carried_are_suggested_by_their_kind(store: str) -> None:
    for number in range(3):
        text = (
            f"Refund order A-10{number} with $4{number}.50, at most $100, says Ada Byron {'again ' * number}."
        )
        pass_on({"content": text, "source": "planner"}, {"content": f"The task: {text}", "source": "planner"})
    assert becausal.flush()
    runs = becausal.open(store)

    (found,) = suggest(runs.get(info.chain_id) for info in runs.list())
    assert found.must_carry == ("id:*", "money:*", "limit:*")


def test_two_handoffs_teach_nothing(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        pass_on({"order_id": f"A-{number}"}, {"order_id": f"A-{number}"})
    assert becausal.flush()

    assert main(["contracts", "suggest", "--store", store]) == 0
    assert "Nothing to suggest yet" in capsys.readouterr().out
