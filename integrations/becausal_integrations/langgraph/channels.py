"""Channels of a graph's state: what kind they are, and whether what was written to one is still in it.

Pure, and without importing LangGraph.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from becausal_integrations.langgraph.describe import ROUTING, TASKS, is_of, version_number

__all__ = [
    "Rule",
    "Standing",
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


@lru_cache(256)
def rule_of(channel: type) -> Rule:
    """Return how a channel makes its value of what is written to it."""
    return next((RULES[cls.__name__] for cls in channel.__mro__ if cls.__name__ in RULES), "replace")


@lru_cache(4096)
def is_state(channel: str) -> bool:
    """Return whether a channel carries state of the app, and not control."""
    return not channel.startswith((*ROUTING, "__")) or channel == "__root__"


def versioned(channels: Iterable[str], versions: Mapping[str, Any]) -> tuple[str, ...]:
    """Return `channel@version` for each channel of state that has been written."""
    return tuple(
        f"{channel}@{version_number(versions[channel])}"
        for channel in channels
        if channel in versions and is_state(channel)
    )


def next_version(versions: Mapping[str, Any]) -> str | None:
    """Return the version that this superstep's writes will have; None where a saver counts in a way of its own.

    One higher than the highest, for all channels written. Asking the saver would take a random number of the app's.
    Source: `pregel/_algo.py` `apply_writes`.
    """
    highest = version_number(max(versions.values())) if versions else "0"
    return str(int(highest) + 1) if highest.isdecimal() else None


def value_of(channel: Any) -> Any:
    """Return the object that a channel holds, itself and not a copy; None where it holds none."""
    return channel.get() if channel is not None and channel.is_available() else None


def sends_of(channels: Mapping[str, Any]) -> Sequence[Any]:
    """Return the `Send`s that are on their way."""
    return value_of(channels.get(TASKS)) or ()


class Standing(NamedTuple):
    """What a channel held before a superstep's writes; the size by itself, since a reducer may change it in place."""

    value: Any
    size: int

    @staticmethod
    def of(channel: Any) -> Standing:
        """Return what a channel holds now."""
        value = value_of(channel)
        return Standing(value, _size(value))


def holds_all(channel: Any, before: Standing, writes: Sequence[Any]) -> bool:
    """Return whether a channel's value is what it held before and what was written, with nothing lost.

    Looks at the ends of lists and at sizes, never at all that was there before; where a reducer makes something of
    its own (a trimmed list, the greater number), it has not kept all. A single write that took the former value's
    place, or that of some keys of a dict, is an ordinary assignment. No code of the app's classes runs.
    """
    after = value_of(channel)
    if any(is_of(write, "Overwrite") for write in writes):
        return False
    if len(writes) == 1 and after is writes[0]:
        return True
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    if reducer is operator.add:
        return True
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
    return len(value) if isinstance(value, list | dict | str | set | frozenset) else 0


def _list_holds(after: list[Any], before: Standing, writes: Sequence[Any]) -> bool:
    wrote = [item for write in writes for item in (write if isinstance(write, list | tuple) else [write])]
    size, former = before.size, before.value
    if len(after) != size + len(wrote):
        return _is_carried_on(after, before, wrote, len(writes))
    is_other = type(former) is list and former is not after
    if size and is_other and not (after[0] is former[0] and after[size - 1] is former[size - 1]):
        return False
    return all(_is_kept(kept, item) for kept, item in zip(after[size:], wrote, strict=True))


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
    if kept is wrote or (type(fields) is dict and "content" in fields):  # a message, made of what was written
        return True
    return type(kept) is type(wrote) and type(kept) in SCALARS and kept == wrote


def _dict_holds(after: Mapping[Any, Any], before: Standing, writes: Sequence[Any]) -> bool:
    wrote: dict[Any, Any] = {}
    for write in writes:
        if not isinstance(write, dict) or not wrote.keys().isdisjoint(write):
            return False
        wrote |= write
    former = before.value if isinstance(before.value, dict) and before.value is not after else {}
    replaced = sum(1 for key in wrote if key in former)
    if replaced and (len(writes) > 1 or not all(after.get(key) is value for key, value in wrote.items())):
        return False  # one write that gives a key another value assigns it
    return len(after) == before.size + len(wrote) - replaced
