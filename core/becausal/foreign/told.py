"""What a span tells, by the tables of the dialects that it speaks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from becausal import semconv
from becausal.foreign import own
from becausal.foreign.dialect import DIALECTS, Dialect, Field
from becausal.foreign.span import Span
from becausal.foreign.value import MISSING, Attributes, call_id_of, plain
from becausal.step import Attribute, StepKind

__all__ = ["Told", "tell"]

# `researcher_acddfd5b-a0dc-4af9-8a4a-56512fb6c3f4`: AutoGen's teams name their agents' types so.
_AUTOGEN_SUFFIX = re.compile(r"_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:/.*)?$")

_OPERATION = re.compile(
    r"^(?:chat|execute_tool|execute_task|invoke_agent|invoke_workflow|embeddings|retrieval|plan) "
)

_NAMED_BY: dict[StepKind, Field] = {
    "tool": "tool",
    "model": "model",
    "agent": "agent",
    "workflow": "workflow",
}

_CALL: tuple[tuple[Field, ...], tuple[Field, ...]] = (("asked", "received"), ("answered", "produced"))
_CONTENT: dict[StepKind, tuple[tuple[Field, ...], tuple[Field, ...]]] = {
    "tool": _CALL,
    "memory_read": _CALL,
    "memory_write": _CALL,
    "model": (("heard", "received"), ("said", "produced")),
    "workflow": (("received",), ("produced",)),
}
"""What a step received and produced, by its kind."""

_KEPT: dict[Field, str] = {
    "session": semconv.CONVERSATION_ID,
    "input_tokens": semconv.INPUT_TOKENS,
    "output_tokens": semconv.OUTPUT_TOKENS,
}


@dataclass(slots=True)
class Told:
    """What one span says, in our words."""

    span: Span
    kind: StepKind | None
    """None where it is no step: nobody's dialect, or a span that only passes something on."""
    dialects: tuple[str, ...]
    sends: bool = False
    is_own: bool = False
    """Whether becausal made the span: then `own` makes the step of it."""
    name: str = ""
    agent: str | None = None
    node: str | None = None
    received: object = MISSING
    produced: object = MISSING
    error: str | None = None
    attributes: dict[str, Attribute] | None = None


def tell(span: Span) -> Told:
    """Return what a span says."""
    if own.is_own(span):
        step_kind = own.KINDS[span.attributes[semconv.STEP_KIND]]
        agent = span.attributes.get(semconv.AGENT_NAME)
        by = agent if isinstance(agent, str) else None
        return Told(span, step_kind, ("becausal",), is_own=True, name=own.name_of(span, step_kind), agent=by)
    attributes = Attributes(span.attributes)
    speaks = [dialect for dialect in DIALECTS if _speaks(dialect, span, attributes)]
    kind, sends = _kind(speaks, attributes)
    told = Told(span, kind, tuple(dialect.name for dialect in speaks), sends)
    if kind is None:
        return told
    asked = _Asked(speaks, attributes)
    told.node = asked.text("node")
    told.agent = _short(asked.text("agent"))
    told.name = _name(kind, told.agent, asked, span)
    if kind == "agent":
        told.agent = told.name
    inward, outward = _CONTENT.get(kind, _CONTENT["workflow"])
    told.received, told.produced = asked.content(*inward), asked.content(*outward)
    if kind == "model":
        told.received = _conversation(told.received, asked.content("instructions"))
    told.error = span.error if span.error is None or span.error.strip() else asked.text("error") or "error"
    told.attributes = _kept(kind, asked, told.produced)
    return told


class _Asked:
    """A span's fields, each from the first dialect that has it."""

    def __init__(self, speaks: list[Dialect], attributes: Attributes) -> None:
        self._speaks, self._attributes = speaks, attributes

    def field(self, name: Field) -> object:
        found = (self._attributes.first(dialect.fields.get(name, ())) for dialect in self._speaks)
        return next((value for value in found if value is not MISSING), MISSING)

    def text(self, name: Field) -> str | None:
        value = self.field(name)
        # What an instrumentation writes for a model that it cannot name.
        return value if isinstance(value, str) and value and value != "unknown" else None

    def content(self, *names: Field) -> object:
        """Return the content of the first of several fields that has any."""
        found = (self.field(name) for name in names)
        return plain(next((value for value in found if value is not MISSING), MISSING))


def _speaks(dialect: Dialect, span: Span, attributes: Attributes) -> bool:
    if dialect.scope and not span.scope.startswith(dialect.scope):
        return False
    if any(mark in attributes for mark in dialect.marks):
        return True
    said = attributes.first(dialect.fields.get("kind", ()))
    return isinstance(said, str) and (said.lower() in dialect.kinds or said in dialect.sends)


def _kind(speaks: list[Dialect], attributes: Attributes) -> tuple[StepKind | None, bool]:
    """Return what sort of step a span is, and whether it is none because it only passes something on."""
    for dialect in speaks:
        said = attributes.first(dialect.fields.get("kind", ()))
        if isinstance(said, str):
            if said in dialect.sends:
                return None, True
            if said.lower() in dialect.kinds:
                return dialect.kinds[said.lower()], False
    for dialect in speaks:
        if dialect.unsaid is not None:
            agent = attributes.first(dialect.fields.get("agent", ()))
            return dialect.unsaid if agent is MISSING else "agent", False
    return None, False


def _name(kind: StepKind, agent: str | None, asked: _Asked, span: Span) -> str:
    if kind == "agent" and agent:
        return agent
    by = _NAMED_BY.get(kind)
    return _short((asked.text(by) if by is not None else None) or _OPERATION.sub("", span.name)) or kind


def _short(name: str | None) -> str | None:
    return None if name is None else _AUTOGEN_SUFFIX.sub("", name)


def _conversation(received: object, instructions: object) -> object:
    """Return what a model received as its messages, the instructions first."""
    if isinstance(received, dict) and set(received) == {"messages"}:
        received = received["messages"]
    if instructions is MISSING:
        return received
    messages = received if isinstance(received, list) else [] if received is MISSING else [received]
    said = instructions if isinstance(instructions, list) else [instructions]
    texts = [item.get("content", item) if isinstance(item, dict) else item for item in said]
    return [{"role": "system", "content": texts[0] if len(texts) == 1 else texts}, *messages]


def _kept(kind: StepKind, asked: _Asked, produced: object) -> dict[str, Attribute]:
    kept: dict[str, Attribute] = {}
    for name, attribute in _KEPT.items():
        value = asked.field(name)
        # What is not finite is no JSON, which a store writes.
        if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
            kept[attribute] = value
    if kind == "tool" and (call := asked.text("call") or call_id_of(produced)):
        kept[semconv.TOOL_CALL_ID] = call
    return kept
