"""What other tools call the same things: attributes beside ours, so that a backend shows a step as what it is.

`gen_ai.*` and `becausal.*` are on every span. A dialect adds the few attributes that a backend reads in their place:
what sort of span it is, the conversation, and, only where OpenTelemetry's own switch asks for content, what went in
and out. `BECAUSAL_DIALECTS=openinference,langfuse` or `instrument(dialects=[...])` choose; `openinference` alone is on
by default, and `BECAUSAL_DIALECTS=genai` turns it off.

Sources: OpenInference semantic conventions 0.1.42; Langfuse, `ObservationTypeMapper.ts`; LangSmith, "Trace with
OpenTelemetry" and "Configure threads"; MLflow 3.17.2, `mlflow/tracing/constant.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from becausal import semconv
from becausal.step import Attribute, OpenStep, StepKind

__all__ = ["DIALECTS", "Dialect", "Overlay"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one backend calls what a step is."""

    kind: str
    """The attribute that says what sort of span it is."""
    kinds: Mapping[StepKind, str]
    other: str
    """What it calls the kinds that it has no word for."""
    session: str
    """Where it looks for the conversation."""
    input: str
    output: str
    """The attributes of what went in and out."""
    agent: str | None = None
    chain: str | None = None
    """Where it looks for the agent's name and for the chain id; None where it takes ours as they are."""
    check: str | None = None
    """What it calls a span that says what is wrong; None where that is `other`."""
    types: tuple[str, str] | None = None
    """The attributes that say how input and output are written: always as plain text."""


DIALECTS: Final[Mapping[str, Dialect]] = {
    "openinference": Dialect(
        kind="openinference.span.kind",
        kinds={"agent": "AGENT", "model": "LLM", "tool": "TOOL", "memory_read": "RETRIEVER"},
        other="CHAIN",
        session="session.id",
        input="input.value",
        output="output.value",
        agent="agent.name",
        check="EVALUATOR",
        types=("input.mime_type", "output.mime_type"),
    ),
    "langfuse": Dialect(
        kind="langfuse.observation.type",
        kinds={
            "agent": "agent",
            "model": "generation",
            "tool": "tool",
            "memory_read": "retriever",
            "request": "chain",
            "workflow": "chain",
        },
        other="span",
        check="evaluator",
        session="langfuse.session.id",
        input="langfuse.observation.input",
        output="langfuse.observation.output",
        agent="langfuse.observation.metadata.becausal_agent",
        chain="langfuse.observation.metadata.becausal_chain_id",
    ),
    "langsmith": Dialect(
        kind="langsmith.span.kind",
        kinds={"model": "llm", "tool": "tool", "memory_read": "retriever"},
        other="chain",
        # A thread; `langsmith.trace.session_id` is the id of a project, and no conversation.
        session="langsmith.metadata.thread_id",
        input="input.value",
        output="output.value",
        agent="langsmith.metadata.becausal_agent",
        chain="langsmith.metadata.becausal_chain_id",
    ),
    "mlflow": Dialect(
        kind="mlflow.spanType",
        kinds={
            "agent": "AGENT",
            "model": "CHAT_MODEL",
            "tool": "TOOL",
            "memory_read": "MEMORY",
            "memory_write": "MEMORY",
            "workflow": "WORKFLOW",
            "handoff": "TASK",
            "plan": "TASK",
            "route": "TASK",
        },
        other="CHAIN",
        check="EVALUATOR",
        session="mlflow.trace.session",
        input="mlflow.spanInputs",
        output="mlflow.spanOutputs",
    ),
}
"""By the name that people type."""


class Overlay:
    """The dialects that are spoken beside our own."""

    def __init__(self, names: Iterable[str]) -> None:
        self._spoken = [DIALECTS[name] for name in names if name in DIALECTS]
        self._sessions = [spoken.session for spoken in self._spoken]
        self.chains: list[str] = [spoken.chain for spoken in self._spoken if spoken.chain is not None]
        """Where the chain id is looked for, beside our own attribute."""

    def opening(self, kind: StepKind, agent: str | None) -> dict[str, Attribute]:
        """Return what a step is called when it begins."""
        said: dict[str, Attribute] = {}
        for spoken in self._spoken:
            said[spoken.kind] = spoken.kinds.get(kind, spoken.other)
            if spoken.agent is not None and agent is not None:
                said[spoken.agent] = agent
        return said

    def closing(self, step: OpenStep) -> dict[str, Attribute]:
        """Return what is known of a step only when it ends: the conversation that it belongs to."""
        conversation = step.attributes.get(semconv.CONVERSATION_ID, step.conversation)
        return {} if conversation is None else dict.fromkeys(self._sessions, conversation)

    def findings(self, root: OpenStep) -> dict[str, Attribute]:
        """Return what the span that follows a run is called, which says what is wrong in it."""
        said: dict[str, Attribute] = {spoken.kind: spoken.check or spoken.other for spoken in self._spoken}
        said.update(dict.fromkeys(self.chains, root.chain_id))
        return said | self.closing(root)

    def content(self, received: str | None, produced: str | None) -> dict[str, Attribute]:
        """Return what went in and out; for where content may stand on spans."""
        said: dict[str, Attribute] = {}
        for spoken in self._spoken:
            for text, key, number in ((received, spoken.input, 0), (produced, spoken.output, 1)):
                if text is not None:
                    said[key] = text
                    if spoken.types is not None:
                        said[spoken.types[number]] = "text/plain"
        return said
