"""Canonical bytes and content digests of any value an app hands around.

The idea: one value, one byte string, one digest. A value is written as msgpack with sorted keys, with
extension codes of our own for what msgpack lacks, and is split into parts (typed objects, messages, big
fields) that enter by their digest. So the digest is a Merkle root, a message that is sent again is digested
to the same part, and a store keeps it once.

Promises
--------
total
    Every value has a digest. What cannot be read (a lock, a function's code) is written by name and
    reported in `Encoded.lossy` with its path; a cycle is a reference upwards and loses nothing.
typed
    1, 1.0, True, "1", b"1", (1,) and [1] differ, so do 0.0 and -0.0, `{1: x}` and `{"1": x}`, a naive and an
    aware datetime, one instant in two zones, Decimal("1.0") and Decimal("1.00"). All NaNs are one.
    `bytes`, `bytearray` and `memoryview` of the same content are one as well.
harmless
    No code of the app runs: no `__repr__`, `__eq__`, `__iter__`, property or `__getattr__`.
fixed
    `bc1` names this form. A digest of it never changes; another form gets another name.

Not promised: values made of `ormsgpack.Ext` or `ormsgpack.Fragment` are written as they stand and can
imitate any other. The digest is no proof against forgery. Order is not part of a dict's meaning, not even an
OrderedDict's.

What is split off is told in `becausal.canonical.top`, what the belief leaves out in
`becausal.canonical.belief`. The belief digest is the digest of the same bytes with message-like things
projected and with the belief digests of the parts in the place of their digests; where no message-like
thing was met, both digests are equal.

Departs from RFC 8785 (canonical JSON): not JSON, since JSON cannot tell most of the above apart.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ormsgpack import packb

from becausal import settings
from becausal.canonical.decoded import Cycle, Missing, Opaque, Record, decode, part_digests
from becausal.canonical.leaves import name_of
from becausal.canonical.readers import READERS, reader_of
from becausal.canonical.swift import Swift
from becausal.canonical.terms import Known, Pair, Redacting, Run, SplitError
from becausal.canonical.top import TopWalk
from becausal.canonical.wire import INLINE_BELOW, PART, Code, array, digest_of, entry

__all__ = [
    "PREFIX",
    "Cycle",
    "Encoded",
    "Encoder",
    "Missing",
    "Opaque",
    "Record",
    "Redacting",
    "decode",
    "digest_text",
    "encode",
    "parse_digest",
    "parse_digests",
    "part_digests",
    "plain",
]

PREFIX = "bc1-xxh3:"
"""The canonical form and the hash, in front of a digest's text."""

TEXT = reader_of(str).name
"""What the type of a text is called."""

MARKED = b"[redacted:"
"""What stands in what was redacted: its digest as it was is another one."""


class Encoded(NamedTuple):
    """A value's canonical form."""

    digest: bytes
    """16 bytes: the digest of `body`, and so, parts entering by their digest, of the whole value."""
    belief: bytes
    """16 bytes: the digest of the belief projection."""
    size: int
    """Bytes of `body` and of every part below it, a part that is referred to twice counted twice."""
    body: bytes
    parts: tuple[tuple[bytes, bytes], ...]
    """(digest, body) of the parts met for the first time, those that are referred to first."""
    type_name: str
    lossy: tuple[tuple[str, str], ...]
    """(path, why) of what was left out."""


