"""What crossed a boundary: a value as it was at that moment, by content digest.

A payload knows its digests and its size at once; its body is fetched when somebody asks for it. Equal
digests mean equal values of equal types, so two payloads are compared without a body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, final

import becausal.canonical as canonical
from becausal.errors import DamagedContentError
from becausal.frozen import become, twin

if TYPE_CHECKING:
    from becausal.facts.growing import Growing

__all__ = ["CUT_DOWN", "ERASED", "Bodies", "Payload", "decoded", "is_call", "is_message", "text_of"]


CUT_DOWN = "cut down"
"""How the loss of a payload begins of which only the beginning and the end are kept."""

ERASED = "erased"
"""What is in the loss of a payload that was erased, wholly or in part."""


class Bodies(Protocol):
    """Whoever keeps canonical bodies by their 16-byte digests."""

    def body(self, digest: bytes) -> bytes | None:
        """Return a body, or None where it is not kept (a gap, `capture="digest"`, expired)."""


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class Payload:
    """A value as it crossed a boundary."""

    digest: str
    """The exact digest, `bc1-xxh3:` and 32 hexadecimal digits (see `becausal.canonical`)."""

    belief: str
    """The digest of the meaning: without the ids, times and counters of messages."""

    size: int
    """Bytes of the canonical form."""

    type_name: str
    """The qualified name of the value's type, as it was in the app."""

    lossy: tuple[tuple[str, str], ...] = ()
    """Where something could not be kept, and why: `("$.socket", "opaque type socket.socket")`."""

    bodies: Bodies | None = field(default=None, compare=False, repr=False)

    def __init__(
        self,
        digest: str,
        belief: str,
        size: int,
        type_name: str,
        lossy: tuple[tuple[str, str], ...] = (),
        bodies: Bodies | None = None,
    ) -> None:
        made: Any = self
        become(made, "__class__", _Payload)
        made.digest = digest
        made.belief = belief
        made.size = size
        made.type_name = type_name
        made.lossy = lossy
        made.bodies = bodies
        made.__class__ = Payload

    def __repr__(self) -> str:
        return f"<Payload {self.type_name}, {self.size} bytes, {self.digest}: .value() and .text() give the content>"

    @property
    def is_whole(self) -> bool:
        """Whether all of it was kept, as far as it was kept at all: not cut down, and nothing of it erased."""
        return not any(ERASED in why or why.startswith(CUT_DOWN) for _, why in self.lossy)

    @property
    def cut_down(self) -> str:
        """What was kept of a payload beyond its bound: `cut down: of 9,000 bytes 1,000 are kept`; else empty."""
        return next((why for _, why in self.lossy if why.startswith(CUT_DOWN)), "")

    @property
    def is_kept(self) -> bool:
        """Whether the body can be read."""
        return self._body() is not None

    def value(self) -> object:
        """Return the value as plain Python data; objects become dicts of their fields.

        Raises:
            LookupError: the body was not kept.
            DamagedContentError: it is not what was written.
        """
        body = self._body()
        if body is None or self.bodies is None:
            raise LookupError(
                f"the body of {self.digest} is not in the store: it was recorded with capture='digest', "
                "was dropped under load (see `becausal doctor`), or has been erased"
            )
        return decoded(body, self.bodies.body, self.digest)

    def text(self) -> str:
        """Return the content for people, uncut: messages as `role: content`, data as indented lines.

        An empty string where the body was not kept.
        """
        return text_of(self.value()) if self.is_kept else ""

    def _body(self) -> bytes | None:
        return None if self.bodies is None else self.bodies.body(canonical.parse_digest(self.digest))


_Payload = twin(Payload)


def decoded(body: bytes, part: Callable[[bytes], Any], name: str) -> object:
    """Return the value of a body that a store gave; see `becausal.canonical.decode`.

    Args:
        body: its bytes.
        part: finds its parts.
        name: what it is called where it is damaged.

    Raises:
        DamagedContentError: no encoder wrote it; what is wrong in it is not quoted.
    """
    try:
        return canonical.decode(body, part)
    except ValueError:
        raise DamagedContentError(
            f"a content is damaged: {name} cannot be read as what was written. `becausal doctor` says more"
        ) from None


