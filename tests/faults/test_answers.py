"""The promise: of faults put into real apps from outside, the first suspect is where they entered, on their true way.

A small part of the benchmark: `python -m tests.faults --answers` plays the whole of it.
"""

from __future__ import annotations

import pytest
from tests.conftest import Recording
from tests.faults.answers import answered, composed
from tests.faults.case import KINDS
from tests.faults.composites import COMPOSITES

SEEDS = {"langgraph": 2, "autogen": 3}


@pytest.mark.parametrize("name", ["F01", "F05", "F14", "F18", "F20", "F23", "F24", "F25", "X04"])
def test_the_first_suspect_is_where_a_fault_entered_and_its_path_is_what_carried_it(
    name: str, recording: Recording
) -> None:
    for framework in KINDS[name].frameworks:
        found = answered(KINDS[name], SEEDS[framework], framework)

        assert found.is_right, found.said
        assert found.is_party_right, found.said
        assert found.clean_suspects == 0, framework
        assert found.f1 is None or found.f1 >= 0.6, (found.precision, found.recall)


@pytest.mark.parametrize("name", ["M1a", "M1b", "M2"])
def test_two_roots_are_both_named_and_a_fault_that_was_put_right_is_blamed_on_nobody(
    name: str, recording: Recording
) -> None:
    for framework, seed in SEEDS.items():
        found = composed(COMPOSITES[name], seed, "langgraph" if framework == "langgraph" else "autogen")

        assert found.is_right, found.said
        assert found.is_told == found.is_contained