class Encoder:
    """Encodes values and remembers the parts that it handed out. Safe to be used by several threads.

    What is remembered is remembered by content, so a change in place is seen like any other.
    """

    MOST_PARTS = 16384
    MOST_RUNS = 256
    MOST_LEANS = 1024

    def __init__(self, redact: Redacting | None = None) -> None:
        self._redact = redact
        self._known: Known = {}
        self._renamed: dict[bytes, set[bytes]] = {}  # by the digest handed out: those of what was redacted
        self._runs: dict[int, Run] = {}
        self._leans: dict[bytes, bytes] = {}
        self._harmless: set[str] = set()
        self._texts: dict[object, tuple[str, bytes]] = {}

    def encode(self, value: object) -> Encoded:
        """Return the canonical form of any value. Never raises: where we fail it is unreadable, but if strict."""
        if type(value) is str:
            return self._text(value)
        redact, known, runs = self._redact, self._known, self._runs
        # First the way that nearly every value can go, all of it in this one frame: each step is here twice.
        swift = Swift()
        swift.known, swift.runs, swift.leans, swift.texts = known, runs, self._leans, self._texts
        # Before anything is looked through: what is learned meanwhile may stand in what was looked through already.
        swift.version = version = 0 if redact is None else redact.version
        swift.harmless, swift.redact = self._harmless, redact
        swift.fresh, swift.parts, swift.new_runs, swift.met = {}, [], {}, {}
        try:
            body, lean = swift.root(value)
        except Exception:
            if swift.stopped is not None:
                raise swift.stopped from None
            body = lean = b""
        if not body:
            return self._thoroughly(value)
        digest = digest_of(body)
        parts = swift.parts
        if redact is not None and not (redact.keeps((*parts, (digest, body))) and redact.version == version):
            return self._thoroughly(value)
        if swift.fresh or swift.new_runs:
            self._remember(known, swift.fresh, runs, swift.new_runs)
        kind = type(value)
        name = (READERS.get(id(kind)) or reader_of(kind)).name
        belief = digest if lean is body else digest_of(lean)
        # As `Encoded(...)` makes it, without a call of ours.
        return tuple.__new__(Encoded, (digest, belief, len(body) + swift.below, body, tuple(parts), name, ()))

    def _text(self, text: str) -> Encoded:
        """Return the canonical form of a text: it has no parts, and nothing in it has to be walked through."""
        redact = self._redact
        version = 0 if redact is None else redact.version  # before it is looked through, as above
        try:
            body = packb(text)
        except TypeError:  # half a surrogate pair
            return self._thoroughly(text)
        digest = digest_of(body)
        if redact is not None and not (redact.keeps(((digest, body),)) and redact.version == version):
            return self._thoroughly(text)
        return tuple.__new__(Encoded, (digest, digest, len(body), body, (), TEXT, ()))

    def _thoroughly(self, value: object) -> Encoded:
        """Return the canonical form of a value of any shape, whatever is redacted of it."""
        redact, known, runs = self._redact, self._known, self._runs
        walk, encoded = _encode(value, known, runs, self._leans, redact)
        if redact is not None and redact.version != walk.version:
            # Its later parts told of secrets in earlier ones, or another thread did.
            return self.encode(value)
        for handed, digest in walk.renamed:
            self._renamed.setdefault(handed, set()).add(digest)
        self._remember(known, walk.fresh, runs, walk.new_runs)
        return encoded

    def _remember(self, known: Known, fresh: Known, runs: dict[int, Run], new_runs: dict[int, Run]) -> None:
        """Remember what was handed out. Only now: another thread must not take for that what is in the making."""
        known.update(fresh)
        if len(known) > self.MOST_PARTS:
            self.forget()
        runs.update(new_runs)
        if len(runs) > self.MOST_RUNS:
            self._runs = {}
        if len(self._leans) > self.MOST_LEANS:
            self._leans = {}

    def is_part(self, message: Encoded, version: int) -> None:
        """Note that a message which was encoded by itself is kept: in a list it is the same part, known already.

        Args:
            message: its form. A typed object that is never split has one digest, alone and in a list.
            version: of the redaction, before it was encoded.
        """
        digest, belief, size, body, *_ = message
        if len(body) >= INLINE_BELOW and not message.lossy and MARKED not in body:
            self._known[digest] = belief, size, digest, version

    def reference(self, body: bytes) -> bytes | None:
        """Return what refers to the part that has these bytes, if it was handed out as it is and is clean by now."""
        digest = digest_of(body)
        info = self._known.get(digest)
        version = 0 if self._redact is None else self._redact.version
        return None if info is None or info[2] != digest or info[3] != version else PART + digest

    def listed(self, digests: Sequence[bytes]) -> Encoded | None:
        """Return the canonical form of a list of known parts without reading one of them; None where one is not known.

        Equal to `encode` of the list. Its own bytes, which are digests, hold no secret.
        """
        version = 0 if self._redact is None else self._redact.version
        infos = [info for info in map(self._known.get, digests) if info is not None and info[3] == version]
        if len(infos) != len(digests):
            return None
        head = array(len(infos))
        body = head + b"".join([PART + handed for _, _, handed, _ in infos])
        lean = head + b"".join([PART + belief for belief, _, _, _ in infos])
        digest = digest_of(body)
        belief = digest if lean == body else digest_of(lean)
        size = len(body) + sum([size for _, size, _, _ in infos])
        return Encoded(digest, belief, size, body, (), reader_of(list).name, ())

    def forget(self, digests: Collection[bytes] | None = None) -> None:
        """Drop what is remembered, of all parts or of those that bear some digests: they are handed out again."""
        self._runs = {}  # what stands on such a part does not say so
        if digests is None:
            self._known, self._renamed, self._leans, self._texts = {}, {}, {}, {}
            return
        for handed in digests:
            for digest in (handed, *self._renamed.pop(handed, ())):
                self._known.pop(digest, None)


def encode(value: object, redact: Redacting | None = None) -> Encoded:
    """Return the canonical form of any value, with all its parts, as it may be kept. Never raises, but if strict."""
    return _encode(value, {}, None, None, redact)[1]


def plain(value: object) -> object:
    """Return a value of this moment as plain Python data; see `decode`."""
    encoded = encode(value)
    return decode(encoded.body, dict(encoded.parts).get)


def digest_text(digest: bytes) -> str:
    """Return a digest as text, `bc1-xxh3:` and 32 hex digits."""
    return PREFIX + digest.hex()


