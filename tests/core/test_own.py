"""Code of one's own: the blocks and decorators run the app's code unchanged, and tell what it did."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import becausal
from becausal import clock, context, guard, own
from becausal.errors import BecausalWarning, EnvelopeError
from becausal.handoff import Handoff
from becausal.step import Step
from becausal.store import open_store

if TYPE_CHECKING:
    from tests.conftest import Recording


class Boom(Exception):
    """What the app raises."""


@becausal.tool
def search(query: str, limit: int = 10, *more: str, **options: object) -> list[str]:
    """Look it up."""
    return [query, str(limit), *more, *map(str, options.values())]


@becausal.tool(name="asearch")
async def search_async(query: str) -> list[str]:
    await asyncio.sleep(0)
    return [query]


@becausal.tool
def pages(count: int) -> Generator[int, str, str]:
    yield from range(count)
    return "done"


@becausal.tool
async def pages_async(count: int) -> AsyncGenerator[int]:
    for number in range(count):
        yield number


class Shop:
    """Tools as methods of every sort."""

    def __init__(self, price: int = 3) -> None:
        self.price = price

    @becausal.tool
    def quote(self, amount: int) -> int:
        return amount * self.price

    @becausal.tool
    async def quote_async(self, amount: int) -> int:
        return amount * self.price

    @becausal.tool
    @classmethod
    def above(cls, amount: int) -> str:
        return f"{cls.__name__} {amount}"

    @classmethod
    @becausal.tool
    def below(cls, amount: int) -> str:
        return f"{cls.__name__} {amount}"

    @becausal.tool
    @staticmethod
    def static_above(amount: int) -> int:
        return amount

    @staticmethod
    @becausal.tool
    def static_below(amount: int) -> int:
        return amount


class Callable:
    async def __call__(self, amount: int) -> int:
        await asyncio.sleep(0)
        return amount + 1


def everything() -> list[Any]:
    """Call every sort of tool once."""

    async def main() -> list[Any]:
        return [
            await search_async("q"),
            [item async for item in pages_async(2)],
            await Shop().quote_async(2),
            await becausal.tool(Callable())(1),
        ]

    return [
        search("q", 3, "m", o=1),
        list(pages(2)),
        *asyncio.run(main()),
        Shop(4).quote(2),
        Shop.quote(Shop(5), 2),
        Shop.above(1),
        Shop().below(2),
        Shop.static_above(3),
        Shop().static_below(amount=4),
    ]


RESULTS = [["q", "3", "m", "1"], [0, 1], ["q"], [0, 1], 6, 2, 8, 10, "Shop 1", "Shop 2", 3, 4]


def of_kind(steps: list[Step], kind: str) -> list[Step]:
    return [step for step in steps if step.kind == kind]


def value(payload: Any) -> Any:
    return payload.value()


# Before instrument()


def test_before_instrument_everything_runs_and_nothing_is_recorded() -> None:
    with becausal.chain("question") as chain, becausal.agent("a", received=1) as turn:
        turn.decide("x", because=["y"])
        turn.returned(1)
        becausal.decide("z")
        becausal.returned(2)
        assert everything() == RESULTS
        envelope = becausal.handoff("a", "b", {"n": 1})
        with becausal.receive("b", envelope) as payload:
            assert payload is envelope["payload"]
        assert (chain.id, chain.chain_id, turn.id, context.current()) == (None, None, None, None)

    assert envelope == {"payload": {"n": 1}}
    assert becausal.flush()


# Blocks


def test_a_chain_holds_all_that_stems_from_a_request(recording: Recording) -> None:
    with becausal.chain("answer it") as chain:
        with becausal.agent("planner", received={"task": 1}) as turn:
            search("x")
            turn.returned(["plan"])
        thread = threading.Thread(target=search, args=("y",))
        thread.start()
        thread.join(5)

    steps = recording.last()
    request, agent, x, y = steps
    assert {step.chain_id for step in steps} == {chain.chain_id}
    assert (request.kind, request.name, value(request.received)) == ("request", "answer it", "answer it")
    assert (agent.kind, agent.name, agent.agent, agent.parent_id) == (
        "agent",
        "planner",
        "planner",
        request.id,
    )
    assert (value(agent.received), value(agent.produced)) == ({"task": 1}, ["plan"])
    assert (x.parent_id, x.agent, y.parent_id, y.agent) == (agent.id, "planner", request.id, None)
    assert all(step.status == "ok" for step in steps)


def test_a_chain_may_have_an_id_of_the_apps(recording: Recording) -> None:
    for question in ("first", "second"):
        with becausal.chain(question, id="order 7", received={"q": question}):
            pass

    steps = recording.last()
    assert [(step.chain_id, step.parent_id, value(step.received)) for step in steps] == [
        ("order 7", None, {"q": "first"}),
        ("order 7", None, {"q": "second"}),
    ]


def test_what_was_returned_last_counts(recording: Recording) -> None:
    with becausal.agent("a") as turn:
        turn.returned(["draft"])
        result = ["final"]
        turn.returned(result)
        result.append("changed later")

    (step,) = recording.last()
    assert value(step.produced) == ["final"]


@pytest.mark.parametrize(
    "error",
    [
        Boom("no"),
        StopIteration(1),
        StopAsyncIteration(),
        RuntimeError(),
        KeyboardInterrupt(),
        GeneratorExit(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("block", ["chain", "agent", "receive"])
def test_an_exception_passes_through_a_block_as_the_same_object(
    block: str, error: BaseException, recording: Recording
) -> None:
    def opened() -> contextlib.AbstractContextManager[Any]:
        if block == "receive":
            return becausal.receive("b", becausal.handoff("a", "b", 1))
        return becausal.chain("a") if block == "chain" else becausal.agent("a")

    entered = opened()
    with pytest.raises(type(error)) as raised, entered:
        raise error

    assert raised.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert context.current() is None
    step = [step for steps in recording.runs() for step in steps if step.kind != "handoff"][-1]
    assert step.status == ("closed" if isinstance(error, GeneratorExit) else "error")


# Tools


def test_every_sort_of_function_can_be_a_tool(recording: Recording) -> None:
    with becausal.agent("a"):
        assert everything() == RESULTS

    tools = of_kind(recording.last(), "tool")
    assert [(step.name, value(step.received), value(step.produced)) for step in tools] == [
        ("search", {"query": "q", "limit": 3, "more": ("m",), "options": {"o": 1}}, RESULTS[0]),
        ("pages", {"count": 2}, [0, 1]),
        ("asearch", {"query": "q"}, ["q"]),
        ("pages_async", {"count": 2}, [0, 1]),
        ("quote_async", {"amount": 2}, 6),
        ("Callable", {"amount": 1}, 2),
        ("quote", {"amount": 2}, 8),
        ("quote", {"amount": 2}, 10),
        ("above", {"amount": 1}, "Shop 1"),
        ("below", {"amount": 2}, "Shop 2"),
        ("static_above", {"amount": 3}, 3),
        ("static_below", {"amount": 4}, 4),
    ]
    assert {step.agent for step in tools} == {"a"}


def test_a_call_that_does_not_fit_is_the_functions_to_refuse(recording: Recording) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'query'"):
        search(limit=1)  # type: ignore[call-arg]

    (step,) = recording.last()
    assert (step.status, value(step.received)) == ("error", {"limit": 1})


def test_parameters_may_have_any_name(recording: Recording) -> None:
    @becausal.tool
    def awkward(seen: int, function: int, self: int, wrapped: int, instance: int, args: int) -> int:
        return seen + function + self + wrapped + instance + args

    assert awkward(seen=1, function=2, self=3, wrapped=4, instance=5, args=6) == 21
    assert recording.last()[0].status == "ok"


def of_two(first: object, second: object = 2) -> None:
    """Its parameters may be given either way."""


def of_both(first: object, second: object) -> None: ...


def by_place_alone(first: object, second: object, /) -> None: ...


def by_name_alone(*, first: object, second: object) -> None: ...


def of_any(first: object, *rest: object, **named: object) -> None: ...


@pytest.mark.parametrize("function", [of_two, of_both, by_place_alone, by_name_alone, of_any])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 3), {}),
        ((1,), {}),
        ((1,), {"second": 3}),
        ((), {"second": 3, "first": 1}),
        ((), {}),
        ((1, 2, 3), {}),
    ],
)
def test_arguments_are_kept_by_the_names_that_python_binds_them_to(
    function: Any, args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    found = own._naming(function)(args, kwargs)

    try:
        assert found == dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except TypeError:
        assert found == {**{str(at): value for at, value in enumerate(args)}, **kwargs}


def test_a_function_may_be_a_tool_by_itself_and_as_a_method(recording: Recording) -> None:
    @becausal.tool
    def named(one: object, two: int = 0) -> int:
        return two

    class Holder:
        method = named

    with becausal.agent("a"):
        assert (named(1, 2), Holder().method(3)) == (2, 3)

    tools = of_kind(recording.last(), "tool")
    assert [value(step.received) for step in tools] == [{"one": 1, "two": 2}, {"two": 3}]


def test_a_tool_stays_what_it_is_under_inspect() -> None:
    assert inspect.isfunction(search)
    assert not inspect.iscoroutinefunction(search)
    assert inspect.iscoroutinefunction(search_async)
    assert asyncio.iscoroutinefunction(search_async)
    assert inspect.isgeneratorfunction(pages)
    assert inspect.isasyncgenfunction(pages_async)
    assert inspect.iscoroutinefunction(Shop().quote_async)
    assert inspect.ismethod(Shop().quote)
    assert (search.__name__, search.__doc__, search.__module__) == ("search", "Look it up.", __name__)
    assert str(inspect.signature(search)) == str(inspect.signature(inspect.unwrap(search)))
    assert list(inspect.signature(Shop().quote).parameters) == ["amount"]
    assert search.__annotations__["query"] == "str"


def test_a_tool_can_be_pickled_and_copied_where_the_function_could() -> None:
    assert pickle.loads(pickle.dumps(search)) is search
    assert copy.copy(search) is search
    assert copy.deepcopy([search])[0] is search
    assert pickle.loads(pickle.dumps(Shop(7).quote))(2) == 14
    assert pickle.loads(pickle.dumps(Shop.quote))(Shop(7), 2) == 14

    @becausal.tool
    def local() -> None:
        pass

    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(local)


# Decisions


def test_a_decision_is_noted_where_it_was_taken(recording: Recording) -> None:
    with becausal.agent("a") as turn:
        turn.decide("use search", because=["the question", {"n": 1}], reason="it is new", confidence=0.7)
        becausal.tool(lambda: becausal.decide("retry", because="one text"))()

    agent, tool = recording.last()
    (first,) = agent.choices
    assert (first.conclusion, first.premises, first.reason) == (
        "use search",
        ("the question", "n: 1"),
        "it is new",
    )
    assert (first.score, first.method) == (0.7, "declared")
    assert [(choice.conclusion, choice.premises, choice.score) for choice in tool.choices] == [
        ("retry", ("one text",), None)
    ]


@pytest.mark.parametrize(("given", "kept"), [(7.0, 1.0), (-1.0, 0.0), (float("nan"), None), (1, 1.0)])
def test_a_confidence_is_from_0_to_1_or_none(given: float, kept: float | None, recording: Recording) -> None:
    with becausal.agent("a") as turn:
        turn.decide("x", confidence=given)

    assert recording.last()[0].choices[0].score == kept


def test_outside_every_step_a_decision_is_not_noted(recording: Recording) -> None:
    becausal.decide("nothing")

    assert recording.runs() == []


def test_premises_run_no_code_of_the_apps(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Touchy:
        def __repr__(self) -> str:
            raise Boom

        __str__ = __repr__

    def failing() -> Iterator[object]:
        yield Touchy()
        raise Boom

    monkeypatch.delenv("BECAUSAL_STRICT")
    with becausal.agent("a") as turn:
        turn.decide("fine", because=[Touchy()])
        with caplog.at_level(logging.ERROR, logger="becausal"):
            turn.decide("not noted", because=failing())

    (choice,) = recording.last()[0].choices
    assert choice.conclusion == "fine"
    guard.failures.clear()


# Handoffs


def joined(steps: list[Step]) -> Handoff:
    """Return the only handoff, whose two ends are in place."""
    (handoff,) = of_kind(steps, "handoff")
    by_id = {step.id: step for step in steps}
    (receiver,) = [step for step in steps if any(cause.source_id == handoff.id for cause in step.causes)]
    assert handoff.attributes["becausal.transfer.received_by"] == receiver.id
    sender = by_id.get(handoff.causes[0].source_id) if handoff.causes else None
    return Handoff(handoff, handoff.agent, receiver.agent, sender, receiver)


def test_an_envelope_joins_both_ends_of_a_handoff(recording: Recording) -> None:
    payload = {"order": 7, "items": ["a"]}
    with becausal.chain("question"):
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", payload)
        with becausal.receive("writer", envelope) as received:
            search("x")

    assert received is payload
    handoff = joined(recording.last())
    assert handoff.verdict == "identical"
    assert handoff.step.attributes["becausal.transfer.equal"] is True
    assert handoff.sent_by is not None
    assert handoff.received_by is not None
    assert (handoff.sent_by.agent, handoff.received_by.agent) == ("planner", "writer")
    assert [step.hop for step in recording.last()] == [0, 0, 1, 1, 1]


def test_an_envelope_is_plain_data_and_survives_json(recording: Recording) -> None:
    with becausal.agent("planner"):
        envelope = becausal.handoff("planner", "writer", {"order": 7})
    again = json.loads(json.dumps(envelope))
    with becausal.receive("writer", again):
        pass

    assert again == envelope
    assert set(envelope) == {"payload", "becausal"}
    assert joined(recording.last()).verdict == "identical"


def test_what_json_changes_shows(recording: Recording) -> None:
    with becausal.agent("planner"):
        envelope = becausal.handoff("planner", "writer", {"pair": (1, 2)})
    with becausal.receive("writer", json.loads(json.dumps(envelope))):
        pass

    handoff = joined(recording.last())
    assert handoff.verdict == "differs"
    assert handoff.step.attributes["becausal.transfer.equal"] is False
    assert len(handoff.delta.changes) == 1


def test_what_is_changed_after_it_was_sent_shows(recording: Recording) -> None:
    with becausal.agent("planner"):
        envelope = becausal.handoff("planner", "writer", {"figure": 1})
    envelope["payload"]["figure"] = 2  # type: ignore[index]
    with becausal.receive("writer", envelope):
        pass

    assert joined(recording.last()).verdict == "differs"


def test_an_envelope_nobody_opens_is_lost(recording: Recording) -> None:
    with becausal.agent("planner"):
        becausal.handoff("planner", "writer", 1)

    (handoff,) = of_kind(recording.last(), "handoff")
    assert Handoff(handoff, "planner", "writer", None, None).verdict == "lost"


def test_a_handoff_from_outside_every_step_starts_a_chain(recording: Recording) -> None:
    envelope = becausal.handoff("planner", "writer", 1)
    with becausal.receive("writer", envelope):
        pass

    steps = recording.last()
    assert joined(steps).verdict == "identical"
    assert steps[1].parent_id == steps[0].id


def test_a_receiver_in_a_thread_of_its_own_is_of_the_chain(recording: Recording) -> None:
    with becausal.chain("question") as chain, becausal.agent("planner"):
        envelope = becausal.handoff("planner", "writer", 1)

    def work() -> None:
        with becausal.receive("writer", envelope):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)

    steps = recording.last()
    assert steps[-1].parent_id == chain.id
    assert joined(steps).received_by == steps[-1]


def test_one_envelope_may_be_opened_by_several(recording: Recording) -> None:
    with becausal.agent("planner"):
        envelope = becausal.handoff("planner", "everybody", 1)
    for name in ("a", "b"):
        with becausal.receive(name, envelope):
            pass

    planner, handoff, a, b = recording.last()
    assert [cause.source_id for step in (a, b) for cause in step.causes] == [handoff.id, handoff.id]
    assert planner.id == handoff.causes[0].source_id


RECEIVER = """
import json, sys, becausal
becausal.instrument()
with becausal.receive("writer", json.load(sys.stdin)) as payload:
    with becausal.agent("helper"):
        print(payload["order"])
