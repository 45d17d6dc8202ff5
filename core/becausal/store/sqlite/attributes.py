"""Attributes as a file keeps them: JSON in which the usual names are numbers.

The names of a step's attributes took more of a file than anything else that is said of it. JSON it stays, so what two
processes say of one step is still joined by the database itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from becausal.step import Attribute
from becausal.store import encoding
from becausal.store.encoding import json_text

__all__ = ["NAMES", "SINCE", "attributes_of", "attributes_text", "kept_apart", "reading_of", "rewritten"]

NAMES: Final = (
    "langgraph.node",
    "langgraph.step",
    "langgraph.task_id",
    "langgraph.triggers",
    "langgraph.checkpoint_ns",
    "langgraph.goto",
    "langgraph.nodes",
    "becausal.state.read",
    "becausal.state.written",
    "becausal.transfer.source.name",
    "becausal.transfer.target.name",
    "gen_ai.transfer.target.name",
    "becausal.transfer.sent_by",
    "becausal.transfer.equal",
    "becausal.transfer.received_by",
    "becausal.route.candidates",
    "becausal.route.by",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.provider.name",
    "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.tool.call.id",
    "becausal.tool_call.ids",
    "becausal.cached",
    "place.branch",
    "autogen.message_id",
    "autogen.recipient",
    "autogen.topic",
    "gen_ai.operation.name",
    "gen_ai.agent.name",
    "gen_ai.agent.description",
    "gen_ai.workflow.name",
    "gen_ai.conversation.id",
    "gen_ai.tool.name",
    "gen_ai.tool.description",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.memory.store.id",
    "gen_ai.memory.record.id",
    "error.type",
    "becausal.chain.id",
    "becausal.node.id",
    "becausal.step.kind",
    "becausal.step.seq",
    "becausal.stream.items",
    "becausal.step.status",
    "becausal.hop",
    "becausal.cause.ids",
    "becausal.cause.types",
    "becausal.link.type",
    "becausal.link.grade",
    "becausal.belief.digest",
    "becausal.payload.input.digest",
    "becausal.payload.input.size",
    "becausal.payload.output.digest",
    "becausal.payload.output.size",
    "becausal.transfer.intended",
    "becausal.transfer.redacted_apart",
    "becausal.contract.allows",
    "becausal.attempt",
    "becausal.stop_reason",
    "becausal.route.fallback",
    "becausal.tool.converted",
    "becausal.tool.is_error",
    "becausal.tool.artifact",
    "becausal.context.stored",
    "becausal.context.seen",
    "becausal.context.evicted",
    "becausal.memory.version",
    "becausal.memory.operation",
    "becausal.memory.as_of",
    "becausal.memory.event",
    "becausal.memory.latest",
    "becausal.memory.seen",
    "becausal.said_by",
    "becausal.recorded_by",
    "becausal.packages",
    "becausal.redaction",
    "becausal.decision.conclusion",
    "becausal.confidence.score",
    "becausal.confidence.method",
    "becausal.import.dialects",
    "becausal.import.notes",
    "becausal.import.index",
    "becausal.replay.of",
    "becausal.level",
    "bounds.left_out",
    "replay.runs_again",
    "replay.own_code",
    "replay.not_there",
    "replay.entry",
    "gen_ai.agent.id",
    "log.lines",
    "log.count",
    "langgraph.checkpoint.id",
    "langgraph.checkpoint.parent",
    "langgraph.assistant_id",
    "langgraph.private_keys",
    "langgraph.dropped_keys",
    "langgraph.types",
    "langgraph.errors",
    "langgraph.in_process",
    "langgraph.unknown_since",
    "autogen.asked",
    "autogen.answer_to",
    "autogen.undelivered",
    "autogen.unhandled",
    "autogen.state.digest",
    "autogen.intervention",
    "autogen.in_process",
    "autogen.duplicate",
    "autogen.overtaken",
    "autogen.magentic.round",
    "autogen.magentic.stalls",
    "autogen.unknown_since",
    "agent_framework.executor.id",
    "agent_framework.edge.condition",
)
"""The names that have numbers, by these. Files are written by it: it never changes, and another name at its end is a
new format. Those are not in it that queries look for (`SAYS_WRONG`, `KEPT`)."""

SINCE: Final = 7
"""The format since which names have numbers."""

SIGN: Final = "~"
"""How a number begins; a name of somebody's own that begins like this has it doubled."""

_NUMBERS: Final = {name: f"{SIGN}{number:x}" for number, name in enumerate(NAMES)}
_NAMED: Final = {number: name for name, number in _NUMBERS.items()}


def attributes_text(attributes: Mapping[str, Attribute]) -> str | None:
    """Return attributes as they are written; None where there are none."""
    if not attributes:
        return None
    return json_text({_NUMBERS.get(name) or _kept_apart(name): value for name, value in attributes.items()})


def attributes_of(text: str | None) -> dict[str, Attribute]:
    """Return attributes as they were written, by this release or by one that wrote out all names."""
    found = encoding.attributes_of(text)
    if text is None or SIGN not in text:
        return found
    return {_NAMED.get(name) or _own(name): value for name, value in found.items()}


def reading_of(format: int) -> Callable[[str | None], dict[str, Attribute]]:
    """Return what reads attributes out of a file of a format; one of before is only read, and stays as it is."""
    return attributes_of if format >= SINCE else encoding.attributes_of


def kept_apart(text: str) -> str:
    """Return attributes of a file of before as they are written, where one of somebody's own begins like a number.

    What cannot be read stays as it is: whoever asks for its step is told.
    """
    try:
        return attributes_text(encoding.attributes_of(text)) or text
    except (ValueError, AttributeError):
        return text


def rewritten(text: str | None, rewrite: Callable[[str | None], str | None]) -> str | None:
    """Return attributes as they are written, of which something else has rewritten the JSON with all names in it."""
    if text is None:
        return None
    plain = json_text(attributes_of(text)) if SIGN in text else text
    new = rewrite(plain)
    return text if new == plain else attributes_text(encoding.attributes_of(new))


def _kept_apart(name: str) -> str:
    return SIGN + name if name.startswith(SIGN) else name


def _own(name: str) -> str:
    return name[1:] if name.startswith(2 * SIGN) else name
