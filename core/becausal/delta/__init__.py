"""What changed between two values, in words that say what it means: dropped, cut, retyped, reordered.

The values are those that `becausal.canonical.decode` gives: plain data, `Record` and what stands for the
rest. A delta is complete: applied to the first value it gives the second.

    dropped    a field or item is gone
    added      a field or item is new
    cut        a text became a piece of itself, also with "…" or "..." put behind it; or a list lost its head
               or its tail and nothing else
    retyped    the same content in another type: a tuple as a list, 1 as "1", a dict as its JSON text; or a
               container became another one, its fields being told of apart
    reordered  the same items in another order
    changed    anything else

Lists are lined up by what their items say, then by the items' `id`, so an item put in at the head is one
`added`. Cost is near-linear in the size of the values. Equality is `same`, which minds types: 1, 1.0 and True
differ, and NaN equals itself.

Departs from a shortest edit script (Myers 1986): an item that moved among others is dropped and added, and
the longest row of items that kept their order is found by content alone, in n log n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from becausal.canonical.decoded import Record
from becausal.delta.listing import ends, in_step, is_reordered
from becausal.delta.sameness import by_token, same, same_content, token

__all__ = ["Change", "Delta", "Kind", "apply", "delta", "same"]

Kind = Literal["dropped", "added", "changed", "cut", "retyped", "reordered"]

MOST_LEVELS = 100
"""Deeper down, a difference is one `changed`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed."""

    kind: Kind
    path: str
    """`$.messages[3].content`: in the first value; of what was added, in the second."""
    before: object
    """None for what was added."""
    after: object
    """None for what was dropped."""
    at: tuple[object, ...] = ()
    """The steps of the path: keys and positions."""
    missing: int = 0
    """Of what was cut: how many characters or items are gone."""
    is_key: bool = False
    """The key of a field was retyped, not its value; `before` and `after` are the keys."""


@dataclass(frozen=True, slots=True)
class Delta:
    """All that changed, in the order of the first value. False when nothing did."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __getitem__(self, index: int) -> Change:
        return self.changes[index]

    def __len__(self) -> int:
        return len(self.changes)

    def counts(self) -> dict[Kind, int]:
        """Return how many changes there are of each kind that occurs."""
        return dict(Counter(change.kind for change in self.changes))


def delta(before: object, after: object) -> Delta:
    """Return what changed from one decoded value to another. Never raises."""
    changes: list[Change] = []
    try:
        _compare((), before, after, changes)
    except RecursionError:  # the caller stands very deep
        changes = [] if same(before, after) else [Change("changed", "$", before, after)]
    return Delta(tuple(changes))


def apply(delta: Delta, before: object) -> object:
    """Return the second value of a delta, from the first. Nothing given is changed.

    Raises:
        LookupError: the delta was not made from this value.
    """
    return _rebuilt(before, list(delta.changes), 0)


Steps = tuple[object, ...]


def _compare(at: Steps, a: Any, b: Any, out: list[Change]) -> None:
    if same(a, b):
        return
    kinds = type(a), type(b)
    if len(at) >= MOST_LEVELS:
        out.append(_change("changed", at, a, b))
    elif all(kind in (dict, Record) for kind in kinds):
        _compare_fields(at, a, b, out)
    elif all(kind in (list, tuple) for kind in kinds):
        _compare_items(at, a, b, out)
    elif kinds == (str, str) and (missing := _missing(a, b)):
        out.append(_change("cut", at, a, b, missing=missing))
    elif same_content(a, b):
        out.append(_change("retyped", at, a, b))
    else:
        out.append(_change("changed", at, a, b))


def _change(kind: Kind, at: Steps, a: object, b: object, **more: Any) -> Change:
    return Change(kind, path_text(at), a, b, at, **more)


def _missing(a: str, b: str) -> int:
    """Return how many characters of a text are gone if the other one is a piece of it."""
    piece = b
    for ending in ("…", "..."):
        if b.endswith(ending) and a.startswith(b.removesuffix(ending)):
            piece = b.removesuffix(ending)
    return len(a) - len(piece) if piece in a else 0


def _compare_fields(at: Steps, a: dict[Any, Any], b: dict[Any, Any], out: list[Change]) -> None:
    here, there = by_token(a), by_token(b)
    if here is None or there is None:
        out.append(_change("changed", at, a, b))
        return
    if type(a) is not type(b) or getattr(a, "type_name", None) != getattr(b, "type_name", None):
        out.append(_change("retyped", at, a, b))
    renamed = _retyped_keys(here, there)
    for name, key in here.items():
        other = renamed.get(name, name)
        if other not in there:
            out.append(_change("dropped", (*at, key), a[key], None))
            continue
        if other != name:
            out.append(_change("retyped", (*at, key), key, there[other], is_key=True))
        _compare((*at, key), a[key], b[there[other]], out)
    known = {renamed.get(name, name) for name in here}
    for name, key in there.items():
        if name not in known:
            out.append(_change("added", (*at, key), None, b[key]))


