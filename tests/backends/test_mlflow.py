"""What MLflow has of our spans: read back through its API.

python -m tests.backends mlflow --home backends
"""

from __future__ import annotations

import base64
import json
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
"""MLflow's type by our kind, told by OpenInference's word; CHAIN where that has none."""

OWN_KINDS = {
    "workflow": "WORKFLOW",
    "agent": "AGENT",
    "model": "CHAT_MODEL",
    "tool": "TOOL",
    "handoff": "TASK",
    "route": "TASK",
}
"""The same, told in MLflow's own words."""

OWN_WORDS = "langgraph in MLflow's words"

Spans = dict[str, Any]
"""By span id."""


class MLflow:
    """An MLflow that has been sent the spans of every app, each to an experiment of its name."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: dict[str, Spans] = {}
        self.kept: dict[str, Spans] = {}
        self.traces: dict[str, list[Any]] = {}
        for app, dialect in (*((app, "openinference") for app in APPS), (OWN_WORDS, "mlflow")):
            made = self.post("2.0/mlflow/experiments/create", {"name": app})
            headers = f"x-mlflow-experiment-id={made['experiment_id']}"
            spans = send(app.split()[0], url, headers=headers, dialects=dialect)
            self.sent[app] = {span["id"]: span for span in spans}
        for app, sent in self.sent.items():
            wanted = sorted({span["trace"] for span in sent.values()})
            until(lambda wanted=wanted, sent=sent: self.count(wanted) >= len(sent))  # type: ignore[misc]
            self.traces[app] = [self.trace(trace) for trace in wanted]
            self.kept[app] = {
                told["id"]: told for trace in self.traces[app] for told in map(span_of, trace["spans"])
            }

    def post(self, path: str, body: Any) -> Any:
        answer = httpx.post(f"{self.url}/api/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def trace(self, trace_id: str) -> Any:
        query = {"trace_id": f"tr-{trace_id}"}
        answer = httpx.get(f"{self.url}/api/3.0/mlflow/traces/get", params=query, timeout=30)
        return answer.json()["trace"] if answer.is_success else {"spans": []}

    def count(self, traces: list[str]) -> int:
        return sum(len(self.trace(trace)["spans"]) for trace in traces)

    def ours(self, app: str) -> Iterator[tuple[Any, Any]]:
        """Yield each span of ours as it was sent and as it is kept."""
        for identity, sent in self.sent[app].items():
            if "becausal.chain.id" in sent["attributes"]:
                yield sent, self.kept[app][identity]


def hexadecimal(identity: str | None) -> str | None:
    return base64.b64decode(identity).hex() if identity else None


def plain(value: Any) -> Any:
    """Return a value of OTLP's JSON as Python has it."""
    ((kind, told),) = value.items()
    return [plain(item) for item in told.get("values", [])] if kind == "array_value" else told


def attributes_of(told: Any) -> dict[str, Any]:
    return {one["key"]: plain(one["value"]) for one in told.get("attributes") or []}


def span_of(told: Any) -> dict[str, Any]:
    return {
        "id": hexadecimal(told["span_id"]),
        "parent": hexadecimal(told.get("parent_span_id")),
        "name": told["name"],
        "attributes": attributes_of(told),
        "links": [
            {"id": hexadecimal(link["span_id"]), "attributes": attributes_of(link)}
            for link in told.get("links") or []
        ],
        "events": [
            {"name": event["name"], "attributes": attributes_of(event)} for event in told.get("events") or []
        ],
    }


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    with running("mlflow", Path(os.environ[HOME]), tmp_path_factory.mktemp("mlflow")) as url:
        yield MLflow(url)


each_app = pytest.mark.parametrize("app", APPS)


@each_app
def test_every_span_is_kept_below_its_parent(app: str, mlflow: MLflow) -> None:
    assert {identity: span["parent"] for identity, span in mlflow.kept[app].items()} == {
        identity: span["parent"] for identity, span in mlflow.sent[app].items()
    }


@each_app
def test_every_span_of_ours_is_of_a_type(app: str, mlflow: MLflow) -> None:
    for sent, kept in mlflow.ours(app):
        kind = sent["attributes"].get("becausal.step.kind")
        expected = "EVALUATOR" if sent["name"] == "becausal.findings" else KINDS.get(kind, "CHAIN")
        assert (sent["name"], kept["attributes"]["mlflow.spanType"]) == (sent["name"], expected)


@each_app
def test_what_went_in_and_out_is_shown_on_every_type(app: str, mlflow: MLflow) -> None:
    shown = 0
    for sent, kept in mlflow.ours(app):
        for theirs, ours in (("mlflow.spanInputs", "input.value"), ("mlflow.spanOutputs", "output.value")):
            assert kept["attributes"].get(theirs) == sent["attributes"].get(ours)
            shown += theirs in kept["attributes"]
        assert kept["attributes"].get("agent.name") == sent["attributes"].get("agent.name")
    assert shown > 8


def test_in_its_own_words_a_span_is_what_it_is_and_says_what_went_in_and_out(mlflow: MLflow) -> None:
    for sent, kept in mlflow.ours(OWN_WORDS):
        kind = sent["attributes"].get("becausal.step.kind", "findings")
        assert kept["attributes"]["mlflow.spanType"] == OWN_KINDS.get(kind, "EVALUATOR")
        for key in ("mlflow.spanInputs", "mlflow.spanOutputs"):
            assert kept["attributes"].get(key) == sent["attributes"].get(key)


@pytest.mark.parametrize("app", ["langgraph", OWN_WORDS])
def test_a_thread_is_a_session(app: str, mlflow: MLflow) -> None:
    (trace,) = mlflow.traces[app]
    assert trace["trace_info"]["trace_metadata"]["mlflow.trace.session"] == THREAD
    assert "Acme" in json.loads(trace["trace_info"]["request_preview"])


@each_app
def test_every_attribute_of_ours_is_kept_with_its_type(app: str, mlflow: MLflow) -> None:
    for sent, kept in mlflow.ours(app):
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
def test_links_are_kept_with_how_they_caused(app: str, mlflow: MLflow) -> None:
    linked = [(sent, kept) for sent, kept in mlflow.ours(app) if sent["links"]]
    assert linked
    for sent, kept in linked:
        assert kept["links"] == sent["links"]


@pytest.mark.parametrize("app", ["langgraph", "autogen"])
def test_what_is_wrong_is_flagged_on_the_span_that_follows(app: str, mlflow: MLflow) -> None:
    (findings,) = [kept for _, kept in mlflow.ours(app) if kept["name"] == "becausal.findings"]
    assert findings["attributes"]["becausal.anomaly.detected"] is True
    assert findings["attributes"]["becausal.anomaly.kind"] == "tool.invalid"
    assert findings["events"][0]["name"] == "becausal.finding"
    assert findings["events"][0]["attributes"]["becausal.finding.tool"] == "revenue_database"
