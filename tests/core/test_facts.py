"""Promises of the readers of facts: each kind is found in real-like text, in one normal form whatever its wording."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from becausal.facts import Fact, facts
from becausal.facts.kinds import KINDS

CORPUS = Path(__file__).parent / "facts_corpus"
SAMPLES = sorted(path.name.removesuffix(".facts") for path in CORPUS.glob("*.facts"))


def stated(text: object, kind: str | None = None) -> list[tuple[str, object]]:
    return [(fact.kind, fact.value) for fact in facts(text) if kind is None or fact.kind == kind]


def line_of(fact: Fact) -> str:
    return f"{fact.kind} | {' '.join(fact.text.split())} | {fact.value!r} | {fact.hedge or ''}".rstrip()


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_states_what_a_person_read_in_it(sample: str) -> None:
    found = [line_of(fact) for fact in facts((CORPUS / sample).read_text())]

    assert found == (CORPUS / f"{sample}.facts").read_text().splitlines()


def test_the_samples_have_every_kind_of_the_table() -> None:
    lines = [line for name in SAMPLES for line in (CORPUS / f"{name}.facts").read_text().splitlines()]
    found = {line.partition(" | ")[0] for line in lines}

    assert {kind.name for kind in KINDS} <= found
    assert SAMPLES


# One normal form for many wordings

ALIKE: list[tuple[str, Any, list[str]]] = [
    (
        "money",
        (Decimal(1250), "USD"),
        ["USD 1,250.00", "$1250", "1250 dollars", "$1,250", "US$1250", "1.25k USD", "$1.25k", "1,250 US dollars",
         "one thousand two hundred and fifty dollars", "USD1250", "**$1,250**", "1250 $"],
    ),
    ("money", (Decimal("1234567.5"), "EUR"), ["€1,234,567.50", "EUR 1234567.5", "1.234.567,50 €", "1'234'567.5 euros"]),
    ("money", (Decimal(5_000_000), "GBP"), ["£5m", "£5 million", "5 million pounds sterling", "GBP 5,000,000"]),
    ("money", (Decimal("0.50"), "USD"), ["50 cents", "$0.50"]),
    ("money", (Decimal(-5), "USD"), ["-$5", "$-5"]),
    ("date", (2026, 5, 3), ["3 May 2026", "May 3rd, 2026", "2026-05-03", "May 3, 2026", "3rd of May 2026", "03.05.2026",
                            "5/3/2026", "Sunday, 3 May 2026", "2026/05/03", "3-May-2026"]),
    ("date", (2026, 12, 31), ["31/12/2026", "12/31/2026", "Dec. 31, 2026", "31 dec 2026"]),
    ("date", (2026, 5, None), ["May 2026"]),
    ("date", (None, 5, 3), ["3 May", "May 3", "May 3rd"]),
    ("date", ("weekday", 4), ["Friday"]),
    ("time", ("17:00", None), ["5pm", "5 pm", "17:00", "5:00 p.m.", "5 PM", "17:00:00"]),
    ("time", ("14:30", 0), ["14:30 UTC", "14:30Z", "2:30 pm GMT", "14:30:00+00:00"]),
    ("duration", ("time", Decimal(7200)), ["2 h", "120 minutes", "2 hours", "two hours", "7200 s", "1 h 60 min"]),
    ("duration", ("calendar", Decimal(18)), ["18 months", "1.5 years", "1 year and 6 months"]),
    ("duration", ("workdays", Decimal(3)), ["3 working days", "three business days"]),
    ("quantity", ("mass", Decimal("2.5")), ["2.5 kg", "2500 g", "2.5 kilograms", "2.5kg"]),
    ("quantity", ("temperature", Decimal("293.15")), ["20 °C", "68 °F", "20 degrees Celsius", "20°C"]),
    ("quantity", ("data", Decimal(1_500_000)), ["1.5 MB", "1500 kB", "1.5 megabytes"]),
    ("percent", Decimal("12.5"), ["12.5%", "12.5 percent", "12.5 %", "12.50%"]),
    ("number", Decimal(25_000), ["25,000", "25000", "twenty-five thousand", "25k", "25\u202f000", "2.5e4", "25_000"]),
    ("number", Decimal("2.5"), ["2.5", "2½", "2.50"]),
    ("number", Decimal(-40), ["-40", "−40"]),
    ("id", "ord-4711", ["ORD-4711", "ord-4711", "`ORD-4711`"]),
    ("id", "4711", ["#4711", "order 4711", "order no. 4711", "Invoice number: 4711"]),
    ("version", "1.2.3", ["v1.2.3", "1.2.3", "V1.2.3"]),
    ("email", "ana@example.org", ["Ana@Example.org", "ana@example.org."]),
    ("url", "https://example.org/a", ["https://Example.org/a", "https://example.org/a/", "<https://example.org/a>."]),
    ("quote", "at the door", ['"at the door"', "“At the door”"]),
    ("limit", ("<=", "number", Decimal(5)), ["at most 5", "no more than five", "up to 5", "5 or fewer", "max. 5", "≤ 5",
                                            "maximum of 5", "must not exceed 5", "5 at most", "don't exceed 5",
                                            "<= 5"]),
    ("limit", (">=", "percent", Decimal(5)), ["at least 5%", "no less than 5 percent", "5% or more", "over 5%"]),
    ("limit", ("<=", "money", (Decimal(200), "USD")), ["under $200", "below 200 dollars", "less than USD 200"]),
    ("limit", ("<=", "date", (2026, 5, 3)), ["no later than 3 May 2026", "by 2026-05-03", "before May 3, 2026"]),
    ("limit", ("<=", "duration", ("time", Decimal(172_800))), ["within 48 hours", "in no more than 2 days"]),
    ("rule", ("not", ("contact", "customer")), ["must not contact the customer", "never contact the customer",
                                               "do not contact customers", "customers must never be contacted"]),
    ("rule", ("only", ("manager",)), ["only the manager", "only managers"]),
    ("rule", ("except", ("weekend",)), ["except on weekends", "excluding weekends"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "text"), [(k, v, t) for k, v, texts in ALIKE for t in texts])
def test_every_wording_has_the_same_normal_form(kind: str, value: object, text: str) -> None:
    assert (kind, value) in stated(text)
    assert kind == "rule" or (kind, value) in stated(f"It says {text}, as agreed.")


# What is none, and what belongs together


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "It works well and nobody complained about it.",
        "…",
        "---",
        "The end.",
        "You may march on in a second.",
        "The key is [redacted:anthropic_key:5187a30a] and it works.",
        "[redacted:password:12345678]",
    ],
)
def test_neutral_text_states_nothing(text: str) -> None:
    assert facts(text) == ()


def test_facts_never_overlap_and_stand_where_they_say() -> None:
    for name in SAMPLES:
        if not name.endswith(".json"):
            text = (CORPUS / name).read_text()
            ends = 0
            for fact in facts(text):
                assert text[slice(*fact.span)] == fact.text
                assert fact.span[0] >= ends
                ends = fact.span[1]


@pytest.mark.parametrize(
    ("text", "hedges"),
    [
        ("about 5 kg and 6 kg", ["about", None]),
        ("~5 kg", ["~"]),
        ("5 kg or so", ["or so"]),
        ("Maybe it is 5 kg, or 6 kg. It is 7 kg.", ["maybe", "maybe", None]),
        ("It is 5 kg, I think; it is 6 kg.", ["i think", None]),
        ("It is 5 kg.", [None]),
        ("It costs $40 and will probably arrive on 3 May.", [None, "probably"]),
        ("Maybe it costs $40, and the weight is 5 kg.", ["maybe", None]),
        ("Maybe it costs $40 and $50.", ["maybe", "maybe"]),
        ("It costs $40, delivery is probably in 3 weeks.", [None, "probably"]),
        ("Based on the offer of 3 May 2026, the total is likely $40.", [None, "likely"]),
        ("The refund of $40 might be delayed.", [None]),
        ("The cost is $40, I think.", ["i think"]),
        ("It costs $40 (unconfirmed) and weighs 5 kg.", ["unconfirmed", None]),
        ("The $40 are unconfirmed by the bank.", ["unconfirmed"]),
        ("The estimated cost is $40 for 3 rooms", ["estimated", None]),
        ("Probably 500 units of AX-204 at $40", ["probably", None, "probably"]),
        ("It is probably order A-1001.", ["probably"]),
    ],
)
def test_a_hedge_stays_with_the_facts_that_it_hedges(text: str, hedges: list[str | None]) -> None:
    assert [fact.hedge for fact in facts(text)] == hedges


def test_a_denied_fact_is_another_one() -> None:
    denied, said = facts("not $500 but $400")[-2:]

    assert (denied.negated, said.negated) == (True, False)
    assert denied.key != facts("$500")[0].key


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. first\n2. second", []),
        ("5-10 days", [("duration", ("time", Decimal(432_000))), ("duration", ("time", Decimal(864_000)))]),
        ("2020-2024", [("number", Decimal(2020)), ("number", Decimal(2024))]),
        ("It takes 5 days.\n\nWe wait.", [("duration", ("time", Decimal(432_000)))]),
        ("It takes 5 days.\n- We wait.", [("duration", ("time", Decimal(432_000)))]),
        ("order 2 pizzas", [("number", Decimal(2))]),
        ("one of them, no one", []),
        ("5 in the box", [("number", Decimal(5))]),
        ("10.0.4.17", [("id", "10.0.4.17")]),
        ("550e8400-e29b-41d4-a716-446655440000", [("id", "550e8400-e29b-41d4-a716-446655440000")]),
        ("9" * 60, [("id", "9" * 60)]),
        ("30/02/2026", []),
        ("Mr. Okafor called", [("name", "okafor")]),
        ("Please ask Acme Corp. They know.", [("name", "acme corp")]),
        ("LangGraph beats IBM", [("name", "langgraph"), ("name", "ibm")]),
        ("Three million\ndollars", [("money", (Decimal(3_000_000), "USD"))]),
        ("```python\nx = 5\n```", [("code", "x = 5")]),
        ("```\nit costs $5\n```", [("money", (Decimal(5), "USD"))]),
    ],
)
def test_what_stands_together_is_read_together(text: str, found: list[tuple[str, object]]) -> None:
    assert stated(text) == found


def test_another_locale_has_its_own_separators_months_and_units() -> None:
    text = "Am 3. Mai 2026 kosteten 2,5 Kilogramm 1.250,00 Euro, also 12,5 %."

    found = [(fact.kind, fact.value) for fact in facts(text, locale="de")]

    assert found[:4] == [
        ("date", (2026, 5, 3)),
        ("quantity", ("mass", Decimal("2.5"))),
        ("money", (Decimal("1250.00"), "EUR")),
        ("percent", Decimal("12.5")),
    ]
    with pytest.raises(ValueError, match="no locale 'xx'"):
        facts("5", locale="xx")
