"""A tool call with its answer read once: as data, as text, and in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from becausal.finding import FindingKind
from becausal.payload import text_of
from becausal.toolcall import ToolCall
from becausal.toolchecks.breach import Breach

__all__ = ["Calls", "Reading", "items_of", "text_at"]

MOST_BESIDE = 64
MOST_ALIKE = 256
"""So many other calls are compared with one: a run of many thousands is checked in linear time."""

MOST_ITEMS = 1_000
LARGEST = 8 << 20
"""Bytes of structured data beyond which it is not put into words."""

MOST_TEXT = 1 << 20
"""Characters of an answer that are read as JSON or in words; beyond that its ends are judged alone."""

QUERIES = re.compile(
    r"(?:^|_)(?:search|get|find|fetch|look_?up|list|query|read|load|retriev\w*|show|select|browse|scan|recall|check)"
    r"(?:_|$)"
)
"""Names of tools that are called for what they answer."""

EFFECTS = re.compile(
    r"(?:^|_)(?:send|create|book|charge|pay|transfer|post|insert|delete|remove|submit|order|buy|refund|e?mail|publish|"
    r"add|append|notify|withdraw|deposit|cancel|deploy|approve|reserve|issue|trigger|ship)(?:_|$)"
)
"""Names of tools that do something each time they are called."""


class Reading:
    """One tool call, and what it answered."""

    def __init__(self, call: ToolCall) -> None:
        self.call = call

    @property
    def name(self) -> str:
        """The tool's name, in snake case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s\-./]+", "_", self.call.name).lower()

    @property
    def is_query(self) -> bool:
        """Whether the tool is called for what it answers, by its name."""
        return QUERIES.search(self.name) is not None

    @property
    def has_effects(self) -> bool:
        """Whether the tool does something each time, by its name: `get_order` does not, `order` does."""
        return not self.is_query and EFFECTS.search(self.name) is not None

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer to judge."""
        produced = self.call.step.produced
        return self.call.step.status in ("ok", "error") and produced is not None and produced.is_kept

    @cached_property
    def raw(self) -> object:
        """The answer as it was given, without what frameworks wrap it in."""
        return _unwrapped(self.call.response)

    @cached_property
    def data(self) -> object:
        """The answer as data: a JSON text is read."""
        raw = self.raw
        if isinstance(raw, str) and len(raw) <= MOST_TEXT and raw.lstrip()[:1] in ("{", "["):
            try:
                return json.loads(raw)
            except (ValueError, RecursionError):
                return raw
        return raw

    @cached_property
    def text(self) -> str:
        """The answer as text; of a long list or a large mapping the beginning."""
        raw = self.raw
        if isinstance(raw, str):
            return raw
        if isinstance(raw, list | tuple) and len(raw) > MOST_ITEMS:
            raw = raw[:MOST_ITEMS]
        produced = self.call.step.produced
        return "" if produced is not None and produced.size > LARGEST else text_of(raw)

    @cached_property
    def arguments(self) -> Mapping[str, object]:
        """The arguments by name; a single one without a name stands under the empty name."""
        given = self.call.arguments
        if isinstance(given, Mapping):
            return {str(key): value for key, value in given.items()}
        return {} if given is None else {"": given}

    def breach(
        self, kind: FindingKind, message: str, confidence: float, *evidence: str, is_mended: bool = False
    ) -> Breach:
        """Return something that is wrong with this call."""
        return Breach(kind, self.call, message, evidence, confidence, is_mended)

    @property
    def question(self) -> tuple[str, str] | None:
        """What two calls of one tool with the same arguments have in common; None where these were not recorded."""
        received = self.call.step.received
        return None if received is None else (self.call.name, received.belief)


class Calls:
    """All tool calls of a run, by what they have in common. In the order of the calls."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self.all = tuple(readings)
        self._of_tool: dict[str, list[Reading]] = {}
        self._alike: dict[tuple[str, str], list[Reading]] = {}
        self._place: dict[Reading, int] = {}
        for reading in self.all:
            of_tool = self._of_tool.setdefault(reading.call.name, [])
            self._place[reading] = len(of_tool)
            of_tool.append(reading)
            if reading.question is not None:
                self._alike.setdefault(reading.question, []).append(reading)

    def beside(self, reading: Reading) -> list[Reading]:
        """Return other calls of the same tool, those made next to it."""
        of_tool, place = self._of_tool[reading.call.name], self._place[reading]
        near = of_tool[max(0, place - MOST_BESIDE) : place + MOST_BESIDE + 1]
        return [other for other in near if other is not reading]

    def after(self, reading: Reading) -> list[Reading]:
        """Return the later calls of the same tool, those made next."""
        place = self._place[reading]
        return self._of_tool[reading.call.name][place + 1 : place + 1 + MOST_BESIDE]

    def asking_the_same(self, reading: Reading) -> list[Reading]:
        """Return the other calls of the same tool with the same arguments, the last ones of many."""
        alike = self._alike.get(reading.question, []) if reading.question is not None else []
        return [other for other in alike[-MOST_ALIKE:] if other is not reading]


def items_of(data: object) -> Sequence[object] | None:
    """Return the list that an answer mainly is: itself, or its one list of items."""
    if isinstance(data, list | tuple):
        return data
    if isinstance(data, Mapping):
        lists = [value for value in data.values() if isinstance(value, list | tuple)]
        return lists[0] if len(lists) == 1 else None
    return None


def text_at(data: Mapping[object, object], *names: str) -> tuple[str, object] | None:
    """Return the first of several fields that a mapping has, by names in lower case, with its value."""
    fields = {str(key).lower(): (str(key), value) for key, value in data.items()}
    return next((fields[name] for name in names if name in fields), None)


def _unwrapped(value: object) -> object:
    match value:
        case Mapping() if "content" in value and value.get("type") in ("tool", "ToolMessage"):
            return _unwrapped(value["content"])
        case Mapping() if set(value) >= {"content", "call_id"}:  # AutoGen's FunctionExecutionResult
            return _unwrapped(value["content"])
        case (content, _) if isinstance(value, tuple) and isinstance(content, str):  # content and artifact
            return content
        case [Mapping() as block] if block.get("type") == "text" and isinstance(block.get("text"), str):
            return block["text"]  # one content block, as MCP answers
        case _:
            return value
