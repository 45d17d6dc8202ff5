"""Which secret of a replay is which of the record, where the markers of the two were made under two keys.

What comes out of the record has the record's markers. What the app itself brings is marked under the key of the machine
that replays, and may be another secret there: what stands for it in CI. So a marker is one of the record's if it stands
in its place, one for one over the whole replay: two secrets stay two, and one stays one. Nothing of a key is needed.
What the record gives to the app stays what it is: it stands for nothing else, and nothing else for it.

Under one key the digits tell: of two other secrets each is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from operator import itemgetter
from typing import Any, Final

from becausal import semconv
from becausal.canonical.decoded import Record
from becausal.payload import Payload
from becausal.redaction import in_force, markers_in
from becausal.redaction.keys import STRONG, WEAK
from becausal.redaction.marker import MARKER
from becausal.step import Step, StepKind

__all__ = ["Counterparts", "entries_of", "is_frame", "keys_of", "own_key"]

GIVING: Final[frozenset[StepKind]] = frozenset({"model", "tool", "memory_read"})
"""Kinds of steps whose result a replay takes from the record."""

BY_NAME: Final = frozenset((*STRONG.values(), *WEAK.values()))
"""Kinds that are told by the name that a secret stands under: what stands for a vendor's key in CI has no form."""


def keys_of(steps: Iterable[Step]) -> frozenset[str]:
    """Return what tells the keys apart under which secrets of a run were marked; none of an earlier release's."""
    said = (step.attributes.get(semconv.REDACTION_KEY) for step in steps)
    return frozenset(key for key in said if isinstance(key, str))


def entries_of(steps: Iterable[Step], *, within_frames: bool) -> list[Step]:
    """Return the steps with which a run was called from outside, in their order.

    Args:
        steps: of the run.
        within_frames: whether the steps right below own requests are meant, rather than those.
    """
    steps = tuple(steps)
    ids = {step.id for step in steps}
    above = {step.id for step in steps if step.parent_id not in ids}
    if within_frames:
        while frames := {step.id for step in steps if step.id in above and is_frame(step)}:
            above = (above - frames) | {step.id for step in steps if step.parent_id in frames}
    return [step for step in steps if step.id in above and step.kind != "handoff"]


def is_frame(step: Step) -> bool:
    """Return whether a step is a request of own code, in which a framework's app may have been called."""
    return step.kind == "request" and semconv.ENTRY not in step.attributes


def own_key() -> frozenset[str]:
    """Return the same of the secrets that this process has marked."""
    redactor = in_force()
    key = None if redactor is None else redactor.key_id
    return frozenset() if key is None else frozenset((key,))


class Counterparts:
    """The pairs of markers that are known so far."""

    def __init__(
        self,
        recorded: Iterable[Step],
        key: Callable[[], frozenset[str]],
        entries: Collection[Step] = (),
    ) -> None:
        """Make it.

        Args:
            recorded: the steps of the record.
            key: tells the key of the replay's own markers, as `keys_of` does.
            entries: those of them whose input the replay takes from the record.
        """
        self.entries = entries
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
        return self.are_apart and self._given.isdisjoint((digits, its_digits))

    def is_of_the_app(self, recorded: Any, replayed: Any) -> bool:
        """Return whether a replay's decoded value has a secret of the app's own where the record's was given to it."""
        if not self.are_apart:
            return False
        for first, second in _opposite(recorded, replayed):
            here = markers_in(second)
            if any(
                one not in here and _parts(one)[1] in self._given and _parts(other)[1] not in self._given
                for one, other in zip(markers_in(first), here, strict=False)
            ):
                return True
        return False

    @cached_property
    def _given(self) -> frozenset[str]:
        """The digits of the markers that the record gave to the app before the app told them: which secret each is, it
        knows from there."""
        entries = {step.id for step in self.entries}
        told: list[tuple[int, bool, Payload]] = []
        for step in self._steps:
            if step.received is not None and (step.id in entries or step.kind in GIVING):
                told.append((step.started_ns, step.id not in entries, step.received))
            if step.produced is not None and step.kind in GIVING:
                told.append((step.ended_ns or step.started_ns, False, step.produced))
        first: dict[str, bool] = {}
        for _, is_apps, payload in sorted(told, key=itemgetter(0, 1)):
            for marker in markers_in(payload.text()):
                first.setdefault(_parts(marker)[1], is_apps)
        return frozenset(digits for digits, is_apps in first.items() if not is_apps)


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
