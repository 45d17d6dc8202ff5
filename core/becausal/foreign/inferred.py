"""What a record says of a span elsewhere: by a link between the two, or by the id of a tool call.

Nothing here is concluded from times or names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from becausal import semconv
from becausal.foreign.order import Key, key
from becausal.foreign.told import Told
from becausal.foreign.value import MISSING, by_call

__all__ = ["take_from_messages", "take_what_was_buffered", "take_what_was_sent"]

BUFFERS = "ChatAgentContainer"
"""AutoGen's: keeps the messages that arrive, and hands them to its agent when that is asked to speak.

Source: autogen-agentchat 0.7.5, `teams/_group_chat/_chat_agent_container.py`, `handle_start`, `handle_agent_response`,
`handle_request`.
"""


def take_what_was_sent(
    told: Mapping[Key, Told], enclosing: Mapping[Key, Key | None], gaps: Counter[str]
) -> None:
    """Let who sent a message have produced it, where only the receiver's span, linked to it, says what."""
    sent: dict[Key, list[tuple[int, object]]] = {}
    taken: set[Key] = set()
    for one in told.values():
        if one.kind is None or one.received is MISSING or one.received == {}:
            continue
        for trace, identity, _ in one.span.links:
            through = told.get((trace, identity))
            if through is None or not through.sends or (trace, identity) in taken:
                continue
            sender = enclosing[trace, identity]
            if sender is not None:
                taken.add((trace, identity))
                sent.setdefault(sender, []).append((through.span.started_ns, one.received))
    for name, messages in sent.items():
        if told[name].produced is MISSING:
            said = [message for _, message in sorted(messages, key=lambda item: item[0])]
            told[name].produced = said[0] if len(said) == 1 else said
            gaps["outputs known only by the messages that others received"] += 1


def take_what_was_buffered(told: Sequence[Told], enclosing: Mapping[Key, Key | None]) -> None:
    """Let an AutoGen agent that is asked to speak have received the messages that arrived since it last spoke."""
    asked: dict[Key, Told] = {}
    arrived: dict[str, list[object]] = {}
    for one in sorted(told, key=lambda one: one.span.started_ns):
        if one.span.attributes.get("recipient_agent_class") != BUFFERS:
            continue
        if one.received == {}:
            one.received = arrived.pop(one.name, MISSING)
            asked[key(one.span)] = one
        elif one.received is not MISSING:
            arrived.setdefault(one.name, []).append(one.received)
    for one in told:
        outer = enclosing[key(one.span)]
        if outer in asked and one.kind == "agent" and one.received is MISSING:
            one.received = asked[outer].received  # the agent within the container


def take_from_messages(told: Sequence[Told], gaps: Counter[str]) -> None:
    """Let a tool have what the messages around it say under the id of its call, where its own span says nothing."""
    silent: dict[object, list[Told]] = {}
    for one in told:
        if one.kind == "tool" and MISSING in (one.received, one.produced):
            call = (one.attributes or {}).get(semconv.TOOL_CALL_ID)
            if isinstance(call, str):
                silent.setdefault(call, []).append(one)
    # Two calls of one id would be told each other's.
    silent = {call: tools for call, tools in silent.items() if len(tools) == 1}
    if not silent:
        return
    for one in list(told):
        for value in (one.received, one.produced):
            for call, arguments, result in by_call(value):
                for tool in silent.get(call, ()):
                    if tool.received is MISSING and arguments is not MISSING:
                        tool.received = arguments
                    if tool.produced is MISSING and result is not MISSING and one is not tool:
                        tool.produced = result
                        gaps["tool results known only by the messages that carry them"] += 1
