"""The figures of public runs are counted right: labels, positions, and who named whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.public.__main__ import attribution, judgement
from tests.public.answers import ANSWERS, CONTROLS, best_constants, by_chance
from tests.public.logs import Labelled, rewarded, turns_of, who_and_when

HISTORY: list[dict[str, object]] = [
    {"role": "human", "content": "What was the revenue of Acme in 2025?"},
    {"role": "Orchestrator (thought)", "content": "The web will know the revenue of Acme in 2025."},
    {"role": "Orchestrator (-> WebSurfer)", "content": "Please look up the revenue of Acme."},
    {"role": "WebSurfer", "content": "The page says that the revenue of Acme was 20 million USD."},
    {"role": "Orchestrator (termination condition)", "content": "The revenue of Acme was 20 million USD."},
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    labels = {"history": HISTORY, "mistake_agent": "WebSurfer", "mistake_step": "3", "question": "?"}
    for group, number in (("Hand-Crafted", 1), ("Hand-Crafted", 2), ("Algorithm-Generated", 1)):
        path = tmp_path / "clone" / "Who&When" / group / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**labels, "question": f"{group} {number}"}))
    tau = tmp_path / "tau" / "historical_trajectories"
    tau.mkdir(parents=True)
    calls = [
        {"role": "user", "content": "Cancel my flight, " + "please. " * 120},
        {"role": "assistant", "content": "Done."},
    ]
    (tau / "runs.json").write_text(
        json.dumps([{"reward": 1.0, "traj": calls}, {"reward": 0.0, "traj": [*calls, *calls]}])
    )
    (tau / "pointer.json").write_text("version https://git-lfs")
    return tmp_path


def test_the_labels_of_a_log_are_read_with_its_run(home: Path) -> None:
    labelled = list(who_and_when(home))

    assert [one.group for one in labelled] == ["Algorithm-Generated", "Hand-Crafted", "Hand-Crafted"]
    assert all((one.agent, one.index) == ("WebSurfer", 3) for one in labelled)
    assert all(one.turns[3].speaker == "WebSurfer" for one in labelled)


def test_an_address_is_no_part_of_a_speakers_name() -> None:
    assert [turn.speaker for turn in turns_of(HISTORY)] == [
        "human", "Orchestrator", "Orchestrator", "WebSurfer", "Orchestrator"
    ]  # fmt: skip


def test_blame_of_the_last_words_and_the_controls_say_what_they_are_called(home: Path) -> None:
    (one, *_) = who_and_when(home)

    said = {name: answer(one) for name, answer in (ANSWERS | CONTROLS).items()}

    blamed, first, last = said["blame(last words)"], said["control: first turn"], said["control: last turn"]
    assert blamed is not None and (blamed.agent, blamed.index) == ("WebSurfer", 3)  # noqa: PT018
    assert first is not None and (first.agent, first.index) == ("Orchestrator", 1)  # noqa: PT018
    assert last is not None and last.index == 4  # noqa: PT018


def test_chance_counts_the_turns_that_could_be_named(home: Path) -> None:
    labelled: list[Labelled] = list(who_and_when(home))

    assert by_chance(labelled) == pytest.approx((1 / 4, 1 / 4))
    assert best_constants(labelled) == (3, 3)


def test_the_tables_have_a_line_for_everybody(home: Path) -> None:
    labelled, judged = list(who_and_when(home)), list(rewarded(home))

    table = attribution(labelled)

    assert all(name in table for name in (*ANSWERS, *CONTROLS))
    assert [one.succeeded for one in judged] == [True, False]
    assert "of 1 that failed" in judgement(judged)
