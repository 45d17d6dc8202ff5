"""The fields of a conversation as they lie there, to be compared with what they were.

Both ways of encoding keep what they wrote for a conversation under the digest of these bytes, so each knows again what
the other has written. The bytes are compared and nothing else: none of them is handed out, stored or referred to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ormsgpack import Ext, Fragment, packb

from becausal.canonical.calling import let_out
from becausal.canonical.leaves import FIELDS, LEAF
from becausal.canonical.readers import DEEP_FOR_PLAIN_OBJECTS, READERS, reader_of
from becausal.canonical.terms import UnfitError
from becausal.canonical.walk import MOST_LEVELS
from becausal.canonical.wire import UNSORTED, Code

__all__ = ["Flat"]


class Flat:
    """One comparison. Equal bytes mean equal values; equal values may differ in the order of keys or in what is shared.

    It holds nothing of the encoding that asks for it, so that nothing which is only compared can get among its parts.
    """

    __slots__ = ("level", "met", "reach", "stopped")

    def __init__(self, level: int) -> None:
        # Nothing may pass here that is cut off where it stands: an item counts for as much as one can.
        self.level = self.reach = level + DEEP_FOR_PLAIN_OBJECTS
        self.met: dict[int, tuple[object, int, int]] = {}
        """By an object's id: the object, which was met as which one, and the deepest level at which it stood."""
        self.stopped: list[BaseException] = []

    def rows(self, rows: Sequence[Any]) -> memoryview:
        """Return packed rows, one after the other.

        Raises:
            Exception: something in them has to be written to be known.
        """
        try:
            # The head of an array, without a call of ours for it.
            head = 1 if (count := len(rows)) < 16 else 3 if count < 65536 else 5
            return memoryview(packb(rows, self.hook, UNSORTED))[head:]
        except Exception:
            let_out(self.stopped)
            raise

    def hook(self, value: object) -> Any:
        """Stand in for what the C packer does not know: whole, nothing split off, sorted or told as a belief."""
        try:
            kind = type(value)
            reader = READERS.get(id(kind)) or reader_of(kind)
            code: Any = Code.TYPE
            content: Any
            if reader.fields is None:
                shape, code, content, why = reader.read(value)
                if why:
                    raise UnfitError
                if shape == LEAF:
                    return Fragment(content) if code is None else Ext(code, content)
                if shape == FIELDS:
                    code, content = Code.TYPE, [reader.mark, content, None]
            else:
                fields = reader.fields(value)
                if type(fields) is not dict:
                    raise UnfitError
                content = [reader.mark, fields.copy(), None if reader.extra is None else reader.extra(value)]
            level = self.level + reader.cost
            found = self.met.get(id(value))
            # What many messages share is written once. Not where it stands deeper than before: it may be cut there.
            if found is not None and level <= found[2]:
                return Ext(Code.CYCLE, packb(found[1]))
            if level > MOST_LEVELS:
                raise UnfitError
            self.level = level
            if level > self.reach:
                self.reach = level
            body = packb(content, self.hook, UNSORTED)
            self.level = level - reader.cost
            self.met[id(value)] = value, len(self.met) if found is None else found[1], level
            return Ext(code, body)
        except Exception:
            raise
        except BaseException as stop:
            self.stopped.append(stop)
            raise
