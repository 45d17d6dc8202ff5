"""The promise: what a figure follows from is looked up by its size, and is what a look at every way would find."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becausal.facts import Fact, facts
from becausal.facts import derived as deriving
from becausal.facts.derived import Given

FIGURES = st.one_of(
    st.integers(0, 10**7).map(Decimal),
    st.decimals(-(10**6), 10**6, places=2),
    st.sampled_from([Decimal("1e-12"), Decimal("1e18"), Decimal("1e400"), Decimal(0), Decimal("24999999")]),
)


def fact(figure: Decimal, kind: str) -> Fact:
    value: object = (figure, "EUR") if kind == "money" else figure
    return Fact(kind, value, f"{figure:,f}", (0, 0))  # type: ignore[arg-type]


def all_of_them(self: deriving._Sizes, size: Decimal, widest: Decimal) -> Iterable[int]:
    return sorted(self._numbers)


@settings(max_examples=200, deadline=None)
@given(
    figures=st.lists(FIGURES, min_size=1, max_size=6),
    kind=st.sampled_from(["money", "number", "percent"]),
    other=FIGURES,
    way=st.integers(0, 5),
)
def test_a_lookup_finds_what_a_look_at_every_way_finds(
    figures: list[Decimal], kind: str, other: Decimal, way: int
) -> None:
    a, b = figures[0], figures[-1]
    made = (other, a + b, a - b, a * b, a / b * 100 if b else a, (a * Decimal("1.0049")).to_integral_value())
    asked, facts = fact(made[way], kind), [fact(figure, kind) for figure in figures]

    looked_up = Given(facts).derivation(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deriving._Sizes, "near", all_of_them)
        assert Given(facts).derivation(asked) == looked_up


def test_of_sixty_figures_few_ways_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Decimal] = []
    is_it = deriving._Nearness.is_it

    def counted(self: deriving._Nearness, figure: Decimal) -> bool:
        compared.append(figure)
        return is_it(self, figure)

    monkeypatch.setattr(deriving._Nearness, "is_it", counted)
    given_figures = Given(fact(Decimal(7_919 * number + 13), "money") for number in range(60))

    given_figures.derivation(fact(Decimal(987_654_321_012), "money"))

    assert len(compared) < 100  # of 25,000


def test_that_a_figure_follows_is_told_at_once_beside_many_and_as_always_beside_few() -> None:
    for count in (3, 20, 29, 30, 31, 32, 60, 90):
        given = facts("\n".join(f"crate {number} weighs {number * 37 + 11} kg" for number in range(count)))
        for asked in facts(
            "It comes to 412 kg, 98765432101 kg, 17 EUR, 3.5 %, on 3 May 2026, at most 90 kg."
        ):
            assert Given(given).leads_to(asked) == (Given(given).derivation(asked) is not None), (
                count,
                asked,
            )
    many = Given(given)
    assert many.leads_to(facts("It comes to 412 kg.")[0])
    assert "_simple" not in vars(many)
