"""What a payload says: its texts and numbers, and the tool calls that it asks for or answers.

Blame and the data edges look for content, not for structure, and they look often; so each payload is read
once, by its digest, however many steps it passed. Of a message only what was said counts: ids, token counts
and a provider's names are the same in many messages and would link what has nothing in common.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import becausal.canonical as canonical
from becausal.graph.lists import Lists
from becausal.payload import Bodies, Payload, decoded, text_of

__all__ = ["LONGEST_KEYED", "Content", "Contents", "data_in", "formats_in", "said_in", "text_of_scalar"]

_MESSAGE_MARKS = ("role", "type", "source", "call_id", "tool_call_id", "finish_reason")
_SPOKEN = ("content", "tool_calls")
_FORMATS = ("mime_type", "mimeType", "media_type", "mediaType")
_FORMATTED = ("content", "data", "text", "blob", "resource", "uri", "url", "base64")
_FORMAT = re.compile(r"(?:text|image|audio|video|application|multipart|font|model)/[\w.+-]+(?:;.*)?")
_SCALARS = (int, float, complex, Decimal, Fraction, dt.date, dt.time, dt.timedelta, uuid.UUID)
_LONGEST_JSON = 1_000_000
_MOST_JSON = 200
_JSON_START = re.compile(r"^[ \t]*[{\[]", re.MULTILINE)
_DECODER = json.JSONDecoder()
MOST_OPEN = 4
"""So many payloads are kept laid out, those that were asked about last."""
LONGEST_KEYED = 200
"""Characters. A longer text says by itself what it is about."""

# Stands in a value for a part that is read by itself: NUL and the part's digest in letters that are no digits.
_MARK = "\0part"
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")
_MARKED = re.compile("\0part[g-v]{32}")


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one payload or part; what its own parts say is theirs."""

    leaves: tuple[str, ...] = ()
    """Texts, and numbers as Python writes them, in the order of the value."""
    wholes: frozenset[str] = frozenset()
    """Those that are all that a message, or the payload itself, says."""
    asks: frozenset[str] = frozenset()
    """Ids of tool calls that it asks for."""
    answers: frozenset[str] = frozenset()
    """Ids of tool calls that it answers."""
    parts: tuple[bytes, ...] = ()
    """Digests of the parts that its canonical form is made of, each once, in its order: so are answers the same in
    every process."""
    said_parts: tuple[bytes, ...] = ()
    """Those of them that say something; others stand where bookkeeping does."""
    keyed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The leaves that stand under keys, each with its keys."""
    shown: str = ""
    """`Payload.text()`, without what its parts show."""
    is_whole: bool = True
    """Whether every part of it could be read."""


class Contents:
    """Reads payloads, each digest once.

    A payload's parts are read by their own digests. A list that begins with another that was read has that other one
    as a part. So a conversation of n messages, long or short, costs n readings in all, though every turn sends it.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Content | None] = {}
        self._marks: dict[str, bytes] = {}
        self._lists = Lists()
        self._within: dict[tuple[str, bool], dict[bytes, Content]] = {}

    def of(self, payload: Payload | None) -> Content | None:
        """Return a payload's content; None where there is no payload or its body was not kept."""
        if payload is None or payload.bodies is None:
            return None
        return self._of(canonical.parse_digest(payload.digest), payload.bodies)

    def within(
        self, payload: Payload | None, *, said: bool = False, but: Container[bytes] = ()
    ) -> Mapping[bytes, Content]:
        """Return the contents of a payload and of the parts that it is made of, by digest, each once.

        Args:
            payload: one of the chain.
            said: only those that say something.
            but: parts that are left out, with what they are made of.
        """
        found: dict[bytes, Content] = {}
        if payload is None or self.of(payload) is None:
            return found
        if not but and (known := self._within.get((payload.digest, said))) is not None:
            return known
        left = [canonical.parse_digest(payload.digest)]
        while left:
            digest = left.pop()
            content = self._known.get(digest)
            if content is not None and digest not in found and digest not in but:
                found[digest] = content
                left.extend(reversed(content.said_parts if said else content.parts))
        if not but:
            self._within[payload.digest, said] = found
            if len(self._within) > MOST_OPEN:
                del self._within[next(iter(self._within))]
        return found

    def at(self, digest: bytes) -> Content | None:
        """Return the content of a payload or part that was read before."""
        return self._known.get(digest)

    def texts(self, payload: Payload | None) -> Iterator[str]:
        """Yield `Payload.text()`, in parts, and every leaf: what an exact text is looked for in."""
        for content in self.within(payload).values():
            yield from content.leaves
            yield content.shown

    def leaves(self, payload: Payload | None) -> Iterator[str]:
        """Yield the texts and numbers that a payload and its parts say."""
        for content in self.within(payload, said=True).values():
            yield from content.leaves

    def asks(self, payload: Payload | None) -> set[str]:
        """Return the ids of the tool calls that a payload asks for."""
        return {call for content in self.within(payload, said=True).values() for call in content.asks}

    def answers(self, payload: Payload | None, call: str) -> bool:
        """Return whether a payload answers a tool call."""
        return any(call in content.answers for content in self.within(payload, said=True).values())

    def _of(self, digest: bytes, bodies: Bodies) -> Content | None:
        if digest not in self._known:
            self._known[digest] = None  # a body that is a part of itself is damaged
            body = bodies.body(digest)
            if body is not None:
                before, rest = self._lists.split(digest, body)
                self._known[digest] = self._read(rest, bodies, before)
        return self._known[digest]

    def _read(self, body: bytes, bodies: Bodies, before: bytes | None) -> Content:
        parts: dict[str, Content | None] = {}
        digests: list[bytes] = []

        def mark(digest: bytes) -> bytes:
            name = _MARK + digest.hex().translate(_LETTERS)
            if name not in parts:
                digests.append(digest)
            parts[name] = self._of(digest, bodies)
            if name not in self._marks:
                self._marks[name] = canonical.encode(name).body
            return self._marks[name]

        value = decoded(body, mark, "one of its bodies")
        reading = _Reading(frozenset(parts))
        _walk(value, reading, whole=True)
        heard = [digest for digest, name in zip(digests, parts, strict=True) if name in reading.heard]
        first = self._known.get(before) if before is not None else None
        beginning = () if before is None else (before,)
        return Content(
            tuple(reading.leaves),
            frozenset(reading.wholes),
            frozenset(reading.asks),
            frozenset(reading.answers),
            tuple(dict.fromkeys((*beginning, *digests))),
            tuple(dict.fromkeys((*beginning, *heard))),
            {leaf: frozenset(keys) for leaf, keys in reading.keyed.items()},
            _MARKED.sub("", text_of(value)) if value or before is None else "",
            (first is None or first.is_whole)
            and all(part is not None and part.is_whole for part in parts.values()),
        )


