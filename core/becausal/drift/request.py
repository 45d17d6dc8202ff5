"""What a request says: the user's words, the constraints of a system prompt, and what he had said in earlier runs.

A request is text, data, or messages; of messages only the user's and the system's count, as what an assistant or a tool
said before is nobody's wish. A conversation that goes on in a new run brings its history with it: what the user said
in it is followed too. A system prompt that stands in the request is part of it; one that only an agent's own model is
shown binds this agent, so of that only limits and rules are followed, and they count in no share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from becausal.facts import Fact, facts
from becausal.facts.fact import Key
from becausal.graph import Graph
from becausal.payload import Payload, text_of
from becausal.step import Step

__all__ = ["Asked", "Request", "is_pinned", "request_of", "wording"]

Voice = Literal["user", "system", "other"]
Source = Literal["user", "system", "earlier"]

PINNED: Final = frozenset(
    ("limit", "rule", "money", "date", "id", "quantity", "percent", "email", "url", "duration")
)
"""Kinds of facts that a request means to be kept."""

FOLLOWED: Final = PINNED | {"number", "name", "time", "version"}
"""Kinds of facts that are followed at all."""

FEWEST_DIGITS: Final = 3

MOST_READ: Final = 1_000_000
"""Bytes of a payload beyond which it is not read."""

DEEPEST: Final = 6
"""So deep in data are messages looked for."""

_LABEL = re.compile(r"(?: [a-z]+){1,2}\s*[:=]")
"""What makes an abbreviation a part of a label: `API key: …`."""

_VOICES: Final[Mapping[str, Voice]] = {
    "user": "user",
    "human": "user",
    "humanmessage": "user",
    "usermessage": "user",
    "system": "system",
    "developer": "system",
    "systemmessage": "system",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One fact of a request."""

    fact: Fact
    source: Source
    counts: bool = True
    """Whether it counts in the share of what is kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    step: Step | None
    """The step that received it; None of a run without any."""
    asked: tuple[Asked, ...]
    text: str
    """The user's words."""


def is_pinned(fact: Fact) -> bool:
    """Return whether a request means a fact to be kept: a number too, unless it is so small that it counts steps."""
    value: Any = fact.value
    return fact.kind in PINNED or (fact.kind == "number" and abs(value) >= 10 ** (FEWEST_DIGITS - 1))


def wording(fact: Fact) -> str:
    """Return a fact as people read it: of a rule what it is about too, in stems."""
    value: Any = fact.value
    return f"{fact.text} ({', '.join(value[1])})" if fact.kind == "rule" else fact.text


def request_of(graph: Graph, shown: Sequence[Payload | None]) -> Request:
    """Return a run's request.

    Args:
        graph: the run's.
        shown: what the models of the first agents were shown.
    """
    root = next(iter(graph.roots), None)
    if root is None:
        return Request(None, (), "")
    said = _spoken([root.received])
    before = _spoken(shown)
    in_request = {*said["user"], *said["system"]}
    texts: tuple[tuple[Source, bool, list[str]], ...] = (
        ("user", True, said["user"]),
        ("system", True, said["system"]),
        ("earlier", True, [text for text in before["user"] if not _is_part(text, in_request)]),
        ("system", False, [text for text in before["system"] if not _is_part(text, in_request)]),
    )
    found: dict[Key, Asked] = {}
    for source, counts, rows in texts:
        text = "\n".join(rows)
        for fact in facts(text):
            wanted = fact.kind in FOLLOWED if counts else fact.kind in ("limit", "rule")
            if wanted and not _is_in_label(fact, text):
                found.setdefault(fact.key, Asked(fact, source, counts))
    return Request(root, tuple(found.values()), "\n".join(said["user"]))


def _is_in_label(fact: Fact, text: str) -> bool:
    """Return whether an abbreviation says of which kind the value behind it is, and so names nobody."""
    return fact.kind == "name" and fact.text.isupper() and _LABEL.match(text, fact.span[1]) is not None


def _is_part(text: str, others: set[str]) -> bool:
    """Return whether a text is another one, or a template around it: a prompt that quotes the request."""
    return any(other and (text in other or other in text) for other in others)


def _spoken(payloads: Sequence[Payload | None]) -> dict[Voice, list[str]]:
    """Return what users and systems say in payloads, each text once."""
    found: dict[Voice, dict[str, None]] = {"user": {}, "system": {}, "other": {}}
    for payload in payloads:
        if payload is not None and payload.size <= MOST_READ and payload.is_kept:
            for voice, text in _voices(payload.value(), DEEPEST):
                found[voice].setdefault(text)
    return {voice: list(texts) for voice, texts in found.items()}


def _voices(value: object, depth: int) -> Iterator[tuple[Voice, str]]:
    """Yield who says what: messages one by one, anything else as the user's."""
    if isinstance(value, Mapping):
        if "content" in value and (voice := _voice_of(value)) is not None:
            yield voice, text_of(value["content"])
            return
        plain = {key: one for key, one in value.items() if not _has_messages(one, depth - 1)}
        if plain:
            yield "user", text_of(plain)
        for key, one in value.items():
            if key not in plain:
                yield from _voices(one, depth - 1)
    elif isinstance(value, list | tuple) and _has_messages(value, depth):
        for one in value:
            yield from _voices(one, depth - 1)
    elif value is not None:
        yield "user", text_of(value)


def _has_messages(value: object, depth: int) -> bool:
    if depth <= 0:
        return False
    if isinstance(value, Mapping):
        is_message = "content" in value and _voice_of(value) is not None
        return is_message or any(_has_messages(one, depth - 1) for one in value.values())
    return isinstance(value, list | tuple) and any(_has_messages(one, depth - 1) for one in value)


def _voice_of(message: Mapping[Any, Any]) -> Voice | None:
    """Return whose message it is; None if it is no message."""
    for name in ("role", "type", "source"):
        who = message.get(name)
        if isinstance(who, str):
            return _VOICES.get(who.casefold(), "other" if name != "source" else "user")
    return None
