"""The soak's verdict: what grows is told, and a cache that stays in its bound does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle, repeat
from pathlib import Path

import pytest
from benchmarks import soak

import becausal
from becausal.canonical import Encoder
from becausal.recorder import Recorder
from becausal.store.sqlite import write

ROOT = Path(__file__).parent.parent
STEPS = 25_000

HELD = """
import json, sys
import becausal
from benchmarks import soak
from tests.integrations.growth import containers
becausal.instrument(store=f"sqlite:///{sys.argv[1]}/becausal.db")
soak.soak(60, looks=1)
print(json.dumps(containers()))
"""
"""A process of its own: what other tests have left behind is not to be counted."""


def looks_at(
    held: Callable[[int], dict[str, int]], memory: Callable[[int], float] = lambda steps: 250.0
) -> list[soak.Look]:
    """Return forty looks at a process that holds this after so many steps."""
    return [
        soak.Look(steps, memory(steps), memory(steps), 10**6, 2, 14, 676 * steps, Counter(held(steps)))
        for steps in range(STEPS, 41 * STEPS, STEPS)
    ]


def test_what_stays_as_it_is_has_not_grown() -> None:
    assert soak.grown(looks_at(lambda steps: {"Ledger.messages": 2_000})) == []


@pytest.mark.parametrize("per_step", [1.0, 0.01, 0.001])
def test_what_grows_with_the_steps_is_told(per_step: float) -> None:
    found = soak.grown(looks_at(lambda steps: {"Ledger.messages": int(steps * per_step)}))

    assert found == [f"Ledger.messages: {int(500_000 * per_step)} -> {int(1_000_000 * per_step)}"]


def test_what_begins_to_grow_after_the_middle_is_told() -> None:
    (found,) = soak.grown(looks_at(lambda steps: {"Ledger.messages": max(100, steps - 600_000)}))

    assert found == "Ledger.messages: 100 -> 400000"


def test_a_cache_in_its_bound_has_not_grown_however_high_it_was_met() -> None:
    def held(steps: int) -> dict[str, int]:
        return {"Encoder._runs": 212 if steps <= 500_000 else Encoder.MOST_RUNS}

    assert soak.grown(looks_at(held)) == []
    assert soak.grown(looks_at(lambda steps: {f"Other{name}": n for name, n in held(steps).items()})) == [
        "OtherEncoder._runs: 212 -> 256"  # where no bound is known
    ]


def test_a_cache_that_leaves_its_bound_is_told() -> None:
    found = soak.grown(looks_at(lambda steps: {"Encoder._runs": Encoder.MOST_RUNS + (steps == 1_000_000)}))

    assert found == ["Encoder._runs: 257, and the most is 256"]


def test_memory_that_surely_grows_is_told_whatever_holds_it() -> None:
    (found,) = soak.grown(looks_at(lambda steps: {}, memory=lambda steps: 250 + 40 * steps / 2**20))

    assert found.startswith("memory: 40.00 ± ")


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[None]:
    becausal.instrument(store=tmp_path / "soak.db")
    yield
    becausal.uninstrument()


def test_every_bound_is_that_of_something_that_is_held(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", HELD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    held: dict[str, int] = json.loads(told.stdout.splitlines()[-1])

    assert set(soak.BOUNDS) <= set(held)
    owners = {name.partition(".")[0] for name in soak.BOUNDS if "." in name} - {"Writer", "Spending"}
    assert {owner: held[f"objects of {owner}"] for owner in owners} == dict.fromkeys(owners, 1)


@pytest.mark.usefixtures("recorded")
def test_a_leak_that_is_planted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, end = [0], Recorder.end

    def leaking(self: Recorder, *args: object, **said: object) -> None:
        end(self, *args, **said)  # type: ignore[arg-type]
        kept.append(1)

    monkeypatch.setattr(Recorder, "end", leaking)
    monkeypatch.setattr(write, "planted", kept, raising=False)

    looks = soak.soak(500, looks=2)

    assert any(found.startswith("becausal.store.sqlite.write.planted: ") for found in soak.grown(looks))


def test_of_what_comes_and_goes_between_two_looks_the_most_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = cycle([1, 9, 2, 3])
    monkeypatch.setattr(soak, "rounds", lambda: repeat(None))
    monkeypatch.setattr(soak, "containers", lambda: Counter(saw=next(lengths)))

    looks = soak.soak(32, looks=2)

    assert [(look.steps, look.held) for look in looks] == [(16 * nth, {"saw": 9}) for nth in (1, 2)]
