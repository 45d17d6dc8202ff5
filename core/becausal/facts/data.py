"""What data states: typed values as their text would, each told apart by the key beside it.

A number is money where its key or a field beside it names a currency, a quantity where they name a unit, an
identifier where its key ends in `id`. Text is read as text; JSON in a text as the data that it is.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from becausal.canonical.belief import BOOKKEEPING, is_message, speaks
from becausal.canonical.decoded import Record
from becausal.facts import kinds
from becausal.facts.amounts import in_base, unit_kind
from becausal.facts.dates import date_value, time_value
from becausal.facts.fact import Fact, FactKind
from becausal.facts.growing import Growing
from becausal.facts.kept import OVERHEAD, ReadSoFar, kept
from becausal.facts.language import Language, language
from becausal.facts.names import stem
from becausal.facts.units import UNITS, Unit

__all__ = ["Reading", "read"]

MOST_CHARACTERS: Final = 4_000_000
"""So much text of a payload is read; about three seconds' worth."""
MOST_VALUES: Final = 1_000_000
BLOCK: Final = 32_768
"""Characters of a text that are read at once, so that the tokens of a long one are not all in memory."""
LONGEST_JSON: Final = 1_000_000
LONGEST_TERM: Final = 60
LONGEST_ID: Final = 100
MOST_NAMED: Final = 1_000
"""Names of fields of which it is remembered what they say of a value."""

DEEPEST_GROWING: Final = 6
"""A list that lies no deeper is read as one that goes on from what was sent before."""

Path = tuple[object, ...]

