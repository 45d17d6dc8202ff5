"""What backends that do not run here make of our spans, by the tables that they publish.

Each table is the small part of a backend's own that decides how a span is shown, in the backend's order. A rename on
our side, or a kind of step without a word of theirs, fails here. What Phoenix and MLflow make of them is read back
from the real ones (`test_phoenix.py`, `test_mlflow.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import yaml
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.environments import CHECKOUT

import becausal
from becausal import semconv
from becausal.instrument import active_recorder
from becausal.recorder import Opening
from becausal.step import Attribute, Cause, StepKind

THREAD = "thread-1"

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """How a backend shows a span."""

    name: str
    source: str
    kinds: tuple[tuple[str, Mapping[str, str]], ...]
    """Attributes that say what a span is, the first that it has a word for wins; and the backend's words."""
    other: str
    session: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]
    """Attributes, the first that is there wins."""
    shown: Mapping[StepKind, str]
    """What our kinds are to be shown as; those that are left out as `chain`."""
    chain: str
    dialects: tuple[str, ...] = ("openinference",)


OPENINFERENCE_OF_LANGFUSE = {
    "CHAIN": "CHAIN", "RETRIEVER": "RETRIEVER", "LLM": "GENERATION", "EMBEDDING": "EMBEDDING", "AGENT": "AGENT",
    "TOOL": "TOOL", "GUARDRAIL": "GUARDRAIL", "EVALUATOR": "EVALUATOR",
}  # fmt: skip

LANGFUSE_KINDS = (
    (
        "langfuse.observation.type",
        {
            word: word.upper()
            for word in (
                *("span", "generation", "event", "embedding", "agent"),
                *("tool", "chain", "retriever", "guardrail", "evaluator"),
            )
        },
    ),
    ("openinference.span.kind", OPENINFERENCE_OF_LANGFUSE),
    (
        "gen_ai.operation.name",
        {"chat": "GENERATION", "invoke_agent": "AGENT", "create_agent": "AGENT", "execute_tool": "TOOL"},
    ),
)
LANGFUSE_SHOWN: dict[StepKind, str] = {
    "agent": "AGENT", "model": "GENERATION", "tool": "TOOL", "memory_read": "RETRIEVER",
}  # fmt: skip

LANGSMITH_KINDS = (
    (
        "langsmith.span.kind",
        {word: word for word in ("llm", "chain", "tool", "retriever", "embedding", "prompt", "parser")},
    ),
    # "Maps various kinds to LangSmith run types": the page does not say which; those of one name are assumed.
    (
        "openinference.span.kind",
        {"LLM": "llm", "CHAIN": "chain", "TOOL": "tool", "RETRIEVER": "retriever", "AGENT": "chain"},
    ),
    ("gen_ai.operation.name", {"chat": "llm", "completion": "llm", "embedding": "embedding"}),
)

WEAVE = "wandb/weave, weave/trace_server/opentelemetry/constants.py"

TABLES = (
    Table(
        "langfuse",
        "langfuse/langfuse, packages/shared/src/server/otel/{ObservationTypeMapper,attributes}.ts",
        LANGFUSE_KINDS,
        "SPAN",
        ("session.id", "langfuse.session.id"),
        ("langfuse.observation.input", "input.value", "gen_ai.input.messages"),
        ("langfuse.observation.output", "output.value", "gen_ai.output.messages"),
        LANGFUSE_SHOWN,
        "CHAIN",
    ),
    Table(
        "langfuse, in its own words",
        "the same",
        LANGFUSE_KINDS,
        "SPAN",
        ("session.id", "langfuse.session.id"),
        ("langfuse.observation.input",),
        ("langfuse.observation.output",),
        {**LANGFUSE_SHOWN, "workflow": "CHAIN", "request": "CHAIN"},
        "SPAN",
        ("langfuse",),
    ),
    Table(
        "langsmith",
        "langchain-ai/docs, src/langsmith/trace-with-opentelemetry.mdx and threads.mdx",
        LANGSMITH_KINDS,
        "chain",
        ("langsmith.metadata.session_id", "langsmith.metadata.thread_id"),
        ("gen_ai.input.messages", "input.value"),
        ("gen_ai.output.messages", "output.value"),
        {"model": "llm", "tool": "tool", "memory_read": "retriever"},
        "chain",
        ("openinference", "langsmith"),
    ),
    Table(
        "weave, traces",
        WEAVE,
        (("openinference.span.kind", {word: word for word in OPENINFERENCE_OF_LANGFUSE}),),
        "",
        ("session.id",),  # kept as an attribute: its threads come of `wandb.thread_id`, which no span of ours has
        ("input.value", "mlflow.spanInputs", "gen_ai.input.messages"),
        ("output.value", "gen_ai.output.messages", "mlflow.spanOutputs"),
        {"agent": "AGENT", "model": "LLM", "tool": "TOOL", "memory_read": "RETRIEVER"},
        "CHAIN",
    ),
    Table(
        "weave, agents",
        "docs.wandb.ai, weave/guides/tracking/trace-agents-otel",
        (("gen_ai.operation.name", {"invoke_agent": "turn", "chat": "chat", "execute_tool": "tool"}),),
        "",
        ("gen_ai.conversation.id",),
        ("gen_ai.input.messages", "gen_ai.tool.call.arguments", "input.value"),
        ("gen_ai.output.messages", "gen_ai.tool.call.result", "output.value"),
        {"agent": "turn", "model": "chat", "tool": "tool"},
        "",
    ),
    Table(
        "datadog",
        "docs.datadoghq.com, llm_observability/instrumentation/otel_instrumentation, Attribute mapping reference",
        (
            (
                "gen_ai.operation.name",
                {"chat": "llm", "execute_tool": "tool", "invoke_agent": "agent", "create_agent": "agent"}
                # The default; and it goes before OpenInference's word.
                | {"invoke_workflow": "workflow", "plan": "workflow"}
                | {"search_memory": "workflow", "upsert_memory": "workflow"},
            ),
            (
                "openinference.span.kind",
                {"LLM": "llm", "TOOL": "tool", "AGENT": "agent", "RETRIEVER": "retrieval", "CHAIN": "workflow"},
            ),
        ),
        "",
        ("gen_ai.conversation.id", "session.id"),
        ("gen_ai.input.messages", "gen_ai.tool.call.arguments", "input.value"),
        ("gen_ai.output.messages", "gen_ai.tool.call.result", "output.value"),
        {"agent": "agent", "model": "llm", "tool": "tool"},
        "workflow",
    ),
)  # fmt: skip

