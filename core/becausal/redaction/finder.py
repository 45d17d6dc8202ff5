"""Secrets found in texts and under names, and what stands for each.

A text is read by one automaton of all kinds; what it finds is checked by what the kind knows more of it. What only its
surroundings gave away is remembered, so that a bare copy of it is found later on.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from becausal.redaction.blocks import REACH
from becausal.redaction.cards import NUMBER, RUN, may_hold_card, numbers_in
from becausal.redaction.engine import Pattern, Sieve, compiled
from becausal.redaction.keys import (
    HEADS,
    TRAIL,
    WORDS,
    is_placeholder,
    kind_of_key,
    looks_secret,
    worth_remembering,
)
from becausal.redaction.kinds import Kind
from becausal.redaction.known import Known
from becausal.redaction.marker import MARKER, Marking
from becausal.redaction.own import Own, replacing

__all__ = ["DIGITS_ALONE", "TAIL", "Finder", "named_value", "sieve"]

BEFORE = 48
"""Bytes in front of what is found that tell what it is."""

SHORT = 16
"""Bytes of a word that may introduce a secret. Were longer ones read twice, a hostile text would take far longer."""

TAIL = 12
"""Bytes at the end of what turned out to be no secret that are read again: they may begin one."""

DEEPEST = 2
"""So often a value that stands behind a name is looked through for further names; then for forms alone. It is read once
more each time, and a hostile text has nothing but names."""

CARD = "card"
"""The kind that is told by counting."""

NEVER = r"[^\x00-\xff]"
"""Matches nothing."""

DIGITS_ALONE = [1]
"""What the sieve says where of its two patterns only that of digits matches."""

_DIGITS = re.compile(RUN.encode())
_OURS = re.compile(MARKER.pattern.encode())
_LONGEST_MARKER = len("[redacted::01234567]") + 32


class Finder:
    """Replaces secrets in texts. What users added may raise; nothing else does."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        *,
        own: Sequence[Own],
        keys: Sequence[str],
        builtin_keys: bool,
        folder: Path | None,
        by_re2: bool,
    ) -> None:
        self.known = Known()
        self.own = [replacing(one, self.replace) for one in own]
        self._kinds = tuple(kinds)
        self._keys = frozenset(map(_plain, keys))
        self._kind_of_key = kind_of_key if builtin_keys else _of_no_kind
        self._by_re2 = by_re2
        self.sieve = Sieve(
            sieve(kinds, keys, builtin_keys=builtin_keys),
            lambda: self._screen([*map(_loose, keys)], builtin_keys=builtin_keys),
            by_re2=by_re2,
        )
        """Finds each body and each text that may hold a secret."""
        self.reach = REACH + 2 * max(map(len, keys), default=0)
        """Bytes that hold whatever it finds at its shortest."""
        self._marking = Marking(folder)

    @property
    def key_id(self) -> str | None:
        """What tells the key of the markers from others; None while no secret was met."""
        return self._marking.key_id

    def text(self, text: str) -> str:
        """Return a text without secrets; the same object where there are none."""
        for own in self.own:
            text = own(text)
        data = text.encode("utf-8", "surrogatepass")
        kept = self.raw(data)
        return text if kept is data else kept.decode("utf-8", "surrogatepass")

    def raw(self, content: bytes) -> bytes:
        """Return bytes without secrets; the same object where there are none."""
        if self._is_of_a_kind(content):
            content = self._by_kinds(content)
        return self.known.replaced(content) if self.known.stands_in(content) else content

    def finds_in(self, content: bytes) -> bool:
        """Return whether bytes may hold a secret, what users added apart."""
        return self._is_of_a_kind(content) or self.known.stands_in(content)

    def is_secret_key(self, key: str) -> bool:
        """Return whether what stands under a name may be secret."""
        return self._kind_of_key(key) is not None or (bool(self._keys) and _plain(key) in self._keys)

    def under(self, key: str, value: str | bytes | int) -> str | bytes | int:
        """Return what may be kept of a value that stands under a name which says that it may be secret."""
        kind, strong = self._kind_of_key(key) or ("secret", True)
        if isinstance(value, int):
            return self.replace(kind, str(value)) if strong else value
        text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
        kept = self._under(kind, strong, text)
        return kept if isinstance(value, str) else kept.encode("utf-8", "surrogateescape")

    def replace(self, kind: str, secret: str) -> str:
        """Return the marker of a secret, and remember it."""
        data = secret.encode("utf-8", "surrogatepass")
        kind = self._own_kind(data) or kind
        marker = self.known.marker(data) or self._marking.marker(kind, data)
        if worth_remembering(secret):
            self.known.add(secret, marker)
        return marker

    @functools.cached_property
    def _all(self) -> Pattern | None:
        # Compiled when the sieve first finds something: most processes never meet a secret.
        kinds = self._kinds
        return compiled("|".join(kind.pattern for kind in kinds), by_re2=self._by_re2) if kinds else None

    @functools.cached_property
    def _by_form(self) -> tuple[tuple[Kind, ...], Pattern | None]:
        """Return the kinds that a secret is of by its own form, and what finds them."""
        kinds = tuple(kind for kind in self._kinds if not kind.is_named)
        return kinds, compiled("|".join(kind.pattern for kind in kinds) or NEVER, by_re2=self._by_re2)

    def has_form(self, content: bytes) -> bool:
        """Return whether bytes may hold a secret by its form, digits only where they may be a card's."""
        found = self.sieve.matches(content)
        return self.holds_number(content) if found == DIGITS_ALONE else bool(found)

    def holds_number(self, content: bytes) -> bool:
        """Return whether bytes may hold the number of a card, or one that is known to be secret."""
        return any(map(may_hold_card, _DIGITS.findall(content))) or any(
            may_hold_card(said) or self.known.stands_in(said) for said in numbers_in(content)
        )

    def _screen(self, keys: Sequence[str], *, builtin_keys: bool) -> Callable[[bytes], bool]:
        from becausal.redaction.screen import Screen  # here: where RE2 is, nobody needs it

        known = self.known.stands_in
        return Screen(self._kinds, keys, builtin_keys=builtin_keys, is_known=known).strikes

    def _is_of_a_kind(self, content: bytes) -> bool:
        return self.has_form(content) and self._all is not None and self._all.search(content) is not None

    def _under(self, kind: str, strong: bool, text: str) -> str:
        if is_placeholder(text) or MARKER.fullmatch(text):
            return self.text(text)
        if not strong and not looks_secret(MARKER.sub("", text)):  # a marker is made by chance, and no secret
            return self.text(text)
        scheme, space, rest = text.partition(" ")
        if kind == "authorization" and space and scheme.isalpha() and rest and " " not in rest:
            return f"{scheme} {rest if MARKER.fullmatch(rest) else self.replace(kind, rest)}"
        return self.replace(kind, text)

    def _by_kinds(self, data: bytes, depth: int = 0) -> bytes:
        kinds, pattern = (self._kinds, self._all) if depth < DEEPEST else self._by_form
        assert pattern is not None
        pieces: list[bytes] = []
        at = copied = 0
        while (found := pattern.search(data, at)) is not None:
            kind = kinds[found.lastindex - 1]
            start, end = found.span(found.lastindex)
            before = data[max(copied, start - BEFORE) : start]
            if (ours := _marker_over(data, start, end)) is not None:
                at = ours
                continue
            inside = kind.check(before, data[start:end])
            if not inside:
                value = data[start:end]
                if kind.is_named and (kept := self._by_kinds(value, depth + 1)) is not value:
                    # What stands behind the name is no secret as a whole, and holds one.
                    pieces += [data[copied:start], kept]
                    at = copied = end
                    continue
                # A short word after a name may itself be what tells a secret: `Authorization: Bearer …`.
                at = start if start > found.span()[0] and end - start <= SHORT else max(end - TAIL, at + 1)
                continue
            at = found.start()
            pieces.append(data[copied:at])
            for begins, ends in inside:
                # What leads to a secret may be one: the user of `https://user:password@host`.
                pieces.append(self.raw(data[at : start + begins]))
                at = start + ends
                pieces.append(self._marked(kind, before, data[start + begins : at]))
            copied = at
        return b"".join([*pieces, data[copied:]]) if pieces else data

    def _marked(self, kind: Kind, before: bytes, secret: bytes) -> bytes:
        name = kind.name if kind.kind_of is None else kind.kind_of(before)
        if kind.remembered:
            return self.replace(name, secret.decode("utf-8", "surrogateescape")).encode()
        if kind.name == CARD:
            secret = secret.replace(b" ", b"").replace(b"-", b"")
        return self._marking.marker(name, secret).encode()

    def _own_kind(self, secret: bytes) -> str | None:
        """Return the kind that a secret is of by its own form, whatever it stands under."""
        found = None if self._all is None else self._all.search(secret)
        if found is None or found.span(found.lastindex) != (0, len(secret)):
            return None
        kind = self._kinds[found.lastindex - 1]
        return None if kind.remembered or [*kind.check(b"", secret)] != [(0, len(secret))] else kind.name


