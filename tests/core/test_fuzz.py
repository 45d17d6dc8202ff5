"""A small part of `python -m tests.fuzz`: what was found once is right for good, and chance finds nothing at once."""

from __future__ import annotations

import pytest
from tests.fuzz.__main__ import CORPUS, by_chance
from tests.fuzz.targets import TARGETS

FOUND = sorted(path for path in CORPUS.glob("*/*") if path.parent.name in TARGETS)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name[:14]}")
def test_an_input_that_was_wrong_once_is_right(path) -> None:  # type: ignore[no-untyped-def]
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore")
def test_whatever_bytes_there_are_the_law_holds(target: str) -> None:
    assert by_chance(target, 50, seed=3) >= 50
