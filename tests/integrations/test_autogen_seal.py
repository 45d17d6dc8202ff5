"""The promise: a chat message is encoded once while it says what it said, and any edit in place is seen."""

from __future__ import annotations

import datetime
import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from autogen_agentchat.messages import HandoffMessage, TextMessage, ToolCallSummaryMessage
from autogen_core import FunctionCall
from autogen_core.models import FunctionExecutionResult, RequestUsage, UserMessage

from becausal.canonical import digest_text, encode
from becausal.recorder import Recorder
from becausal.redaction.redactor import Redactor
from becausal.store import Store
from becausal.telemetry import Telemetry
from becausal.writer import Writer
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.unchanged import inside, is_same

Edit = Callable[[Any], object]


def said() -> TextMessage:
    return TextMessage(content="x" * 600, source="a", models_usage=RequestUsage(1, 2), metadata={"k": "v"})


def summed_up() -> ToolCallSummaryMessage:
    return ToolCallSummaryMessage(
        content="y",
        source="b",
        tool_calls=[FunctionCall(id="1", arguments="{}", name="n")],
        results=[FunctionExecutionResult(content="r", name="n", call_id="1", is_error=False)],
    )


def handed_over() -> HandoffMessage:
    return HandoffMessage(content="h", source="a", target="b", context=[UserMessage(content="u", source="q")])


EDITS: list[tuple[Callable[[], Any], Edit]] = [
    (said, lambda m: setattr(m, "content", m.content + "!")),
    (said, lambda m: m.metadata.__setitem__("n", "1")),
    (said, lambda m: m.metadata.__setitem__("k", "w")),
    (said, lambda m: m.metadata.clear()),
    (said, lambda m: setattr(m, "created_at", datetime.datetime(2020, 1, 1))),
    (said, lambda m: setattr(m.models_usage, "prompt_tokens", True)),
    (said, lambda m: setattr(m.models_usage, "prompt_tokens", 1.0)),
    (said, lambda m: m.models_usage.__dict__.__setitem__("more", [1])),
    (said, lambda m: object.__setattr__(m, "__pydantic_extra__", {"e": 1})),
    (said, lambda m: object.__setattr__(m, "__class__", type("Other", (TextMessage,), {}))),
    (summed_up, lambda m: setattr(m.tool_calls[0], "arguments", '{"q": 1}')),
    (summed_up, lambda m: m.tool_calls.append(FunctionCall(id="2", arguments="", name="n"))),
    (summed_up, lambda m: m.tool_calls.append(m.tool_calls)),
    (summed_up, lambda m: setattr(m.results[0], "content", "other")),
    (summed_up, lambda m: m.results.clear()),
    (handed_over, lambda m: setattr(m.context[0], "content", "other")),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_an_edit_in_place_is_sealed_as_a_fresh_encoding_would(recording_to: Recorder, number: int) -> None:
    make, edit = EDITS[number]
    ledger, message = Ledger(recording_to), make()
    before = ledger.seal(message).payload

    edit(message)
    after = ledger.seal(message).payload

    fresh = encode(message)
    assert after.digest == digest_text(fresh.digest) != before.digest
    assert (after.belief, after.size, after.lossy) == (digest_text(fresh.belief), fresh.size, fresh.lossy)


def test_a_message_that_is_what_it_was_is_not_encoded_again_and_not_kept_alive(
    recording_to: Recorder,
) -> None:
    ledger, message = Ledger(recording_to), said()

    assert ledger.seal(message) is ledger.seal(message)

    del message
    gc.collect()
    assert len(ledger.seals) == 0


@pytest.fixture
def redacting(kept: Store) -> Iterator[Recorder]:
    made = Recorder(Telemetry(), Writer(kept), redact=Redactor())
    yield made
    assert made.close(30)


def test_a_message_that_is_what_it_was_is_sealed_without_a_secret_that_was_met_since(
    redacting: Recorder,
) -> None:
    ledger, message = Ledger(redacting), TextMessage(content="the word is Tr0ub4dor-3", source="a")
    before = ledger.seal(message)
    assert b"Tr0ub4dor-3" in b"".join(body for _, body in before.bodies)  # nothing gave it away then

    redacting.seal({"password": "Tr0ub4dor-3"})
    after = ledger.seal(message)

    assert b"Tr0ub4dor-3" not in b"".join(body for _, body in after.bodies)
    assert after.payload.digest != before.payload.digest
    assert ledger.seal(message) is after


def test_messages_that_came_over_a_wire_are_known_again_each_by_its_own_names() -> None:
    wire = json.dumps({"content": "hi", "source": "s", "metadata": {"request-id": "x", "user_name": "y"}})
    messages = [TextMessage.model_validate(json.loads(wire)) for _ in range(3)]

    assert all(is_same(message, inside(message) or ()) for message in messages)
    message = messages[0]
    parts = inside(message)
    assert parts is not None
    message.metadata = dict(message.metadata)
    assert not is_same(message, parts), "another object says it"