def sieve(kinds: Sequence[Kind], keys: Sequence[str], *, builtin_keys: bool) -> tuple[str, str]:
    """Return what finds every body that may hold a secret: a kind's form, or a name and then a value's head; digits.

    Digits are told apart: many a message's id holds as many as a card, and to count them takes no such pattern.
    """
    named = named_value(keys, builtin_keys=builtin_keys)
    forms = [kind.sieve for kind in kinds if kind.name != CARD]
    digits = [kind.sieve for kind in kinds if kind.name == CARD]
    return "|".join([*forms, *([named] if named else [])]) or NEVER, "|".join([*digits, NUMBER])


def named_value(keys: Sequence[str], *, builtin_keys: bool) -> str | None:
    """Return what finds the end of a secret's name and the head of its value; None where no name is one."""
    names = [*([WORDS] if builtin_keys else []), *map(_loose, keys)]
    return rf"(?i:{'|'.join(names)}){TRAIL}{HEADS}" if names else None


def _marker_over(data: bytes, start: int, end: int) -> int | None:
    """Return where the marker ends in which a place begins; None where it begins in none, or with one and goes on."""
    begins = data.rfind(b"[redacted:", max(0, start - _LONGEST_MARKER), start + len(b"[redacted:"))
    ours = None if begins < 0 else _OURS.match(data, begins)
    if ours is None or ours.end() <= start or (begins == start and end > ours.end()):
        return None
    return ours.end()


def _of_no_kind(_: str) -> tuple[str, bool] | None:
    return None


def _loose(key: str) -> str:
    """Return a pattern for a name, however its words are joined."""
    words = re.findall(r"[^\W_]+", key)
    return "[ _.-]?".join("".join(map(_of_either_case, word)) for word in words) or _as_bytes(key)


def _of_either_case(letter: str) -> str:
    if letter.isascii():
        return letter
    return (
        f"(?:{'|'.join(sorted({_as_bytes(letter), _as_bytes(letter.lower()), _as_bytes(letter.upper())}))})"
    )


def _as_bytes(text: str) -> str:
    return re.escape(text.encode("utf-8", "surrogatepass").decode("latin-1"))


def _plain(key: str) -> str:
    return "".join(filter(str.isalnum, key.lower()))
