"""Channels of a graph's state: what kind they are, and whether what was written to one is still in it.

Pure, and without importing LangGraph.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from becausal_integrations.langgraph.describe import ROUTING, TASKS, langgraph_names, version_number

__all__ = [
    "Rule",
    "Standing",
    "fired",
    "holds_all",
    "is_state",
    "next_version",
    "rule_of",
    "sends_of",
    "value_of",
    "versioned",
]

Rule = Literal["replace", "unite", "gather"]

RULES: dict[str, Rule] = {
    # Their writers may come in different supersteps; all of them count until the channel has triggered.
    "NamedBarrierValue": "unite",
    "NamedBarrierValueAfterFinish": "unite",
    "LastValueAfterFinish": "unite",
    # Their value is made of all writes.
    "BinaryOperatorAggregate": "gather",
    "DeltaChannel": "gather",
    "Topic": "gather",
}

SCALARS = (str, bytes, int, float, bool, type(None))

SIZED = (list, dict, str, set, frozenset)


@lru_cache(256)
def rule_of(channel: type) -> Rule:
    """Return how a channel makes its value of what is written to it."""
    return next((RULES[cls.__name__] for cls in channel.__mro__ if cls.__name__ in RULES), "replace")


@lru_cache(4096)
def is_state(channel: str) -> bool:
    """Return whether a channel carries state of the app, and not control."""
    return not channel.startswith((*ROUTING, "__")) or channel == "__root__"


HELD_AS_VALUE = ("LastValue", "BinaryOperatorAggregate", "EphemeralValue")
"""LangGraph's channels whose `value` is what they hold, or their module's `MISSING` (langgraph 0.6.11 to 1.2.22)."""

_ASK: Final = object()


def _empty_of(channel: type) -> object:
    if channel.__name__ not in HELD_AS_VALUE or not channel.__module__.startswith("langgraph.channels."):
        return _ASK
    return getattr(sys.modules.get(channel.__module__), "MISSING", _ASK)


_empty: Callable[[type], object] = lru_cache(256)(_empty_of)
"""Returns what such a channel's `value` is while it holds none; `_ASK` for one whose methods have to be asked.

What a channel holds is asked several times for each task, and each of their methods is a call."""


def fired(
    triggers: Iterable[str], channels: Mapping[str, Any], versions: Mapping[str, Any], seen: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return which of its triggers made a task run that had seen these versions. Source: `_algo._triggers`."""
    names: list[str] = []
    for name in triggers:
        if name in versions and (name not in seen or versions[name] > seen[name]):
            channel = channels[name]
            empty = _empty(type(channel))
            if channel.is_available() if empty is _ASK else channel.value is not empty:
                names.append(name)
    return tuple(names)


def versioned(channels: Iterable[str], versions: Mapping[str, Any]) -> tuple[str, ...]:
    """Return `channel@version` for each channel of state that has been written."""
    told: tuple[str, ...] = ()
    for channel in channels:
        if channel in versions and is_state(channel):
            told += (f"{channel}@{version_number(versions[channel])}",)
    return told


def next_version(versions: Mapping[str, Any]) -> str | None:
    """Return the version that this superstep's writes will have; None where a saver counts in a way of its own.

    One higher than the highest, for all channels written. Asking the saver would take a random number of the app's.
    Source: `pregel/_algo.py` `apply_writes`.
    """
    newest = max(versions.values()) if versions else 0
    if type(newest) is int:
        return str(newest + 1)
    highest = version_number(newest)
    return str(int(highest) + 1) if highest.isdecimal() else None


def value_of(channel: Any) -> Any:
    """Return the object that a channel holds, itself and not a copy; None where it holds none."""
    if channel is None:
        return None
    empty = _empty(type(channel))
    if empty is _ASK:
        return channel.get() if channel.is_available() else None
    return None if channel.value is empty else channel.value


def sends_of(channels: Mapping[str, Any]) -> Sequence[Any]:
    """Return the `Send`s that are on their way."""
    topic = channels.get(TASKS)
    if not getattr(topic, "values", True):  # most often none: no need to ask further
        return ()
    return value_of(topic) or ()


