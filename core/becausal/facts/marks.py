"""What has a shape of its own: code, addresses, identifiers, versions, quoted terms."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from typing import Final

from becausal.facts.fact import Found
from becausal.facts.tokens import Scan

__all__ = ["PROSE", "QUOTES", "code", "email", "identifier", "language_of", "quote", "url", "version"]

PROSE: Final = frozenset(["", "text", "txt", "md", "markdown", "plaintext"])
"""Fences in these languages wrap what could stand without them."""

QUOTES: Final = {'"': '"', "“": "”", "«": "»", "„": "“"}
_LONGEST_QUOTE: Final = 12
_SHORTEST_NUMBER: Final = 3
"""Digits of a bare number that a noun before it makes an identifier: `order 4711`, but `order 2 pizzas`."""


def code(scan: Scan, index: int) -> Found | None:
    """Return code as it stands, without its indentation; for a fence in no language what is inside is read."""
    text = scan.texts[index]
    if scan.classes[index] == "inline":
        return Found(index + 1, " ".join(text.strip("`").split()))
    body = text.partition("\n")[2]
    lines = textwrap.dedent(body.rstrip("`")).strip("\n").split("\n")
    inside = "\n".join(line.rstrip() for line in lines).strip("\n")
    return Found(index + 1, inside) if inside else None


def language_of(fence: str) -> str:
    """Return the language that a fence names, in lower case."""
    return fence.partition("\n")[0].strip("` \t\r").lower()


def url(scan: Scan, index: int) -> Found | None:
    """Return an address without the full stop of the sentence, its host in lower case."""
    text = scan.texts[index].rstrip(".,;:!?)]}'*_")
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return Found(index + 1, f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")) if host else None


def email(scan: Scan, index: int) -> Found | None:
    """Return an address in lower case."""
    return Found(index + 1, scan.words[index])


def version(scan: Scan, index: int) -> Found | None:
    """Return a version without its `v`."""
    return Found(index + 1, scan.words[index].lstrip("v"))


def identifier(scan: Scan, index: int) -> Found | None:
    """Return a name with digits in it, in lower case: `ord-4711`, `3f2a9c1`, `10.0.0.1`, and `4711` of order 4711."""
    sort, word = scan.classes[index], scan.words[index].strip("_")
    if sort == "ident":
        head, sign, tail = word.rpartition("-")
        if sign and tail.isdecimal() and len(tail) <= 2 and head.isalpha() and scan.texts[index].islower():
            return Found(index + 1, Decimal(tail), "number", index)  # `top-5` is `top 5`
        return Found(index + 1, word)
    if sort in ("uuid", "hash", "ip"):
        return Found(index + 1, word)
    if sort == "symbol":
        marked = word == "#" and scan.glued(index) and scan.texts[index + 1].isdecimal()
        return Found(index + 2, scan.texts[index + 1]) if marked else None
    return _number(scan, index)


def _number(scan: Scan, index: int) -> Found | None:
    text = scan.texts[index]
    if not text.isdecimal():
        return None
    if len(text) > 40:  # no amount of anything
        return Found(index + 1, text)
    end = index + 1
    if scan.glued(index) and scan.classes[end] in ("word", "ident") and not _known(scan, end):
        while scan.glued(end) and (
            scan.classes[end + 1] in ("word", "number", "ident") or scan.texts[end + 1] == "-"
        ):
            end += 1
        return Found(end + 1, scan.text[scan.starts[index] : scan.ends[end]].lower())
    return _named(scan, index, text)


def _known(scan: Scan, index: int) -> bool:
    """Say whether a word may stand right at a figure."""
    words = scan.language.words
    return (
        scan.texts[index] in words.glued_scales
        or scan.words[index] in words.ordinal_endings
        or scan.words[index] in words.half_days
        or scan.words[index] in ("e", "x")
        or scan.language.unit(scan.words, scan.texts, index) is not None
        or scan.texts[index] in scan.language.codes
    )


def _named(scan: Scan, index: int, text: str) -> Found | None:
    """Read a number that a noun before it makes a name."""
    words, at, explicit = scan.language.words, index - 1, False
    while (
        at >= 0
        and index - at <= 4
        and scan.words[at] in words.id_links
        and scan.words[at] not in words.id_nouns
    ):
        explicit = explicit or scan.words[at] in ("#", "no", "number", "nr")
        at -= 1
    if at < 0 or scan.words[at] not in words.id_nouns:
        return None
    explicit = explicit or scan.words[at] in ("id", "ref", "reference", "sku")
    return Found(index + 1, text) if explicit or len(text) >= _SHORTEST_NUMBER else None


def quote(scan: Scan, index: int) -> Found | None:
    """Return a quoted term of a few words, in lower case; one with figures is read like any text."""
    closing = QUOTES.get(scan.texts[index])
    if closing is None or (
        scan.glued_before(index) and scan.classes[index - 1] in ("word", "number", "ident")
    ):
        return None
    for at in range(index + 1, min(index + 2 + _LONGEST_QUOTE, scan.n)):
        if scan.texts[at] == closing:
            inside = scan.words[index + 1 : at]
            if scan.texts[at + 1] == ":" and scan.glued(at):
                return Found(at + 1, None)  # the key of a field
            return Found(at + 1, " ".join(inside)) if any(map(str.isalpha, inside)) else None
        if scan.classes[at] not in ("word", "symbol"):
            return None
    return None