Made = Callable[..., ReadableSpan]


@pytest.fixture
def made(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Makes the span of a step of a kind, in some dialects, with content and a conversation."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")

    def make(kind: StepKind, dialects: tuple[str, ...] = ("openinference",), **more: Any) -> ReadableSpan:
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        becausal.instrument("threads", store=store, tracer_provider=provider, dialects=dialects)
        recorder = active_recorder()
        assert recorder is not None
        attributes: dict[str, Attribute] = {semconv.CONVERSATION_ID: THREAD}
        before = recorder.begin(Opening("tool", "before"))
        assert before is not None
        recorder.end(before, "hats")
        cause = Cause(before.id, "data", "matched", span_context=before.span_context)
        given = {"received": {"q": "hats"}, "agent": "planner", "causes": [cause], **more}
        step = recorder.begin(Opening(kind, "x", attributes=attributes, **given))
        assert step is not None
        recorder.end(step, "found")
        becausal.uninstrument()
        return exporter.get_finished_spans()[-1]

    yield make
    becausal.uninstrument()


def first(attributes: Attributes, keys: tuple[str, ...]) -> Any:
    return next((attributes[key] for key in keys if key in attributes), None)


def shown_as(table: Table, attributes: Attributes) -> str:
    told = (words[attributes[key]] for key, words in table.kinds if attributes.get(key) in words)
    return next(told, table.other)


each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
each_kind = pytest.mark.parametrize("kind", get_args(StepKind))


@each_table
@each_kind
def test_each_kind_of_step_is_shown_as_what_it_is(table: Table, kind: StepKind, made: Made) -> None:
    attributes = made(kind, table.dialects).attributes or {}
    assert shown_as(table, attributes) == table.shown.get(kind, table.chain)


@each_table
@each_kind
def test_each_span_has_its_conversation_and_what_went_in_and_out(
    table: Table, kind: StepKind, made: Made
) -> None:
    attributes = made(kind, table.dialects).attributes or {}
    assert first(attributes, table.session) == THREAD
    assert "hats" in first(attributes, table.input)
    assert "found" in first(attributes, table.output)


def test_what_langsmith_takes_for_a_project_is_not_told(made: Made) -> None:
    attributes = made("agent", ("openinference", "langsmith")).attributes or {}
    assert not [key for key in attributes if key.startswith(("langsmith.trace.", "langsmith.span.id"))]


def test_langfuse_and_langsmith_get_the_chain_as_metadata_of_the_first_level(made: Made) -> None:
    attributes = made("handoff", ("langfuse", "langsmith")).attributes or {}
    for prefix in ("langfuse.observation.metadata.", "langsmith.metadata."):
        assert attributes[f"{prefix}becausal_chain_id"] == attributes[semconv.CHAIN_ID]
        assert attributes[f"{prefix}becausal_agent"] == "planner"


# Where attributes are columns, tags, or fields of a query language


HONEYCOMB_RESERVED = {
    "trace.trace_id", "trace.span_id", "trace.parent_id", "trace.link.trace_id", "trace.link.span_id", "type",
    "span.kind", "name", "parent_name", "duration_ms", "status_code", "status_message", "error", "span.num_links",
    "span.num_events", "meta.signal_type", "meta.annotation_type", "sampleRate", "SampleRate",
}  # fmt: skip
"""Columns that Honeycomb makes itself: an attribute of that name would take its place (honeycombio/husky,
otlp/traces.go)."""


