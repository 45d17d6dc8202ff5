"""The promise: the smallest part of the context that changes an outcome is found; without evidence nothing is said."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from tests.counterfactual.planted import Case, judged
from tests.golden import langgraph_app
from tests.integrations.fakes_langchain import PureModel, tool_call

import becausal
from becausal.cli import main
from becausal.counterfactual import Counterfactual, Piece, Share, blame_by_replay
from becausal.counterfactual.minimal import Search, Verdict
from becausal.errors import ReplayError
from becausal.run import Run


@pytest.fixture
def recorded(store: str) -> Iterator[Callable[[Callable[[str], Any]], Run]]:
    """Record an app that takes a request."""

    def record(app: Callable[[str], Any]) -> Run:
        becausal.instrument(store=store)
        app("Shall we refund order 17?")
        run = becausal.last_run()
        becausal.uninstrument()
        return run

    yield record
    becausal.uninstrument()


def texts(found: Counterfactual) -> list[list[str]]:
    return [sorted(piece.text for piece in cause.pieces) for cause in found.causes]


# Generated cases


@pytest.mark.parametrize("seed", range(8))
def test_what_was_planted_is_found_and_nothing_else(tmp_path: Path, seed: int) -> None:
    one = judged(Case.made(seed), tmp_path)

    assert one.finds_smallest, one.found
    assert one.finds_all, one.found
    assert one.found.is_complete


ONE, TWO, THREE, FOUR = (f"Orion {number} is overdue." for number in range(1, 5))


def test_causes_that_share_their_answers_are_told_apart(tmp_path: Path) -> None:
    answers = [{"x": ONE, "y": THREE}, {"x": TWO, "y": FOUR}]

    one = judged(Case(1, answers, "A request.", [[ONE, TWO], [THREE, FOUR]]), tmp_path)

    assert one.finds_all, one.found


def test_two_sentences_of_one_text_are_taken_out_without_harm_to_what_is_between_them(tmp_path: Path) -> None:
    one = judged(Case(1, [f"{ONE} {TWO} {THREE} {FOUR}"], "A request.", [[ONE, THREE]]), tmp_path)

    assert one.finds_all, one.found
    assert [piece.text for piece in one.found.causes[0].pieces] == [ONE, THREE]


# The search alone


def causes(search: Search[int], pieces: Sequence[int]) -> list[list[int]]:
    """Return minimal sets that have nothing in common, until there is none."""
    found: list[list[int]] = []
    left = list(pieces)
    while (cause := search.first(left, thorough=not found)) is not None:
        found.append(cause)
        left = [piece for piece in left if piece not in cause]
    return found


def formula(groups: Sequence[frozenset[int]]) -> Callable[[Sequence[int]], Verdict]:
    """The outcome changes where one group at least is gone altogether."""
    return lambda pieces: "changed" if any(group <= set(pieces) for group in groups) else "same"


def test_every_minimal_set_is_found_whatever_it_is_and_in_few_trials() -> None:
    chance = random.Random(5)
    counted = []
    for _ in range(150):
        numbers = list(range(chance.randint(4, 40)))
        left = chance.sample(numbers, len(numbers))
        groups = [
            frozenset(left.pop() for _ in range(chance.randint(1, 3)))
            for _ in range(chance.randint(1, 3))
            if len(left) > 3
        ]
        search = Search(formula(groups), 10_000)

        found = causes(search, numbers)

        assert {frozenset(cause) for cause in found} == set(groups)
        counted.append(len(search.known) / (sum(map(len, groups)) * len(numbers)))
    assert sum(counted) / len(counted) < 1  # trying every set of so many pieces would take thousands


def test_nothing_of_a_set_that_is_found_can_be_spared_though_trials_often_say_nothing() -> None:
    chance = random.Random(6)
    for _ in range(100):
        numbers = list(range(12))
        wanted = frozenset(chance.sample(numbers, 2))
        brittle = frozenset(chance.sample(sorted(set(numbers) - wanted), 3))

        def trial(
            pieces: Sequence[int], brittle: frozenset[int] = brittle, wanted: frozenset[int] = wanted
        ) -> Verdict:
            return "unclear" if brittle & set(pieces) else formula([wanted])(pieces)

        search = Search(trial, 1000)
        (found,) = causes(search, search.clear(numbers))

        assert frozenset(found) == wanted
        for some in itertools.combinations(found, len(found) - 1):
            assert search.verdict(some) != "changed"


def test_no_set_is_tried_twice_and_the_search_ends_where_it_is_told_to() -> None:
    tried: list[frozenset[int]] = []

    def trial(pieces: Sequence[int]) -> Verdict:
        tried.append(frozenset(pieces))
        return formula([frozenset({3, 17}), frozenset({8})])(pieces)

    search = Search(trial, 1000)
    causes(search, range(20))
    assert len(tried) == len(set(tried)) == len(search.known)
    assert not search.is_spent

    few = Search(trial, 5)
    assert few.first(range(20)) is None
    assert few.is_spent
    assert len(few.known) == 5


# What counts as evidence


def shop(record: str = "Order 17 arrived broken. The parcel was blue.", *, needs: str = "note") -> Any:
    def app(request: str) -> str:
        @becausal.tool(name="orders")
        def orders(number: int) -> dict[str, Any]:
            return {"note": record, "number": number, "rows": [{"price": 40}, {"price": 2}]}

        with becausal.chain(request) as chain:
            found = orders(17)
            text = "Refund it." if "broken" in found[needs] else "Do not refund it."
            chain.returned(text)
            return text

    return app


def test_a_text_is_taken_apart_down_to_the_sentence(recorded: Any) -> None:
    found = recorded(shop()).counterfactual(shop())

    assert texts(found) == [["Order 17 arrived broken."]]
    (cause,) = found.causes
    assert cause.is_sole
    assert cause.pieces[0].kind == "sentence"
    assert cause.pieces[0].path == ("note",)
    assert found.smallest is cause
    assert found.jointly_needed == cause.pieces
    assert (
        "without this the outcome is another:\n    sentence orders.note: 'Order 17 arrived broken.'"
        in str(found)
    )
    assert found.replays == found.faithful + sum(found.reasons.values())


def test_a_replay_in_which_the_app_fails_is_no_evidence(recorded: Any) -> None:
    def app(request: str) -> str:
        @becausal.tool(name="orders")
        def orders() -> dict[str, str]:
            return {"needed": "a", "idle": "b"}

        with becausal.chain(request) as chain:
            found = orders()
            text = {"a": "Refund it."}[found["needed"]]
            chain.returned(text)
            return text

    found = recorded(app).counterfactual(app)

    assert found.causes == ()
    line = app.__code__.co_firstlineno + 7
    assert found.reasons[f"the app failed with KeyError, at test_counterfactual.py:{line}"] >= 2
    assert str(found).startswith("nothing that was changed gives another outcome")
    assert "`run.counterfactual(corrections=…)` changes instead" in str(found)


def test_a_replay_that_needs_an_answer_that_nobody_gives_is_no_evidence(recorded: Any) -> None:
    def app(request: str) -> str:
        @becausal.tool(name="first")
        def first() -> list[str]:
            return ["a"]

        @becausal.tool(name="second")
        def second(given: list[str]) -> str:
            return "Refund it." if given else "Do not."

        with becausal.chain(request) as chain:
            text = second(first())
            chain.returned(text)
            return text

    run = recorded(app)

    unanswered = run.counterfactual(app, kinds=["answer"])
    answered = run.counterfactual(app, live=["second"], kinds=["answer"])

    assert texts(unanswered) == [["Refund it."]]
    assert any("second" in reason for reason in unanswered.reasons)
    assert texts(answered) == [["- a"]]


def test_a_replay_in_which_something_earlier_differs_too_is_no_evidence(recorded: Any) -> None:
    # Recorded, replayed without a change, and then another time each time.
    clock: Iterator[int] = iter([1, 1, *range(2, 100)])

    @becausal.tool(name="clock")
    def now() -> int:
        return next(clock)

    def app(request: str) -> str:
        @becausal.tool(name="orders")
        def orders() -> list[str]:
            return ["idle"]

        with becausal.chain(request) as chain:
            text = f"It is {now()}. " + " ".join(orders())
            chain.returned(text)
            return text

    run = recorded(app)
    (orders,) = [step for step in run.steps if step.name == "orders"]

    found = run.counterfactual(app, live=["clock"], pieces=[Piece(orders, "produced", kind="answer")])

    assert found.causes == ()
    assert list(found.reasons) == ["tool 'clock' differs, which began before what was changed"]


def test_an_app_that_does_not_reproduce_its_run_is_asked_nothing(recorded: Any) -> None:
    run = recorded(shop())

    with pytest.raises(
        ReplayError,
        match=r"does not reproduce the run: request .* ok in the first run and error in the second \(step \w{8}\)\. So",
    ) as refused:
        run.counterfactual(shop(needs="number"), live=True)
    assert "<Pair" not in str(refused.value)
    assert "Parting" not in str(refused.value)
    with pytest.raises(ReplayError, match="has the changed outcome already"):
        run.counterfactual(shop(), lambda again: True)
    with pytest.raises(ReplayError, match="repeats=0"):
        run.counterfactual(shop(), repeats=0)


def test_pieces_may_be_chosen_and_corrected(recorded: Any) -> None:
    run = recorded(shop())
    whole = run.counterfactual(shop(), kinds=["answer"])
    (note,) = [part for piece in whole.pieces for part in piece.parts() if part.path == ("note",)]
    (rows,) = [part for piece in whole.pieces for part in piece.parts() if part.path == ("rows",)]

    spared = run.counterfactual(shop(), pieces=[rows])
    corrected = run.counterfactual(
        shop(), pieces=[note, rows], corrections={note: "Order 17 arrived whole.", rows: []}
    )
    same = run.counterfactual(shop(), pieces=[rows], corrections={rows: [{"price": 3}]})

    assert spared.causes == ()
    assert corrected.causes[0].pieces[0].path == ("note",)
    assert same.causes == ()


def test_a_search_that_may_not_go_on_says_so(recorded: Any) -> None:
    found = recorded(shop()).counterfactual(shop(), most_replays=1)

    assert not found.is_complete
    assert "most_replays" in str(found)


# Models


def agent(answer: Callable[[Sequence[BaseMessage]], AIMessage]) -> Callable[[str], str]:
    def app(request: str) -> str:
        model = PureModel(answer=answer)
        with becausal.chain(request) as chain:
            found: Any = ToolMessage("Order 17 was delivered. The customer is angry.", tool_call_id="c")
            asks = AIMessage("", tool_calls=[tool_call("orders", "c")], id="a")
            said = model.invoke([HumanMessage(request, id="h"), asks, _looked_up(found)])
            chain.returned(str(said.content))
            return str(said.content)

    return app


@becausal.tool(name="orders")
def _looked_up(found: Any) -> Any:
    return found


def decides(messages: Sequence[BaseMessage]) -> AIMessage:
    said = " ".join(str(message.content) for message in messages)
    return AIMessage(
        "Refund it." if "angry" in said and "17" in str(messages[0].content) else "Wait.", id="m"
    )


def test_a_model_that_is_asked_anew_shows_what_it_went_by(recorded: Any) -> None:
    run = recorded(agent(decides))

    found = run.counterfactual(agent(decides), live=True, kinds=["request", "answer"])

    assert texts(found) == [["Shall we refund order 17?"], ["The customer is angry."]]
    assert len(found.jointly_needed) == 2


def test_with_a_model_that_answers_at_random_shares_decide_and_their_intervals_are_told(
    recorded: Any,
) -> None:
    chance = random.Random(3)

    def wavering(messages: Sequence[BaseMessage]) -> AIMessage:
        right = decides(messages)
        if chance.random() < 0.1:
            return AIMessage("Wait." if right.content == "Refund it." else "Refund it.", id="m")
        return right

    run = recorded(agent(decides))

    found = run.counterfactual(agent(wavering), live=True, kinds=["answer"], repeats=15)

    assert texts(found) == [["The customer is angry."]]
    share = found.causes[0].share
    assert 4 <= share.of < 15  # no longer than until it is clear
    assert share.interval[0] > 0.5
    assert f"in {share}" in str(found)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # Newcombe 1998, table I, method 3; and what follows from the formula at the ends.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (4, 4, 0.5101, 1.0),
    ],
)
def test_intervals_are_those_of_the_literature(hits: int, of: int, low: float, high: float) -> None:
    assert Share(hits, of).interval == pytest.approx((low, high), abs=5e-5)
    assert Share(0, 0).interval == (0.0, 1.0)


def test_a_piece_in_whose_place_nothing_came_is_no_evidence(recorded: Any) -> None:
    run = recorded(shop())
    (tool,) = [step for step in run.steps if step.kind == "tool"]

    def passing_over(edits: Any) -> Any:
        replay = run.replay(shop(), edits or None)
        return dataclasses.replace(replay, unapplied=(tool.id,) if edits else ())

    found = blame_by_replay(run, passing_over, kinds=["answer"])

    assert found.causes == ()
    assert found.faithful == 1
    assert "what was to be changed did not come from the record in the replay" in found.reasons


def test_in_a_graph_the_answer_that_a_report_hangs_on_is_found_and_whoever_passed_it_on(store: str) -> None:
    becausal.instrument(store=store)
    langgraph_app.graph.invoke(langgraph_app.ASKED)
    run = becausal.last_run()
    becausal.uninstrument()

    found = run.counterfactual(langgraph_app.graph, _needs_no_audit, live=True)

    first, second = found.causes
    assert [(piece.step.name, piece.path, piece.text) for piece in first.pieces] == [
        ("revenue_database", ("revenue",), "20 million USD")
    ]
    assert [(piece.step.agent, piece.kind) for piece in second.pieces] == [("researcher", "statement")]
    assert found.faithful == found.replays < 30


def _needs_no_audit(again: Run) -> bool:
    return again.output is not None and "No audit" in again.output.text()


# The command


def test_the_command_tells_the_cause_for_people_and_for_programs(
    recorded: Any, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(COMMAND_APP)
    asked = [
        "counterfactual",
        "last",
        "--store",
        store,
        "--app",
        f"{__name__}:COMMAND_APP",
        "--gone",
        "Refund  it.",
    ]

    assert main(asked) == 0
    assert "sentence orders.note: 'Order 17 arrived broken.'" in capsys.readouterr().out

    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["causes"][0]["pieces"][0]["text"] == "Order 17 arrived broken."
    assert told["causes"][0]["pieces"][0]["path"] == ["note"]
    assert told["faithful"] <= told["replays"]
    assert told["is_complete"]


COMMAND_APP = shop()