@dataclass(slots=True)
class _Reading:
    parts: frozenset[str]
    leaves: list[str] = field(default_factory=list)
    wholes: set[str] = field(default_factory=set)
    asks: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    keyed: dict[str, set[str]] = field(default_factory=dict)


def said_in(value: Mapping[object, object]) -> Mapping[object, object] | None:
    """Return what a mapping says to people: of a message its content, of a request to call a tool nothing (None)."""
    if _is_message(value):
        return {"content": value["content"]}
    return None if _call_id(value) is not None else value


def formats_in(value: Mapping[object, object]) -> tuple[str, ...]:
    """Return the keys of a mapping that say how what stands beside them is to be read (`text/plain`), and no more."""
    return tuple(
        name
        for name in _FORMATS
        if isinstance(said := value.get(name), str)
        and _FORMAT.fullmatch(said)
        and not value.keys().isdisjoint(_FORMATTED)
    )


def _walk(value: object, reading: _Reading, *, whole: bool, key: object = None) -> None:
    match value:
        case Mapping():
            _walk_mapping(value, reading)
        case list() | tuple() | set() | frozenset():
            for item in value:
                # A message's content may come in blocks, each of which is something said.
                _walk(item, reading, whole=False, key=key)
        case str() if value in reading.parts:
            reading.heard.add(value)
        case _ if (text := text_of_scalar(value)) is not None:
            reading.leaves.append(text)
            if isinstance(key, str) and len(text) <= LONGEST_KEYED:
                reading.keyed.setdefault(text, set()).add(key)
            if whole:
                reading.wholes.add(text)
            _walk_json(text, reading)


def _walk_mapping(value: Mapping[object, object], reading: _Reading) -> None:
    answer = value.get("tool_call_id") or value.get("call_id") or value.get("tool_use_id")
    if isinstance(answer, str):
        reading.answers.add(answer)
    call = _call_id(value)
    if call is not None:
        reading.asks.add(call)
        _walk(_arguments(value), reading, whole=False)
    elif _is_message(value):
        for name in _SPOKEN:
            _walk(value.get(name), reading, whole=name == "content")
    else:
        formats = formats_in(value)
        for key, item in value.items():
            if key not in formats:
                _walk(item, reading, whole=False, key=key)


def _walk_json(text: str, reading: _Reading) -> None:
    """Read data that was sent as text: frameworks hand a tool's result to the model that way, prompts quote it."""
    for _, _, value in data_in(text):
        _walk(value, reading, whole=False)


def data_in(text: str) -> Iterator[tuple[int, int, dict[str, object] | list[object]]]:
    """Yield the JSON objects and lists that stand in a text from the beginning of a line, each with its span."""
    if len(text) > _LONGEST_JSON or ("{" not in text and "[" not in text):
        return
    end = 0
    for number, match in enumerate(_JSON_START.finditer(text)):
        if match.start() < end or number > _MOST_JSON:
            continue
        try:
            value, end = _DECODER.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            continue
        yield match.end() - 1, end, value


def _is_message(value: Mapping[object, object]) -> bool:
    return "content" in value and any(mark in value for mark in _MESSAGE_MARKS)


def _call_id(value: Mapping[object, object]) -> str | None:
    """Return the id of a request to call a tool, in any of the forms that providers use, else None."""
    identity = value.get("id")
    if not isinstance(identity, str) or _arguments(value) is None:
        return None
    return identity if "name" in value or "function" in value else None


def _arguments(value: Mapping[object, object]) -> object:
    function = value.get("function")
    if isinstance(function, Mapping):
        return function.get("arguments")
    return next((value[name] for name in ("args", "arguments", "input") if name in value), None)


def text_of_scalar(value: object) -> str | None:
    """Return a text or a number as text; None for what says nothing by itself: blanks, containers, true and false."""
    if isinstance(value, str):
        return value if value.strip() else None
    # Numbers and dates as Python writes them.
    return str(value) if isinstance(value, _SCALARS) and not isinstance(value, bool) else None
