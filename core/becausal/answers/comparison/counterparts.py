"""Which secret of a replay is which of the record, where the markers of the two were made under two keys.

What comes out of the record has the record's markers. What the app itself brings is marked under the key of the machine
that replays, and may be another secret there: what stands for it in CI. So a marker is one of the record's if it stands
in its place, one for one over the whole replay: two secrets stay two, and one stays one. Nothing of a key is needed.

Under one key the digits tell: of two other secrets each is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Final

from becausal import semconv
from becausal.canonical.decoded import Record
from becausal.redaction import in_force, markers_in
from becausal.redaction.keys import STRONG, WEAK
from becausal.redaction.marker import MARKER
from becausal.step import Step, StepKind

__all__ = ["Counterparts", "keys_of", "own_key"]

GIVEN: Final[frozenset[StepKind]] = frozenset({"request", "workflow"})
"""Kinds of steps whose input a replay takes from the record."""
GIVING: Final[frozenset[StepKind]] = frozenset({"model", "tool", "memory_read"})
"""Kinds of steps whose result it does."""

BY_NAME: Final = frozenset((*STRONG.values(), *WEAK.values()))
"""Kinds that are told by the name that a secret stands under: what stands for a vendor's key in CI has no form."""


def keys_of(steps: Iterable[Step]) -> frozenset[str]:
    """Return what tells the keys apart under which secrets of a run were marked; none of an earlier release's."""
    said = (step.attributes.get(semconv.REDACTION_KEY) for step in steps)
    return frozenset(key for key in said if isinstance(key, str))


def own_key() -> frozenset[str]:
    """Return the same of the secrets that this process has marked."""
    redactor = in_force()
    key = None if redactor is None else redactor.key_id
    return frozenset() if key is None else frozenset((key,))


class Counterparts:
    """The pairs of markers that are known so far."""

    def __init__(self, recorded: Iterable[Step], key: Callable[[], frozenset[str]]) -> None:
        """Make it.

        Args:
            recorded: the steps of the record.
            key: tells the key of the replay's own markers, as `keys_of` does.
        """
        self._steps = tuple(recorded)
        self._key = key
        self._recorded: dict[str, str] = {}
        """By a marker of the replay."""
        self._replayed: dict[str, str] = {}
        """By one of the record."""

    @property
    def are_apart(self) -> bool:
        """Whether the two were redacted under two keys; not where the record of one of them does not say which."""
        here, there = self._key(), keys_of(self._steps)
        return bool(here and there) and here != there

    def led_back(self, recorded: Any, replayed: Any) -> tuple[Any, dict[str, str]]:
        """Return a replay's decoded value with the record's markers for its own.

        Args:
            recorded: what it is compared with.
            replayed: the value.

        Returns:
            The value, the same object where there is nothing to do; and the pairs that are new, to be learnt where the
            two turn out to be the same.
        """
        found: dict[str, str] = {}
        taken: dict[str, str] = {}
        for first, second in _opposite(recorded, replayed):
            there, here = markers_in(first), markers_in(second)
            if len(there) != len(here) or _masked(first) != _masked(second):
                continue
            for one, other in zip(there, here, strict=True):
                if one != other and self._may_be(one, other, found, taken):
                    found[other], taken[one] = one, other
        known = {**self._recorded, **found}
        if not known:
            return replayed, {}
        return with_texts(
            replayed, lambda text: MARKER.sub(lambda its: known.get(its[0], its[0]), text)
        ), found

    def learn(self, found: dict[str, str]) -> None:
        """Remember pairs of markers, by the replay's."""
        self._recorded.update(found)
        self._replayed.update((one, other) for other, one in found.items())

    def _may_be(self, one: str, other: str, found: dict[str, str], taken: dict[str, str]) -> bool:
        """Return whether a marker of the replay may stand for one of the record, whose is not known yet."""
        (kind, digits), (its_kind, its_digits) = _parts(one), _parts(other)
        if digits == its_digits:  # of one secret, which was met under another name first
            return True
        if other in self._recorded or other in found or one in self._replayed or one in taken:
            return False
        if kind != its_kind and (kind in BY_NAME) == (its_kind in BY_NAME):
            return False
        return self.are_apart and its_digits not in self._given

    @cached_property
    def _given(self) -> frozenset[str]:
        """The digits of the markers that the record gave to the app: of those it is known which secret each is."""
        sides = (
            step.produced if step.kind in GIVING else step.received if step.kind in GIVEN else None
            for step in self._steps
        )
        texts = (side.text() for side in sides if side is not None)
        return frozenset(_parts(marker)[1] for text in texts for marker in markers_in(text))


def with_texts(value: Any, by: Callable[[str], str]) -> Any:
    """Return a decoded value with its texts, keys included, replaced."""
    kind = type(value)
    if kind is str:
        return by(value)
    if kind is bytes:
        return by(value.decode("latin-1")).encode("latin-1")
    if kind is dict:
        return {with_texts(key, by): with_texts(item, by) for key, item in value.items()}
    if kind is Record:
        return Record(value.type_name, {key: with_texts(item, by) for key, item in value.items()})
    if kind in (list, tuple, set, frozenset):
        return kind([with_texts(item, by) for item in value])
    return value


def _opposite(first: Any, second: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts with markers that stand at the same place of two values."""
    todo = [(first, second)]
    while todo:
        here, there = todo.pop()
        if isinstance(here, bytes) and isinstance(there, bytes):
            here, there = here.decode("latin-1"), there.decode("latin-1")
        if isinstance(here, str) and isinstance(there, str):
            if here != there and MARKER.search(here) and MARKER.search(there):
                yield here, there
        elif isinstance(here, dict) and isinstance(there, dict):
            keys = dict(_keys_opposite(here, there))
            todo += [(key, keys[key]) for key in keys if key != keys[key]]
            todo += [(here[key], there[its]) for key, its in keys.items()]
        elif isinstance(here, list | tuple) and isinstance(there, list | tuple):
            todo += reversed([*zip(here, there, strict=False)])  # the first is looked at first
        elif isinstance(here, set | frozenset) and isinstance(there, set | frozenset):
            todo += _keys_opposite(dict.fromkeys(here), dict.fromkeys(there))


def _keys_opposite(here: dict[Any, Any], there: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the keys of two dicts that are the same, or the only ones of each that are so but for markers."""
    alone: dict[str, tuple[list[str], list[str]]] = {}
    for side, (mine, others) in enumerate(((here, there), (there, here))):
        for key in mine:
            if key in others:
                if side == 0:
                    yield key, key
            elif isinstance(key, str) and MARKER.search(key):
                alone.setdefault(_masked(key), ([], []))[side].append(key)
    yield from ((ours[0], theirs[0]) for ours, theirs in alone.values() if len(ours) == len(theirs) == 1)


def _masked(text: str) -> str:
    return MARKER.sub("[redacted]", text)


def _parts(marker: str) -> tuple[str, str]:
    found = MARKER.fullmatch(marker)
    assert found is not None
    return found[1], found[2]
