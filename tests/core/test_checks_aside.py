"""The promise: checks cost the app's thread nothing, and a bad check or a bad payload harms neither app nor run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from tests.conftest import Recording

import becausal
from becausal import afterwards, contracts, validators
from becausal.toolcall import ToolCall

JUDGING = ("becausal.facts", "becausal.findings", "becausal.toolchecks", "becausal.delta", "becausal.blame")
ASIDE = ("_found", "_found_stored", "_breaches", "asked", "_said", "_value", "plain", "decode")
"""Functions that look at what is checked."""


@pytest.fixture(autouse=True)
def _no_checks_left() -> Iterator[None]:
    before = list(contracts.declared), dict(validators.registered)
    contracts.declared.clear()
    validators.registered.clear()
    yield
    contracts.declared[:] = before[0]
    validators.registered.clear()
    validators.registered.update(before[1])


PAYLOADS: dict[str, Callable[[], Any]] = {
    "text": lambda: {"order_id": "A-17", "text": "offer $12.50 for order A-17. " * 40_000},
    "items": lambda: {"order_id": "A-17", "rows": [{"sku": f"A-{n}", "price": n} for n in range(20_000)]},
    "binary": lambda: {"order_id": "A-17", "blob": bytes(range(256)) * 4_000},
    "encodings": lambda: {"order_id": "A-17", "text": "Grüße \ud800 \x00 \ufffd cafÃ© $5"},
    "nested": lambda: {"order_id": "A-17", "tree": nested("$5", 10_000)},
}


def nested(leaf: object, levels: int) -> object:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@becausal.tool(name="fetch")
def fetch(payload: Any) -> Any:
    return payload


def play(payload: Any) -> Any:
    with becausal.chain("go") as chain:
        with becausal.agent("planner"):
            got = fetch(payload)
            envelope = becausal.handoff("planner", "writer", got)
        with becausal.receive("writer", envelope) as received:
            pass
        chain.returned("done")
    return received


def check_all() -> None:
    becausal.contract(
        "planner", "writer", must_carry=["order_id"], check=lambda got: got["order_id"] == "A-17"
    )
    becausal.validator("fetch")(lambda answer: answer["order_id"] == "A-17")


def test_the_app_s_thread_judges_nothing_and_looks_at_nothing(recording: Recording) -> None:
    check_all()
    mine, calls = threading.get_ident(), []

    def seen(frame: FrameType, event: str, _: object) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        if event == "call" and threading.get_ident() == mine:
            is_look = frame.f_code.co_name in ASIDE and module.startswith("becausal")
            if module.startswith(JUDGING) or is_look:
                calls.append(f"{module}.{frame.f_code.co_name}")

    payload = PAYLOADS["text"]()
    play(payload)  # what is loaded once is loaded
    sys.setprofile(seen)
    try:
        play(payload)
    finally:
        sys.setprofile(None)

    assert calls == []
    tools = [ToolCall(step) for steps in recording.runs() for step in steps if step.kind == "tool"]
    assert [tool.checks for tool in tools] == [(), ()]  # and yet all was checked
    assert all("becausal.checks" in tool.step.attributes for tool in tools)


@pytest.mark.parametrize("sort", PAYLOADS)
def test_a_bad_payload_is_checked_and_judged_in_bounded_time_and_the_app_gets_what_it_made(
    recording: Recording, sort: str
) -> None:
    check_all()
    payload = PAYLOADS[sort]()

    received = play(payload)
    assert received is payload or received == payload or sort == "nested"
    began = time.process_time()
    findings = becausal.last_run().findings
    assert time.process_time() - began < 60
    assert [f for f in findings if f.kind in ("contract.broken", "tool.invalid")] == []
    while sort == "nested" and isinstance(
        payload["tree"], list
    ):  # freed by hand: the interpreter would recurse
        payload["tree"] = payload["tree"][0]


def bad(received: object) -> object:
    raise RuntimeError("no")


def endless(received: object) -> object:
    NEVER.wait()
    return None


class Odd:
    def __bool__(self) -> bool:
        raise TypeError("neither")

    __repr__ = __str__ = None  # type: ignore[assignment]


NEVER = threading.Event()
CHECKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "raises": (bad, "check bad failed: RuntimeError: no"),
    "leaves": (lambda _: sys.exit(3), "check <lambda> failed: SystemExit: 3"),
    "blocks": (endless, "check endless did not answer within 0 s"),
    "nonsense": (
        lambda _: Odd(),
        "check <lambda> answered Odd; it is to answer None, a truth value, a text or texts",
    ),
    "a number": (
        lambda _: 7,
        "check <lambda> answered int; it is to answer None, a truth value, a text or texts",
    ),
    "a long text": (lambda _: "x" * 10**6, "x" * afterwards.WIDEST),
    "many texts": (lambda _: ["y"] * 10**6, "y"),
    "no": (lambda _: False, "<lambda> failed on {'order_id': 'A-17'}"),
}


@pytest.mark.parametrize("sort", CHECKS)
def test_a_check_that_is_no_good_is_told_for_what_it_is_and_the_next_one_is_made(
    recording: Recording, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(afterwards, "MOST_SECONDS", 0.05 if sort == "blocks" else 10.0)
    check, said = CHECKS[sort]
    becausal.contract("planner", "writer", check=check)
    becausal.contract("planner", "writer", must_carry=["never sent"])
    becausal.validator("fetch")(check)

    assert play({"order_id": "A-17"}) == {"order_id": "A-17"}
    run = becausal.last_run()
    broken = [f.evidence[0] for f in run.findings if f.kind == "contract.broken"]
    invalid = [f.evidence[0] for f in run.findings if f.kind == "tool.invalid"]
    NEVER.set()
    NEVER.clear()
    assert run.status == "ok"
    if sort == "blocks":  # it is given up by whichever asked it first
        assert said in (*broken, *invalid)
    else:
        assert said in broken
        assert set(invalid) == {said}
        assert len(broken) <= afterwards.MOST_SAID
    if sort != "many texts":
        assert "never sent was neither sent nor received" in broken


def test_a_validator_sees_the_answer_where_no_content_is_kept(store: str) -> None:
    becausal.instrument(store=store, capture="digest")
    try:
        becausal.validator("fetch")(lambda answer: answer["order_id"] == "B-1")
        fetch({"order_id": "A-17"})
        (tool,) = becausal.last_run().tool_calls
    finally:
        becausal.uninstrument()

    assert tool.checks == ("<lambda> failed on {'order_id': 'A-17'}",)
