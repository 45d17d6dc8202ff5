"""What redacts: values as they are encoded, and texts.

An encoded body is read once by one automaton of all kinds; only where that finds something is the body taken apart and
its texts rewritten. A body that was read before is known by its digest.
"""

from __future__ import annotations

import functools
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import ormsgpack

from becausal import settings
from becausal.canonical.terms import SplitError
from becausal.canonical.wire import EXTENSION, PART, digest_of, only_refers
from becausal.redaction.blocks import FROM, Blocks
from becausal.redaction.cards import RUN, may_hold_card, numbers_in
from becausal.redaction.chunks import whole
from becausal.redaction.finder import DIGITS_ALONE, TAIL, Finder, named_value
from becausal.redaction.kinds import KINDS, Kind
from becausal.redaction.marker import MARKER
from becausal.redaction.own import Own

__all__ = ["FAILED", "WITHHELD", "Redactor"]

log: logging.Logger = logging.getLogger("becausal")

WITHHELD: Final = "[redacted:withheld]"
"""What stands for content that could not be looked through."""

FAILED: Final = "redaction failed"
"""The reason under which such content is counted as a gap."""

MOST_NAMES = 1024

_DIGITS = re.compile(RUN.encode())

AT_ONCE = 64
"""Small bodies that are read in one go."""

MOST_DONE = 8192
"""Bodies of which it is remembered what became of them."""


T = TypeVar("T")


class _Judged(dict[str, T], Generic[T]):
    """What was said of names that come again and again; asked for one that is there, it takes no frame of Python's."""

    def __init__(self, judge: Callable[[str], T]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, name: str) -> T:
        said = self._judge(name)
        if len(self) >= MOST_NAMES:
            self.clear()
        self[name] = said
        return said


