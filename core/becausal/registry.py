"""The registry of `becausal.*`: what each attribute of ours holds, and when it is set.

`docs/attributes.md` is made of it (`python -m tests.attributes`); a test compares the two, and holds every name of
`becausal.semconv` against this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from becausal import semconv

__all__ = ["EVENTS", "LINKS", "REGISTRY", "Registered", "ValueType"]

ValueType = Literal["string", "int", "double", "boolean", "string[]"]
"""The types of OpenTelemetry that every backend takes: no bytes, no maps, no mixed arrays."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One attribute."""

    name: str
    type: ValueType
    meaning: str
    when: str
    """On which steps' spans."""


EVERY: Final = "every step"
HANDOFF: Final = "handoffs"
ROUTE: Final = "routes, plans and agents that a framework chose"
WRONG: Final = "roots that a check of the app's own found wrong in time; the span that follows a run"
MEMORY: Final = "memory reads and writes"

REGISTRY: Final = (
    Registered(semconv.CHAIN_ID, "string", "the causal chain, from the request to the output", EVERY),
    Registered(semconv.NODE_ID, "string", "the step, 16 hexadecimal digits", EVERY),
    Registered(semconv.STEP_KIND, "string", "what sort of work it is (`becausal.step.StepKind`)", EVERY),
    Registered(semconv.STEP_SEQ, "int", "its number on the logical clock: causes have smaller ones", EVERY),
    Registered(semconv.STEP_STATUS, "string", "how it ended (`becausal.step.Status`)", EVERY),
    Registered(semconv.HOP, "int", "handoffs between the request and it", EVERY),
    Registered(
        semconv.CAUSE_IDS,
        "string[]",
        "the steps that caused it, 32 at most; the span's links name them too",
        "steps with causes",
    ),
    Registered(
        semconv.CAUSE_TYPES,
        "string[]",
        "how each of them did, in the same order (`becausal.step.EdgeKind`)",
        "steps with causes",
    ),
    Registered(semconv.STREAM_ITEMS, "int", "items that a stream gave", "streamed steps"),
    Registered(semconv.INPUT_DIGEST, "string", "digest of what was received", "steps that received"),
    Registered(semconv.INPUT_SIZE, "int", "its size in bytes, canonically encoded", "steps that received"),
    Registered(
        semconv.BELIEF_DIGEST,
        "string",
        "digest of what was received without ids, times and counts: what the agent believed",
        "steps that received",
    ),
    Registered(semconv.OUTPUT_DIGEST, "string", "digest of what was produced", "steps that produced"),
    Registered(semconv.OUTPUT_SIZE, "int", "its size in bytes", "steps that produced"),
    Registered(
        semconv.MUTATED, "boolean", "whether a shared value was changed in place", "steps that did so"
    ),
    Registered(semconv.TRANSFER_SOURCE, "string", "who sent", HANDOFF),
    Registered(semconv.TRANSFER_TARGET_OWN, "string", "who was to receive", HANDOFF),
    Registered(
        semconv.TRANSFER_EQUAL, "boolean", "whether what was received is what was sent, bit by bit", HANDOFF
    ),
    Registered(semconv.TRANSFER_SENT_BY, "string", "the sender's step", HANDOFF),
    Registered(semconv.TRANSFER_RECEIVED_BY, "string", "the receiver's step", HANDOFF),
    Registered(
        semconv.TRANSFER_INTENDED, "boolean", "whether the app declared what changed on the way", HANDOFF
    ),
    Registered(
        semconv.TRANSFER_KEYS,
        "boolean",
        "whether the two ends redact under keys of their own, so that one secret has two markers",
        "handoffs between installations",
    ),
    Registered(
        semconv.CONTRACT_ALLOWS, "string[]", "what the app's contract allows to change", "handoffs with one"
    ),
    Registered(
        semconv.CONTRACT_BREACHES, "string[]", "where the contract was broken", "handoffs that broke one"
    ),
    Registered(
        semconv.CHECKS, "string[]", "what the app's validators said", "tool calls that a validator checks"
    ),
    Registered(semconv.ATTEMPT, "int", "which try it is, from 1", "steps that were tried again"),
    Registered(semconv.CACHED, "boolean", "whether the result came from the framework's cache", "agents"),
    Registered(semconv.STOP_REASON, "string", "why a team stopped", "workflows of AutoGen"),
    Registered(semconv.ROUTE_CANDIDATES, "string[]", "who could have been chosen", ROUTE),
    Registered(
        semconv.ROUTE_BY,
        "string",
        "how it was chosen: `model`, `handoff`, `same speaker`, a function",
        ROUTE,
    ),
    Registered(
        semconv.ROUTE_FALLBACK, "string", "whom the framework took where the model named nobody", ROUTE
    ),
    Registered(
        semconv.TOOL_CONVERTED,
        "string",
        "how the result's type changed on its way to the model",
        "tool calls where it did",
    ),
    Registered(
        semconv.TOOL_IS_ERROR,
        "boolean",
        "whether an error was told to the model as a result",
        "tool calls",
    ),
    Registered(
        semconv.TOOL_ARTIFACT,
        "boolean",
        "whether the result has a part that the model is not told",
        "tool calls",
    ),
    Registered(semconv.TOOL_CALL_IDS, "string[]", "the calls that a model asked for", "models"),
    Registered(
        semconv.CONTEXT_STORED, "int", "messages that a model context holds", "model calls of AutoGen"
    ),
    Registered(
        semconv.CONTEXT_SEEN, "int", "messages of them that the model was given", "model calls of AutoGen"
    ),
    Registered(
        semconv.CONTEXT_EVICTED,
        "string[]",
        "the steps whose words the context held back",
        "model calls of AutoGen",
    ),
    Registered(
        semconv.MEMORY_VERSION,
        "int",
        "the key's version that was read or written: of adapters, as the process counted it",
        MEMORY,
    ),
    Registered(semconv.MEMORY_LATEST, "int", "the newest version there was", "reads of an older one"),
    Registered(
        semconv.MEMORY_SEEN, "string[]", "`key@version` of each record, where several were read", MEMORY
    ),
    Registered(
        semconv.MEMORY_WRITERS,
        "string[]",
        "`key@version=step` of versions that are told of and are no cause: which step wrote them",
        "memory reads of LangGraph",
    ),
    Registered(
        semconv.MEMORY_INSTANCE,
        "string",
        "which object it is, of a memory that lives in one process and no longer",
        MEMORY,
    ),
    Registered(
        semconv.MEMORY_OPERATION,
        "string",
        "what was done: `write`, `retract`, `supersede`, `erase`, …",
        MEMORY,
    ),
    Registered(semconv.MEMORY_AS_OF, "int", "as of which number on the logical clock", "reads of the past"),
    Registered(semconv.MEMORY_EVENT, "string", "the hash of the log's entry", "`becausal.Memory`"),
    Registered(
        semconv.STATE_READ, "string[]", "`channel@version` of the state that was read", "LangGraph's nodes"
    ),
    Registered(
        semconv.STATE_WRITTEN,
        "string[]",
        "`channel@version` of the state that was written",
        "LangGraph's nodes",
    ),
    Registered(semconv.SAID_BY, "string", "`user` where a person spoke inside the run", "turns of people"),
    Registered(
        semconv.RECORDED_BY, "string", "`callback` where nothing was hooked", "runs of `becausal.callback()`"
    ),
    Registered(
        semconv.PACKAGES, "string[]", "`name==version` of what recorded it", "the first step of a run"
    ),
    Registered(
        semconv.REDACTION,
        "string",
        "`on` where secrets were taken out, else `off`",
        "the first step of a run",
    ),
    Registered(
        semconv.REDACTION_KEY,
        "string",
        "what tells the key of the markers from others, and nothing of it",
        "a step of each run with secrets; its first one, if it had ended by then",
    ),
    Registered(
        semconv.LEVEL, "string", "`boundaries` where the insides were left out", "the first step of a run"
    ),
    Registered(
        semconv.REPLAY_OF,
        "string",
        "the chain that was run again",
        "the first step of a replay, and its memory accesses",
    ),
    Registered(
        semconv.IMPORT_DIALECTS,
        "string[]",
        "whose words a trace of others was told in",
        "runs of other instrumentors",
    ),
    Registered(semconv.IMPORT_NOTES, "string[]", "what its content lacks", "runs of other instrumentors"),
    Registered(semconv.IMPORT_INDEX, "int", "the place of a turn in the log it came from", "runs from logs"),
    Registered(
        semconv.DECISION_CONCLUSION,
        "string",
        "what was decided, 256 bytes at most; content",
        "decisions, where OpenTelemetry's switch asks for content",
    ),
    Registered(
        semconv.ANOMALY_DETECTED,
        "boolean",
        "true: something is wrong; a tail sampler may keep the trace by it",
        WRONG,
    ),
    Registered(semconv.ANOMALY_KIND, "string", "the worst of it (`becausal.finding.KINDS`)", WRONG),
    Registered(semconv.ANOMALY_SEVERITY, "int", "how bad that is: 0 note, 1 warning, 2 error", WRONG),
    Registered(semconv.ANOMALY_COUNT, "int", "how many things are wrong", "the span that follows a run"),
    Registered(semconv.CONFIDENCE_SCORE, "double", "how sure the decider was, 0 to 1", "decisions"),
    Registered(
        semconv.CONFIDENCE_METHOD,
        "string",
        "where that is from: `declared`, `logprobs`, `stated`",
        "decisions",
    ),
)
"""The attributes of spans."""

EVENTS: Final = (
    Registered(semconv.FINDING_KIND, "string", "what is wrong (`becausal.finding.KINDS`)", "findings"),
    Registered(semconv.FINDING_SEVERITY, "string", "`note`, `warning` or `error`", "findings"),
    Registered(semconv.FINDING_CONFIDENCE, "double", "how sure it is, 0 to 1", "findings"),
    Registered(semconv.FINDING_AGENT, "string", "which agent is to blame", "findings about one"),
    Registered(semconv.FINDING_TOOL, "string", "which tool is to blame", "findings about one"),
)
"""The attributes of the events `becausal.finding`."""

LINKS: Final = (
    Registered(
        semconv.LINK_TYPE, "string", "how the linked step caused this one (`becausal.step.EdgeKind`)", "links"
    ),
    Registered(semconv.LINK_GRADE, "string", "how surely it is known (`becausal.step.Grade`)", "links"),
)
"""The attributes of span links."""