"""


@pytest.mark.parametrize(
    "sender_is_first", [True, False], ids=["sender written first", "receiver written first"]
)
def test_a_receiver_in_another_process_is_of_the_chain(
    sender_is_first: bool, recording: Recording, tmp_path: Path
) -> None:
    with becausal.chain("question") as chain, becausal.agent("planner"):
        clock.witness(1000)
        envelope = becausal.handoff("planner", "writer", {"order": 7})
        if sender_is_first:
            assert becausal.flush()
        done = subprocess.run(
            [sys.executable, "-c", RECEIVER],
            input=json.dumps(envelope),
            env={**os.environ, "BECAUSAL_STORE": str(tmp_path / "becausal.db")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    steps = recording.last()
    assert done.stdout == "7\n"
    assert {step.chain_id for step in steps} == {chain.chain_id}
    assert [step.name for step in steps] == ["question", "planner", "planner to writer", "writer", "helper"]
    handoff = joined(steps)
    assert handoff.verdict == "identical"
    assert handoff.sent_by == steps[1]
    assert handoff.received_by == steps[3]
    assert handoff.sent is not None
    assert handoff.received is not None
    assert (handoff.sent.value(), handoff.received.digest) == ({"order": 7}, handoff.sent.digest)
    assert steps[2].parent_id == steps[1].id
    assert steps[3].parent_id == steps[0].id
    assert [step.hop for step in steps] == [0, 0, 1, 1, 1]


# Broken envelopes


@pytest.mark.parametrize("envelope", [None, "text", 7, ["payload"], {}, {"data": 1, "x": 2}], ids=repr)
@pytest.mark.parametrize("instrumented", [True, False])
def test_what_is_no_envelope_is_refused_and_said_how_to_make_one(
    envelope: Any, instrumented: bool, request: pytest.FixtureRequest
) -> None:
    if instrumented:
        request.getfixturevalue("recording")

    opening = becausal.receive("b", envelope)
    with pytest.raises(EnvelopeError, match=r"takes what becausal.handoff\(\) returned") as raised, opening:
        pass

    assert type(envelope).__name__ in str(raised.value)


def damages() -> dict[str, Any]:
    return {
        "no context": lambda told: None,
        "text": lambda told: "text",
        "empty": lambda told: {},
        "newer": lambda told: {**told, "format": 99},
        "no tracestate": lambda told: {**told, "tracestate": ""},
        "tracestate of another type": lambda told: {**told, "tracestate": 7},
        "no digest": lambda told: {key: told[key] for key in told if key != "digest"},
        "digest of another form": lambda told: {**told, "digest": "sha256:00"},
        "belief of another form": lambda told: {**told, "belief": None},
        "size of another type": lambda told: {**told, "size": "12"},
        "size that no store takes": lambda told: {**told, "size": 1 << 70},
        "time that never was": lambda told: {**told, "started_ns": -1},
        "infinite time": lambda told: {**told, "started_ns": float("inf")},
        "sender of another type": lambda told: {**told, "sender": {"a": 1}},
        "parent that is no step": lambda told: {**told, "parent": "root"},
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_context_is_warned_of_and_the_payload_given(damage: str, recording: Recording) -> None:
    with becausal.agent("a"):
        envelope: dict[str, Any] = becausal.handoff("a", "b", {"n": 1})
    envelope["becausal"] = damages()[damage](envelope["becausal"])

    with (
        pytest.warns(BecausalWarning, match="cannot be joined to its sender") as warned,
        becausal.receive("b", envelope) as payload,
    ):
        pass

    assert payload == {"n": 1}
    assert warned[0].filename == __file__
    receiver = next(step for steps in recording.runs() for step in steps if step.name == "b")
    assert (receiver.status, receiver.causes, value(receiver.received)) == ("ok", (), {"n": 1})


def test_where_warnings_are_errors_the_payload_is_given_all_the_same(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with becausal.receive("b", {"payload": 1, "becausal": "damaged"}) as payload:
            pass

    assert payload == 1
    assert "cannot be joined to its sender" in caplog.text
    assert recording.last()[0].name == "b"


def test_a_damaged_chain_id_costs_nobody_elses_steps(recording: Recording, store: str) -> None:
    with becausal.agent("a"):
        envelope: dict[str, Any] = becausal.handoff("a", "b", 1)
    envelope["becausal"]["tracestate"] = envelope["becausal"]["tracestate"].replace(
        "becausal=", "becausal=%ED%A0%80"
    )
    with becausal.receive("b", envelope):
        pass

    assert becausal.flush()
    reader = open_store(store, read_only=True)
    assert reader.gaps() == {}
    assert len(recording.runs()) == 2


# What fails inside


@pytest.mark.parametrize(
    "place",
    [
        "becausal.own.active_recorder",
        "becausal.own.Opening",
        "becausal.own.Sent",
        "becausal.own.send",
        "becausal.own.Choice",
        "becausal.clock.new_chain_id",
        "becausal.clock.tick",
        "becausal.context.with_step",
        "becausal.propagation._headers",
        "becausal.standin.FunctionStandIn",
    ],
)
def test_whatever_fails_below_the_app_gets_its_own_results(
    place: str, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("chaos")

    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    monkeypatch.setattr(place, fail)

    @becausal.tool
    def add(one: int, other: int) -> int:
        return one + other

    with becausal.chain("q"), becausal.agent("a") as turn:
        turn.decide("go on")
        becausal.decide("go on")
        turn.returned(add(1, 2))
        becausal.returned(3)
        headers: dict[str, str] = {}
        becausal.inject(headers)
        envelope = becausal.handoff("a", "b", {"n": add(1, 2)})
    with becausal.extract(headers), becausal.receive("b", envelope) as payload:
        assert payload == {"n": 3}
