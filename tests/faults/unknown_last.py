"""A last set of kinds that no judge was written against: the judge of anomalies was not touched after it was put in."""

from __future__ import annotations

import base64
from datetime import date

from tests.faults.case import Framework, Label, Variant
from tests.faults.unknown import spoken, unknown, with_other
from tests.faults.world import Value, Values, World, read, write

__all__: list[str] = []


@unknown("L01", "a supplier becomes another one", kept=True)
def supplier(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"supplier": "Borealis Timber"}
    return spoken(
        world, variant, framework, with_other("supplier", lambda _: "Palmetto Works"), more=more, is_last=None
    )


@unknown("L02", "a year is another one", kept=True)
def year(world: World, variant: Variant, framework: Framework) -> Label:
    def earlier(day: Value) -> Value:
        assert isinstance(day, date)
        return date(day.year - 2, day.month, min(day.day, 28))

    change = with_other("deadline", earlier)
    return spoken(world, variant, framework, change, is_last=None)


@unknown("L03", "half of it is ordered", kept=True)
def half(world: World, variant: Variant, framework: Framework) -> Label:
    change = with_other("quantity", lambda value: value // 2)  # type: ignore[operator]
    return spoken(world, variant, framework, change, is_last=None)


@unknown("L04", "a limit becomes a fixed sum", kept=True)
def fixed(world: World, variant: Variant, framework: Framework) -> Label:
    def change(text: str) -> str:
        return text.replace("at most ", "exactly ").replace("no more than ", "exactly ")

    return spoken(world, variant, framework, change, is_last=True)


@unknown("L05", "an address is at another host", kept=True)
def host(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"contact": "sales@borealis.example"}
    change = with_other("contact", lambda _: "sales@borea1is-payments.example")
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("L06", "a model's thinking leaks into its answer", kept=True)
def thinking(world: World, variant: Variant, framework: Framework) -> Label:
    leak = "<think>\nThe user wants a purchase. I should not tell that the price is a guess.\n</think>\n"
    return spoken(
        world, variant, framework, lambda text: leak + text, lambda text: "As agreed:\n" + text, is_last=None
    )


@unknown("L07", "everything is said twice", kept=True)
def twice(world: World, variant: Variant, framework: Framework) -> Label:
    return spoken(world, variant, framework, lambda text: f"{text}\n{text}", is_last=True)


@unknown("L08", "a known value is told as unknown", kept=True)
def unknown_value(world: World, variant: Variant, framework: Framework) -> Label:
    def change(text: str) -> str:
        values = read(text)
        lines = write(values, "lines", world.seed % 3).split("\n")
        return "\n".join("Order number: N/A" if line.startswith("Order number") else line for line in lines)

    return spoken(world, variant, framework, change, is_last=True)


@unknown("L09", "day and month change places", kept=True)
def day_and_month(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"deadline": date(2027, world.rng.randint(1, 5), world.rng.randint(6, 12))}

    def exchanged(day: Value) -> Value:
        assert isinstance(day, date)
        return date(day.year, day.day, day.month)

    change = with_other("deadline", exchanged)
    return spoken(world, variant, framework, change, more=more, is_last=None)


@unknown("L10", "an answer comes as base64", kept=True)
def encoded(world: World, variant: Variant, framework: Framework) -> Label:
    return spoken(
        world, variant, framework, lambda text: base64.b64encode(text.encode()).decode(), is_last=None
    )


@unknown("L11", "a call of a tool is told as the answer", kept=True)
def call_as_text(world: World, variant: Variant, framework: Framework) -> Label:
    said = '{"name": "get_offer", "arguments": {"item": "oak desk"}}'
    return spoken(world, variant, framework, lambda text: said, is_last=None)


@unknown("L12", "one entry of a list is another one", kept=True)
def exchanged_entry(world: World, variant: Variant, framework: Framework) -> Label:
    more: Values = {"sizes": tuple(world.rng.sample(range(110, 240, 7), 4))}
    change = with_other("sizes", lambda value: (*value[:-1], 241))  # type: ignore[index]
    return spoken(world, variant, framework, change, more=more, is_last=None)
