"""What went in and out is told as the messages of the GenAI conventions, whatever framework's they were, and fits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becausal import semconv
from becausal.messages import heard, said, written


def text(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


CALL = {"type": "tool_call", "name": "search", "id": "call-1", "arguments": {"q": "hats"}}
RESPONSE = {"type": "tool_call_response", "id": "call-1", "response": "found"}

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "langchain": [
        {"type": "system", "content": "You search.", "name": None},
        {"type": "human", "content": "hats?", "name": None},
        {
            "type": "ai",
            "content": "",
            "tool_calls": [{"name": "search", "args": {"q": "hats"}, "id": "call-1"}],
        },
        {"type": "tool", "content": "found", "tool_call_id": "call-1", "name": "search"},
    ],
    "autogen": [
        {"type": "SystemMessage", "content": "You search."},
        {"type": "UserMessage", "content": "hats?", "source": "user"},
        {
            "type": "AssistantMessage",
            "content": [{"name": "search", "arguments": {"q": "hats"}, "id": "call-1"}],
            "source": "assistant",
            "thought": None,
        },
        {
            "type": "FunctionExecutionResultMessage",
            "content": [{"call_id": "call-1", "content": "found", "name": "search", "is_error": False}],
        },
    ],
    "openai": [
        {"role": "system", "content": "You search."},
        {"role": "user", "content": [{"type": "text", "text": "hats?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call-1",
                    "type": "function",
                    "function": {"name": "search", "arguments": {"q": "hats"}},
                }
            ],
        },
        {"role": "tool", "content": "found", "tool_call_id": "call-1"},
    ],
}


@pytest.mark.parametrize("framework", CONVERSATIONS)
def test_a_conversation_of_any_framework_is_the_same_messages(framework: str) -> None:
    told = json.loads(heard(CONVERSATIONS[framework]))
    assert [(message["role"], message["parts"]) for message in told] == [
        ("system", [text("You search.")]),
        ("user", [text("hats?")]),
        ("assistant", [CALL]),
        ("tool", [RESPONSE]),
    ]


def test_another_agent_is_heard_as_a_user_of_its_name() -> None:
    message = {"type": "TextMessage", "content": "20 million", "source": "researcher"}
    assert json.loads(heard([message])) == [
        {"role": "user", "parts": [text("20 million")], "name": "researcher"}
    ]


@pytest.mark.parametrize(
    ("message", "finish", "reason"),
    [
        ("found", None, "stop"),
        ("found", "length", "length"),
        (CONVERSATIONS["langchain"][2], None, "tool_call"),
        ({"content": "x", "finish_reason": "function_calls"}, "stop", "tool_call"),
    ],
)
def test_what_came_out_says_why_it_ended(message: Any, finish: str | None, reason: str) -> None:
    (told,) = json.loads(said(message, finish))
    assert (told["role"], told["finish_reason"]) == ("assistant", reason)


def test_what_came_out_keeps_the_roles_that_it_names() -> None:
    told = json.loads(said([{"type": "human", "content": "hats?"}, {"type": "ai", "content": "red ones"}]))
    assert [message["role"] for message in told] == ["user", "assistant"]


def test_what_is_no_message_is_one_message_of_its_text() -> None:
    assert json.loads(heard({"question": "hats?"})) == [{"role": "user", "parts": [text("question: hats?")]}]


def test_a_model_s_thought_is_reasoning() -> None:
    message = {"type": "AssistantMessage", "content": "4", "source": "a", "thought": "2 + 2"}
    (told,) = json.loads(heard([message]))
    assert told["parts"] == [{"type": "reasoning", "content": "2 + 2"}, text("4")]


def test_of_a_long_conversation_the_first_and_the_last_are_told_and_the_gap_is_marked() -> None:
    turns = [{"role": "user", "content": f"turn {number} " + "x" * 300} for number in range(100)]
    written_out = heard(turns)
    told = json.loads(written_out)
    assert len(written_out) <= semconv.MAX_ATTRIBUTE_BYTES
    assert told[0]["parts"][0]["content"].startswith("turn 0 ")
    assert told[0]["parts"][1]["content"] == f"… {100 - len(told)} messages left out …"
    assert told[-1]["parts"][0]["content"].startswith("turn 99 ")


def test_arguments_and_results_are_json_where_they_are_data() -> None:
    assert json.loads(written({"city": "Köln", "days": 3})) == {"city": "Köln", "days": 3}
    assert json.loads(written([1, float("nan"), b"abc"])) == [1, "nan", "(3 bytes)"]
    assert written("plain") == "plain"
    assert written({"role": "tool", "content": "found"}) == "tool: found"
    long = written({"text": "x" * 5000})
    assert long.startswith("text: xxx")
    assert len(long.encode()) <= semconv.MAX_ATTRIBUTE_BYTES


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.binary(max_size=9)
)
DATA = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {"content": DATA | st.text(max_size=5000)},
    optional={
        "role": DATA, "type": DATA, "source": DATA, "name": DATA, "tool_calls": DATA, "tool_call_id": DATA,
        "thought": DATA, "finish_reason": DATA, "call_id": DATA,
    },
)  # fmt: skip


@given(DATA | MESSAGES | st.lists(MESSAGES, max_size=30))
def test_whatever_it_is_it_is_json_of_messages_and_fits(value: Any) -> None:
    for told in (heard(value), said(value)):
        assert len(told.encode()) <= semconv.MAX_ATTRIBUTE_BYTES
        for message in json.loads(told):
            assert message["role"] in ("system", "user", "assistant", "tool")
            assert isinstance(message["parts"], list)
    assert len(written(value).encode()) <= semconv.MAX_ATTRIBUTE_BYTES
