"""Further kinds that no judge was written against, put in after the judge of anomalies had been written.

The judge was not changed for them: what it makes of them says what it would make of what others think of.
"""

from __future__ import annotations

from decimal import Decimal

from tests.faults.case import Framework, Label, Variant
from tests.faults.edits import in_text
from tests.faults.kinds_models import of_agent
from tests.faults.panel import Panel
from tests.faults.unknown import listed, offered, spoken, unknown, with_other
from tests.faults.world import FORMATS, Values, World, read, write

__all__: list[str] = []


@unknown("K01", "a time zone is lost", kept=True)
def zone(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"pickup": f"{world.rng.randint(10, 19)}:30 {world.rng.choice(('CET', 'UTC', 'EST'))}"}
    change = with_other("pickup", lambda value: str(value)[:5])
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("K02", "a percentage is told as a fraction of itself", kept=True)
def percentage(world: World, variant: Variant, framework: Framework) -> Label:
    share = world.rng.randint(11, 39) + 0.5
    more: Values = {"discount": f"{share} %"}
    change = with_other("discount", lambda value: f"{share / 100:.3f} %")
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("K03", "a currency becomes another one", kept=True)
def currency(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"balance": f"${world.rng.randint(1100, 9900):,}.00"}
    change = with_other("balance", lambda value: str(value).replace("$", "€"))
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("K04", "a not is lost", kept=True)
def negation(world: World, variant: Variant, framework: Framework) -> Label:
    what = world.rng.choice(
        ("must not be sent by air", "do not split the delivery", "must not leave before noon")
    )
    change = with_other("clause", lambda value: str(value).replace(" not", ""))
    return spoken(world, variant, framework, change, more={"clause": what}, is_last=None)


@unknown("K05", "a default stands in for a value", kept=True)
def default(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"deposit": Decimal(world.rng.randint(1500, 9400))}
    change = with_other("deposit", lambda value: Decimal(world.rng.choice((0, 100))))
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("K06", "two sources disagree, and one wins silently", kept=True)
def disagreeing(world: World, variant: Variant, framework: Framework) -> Label:
    from tests.faults.app import App
    from tests.faults.plan import Plan

    app = App.of(world, Plan.of(world.rng, "chain"), is_record=False)
    app.roles[app.asker].calls = ("find_list_price", "get_offer")
    other = world.price + 17 if variant == "faulty" else world.price

    def find_list_price(item: str, region: str = "all") -> dict[str, object]:
        """Return what an item costs by the list."""
        price = f"{other:.2f}" if variant != "sham" else f"{other:.2f}0"
        return {"item": item, "unit_price": price, "currency": "USD"}

    app.tools["find_list_price"] = find_list_price
    app.run(framework)
    return of_agent(app.asker)


@unknown("K07", "a limit is turned round", kept=True)
def limit(world: World, variant: Variant, framework: Framework) -> Label:
    def turned(text: str) -> str:
        return text.replace("at most", "at least").replace("no more than", "no less than")

    return spoken(world, variant, framework, turned, is_last=True)


@unknown("K08", "the dearest is told as the cheapest", kept=True)
def wrong_pick(world: World, variant: Variant, framework: Framework) -> Label:
    panel = offered(world)
    tells = listed(world.seed)

    def joined(found: dict[str, Decimal]) -> str:
        pick = (max if variant == "faulty" else min)(found, key=lambda shop: found[shop])
        said = f"The cheapest is {pick}, at ${found[pick]:,.2f}."
        return f"{tells(found)}\n{said}" if variant != "sham" else f"{said}\n{tells(found)}"

    panel.joined = joined
    panel.run(framework)
    return of_agent(panel.last)


@unknown("K09", "the answer breaks off", kept=True)
def broken_off(world: World, variant: Variant, framework: Framework) -> Label:
    tail = "\nWe will be glad to see to the delivery as soon as the"
    return spoken(
        world,
        variant,
        framework,
        lambda text: text + tail,
        lambda text: f"{text}\nWe will be glad to see to the delivery.",
        is_last=True,
    )


@unknown("K10", "values slip by one row", kept=True)
def slipped(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {
        "deposit": Decimal(world.rng.randint(1500, 9400)),
        "balance": f"${world.rng.randint(1100, 9900):,}.00",
    }

    def change(text: str) -> str:
        values = read(text)
        rows = [line.partition(": ") for line in write(values, "lines", world.seed % FORMATS).split("\n")]
        said = [value for _, _, value in rows]
        return "\n".join(
            f"{name}: {value}" for (name, _, _), value in zip(rows, said[1:] + said[:1], strict=True)
        )

    return spoken(world, variant, framework, change, more=more, is_last=True)


@unknown("K11", "thousands are read as decimals", kept=True)
def thousands(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"deposit": Decimal(world.rng.randint(1500, 9400) * 10)}
    change = with_other("deposit", lambda value: (value / 1000).quantize(Decimal("0.01")))  # type: ignore[operator,union-attr]
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("K12", "a letter is one of another alphabet", kept=True)
def lookalike(world: World, variant: Variant, framework: Framework) -> Label:
    def change(text: str) -> str:
        order = str(world.asked["order"])
        return text.replace(order, "\u0410" + order[1:])

    return spoken(world, variant, framework, change, is_last=True)


@unknown("K13", "a sum is wrong", kept=True)
def wrong_sum(world: World, variant: Variant, framework: Framework) -> Label:
    panel: Panel = offered(world)
    tells = listed(world.seed)

    def joined(found: dict[str, Decimal]) -> str:
        total = sum(found.values(), Decimal(0)) + (Decimal("41.70") if variant == "faulty" else 0)
        said = f"Together that makes ${total:,.2f}."
        return f"{tells(found)}\n{said}" if variant != "sham" else f"{said}\n{tells(found)}"

    panel.joined = joined
    panel.run(framework)
    return of_agent(panel.last)


@unknown("K14", "an agent says nothing", kept=True)
def silent(world: World, variant: Variant, framework: Framework) -> Label:
    return spoken(world, variant, framework, lambda text: world.rng.choice(("", "\n", "...", "{}")))


@unknown("K15", "a list has an entry that nobody named", kept=True)
def lengthened(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"sizes": tuple(world.rng.sample(range(110, 240, 7), 4))}
    change = with_other("sizes", lambda value: (*value, 997))  # type: ignore[misc]
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("K16", "another answer than to the question", kept=True)
def beside_the_point(world: World, variant: Variant, framework: Framework) -> Label:
    said = world.rng.choice(
        (
            "The capital of Norway is Oslo, which lies on a fjord.",
            "Here is a haiku about autumn: leaves fall, the kettle hums, the cat sleeps.",
            "To reset your password, open the settings and choose security.",
        )
    )
    return spoken(
        world, variant, framework, lambda text: said, lambda text: in_text(text, "item", lambda v: v)
    )
