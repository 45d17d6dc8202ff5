"""What Arize Phoenix has of our spans: read back through its API.

python -m tests.backends phoenix --home backends
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.backends.app import APPS, THREAD
from tests.backends.server import HOME, running, send, until

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(HOME not in os.environ, reason=f"{HOME} names no folder to run backends in"),
]

KINDS = {"agent": "AGENT", "model": "LLM", "tool": "TOOL", "memory_read": "RETRIEVER"}
"""Phoenix's kind by ours; CHAIN where it has none."""

NODE = "becausal.node.id"

Spans = dict[str, Any]
"""By span id."""


class Phoenix:
    """A Phoenix that has been sent the spans of every app, each to a project of its name."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: dict[str, Spans] = {}
        self.kept: dict[str, Spans] = {}
        for app in APPS:
            spans = send(app, url, resource=f"openinference.project.name={app}")
            self.sent[app] = {span["id"]: span for span in spans}
        for app, sent in self.sent.items():
            until(lambda app=app, sent=sent: len(self.spans(app)) >= len(sent))  # type: ignore[misc]
            self.kept[app] = {span["context"]["span_id"]: span for span in self.spans(app)}

    def get(self, path: str, **query: Any) -> Any:
        answer = httpx.get(f"{self.url}/v1/projects/{path}", params=query, timeout=30)
        return answer.json()["data"] if answer.is_success else []

    def spans(self, app: str) -> list[Any]:
        found: list[Any] = self.get(f"{app}/spans", limit=1_000)
        return found

    def ours(self, app: str) -> Iterator[tuple[Any, Any]]:
        """Yield each span of ours as it was sent and as it is kept."""
        for identity, sent in self.sent[app].items():
            if "becausal.chain.id" in sent["attributes"]:
                yield sent, self.kept[app][identity]


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    with running("phoenix", Path(os.environ[HOME]), tmp_path_factory.mktemp("phoenix")) as url:
        yield Phoenix(url)


each_app = pytest.mark.parametrize("app", APPS)


@each_app
def test_every_span_is_kept_below_its_parent(app: str, phoenix: Phoenix) -> None:
    kept = phoenix.kept[app]
    assert {identity: span["parent_id"] for identity, span in kept.items()} == {
        identity: span["parent"] for identity, span in phoenix.sent[app].items()
    }


@each_app
def test_every_span_of_ours_is_of_a_kind(app: str, phoenix: Phoenix) -> None:
    for sent, kept in phoenix.ours(app):
        kind = sent["attributes"].get("becausal.step.kind")
        expected = "EVALUATOR" if sent["name"] == "becausal.findings" else KINDS.get(kind, "CHAIN")
        assert (sent["name"], kept["span_kind"]) == (sent["name"], expected)


def test_autogen_s_own_spans_are_kept_beside_ours_and_most_of_no_kind(phoenix: Phoenix) -> None:
    ours = {sent["id"] for sent, _ in phoenix.ours("autogen")}
    kinds = {span["span_kind"] for identity, span in phoenix.kept["autogen"].items() if identity not in ours}
    assert kinds == {"AGENT", "UNKNOWN"}  # `create_agent`; messages of its runtime


@each_app
def test_what_went_in_and_out_is_shown_on_every_kind(app: str, phoenix: Phoenix) -> None:
    keys = ("input.value", "output.value", "agent.name")
    shown = 0
    for sent, kept in phoenix.ours(app):
        assert [kept["attributes"].get(key) for key in keys] == [sent["attributes"].get(key) for key in keys]
        shown += "input.value" in kept["attributes"]
    assert shown > 4


@pytest.mark.parametrize("app", ["langgraph", "autogen"])
def test_a_model_call_shows_its_messages_with_their_roles(app: str, phoenix: Phoenix) -> None:
    calls = [kept["attributes"] for _, kept in phoenix.ours(app) if kept["span_kind"] == "LLM"]
    for call in calls:
        assert call["llm.input_messages.0.message.role"] == "system"
        assert call["llm.input_messages.1.message.role"] == "user"
        assert call["llm.output_messages.0.message.role"] == "assistant"
        assert call["llm.model_name"]
    asked = [key for call in calls for key in call if key.endswith("tool_call.function.name")]
    assert asked  # the call of the tool is one


@pytest.mark.parametrize("app", ["langgraph", "autogen"])
def test_a_tool_call_shows_its_name_and_its_arguments(app: str, phoenix: Phoenix) -> None:
    (tool,) = [kept["attributes"] for _, kept in phoenix.ours(app) if kept["span_kind"] == "TOOL"]
    assert tool["tool.name"] == "revenue_database"
    assert (tool["tool.parameters.company"], tool["tool.parameters.year"]) == ("Acme", 2025)
    assert "20 million" in tool["output.value"]


def test_a_thread_is_a_session_and_every_span_names_it(phoenix: Phoenix) -> None:
    (session,) = phoenix.get("langgraph/sessions")
    assert session["session_id"] == THREAD
    assert len(session["traces"]) == 1
    assert {kept["attributes"]["session.id"] for _, kept in phoenix.ours("langgraph")} == {THREAD}


@each_app
def test_every_attribute_of_ours_is_kept_with_its_type(app: str, phoenix: Phoenix) -> None:
    for sent, kept in phoenix.ours(app):
        ours, theirs = (
            {key: value for key, value in span["attributes"].items() if key.startswith("becausal.")}
            for span in (sent, kept)
        )
        assert theirs == ours
        assert {key: type(value) for key, value in theirs.items()} == {
            key: type(value) for key, value in ours.items()
        }
        assert theirs["becausal.chain.id"]


@each_app
def test_links_are_lost_and_what_they_say_is_in_attributes(app: str, phoenix: Phoenix) -> None:
    nodes = {identity: span["attributes"].get(NODE) for identity, span in phoenix.sent[app].items()}
    linked = [(sent, kept) for sent, kept in phoenix.ours(app) if sent["links"]]
    assert linked
    for sent, kept in linked:
        assert not kept.get("links")
        told = kept["attributes"]
        named = {*told.get("becausal.cause.ids", ()), told.get("becausal.transfer.received_by")}
        named |= {event["attributes"].get(NODE) for event in kept["events"]}
        assert {nodes[link["id"]] for link in sent["links"]} <= named


@pytest.mark.parametrize("app", ["langgraph", "autogen"])
def test_what_is_wrong_is_flagged_on_the_span_that_follows(app: str, phoenix: Phoenix) -> None:
    (findings,) = [kept for _, kept in phoenix.ours(app) if kept["name"] == "becausal.findings"]
    assert findings["attributes"]["becausal.anomaly.detected"] is True
    assert findings["attributes"]["becausal.anomaly.kind"] == "tool.invalid"
    assert findings["events"][0]["name"] == "becausal.finding"
    assert findings["events"][0]["attributes"]["becausal.finding.tool"] == "revenue_database"
