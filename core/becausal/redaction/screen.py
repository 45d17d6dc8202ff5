"""Whether a secret may stand in bytes, told by `re` alone where RE2 cannot be had.

`re` tries every alternative of a pattern at every place, which takes a microsecond a byte for all kinds at once. But it
goes to where a pattern's first sign stands as quickly as C does. So what every secret of a kind must hold is written as
a sign that is rare in ordinary text (`-` of `sk-…`, `_` of `ghp_…`), with what stands in front of it looked at from
there: some thirty patterns of that form take a hundredth of the time.

What a screen finds may be none; what it does not find is none of any kind's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Final

from becausal.redaction.cards import RUN, may_hold_card, numbers_in
from becausal.redaction.keys import HEADS, STRONG, TRAIL, WEAK
from becausal.redaction.kinds import Kind
from becausal.redaction.wire import ends_text

__all__ = ["Screen"]

_FOLD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789", b"abcdefghijklmnopqrstuvwxyz000000000")
"""Letters of either case are one, and so are digits."""

_AFTER_NAME: Final = (
    r"(?:\\{0,4}[\"'][ \t]{0,3}[:=]|[ \t]{0,2}[:=]|[ ]{1,3}(?:is|was|are|will be)[ :]" rf"|{TRAIL}({HEADS}))"
)
"""What stands behind a secret's name: in a text what gives it a value, in a body the head of its value."""

_COMMON: Final = frozenset(("id", "value", "number", "string"))
"""Last words of names that stand everywhere: of such a name the first word is looked for."""

_JOINT: Final = r"[ _.\-]"

_DIGITS: Final = re.compile(rb"0000(?:[ -]?0){9}")
"""Of folded bytes: digits enough for a card, which begins with four of them in a row."""

_RUN: Final = re.compile(RUN.encode())

_LAST: Final = re.compile(r"(\[[^]]+\]|\w)$")
"""The letter that stands right in front of a sign, or what it is one of."""

Sign = tuple[str, str, str]
"""What stands in front of a sign (a pattern of a fixed width), the sign, the pattern of what stands behind it."""

Group = tuple[bytes, "re.Pattern[bytes]"]
"""A sign, and the pattern of all that holds it."""


class Screen:
    """Tells whether a secret of some kinds, or a name of one, may stand in bytes."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        names: Sequence[str],
        *,
        builtin_keys: bool,
        is_known: Callable[[bytes], bool],
    ) -> None:
        """Make one.

        Args:
            kinds: what is secret by its form.
            names: patterns of users' own names, without quantifiers of digits.
            builtin_keys: whether the names that becausal knows are looked for.
            is_known: whether a secret that was met stands in bytes; asked of numbers alone.
        """
        exact: list[Sign] = []
        folded: list[Sign] = []
        for kind in kinds:
            (folded if kind.folded else exact).extend(map(_sign, kind.signs or ()))
        self._exact = _grouped(exact)
        self._whole = [re.compile(kind.sieve.encode("latin-1")) for kind in kinds if kind.signs is None]
        self._folded = _grouped(folded)
        has_names = builtin_keys or any(kind.is_named for kind in kinds)
        self._named = [group[1] for group in _grouped(_names(), _AFTER_NAME)] if has_names else []
        for name in names:
            own = name.encode("latin-1").translate(_FOLD) + f"{TRAIL}({HEADS})".encode("latin-1")
            self._named.append(re.compile(own))
        self._has_cards = any(kind.name == "card" for kind in kinds)
        self._is_known = is_known

    def strikes(self, content: bytes) -> bool:
        """Return whether one may stand in texts, or in a body; what is no name or no card by its letters is left."""
        for sign, pattern in self._exact:
            if sign in content and pattern.search(content):
                return True
        folded = content.translate(_FOLD)
        for sign, pattern in self._folded:
            if sign in folded and pattern.search(folded):
                return True
        for pattern in self._whole:
            if pattern.search(content):
                return True
        for pattern in self._named:
            if pattern.search(folded) and _is_name(pattern, folded, content):
                return True
        if self._has_cards and _DIGITS.search(folded) and any(map(may_hold_card, _RUN.findall(content))):
            return True
        return b"\xcf\x00" in content and any(
            may_hold_card(said) or self._is_known(said) for said in numbers_in(content)
        )


def _is_name(pattern: re.Pattern[bytes], folded: bytes, content: bytes) -> bool:
    """Return whether a name stands where a pattern of one matches, and not its letters by chance."""
    return any(
        found.lastindex is None or ends_text(content, found.start(1)) for found in pattern.finditer(folded)
    )


def _sign(written: str) -> Sign:
    """Return a sign as a kind writes it: `sk<->[A-Za-z0-9_-]{20}`."""
    before, _, rest = written.partition("<")
    sign, _, after = rest.partition(">")
    return before, sign, after


def _names() -> Iterator[Sign]:
    """Yield the signs of the names that becausal knows, whatever stands between their words."""
    names = [*STRONG, *WEAK]
    joined = {name.replace("_", "") for name in names if "_" in name}
    for words in [name.split("_") for name in names if name not in joined]:
        at = 0 if words[-1] in _COMMON else len(words) - 1
        rest = words[at][4:] + "".join(f"{_JOINT}?{word}" for word in words[at + 1 :])
        for joints in product(("", _JOINT), repeat=at):
            before = "".join(word + joint for word, joint in zip(words, joints, strict=False))
            yield before, words[at][:4], rest


def _grouped(signs: Iterable[Sign], behind: str = "") -> list[Group]:
    """Return one pattern for each sign: `re` goes from one place of it to the next."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for before, sign, after in signs:
        groups.setdefault(sign, []).append((before, after))
    return [
        (
            sign.encode("latin-1"),
            re.compile(f"{re.escape(sign)}{_ways(sign, ways)}{behind}".encode("latin-1")),
        )
        for sign, ways in groups.items()
    ]


def _ways(sign: str, ways: Iterable[tuple[str, str]]) -> str:
    """Return the pattern of what stands around a sign, which is seen already."""
    some = [after for before, after in ways if not before]
    led = [(before, after) for before, after in ways if before]
    if led:
        # The letter in front of the sign tells at most places that it is none.
        letters = "".join({_LAST.search(before)[1].strip("[]"): None for before, _ in led})  # type: ignore[index]
        each = "|".join(f"(?<={before}{re.escape(sign)}){after}" for before, after in led)
        some.append(f"(?<=[{letters}]{re.escape(sign)})(?:{each})")
    return f"(?:{'|'.join(some)})"