def _retyped_keys(here: dict[Any, Any], there: dict[Any, Any]) -> dict[Any, Any]:
    """Return the tokens of keys that stand there in another type, as 1 does as "1"."""
    gone, new = here.keys() - there.keys(), there.keys() - here.keys()
    if not gone or not new:
        return {}
    texts: dict[str, Any] = {}
    for name in new:
        texts.setdefault(_text(there[name]), name)
    found: dict[Any, Any] = {}
    for name in gone:
        other = texts.pop(_text(here[name]), None)
        if other is not None:
            found[name] = other
    return found


def _text(key: object) -> str:
    return key if type(key) is str else repr(key)


def _compare_items(at: Steps, a: Any, b: Any, out: list[Change]) -> None:
    if type(a) is not type(b):
        out.append(_change("retyped", at, a, b))
    head, tail = ends(a, b)
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    if not left and not right:
        return
    if not right and (not head or not tail) and type(a) is type(b):
        out.append(_change("cut", at, a, b, missing=len(left)))
        return
    if type(a) is type(b) and is_reordered(left, right):
        out.append(_change("reordered", at, a, b))
        return
    pairs = dict(in_step(left, right)) if left and right else {}
    for index, item in enumerate(left):
        step = (*at, head + index)
        if index in pairs:
            _compare(step, item, right[pairs[index]], out)
        else:
            out.append(_change("dropped", step, item, None))
    kept = set(pairs.values())
    for index, item in enumerate(right):
        if index not in kept:
            out.append(_change("added", (*at, head + index), None, item))


def _rebuilt(value: Any, changes: list[Change], depth: int) -> Any:
    own = next((c for c in changes if len(c.at) == depth and not c.is_key), None)
    below = [change for change in changes if len(change.at) > depth]
    if own is not None and (own.kind != "retyped" or not _is_container(own)):
        return own.after
    groups: dict[Any, list[Change]] = {}
    edits = [
        change for change in below if len(change.at) == depth + 1 and change.kind in ("dropped", "added")
    ]
    for change in below:
        if change.kind not in ("dropped", "added") or len(change.at) > depth + 1:
            groups.setdefault(token(change.at[depth]), []).append(change)
    if not below:
        result = value
    elif isinstance(value, dict):
        result = _rebuilt_fields(value, groups, edits, depth)
    else:
        result = _rebuilt_items(value, groups, edits, depth)
    return result if own is None else _as(own.after, result)


def _is_container(change: Change) -> bool:
    families = (dict, list, tuple)
    return isinstance(change.before, families) and isinstance(change.after, families)


def _as(model: Any, value: Any) -> Any:
    """Return a container as one of the model's type."""
    if type(model) is Record:
        return Record(model.type_name, value)
    return type(model)(value)


def _rebuilt_fields(fields: Any, groups: dict[Any, list[Change]], edits: list[Change], depth: int) -> Any:
    gone = {token(change.at[depth]) for change in edits if change.kind == "dropped"}
    result: dict[Any, Any] = {}
    for key, item in fields.items():
        name = token(key)
        if name in gone:
            continue
        changes = groups.get(name, [])
        new = next((c.after for c in changes if c.is_key and len(c.at) == depth + 1), key)
        result[new] = _rebuilt(item, changes, depth + 1) if changes else item
    for change in edits:
        if change.kind == "added":
            result[change.at[depth]] = change.after
    return Record(fields.type_name, result) if type(fields) is Record else result


def _rebuilt_items(items: Any, groups: dict[Any, list[Change]], edits: list[Change], depth: int) -> Any:
    gone = {change.at[depth] for change in edits if change.kind == "dropped"}
    new = {change.at[depth]: change.after for change in edits if change.kind == "added"}
    kept = iter(
        [
            _rebuilt(item, groups[token(index)], depth + 1) if token(index) in groups else item
            for index, item in enumerate(items)
            if index not in gone
        ]
    )
    count = len(items) - len(gone) + len(new)
    return type(items)([new[index] if index in new else next(kept) for index in range(count)])


def path_text(at: Steps) -> str:
    """Return steps as text: `$.messages[3].content`, `$["odd key"]`."""
    text = ["$"]
    for step in at:
        if type(step) is str and step.isidentifier():
            text.append("." + step)
        elif type(step) is str:
            text.append('["' + step.replace("\\", "\\\\").replace('"', '\\"') + '"]')
        else:
            text.append(f"[{step!r}]")
    return "".join(text)
