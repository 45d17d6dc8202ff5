"""Celery tasks belong to the chain of whoever sent them: a real worker, a broker in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Recording

import becausal
from becausal.context import current

celery: Any = pytest.importorskip("celery")
testing: Any = pytest.importorskip("celery.contrib.testing.worker")


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    made = celery.Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)
    made.conf.update(task_serializer="json", broker_connection_retry_on_startup=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def research(app: Any) -> Any:
    @app.task(name="research", shared=False)  # type: ignore[untyped-decorator,unused-ignore]
    def research(topic: str) -> dict[str, Any]:
        with becausal.agent("worker") as step:
            step.returned(topic.upper())
        return {"said": topic.upper(), "argument": topic}

    return research


@pytest.fixture(scope="module")
def worker(app: Any, research: Any) -> Iterator[None]:
    # A worker sets up the root logger as its own (celery/app/log.py), for all tests that come after.
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    with testing.start_worker(app, perform_ping_check=False, shutdown_timeout=20):
        yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.usefixtures("worker")
def test_a_task_in_a_worker_goes_on_with_the_senders_chain(recording: Recording, research: Any) -> None:
    with becausal.agent("caller"):
        answer = research.delay("hats").get(timeout=20)
    assert answer == {"said": "HATS", "argument": "hats"}
    steps = {step.name: step for step in recording.last()}
    assert (steps["worker"].chain_id, steps["worker"].parent_id) == (
        steps["caller"].chain_id,
        steps["caller"].id,
    )


@pytest.mark.usefixtures("worker")
def test_a_task_that_nobody_in_a_chain_sent_is_a_chain_of_its_own(
    recording: Recording, research: Any
) -> None:
    research.delay("hats").get(timeout=20)
    (step,) = recording.last()
    assert step.parent_id is None


@pytest.mark.usefixtures("worker")
def test_the_worker_stands_nowhere_again_after_a_task(recording: Recording, app: Any, research: Any) -> None:
    with becausal.agent("caller"):
        research.delay("one").get(timeout=20)
    research.delay("two").get(timeout=20)
    chains = recording.runs()
    assert sorted(len(chain) for chain in chains) == [1, 2]


def test_an_eager_task_stands_in_its_callers_step(recording: Recording, research: Any) -> None:
    with becausal.agent("caller") as step:
        research.apply(args=("hats",)).get()
        here = current()
        assert here is not None
        assert here.id == step.id
    steps = {step.name: step for step in recording.last()}
    assert steps["worker"].parent_id == steps["caller"].id


def test_the_signals_are_disconnected_again(store: str) -> None:
    signals: Any = pytest.importorskip("celery.signals")
    before = [list(signal.receivers or ()) for signal in _watched(signals)]
    becausal.instrument("celery", store=store)
    assert [len(signal.receivers) for signal in _watched(signals)] == [len(kept) + 1 for kept in before]
    becausal.uninstrument()
    assert [list(signal.receivers or ()) for signal in _watched(signals)] == before


def _watched(signals: Any) -> list[Any]:
    return [signals.before_task_publish, signals.task_prerun, signals.task_postrun]
