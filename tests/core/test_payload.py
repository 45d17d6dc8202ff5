"""A payload's text: what people read, from whatever framework it came."""

from __future__ import annotations

import pytest
from autogen_agentchat.messages import TextMessage, ToolCallRequestEvent
from autogen_core import FunctionCall
from autogen_core.models import FunctionExecutionResult
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from becausal import sealing
from becausal.canonical import plain
from becausal.payload import text_of
from becausal.sealing import Sealer


def test_messages_read_as_who_said_what() -> None:
    messages = [
        HumanMessage("What was it?"),
        AIMessage("Let me look.", tool_calls=[{"name": "search", "args": {"q": "it"}, "id": "1"}]),
        ToolMessage("20 million", tool_call_id="1", name="search"),
        TextMessage(content="It was\n20 million.", source="writer"),
        {"role": "user", "content": "Thanks."},
    ]

    assert text_of(plain(messages)).split("\n") == [
        "human: What was it?",
        "ai: Let me look.",
        "  calls search(q='it')",
        "search: 20 million",
        "writer: It was",
        "  20 million.",
        "user: Thanks.",
    ]


def test_tool_calls_and_results_of_autogen_read_as_such() -> None:
    call = FunctionCall(id="1", name="search", arguments='{"q": "it"}')
    result = FunctionExecutionResult(call_id="1", name="search", content="20 million")

    assert text_of(plain(ToolCallRequestEvent(content=[call], source="a"))) == 'a: calls search({"q": "it"})'
    assert text_of(plain(result)) == "search: 20 million"


def test_text_is_uncut() -> None:
    long = "word " * 100_000

    assert text_of(long) == long


def test_data_reads_as_indented_lines() -> None:
    assert text_of({"a": 1, "b": [1, {"c": None}]}) == "a: 1\nb:\n  - 1\n  - c: (nothing)"


# Held until the store has it


def test_with_content_on_spans_a_growing_payload_is_readable_and_costs_what_is_new() -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=True)
    messages: list[dict[str, str]] = []
    sealed = []
    for number in range(60):
        messages.append({"role": "user", "content": f"{number} " + "x" * 600})
        sealed.append(sealer.seal({"messages": messages}))

    assert (
        max(len(one.bodies) for one in sealed) == 3
    )  # the new message, the list of all, and what it stands in
    assert [one.payload.value() for one in sealed] == [{"messages": messages[: n + 1]} for n in range(60)]


def test_what_is_held_is_bounded_and_what_was_sealed_before_stays_readable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "MOST_HELD", 10_000)
    sealer = Sealer(keeps_bodies=True, holds_whole=True)
    messages: list[dict[str, str]] = []
    sealed, most = [], 0
    for number in range(60):
        messages.append({"role": "user", "content": f"{number} " + "x" * 600})
        sealed.append(sealer.seal({"messages": messages[-5:]}))
        most = max(most, sealer._handing.bytes)

    assert most <= 10_000
    assert [one.payload.value() for one in sealed] == [
        {"messages": messages[max(0, n - 4) : n + 1]} for n in range(60)
    ]