_KEY_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_CURRENCY_KEYS: Final = frozenset(["currency", "currency_code", "currencycode", "ccy"])
_UNIT_KEYS: Final = frozenset(["unit", "units", "uom"])
_MONEY: Final = frozenset([
    "price", "amount", "total", "subtotal", "cost", "fee", "balance", "budget", "revenue", "refund", "salary", "tax",
    "value", "paid", "due", "charge", "sum", "limit",
])  # fmt: skip
_MEASURED: Final = frozenset([
    "value", "amount", "quantity", "size", "weight", "length", "distance", "duration", "volume", "area", "speed",
])  # fmt: skip
_PERCENT: Final = frozenset(["percent", "pct", "percentage"])
_IDS: Final = frozenset(["id", "uuid", "ref", "reference", "sku", "hash", "sha"])
_NUMBERED: Final = frozenset(["number", "no", "num"])
_NOT_SAID: Final = BOOKKEEPING | {
    "type", "role", "additional_kwargs", "finish_reason", "tool_call_chunks", "cached", "logprobs", "metadata", "index",
    "example", "source", "status",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """What a payload states."""

    facts: tuple[Fact, ...]
    is_complete: bool = True
    """Whether all of it was read: what is too big is read up to a bound."""


@dataclass(frozen=True, slots=True)
class _Beside:
    """What the key and the fields beside a value say of it."""

    key: str | None = None
    currency: str | None = None
    unit: Unit | None = None
    kind: FactKind | None = None


NOTHING_BESIDE: Final = _Beside()


@dataclass(slots=True)
class _Walk:
    locale: str
    language: Language
    facts: list[Fact] = field(default_factory=list)
    characters: int = MOST_CHARACTERS
    values: int = MOST_VALUES
    depth: int = 0
    """How many texts of JSON hold the one that is read."""


def read(value: object, *, locale: str = "en") -> Reading:
    """Return what any decoded payload states, in its order. Never raises.

    Args:
        value: a text, or plain data as `becausal.canonical.decode` gives it.
        locale: whose words and separators its texts have.
    """
    walk = _Walk(locale, language(locale))
    _walk(value, (), walk)
    return Reading(tuple(walk.facts), walk.characters > 0 and walk.values > 0)


def _items(
    items: Sequence[object], at: Path, beside: _Beside, walk: _Walk, lists: Growing[ReadSoFar]
) -> None:
    """Read a list, of which the beginning may have been read when it was sent without the rest."""
    name = (walk.locale, at, beside)
    taken = lists.take(name, items)
    start, so_far = taken or (0, ReadSoFar([], 0, 0))
    if so_far.values >= walk.values or so_far.characters >= walk.characters:
        start, so_far = 0, ReadSoFar([], 0, 0)
    values, characters = walk.values, walk.characters
    walk.values -= so_far.values
    walk.characters -= so_far.characters
    walk.facts.extend(so_far.facts)
    before = len(walk.facts)
    for place in range(start, len(items)):
        if walk.values <= 0 or walk.characters <= 0:
            return
        _walk(items[place], (*at, place), walk, beside)
    if walk.values > 0 and walk.characters > 0:
        so_far.facts.extend(walk.facts[before:])
        so_far.values, so_far.characters = values - walk.values, characters - walk.characters
        lists.put(name, items, so_far)


def _walk(value: object, path: Path, walk: _Walk, under: _Beside = NOTHING_BESIDE) -> None:
    # A stack in place of recursion: data may be nested as deep as it was sent.
    todo: list[tuple[object, Path, _Beside]] = [(value, path, under)]
    while todo and walk.values > 0 and walk.characters > 0:
        item, at, beside = todo.pop()
        walk.values -= 1
        if isinstance(item, Mapping):
            todo.extend(reversed(list(_fields(item, at, walk))))
        elif isinstance(item, list | tuple):
            if not walk.depth and len(at) < DEEPEST_GROWING and (known := kept()) is not None:
                _items(item, at, beside, walk, known.lists)
                continue
            # Each item counts before it is looked at, or a long list would be copied in vain.
            within = item[: walk.values]
            todo.extend((part, (*at, place), beside) for place, part in reversed(list(enumerate(within))))
        elif isinstance(item, set | frozenset):
            todo.extend((part, at, beside) for part in sorted(item, key=repr, reverse=True))
        elif isinstance(item, str):
            _text(item, at, beside, walk)
        else:
            walk.facts.extend(_typed(item, at, beside, walk.language))


def _fields(item: Mapping[object, object], at: Path, walk: _Walk) -> Iterator[tuple[object, Path, _Beside]]:
    fields = {key: part for key, part in item.items() if isinstance(key, str)}
    says = (speaks(fields) if type(item) is Record else is_message(fields)) or _is_call(fields)
    currency = _sibling(fields, _CURRENCY_KEYS)
    code = currency.upper() if currency is not None and currency.upper() in walk.language.codes else None
    unit_name = _sibling(fields, _UNIT_KEYS)
    unit = None if unit_name is None else _unit_of(unit_name, walk.language)
    for key, part in item.items():
        if not isinstance(key, str):
            yield part, (*at, key), _Beside()
            continue
        if says and key in _NOT_SAID:
            continue
        low = key.lower()
        if (code is not None and low in _CURRENCY_KEYS) or (unit is not None and low in _UNIT_KEYS):
            continue
        if not says and (any(map(str.isdigit, key)) or " " in key):
            walk.facts.extend(kinds.read_text(key[:LONGEST_ID], locale=walk.locale, path=(*at, key)))
        yield part, (*at, key), _beside(key, code, unit, walk.language)


def _is_call(fields: Mapping[str, object]) -> bool:
    """Return whether this is a tool call that a model decided on: its id is a framework's, its arguments count."""
    return "name" in fields and ("args" in fields or "arguments" in fields)


def _sibling(fields: Mapping[str, object], names: frozenset[str]) -> str | None:
    for key, value in fields.items():
        if isinstance(value, str) and len(value) < 20 and key.lower() in names:
            return value
    return None


def _unit_of(name: str, language: Language) -> Unit | None:
    found = language.unit([name.lower()], [name], 0)
    return None if found is None else found[1]


@lru_cache(maxsize=MOST_NAMED)
def _beside(key: str, code: str | None, unit: Unit | None, language: Language) -> _Beside:
    words = [word.lower() for word in _KEY_WORDS.findall(key)]
    if not words:
        return _Beside(key)
    last = words[-1]
    if last in _IDS or (last in _NUMBERED and len(words) > 1):
        return _Beside(key, kind="id")
    if last in _PERCENT:
        return _Beside(key, kind="percent")
    if len(words) > 1 and last.upper() in language.codes:
        return _Beside(key, currency=last.upper())
    if len(words) > 1 and words[-2] != "per" and (len(last) > 1 or last in "sh"):
        named = _unit_of(last, language)
        if named is not None:
            return _Beside(key, unit=named)
    if code is not None and not _MONEY.isdisjoint(words):
        return _Beside(key, currency=code)
    if unit is not None and not _MEASURED.isdisjoint(words):
        return _Beside(key, unit=unit)
    return _Beside(key)


def _text(text: str, at: Path, beside: _Beside, walk: _Walk) -> None:
    if len(text) > walk.characters:
        text = text[: walk.characters]
    walk.characters -= len(text) if len(text) < walk.characters else walk.characters
    if not text or text.isspace():
        return
    known = kept()
    if known is None:
        _read_text(text, at, beside, walk)
        return
    # A message stands in the same place of every list that a conversation was, turn by turn.
    key = (walk.locale, walk.depth, text, at, beside)
    found = known.placed.get(key)
    if found is None:
        before = len(walk.facts)
        _read_text(text, at, beside, walk)
        found = walk.facts[before:]
        known.placed.put(key, found, 1 + len(found) + len(text) // OVERHEAD)
    else:
        walk.facts.extend(found)


def _read_text(text: str, at: Path, beside: _Beside, walk: _Walk) -> None:
    if (inside := _json(text, at, walk)) is not None:
        walk.facts.extend(inside)
        return
    if beside.kind == "id" and len(text) <= LONGEST_ID and len(text.split()) == 1:
        walk.facts.append(_of_key("id", text.strip().lower(), text, at, beside, walk.language))
        return
    found = [fact for block, offset in _blocks(text) for fact in _facts_in(block, offset, at, walk)]
    whole = text.strip()
    if (
        len(found) == 1
        and found[0].kind == "number"
        and found[0].text == whole
        and beside != _Beside(beside.key)
    ):
        found = list(_typed(found[0].value, at, beside, walk.language))
    elif (
        not found
        and at
        and len(text) <= LONGEST_TERM
        and len(text.split()) <= 4
        and re.search(r"[^\W\d_]", text)
    ):
        found = [_of_key("term", " ".join(text.lower().split()), text, at, beside, walk.language)]
    walk.facts.extend(_under(fact, beside, walk.language) for fact in found)


def _facts_in(block: str, offset: int, at: Path, walk: _Walk) -> list[Fact]:
    known = kept()
    if known is None:
        return _facts_at(block, offset, at, walk)
    key = (walk.locale, walk.depth, block)
    found = known.texts.get(key)
    if found is None:
        found = _facts_at(block, 0, (), walk)
        known.texts.put(key, found, len(block) + OVERHEAD)
    return found if not at and not offset else [_moved(fact, offset, at) for fact in found]


def _facts_at(block: str, offset: int, at: Path, walk: _Walk) -> list[Fact]:
    return kinds.read_text(
        block, locale=walk.locale, path=at, offset=offset, data=lambda text, _: _json(text, at, walk)
    )


def _moved(fact: Fact, offset: int, at: Path) -> Fact:
    start, end = fact.span
    return Fact(
        fact.kind, fact.value, fact.text, (start + offset, end + offset), (*at, *fact.path), fact.hedge,
        fact.negated, fact.subject, fact.near,
    )  # fmt: skip


def _json(text: str, at: Path, walk: _Walk) -> list[Fact] | None:
    """Return what data in a text states; None where it is no data."""
    head = text[:20].lstrip()[:1]
    if head not in ("{", "[") or len(text) > LONGEST_JSON or walk.depth > 2:
        return None
    try:
        value = json.loads(text, parse_float=Decimal, parse_int=_int)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list):
        return None
    inner = _Walk(walk.locale, walk.language, [], MOST_CHARACTERS, MOST_VALUES, walk.depth + 1)
    _walk(value, at, inner)
    return inner.facts


def _int(text: str) -> int | str:
    return int(text) if len(text) <= 40 else text


def _blocks(text: str) -> Iterator[tuple[str, int]]:
    """Yield a long text in blocks that end at a blank line, else at a line's, a sentence's or a word's end."""
    start = 0
    while len(text) - start > 2 * BLOCK:
        least, most = start + BLOCK, start + 2 * BLOCK
        end = next(
            (
                at + len(sign)
                for sign in ("\n\n", "\n", ". ", " ")
                if (at := text.rfind(sign, least, most)) > 0
            ),
            most,
        )
        yield text[start:end], start
        start = end
    yield text[start:], start


def _typed(value: object, at: Path, beside: _Beside, language: Language) -> Iterator[Fact]:
    """Yield what a typed value states; nothing for what is true, false, absent or opaque."""
    amount = _amount(value)
    if amount is not None:
        yield _amount_fact(amount, str(value), at, beside, language)
    elif isinstance(value, dt.datetime):
        yield _of_key("date", date_value(value), value.date().isoformat(), at, beside, language)
        if value.time() != dt.time() or value.utcoffset():
            yield _of_key("time", time_value(value), value.timetz().isoformat(), at, beside, language)
    elif isinstance(value, dt.date):
        yield _of_key("date", date_value(value), value.isoformat(), at, beside, language)
    elif isinstance(value, dt.time):
        yield _of_key("time", time_value(value), value.isoformat(), at, beside, language)
    elif isinstance(value, dt.timedelta):
        seconds = Decimal(value // dt.timedelta(microseconds=1)).scaleb(-6)
        of = in_base(seconds, UNITS["duration-second"])
        yield _of_key("duration", ("time", of), str(value), at, beside, language)
    elif isinstance(value, uuid.UUID):
        yield _of_key("id", str(value), str(value), at, beside, language)


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if value.bit_length() < 200 else None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, Fraction) and value.denominator.bit_length() < 200 > value.numerator.bit_length():
        return Decimal(value.numerator) / Decimal(value.denominator)
    return None


def _amount_fact(amount: Decimal, text: str, at: Path, beside: _Beside, language: Language) -> Fact:
    if beside.kind == "id" and amount == amount.to_integral_value():
        return _of_key("id", f"{amount:f}", text, at, beside, language)
    if beside.kind == "percent":
        return _of_key("percent", amount, text, at, beside, language)
    if beside.currency is not None:
        return _of_key("money", (amount, beside.currency), text, at, beside, language)
    if beside.unit is not None:
        value = beside.unit.dimension, in_base(amount, beside.unit)
        return _of_key(unit_kind(beside.unit), value, text, at, beside, language)
    return _of_key("number", amount, text, at, beside, language)


def _of_key(
    kind: FactKind, value: Hashable, text: str, at: Path, beside: _Beside, language: Language
) -> Fact:
    fact = Fact(kind, value, text, (0, len(text)), at)
    return _under(fact, beside, language)


def _under(fact: Fact, beside: _Beside, language: Language) -> Fact:
    """Return a fact with the key beside it as its subject, where its text names none."""
    if beside.key is None:
        return fact
    stems = frozenset(stem(word.lower(), language) for word in _KEY_WORDS.findall(beside.key[:LONGEST_ID]))
    return replace(fact, subject=fact.subject or beside.key, near=fact.near | stems)
