"""How a replay of AutoGen's ends, is told once and in words."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.conditions import FunctionalTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from tests.integrations.fakes_autogen import adds, calls, speaker, text_of

import becausal
from becausal.run import Run


def price(item: str) -> dict[str, Any]:
    """Look a price up."""
    return {"price": 20, "item": item}


def shop() -> RoundRobinGroupChat:
    """A buyer looks a price up, and a judge cannot do without it."""

    def judges(messages: Sequence[Any]) -> str:
        return text_of(messages[-1]).split("20")[1]

    buyer = speaker("buyer", calls("price", adds("buyer"), item="tea"), tools=[price])
    return RoundRobinGroupChat([buyer, speaker("judge", judges)], max_turns=2)


Record = Callable[[Callable[[], Any]], Run]


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    becausal.instrument("autogen", store=tmp_path / "becausal.db")

    def recorded(make: Callable[[], Any]) -> Run:
        asyncio.run(make().run(task="what is tea?"))
        return becausal.last_run()

    yield recorded
    becausal.uninstrument()


def fails(messages: Sequence[Any]) -> str:
    raise ValueError("what was not foreseen")


def test_the_log_of_the_runtime_has_no_tracebacks_of_a_replay_and_its_own_outside_of_it(
    record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    run = record(shop)

    parted = run.replay(shop, edit={"price": "nothing"})
    found = run.counterfactual(shop, live=True, kinds=["answer"])

    assert parted.divergence is not None
    assert any(reason.startswith("the app failed") for reason in found.reasons)
    assert caplog.records == []

    with pytest.raises(RuntimeError, match="what was not foreseen"):
        asyncio.run(RoundRobinGroupChat([speaker("greeter", fails)], max_turns=1).run(task="hello"))
    assert "what was not foreseen" in caplog.text


def test_an_app_that_fails_beside_a_replay_logs_as_it_does(
    record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    replaying: list[bool] = []

    def serves() -> None:
        with pytest.raises(RuntimeError):
            asyncio.run(RoundRobinGroupChat([speaker("greeter", fails)], max_turns=1).run(task="hello"))

    def is_over(_: object) -> bool:
        if replaying:  # a user is served, in a thread and a context that have nothing of the replay's
            other = threading.Thread(target=contextvars.Context().run, args=(serves,))
            other.start()
            other.join()
        return True

    def make() -> RoundRobinGroupChat:
        return RoundRobinGroupChat(
            [speaker("buyer", adds("buyer"))], termination_condition=FunctionalTermination(is_over)
        )

    run = record(make)
    replaying.append(True)

    assert run.replay(make).reproduced
    assert "what was not foreseen" in caplog.text


def test_an_app_that_fails_without_a_piece_is_told_with_its_own_error(record: Record) -> None:
    found = record(shop).counterfactual(shop, live=True, kinds=["answer"])

    assert "the app failed with IndexError in model 'PureClient' of judge" in found.reasons
