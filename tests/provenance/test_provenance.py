"""The promise: over runs whose pieces' origins are known, blame names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.provenance.__main__ import scored
from tests.provenance.plants import PlantKind
from tests.provenance.scoring import Score

import becausal


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[PlantKind, Score]]:
    folder: Path = tmp_path_factory.mktemp("provenance")
    becausal.instrument("langgraph", "langchain", "autogen", store=f"sqlite:///{folder}/runs.db")
    yield scored(48, 100)
    becausal.uninstrument()


@pytest.mark.parametrize(
    ("kind", "least"),
    [("verbatim", 0.97), ("quoted", 0.97), ("reformatted", 0.97), ("truncated", 0.97), ("derived", 0.9)],
)
def test_what_was_given_is_led_to_who_gave_it(
    scores: dict[PlantKind, Score], kind: PlantKind, least: float
) -> None:
    score = scores[kind]

    assert score.planted >= 20
    assert score.right / score.planted >= least, score.misses
    assert score.right / (score.told + score.wrong_claims) >= least, score.misses


def test_of_two_that_gave_the_same_the_one_that_is_meant_is_named(scores: dict[PlantKind, Score]) -> None:
    score = scores["two sources"]

    assert score.right / score.planted >= 0.9, score.misses


@pytest.mark.parametrize("kind", ["invented", "computed"])
def test_what_nobody_gave_is_never_given_to_an_innocent_tool(
    scores: dict[PlantKind, Score], kind: PlantKind
) -> None:
    assert scores[kind].planted >= 8
    assert scores[kind].innocent == 0, scores[kind].misses
