"""What others call things: one table a dialect, from our fields to the attributes that hold them.

A name that ends in a dot begins the names of a flattened list (`llm.input_messages.0.message.role`). Several names for
one field are tried in turn. A span may speak several dialects at once; for each field the first that has it counts, in
the order of `DIALECTS`, the more exact before the more general.

Sources: OpenTelemetry GenAI conventions 1.42.0-dev; openinference-semantic-conventions 0.1.42; OpenLLMetry
(opentelemetry-semantic-conventions-ai 0.5.1, opentelemetry-instrumentation-langchain 0.62.4); langfuse 5.0.4
(`_client/attributes.py`); langsmith 0.15.0 (`_internal/otel/_otel_exporter.py`); mlflow 3.17.2
(`tracing/constant.py`); autogen-core 0.7.5 (`_telemetry/`); agent-framework-core 1.23.0 (`observability.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from becausal import semconv
from becausal.step import StepKind

__all__ = ["DIALECTS", "Dialect", "Field"]

Field = Literal[
    "kind",  # what sort of work: its values are the dialect's own, see `Dialect.kinds`
    "agent",
    "tool",
    "model",
    "workflow",
    "node",  # LangGraph's node that the span belongs to
    "received",
    "produced",
    "heard",  # of a model: its messages, in place of `received`
    "said",
    "instructions",  # what the model was told beside its messages
    "asked",  # of a tool or a memory: in place of `received`
    "answered",
    "call",  # the id of the tool call
    "session",
    "error",
    "input_tokens",
    "output_tokens",
]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing a trace."""

    name: str
    fields: Mapping[Field, tuple[str, ...]]
    kinds: Mapping[str, StepKind] = field(default_factory=dict)
    """By the value of the kind's attribute, in lower case."""
    marks: tuple[str, ...] = ()
    """What shows it where no kind does: names, or, ending in a dot, how names begin."""
    sends: tuple[str, ...] = ()
    """Kinds of spans that only pass a message on: no steps, but what is linked to them received it."""
    scope: str = ""
    """How the instrumentation's name begins, where the attributes' names are others' too."""
    unsaid: StepKind | None = None
    """What a span is that is known by its marks alone; an agent where it names one."""


_GENAI_KINDS: Mapping[str, StepKind] = {
    "chat": "model",
    "text_completion": "model",
    "generate_content": "model",
    "completion": "model",
    "embeddings": "tool",
    "retrieval": "tool",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "invoke_workflow": "workflow",
    "execute_task": "workflow",
    "goto": "route",
    "plan": "plan",
    "search_memory": "memory_read",
    "create_memory": "memory_write",
    "update_memory": "memory_write",
    "upsert_memory": "memory_write",
    "delete_memory": "memory_write",
}

BECAUSAL = Dialect(
    "becausal",
    {"kind": (semconv.STEP_KIND,), "agent": (semconv.AGENT_NAME,)},
    {
        kind: kind
        for kind in (
            "request", "workflow", "agent", "model", "tool", "handoff", "memory_read", "memory_write", "route", "plan"
        )
    },
)  # fmt: skip

OPENINFERENCE = Dialect(
    "OpenInference",
    {
        "kind": ("openinference.span.kind",),
        "agent": ("agent.name", "graph.node.id"),
        "tool": ("tool.name",),
        "model": ("llm.model_name",),
        "node": ("metadata.langgraph_node",),
        "heard": ("llm.input_messages.",),
        "said": ("llm.output_messages.",),
        "received": ("input.value",),
        "produced": ("output.value",),
        "asked": ("input.value", "tool.parameters"),
        "answered": ("retrieval.documents.", "output.value"),
        "call": ("tool_call.id", "tool.id"),
        "session": ("session.id",),
        "input_tokens": ("llm.token_count.prompt",),
        "output_tokens": ("llm.token_count.completion",),
    },
    {
        "llm": "model",
        "tool": "tool",
        "retriever": "tool",
        "embedding": "tool",
        "reranker": "tool",
        "agent": "agent",
        "chain": "workflow",
        "guardrail": "workflow",
        "evaluator": "workflow",
        "prompt": "workflow",
        "decision": "route",
    },
    ("openinference.",),
    unsaid="workflow",
)

LANGFUSE = Dialect(
    "Langfuse",
    {
        "kind": ("langfuse.observation.type",),
        "model": ("langfuse.observation.model.name",),
        "node": ("langfuse.observation.metadata.langgraph_node",),
        "received": ("langfuse.observation.input",),
        "produced": ("langfuse.observation.output",),
        "call": ("langfuse.observation.metadata.tool_call_id",),
        "session": ("langfuse.session.id", "session.id"),
        "error": ("langfuse.observation.status_message",),
    },
    {
        "generation": "model",
        "agent": "agent",
        "tool": "tool",
        "retriever": "tool",
        "embedding": "tool",
        "chain": "workflow",
        "span": "workflow",
        "evaluator": "workflow",
        "guardrail": "workflow",
    },
    ("langfuse.observation.",),
    unsaid="workflow",
)

