"""When two decoded values are the same, and when they say the same in different types."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import fractions
import json
import uuid
from typing import Any

from becausal.canonical.decoded import Record

__all__ = ["by_token", "mark", "same", "same_content", "token"]

_AS_REPR = (float, complex, decimal.Decimal, dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID)
_MOST_LEVELS = 60


def same(before: object, after: object) -> bool:
    """Say whether two decoded values are equal in content and in every type.

    Unlike `==`, it tells 1, 1.0 and True apart, 0.0 and -0.0, Decimal("1.0") and Decimal("1.00"), one instant
    in two zones, and a `Record` from a dict. NaN is the same as NaN. Values may be nested to any depth.
    """
    todo: list[tuple[Any, Any]] = [(before, after)]
    while todo:
        a, b = todo.pop()
        if a is b:
            continue
        kind = type(a)
        if kind is not type(b):
            return False
        if kind is dict or kind is Record:
            if len(a) != len(b) or (kind is Record and a.type_name != b.type_name):
                return False
            pairs = _pairs(a, b)
            if pairs is None:
                return False
            todo += pairs
        elif kind is list or kind is tuple:
            if len(a) != len(b):
                return False
            todo += zip(a, b, strict=True)
        elif token(a) != token(b):
            return False
    return True


def token(value: Any) -> Any:
    """Return something hashable that is equal for the same leaves, sets and keys, and for no others."""
    kind = type(value)
    if kind is str or kind is bytes:
        return value
    if kind is set or kind is frozenset:
        return kind.__name__, frozenset(map(token, value)), len(value)
    if kind is tuple:
        return "tuple", tuple(map(token, value))
    if kind in _AS_REPR:
        return kind.__name__, repr(value)
    try:
        hash(value)
    except TypeError:
        return kind.__name__, repr(value)
    return kind.__name__, value


def by_token(fields: dict[Any, Any]) -> dict[Any, Any] | None:
    """Return the keys of a dict by their tokens; None if two keys look alike, as two NaNs do."""
    keys = {token(key): key for key in fields}
    return keys if len(keys) == len(fields) else None


def _pairs(a: dict[Any, Any], b: dict[Any, Any]) -> list[tuple[Any, Any]] | None:
    if all(type(key) is str for key in a):
        if a.keys() != b.keys():
            return None
        return [(value, b[key]) for key, value in a.items()]
    here, there = by_token(a), by_token(b)
    if here is None or there is None:
        # Keys that look alike, two NaNs: in the order in which they stand.
        return [pair for pairs in zip(a.items(), b.items(), strict=True) for pair in zip(*pairs, strict=True)]
    if here.keys() != there.keys():
        return None
    return [(a[here[name]], b[there[name]]) for name in here]


def mark(value: Any, depth: int = 0) -> int:
    """Return a number that is equal for the same values, and hardly ever for others."""
    kind = type(value)
    try:
        if depth > _MOST_LEVELS:
            return hash(kind)
        if kind is dict or kind is Record:
            rows = frozenset((hash(token(key)), mark(item, depth + 1)) for key, item in value.items())
            return hash((kind, rows))
        if kind is list or kind is tuple:
            return hash((kind, tuple([mark(item, depth + 1) for item in value])))
        return hash(token(value))
    except (TypeError, RecursionError):
        return hash(kind)


def same_content(before: Any, after: Any) -> bool:
    """Say whether two leaves, or a value and a text, hold the same content in different types."""
    try:
        return _said(before, after) or _said(after, before)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return False


def _said(value: Any, other: Any) -> bool:
    """Say whether the other one is a usual way of writing the value."""
    kind, form = type(value), type(other)
    if form is str:
        return other in _texts(value) or (kind in _JSON and _is_json_of(value, other))
    if kind in (int, bool, float, decimal.Decimal, fractions.Fraction) and form in (
        int,
        float,
        decimal.Decimal,
    ):
        return bool(value == other)
    if kind in (list, tuple, set, frozenset) and form in (list, tuple, set, frozenset):
        return _same_items(value, other)
    return False


_JSON = (dict, Record, list, tuple)


def _texts(value: Any) -> set[str]:
    kind = type(value)
    if kind is bytes:
        return {value.decode("utf-8", "replace"), base64.b64encode(value).decode()}
    if kind is dt.datetime or kind is dt.date or kind is dt.time:
        text = value.isoformat()
        return {text, str(value), text.replace("+00:00", "Z")}
    if kind is bool:
        return {str(value), str(value).lower()}
    if value is None:
        return {"None", "null"}
    if kind in (int, float, decimal.Decimal, fractions.Fraction, complex, uuid.UUID, dt.timedelta):
        return {str(value)}
    return set()


def _is_json_of(value: Any, text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    return same(_plain(json.loads(text)), _plain(value))


def _plain(value: Any) -> Any:
    """Return what JSON would make of a value."""
    kind = type(value)
    if kind is dict or kind is Record:
        return {key if type(key) is str else _name(key): _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if kind in (str, int, float, bool) or value is None:
        return value
    return min(_texts(value), default=repr(value))


def _name(key: Any) -> str:
    return str(key).lower() if type(key) is bool else "null" if key is None else str(key)


def _same_items(a: Any, b: Any) -> bool:
    if len(a) != len(b) or type(a) is type(b):
        return False
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return all(map(same, a, b))
    return {token(item) for item in a} == {token(item) for item in b}
