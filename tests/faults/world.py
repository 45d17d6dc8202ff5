"""What a run is about: a purchase, told in values of many types and in many wordings.

The models of the benchmark are pure functions of what they are told: they read the labelled values out of a text
(`read`), reckon, and write them down again in a wording of their own (`write`). So a value that is spoilt on its way
comes out spoilt, and a value that is lost is lost.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

__all__ = ["FORMATS", "LABELS", "STYLES", "Values", "World", "read", "write"]

Value = int | str | Decimal | date | tuple[int, ...]
Values = dict[str, Value]

LABELS: Final[Mapping[str, str]] = {
    "item": "Item",
    "quantity": "Quantity",
    "price": "Unit price",
    "total": "Total",
    "budget": "Budget",
    "deadline": "Deadline",
    "order": "Order number",
    "supplier": "Supplier",
    "link": "Link",
    "contact": "Contact",
    "stock": "In stock",
    "sizes": "Sizes",
    "code": "Command",
    "deposit": "Deposit",
    "reference": "Reference",
    "discount": "Discount",
    "pickup": "Pickup",
    "balance": "Account balance",
    "weight": "Weight",
    "clause": "Shipping clause",
}

MONEY: Final = ("price", "total", "budget", "deposit")
STYLES: Final = ("lines", "prose", "bullets", "table", "json")
FORMATS: Final = 3

_ITEMS = (
    "oak desk",
    "steel shelf",
    "reading lamp",
    "office chair",
    "glass cabinet",
    "filing drawer",
    "work bench",
)
_SUPPLIERS = ("Borealis Timber", "Marlow Interiors", "Kestrel Supply", "Hanover Fittings", "Tavira Trading")
_HOSTS = ("borealis", "marlow", "kestrel", "hanover", "tavira")
_MONTHS = tuple(date(2000, month, 1).strftime("%B") for month in range(1, 13))


@dataclass
class World:
    """One seed's purchase, and its chance."""

    seed: int
    rng: random.Random
    asked: Values
    """What the request says."""
    price: Decimal
    stock: int
    """What the tool knows."""
    aside: str = ""
    """What the user says beside it."""

    @classmethod
    def of(cls, seed: int, kind: str) -> World:
        """Return the world of a seed; another one for each kind of fault."""
        rng = random.Random(f"{kind}/{seed}")
        host = rng.choice(_HOSTS)
        code = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(2))
        asked: Values = {
            "item": rng.choice(_ITEMS),
            "quantity": rng.randint(110, 980),
            "budget": Decimal(rng.randint(110, 990) * 1000),
            "deadline": date(2027, 1, 1) + timedelta(days=rng.randint(0, 700)),
            "order": f"{code}-{rng.randint(10000, 99999)}",
        }
        more: Values = {
            "supplier": rng.choice(_SUPPLIERS),
            "link": f"https://{host}.example/offers/{rng.randint(1000, 9999)}",
            "contact": f"{rng.choice(('sales', 'desk', 'orders'))}@{host}.example",
            "sizes": tuple(rng.sample(range(110, 240, 7), rng.randint(2, 5))),
            "code": f"`ship --to dock-{rng.randint(10, 99)} --fast`",
        }
        for name in rng.sample(sorted(more), rng.randint(1, 4)):
            asked[name] = more[name]
        price = Decimal(rng.randint(1200, 98000)) / 100
        return cls(seed, rng, asked, price, rng.randint(1100, 9800))

    def pick(self, *names: str) -> str:
        """Return one of the names that the request has a value of."""
        return self.rng.choice([name for name in names if name in self.asked])

    def request(self) -> str:
        """Return what the user says."""
        style = self.rng.choice(("lines", "prose", "bullets"))
        opening = self.rng.choice(
            ("Please arrange this purchase.", "We want to buy the following.", "A new purchase:")
        )
        return f"{opening}\n{write(self.asked, style, self.rng.randrange(FORMATS))}{self.aside}"


# -- writing


def _money(amount: Decimal, form: int) -> str:
    return (f"${amount:,.2f}", f"USD {amount:,.2f}", f"{amount:.2f} dollars")[form % 3]


def _date(day: date, form: int) -> str:
    month = _MONTHS[day.month - 1]
    return (day.isoformat(), f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}")[form % 3]


