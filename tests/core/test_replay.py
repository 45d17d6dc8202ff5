"""Code of one's own runs again, answered from the record."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import becausal
from becausal import semconv
from becausal.errors import ReplayError
from becausal.instrument import active_recorder
from becausal.replay import Asked, Replay, replaying
from becausal.replay.script import script_classes
from becausal.replay.seam import Seam
from becausal.run import Run

calls: list[object] = []
"""What the tools of these tests were really asked."""


@dataclasses.dataclass(frozen=True)
class Quote:
    price: float
    currency: str


class NoStockError(Exception):
    def __init__(self, item: str) -> None:
        super().__init__(f"no {item} in stock", item)
        self.item = item


@becausal.tool
def quote(item: str) -> Quote:
    calls.append(item)
    return Quote(2.5, "EUR")


@becausal.tool
def stock(item: str) -> dict[str, Any]:
    calls.append(item)
    return {"item": item, "amount": 3, "at": ("Bonn", 7)}


@becausal.tool
def missing(item: str) -> None:
    calls.append(item)
    raise NoStockError(item)


@becausal.tool
def pages(count: int) -> Iterator[dict[str, int]]:
    calls.append(count)
    yield from ({"page": number} for number in range(count))


@becausal.tool
async def search(query: str) -> list[str]:
    calls.append(query)
    return [f"{query} is 42"]


@becausal.tool
async def stream(query: str) -> AsyncIterator[str]:
    calls.append(query)
    for word in query.split():
        yield word


@becausal.tool
def dice(_: int) -> int:
    calls.append("dice")
    return random.randrange(10**9)


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[Path]:
    calls.clear()
    becausal.instrument("threads", store=tmp_path / "becausal.db")
    yield tmp_path
    becausal.uninstrument()


def shop(item: str) -> str:
    with becausal.chain(item), becausal.agent("buyer", received=item) as turn:
        told = f"{item}: {quote(item).price} {stock(item)}"
        turn.returned(told)
        return told


def recorded(app: Any, *given: Any) -> tuple[Any, Run]:
    result = app(*given)
    if asyncio.iscoroutine(result):
        result = asyncio.run(result)
    run = becausal.last_run()
    calls.clear()
    return result, run


def test_tools_are_answered_and_the_run_is_the_same() -> None:
    told, run = recorded(shop, "tea")

    replay = run.replay(shop)

    assert (replay.value, calls) == (told, [])
    assert replay.reproduced
    assert replay.is_exact
    assert replay.divergence is None


def test_a_function_whose_parameters_have_defaults_takes_the_input_and_is_called_once() -> None:
    given: list[str] = []

    def app(item: str = "milk", count: int = 1) -> str:
        given.append(item)
        return shop(item)

    told, run = recorded(app, "tea")
    given.clear()

    assert run.replay(app).value == told
    assert given == ["tea"]


def test_an_answer_is_of_its_class_and_its_dicts_are_in_their_order() -> None:
    seen: list[object] = []

    def app(item: str) -> None:
        with becausal.chain(item):
            seen.append((quote(item), list(stock(item).items())))

    _, run = recorded(app, "tea")
    assert run.replay(app).reproduced

    assert seen[0] == seen[1]
    assert type(seen[1][0]) is Quote  # type: ignore[index]


def test_an_exception_is_raised_as_it_was() -> None:
    seen: list[NoStockError] = []

    def app(item: str) -> None:
        with becausal.chain(item):
            try:
                missing(item)
            except NoStockError as error:
                seen.append(error)

    _, run = recorded(app, "tea")
    assert run.replay(app).reproduced

    first, second = seen
    assert (type(second), second.args, second.item) == (NoStockError, first.args, "tea")
    assert calls == []


def test_streams_come_piece_by_piece() -> None:
    def app(count: int) -> list[Any]:
        with becausal.chain("pages", received=count):
            return [(page, len(calls)) for page in pages(count)]

    _, run = recorded(app, 3)

    assert run.replay(app).value == [({"page": 0}, 0), ({"page": 1}, 0), ({"page": 2}, 0)]


async def app_in_a_loop(query: str) -> list[Any]:
    with becausal.chain(query):
        found = await search(query)
        return [*found, [word async for word in stream(query)]]


def test_coroutines_and_async_streams_are_answered() -> None:
    told, run = recorded(app_in_a_loop, "what is it")

    replay = run.replay(app_in_a_loop)

    assert replay.value == told == ["what is it is 42", ["what", "is", "it"]]
    assert replay.is_exact
    assert calls == []


async def test_a_replay_works_in_a_running_loop() -> None:
    told = await app_in_a_loop("what is it")
    run = becausal.last_run()
    calls.clear()

    assert run.replay(app_in_a_loop).value == told
    assert (await run.areplay(app_in_a_loop)).value == told
    assert calls == []


def test_a_call_that_the_record_does_not_know_ends_the_replay_and_is_told() -> None:
    def other(item: str) -> str:
        with becausal.chain(item):
            try:
                return str(stock(item + "s"))
            except Exception:  # as apps do
                return "nothing"

    _, run = recorded(shop, "tea")

    replay = run.replay(other)

    assert calls == []
    assert replay.divergence is not None
    assert not replay.reproduced
    assert (replay.divergence.why, replay.divergence.kind, replay.divergence.name) == (
        "unknown",
        "tool",
        "stock",
    )
    assert "live=['stock']" in str(replay.divergence)
    nearest = replay.divergence.nearest
    assert nearest is not None
    assert nearest.name == "stock"
    (change,) = replay.divergence.delta
    assert (change.before, change.after) == ("tea", "teas")


def test_a_tool_runs_only_if_it_is_named() -> None:
    _, run = recorded(shop, "tea")

    replay = run.replay(shop, live=["stock"])

    assert calls == ["tea"]
    assert [run.name for run in replay.run.steps if run.id in replay.ran] == ["stock"]
    assert replay.reproduced


def test_all_models_allowed_allows_no_tool() -> None:
    _, run = recorded(shop, "tea")

    assert run.replay(lambda item: shop(item + "s"), live=True).divergence is not None
    assert calls == []


def test_a_stand_in_answers_what_the_record_does_not_know() -> None:
    asked: list[Asked] = []

    def standin(question: Asked) -> Any:
        asked.append(question)
        return {"item": "x", "amount": 0, "at": ("", 0)}

    def app(item: str) -> Any:
        with becausal.chain(item):
            return stock(item + "s")

    _, run = recorded(shop, "tea")

    replay = run.replay(app, standin=standin)

    assert replay.value["amount"] == 0
    assert [(item.name, item.request) for item in asked] == [("stock", {"item": "teas"})]
    assert len(replay.stood_in) == 1
    assert calls == []


def test_an_edited_answer_is_given_and_the_rest_is_recorded() -> None:
    _, run = recorded(shop, "tea")
    step = next(step for step in run.steps if step.name == "stock")

    replay = run.replay(shop, edit=becausal.edit(step).field("amount").to(0))

    assert "'amount': 0" in replay.value
    assert calls == []
    assert [pair.step.name for pair in replay.comparison.changed] == ["buyer", "stock"]
    assert run.replay(shop, edit={step: {"amount": 1}}).value.endswith("{'amount': 1}")


def test_an_edited_input_is_given_to_the_app() -> None:
    def app(item: str) -> str:
        with becausal.chain(item):
            return item.upper()

    _, run = recorded(app, "tea")

    assert run.replay(app, edit=becausal.edit(run.steps[0]).text("tee")).value == "TEE"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"nothing": 1}, "addresses nothing"),
        (lambda step: becausal.edit(step).field("colour").to(1), "no 'colour'"),
        (lambda step: becausal.edit("ffff").to(1), "addresses nothing"),
        (lambda step: becausal.edit(step), "say what to do there"),
        (lambda step: 7, "no edit"),
    ],
)
def test_an_edit_that_addresses_nothing_is_told_before_anything_runs(edit: Any, said: str) -> None:
    _, run = recorded(shop, "tea")
    step = next(step for step in run.steps if step.name == "stock")
    ran: list[str] = []

    asked = [edit(step)] if callable(edit) else edit
    with pytest.raises(becausal.ReplayError, match=said):
        run.replay(
            lambda item: ran.append(item), edit=asked[0] if callable(edit) and "no edit" in said else asked
        )
    assert ran == []


def test_what_cannot_be_replayed_is_told_before_anything_runs(tmp_path: Path) -> None:
    class Hidden:
        pass

    @becausal.tool
    def handle() -> object:
        return threading.Lock()

    def app(item: str) -> None:
        with becausal.chain(item):
            handle()

    _, run = recorded(app, "tea")

    with pytest.raises(becausal.ReplayError, match=r"'handle'.*lock.*no more than the name"):
        run.replay(app)
    with pytest.raises(becausal.ReplayError, match="which app"):
        run.replay()
    with pytest.raises(becausal.ReplayError, match="no module 'nowhere'"):
        run.replay("nowhere:app")
    with pytest.raises(becausal.ReplayError, match="module:name"):
        run.replay("app")


def test_of_an_older_record_it_is_told_which_steps_cannot_be_answered() -> None:
    def app(item: str) -> str:
        with becausal.chain(item):
            try:
                missing(item)
            except NoStockError:
                return str(stock(item)["amount"])
        return ""

    told, run = recorded(app, "tea")
    older = [
        dataclasses.replace(
            step, attributes={k: v for k, v in step.attributes.items() if not k.startswith("kept.")}
        )
        for step in run.steps
    ]

    with pytest.raises(becausal.ReplayError, match=r"'missing'.*only the text is kept"):
        Run(run.chain_id, older).replay(app)
    assert calls == []
    assert Run(run.chain_id, older).replay(app, live="missing").value == told
    assert calls == ["tea"]


def test_a_run_without_contents_is_told_before_anything_runs(tmp_path: Path) -> None:
    becausal.uninstrument()
    becausal.instrument("threads", store=tmp_path / "digest.db", capture="digest")
    shop("tea")
    run = becausal.last_run()
    becausal.uninstrument()
    calls.clear()

    with pytest.raises(becausal.ReplayError, match="capture='digest'"):
        run.replay(shop)
    assert calls == []


def test_a_run_of_the_boundaries_is_told_before_anything_runs(tmp_path: Path) -> None:
    becausal.uninstrument()
    becausal.instrument("threads", store=tmp_path / "boundaries.db", level="boundaries")
    shop("tea")
    run = becausal.last_run()
    becausal.uninstrument()

    with pytest.raises(becausal.ReplayError, match="level 'boundaries'"):
        run.replay(shop)


def test_the_network_is_shut_in_a_replay_and_nowhere_else() -> None:
    def app(item: str) -> None:
        with becausal.chain(item), socket.socket() as connection:
            connection.connect(("127.0.0.1", 9))

    def reaching() -> BaseException | None:
        try:
            app("tea")
        except OSError as refused:
            return refused
        return None

    assert isinstance(reaching(), OSError)
    connect = socket.socket.connect
    run = becausal.last_run()

    replay = run.replay(app)

    assert replay.divergence is not None
    assert (replay.divergence.why, "127.0.0.1" in str(replay.divergence)) == ("network", True)
    assert isinstance(run.replay(app, network=True).outcomes[0].error, OSError)
    assert socket.socket.connect is connect


def test_a_replay_is_recorded_and_is_nobodys_last_run() -> None:
    _, run = recorded(shop, "tea")

    replay = run.replay(shop)

    assert replay.run.chain_id.startswith("replay")
    assert replay.run.steps[0].attributes["becausal.replay.of"] == run.chain_id
    assert becausal.last_run().chain_id == run.chain_id
    assert becausal.open().get(replay.run.chain_id).output == run.output


def test_a_process_that_records_nothing_replays_all_the_same(recording: Path) -> None:
    told, run = recorded(shop, "tea")
    becausal.uninstrument()

    replay = becausal.open(recording / "becausal.db").get(run.chain_id).replay(shop)

    assert (replay.value, calls) == (told, [])
    assert replay.reproduced


def test_the_app_serves_its_users_meanwhile() -> None:
    entered, served = threading.Event(), threading.Event()

    def app(item: str) -> str:
        entered.set()
        served.wait(5)
        return shop(item)

    _, run = recorded(app, "tea")
    entered.clear()
    served.clear()
    found: list[Replay[Run]] = []
    thread = threading.Thread(target=lambda: found.append(run.replay(app)))
    thread.start()
    entered.wait(5)
    other = shop("coffee")
    served.set()
    thread.join()

    assert calls == ["coffee", "coffee"]
    assert other.startswith("coffee")
    assert found[0].reproduced


def test_a_memory_is_read_as_it_stood_and_not_written_to() -> None:
    memory = becausal.Memory("prices")
    memory.write("tea", 1)

    def app(item: str) -> list[Any]:
        with becausal.chain(item):
            before = memory.read(item)
            memory.write(item, before + 1)
            return [
                before,
                memory.read(item),
                memory.get("coffee"),
                [event.version for event in memory.history(item)],
            ]

    told, run = recorded(app, "tea")
    memory.write("tea", 70)
    memory.write("coffee", 8)
    events = memory.history("tea")

    replay = run.replay(app)

    assert replay.value == told == [1, 2, None, [1, 2]]
    assert replay.reproduced
    assert memory.history("tea") == events
    assert memory.verify() is None


def test_what_is_left_to_chance_is_answered_once_it_is_a_tool() -> None:
    now, any_id = becausal.tool(name="now")(time.time), becausal.tool(name="id")(uuid.uuid4)

    def app(item: str) -> tuple[float, uuid.UUID]:
        with becausal.chain(item):
            return now(), any_id()

    told, run = recorded(app, "tea")

    assert run.replay(app).value == told


def random_branches(count: int) -> list[tuple[int, int]]:
    """Ask the same of a tool that answers at random, in branches whose order is left to chance."""
    with becausal.chain("branches", received=count):
        results: dict[int, int] = {}

        def branch(number: int) -> None:
            with becausal.agent("branch", received=number):
                first, second = dice(1), dice(1)
                results[number] = first - second

        threads = [threading.Thread(target=branch, args=(number,)) for number in range(count)]
        random.shuffle(threads)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(results.items())


INTERLEAVED = int(os.environ.get("BECAUSAL_INTERLEAVED", "20"))
"""How many runs interleave at random; all of them: `BECAUSAL_INTERLEAVED=1000 pytest -k interleave`, some minutes."""


@pytest.mark.parametrize("_", range(INTERLEAVED))
def test_branches_that_interleave_at_random_are_answered_right(_: int) -> None:
    told, run = recorded(random_branches, 6)

    replay = run.replay(random_branches)

    assert replay.value == told
    assert replay.reproduced
    assert calls == []


# What an edit can reach


def passes_on(request: str) -> str:
    """A writer gets a note from a planner, and looks into a memory."""
    notes = becausal.Memory("notes")
    with becausal.chain(request):
        with becausal.agent("planner", received=request) as planner:
            planner.returned(request)
        envelope = becausal.handoff("planner", "writer", {"topic": request})
        with becausal.receive("writer", envelope) as note:
            text = f"{note['topic']}: {notes.get('style', 'plain')}, {notes.get('length', 'long')}"
            becausal.returned(text)
    return text


@pytest.fixture
def passed_on(recording: Path) -> Run:
    becausal.Memory("notes").write("style", "formal")
    assert passes_on("rain") == "rain: formal, long"
    return becausal.last_run()


def test_what_a_receiver_gets_can_be_edited(passed_on: Run) -> None:
    edited = becausal.edit(passed_on.handoffs[0]).field("topic").to("snow")

    played = passed_on.replay(passes_on, edit=edited)

    assert played.value == "snow: formal, long"
    assert played.unapplied == ()
    assert played.run.steps[0].attributes[semconv.REPLAY_OF] == passed_on.chain_id


def test_what_a_memory_answers_can_be_edited_and_what_it_did_not_have_too(passed_on: Run) -> None:
    played = passed_on.replay(passes_on, edit={"style": "blunt", "length": "short"})

    assert played.value == "rain: blunt, short"
    assert played.unapplied == ()
    assert becausal.Memory("notes").read("style") == "formal"


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        (lambda step: becausal.edit(step).to("snow"), "own code makes it"),
        (lambda step: becausal.edit(step).produced.to("snow"), "own code makes it"),
    ],
)
def test_an_edit_that_can_change_nothing_is_told_before_anything_runs(
    passed_on: Run, edited: Any, told: str
) -> None:
    planner = next(step for step in passed_on.steps if step.name == "planner")
    called: list[str] = []

    with pytest.raises(ReplayError, match=told):
        passed_on.replay(called.append, edit=[edited(planner)])

    assert called == []


def test_the_input_of_an_app_that_takes_none_cannot_be_edited(passed_on: Run) -> None:
    def begins_by_itself() -> None:
        passes_on("rain")

    with pytest.raises(ReplayError, match="own code makes it"):
        passed_on.replay(begins_by_itself, edit=becausal.edit(passed_on.steps[0]).to("snow"))


def test_a_record_is_gone_through_for_a_scripts_classes_once_in_many_replays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, run = recorded(shop, "tea")
    looks: list[object] = []

    def looking(*given: Any) -> dict[str, type]:
        looks.append(given)
        return script_classes(*given)

    monkeypatch.setattr(replaying, "script_classes", looking)
    with replaying.several(run):
        assert all(run.replay(shop).is_exact for _ in range(3))

    assert len(looks) == 1
    run.replay(shop)
    assert len(looks) == 2


@pytest.mark.parametrize("value", ["junk", 7, None])
def test_what_a_tool_is_given_has_names(value: object) -> None:
    _, run = recorded(shop, "tea")
    told = rf"the edit of what tool 'quote' received gives a {type(value).__name__}: its arguments are a dict"

    replay = run.replay(shop, becausal.edit("quote").received.to(value), live=["quote"])

    with pytest.raises(becausal.ReplayError, match=told):
        assert replay.value
    assert calls == []


def test_a_tool_is_called_as_ever_while_a_replay_elsewhere_ends() -> None:
    recorder = active_recorder()
    assert recorder is not None

    def ends() -> None:
        recorder.replaying = None

    class Tool:
        @property
        def __signature__(self) -> inspect.Signature:
            ends()  # in another thread, while this call is described
            return inspect.Signature([inspect.Parameter("item", inspect.Parameter.POSITIONAL_OR_KEYWORD)])

        def __call__(self, item: str) -> str:
            return item

    tool = becausal.tool(name="tool")(Tool())
    recorder.replaying = Seam()

    assert tool("tea") == "tea"
    assert recorder.replaying is None


def test_an_app_that_cancels_itself_has_ended_so() -> None:
    async def gives_up(item: str) -> None:
        shop(item)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(gives_up("tea"))

    replay = becausal.last_run().replay(gives_up)

    assert replay.reproduced
    assert isinstance(replay.outcomes[0].error, asyncio.CancelledError)
