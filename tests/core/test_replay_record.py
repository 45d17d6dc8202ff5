"""What is recorded of a replay, and is there to be read, carried off and replayed like any other run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import becausal
from becausal import canonical, semconv
from becausal.counterfactual import Counterfactual
from becausal.errors import ReplayError, StoreError
from becausal.instrument import active_recorder
from becausal.replay.divergence import NEEDS_LIVE
from becausal.run import Run

TOKEN = "k-83ac51f09e7d4b62"


@dataclass
class Parcel:
    name: str
    label: str


@dataclass
class Depot:
    """Tells tools what to ask with; an edit of a replay may well have them ask something else."""

    token: str = ""


depot = Depot()


@becausal.tool
def limit(item: str) -> int:
    return 150


@becausal.tool
def send(parcel: Parcel, limit: int, token: str) -> str:
    return f"sent {parcel.name}"


@becausal.tool
def note(text: str) -> None:
    pass


def shop(item: str) -> str:
    with becausal.chain(item) as turn:
        note("first")
        told = send(Parcel(item, "handle with care, " * 20), limit(item), depot.token)
        note(told)
        turn.returned(told)
        return told


@pytest.fixture(params=["", TOKEN], ids=["no secret", "a secret"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    becausal.instrument("threads", store=tmp_path / "becausal.db")
    depot.token = request.param
    shop("tea")
    yield becausal.last_run()
    becausal.uninstrument()


def test_a_replay_that_left_the_record_is_carried_off_and_replayed_and_nothing_of_it_is_a_secret(
    run: Run, tmp_path: Path
) -> None:
    left = run.replay(shop, edit=becausal.edit("limit").to(2))
    assert left.divergence is not None
    assert left.divergence.name == "send"

    found = left.run.steps
    assert found[0].attributes[semconv.REPLAY_OF] == run.chain_id
    assert [step for step in found if "[redacted" in str(step.attributes)] == []
    error = next(step for step in found if step.name == "send")
    kept = error.attributes[semconv.KEPT + "error"]
    assert isinstance(kept, str)
    assert found[0].received is not None
    assert found[0].received.bodies is not None
    body = found[0].received.bodies.body(canonical.parse_digest(kept)) or b""
    assert b"DivergenceError" in body
    assert b"secrets" not in body
    recorder = active_recorder()
    assert recorder is not None
    assert set(recorder.redacted) == ({"token"} if depot.token else set())
    carried = becausal.open(left.run.export(tmp_path / "left.becausal")).get(left.run.chain_id)
    assert [step.name for step in carried.steps] == [step.name for step in found]
    again = left.run.replay(shop)
    assert again.reproduced


def test_a_replay_that_its_store_does_not_take_is_refused_and_nothing_is_said_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = active_recorder()
    assert recorder is not None
    becausal.flush()

    def refuses(*_: object, **__: object) -> None:
        raise StoreError("it is only to be read")

    monkeypatch.setattr(type(recorder.store), "write", refuses)

    with pytest.raises(ReplayError, match="did not take all of its steps"):
        run.replay(shop)


def test_content_that_is_not_there_is_said_in_words() -> None:
    assert repr(canonical.Missing(b"1" * 16)) == "<content that is not there>"


def test_a_search_whose_replays_ask_models_anew_says_first_how_many_could_not_be_judged() -> None:
    found = Counterfactual((), (), 18, 2, {f"model 'Fake': {NEEDS_LIVE}": 16})

    assert str(found).startswith("16 of 18 replays could not be judged")
    assert "--live models" in str(found).splitlines()[0]
