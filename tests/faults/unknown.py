"""Kinds of faults that no judge was written against: they have to show as `run.anomaly`, not as nothing.

Each has a clean twin and a sham, as the known ones have. A kind that is `kept` was put in after the judge of anomalies
had been written, and the judge was not changed for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Final

from tests.faults.app import App
from tests.faults.case import FRAMEWORKS, Fault, Framework, Label, Play, Variant
from tests.faults.edits import in_text, reworded
from tests.faults.kinds_models import of_agent
from tests.faults.panel import SHOPS, Panel
from tests.faults.plan import Plan
from tests.faults.world import LABELS, Value, Values, World, read, write

__all__ = ["GERMAN", "KEPT", "UNKNOWN", "offered", "spoken", "unknown"]

UNKNOWN: Final[dict[str, Fault]] = {}
KEPT: Final[set[str]] = set()
"""The ids of those that the judge was not shaped by."""

Change = Callable[[str], str]


def unknown(id: str, name: str, *, kept: bool = False) -> Callable[[Play], Play]:
    """Put a kind into the table."""

    def entered(play: Play) -> Play:
        UNKNOWN[id] = Fault(id, name, ("run.anomaly",), FRAMEWORKS, play)
        if kept:
            KEPT.add(id)
        return play

    return entered


def spoken(
    world: World,
    variant: Variant,
    framework: Framework,
    faulty: Change,
    sham: Change | None = None,
    *,
    more: Values | None = None,
    is_last: bool | None = False,
) -> Label:
    """Play an app in which one agent's model says something else than follows from what it was told.

    Args:
        more: what else the request says.
        is_last: the one that answers; None: any of them.
    """
    world.asked |= more or {}
    # In a chain nobody else can put it right: elsewhere it may be contained, and is a note.
    app = App.of(world, Plan.of(world.rng, "chain"), is_record=False)
    agents = app.plan.agents if is_last is None else app.plan.agents[:-1]
    agent = app.plan.last if is_last else world.rng.choice(agents)
    change = {"faulty": faulty, "sham": sham or (lambda text: reworded(text, world.rng))}.get(variant)

    def said(who: str, text: str) -> str:
        return text if who != agent or change is None else change(text)

    app.meddler.said = said
    app.run(framework)
    return of_agent(agent)


def with_other(name: str, change: Callable[[Value], Value]) -> Change:
    """Return a change of one value of a text."""
    return lambda text: in_text(text, name, change)


def offered(world: World) -> Panel:
    """Return a panel of three to five shops, of prices that differ, whose last agent lists what they ask."""
    shops = SHOPS[: world.rng.randint(3, 5)]
    prices = {shop: world.price + place * Decimal("13.10") for place, shop in enumerate(shops)}
    return Panel(world, prices, listed(world.seed))


def listed(form: int) -> Callable[[dict[str, Decimal]], str]:
    """Return how prices by shop are told: as a list, a table, in sentences."""

    def joined(found: dict[str, Decimal]) -> str:
        rows = found.items()
        match form % 3:
            case 0:
                return "\n".join(f"- {shop}: ${price:,.2f}" for shop, price in rows)
            case 1:
                return "| shop | price |\n| --- | --- |\n" + "\n".join(
                    f"| {s} | ${p:,.2f} |" for s, p in rows
                )
        return " ".join(f"{shop} sells at ${price:,.2f}." for shop, price in rows)

    return joined


@unknown("U01", "two branches' values are swapped")
def swapped(world: World, variant: Variant, framework: Framework) -> Label:
    panel = offered(world)
    one, other = world.rng.sample(sorted(panel.prices), 2)
    tells = listed(world.seed if variant != "sham" else world.seed + 1)

    def joined(found: dict[str, Decimal]) -> str:
        if variant == "faulty" and {one, other} <= found.keys():
            found = found | {one: found[other], other: found[one]}
        return tells(dict(reversed(found.items())) if variant == "sham" else found)

    panel.joined = joined
    panel.run(framework)
    return of_agent(panel.last)


@unknown("U02", "a unit becomes another one")
def unit(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"weight": f"{world.rng.randint(110, 900)} kg"}
    change = with_other("weight", lambda value: str(value).replace("kg", world.rng.choice(("lb", "t"))))
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("U03", "a sign is lost")
def sign(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"balance": f"-${world.rng.randint(1100, 9900):,}.00"}
    change = with_other("balance", lambda value: str(value).removeprefix("-"))
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("U04", "a date is off by a day")
def off_by_one(world: World, variant: Variant, framework: Framework) -> Label:
    shift = timedelta(days=world.rng.choice((-1, 1)))
    change = with_other("deadline", lambda value: value + shift)  # type: ignore[operator]
    return spoken(world, variant, framework, change, is_last=None)


GERMAN: Final = {
    "item": "Artikel", "quantity": "Menge", "price": "Stückpreis", "total": "Summe", "budget": "Budget",
    "deadline": "Frist", "order": "Bestellnummer", "supplier": "Lieferant", "link": "Verweis", "contact": "Kontakt",
    "stock": "Auf Lager", "sizes": "Größen", "code": "Befehl",
}  # fmt: skip


@unknown("U05", "the answer is in another language")
def language(world: World, variant: Variant, framework: Framework) -> Label:
    def german(text: str) -> str:
        said = json.loads(write(read(text), "json", 0))
        names = {LABELS[name].lower().replace(" ", "_"): word for name, word in GERMAN.items()}
        rows = "\n".join(f"{names.get(key, key)}: {value}" for key, value in said.items())
        return f"Hier ist die Antwort auf Ihre Frage. Die Werte sind nicht verändert:\n{rows}\nDas ist alles."

    def same(text: str) -> str:
        return f"Here is the answer to your question. No value is changed:\n{reworded(text, world.rng)}\nThat is all."

    return spoken(world, variant, framework, german, same, is_last=True)


@unknown("U06", "letters are damaged")
def encoding(world: World, variant: Variant, framework: Framework) -> Label:
    line = world.rng.choice(
        ("Grüße aus Köln, bis später.", "C'est déjà réglé, à bientôt.", "Señor Núñez paga mañana.")
    )
    damaged = line.encode().decode("cp1252", errors="replace")
    return spoken(
        world,
        variant,
        framework,
        lambda text: f"{damaged}\n{text}",
        lambda text: f"{line}\n{text}",
        is_last=None,
    )


@unknown("U07", "the answer to an earlier question is given")
def replayed(world: World, variant: Variant, framework: Framework) -> Label:
    earlier = World.of(world.seed + 1, "earlier")
    asked = earlier.asked | {"total": earlier.price}
    return spoken(world, variant, framework, lambda text: write(asked, "lines", world.seed), is_last=None)


@unknown("U08", "a list loses an entry")
def shortened(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"sizes": tuple(world.rng.sample(range(110, 240, 7), 4))}
    change = with_other("sizes", lambda value: value[:-1])  # type: ignore[index]
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("U09", "cents are lost")
def imprecise(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"deposit": Decimal(world.rng.randint(110000, 990000)) / 100 + Decimal("0.37")}
    change = with_other("deposit", lambda value: Decimal(int(value)))  # type: ignore[arg-type]
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("U10", "one case's number stands at another's place")
def mixed(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"reference": f"QY-{world.rng.randint(10000, 99999)}"}
    change = _exchanged("order", "reference")
    return spoken(world, variant, framework, change, more=more, is_last=None)


def _exchanged(one: str, other: str) -> Change:
    def change(text: str) -> str:
        values = read(text)
        if not {one, other} <= values.keys():
            return text
        text = in_text(text, one, lambda _: values[other])
        return in_text(text, other, lambda _: values[one])

    return change


@unknown("U11", "a worker answers without having looked")
def unlooked(world: World, variant: Variant, framework: Framework) -> Label:
    panel = offered(world)
    shop = world.rng.choice(sorted(panel.prices))
    if variant == "faulty":
        panel.idle = frozenset([shop])
    if variant == "sham":
        panel.said = lambda who, text: f"As asked. {text}" if who == shop else text
    panel.run(framework)
    return of_agent(panel.who(shop))


@unknown("U12", "a place is left to be filled in")
def placeholder(world: World, variant: Variant, framework: Framework) -> Label:
    left = world.rng.choice(("Contact person: TODO", "Dear {{customer_name}},", "Terms: [INSERT TERMS HERE]"))
    return spoken(
        world,
        variant,
        framework,
        lambda text: f"{left}\n{text}",
        lambda text: f"Dear customer, nothing is left to do.\n{text}",
        is_last=None,
    )


@unknown("U13", "an agent says the same over and over")
def repeated(world: World, variant: Variant, framework: Framework) -> Label:
    line = "We are looking into this with the greatest care and will be back."
    return spoken(
        world,
        variant,
        framework,
        lambda text: f"{' '.join([line] * world.rng.randint(4, 9))}\n{text}",
        lambda text: f"{line}\n{text}",
        is_last=None,
    )


@unknown("U14", "an agent declines, and the run goes on")
def declined(world: World, variant: Variant, framework: Framework) -> Label:
    no = world.rng.choice(
        ("I'm sorry, but I can't help with that.", "As an AI language model, I am unable to do this.")
    )
    return spoken(world, variant, framework, lambda text: no)
