"""Edits of texts and records: one that spoils a value, and its twin of the same size that keeps the meaning."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from tests.faults.app import Payload
from tests.faults.world import LABELS, STYLES, Value, Values, read, write

__all__ = ["cut", "cut_at", "in_text", "reworded", "spoilt", "tidied", "with_value"]

_OTHER: Final = ("Corvid Joinery", "Palmetto Works", "Ostrava Forge")


def spoilt(name: str, value: Value, rng: Random) -> Value:
    """Return another value in place of one: a digit, a zero too many, another day, another name."""
    match value:
        case Decimal() if name == "budget":
            return value * 10 if rng.random() < 0.5 else value + rng.randint(1, 9) * 1000
        case Decimal():
            return value * 10 if rng.random() < 0.5 else value + Decimal(rng.randint(3, 9) * 100) / 10
        case int():
            return value * 10 if rng.random() < 0.5 else value + rng.choice((20, 70, 300))
        case date():
            return value + timedelta(days=rng.choice((-31, -1, 3, 45)))
        case tuple():
            return (*value[:-1], value[-1] + 1)
    text = str(value)
    if name in ("supplier", "item"):
        return rng.choice(_OTHER) if name == "supplier" else "garden gnome"
    digits = [i for i, char in enumerate(text) if char.isdigit()]
    if not digits:  # a contact
        return f"fraud@{text.partition('@')[2]}"
    at = rng.choice(digits[1:] or digits)
    return text[:at] + str((int(text[at]) + rng.randint(1, 8)) % 10) + text[at + 1 :]


def in_text(text: str, name: str, change: Callable[[Value], Value]) -> str:
    """Return a text with one labelled value changed; everything else as it was."""
    values = read(text)
    style, form = _wording(text, values)
    if style is None or name not in values:
        return text
    head = text[: text.index(write(values, style, form))]
    return head + write(values | {name: change(values[name])}, style, form)


def _wording(text: str, values: Values) -> tuple[str | None, int]:
    for style in STYLES:
        for form in range(3):
            if text.endswith(write(values, style, form)):
                return style, form
    return None, 0


def reworded(text: str, rng: Random) -> str:
    """Return a text that states the same values in other words and formats."""
    values = read(text)
    style, form = _wording(text, values)
    others = [
        (s, f) for s in ("lines", "prose", "bullets", "table") for f in range(3) if (s, f) != (style, form)
    ]
    style_then, form_then = rng.choice(others)
    return "In short:\n" + write(values, style_then, form_then)


def with_value(payload: Payload, name: str, change: Callable[[Value], Value]) -> Payload:
    """Return a payload with one value changed, in its text and, of a record, in its data."""
    if isinstance(payload, str):
        return in_text(payload, name, change)
    made = copy.deepcopy(payload)
    made["note"] = in_text(payload["note"], name, change)
    key = LABELS[name].lower().replace(" ", "_")
    old = read(payload["note"]).get(name)
    if old is not None and key in made["data"]:
        made["data"][key] = _plain(made["data"][key], name, change(old))
    return made


def _plain(old: Any, name: str, new: Value) -> Any:
    if isinstance(old, list):
        return list(new) if isinstance(new, tuple) else new
    if isinstance(old, int):
        return new
    return write({name: new}, "lines", 0).partition(": ")[2]


def tidied(payload: Payload, rng: Random) -> Payload:
    """Return a payload that means the same: reworded, or its fields in another order."""
    if isinstance(payload, str):
        return reworded(payload, rng)
    made = dict(reversed(list(copy.deepcopy(payload).items())))
    made["data"] = dict(reversed(list(made["data"].items())))
    return made


def cut_at(text: str, rng: Random) -> int:
    """Return where a text may be cut so that a value gets lost: in the rear part of what it states."""
    return rng.randint(len(text) // 3, len(text) * 3 // 4)


def cut(payload: Payload, rng: Random) -> Payload:
    """Return the beginning of a payload: of its text, and of a record's text with half of its fields."""
    if isinstance(payload, str):
        return payload[: cut_at(payload, rng)]
    made = copy.deepcopy(payload)
    made["note"] = made["note"][: cut_at(made["note"], rng)]
    return made
