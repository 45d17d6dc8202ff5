"""Finding a text in whatever form it was stored, and taking it out of canonical bodies; pure, and without a database.

A text is found

* in upper and lower case, in the composed and the decomposed form of Unicode (NFC, NFD);
* with any white space where it has some, also none-breaking, as an escape (`\\n`), or `+` and `%20` of an address;
* escaped as JSON does it (`\\u00e9`), in JSON within JSON too, as HTML and addresses do it (`&amp;`, `%40`);
* in UTF-8 and in UTF-16, and, of digits, as a number;
* within longer words: the name Ann is found in "planning".

It is not found where it is compressed, encrypted, in base64 or in a picture, where other characters stand between its
own (`Jane_Doe` for `Jane Doe`), and where it came in pieces (the tokens of a stream, kept one by one).

In its place stands `[erased 1a2b3c4d]`, with a number of its own: so a text that was passed on can be followed as
before, though nobody can tell what it was.
"""

from __future__ import annotations

import html
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import ormsgpack

from becausal.canonical import digest_text
from becausal.canonical.calling import unpacked
from becausal.canonical.wire import NESTED, UNSORTED, Code
from becausal.errors import StoreError
from becausal.redaction.naming import hidden_names

__all__ = ["ASKS", "Rewriting", "Wording", "named_in", "new_mark"]

ASKS = "request"
"""The kind of steps whose name is what somebody asked."""

SHORTEST = 3
"""Characters that a text must have, white space apart: a shorter one stands everywhere by chance."""

_SPACES = rb"(?:[\t-\r ]|\xc2\xa0|\xe2\x80[\x80-\x8b\xa8\xa9\xaf]|\xe3\x80\x80|\\+[nrtfv]|\\+u(?:00a0|20..)|%20|\+)+"
_SPACES_16 = {
    "utf-16-le": rb"(?:[\t-\r \xa0]\x00|[\x80-\x8b\xa8\xa9\xaf]\x20)+",
    "utf-16-be": rb"(?:\x00[\t-\r \xa0]|\x20[\x80-\x8b\xa8\xa9\xaf])+",
}
_DIGEST = rb"(?P<digest>bc1-xxh3:[0-9a-f]{32})"
_NUMBERED = re.compile(rb"bc1-xxh3:([0-9a-f]{32})")


class Wording:
    """Texts that are to be found, however they are written."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Make one.

        Raises:
            StoreError: a text is too short to mean anything.
        """
        # The longest first: one may be the beginning of another.
        given = sorted({_composed(text) for text in texts}, key=len, reverse=True)
        for text in given:
            if len("".join(text.split())) < SHORTEST:
                raise StoreError(f"{text!r} is too short to be erased: name at least {SHORTEST} characters")
        self.marks = [new_mark() for _ in given]
        self.numbers = {
            int(text): mark for text, mark in zip(given, self.marks, strict=True) if _is_number(text)
        }
        ways = [_DIGEST]
        for nth, text in enumerate(given):
            ways.append(b"(?P<u%d>%s)" % (nth, _pattern(text)))
            for letter, encoding in (("l", "utf-16-le"), ("b", "utf-16-be")):
                ways.append(b"(?P<%s%d>%s)" % (letter.encode(), nth, _pattern_16(text, encoding)))
        self.pattern = re.compile(b"|".join(ways))
        self._signs = [_sign(text) for text in given]
        self._packed = [ormsgpack.packb(number) for number in self.numbers]

    def may_be_in(self, data: bytes) -> bool:
        """Return whether a text may be somewhere; False is certain. Ten times as fast as to look."""
        if any(packed in data for packed in self._packed):
            return True
        lowered = data.lower()
        return any(sign is None or any(one in lowered for one in sign) for sign in self._signs)

    def is_in(self, data: bytes) -> bool:
        """Return whether a text is in bytes, or a number in the form in which a body has it."""
        if not self.may_be_in(data):
            return False
        if any(packed in data for packed in self._packed):
            return True
        return any(found.lastgroup != "digest" for found in self.pattern.finditer(data))