class Redactor:
    """Replaces secrets. Safe to be used by several threads; never raises."""

    _clean: tuple[int, None]
    """What is remembered of bodies that may be kept as they are: one thing, of which each would have its own."""

    version: int
    """Grows when a secret was met that has to be looked for elsewhere as well."""

    is_secret_key: Callable[[str], bool]
    """Returns whether what stands under a name may be secret."""

    name: Callable[[str], str]
    """Returns a name without secrets; for names that come again and again."""

    may_hold: Callable[[bytes], Any]
    """Returns what is true where bytes may hold a secret: texts as they are, or packed as a body is.

    It is asked for all that is recorded, so it is one call, and mostly of C; what it finds is looked at by others,
    unless it is True itself.
    """

    def __init__(
        self,
        *,
        kinds: Sequence[Kind] = KINDS,
        own: Sequence[Own] = (),
        keys: Sequence[str] = (),
        builtin_keys: bool = True,
        folder: Path | None = None,
        by_re2: bool = True,
    ) -> None:
        """Make one.

        Args:
            kinds: what is secret by its form.
            own: what users add.
            keys: names of fields whose values are secret.
            builtin_keys: whether the names that becausal knows are such, too.
            folder: where the key of the markers is kept; None: nowhere.
            by_re2: whether RE2 is used where it is there.

        Raises:
            ValueError: a pattern is none.
        """
        self.on_found: Callable[[Counter[str]], object] = lambda kinds: None
        """Told how many values of which kinds were replaced."""
        self.on_failure: Callable[[str], object] = lambda reason: None
        """Told the reason when content was withheld."""
        self._finder = Finder(
            kinds, own=own, keys=keys, builtin_keys=builtin_keys, folder=folder, by_re2=by_re2
        )
        self._sieve = self._finder.sieve
        self._names = named_value(keys, builtin_keys=builtin_keys)
        self._blocks = Blocks()
        self._blocks_at = 0
        self._done: dict[bytes, tuple[int, bytes | None]] = {}
        self.harmless: set[str] = set()
        """Names of attributes that say nothing of secrets."""
        self.said: set[object] = set()
        """What steps have said that holds no secret, and what showed their causes: most say what another has said."""
        self._counted: set[bytes] = set()
        self._has_failed = False
        self.is_secret_key = _Judged(self._finder.is_secret_key).__getitem__
        self._finder.known.on_added = self._reckon_with
        self._reckon_with(0)

    @functools.cached_property
    def _named(self) -> re.Pattern[bytes] | None:
        return None if self._names is None else re.compile(self._names.encode("latin-1"))

    def _reckon_with(self, version: int) -> None:
        """Go by what is known to be secret from now on, once it is found."""
        if self._finder.own:
            self.may_hold = _always
        else:
            self.may_hold = self._has_form_or_is_known if version else self._sieve.matches
        # Not before: another thread would note here what it has read without what is known by now. Of one that is
        # reading right now, what it finds goes to the names of before.
        self.name, self.said = _Judged(self.text).__getitem__, set()
        self.version, self._clean = version, (version, None)

    @property
    def key_id(self) -> str | None:
        """What tells the key of the markers from others; None while no secret was met."""
        return self._finder.key_id

    def forget_after_fork(self) -> None:
        """Begin anew, in a child of a fork."""
        self._finder.known.forget_after_fork()

    def body(self, body: bytes, digest: bytes | None = None) -> bytes:
        """Return a canonical body without secrets; the same object where there are none.

        Args:
            digest: its digest, if the caller has it.

        Raises:
            SplitError: it refers to a part under a secret's name, and can be judged only with that in its place; or
                cannot be looked through, and so not tell under which names its parts stand.
        """
        # Before it is judged: what another thread meets meanwhile is looked for the next time.
        version = self.version
        key = digest_of(body) if digest is None else digest
        known = self._remembered(key, body, version)
        if known is not None:
            return known
        kept = self._rewritten(body) if self._finds_in([body]) else body
        if kept is not body and key not in self._counted:  # it may be read again for what is known by now
            self._counted.add(key)
            self._tell(body, kept)
        if len(self._counted) > MOST_DONE:
            self._counted = set()
        self._remember([key], (version, None if kept is body else kept))
        return kept

    def holds_newer(self, content: bytes, since: int) -> bool:
        """Return whether a secret stands in bytes that was not known at a version."""
        return self._finder.known.newer_stands_in(content, since)

    def keeps(self, bodies: Sequence[tuple[bytes, bytes]]) -> bool:
        """Return whether all of these canonical bodies may be kept as they are; False where only `body` can tell.

        They are read in one go: to look into each by itself takes several times as long where they are small.

        Args:
            bodies: each with its digest in front.
        """
        clean, done = self._clean, self._done
        version = clean[0]
        new: dict[bytes, bytes] = {}
        for digest, body in bodies:
            found = done.get(digest)
            if found is None or (found[0] != version and self._remembered(digest, body, version) is None):
                if EXTENSION not in body[:4] or not only_refers(body):
                    new[digest] = body
            elif found[1] is not None:
                return False
        if new:
            if self._finds_in(new.values()):
                return False
            self._remember(new, clean)
        return True

    def text(self, text: str) -> str:
        """Return a text without secrets; the same object where there are none."""
        try:
            kept = self._finder.text(text)
        except Exception as failure:
            kept = self._withheld(failure)
        if kept is not text:
            self._tell(text.encode("utf-8", "replace"), kept.encode("utf-8", "replace"))
        return kept

    def under(self, name: str, text: str) -> str:
        """Return what may be kept of a text that stands under a name."""
        if not self.is_secret_key(name):
            return self.text(text)
        kept = str(self._finder.under(name, text))
        if kept is not text:
            self._tell(text.encode("utf-8", "replace"), kept.encode("utf-8", "replace"))
        return kept

    def secret_names(self, names: Collection[str]) -> list[str]:
        """Return which of these names say that what stands under them may be secret."""
        found = [name for name in names if self.is_secret_key(name)]
        if not found:
            if len(self.harmless) > MOST_NAMES:
                self.harmless = set()
            self.harmless.update(names)
        return found

    def finds_in(self, text: str) -> bool:
        """Return whether a text may hold a secret; True where only `text` can tell."""
        return bool(self._finder.own) or self._finder.finds_in(text.encode("utf-8", "surrogatepass"))

    def joined(self, pieces: Sequence[str]) -> str | None:
        """Return what may be kept of a text that came in pieces, if a secret lies across their borders; else None."""
        whole = "".join(pieces)
        if not self.finds_in(whole):
            return None
        kept = self.text(whole)
        return None if kept == "".join(map(self.text, pieces)) else kept

    def pieces(self, items: list[object]) -> list[object]:
        """Return a stream's pieces without the secrets that lie across them; see `becausal.redaction.chunks`."""
        return whole(items, self)

    def _remembered(self, digest: bytes, body: bytes, version: int) -> bytes | None:
        """Return what may be kept of a body that was read before, and holds nothing that was met since; else None."""
        found = self._done.get(digest)
        if found is None:
            return None
        at, kept = found
        if kept is None:
            kept = body
        if at != version:
            if self._finder.known.newer_stands_in(kept, at):
                return None
            self._done[digest] = version, found[1]
        return kept

    def _remember(self, digests: Collection[bytes], what: tuple[int, bytes | None]) -> None:
        if len(self._done) + len(digests) > MOST_DONE:
            self._done = {}
        self._done.update(dict.fromkeys(digests, what))

    def _finds_in(self, bodies: Collection[bytes]) -> bool:
        """Return whether a secret may stand in one of some bodies, so that they have to be taken apart."""
        if self._finder.own:
            return True
        if len(bodies) <= AT_ONCE:
            together = b"\n".join(bodies)
            if len(together) < FROM:  # nearly always
                return self._strikes(together)
        if self.version != self._blocks_at:  # what was clean may hold what is known by now
            self._blocks, self._blocks_at = Blocks(), self.version
        blocks = self._blocks
        small: list[bytes] = []
        stretches: list[bytes] = []
        digests: list[bytes] = []
        for body in bodies:
            if len(body) < FROM:
                small.append(body)
            else:
                reach = max(self._finder.reach, self._finder.known.longest)
                unread, fresh = blocks.unread(body, reach)
                stretches += unread
                digests += fresh
        if any(map(self._strikes, chain(stretches, _together(small)))):
            return True
        if digests:
            blocks.learn(digests)
        return False

    def _strikes(self, content: bytes) -> bool:
        """Return whether a secret may stand in bytes, so that they have to be taken apart."""
        matched = self.may_hold(content)
        # True itself: it is judged already.
        return bool(matched) and (
            matched is True or self._has_form(content, matched) or self._finder.known.stands_in(content)
        )

    def _has_form_or_is_known(self, content: bytes) -> Any:
        return self._sieve.matches(content) or self._finder.known.stands_in(content)

    def _has_form(self, body: bytes, matched: object) -> bool:
        """Return whether bytes may hold a secret: by its form, or by a name that is one; digits only as a card.

        Args:
            body: the bytes.
            matched: what the sieve says of them.
        """
        if matched == DIGITS_ALONE:
            return self._finder.holds_number(body)
        from becausal.redaction.wire import ends_text  # here: most processes never meet what may be secret

        found = self._sieve.search(body)
        while found is not None:
            start, end = found.span()
            run = body[start:end]
            if self._named is not None and self._named.fullmatch(run):
                if ends_text(body, end - 1):
                    return True
            elif run[:1] == b"\xcf":
                said = next(numbers_in(body[start : start + 9]))
                if may_hold_card(said) or self._finder.known.stands_in(said):
                    return True
            elif _DIGITS.fullmatch(run) is None:
                return True
            elif (
                digits := _DIGITS.match(body, start)
            ) is not None:  # all of the run, of which a card may begin later
                end = digits.end()
                if may_hold_card(digits[0]):
                    return True
            # The last of it may be the beginning of something else; too few to be such a run again.
            found = self._sieve.search(body, max(start + 1, end - TAIL))
        return False

    def _rewritten(self, body: bytes) -> bytes:
        from becausal.redaction.wire import rewritten

        try:
            before = self.version
            kept = rewritten(body, self._finder)
            if self.version != before:  # its later texts told of secrets in its earlier ones
                kept = rewritten(kept, self._finder)
        except SplitError:
            raise
        except Exception as failure:
            if PART in body and (isinstance(failure, RecursionError) or not self._finder.own):
                raise SplitError from failure  # withheld without its parts, it would leave them as they are
            kept = ormsgpack.packb(self._withheld(failure))
        return body if kept == body else kept

    def _tell(self, given: bytes, kept: bytes) -> None:
        found = _kinds_in(kept)
        found.subtract(_kinds_in(given))
        if some := +found:
            self.on_found(some)

    def _withheld(self, failure: Exception) -> str:
        if settings.is_strict() and not self._finder.own:
            raise failure
        if not self._has_failed:
            self._has_failed = True
            # Not what it says: it may quote what it failed on.
            log.error(
                "becausal withholds what it could not look through for secrets: %s",
                type(failure).__qualname__,
            )
        self.on_failure(FAILED)
        return WITHHELD


def _always(_: bytes) -> bool:
    """Stand for a screen where users added what may be secret: they are asked for every text."""
    return True


def _together(bodies: list[bytes]) -> Iterator[bytes]:
    """Yield small bodies, so many at a time: memory for all of a large value's would be fresh each time."""
    for at in range(0, len(bodies), AT_ONCE):
        some = bodies[at : at + AT_ONCE]
        # An end of a line between them: no pattern goes on over it, nor does a run of digits.
        yield some[0] if len(some) == 1 else b"\n".join(some)


def _kinds_in(data: bytes) -> Counter[str]:
    return Counter(found[1] for found in MARKER.finditer(data.decode("latin-1")))
