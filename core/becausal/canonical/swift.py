"""One encoding of what nearly every value is: plain data with str keys, and messages in it.

`TopWalk` says how a value is written and can write any; to be able to, it asks each value many questions. Here the
common shapes are told by `type()` alone and written straight on: the same bytes in a fraction of the calls. Whatever is
anything else (a key that is no str, a cycle, a lone surrogate, a lock, a secret's name, a part that must be read once
more) raises, and `TopWalk` writes the value from its beginning.
"""

from __future__ import annotations

from operator import is_
from typing import Any

from ormsgpack import packb

from becausal.canonical.brief import LONG, Brief
from becausal.canonical.flat import Flat
from becausal.canonical.looks import COMMON, MOST_SEARCHED, SHORTEST_RUN
from becausal.canonical.readers import DEEP_FOR_PLAIN_OBJECTS, READERS, reader_of
from becausal.canonical.terms import NO_RUN, Pair, Run, UnfitError
from becausal.canonical.top import MOST_SPLIT
from becausal.canonical.wire import (
    INLINE_BELOW,
    KEYS,
    SPLIT_FROM,
    Code,
    array,
    digesting,
    entry,
    mapping,
    packed_key,
)

__all__ = ["MOST_HARMLESS", "Swift"]

SHORT = SPLIT_FROM // 4
"""A text of fewer characters is never split off: a character takes four bytes at most."""

ARRAYS = [array(count) for count in range(16)]
MAPPINGS = [mapping(count) for count in range(16)]

AT_A_TIME = 256
"""Rows of a conversation that are packed in one go."""

NEVER = 1 << 62
"""What has to have so many bytes to be split off is not."""

MOST_HARMLESS = 4096