def parse_digest(text: str) -> bytes:
    """Return the digest that a text stands for.

    Raises:
        ValueError: the text is not of this canonical form.
    """
    if not text.startswith(PREFIX) or len(text) != len(PREFIX) + 32:
        raise ValueError(f"not a digest of the form {PREFIX}<32 hex digits>: {text!r}")
    return bytes.fromhex(text[len(PREFIX) :])


def parse_digests(texts: Collection[str]) -> list[bytes]:
    """Return the digests that texts stand for, as `parse_digest` does: of many in a part of the time.

    Raises:
        ValueError: one of them is not of this canonical form.
    """
    start, length = len(PREFIX), len(PREFIX) + 32
    digits = [text[start:] for text in texts if len(text) == length and text.startswith(PREFIX)]
    digests = bytes.fromhex("".join(digits))
    if len(digests) != 16 * len(texts):
        return [parse_digest(text) for text in texts]
    return [digests[at : at + 16] for at in range(0, len(digests), 16)]


def _encode(
    value: object,
    known: Known,
    runs: dict[int, Run] | None,
    leans: dict[bytes, bytes] | None,
    redact: Redacting | None,
) -> tuple[TopWalk, Encoded]:
    try:
        return _walked(value, known, runs, leans, redact)
    except RecursionError:
        return _on_a_fresh_stack(value, known, redact)
    except Exception as failure:
        return _failed(value, failure)


def _walked(
    value: object,
    known: Known,
    runs: dict[int, Run] | None,
    leans: dict[bytes, bytes] | None,
    redact: Redacting | None,
) -> tuple[TopWalk, Encoded]:
    # Before anything is looked through: what is learned meanwhile may stand in what was looked through already.
    version = 0 if redact is None else redact.version
    walk = TopWalk(known, runs, leans)
    walk.redact, walk.reads_late, walk.version = redact, True, version
    body, lean = walk.root(value)
    if redact is not None and not redact.keeps([*walk.parts, (digest_of(body), body)]):
        try:
            if any(redact.body(part, name) is not part for name, part in walk.parts):
                # Once more, and each part read before what refers to it: that is another with another part.
                walk = TopWalk(known, runs, leans)
                walk.redact, walk.version = redact, version
                body, lean = walk.root(value)
            body, lean = _clean(body, lean, redact)
        except SplitError:
            walk, body, lean = _in_its_place(value, known, redact, version)
    digest = digest_of(body)
    lossy = tuple(walk.lossy)
    if lossy and redact is not None:
        lossy = tuple((redact.text(path), why) for path, why in lossy)
    return walk, Encoded(
        digest,
        digest if lean is body else digest_of(lean),
        len(body) + walk.below,
        body,
        tuple(walk.parts),
        reader_of(type(value)).name,
        lossy,
    )


def _clean(body: bytes, lean: bytes, redact: Redacting) -> Pair:
    if (kept := redact.body(body, digest_of(body))) is body:
        return body, lean
    return kept, kept if lean is body else redact.body(lean)


def _in_its_place(
    value: object, known: Known, redact: Redacting, version: int
) -> tuple[TopWalk, bytes, bytes]:
    """Write a value once more, what stands under a secret's name where it stands, however deep that is.

    First with a look at each key of each dict, which takes its time. Where that does not do, since the name is no key
    (`{"name": "password", "value": …}`) or no text, nothing at all is split off.
    """
    walk = TopWalk(known, None, fast=False)
    walk.redact, walk.version = redact, version
    try:
        return walk, *_clean(*walk.root(value), redact)
    except SplitError:
        walk = TopWalk(known, None)
        walk.redact, walk.version, walk.is_under_secret = redact, version, True
        return walk, *_clean(*walk.root(value), redact)


def _on_a_fresh_stack(value: object, known: Known, redact: Redacting | None) -> tuple[TopWalk, Encoded]:
    """Do it in a thread: the caller stands so deep that there is no room left, and what is written must
    not depend on that."""
    found: list[tuple[TopWalk, Encoded]] = []
    failures: list[Exception] = []

    def work() -> None:
        try:
            found.append(_walked(value, known, None, None, redact))
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        thread.join()
    except RuntimeError:
        return _unreadable(value)  # no thread to be had
    return found[0] if found else _failed(value, failures[0])


def _failed(value: object, failure: Exception) -> tuple[TopWalk, Encoded]:
    # What is the app's to fail, its objects' own methods, is caught where it is asked for: this is ours.
    if settings.is_strict():
        raise failure
    return _unreadable(value)


def _unreadable(value: object) -> tuple[TopWalk, Encoded]:
    name = name_of(type(value))
    body = entry(Code.OPAQUE, name.encode())
    digest = digest_of(body)
    lost = (("$", f"unreadable {name}"),)
    return TopWalk({}, None), Encoded(digest, digest, len(body), body, (), name, lost)
