"""The promise: the doctor says how runs are recorded, and not only what its own environment would have said."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.builders import research_team

import becausal
from becausal.doctor import Check, Diagnosis, diagnose
from becausal.doctor.telling import look_at_settings
from becausal.store import open_store
from becausal.views import checkup


def judged(store: Path) -> Diagnosis:
    return diagnose(store, checks=(Check("settings", look_at_settings),))


def said(found: Diagnosis) -> str:
    return found.sections[0].lines[0].says


def record(store: Path, *, level: str | None = None, capture: str | None = None) -> None:
    becausal.instrument("threads", store=store, level=level, capture=capture)
    with becausal.chain("what does it cost?"), becausal.agent("planner", received="a question") as turn:
        becausal.Memory("facts").write("price", 20)  # a memory keeps its values all the same
        turn.returned("an answer")
    becausal.flush()


def test_what_an_app_records_by_is_told_inside_of_it_and_after_it(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    record(store, capture="digest", level="boundaries")
    try:
        within = judged(store)
    finally:
        becausal.uninstrument()
    after = judged(store)

    here = "(the environment here says level full, capture full)"
    assert f"level boundaries, capture digest, as this process records {here}" in said(within)
    assert f"level boundaries, capture digest, as the newest run was recorded {here}" in said(after)
    for found in (within, after):
        told = checkup.json(found)
        assert (told["level"], told["capture"]) == ("boundaries", "digest")


def test_an_environment_that_records_otherwise_than_the_app_did_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "runs.db"
    record(store)
    becausal.uninstrument()
    assert said(judged(store)).startswith("level full, capture full; ")

    monkeypatch.setenv("BECAUSAL_CAPTURE", "digest")

    assert (
        "capture full, as the newest run was recorded (the environment here says level full, capture digest)"
        in (said(judged(store)))
    )


def test_where_no_run_says_anything_it_is_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_CAPTURE", "digest")
    open_store(f"sqlite:///{tmp_path / 'empty.db'}").close()

    assert said(judged(tmp_path / "empty.db")).startswith("level full, capture digest; ")
    assert said(judged(tmp_path / "none.db")).startswith("level full, capture digest; ")


def test_a_run_that_does_not_say_its_level_leaves_that_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    research_team().write(f"sqlite:///{tmp_path / 'runs.db'}")
    monkeypatch.setenv("BECAUSAL_LEVEL", "boundaries")

    assert said(judged(tmp_path / "runs.db")).startswith("level boundaries, capture full; ")