class Swift(Brief):
    """The state of one encoding, from the value itself."""

    def root(self, value: Any) -> Pair:
        """Return the bytes of the value itself and those of its belief.

        Raises:
            Exception: it is for `TopWalk` to write.
        """
        kind = type(value)
        if kind is dict:
            return self.mapping(value.copy(), None)
        if kind is list:
            return self.top_list(value.copy())
        if kind is int or kind is bool or value is None:
            body = packb(value)
            return body, body
        if kind is tuple:
            body, lean = self.top_list([*value])
            exact = entry(Code.TUPLE, body)
            return exact, exact if lean is body else entry(Code.TUPLE, lean)
        reader = READERS.get(id(kind)) or reader_of(kind)
        if reader.fields is None:
            raise UnfitError
        return self.typed(value, reader, whole=True)

    # Maps

    def mapping(self, fields: dict[str, Any], speaks: bool | None) -> Pair:
        """Write the top dict or an object's fields.

        Args:
            fields: ours to change.
            speaks: whether they are those of an object that is a message; None: a dict's, whose keys tell.
        """
        is_flat = True
        for key, value in fields.items():
            if type(key) is not str:
                raise UnfitError
            kind = type(value)
            if kind is str:
                if len(value) >= SHORT:
                    is_flat = False
            elif kind is not int and kind is not float and kind is not bool and value is not None:
                is_flat = False
        if speaks or (speaks is None and "content" in fields and ("role" in fields or "type" in fields)):
            return self.message(fields)
        if is_flat or len(fields) > MOST_SPLIT:
            return self.packed(fields)
        return self.compose(fields, SPLIT_FROM)

    def compose(self, fields: dict[str, Any], limit: int) -> Pair:
        """Put a map together from its packed values, those of so many bytes split off."""
        exact = [MAPPINGS[len(fields)] if len(fields) < 16 else mapping(len(fields))]
        lean = exact  # a list of its own from the first value on that differs in the belief
        for key in sorted(fields):
            value = fields[key]
            kind = type(value)
            if kind is int or kind is bool or value is None or (kind is str and len(value) < SHORT):
                body = belief = packb(value)
            else:
                if key not in self.harmless:
                    self.check(key)
                if kind is not str:
                    body, belief = self.piece(value, kind, limit)
                elif len(value) >= LONG and limit != NEVER:
                    body, belief = self.long_text(value)
                else:
                    body = belief = packb(value)
                    if len(body) >= limit:
                        before, self.below = self.below, 0
                        body, belief = self.part(body, body, before)
            if lean is exact and belief is not body:
                lean = exact.copy()
            name = KEYS.get(key) or packed_key(key)
            exact += (name, body)
            if lean is not exact:
                lean += (name, belief)
        whole = b"".join(exact)
        return whole, whole if lean is exact else b"".join(lean)

    def check(self, key: str) -> None:
        """Remember that a key is no secret's name."""
        if self.redact is not None and self.redact.is_secret_key(key):
            raise UnfitError  # what stands there is not split off
        if len(self.harmless) < MOST_HARMLESS:
            self.harmless.add(key)

    def piece(self, value: Any, kind: type, limit: int) -> Pair:
        """Write a value of a map, looking for messages in it, and split it off if it has so many bytes."""
        before, self.below = self.below, 0
        if kind is list and value:
            first = value[0]
            if type(first) is dict:
                body, lean = self.items(value.copy(), said=True) if _speaks(first) else self.packed(value)
            elif id(type(first)) in COMMON:
                body, lean = self.packed(value)
            else:
                body, lean = self.items(value.copy())
        elif kind is dict and value:
            body, lean = self.inner(value.copy(), limit)
        else:
            body, lean = self.packed(value)
        if len(body) < limit:
            self.below += before
            return body, lean
        return self.part(body, lean, before)

    def inner(self, fields: dict[str, Any], limit: int) -> Pair:
        """Write a dict in a map: a message, or one in which the values of a top dict are looked through once more."""
        if _speaks(fields):
            return self.message(fields)
        if limit is not NEVER and len(fields) <= MOST_SEARCHED:
            for value in fields.values():
                kind = type(value)
                if kind is list and value:
                    value = value[0]
                    kind = type(value)
                if kind is dict and value and _speaks(value):
                    return self.compose(fields, NEVER)
        return self.packed(fields)

    # Lists

    def top_list(self, items: list[Any]) -> Pair:
        """Write the top list, its items of `SPLIT_FROM` bytes split off."""
        if not items:
            return self.packed(items)
        first = items[0]
        if type(first) is dict and _speaks(first):
            return self.items(items, said=True)
        if len(items) <= MOST_SPLIT:
            return self.items(items, limit=SPLIT_FROM)
        return self.packed(items) if id(type(first)) in COMMON else self.items(items)

    def items(self, items: list[Any], *, said: bool = False, limit: int = NEVER) -> Pair:
        """Write a list item by item, the first ones from memory if they are known and what they were.

        Args:
            items: ours to change.
            said: the first one is a dict that is a message, so each dict in it is looked at as one.
            limit: bytes from which on another item is split off.
        """
        head = ARRAYS[len(items)] if len(items) < 16 else array(len(items))
        seen, known = self.recalled(items, said) if len(items) >= SHORTEST_RUN else (None, NO_RUN)
        exact: list[bytes | memoryview] = [head, known.pair[0]]
        lean: list[bytes | memoryview] = [head, known.pair[1]]
        is_same = known.pair[0] is known.pair[1]
        before, self.below = self.below, known.below
        for item in items[len(known.types) :]:
            kind = type(item)
            if kind is str and len(item) < SHORT:
                body = belief = packb(item)
            elif (reader := READERS.get(id(kind)) or reader_of(kind)).fields is not None:
                body, belief = self.typed(item, reader)
            else:
                body, belief = self.item(item, kind, said, limit)
            if belief is not body:
                is_same = False
            exact.append(body)
            lean.append(belief)
        whole = b"".join(exact)
        believed = whole if is_same else b"".join(lean)
        if seen is not None and len(known.types) < len(items):
            rest = memoryview(whole)[len(head) :]
            pair = rest, rest if is_same else memoryview(believed)[len(head) :]
            types = [*known.types, *map(type, items[len(known.types) :])]
            self.new_runs[id(items[0])] = Run(types, *seen, pair, self.below, self.version)
        self.below += before
        return whole, believed

    def item(self, item: Any, kind: type, said: bool, limit: int) -> Pair:
        """Write an item that is no object of fields."""
        inside, self.below = self.below, 0
        if said and kind is dict:
            if _speaks(item):
                return self.told(item.copy(), inside)
            limit = INLINE_BELOW
        body, lean = self.packed(item)
        if len(body) < limit:
            self.below += inside
            return body, lean
        return self.part(body, lean, inside)

    def recalled(self, items: list[Any], said: bool) -> tuple[tuple[int, bytes] | None, Run]:
        """Return the size and the digest of the items' packed fields, and what is known of the first ones as they are.

        Packed as in `TopWalk.column`, so what that wrote is known here. No call of ours for an item that is known.
        """
        known = self.runs.get(id(items[0]), NO_RUN)
        if len(known.types) > len(items) or not all(map(is_, map(type, items), known.types)):
            known = NO_RUN
        first = type(items[0])
        reader = READERS.get(id(first)) or reader_of(first)
        for kind in {*map(id, map(type, items[len(known.types) :]))} - {id(first)}:
            other = READERS.get(kind)
            if said or other is None or other.slots != reader.slots:
                return None, NO_RUN  # one of a class that was never read is known the next time
        if said:
            return self.compared(items, len(known.types), known)
        if reader.fields is None:
            return None, NO_RUN
        rows: list[Any] = [*map(reader.fields, items)]
        if reader.extra is None:
            return self.compared(rows, len(known.types), known)
        fields, rows = rows, rows * 2
        rows[::2], rows[1::2] = fields, [*map(reader.extra, items)]
        return self.compared(rows, 2 * len(known.types), known)

    def compared(self, rows: list[Any], first: int, known: Run) -> tuple[tuple[int, bytes], Run]:
        """Return the size and the digest of packed rows, and what is known if so many first ones are what they were.

        Some at a time: a buffer for all would be fresh memory each time, which takes longer than to fill it.
        """
        flat = Flat(self.depth * DEEP_FOR_PLAIN_OBJECTS)
        whole, size, at = digesting(), 0, 0
        for end in (first, len(rows)):
            while at < end:
                some = rows[at : min(at + AT_A_TIME, end)]
                piece = flat.rows(some)
                whole.update(piece)
                size += len(piece)
                at += len(some)
            if end == first and known is not NO_RUN:
                if whole.digest() != known.digest:
                    known = NO_RUN
                elif known.version != self.version:
                    raise UnfitError  # it must be read for what is secret by now
        return (size, whole.digest()), known


def _speaks(fields: dict[Any, Any]) -> bool:
    """Return whether a dict looks like a message."""
    for key in fields:
        if type(key) is not str:
            raise UnfitError
    return "content" in fields and ("role" in fields or "type" in fields)
