"""What a node or a conditional edge decided: where the graph goes on, on which premises. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from becausal.redaction import beginning
from becausal.step import Choice
from becausal_integrations.langchain.describe import text_of_content
from becausal_integrations.langgraph.describe import PARENT, is_of, langgraph_names

__all__ = ["GOTO", "decision", "destinations", "is_told_before", "premises", "route"]

GOTO = "langgraph.goto"


def destinations(value: Any) -> tuple[str, ...]:
    """Return where a node's `Command`s go, each place once."""
    commands = value if isinstance(value, list | tuple) else (value,)
    goto: list[Any] = []
    for command in commands:
        if "Command" in langgraph_names(type(command)):
            target = command.goto
            goto.extend(target if isinstance(target, list | tuple) else [target])
    return tuple(dict.fromkeys(map(_place, goto)))


def is_told_before(value: Any, given: Any, *, is_prebuilt: bool) -> bool:
    """Return whether where a node goes was told as a decision before: nobody decides it here.

    A `Command` for the parent graph passes the node that holds the subgraph, with that graph's name in place of
    `Command.PARENT`. In a prebuilt agent a tool hands over, as its model decided by the tool's name.
    """
    commands = [
        item for item in (value if isinstance(value, list | tuple) else (value,)) if is_of(item, "Command")
    ]
    if commands and all(command.graph not in (None, PARENT) for command in commands):
        return True
    named = _called(given) if is_prebuilt else ()
    return bool(named) and all(f"transfer_to_{place}" in named for place in destinations(value))


def _called(given: Any) -> Sequence[str]:
    """Return the names of the tool calls that the tools' node of a prebuilt agent was given."""
    if isinstance(given, dict):
        given = given.get("tool_call") or given.get("messages")
    items: list[Any] = given if isinstance(given, list) else [given]
    calls: Sequence[Any] = getattr(items[-1], "tool_calls", items) if items else ()
    return [str(call["name"]) for call in calls if isinstance(call, dict) and "name" in call]


def route(ends: Mapping[Any, str] | None, result: Any) -> tuple[str, ...]:
    """Return where a conditional edge goes, each place once."""
    chosen = result if isinstance(result, list | tuple) else [result]
    known, places = ends or {}, dict[str, None]()
    for item in chosen:
        is_send = "Send" in langgraph_names(type(item))
        target = item.node if is_send else known.get(item, item)
        places[target if type(target) is str else _place(target)] = None
    return tuple(places)


def decision(verb: str, places: Sequence[str], premises: tuple[str, ...]) -> Choice:
    """Return the decision to go somewhere."""
    return Choice(f"{verb} {', '.join(places)}", premises)


def premises(state: Any) -> tuple[str, ...]:
    """Return the heads of the texts in a state: its own strings, and the last message of each list."""
    values = state.values() if type(state) is dict or isinstance(state, Mapping) else (state,)
    texts: list[str] = []
    for value in values:
        last = value[-1] if isinstance(value, list) and value else value
        content = last if isinstance(last, str) else getattr(last, "content", None)
        text = content if type(content) is str else text_of_content(content)
        if text:
            texts.append(beginning(text))
    return tuple(texts[:8])


def _place(target: Any) -> str:
    return str(target.node) if is_of(target, "Send") else str(target)