def _value(name: str, value: Value, form: int) -> str:
    if name == "budget" and isinstance(value, Decimal):
        return (f"at most {_money(value, form)}", f"no more than {_money(value, form)}")[form % 2]
    if isinstance(value, Decimal):
        return _money(value, form)
    if isinstance(value, date):
        return _date(value, form)
    if name == "quantity" and isinstance(value, int):
        return (f"{value} units", f"{value:,} units", f"{value} units")[form % 3]
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)


def write(values: Mapping[str, Value], style: str, form: int) -> str:
    """Return values in words: as lines, sentences, a list, a table or JSON."""
    rows = [(name, LABELS[name], _value(name, values[name], form)) for name in LABELS if name in values]
    match style:
        case "prose":
            return " ".join(f"The {label.lower()} is {text}." for _, label, text in rows)
        case "bullets":
            return "\n".join(f"- **{label}:** {text}" for _, label, text in rows)
        case "table":
            return "| what | value |\n| --- | --- |\n" + "\n".join(
                f"| {lb} | {text} |" for _, lb, text in rows
            )
        case "json":
            return json.dumps({label.lower().replace(" ", "_"): text for _, label, text in rows})
    return "\n".join(f"{label}: {text}" for _, label, text in rows)


# -- reading

_GAP = r"[\"'*:|\s]*(?:is\s+)?[\"'*:|\s]*(?:(?:probably|perhaps|maybe)\s+)?"
_AMOUNT = r"(?:\$|USD\s*)?(-?\d[\d,]*(?:\.\d+)?)(?:\s*dollars)?"
_PATTERNS: Final = {
    "item": r"([a-z]+ [a-z]+)",
    "quantity": r"(\d[\d,]*)",
    "price": _AMOUNT,
    "total": _AMOUNT,
    "deposit": _AMOUNT,
    "reference": r"([A-Z]{2}-\d+)",
    "budget": r"(?:at most|no more than)\s+" + _AMOUNT,
    "deadline": r"(\d{4}-\d\d-\d\d|\d{1,2} [A-Z][a-z]+ \d{4}|[A-Z][a-z]+ \d{1,2}, \d{4})",
    "order": r"([A-Z]{2}-\d+)",
    "supplier": r"([A-Z]\w+ [A-Z]\w+)",
    "link": r"(https://[\w./-]*\w)",
    "contact": r"([\w.]+@[\w.]*\w)",
    "stock": r"(\d[\d,]*)",
    "sizes": r"((?:\d+, )*\d+)",
    "code": r"(`[^`]+`)",
    "discount": r"(\d[\d.]* ?%|0\.\d+)",
    "pickup": r"(\d\d:\d\d(?: [A-Z]{3,4})?)",
    "balance": r"(-?[$€][\d,]+\.\d\d)",
    "weight": r"(\d+ (?:kg|lb|t))",
    "clause": r"((?:must|may|do) [a-z ]*[a-z])",
}
_READERS: Final = {
    name: re.compile(
        LABELS[name].replace(" ", "[ _]") + _GAP + pattern, re.IGNORECASE if name in MONEY else 0
    )
    for name, pattern in _PATTERNS.items()
}
_LOWER: Final = {
    name: re.compile(LABELS[name].lower().replace(" ", "[ _]") + _GAP + pattern)
    for name, pattern in _PATTERNS.items()
}


def read(text: str) -> Values:
    """Return the labelled values of a text; the last one where a label comes several times."""
    found: Values = {}
    for name in LABELS:
        hits = [(m.start(), m[1]) for m in (*_READERS[name].finditer(text), *_LOWER[name].finditer(text))]
        if hits:
            value = _parsed(name, max(hits)[1])
            if value is not None:
                found[name] = value
    return found


def _parsed(name: str, text: str) -> Value | None:
    if name in MONEY:
        return Decimal(text.replace(",", ""))
    if name in ("quantity", "stock"):
        return int(text.replace(",", ""))
    if name == "sizes":
        return tuple(map(int, text.split(", ")))
    if name == "deadline":
        return _day(text)
    return text


def _day(text: str) -> date | None:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if "-" in text:
        return date(*numbers)
    month = next((i for i, name in enumerate(_MONTHS, 1) if name in text), 0)
    if not month or len(numbers) != 2:
        return None
    return date(numbers[1], month, numbers[0])
