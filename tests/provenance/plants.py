"""What is planted in a run: pieces of content whose origin and whose forms on the way are known.

Nothing here knows becausal. A plant has a form for each agent that passes it on; the last one stands in the output.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

__all__ = ["KINDS", "Plant", "PlantKind", "SourceKind", "plant"]

PlantKind = Literal[
    "verbatim", "quoted", "reformatted", "truncated", "derived", "invented", "computed", "two sources"
]
KINDS: Final[tuple[PlantKind, ...]] = (
    "verbatim", "quoted", "reformatted", "truncated", "derived", "invented", "computed", "two sources",
)  # fmt: skip
SourceKind = Literal["user", "tool", "memory", "model", "agent"]

LABELS: Final = (
    "deposit", "freight", "surcharge", "penalty", "retainer", "levy", "stipend", "rebate", "tariff", "premium",
    "advance", "allowance", "royalty", "toll", "escrow", "pension", "bounty", "dividend", "grant", "subsidy",
)  # fmt: skip
NOUNS: Final = (
    "harbour",
    "depot",
    "quarry",
    "mill",
    "orchard",
    "foundry",
    "archive",
    "clinic",
    "ferry",
    "kiln",
)
PLACES: Final = ("Lisbon", "Turku", "Bergen", "Graz", "Porto", "Malmo", "Gdansk", "Cork", "Bilbao", "Varna")
DOINGS: Final = (
    "closes for repairs after the spring tide",
    "stores grain for three of its neighbours",
    "keeps no night shift on its western side",
    "accepts barrels but never loose timber",
    "ships copper under a yearly licence",
    "rents two cranes from a private owner",
    "weighs every cart before it leaves the yard",
    "pays its porters at the end of each week",
)
FINISHES: Final = (
    "as the old council ruled",
    "unless the warden objects",
    "since the bridge was widened",
    "whatever the weather brings",
    "by order of the guild",
    "in spite of many complaints",
)


@dataclass
class Plant:
    """A piece of content on its way through a run."""

    kind: PlantKind
    source: SourceKind
    origin: str
    """The tool, memory or agent that brings it in; `user`."""
    label: str
    given: Any
    """What the source gives: a text, or a record."""
    forms: list[str] = field(default_factory=list)
    """By agent, from the first that says it."""
    first: int = 0
    """The first agent that says it."""
    operands: tuple[str, ...] = ()
    """What a derived figure is made of, as the source writes it."""
    others: tuple[str, ...] = ()
    """Other steps that may as well be its origin."""
    is_sentence: bool = False
    decoy: str | None = None
    """Of what a model changed: what a tool gave under the same name."""

    def form(self, agent: int) -> str:
        """Return how an agent writes it."""
        return self.forms[min(agent - self.first, len(self.forms) - 1)]


Form = Callable[[Any], str]


def _money(random: Random) -> tuple[Any, list[Form]]:
    amount = random.randrange(1_010, 98_000)
    return amount, [
        lambda v: f"USD {v:,}.00", lambda v: f"${v:,}", lambda v: f"{v} dollars", lambda v: f"{v:,} USD",
        lambda v: f"**${v:,}.00**",
    ]  # fmt: skip


def _date(random: Random) -> tuple[Any, list[Form]]:
    day = dt.date(2026, 1, 1) + dt.timedelta(days=random.randrange(720))
    return day, [
        lambda v: v.isoformat(), lambda v: f"{v.day} {v:%B} {v.year}", lambda v: f"{v:%B} {v.day}, {v.year}",
        lambda v: f"{v.day} {v:%b} {v.year}",
    ]  # fmt: skip


def _count(random: Random) -> tuple[Any, list[Form]]:
    number = random.randrange(10_001, 990_000)
    return number, [lambda v: f"{v}", lambda v: f"{v:,}", lambda v: f"*{v:,}*"]


def _millions(random: Random) -> tuple[Any, list[Form]]:
    tenths = random.randrange(101, 990)
    return tenths, [lambda v: f"{v * 100_000:,}", lambda v: f"{v / 10} million", lambda v: f"{v * 100_000}"]


def _share(random: Random) -> tuple[Any, list[Form]]:
    thousandths = random.randrange(101, 989)
    return thousandths, [lambda v: f"{v / 10}%", lambda v: f"{v / 10} percent"]


def _code(random: Random) -> tuple[Any, list[Form]]:
    number = f"{random.choice('ABCDEFG')}{random.choice('KLMNPQ')}-{random.randrange(1_000, 99_999)}"
    return number, [lambda v: v, lambda v: v.lower(), lambda v: f"`{v}`"]


VALUES: Final = (_money, _date, _count, _millions, _share, _code)


def sentence(random: Random) -> str:
    """Return a sentence that no other one is like, with no fact in it but a name."""
    words = f"The {random.choice(NOUNS)} of {random.choice(PLACES)} {random.choice(DOINGS)}"
    return f"{words} {random.choice(FINISHES)}"


def plant(
    kind: PlantKind, random: Random, label: str, sources: Sequence[tuple[SourceKind, str]], agents: int
) -> Plant:
    """Return a new plant.

    Args:
        kind: how it travels.
        random: of the case.
        label: what it is called, unique in the run.
        sources: those that may give it: tools, the user, a memory.
        agents: how many agents there are.
    """
    source, origin = random.choice(list(sources))
    if kind in ("invented", "computed"):
        source, origin = ("model", "model") if kind == "invented" else ("agent", "agent")
    made = Plant(kind, source, origin, label, None)
    if kind in ("invented", "computed"):
        made.first = random.randrange(agents)
    if kind in ("quoted", "truncated") or (kind in ("verbatim", "invented") and random.random() < 0.5):
        made.is_sentence, text = True, sentence(random)
        made.given, made.forms = f"{text}.", [text]
        if kind == "truncated":
            made.forms = [text] * random.randrange(agents) + [_cut(text, random)]
        if kind == "verbatim" and random.random() < 0.3:
            made.forms = [text]
        return made
    if kind == "derived":
        return _derived(made, random, agents)
    maker = random.choice(VALUES)
    value, forms = maker(random)
    if kind == "invented" and random.random() < 0.5:
        made.decoy = forms[0](maker(random)[0])
    made.given = forms[0](value)
    if kind == "reformatted":
        chosen = [random.choice(forms[1:]) for _ in range(agents)]
        made.forms = [form(value) for form in chosen]
    else:
        made.forms = [made.given]
    return made


def _cut(text: str, random: Random) -> str:
    at = random.randrange(len(text) * 6 // 10, len(text) - 3)
    while text[at - 1] == " ":
        at -= 1
    return text[:at] + random.choice(("", "…", "..."))


def _derived(made: Plant, random: Random, agents: int) -> Plant:
    """Make it a figure that follows from a record of the source."""
    rows = [random.randrange(1_013, 97_000) for _ in range(random.randrange(3, 6))]
    a, b = random.randrange(2_013, 97_000), random.randrange(311, 1_999)
    start = dt.date(2026, 1, 1) + dt.timedelta(days=random.randrange(300))
    end = start + dt.timedelta(days=random.randrange(20, 300))
    kilometres = random.randrange(201, 4_000)
    ways: list[tuple[dict[str, Any], str, list[Any]]] = [
        ({"rows": [{"part": n, "cost": row} for n, row in enumerate(rows)]}, f"{sum(rows):,}", rows),
        (
            {"rows": [{"part": n, "cost": row} for n, row in enumerate(rows)]},
            f"{sum(rows) / len(rows):,.2f}",
            rows,
        ),
        ({"gross": a, "rebate": b}, f"{a - b:,}", [a, b]),
        ({"price": a, "postage": b}, f"{a + b:,}", [a, b]),
        ({"units": b, "price": a}, f"{a * b:,}", [a, b]),
        ({"part": b, "whole": a}, f"{b / a * 100:.2f}%", [a, b]),
        ({"exact": a + b / 10_000}, f"{a + b / 10_000:,.1f}", [a + b / 10_000]),
        (
            {"start": start.isoformat(), "end": end.isoformat()},
            f"{(end - start).days} days",
            [start, end],
        ),
        ({"distance": f"{kilometres} km"}, f"{kilometres * 1000:,} m", [f"{kilometres} km"]),
    ]
    made.given, form, operands = random.choice(ways)
    if random.random() < 0.5:  # figures of the same record that have nothing to do with it
        made.given = {"page": random.randrange(2, 90), **made.given, "area": random.randrange(10_000, 90_000)}
    made.operands = tuple(str(operand) for operand in operands)
    made.forms, made.first = [form], random.randrange(agents)
    return made