LANGSMITH = Dialect(
    "LangSmith",
    {
        "kind": ("langsmith.span.kind",),
        "agent": ("lc_agent_name", "langsmith.metadata.lc_agent_name"),
        "model": ("langsmith.metadata.ls_model_name", "gen_ai.request.model"),
        "node": ("langsmith.metadata.langgraph_node",),
        "received": ("langsmith.inputs", "gen_ai.prompt"),
        "produced": ("langsmith.outputs", "gen_ai.completion"),
        "call": ("langsmith.metadata.tool_call_id",),
        "session": ("langsmith.metadata.thread_id", "langsmith.trace.session_id"),
    },
    {
        "llm": "model",
        "tool": "tool",
        "retriever": "tool",
        "embedding": "tool",
        "chain": "workflow",
        "prompt": "workflow",
        "parser": "workflow",
    },
    ("langsmith.",),
    unsaid="workflow",
)

MLFLOW = Dialect(
    "MLflow",
    {
        "kind": ("mlflow.spanType",),
        "model": ("mlflow.llm.model", "model"),
        "node": ("metadata.langgraph_node",),
        "received": ("mlflow.spanInputs",),
        "produced": ("mlflow.spanOutputs",),
        "call": ("tool_call_id",),
        "session": ("mlflow.trace.session",),
    },
    {
        "llm": "model",
        "chat_model": "model",
        "tool": "tool",
        "retriever": "tool",
        "embedding": "tool",
        "reranker": "tool",
        "agent": "agent",
        "chain": "workflow",
        "workflow": "workflow",
        "task": "workflow",
        "parser": "workflow",
        "evaluator": "workflow",
        "guardrail": "workflow",
        "unknown": "workflow",
        "memory": "memory_read",
    },
    ("mlflow.spanInputs", "mlflow.spanOutputs"),
    unsaid="workflow",
)

OPENLLMETRY = Dialect(
    "OpenLLMetry",
    {
        "kind": ("traceloop.span.kind",),
        "tool": ("traceloop.entity.name",),
        "workflow": ("traceloop.entity.name", "traceloop.workflow.name"),
        "node": ("traceloop.association.properties.langgraph_node",),
        "received": ("gen_ai.input.messages", "gen_ai.prompt.", "traceloop.entity.input", "gen_ai.task.input"),
        "produced": ("gen_ai.output.messages", "gen_ai.completion.", "traceloop.entity.output", "gen_ai.task.output"),
        "asked": ("traceloop.entity.input", "gen_ai.tool.call.arguments"),
        "answered": ("traceloop.entity.output", "gen_ai.tool.call.result"),
        "session": (
            "traceloop.association.properties.thread_id",
            "traceloop.association.properties.session_id",
        ),
    },
    {"workflow": "workflow", "task": "workflow", "agent": "agent", "tool": "tool"},
    ("traceloop.", "llm.request.type"),
    unsaid="workflow",
)  # fmt: skip

AUTOGEN = Dialect(
    "AutoGen",
    {
        "kind": ("messaging.operation",),
        "agent": ("recipient_agent_type",),
        "received": ("message",),
    },
    {"process": "agent"},
    sends=("create", "publish", "send", "receive", "ack"),
    scope="autogen",
)

GENAI = Dialect(
    "GenAI",
    {
        "kind": (semconv.OPERATION_NAME,),
        "agent": (semconv.AGENT_NAME, "gen_ai.agent.id"),
        "tool": (semconv.TOOL_NAME,),
        "model": (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL),
        "workflow": (semconv.WORKFLOW_NAME,),
        "received": (semconv.INPUT_MESSAGES, "gen_ai.prompt.", "gen_ai.prompt"),
        "produced": (semconv.OUTPUT_MESSAGES, "gen_ai.completion.", "gen_ai.completion"),
        "instructions": ("gen_ai.system_instructions",),
        "asked": (semconv.TOOL_ARGUMENTS, "gen_ai.retrieval.query.text", "gen_ai.memory.query.text"),
        "answered": (semconv.TOOL_RESULT, "gen_ai.retrieval.documents", "gen_ai.memory.records"),
        "call": (semconv.TOOL_CALL_ID,),
        "session": (semconv.CONVERSATION_ID,),
        "error": (semconv.ERROR_TYPE,),
        "input_tokens": (semconv.INPUT_TOKENS, "gen_ai.usage.prompt_tokens"),
        "output_tokens": (semconv.OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"),
    },
    _GENAI_KINDS,
    ("gen_ai.prompt.", "gen_ai.completion."),
    unsaid="model",
)

AGENT_FRAMEWORK = Dialect(
    "Agent Framework",
    {"agent": ("executor.id",), "workflow": ("workflow.name",)},
    marks=("executor.id", "workflow.name"),
    scope="agent_framework",
    unsaid="workflow",
)

DIALECTS: tuple[Dialect, ...] = (
    BECAUSAL, OPENINFERENCE, LANGFUSE, LANGSMITH, MLFLOW, OPENLLMETRY, AUTOGEN, GENAI, AGENT_FRAMEWORK
)  # fmt: skip
"""Tried in this order."""