class Standing(NamedTuple):
    """What a channel held before a superstep's writes; the size by itself, since a reducer may change it in place."""

    value: Any
    size: int

    @staticmethod
    def of(channel: Any) -> Standing:
        """Return what a channel holds now."""
        empty = _empty(type(channel))
        value = value_of(channel) if empty is _ASK or channel.value is empty else channel.value
        size = len(value) if isinstance(value, SIZED) else 0
        return tuple.__new__(Standing, (value, size))  # without the frame of a named tuple's own `__new__`


def holds_all(channel: Any, before: Standing, writes: Sequence[Any]) -> bool:
    """Return whether a channel's value is what it held before and what was written, with nothing lost.

    Looks at the ends of lists and at sizes, never at all that was there before; where a reducer makes something of
    its own (a trimmed list, the greater number), it has not kept all. A single write that took the former value's
    place, or that of some keys of a dict, is an ordinary assignment. No code of the app's classes runs.
    """
    empty = _empty(type(channel))
    after = value_of(channel) if empty is _ASK or channel.value is empty else channel.value
    for write in writes:
        if "Overwrite" in langgraph_names(type(write)):
            return False
    if len(writes) == 1 and after is writes[0]:
        return True
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    if reducer is operator.add:
        return True
    if (
        reducer is operator.or_
        and len(writes) == 1
        and type(after) is type(before.value) is type(writes[0]) is dict
    ):
        return True  # it assigns keys, and loses none
    if type(after) is list:
        return _list_holds(after, before, writes)
    if isinstance(after, dict):
        return _dict_holds(after, before, writes)
    if isinstance(after, str):
        return len(after) >= before.size + sum(map(_size, writes))
    if isinstance(after, set | frozenset):
        return len(after) >= max(before.size, *map(_size, writes))
    return all(write is after or (type(write) in SCALARS and write == after) for write in writes)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, SIZED) else 0


def _list_holds(after: list[Any], before: Standing, writes: Sequence[Any]) -> bool:
    wrote: list[Any] = []
    for write in writes:
        if isinstance(write, list | tuple):
            wrote += write
        else:
            wrote.append(write)
    size, former = before.size, before.value
    if len(after) != size + len(wrote):
        return _is_carried_on(after, before, wrote, len(writes))
    is_other = type(former) is list and former is not after
    if size and is_other and not (after[0] is former[0] and after[size - 1] is former[size - 1]):
        return False
    for kept, item in zip(after[size:], wrote, strict=True):
        if kept is not item and not _is_kept(kept, item):
            return False
    return True


def _is_carried_on(after: list[Any], before: Standing, wrote: list[Any], writes: int) -> bool:
    """Return whether one write is all that the list holds, and begins with what it held before.

    So does an agent in a node that gives back the conversation which it was given, with its own messages at the end.
    """
    former = before.value
    if writes != 1 or len(wrote) != len(after) or type(former) is not list or former is after:
        return False
    return all(map(operator.is_, after, wrote)) and all(map(_is_same, former, after))


def _is_same(former: Any, now: Any) -> bool:
    """Return whether an item is the former one, or a copy of that message."""
    if former is now:
        return True
    fields, others = getattr(former, "__dict__", None), getattr(now, "__dict__", None)
    if type(former) is not type(now) or type(fields) is not dict or type(others) is not dict:
        return False
    said = [(message.get("content"), message.get("id")) for message in (fields, others)]
    return type(said[0][0]) is str and type(said[1][0]) is str and said[0] == said[1]


def _is_kept(kept: Any, wrote: Any) -> bool:
    fields = getattr(kept, "__dict__", None)
    if type(fields) is dict and "content" in fields:  # a message, made of what was written
        return True
    return type(kept) is type(wrote) and type(kept) in SCALARS and kept == wrote


def _dict_holds(after: Mapping[Any, Any], before: Standing, writes: Sequence[Any]) -> bool:
    wrote: dict[Any, Any] = {}
    for write in writes:
        if not isinstance(write, dict) or not wrote.keys().isdisjoint(write):
            return False
        wrote |= write
    former = before.value if isinstance(before.value, dict) and before.value is not after else {}
    replaced, is_kept = 0, True
    for key, value in wrote.items():
        if key in former:
            replaced += 1
        if is_kept and after.get(key) is not value:
            is_kept = False
    if replaced and (len(writes) > 1 or not is_kept):
        return False  # one write that gives a key another value assigns it
    return len(after) == before.size + len(wrote) - replaced