# From decoded values to text. A message is recognised by its fields, whatever framework made it.


def text_of(value: object, lists: Growing[list[str]] | None = None) -> str:
    """Return a decoded value as text for people.

    Args:
        value: as `Payload.value` gives it.
        lists: the lines of lists that were written before, of which this value's may be longer ones.
    """
    return "\n".join(_lines(value, lists=lists))


MOST_LEVELS = 100
"""So deep is content shown; each line of what lies deeper would be mostly its indentation."""


def _lines(value: object, level: int = 0, lists: Growing[list[str]] | None = None) -> list[str]:
    match value:
        case str():
            return value.split("\n")
        case None:
            return ["(nothing)"]
        case Mapping() if is_message(value):
            return _message_lines(value, level + 1)
        case Mapping() if is_call(value):
            return [_call(value)]
        case Mapping() if _is_content_block(value):
            return str(value["text"]).split("\n")
        case Mapping() | list() | tuple() | set() | frozenset() if value and level >= MOST_LEVELS:
            return [f"({len(value)} items, more than {MOST_LEVELS} levels deep)"]
        case Mapping():
            return [line for key, item in value.items() for line in _entry(str(key), item, level + 1, lists)]
        case list() if lists is not None:
            return lists.of(
                level,
                value,
                list,
                lambda lines, items, _: lines.extend(
                    line for item in items for line in _item(item, level + 1)
                ),
            )
        case list() | tuple() | set() | frozenset():
            return [line for item in value for line in _item(item, level + 1)]
        case bytes() | bytearray():
            return [f"({len(value)} bytes)"]
        case _:
            return [_said(value)]


def _entry(key: str, item: object, level: int, lists: Growing[list[str]] | None) -> list[str]:
    lines = _lines(item, level, lists)
    if len(lines) == 1 and not isinstance(item, list | tuple | set | frozenset):
        return [f"{key}: {lines[0]}"]
    return [f"{key}:", *(f"  {line}" for line in lines)]


def _item(item: object, level: int) -> list[str]:
    lines = _lines(item, level)
    if isinstance(item, Mapping) and (is_message(item) or is_call(item)):
        return lines
    return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])] if lines else ["-"]


def _said(value: object, say: Callable[[object], str] = str) -> str:
    try:
        return say(value)
    except ValueError:  # of a number of more digits than Python writes out
        return f"({type(value).__name__} of too many digits)"
    except RecursionError:
        return f"({type(value).__name__}, too deep to be shown in a line)"


def is_message(value: Mapping[object, object]) -> bool:
    """Return whether a decoded value is a message, of whatever framework."""
    # Of any framework: a role or a type (LangChain, OpenAI), a source (AutoGen), a tool's result, a model's answer.
    return "content" in value and any(
        key in value for key in ("role", "type", "source", "call_id", "finish_reason")
    )


def is_call(value: Mapping[object, object]) -> bool:
    """Return whether a decoded value is a model's call of a tool."""
    return "name" in value and ("arguments" in value or "args" in value)


def _is_content_block(value: Mapping[object, object]) -> bool:
    return value.get("type") in ("text", "output_text", "input_text") and isinstance(value.get("text"), str)


def _message_lines(message: Mapping[object, object], level: int) -> list[str]:
    # "name" says who (LangChain), "source" too (AutoGen); "role" or "type" says as what.
    who = next((message[key] for key in ("source", "name", "role", "type") if message.get(key)), "answer")
    content = _lines(message["content"], level) if message["content"] not in ("", None, []) else []
    calls = message.get("tool_calls")
    content += [_call(call) for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    return [f"{who}: {content[0]}", *(f"  {line}" for line in content[1:])] if content else [f"{who}:"]


def _call(call: Mapping[object, object]) -> str:
    return f"calls {call.get('name')}({_inline(call.get('args', call.get('arguments')))})"


def _inline(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_said(item, repr)}" for key, item in value.items())
    return "" if value is None else _said(value)
