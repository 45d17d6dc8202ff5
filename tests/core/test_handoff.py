"""A handoff's verdict: what comparing the two payloads shows by itself."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from tests.core.builders import Record

from becausal.canonical import digest_text, encode
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.run import Run
from becausal.step import Step


class Kept:
    def __init__(self) -> None:
        self.bodies: dict[bytes, bytes] = {}

    def body(self, digest: bytes) -> bytes | None:
        return self.bodies.get(digest)

    def payload(self, value: object) -> Payload:
        encoded = encode(value)
        self.bodies |= {**dict(encoded.parts), encoded.digest: encoded.body}
        return Payload(
            digest_text(encoded.digest),
            digest_text(encoded.belief),
            encoded.size,
            encoded.type_name,
            (),
            self,
        )


def handoff(sent: object, received: object, *, arrived: bool = True) -> Handoff:
    kept = Kept()
    step = Step(
        id="1" * 16, kind="handoff", name="a to b", agent="a", parent_id=None, chain_id="c", trace_id=None,
        span_id=None, seq=1, hop=1, started_ns=0, ended_ns=1, status="ok", error=None,
        received=kept.payload(sent), produced=kept.payload(received) if arrived else None,
    )  # fmt: skip
    return Handoff(step, "a", "b", None, None)


SENT = {"messages": [ToolMessage("20 million", tool_call_id="1")], "plan": "p"}


@pytest.mark.parametrize(
    ("received", "verdict"),
    [
        (SENT, "identical"),
        ({**SENT, "messages": [ToolMessage("20 million", tool_call_id="1", id="t")]}, "same_meaning"),
        (
            {
                **SENT,
                "messages": [HumanMessage("?"), ToolMessage("20 million", tool_call_id="1", id="t")],
                "more": 1,
            },
            "extended",
        ),
        ({"messages": SENT["messages"]}, "differs"),
        ({**SENT, "messages": [ToolMessage("2 million", tool_call_id="1")]}, "differs"),
        ({**SENT, "plan": None}, "differs"),
        ({**SENT, "plan": ["p"]}, "differs"),
    ],
)
def test_the_verdict_says_what_became_of_what_was_sent(received: object, verdict: str) -> None:
    assert handoff(SENT, received).verdict == verdict


def test_an_id_that_changes_in_the_apps_own_data_is_a_difference() -> None:
    assert handoff({"id": 7}, {"id": 8}).verdict == "differs"
    assert handoff([AIMessage("x", id="1")], [AIMessage("y", id="1")]).verdict == "differs"


def test_what_nobody_received_is_lost() -> None:
    assert handoff(SENT, None, arrived=False).verdict == "lost"


def test_an_id_that_a_message_was_given_on_its_way_is_not_told() -> None:
    record = Record()
    with record.step("agent", "planner") as planner:
        pass
    sent = {"messages": [{"content": "hello", "type": "ai", "id": None}]}
    handoff = record.handoff(planner, "writer", sent)
    received = {"messages": [{"content": "hello", "type": "ai", "id": "m-1"}], "more": 1}
    with record.step("agent", "writer", received=received, arrivals=[handoff]):
        pass

    (seen,) = Run(record.chain_id, record.steps()).handoffs
    assert [change.kind for change in seen.told] == ["added"]
    assert len(seen.delta) == 2
    assert seen.verdict == "extended"