@each_kind
def test_no_attribute_takes_the_place_of_a_column_of_honeycomb_s(kind: StepKind, made: Made) -> None:
    span = made(kind, ("openinference", "langfuse", "langsmith", "mlflow"))
    assert not HONEYCOMB_RESERVED & set(span.attributes or {})
    for link in span.links:
        assert not HONEYCOMB_RESERVED & set(link.attributes or {})


TEMPO_CUTS_AT = 2_048
"""Bytes of a string (grafana/tempo, `max_attribute_bytes`); what is queried must not be cut."""


@each_kind
def test_nothing_is_so_long_that_tempo_cuts_it(kind: StepKind, made: Made) -> None:
    long = {"text": "a long text " * 10_000}
    attributes = made(kind, ("openinference", "langfuse", "mlflow"), received=long).attributes or {}
    for value in attributes.values():
        for item in value if isinstance(value, tuple) else (value,):
            assert len(str(item).encode()) <= TEMPO_CUTS_AT


def test_a_query_of_tempo_finds_an_effect_by_its_cause(made: Made) -> None:
    span = made("agent")
    causes = (span.attributes or {})[semconv.CAUSE_IDS]
    assert isinstance(causes, tuple)  # { span.becausal.cause.ids = "…" } matches an item of an array
    (link,) = span.links  # { link:spanID = "…" && link.becausal.link.type = "data" }
    assert dict(link.attributes or {}) == {semconv.LINK_TYPE: "data", semconv.LINK_GRADE: "matched"}


def test_what_jaeger_drops_of_a_link_is_in_attributes(made: Made) -> None:
    # Jaeger shows a link as a FOLLOWS_FROM reference, without its attributes.
    span = made("agent")
    attributes = span.attributes or {}
    causes, types = attributes[semconv.CAUSE_IDS], attributes[semconv.CAUSE_TYPES]
    assert isinstance(causes, tuple)
    assert isinstance(types, tuple)
    assert len(causes) == len(types) == len(span.links)


DATADOG_TAG_MOST = 256
"""Characters of an attribute that Datadog makes a tag."""


@each_kind
def test_what_one_filters_by_is_short_enough_for_a_tag_of_datadog_s(kind: StepKind, made: Made) -> None:
    attributes = made(kind).attributes or {}
    filters = (semconv.CHAIN_ID, semconv.NODE_ID, semconv.STEP_KIND, semconv.STEP_STATUS, semconv.CAUSE_IDS)
    assert all(len(str(attributes[key])) <= DATADOG_TAG_MOST for key in filters)


# The Collector: the configuration of docs/backends/collector.md, judged as tail_sampling 0.156 does


def collector() -> Any:
    page = (CHECKOUT / "docs/backends/collector.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    return yaml.safe_load(block)


def keeps(policy: Mapping[str, Any], spans: list[Attributes]) -> bool:
    """Return whether a policy keeps a trace; any span will do, and a type that does not match is no match."""
    said, kind = policy[policy["type"]], policy["type"]
    values = [attributes[said["key"]] for attributes in spans if said.get("key") in attributes]
    if kind == "boolean_attribute":
        return any(type(value) is bool and value is said["value"] for value in values)
    if kind == "numeric_attribute":
        return any(type(value) in (int, float) and value >= said["min_value"] for value in values)
    assert kind in ("string_attribute", "status_code", "probabilistic")
    return kind == "string_attribute" and any(type(one) is str and one in said["values"] for one in values)


def spans_of(store: str, answer: str) -> list[Attributes]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("threads", store=store, tracer_provider=provider, watch=True)
    with becausal.chain("q"), becausal.agent("planner") as step:
        step.returned(becausal.tool(name="search")(lambda query: answer)("hats"))
    becausal.uninstrument()
    return [json.loads(json.dumps(dict(span.attributes or {}))) for span in exporter.get_finished_spans()]


def test_the_collector_of_the_docs_keeps_a_trace_in_which_something_is_wrong(store: str) -> None:
    policies = collector()["processors"]["tail_sampling"]["policies"]
    wrong = spans_of(store, '{"hits": [{"name": "red hat", "stock": 4}, {"na')
    kept = {policy["name"] for policy in policies if keeps(policy, wrong)}
    assert {"what becausal found", "how bad it is"} <= kept


def test_the_collector_of_the_docs_leaves_a_trace_in_which_nothing_is_to_chance(store: str) -> None:
    policies = collector()["processors"]["tail_sampling"]["policies"]
    right = spans_of(store, "four red hats")
    assert not [policy["name"] for policy in policies if keeps(policy, right)]


def test_every_part_of_the_collector_s_pipeline_is_configured() -> None:
    config = collector()
    for part, names in config["service"]["pipelines"]["traces"].items():
        assert set(names) <= set(config[part])