class Rewriting:
    """Takes texts out, and gives contents that have become others their new digests."""

    def __init__(self, wording: Wording, digests: Mapping[bytes, bytes]) -> None:
        """Make one.

        Args:
            wording: the texts.
            digests: the new digests of contents, by the former ones; may grow meanwhile.
        """
        self.wording, self.digests = wording, digests

    def data(self, data: bytes) -> bytes:
        """Return bytes without the texts."""
        return self.wording.pattern.sub(self._instead, data)

    def text(self, text: str) -> str:
        """Return a text without the texts."""
        data = text.encode("utf-8", "surrogatepass")
        found = self.data(data)
        return text if found == data else found.decode("utf-8", "surrogatepass")

    def plain(self, value: Any) -> Any:
        """Return plain data (of JSON, of msgpack) without the texts, keys of maps included."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.data(value)
            case dict():
                return _with_keys_apart((self.plain(key), self.plain(item)) for key, item in value.items())
            case list() | tuple():
                return [self.plain(item) for item in value]
            case bool():
                return value
            case int():
                return self.wording.numbers.get(value, value)
        return value

    def body(self, body: bytes) -> bytes:
        """Return a canonical body without the texts; one that has none of them as it is."""
        try:
            return ormsgpack.packb(self.plain(unpacked(body, self._entry)), option=UNSORTED)
        except ValueError:  # nothing that an encoder wrote
            return self.data(body)

    def _entry(self, code: int, data: bytes) -> ormsgpack.Ext:
        if code == Code.PART:
            return ormsgpack.Ext(code, self.digests.get(data, data))
        return ormsgpack.Ext(code, self.body(data) if code in NESTED else self.data(data))

    def _instead(self, found: re.Match[bytes]) -> bytes:
        way = found.lastgroup or ""
        if way == "digest":
            former = bytes.fromhex(found[0][-32:].decode())
            return digest_text(self.digests.get(former, former)).encode()
        encoding = {"u": "utf-8", "l": "utf-16-le", "b": "utf-16-be"}[way[0]]
        return self.wording.marks[int(way[1:])].encode(encoding)


def new_mark() -> str:
    """Return what stands in the place of something that is erased."""
    return f"[erased {os.urandom(4).hex()}]"


def named_in(body: bytes) -> list[bytes]:
    """Return the digests that stand as texts in a body."""
    if b"bc1-xxh3:" not in body:
        return []
    return [bytes.fromhex(found.decode()) for found in _NUMBERED.findall(body)]


# Inside


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0") and int(text) < 1 << 64


def _with_keys_apart(items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict; of two keys that have become the same, the second gets a number."""
    made: dict[Any, Any] = {}
    for key, item in items:
        nth = 2
        name = key
        while name in made:
            name, nth = f"{key} #{nth}", nth + 1
        made[name] = item
    return made


def _forms(character: str) -> set[str]:
    """Return the ways in which a character is written."""
    cases = {character, character.lower(), character.upper(), character.title(), character.casefold()}
    return {unicodedata.normalize(form, one) for one in cases for form in ("NFC", "NFD")}


def _pattern(text: str) -> bytes:
    pieces = (_SPACES if word.isspace() else b"".join(map(_character, word)) for word in _words(text))
    own = b"".join(pieces)
    # Where no content is kept, a memory's key is told by a name made of it.
    return b"|".join([own, *(re.escape(told.encode()) for told in hidden_names(text))])


def _character(character: str) -> bytes:
    ways: list[bytes] = [re.escape(form.encode("utf-8", "surrogatepass")) for form in _forms(character)]
    if not (character.isascii() and character.isalnum()):  # those nobody escapes
        for form in _forms(character):
            encoded = form.encode("utf-8", "surrogatepass")
            units = form.encode("utf-16-be", "surrogatepass")
            ways.append(
                b"".join(rb"\\+u(?i:%02x%02x)" % (units[at], units[at + 1]) for at in range(0, len(units), 2))
            )
            ways.append(b"".join(b"%%(?i:%02x)" % byte for byte in encoded))
        ways.append(rb"\\*" + re.escape(character.encode("utf-8", "surrogatepass")))
        ways.append(re.escape(html.escape(character).encode("utf-8", "surrogatepass")))
    ways.sort(key=len, reverse=True)
    return b"(?:" + b"|".join(dict.fromkeys(ways)) + b")"


def _pattern_16(text: str, encoding: str) -> bytes:
    def one(character: str) -> bytes:
        forms: list[bytes] = [form.encode(encoding, "surrogatepass") for form in _forms(character)]
        forms.sort(key=len, reverse=True)
        return b"(?:" + b"|".join(map(re.escape, forms)) + b")"

    return b"".join(
        _SPACES_16[encoding] if word.isspace() else b"".join(map(one, word)) for word in _words(text)
    )


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"(\s+)", text) if word]


def _sign(text: str) -> tuple[bytes, ...] | None:
    """Return what, in lower case, is in all bytes that hold a text: one of these; None: it cannot be told."""
    runs = (
        re.findall(r"[0-9a-z]+", text.casefold())
        if text.isascii()
        else re.findall(r"[0-9a-z]+", text.lower())
    )
    longest = max(runs, key=len, default="")
    # A letter before a combining mark may be written as one with it.
    if len(longest) < 2:
        return None
    return (
        longest.encode(),
        longest.encode("utf-16-le"),
        longest.encode("utf-16-be"),
        *(told.encode() for told in hidden_names(text)),
    )
