"""One encoding, below the top: from any value to canonical bytes, typed objects split off as parts.

The C packer does the work and calls `Walk.hook` for what it does not know. What it refuses (a dict with keys
that are not str, a lone surrogate, an odd NaN, deep nesting) and what loses something (a lock, a cycle) is
done again by `Walk.slow`, which writes the same bytes and knows the path.

Writing yields two byte strings: the canonical bytes and those of the belief projection. They are one object
where no message-like thing was met.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from ormsgpack import Ext, Fragment, packb

from becausal.canonical.leaves import FIELDS, ITEMS, LEAF, UNORDERED, Sight
from becausal.canonical.looks import SCALARS, is_secret, is_text, plain_keys
from becausal.canonical.readers import Reader, reader_of
from becausal.canonical.terms import Info, Known, Pair, Path, Redacting, Seen, UnfitError, step, text_of
from becausal.canonical.wire import (
    FLOAT,
    INLINE_BELOW,
    OPTIONS,
    Code,
    array,
    digest_of,
    entry,
    mapping,
    odd_nan,
)

__all__ = ["MOST_LEVELS", "MOST_PLAIN_LEVELS", "Walk"]

MOST_PLAIN_LEVELS = 255
"""So many plain dicts and lists in one another the C packer follows; the slow path goes as deep."""

MOST_LEVELS = 64
"""So many typed objects, tuples and sets in one another are followed. A plain object, one that is neither a
model nor a dataclass, counts as sixteen."""

NAN = packb(float("nan"))


class Walk(ABC):
    """The state of one encoding."""

    below = 0
    """Bytes of the parts that the body being written refers to."""
    differs = False
    """A belief differs from its canonical bytes in what is being packed."""
    level = reach = 0
    """Where we are, and the deepest level met."""
    cycles = 0
    bare = 0
    """The id of the value itself, which is no part."""
    redact: Redacting | None = None
    version = 0
    """The redaction's, when this was begun."""
    is_under_secret = False
    """What is being written stands under a secret's name, and stays where that name is seen: it is no part."""
    stopped: BaseException | None = None
    """What ended a call-back and is no failure, such as a Ctrl-C; see `becausal.canonical.calling`."""
    reads_late = False
    """Parts are handed out as they are: whoever asked for them has them read all at once."""

    def __init__(self, known: Known, *, fast: bool = True) -> None:
        self.known = known
        self.fast = fast
        self.fresh: Known = {}
        self.renamed: list[tuple[bytes, bytes]] = []
        """(digest handed out, digest of the canonical bytes) of the parts of which something was redacted."""
        self.parts: list[tuple[bytes, bytes]] = []
        self.lossy: dict[tuple[str, str], None] = {}
        self.active: dict[int, int] = {}  # id of a container being written: its place from the root
        self.seen: dict[int, Seen] = {}
        self.seen_other: dict[int, Seen] = {}
        """The same of what stands under a secret's name, where nothing is a part; there, of what does not."""

    def turn(self) -> None:
        """Go from what stands under no secret's name to what does, or back."""
        self.is_under_secret = not self.is_under_secret
        self.seen, self.seen_other = self.seen_other, self.seen

    def turns_at(self, key: Any, beside: Mapping[str, Any] | None = None) -> bool:
        """Return whether what stands under a key is no part from here on; on the fast path no key is looked at."""
        is_open = not self.fast and not self.is_under_secret
        return is_open and self.redact is not None and is_secret(key, beside, self.redact.is_secret_key)

    def pack(self, value: object, path: Path, *, held: bool = False) -> Pair:
        """Write a value whole: only typed objects and the like are split off.

        Args:
            value: what to write.
            path: where it stands.
            held: it is the content of a container that is noted as being written already.
        """
        differs, below = self.differs, self.below
        self.differs = False
        try:
            if not self.fast:
                raise UnfitError
            body = lean = packb(value, self.hook, OPTIONS)
            if FLOAT in body and odd_nan(body):
                raise UnfitError
            if self.differs:
                lean = packb(value, self.lean_hook, OPTIONS)
            else:
                self.differs = differs
        except Exception:
            self.let_out()
            self.differs, self.below = True, below
            if path is None and self.fast:
                raise
            return self.slow(value, path, held)
        return body, lean

    def believe(self, value: object, path: Path) -> bytes:
        """Write a projected value, whose parts have been written with the whole one."""
        try:
            if not self.fast:
                raise UnfitError
            lean = packb(value, self.lean_hook, OPTIONS)
            if FLOAT in lean and odd_nan(lean):
                raise UnfitError
        except Exception:
            self.let_out()
            if path is None and self.fast:
                raise
            below, self.below = self.below, 0
            lean = self.slow(value, path, True)[1]
            self.below = below
        return lean

    def hook(self, value: object) -> Any:
        """Stand in for what the C packer does not know."""
        try:
            reader = reader_of(type(value))
            if reader.is_leaf:
                _, code, content, why = reader.read(value)
                if why:
                    raise UnfitError
                return Ext(code, content)
            seen = self.see(value, None) if reader.fields is None else self.typed(value, reader)
            if seen[1] is not seen[2]:
                self.differs = True
            return seen[1]
        except Exception:
            raise
        except BaseException as stop:
            self.stopped = stop
            raise

    def lean_hook(self, value: object) -> Any:
        """Do so in the belief, for what the hook has met already."""
        try:
            found = self.seen.get(id(value))
            if found is not None:
                return found[2]
            shape, code, content, why = reader_of(type(value)).read(value)
            if shape != LEAF or why:
                raise UnfitError
            return Ext(code, content)
        except Exception:
            raise
        except BaseException as stop:
            self.stopped = stop
            raise

    def let_out(self) -> None:
        """Raise what has ended a call-back and was no failure: the packer has put an error of its own in its place."""
        stop, self.stopped = self.stopped, None
        if stop is not None:
            raise stop from None

    def see(self, value: object, path: Path) -> Seen:
        """Return what stands for a value in what holds it: an extension entry, or bytes to be put in."""
        key = id(value)
        found = self.seen.get(key)
        if found is not None and self.level + found[3] <= MOST_LEVELS:
            self.below += found[4]
            self.reach = max(self.reach, self.level + found[3])
            return found
        reader = reader_of(type(value))
        try:
            sight = reader.read(value)
        except Exception:
            sight = LEAF, Code.OPAQUE, reader.name.encode(), f"unreadable {reader.name}"
        shape, code, content, why = sight
        if why:
            self.lose(path, why)
        if shape == LEAF:
            leaf = Fragment(content) if code is None else Ext(code, content)
            return value, leaf, leaf, 0, 0
        if key in self.active:
            return self.cycle(value, path)
        if self.level + reader.cost > MOST_LEVELS:
            self.lose(path, f"deeper than {MOST_LEVELS} levels of objects")
            cut = Ext(Code.CUT, reader.name.encode())
            return value, cut, cut, 0, 0
        return self.enter(value, path, reader.cost, sight)

    def enter(self, value: object, path: Path, cost: int, sight: Sight) -> Seen:
        """Write a container one level down, and keep what stands for it."""
        key = id(value)
        level, reach, below = self.level, self.reach, self.below
        cycles, lost = self.cycles, len(self.lossy)
        self.active[key] = len(self.active)
        self.level = self.reach = level + cost
        self.below = 0
        try:
            if sight[0] == FIELDS:
                body, lean = self.fields(sight[1], sight[2], path)
            else:
                body, lean = self.write(sight[0], sight[1], sight[2], path)
            stand, belief = self.settle(body, lean, whole=key == self.bare)
            height, size = self.reach - level, self.below
        finally:
            del self.active[key]
            self.level, self.below = level, below
            if reach > self.reach:
                self.reach = reach
        self.below += size
        seen = (value, stand, belief, height, size)
        # What a cycle or a cut looks like depends on the way there.
        if cycles == self.cycles and lost == len(self.lossy):
            self.seen[key] = seen
        return seen

    def settle(self, body: bytes, lean: bytes, *, whole: bool) -> tuple[Any, Any]:
        """Make a part of a body, or put it where it stands if it is small; leave the whole value as it is."""
        if whole:
            return body, lean
        if len(body) >= INLINE_BELOW and not self.is_under_secret:
            digest, belief = self.part(body, lean)
            stand = Ext(Code.PART, digest)
            return stand, stand if belief is digest or belief == digest else Ext(Code.PART, belief)
        fragment = Fragment(body)
        return fragment, fragment if lean is body or lean == body else Fragment(lean)

    def part(self, body: bytes, lean: bytes, before: int = 0) -> Pair:
        """Split off a body; return its digest and its belief digest, both of what may be kept of it.

        Args:
            body: the canonical bytes.
            lean: the belief bytes; of no account for a part already known.
            before: bytes of parts of what holds this one.
        """
        digest = digest_of(body)
        info = self.info_of(digest) or self.hand_out(digest, body, lean)
        self.below = before + info[1]
        return info[2], info[0]

    def info_of(self, digest: bytes) -> Info | None:
        """Return what is known of a part, if it holds nothing that must be taken out by now."""
        info = self.known.get(digest)
        return info if info is not None and info[3] == self.version else self.fresh.get(digest)

    def hand_out(self, digest: bytes, body: bytes, lean: bytes) -> Info:
        """Hand out a part that is not known yet, as it may be kept; return what `Known` says of it."""
        handed = digest
        redact = None if self.reads_late else self.redact
        known = self.known.get(digest)
        if known is not None and self.redact is not None:  # handed out before more was known to be secret
            redact = self.redact
            kept = redact.body(body, digest)
            if known[2] == (digest if kept is body else digest_of(kept)):
                info = self.fresh[digest] = (*known[:3], self.version)
                return info
        if redact is not None and (kept := redact.body(body, digest)) is not body:
            body, lean = kept, kept if lean is body else redact.body(lean)
            handed = digest_of(body)
            self.renamed.append((handed, digest))
        belief = handed if lean is body or lean == body else digest_of(lean)
        info = self.fresh[digest] = belief, len(body) + self.below, handed, self.version
        self.parts.append((handed, body))
        return info

    def write(self, shape: int, code: Any, content: Any, path: Path) -> Pair:
        """Write the inside of what a reader saw."""
        if shape == UNORDERED:
            pairs = [self.pack(item, step(path, "{}")) for item in content]
            columns = [sorted(bodies) for bodies in zip(*pairs, strict=True)]
            return _both(code, array(len(pairs)), columns)
        if shape == ITEMS:
            rows = []
            for key, value in content:
                name = self.pack(key, step(path, "{key}"))[0]
                turns = not self.fast and self.turns_at(key)
                if turns:
                    self.turn()
                inner = self.pack(value, step(path, key))
                if turns:
                    self.turn()
                rows.append((b"\x92" + name, inner[0], inner[1]))
            rows.sort()
            columns = [[k + v for k, v, _ in rows], [k + v for k, _, v in rows]]
            return _both(code, array(len(rows)), columns)
        body, lean = self.pack(content, path, held=True)
        exact = entry(code, body)
        return exact, exact if lean is body else entry(code, lean)

    @abstractmethod
    def fields(self, name: str, fields: dict[str, Any], path: Path) -> Pair:
        """Write a typed object, whose fields are ours to change."""

    @abstractmethod
    def typed(self, value: object, reader: Reader) -> Seen:
        """Return what stands for a typed object that is its fields, on the fast path."""

    def cycle(self, value: object, path: Path) -> Seen:
        """Refer to a container that is still being written, by how many containers up it is."""
        if path is None and self.fast:
            raise UnfitError
        self.cycles += 1
        up = Ext(Code.CYCLE, packb(len(self.active) - self.active[id(value)]))
        return value, up, up, 0, 0

    def lose(self, path: Path, why: str) -> None:
        """Note that something was left out."""
        if path is None:
            raise UnfitError
        self.lossy[text_of(path), why] = None

    def slow(self, value: object, path: Path, held: bool) -> Pair:
        """Write what the C packer refuses, without recursion over plain dicts and lists."""
        exact: list[bytes] = []
        lean: list[bytes] = []
        # bytes: write them. int: the container of this id is done. tuple: a value, its path, its depth.
        # None: from here on it stands under a secret's name, or does so no more.
        todo: list[Any] = [*self.inside(value, path, 2)][::-1] if held else [(value, path, 1)]
        while todo:
            task = todo.pop()
            if type(task) is bytes:
                exact.append(task)
                lean.append(task)
            elif type(task) is int:
                del self.active[task]
            elif task is None:
                self.turn()
            else:
                self.slow_step(task, todo, exact, lean)
        body = b"".join(exact)
        belief = b"".join(lean)
        return body, body if belief == body else belief

    def slow_step(self, task: Any, todo: list[Any], exact: list[bytes], lean: list[bytes]) -> None:
        """Write one value, or its head and leave its items for later."""
        value, path, depth = task
        kind = type(value)
        plain = kind is list or (kind is dict and plain_keys(value))
        if plain and id(value) not in self.active:
            if depth > MOST_PLAIN_LEVELS:
                self.lose(path, f"deeper than {MOST_PLAIN_LEVELS} levels")
                todo.append(entry(Code.CUT, kind.__name__.encode()))
                return
            self.active[id(value)] = len(self.active)
            todo.append(id(value))
            todo.extend(reversed(list(self.inside(value, path, depth + 1))))
            return
        if plain:
            pair = self.cycle(value, path)[1:3]
        elif kind is float and value != value:
            todo.append(NAN)
            return
        elif id(kind) in SCALARS and (kind is not str or value.isascii() or is_text(value)):
            todo.append(packb(value, self.hook, OPTIONS))
            return
        else:
            pair = self.see(value, path)[1:3]
        exact.append(packb(pair[0]))
        lean.append(exact[-1] if pair[0] is pair[1] else packb(pair[1]))

    def inside(self, value: Any, path: Path, depth: int) -> Iterable[Any]:
        """Return the tasks for a plain container: its head, its keys, its items."""
        if type(value) is dict and not plain_keys(value):  # a typed object's own fields
            yield value, path, depth
        elif type(value) is list:
            items = value.copy()
            yield array(len(items))
            for index, item in enumerate(items):
                yield item, step(path, index), depth
        elif type(value) is dict:
            fields = value.copy()
            yield mapping(len(fields))
            for key in sorted(fields):
                yield packb(key)
                inner = fields[key], step(path, key), depth
                yield from (None, inner, None) if self.turns_at(key, fields) else (inner,)
        else:
            yield value, path, depth


def _both(code: Code, head: bytes, columns: list[list[bytes]]) -> Pair:
    bodies = [entry(code, head + b"".join(column)) for column in columns] or [entry(code, head)] * 2
    exact, lean = bodies
    return exact, exact if exact == lean else lean
