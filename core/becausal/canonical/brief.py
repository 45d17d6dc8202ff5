"""One short encoding, below the top: objects, messages, and whatever the C packer calls for.

The same bytes as `Walk` writes, for what is common; see `becausal.canonical.swift`. Whatever is not raises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import is_
from typing import Any

from ormsgpack import Ext, Fragment, packb

from becausal.canonical.belief import meaning, speaks
from becausal.canonical.leaves import UNORDERED, WRAP
from becausal.canonical.looks import plain_keys
from becausal.canonical.readers import READERS, Reader, reader_of
from becausal.canonical.terms import Known, Pair, Redacting, Run, UnfitError
from becausal.canonical.wire import FLOAT, INLINE_BELOW, OPTIONS, PART, array, digest_of, entry, odd_nan

__all__ = ["DEEPEST", "LONG", "Brief"]

LONG = 64 << 10
"""Characters from which on a text is known again by being the same object, which says the same for ever."""

MOST_TEXTS = 64
MOST_HELD = 32 << 20
"""Characters of texts that are held to be known again."""

DEEPEST = 4
"""Objects in one another: so many are not cut off, whatever each counts for."""


class Brief(ABC):
    """The state of one encoding. It has no `__init__`: one is made for every value, and its maker fills it."""

    known: Known
    runs: dict[int, Run]
    leans: dict[bytes, bytes]
    harmless: set[str]
    """Keys that are no secret's name."""
    redact: Redacting | None
    version: int
    fresh: Known
    parts: list[tuple[bytes, bytes]]
    new_runs: dict[int, Run]
    texts: dict[object, tuple[str, bytes]]
    """By what tells a long text and what it stands in: the text, and the digest of the part that this is."""
    met: dict[int, tuple[object, Any]]
    """By an object's id: the object, and what stands for it in the belief."""
    below = 0
    """Bytes of the parts that the body being written refers to."""
    depth = 0
    differs = False
    stopped: BaseException | None = None

    def typed(self, value: Any, reader: Reader, *, whole: bool = False) -> Pair:
        """Write an object of fields; as a part, or as it stands where it is small.

        Args:
            value: the object.
            reader: of its type.
            whole: it is the value itself, which is no part.
        """
        assert reader.fields is not None
        fields = reader.fields(value)
        if type(fields) is not dict or self.depth == DEEPEST:
            raise UnfitError
        more = None if reader.extra is None else reader.extra(value)
        fields = {**fields, **more} if type(more) is dict and more else fields.copy()
        if "\0" in fields:
            raise UnfitError
        fields["\0"] = reader.mark
        shape = reader.shape
        if len(shape[0]) != len(fields) or not all(map(is_, shape[0], fields)):
            shape = self.shaped(reader, fields)
        before, self.below = self.below, 0
        self.depth += 1
        if whole or not shape[1]:
            body, lean = self.message(fields) if shape[1] else self.mapping(fields, False)
        elif type(text := fields.get("content")) is str and len(text) >= LONG:
            body, lean = self.long_message(fields, text)
            self.depth -= 1
            self.below += before
            return body, lean
        else:  # a message in a list, as nearly all are
            pair = self.told(fields, before)
            self.depth -= 1
            return pair
        self.depth -= 1
        if whole or len(body) < INLINE_BELOW:
            self.below += before
            return body, body if lean == body else lean
        return self.part(body, lean, before)

    def told(self, fields: dict[str, Any], before: int) -> Pair:
        """Write a message in a list: a part, whose belief need not be written if it is known; or as it stands.

        Args:
            fields: its own, and ours to change.
            before: bytes of parts of what holds it.
        """
        outside, self.differs = self.differs, False
        body = packb(fields, self.hook, OPTIONS)
        if FLOAT in body and odd_nan(body):
            raise UnfitError
        self.differs = outside
        if len(body) < INLINE_BELOW:
            lean = self.leans.get(body) or self.believed(body, fields)
            self.below += before
            return body, body if lean == body else lean
        digest = digest_of(body)
        lean = body if digest in self.known else self.believed(None, fields)
        return self.part(body, lean, before, digest)

    def shaped(self, reader: Reader, fields: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
        """Return the keys of an object's fields and whether they are a message's; remember both for the next one."""
        if not plain_keys(fields):
            raise UnfitError
        reader.shape = tuple(fields), speaks(fields)
        return reader.shape

    def long_message(self, fields: dict[str, Any], text: str) -> Pair:
        """Write a message of a long text: only what stands beside the text is read if it is known."""
        differs = self.differs
        fields["content"] = None
        key = id(text), packb(fields, self.hook, OPTIONS)
        fields["content"] = text
        self.below, self.differs = 0, differs
        known = self.known_by(key)
        if known is not None:
            return known
        body, _ = self.packed(fields)
        digest = digest_of(body)
        lean = body if digest in self.known else self.believed(None, fields)
        return self.held(key, text, digest, self.part(body, lean, 0, digest))

    def long_text(self, text: str) -> Pair:
        """Write a long text that is split off."""
        before, self.below = self.below, 0
        pair = self.known_by(id(text))
        if pair is None:
            body = packb(text)
            digest = digest_of(body)
            pair = self.held(id(text), text, digest, self.part(body, body, 0, digest))
        self.below += before
        return pair

    def known_by(self, key: object) -> Pair | None:
        """Return what refers to a part that is told by a text's identity; None where it must be written once more."""
        found = self.texts.get(key)
        info = None if found is None else self.known.get(found[1])
        if found is None or info is None or info[3] != self.version or info[2] != found[1]:
            return None
        self.below = info[1]
        reference = PART + info[2]
        return reference, reference if info[0] == info[2] else PART + info[0]

    def held(self, key: object, text: str, digest: bytes, pair: Pair) -> Pair:
        """Hold a text for as long as it is known by its identity."""
        texts = self.texts
        if len(text) > MOST_HELD:  # the app's to let go
            return pair
        if len(texts) >= MOST_TEXTS or sum([len(one) for one, _ in [*texts.values()]]) > MOST_HELD:
            texts.clear()
        texts[key] = text, digest
        return pair

    def message(self, fields: dict[str, Any]) -> Pair:
        """Write a message where it stands: a dict, or the value itself."""
        body = self.packed(fields)[0]
        lean = self.leans.get(body) if len(body) < INLINE_BELOW else None
        if lean is None:
            lean = self.believed(body, fields)
        return body, body if lean == body else lean

    def believed(self, body: bytes | None, fields: dict[str, Any]) -> bytes:
        """Return the bytes of a message's belief, and remember those of a small one."""
        lean = packb(meaning(fields), self.lean_hook, OPTIONS)
        if body is not None and len(body) < INLINE_BELOW:
            self.leans[body] = lean
        return lean

    def part(self, body: bytes, lean: bytes, before: int, digest: bytes | None = None) -> Pair:
        """Split off a body; return what refers to it."""
        if digest is None:
            digest = digest_of(body)
        info = self.known.get(digest) or self.fresh.get(digest)
        if info is None:
            belief = digest if lean is body or lean == body else digest_of(lean)
            info = self.fresh[digest] = belief, len(body) + self.below, digest, self.version
            self.parts.append((digest, body))
        elif info[3] != self.version or info[2] != digest:
            raise UnfitError  # it must be read for what is secret by now, or is kept without its secrets
        self.below = before + info[1]
        reference = PART + digest
        return reference, reference if info[0] == digest else PART + info[0]

    def wrapped(self, value: Any, reader: Reader) -> Pair:
        """Write a tuple, a set, a member of an enum or an instance of a subclass: what it holds, in an entry."""
        shape, code, content, why = reader.read(value)
        if why or reader.cost > 1 or self.depth == DEEPEST or shape not in (WRAP, UNORDERED):
            raise UnfitError
        before, self.below = self.below, 0
        self.depth += 1
        if shape == WRAP:
            body, lean = self.packed(content)
        else:
            pairs = [self.packed(item) for item in content]
            head = array(len(pairs))
            body = head + b"".join(sorted([one for one, _ in pairs]))
            lean = head + b"".join(sorted([one for _, one in pairs]))
        self.depth -= 1
        exact = entry(code, body)
        lean = exact if lean == body else entry(code, lean)
        if len(exact) < INLINE_BELOW:
            self.below += before
            return exact, lean
        return self.part(exact, lean, before)

    # Anything, by the C packer

    def packed(self, value: object) -> Pair:
        """Write a value whole: only objects in it are split off."""
        outside, self.differs = self.differs, False
        body = packb(value, self.hook, OPTIONS)
        if FLOAT in body and odd_nan(body):
            raise UnfitError
        lean = packb(value, self.lean_hook, OPTIONS) if self.differs else body
        self.differs = outside
        return body, lean

    def hook(self, value: object) -> Any:
        """Stand in for what the C packer does not know."""
        try:
            kind = type(value)
            reader = READERS.get(id(kind)) or reader_of(kind)
            if reader.fields is not None:
                body, belief = self.typed(value, reader)
                stand: Any = Fragment(body)
                lean = stand
                if belief is not body:
                    self.differs, lean = True, Fragment(belief)
            elif reader.is_leaf:
                _, code, content, why = reader.read(value)
                if why:
                    raise UnfitError
                stand = lean = Ext(code, content)
            else:
                body, belief = self.wrapped(value, reader)
                stand = lean = Fragment(body)
                if belief is not body:
                    self.differs, lean = True, Fragment(belief)
            self.met[id(value)] = value, lean
            return stand
        except Exception:
            raise
        except BaseException as stop:
            self.stopped = stop
            raise

    def lean_hook(self, value: object) -> Any:
        """Stand in for what the hook has met, in the belief."""
        return self.met[id(value)][1]

    @abstractmethod
    def mapping(self, fields: dict[str, Any], speaks: bool | None) -> Pair:
        """Write an object's fields."""
