"""What attributes hold, as plain data in the forms that the graph reads.

Others write a conversation as a flattened list, as JSON in a text, as the dump of a framework's objects, in parts. Here
each becomes a list of messages with `role` or `type`, `content`, `tool_calls` and `tool_call_id`. What is no message
stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["MISSING", "Attributes", "by_call", "call_id_of", "calls_of", "plain"]

MISSING = object()
"""Nothing is there; None is a value."""

LONGEST_JSON = 16_000_000
"""Characters. A longer text stays a text."""

DEEPEST = 60
"""What is nested deeper stays as it was written."""

Json = object

_WRAPPED = (("inputs", "input_str"), ("outputs", "output"))
_WRAPPINGS = frozenset({"tags", "metadata", "kwargs", "name", "run_id", "run_type", "callbacks"})


class Attributes:
    """A span's attributes, asked by name, by path into JSON (`metadata.langgraph_node`), or by a list's beginning."""

    def __init__(self, attributes: Mapping[str, object]) -> None:
        self._of = attributes
        self._parsed: dict[str, object] = {}

    def __contains__(self, name: str) -> bool:
        return any(key.startswith(name) for key in self._of) if name.endswith(".") else name in self._of

    def get(self, name: str) -> object:
        """Return what a name stands for; `MISSING` where it is not there, or empty."""
        if name.endswith("."):
            return self._listed(name)
        found = self._read(name)
        if found is MISSING and "." in name:
            outer, _, inner = name.rpartition(".")
            within = self._read(outer)
            found = within.get(inner, MISSING) if isinstance(within, Mapping) else MISSING
        return MISSING if found is None or found == "" else found

    def first(self, names: Iterable[str]) -> object:
        """Return what the first of several names stands for."""
        return next((found for name in names if (found := self.get(name)) is not MISSING), MISSING)

    def _read(self, name: str) -> object:
        if name not in self._of:
            return MISSING
        if name not in self._parsed:
            self._parsed[name] = read(self._of[name])
        return self._parsed[name]

    def _listed(self, beginning: str) -> object:
        """Return the list that names like `beginning0.message.role` write out."""
        tree: dict[str, object] = {}
        for name, value in self._of.items():
            if name.startswith(beginning):
                *way, last = name[len(beginning) :].split(".")
                if len(way) < DEEPEST:
                    _put(tree, way, last, value)
        return MISSING if not tree else _lists(tree)


def read(value: object) -> object:
    """Return the data that a text holds as JSON; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "[", '"') or len(value) > LONGEST_JSON:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def plain(value: Json, depth: int = 0) -> Json:
    """Return data with messages as messages, whatever wrapped them."""
    if depth > DEEPEST:
        return value
    if isinstance(value, list | tuple):
        if len(value) == 1 and isinstance(value[0], list) and value[0] and isinstance(value[0][0], Mapping):
            return plain(value[0], depth + 1)  # LangChain's batches of one
        return [message for item in value for message in _one_or_several(item, depth + 1)]
    if not isinstance(value, Mapping):
        return value
    inside = _unwrapped(value)
    if inside is not MISSING:
        return plain(inside, depth + 1)
    if isinstance(value.get("parts"), list) and "role" in value:
        several = _of_parts(value)
        return several[0] if len(several) == 1 else several
    made = {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(calls := made.get("tool_calls"), list):
        made["tool_calls"] = [_call(call) for call in calls]
    return made


def calls_of(value: Json) -> list[tuple[str, Json]]:
    """Return the tool calls that a model's answer asks for: (name, arguments)."""
    found = []
    for message in value if isinstance(value, list) else [value]:
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        for call in calls if isinstance(calls, list) else []:
            function = call.get("function", call) if isinstance(call, Mapping) else None
            if isinstance(function, Mapping) and isinstance(function.get("name"), str):
                found.append((function["name"], read(function.get("arguments", function.get("args")))))
    return found


def call_id_of(value: Json) -> str | None:
    """Return the id of the call that a tool's result answers, where it says so."""
    for message in value if isinstance(value, list) else [value]:
        said = message.get("tool_call_id") if isinstance(message, Mapping) else None
        if isinstance(said, str) and said:
            return said
    return None


def by_call(value: Json) -> Iterator[tuple[str, Json, Json]]:
    """Yield every tool call that a value asks for or answers: (id, arguments, result), one of them `MISSING`."""
    left = [value]
    while left:
        match left.pop():
            case list() as items:
                left.extend(items)
            case {"call_id": str() as call, "content": content} | {
                "tool_call_id": str() as call,
                "content": content,
            }:
                yield call, MISSING, content
            case {"id": str() as call, "name": str(), **more} if "arguments" in more or "args" in more:
                yield call, read(more.get("arguments", more.get("args"))), MISSING
            case {"id": str() as call, "function": {"arguments": arguments}}:
                yield call, read(arguments), MISSING
            case dict() as mapping:
                left.extend(mapping.values())


def _call(call: Json) -> Json:
    """Return a request to call a tool with its arguments as data."""
    if not isinstance(call, Mapping):
        return call
    inner = call.get("tool_call", call)
    function = inner.get("function") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(function, Mapping):
        return inner
    return {**inner, "function": {**function, "arguments": read(function.get("arguments"))}}


def _one_or_several(item: Json, depth: int) -> list[Json]:
    made = plain(item, depth)
    in_parts = isinstance(item, Mapping) and isinstance(item.get("parts"), list)
    return made if in_parts and isinstance(made, list) else [made]


def _unwrapped(value: Mapping[object, object]) -> object:
    """Return what stands in a wrapper; `MISSING` where the value is none."""
    match value:
        case {"__lc_escaped__": inside}:
            return inside
        case {"lc": 1, "kwargs": Mapping() as inside}:
            return inside
        case {"type": kind, "data": Mapping() as inside} if "content" in inside:
            return {"type": kind, **inside}
        case {"generations": [[{"message": inside}, *_], *_]} | {"generations": [{"message": inside}, *_]}:
            return inside
        case {"generations": [[{"text": inside}, *_], *_]}:
            return inside
        case {"choices": [{"message": Mapping() as inside}, *_]}:
            return inside
        case {"message": Mapping() as inside} | {"document": Mapping() as inside} if len(value) == 1:
            return inside
    for whole, text in _WRAPPED:
        left = value.keys() - _WRAPPINGS
        if left and left <= {whole, text}:
            return value.get(whole, value.get(text))
    return MISSING


def _of_parts(message: Mapping[object, object]) -> list[Json]:
    """Return a message of the GenAI conventions as messages: what it says and asks for, and each answer of a tool."""
    texts, calls, answers = [], [], []
    parts = message["parts"]
    for part in parts if isinstance(parts, list) else []:
        match part:
            case {"type": "tool_call", "name": name, **more}:
                calls.append({"id": more.get("id"), "name": name, "arguments": read(more.get("arguments"))})
            case {"type": "tool_call_response", **more}:
                content = more.get("response", more.get("result"))
                answers.append({"role": "tool", "tool_call_id": more.get("id"), "content": content})
            case {"content": content}:
                texts.append(content)
            case _:
                texts.append(part)
    own: list[Json] = []
    if texts or calls or not answers:
        content = texts[0] if len(texts) == 1 else texts or ""
        own.append({"role": message["role"], "content": content, **({"tool_calls": calls} if calls else {})})
    return own + answers


def _put(tree: dict[str, object], way: list[str], last: str, value: object) -> None:
    for name in way:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # a name that is a leaf and a branch
        tree = inner
    tree.setdefault(last, value)


def _lists(tree: dict[str, object]) -> object:
    made = {key: _lists(item) if isinstance(item, dict) else item for key, item in tree.items()}
    if made and all(key.isdecimal() and len(key) < 9 for key in made):
        return [made[key] for key in sorted(made, key=int)]
    return made
