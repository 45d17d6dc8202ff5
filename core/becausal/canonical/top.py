"""One encoding, at the top: where values, fields, items and messages are split off as parts.

What is split is decided from the value alone, so that the same value always has the same digest:

    the value itself
        is never a part.
    a typed object, a tuple, a set, a dict with odd keys
        is a part from 256 bytes, wherever it stands.
    a value of the top dict, an item of the top list or tuple, a field of a typed object
        is a part from 512 bytes, unless what holds it has more than 256 entries or is message-like.
    an item of a message list
        is a part from 256 bytes. A message list is one whose first item is a dict that looks like a message,
        standing at the top, in a top value or field, or in a dict there.

A message-like object or dict is never split inside: it has one digest, alone and in a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from ormsgpack import Ext, Fragment, packb

from becausal.canonical.belief import is_message, meaning
from becausal.canonical.flat import Flat
from becausal.canonical.leaves import WRAP
from becausal.canonical.looks import (
    SCALARS,
    SHORTEST_RUN,
    holds_messages,
    is_message_list,
    is_typed_list,
    may_split,
    plain_keys,
    shape_of,
)
from becausal.canonical.readers import Reader, reader_of
from becausal.canonical.terms import (
    NO_RUN,
    Known,
    Pair,
    Path,
    Run,
    Seen,
    UnfitError,
    is_other,
    starts_with,
    step,
)
from becausal.canonical.walk import MOST_LEVELS, Walk
from becausal.canonical.wire import (
    FLOAT,
    INLINE_BELOW,
    KEYS,
    OPTIONS,
    PART,
    SPLIT_FROM,
    Code,
    array,
    digest_of,
    entry,
    mapping,
    odd_nan,
    packed_key,
)

__all__ = ["MOST_SPLIT", "TopWalk"]

MOST_SPLIT = 256


class TopWalk(Walk):
    """The state of one encoding, from the value itself."""

    def __init__(
        self,
        known: Known,
        runs: dict[int, Run] | None,
        leans: dict[bytes, bytes] | None = None,
        *,
        fast: bool = True,
    ) -> None:
        super().__init__(known, fast=fast)
        self.runs = runs
        self.leans = {} if leans is None else leans
        """By the bytes of a message: those of its belief, which follow from them."""
        self.new_runs: dict[int, Run] = {}

    def root(self, value: Any) -> Pair:
        """Return the bytes of the value itself, its parts split off."""
        kind = type(value)
        if kind is dict and plain_keys(value):
            self.active[id(value)] = 0
            fields = value.copy()
            return self.mapping(fields, (), message=is_message(fields))
        if kind is list:
            self.active[id(value)] = 0
            return self.top_list(value.copy())
        if kind is tuple:
            self.active[id(value)] = 0
            body, lean = self.top_list([*value])
            exact = entry(Code.TUPLE, body)
            return exact, exact if lean is body else entry(Code.TUPLE, lean)
        if id(kind) in SCALARS:
            return self.pack(value, ())
        self.bare = id(value)
        _, body, lean, _, _ = self.see(value, ())
        if type(body) is not bytes:
            body = lean = packb(body)
        return body, lean

    def hold(self, value: Any, path: Path, write: Callable[[Any, Path], Pair]) -> Pair:
        """Write a copy of a plain container that what is inside may refer back to."""
        key = id(value)
        if key in self.active:  # a cycle: the slow path says where to
            return self.pack(value, ())
        self.active[key] = len(self.active)
        try:
            return write(value.copy(), path)
        finally:
            del self.active[key]

    def typed(self, value: object, reader: Reader) -> Seen:
        """Return what stands for a typed object that is its fields: messages above all, so in one go where it is one.

        The same as `see`, for what the C packer meets. Whatever is odd is left to the slow path.
        """
        key = id(value)
        found = self.seen.get(key)
        if found is not None and self.level + found[3] <= MOST_LEVELS:
            return self.see(value, None)
        fields = reader.state(value)
        if fields is None or key in self.active or self.level + reader.cost > MOST_LEVELS or "\0" in fields:
            raise UnfitError
        fields["\0"] = reader.mark
        shape = shape_of(reader.name, fields)
        if shape is None or not shape[1]:
            return self.see(value, None)
        level, reach, below, differs = self.level, self.reach, self.below, self.differs
        self.active[key] = len(self.active)
        self.level = self.reach = level + reader.cost
        self.below = 0
        try:
            body = packb(fields, self.hook, OPTIONS)
            if FLOAT in body and odd_nan(body):
                raise UnfitError
            stand, belief = self.told(body, fields)
            height, size = self.reach - level, self.below
        finally:
            del self.active[key]
            self.level, self.below, self.differs = level, below, differs
            if reach > self.reach:
                self.reach = reach
        self.below += size
        seen = self.seen[key] = value, stand, belief, height, size
        return seen

    def told(self, body: bytes, fields: dict[str, Any]) -> tuple[Any, Any]:
        """Return what stands for a message of these bytes, and what does in the belief."""
        if len(body) < INLINE_BELOW or self.is_under_secret:
            lean = self.leans.get(body)
            if lean is None:
                lean = self.leans[body] = packb(meaning(fields), self.lean_hook, OPTIONS)
            fragment = Fragment(body)
            return fragment, fragment if lean == body else Fragment(lean)
        digest = digest_of(body)
        info = self.info_of(digest)
        if info is None:
            info = self.hand_out(digest, body, packb(meaning(fields), self.lean_hook, OPTIONS))
        belief, self.below, handed, _ = info
        stand = Ext(Code.PART, handed)
        return stand, stand if belief == handed else Ext(Code.PART, belief)

    def fields(self, name: str, fields: dict[str, Any], path: Path) -> Pair:
        """Write a typed object: a message whole, anything else with its big fields split off."""
        if "\0" in fields:  # a field of the object is called NUL itself
            return self.write(WRAP, Code.SUBCLASS, [name, fields], path)
        fields["\0"] = Ext(Code.TYPE, name.encode())
        shape = shape_of(name, fields)
        if shape is None:
            return self.pack(fields, path, held=True)
        return self.mapping(fields, path, message=shape[1])

    def mapping(self, fields: dict[str, Any], path: Path, *, message: bool) -> Pair:
        """Write the top dict or a typed object's fields, whose keys are plain."""
        if message:
            return self.message(fields, path)
        if len(fields) > MOST_SPLIT:
            return self.pack(fields, path, held=True)
        # Nothing in it that could be split below the top: packing it whole gives the same bytes,
        # unless it is big enough to hold a big value.
        if not any(map(may_split, fields.values())) and not self.holds_secret(fields):
            below = self.below
            pair = self.pack(fields, path, held=True)
            if len(pair[0]) < SPLIT_FROM:
                return pair
            self.below = below  # its parts are met once more
        return self.compose(fields, path, top=True)

    def message(self, fields: dict[str, Any], path: Path) -> Pair:
        """Write a message-like thing: never split, and with a belief of its own."""
        body = self.pack(fields, path, held=True)[0]
        lean = self.leans.get(body) if len(body) < INLINE_BELOW else None
        if lean is None:
            lean = self.believe(meaning(fields), path)
            if len(body) < INLINE_BELOW:
                self.leans[body] = lean
        return body, body if lean == body else lean

    def compose(self, fields: dict[str, Any], path: Path, *, top: bool) -> Pair:
        """Put a map together from its packed values."""
        exact = [mapping(len(fields))]
        lean = exact.copy()
        for key in sorted(fields):
            name, value = KEYS.get(key) or packed_key(key), fields[key]
            kind = type(value)
            if (
                kind is int
                or kind is bool
                or value is None
                or (kind is str and len(value) < 64 and value.isascii())
            ):
                body = belief = packb(value, self.hook, OPTIONS)
            else:
                # What stands under a secret's name stays where its name is seen.
                redact = self.redact
                is_secret = redact is not None and (
                    redact.is_secret_key(key) or (not self.fast and self.turns_at(key, fields))
                )
                write = self.secret if is_secret else self.piece
                body, belief = write(value, step(path, key), top=top)
            exact += (name, body)
            lean += (name, belief)
        return _joined(exact, lean)

    def holds_secret(self, fields: dict[str, Any]) -> bool:
        """Return whether something that may be split off stands under a secret's name."""
        redact = self.redact
        return redact is not None and any(
            id(type(value)) not in SCALARS and redact.is_secret_key(key) for key, value in fields.items()
        )

    def secret(self, value: Any, path: Path, *, top: bool) -> Pair:
        """Write a value that stands under a secret's name, whole."""
        if self.is_under_secret:
            return self.piece(value, path, top=False)
        self.turn()
        try:
            return self.piece(value, path, top=False)
        finally:
            self.turn()

    def piece(self, value: Any, path: Path, *, top: bool) -> Pair:
        """Write a value that stands in a map, looking for message lists."""
        kind = type(value)
        below, self.below = self.below, 0
        write: Callable[[Any, Path], Pair] | None = None
        if kind is list:
            if is_message_list(value) or (self.runs is not None and is_typed_list(value)):
                write = self.items
        elif kind is dict and value and plain_keys(value):
            if is_message(value):
                write = self.message
            elif top and holds_messages(value):
                write = self.inner
        body, lean = self.pack(value, path) if write is None else self.hold(value, path, write)
        return self.place(body, lean, below, SPLIT_FROM if top else len(body) + 1)

    def inner(self, fields: dict[str, Any], path: Path) -> Pair:
        """Put a map together that stands in the top map."""
        return self.compose(fields, path, top=False)

    def place(self, body: bytes, lean: bytes, below: int, limit: int) -> Pair:
        """Split a packed piece off if it is big."""
        if len(body) < limit or self.is_under_secret:
            self.below += below
            return body, lean
        digest, belief = self.part(body, lean, below)
        stand = PART + digest
        return stand, stand if belief == digest else PART + belief

    def top_list(self, items: list[Any]) -> Pair:
        """Write the top list's items, each split off if it is big."""
        if is_message_list(items):
            return self.items(items, ())
        # Typed objects are parts of their own either way: what is known of the first ones holds. Big dicts are not:
        # here each is split off, in a run none is.
        known = self.run(items, ()) if is_typed_list(items) else None
        if known is not None:
            return known
        if len(items) > MOST_SPLIT:
            return self.pack(items, (), held=True)
        exact = [array(len(items))]
        lean = [exact[0]]
        for index, item in enumerate(items):
            below, self.below = self.below, 0
            body, belief = self.place(*self.pack(item, ((), index)), below, SPLIT_FROM)
            exact.append(body)
            lean.append(belief)
        return _joined(exact, lean)

    def items(self, items: list[Any], path: Path) -> Pair:
        """Write a list of messages, dicts or typed objects."""
        return self.run(items, path) or self.listed(items, path)

    def listed(self, items: list[Any], path: Path, start: int = 0) -> Pair:
        """Write the items, with the head of the list unless they are the end of one."""
        exact = [] if start else [array(len(items))]
        lean = exact.copy()
        split = is_message_list(items)
        for index, item in enumerate(items, start):
            body, belief = self.item(item, step(path, index), split)
            exact.append(body)
            lean.append(belief)
        return _joined(exact, lean)

    def item(self, item: Any, path: Path, split: bool) -> Pair:
        """Write one item of a list of messages."""
        if not (split and type(item) is dict):
            return self.pack(item, path)
        below, self.below = self.below, 0
        if plain_keys(item) and is_message(item):
            body, lean = self.hold(item, path, self.message)
        else:
            body, lean = self.pack(item, path)
        return self.place(body, lean, below, INLINE_BELOW)

    def run(self, items: list[Any], path: Path) -> Pair | None:
        """Write a list of messages of which the first ones are known, if it is one.

        One call packs the fields of all; if those of the first ones are what they were, byte for byte, then
        what was written for them holds. A change in place, however deep, changes the bytes.
        """
        types = [*map(type, items)]
        column = self.column(items, types)
        if column is None or self.runs is None or self.is_under_secret:
            return None
        known = self.runs.get(id(items[0]))
        if known is None or not starts_with(types, column, known) or self.holds_newer(column, known):
            known = NO_RUN
        head, pair, done = array(len(items)), known.pair, len(known.types)
        if done == len(items):
            self.below += known.below
            if known.version != self.version:
                self.new_runs[id(items[0])] = known._replace(version=self.version)
        else:
            split = is_message_list(items)
            before, self.below = self.below, known.below
            rest = [self.item(item, step(path, n), split) for n, item in enumerate(items[done:], done)]
            pair = _joined([pair[0], *[body for body, _ in rest]], [pair[1], *[lean for _, lean in rest]])
            self.new_runs[id(items[0])] = Run(
                types, len(column), digest_of(column), pair, self.below, self.version
            )
            self.below += before
        body = head + pair[0]
        return body, body if pair[0] is pair[1] else head + pair[1]

    def holds_newer(self, column: memoryview, known: Run) -> bool:
        """Return whether a run that is known holds what must be taken out by now."""
        redact = self.redact
        if redact is None or known.version == self.version:
            return False
        return redact.holds_newer(bytes(column[: known.size]), known.version)

    def column(self, items: list[Any], types: list[type]) -> memoryview | None:
        """Return the packed fields of the items, one after the other, each followed by its extra ones.

        None if the items are not of one kind, dicts or typed objects read from their `__dict__` alone.
        """
        if self.runs is None or not self.fast or len(items) < SHORTEST_RUN:
            return None
        first = reader_of(types[0])
        flat = Flat(self.level)
        try:
            # By identity: a metaclass may define `__hash__`.
            kinds = dict(zip(map(id, types), types, strict=True))
            if first.type is dict:
                return flat.rows(items) if len(kinds) == 1 else None
            if first.fields is None or (
                len(kinds) > 1 and any(is_other(first, kind) for kind in kinds.values())
            ):
                return None
            fields = map(first.fields, items)
            if first.extra is None:
                return flat.rows([*fields])
            return flat.rows([*chain.from_iterable(zip(fields, map(first.extra, items), strict=True))])
        except Exception:
            return None
        finally:
            # What is known of the items says nothing of how deep they go.
            self.reach = max(self.reach, flat.reach)


def _joined(exact: Sequence[bytes | memoryview], lean: Sequence[bytes | memoryview]) -> Pair:
    body = b"".join(exact)
    return body, body if exact == lean else b"".join(lean)
