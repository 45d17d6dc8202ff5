"""The promise: an answer about a long conversation costs what its text costs, counted in calls and not in time.

Each turn of a conversation hears all that was said in it before. So the text that turns heard grows with the square of
the turns, and what asks turn by turn about every fact of it with the cube and faster.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest
from tests.core.builders import Draft, Record, message

from becausal.blame import became, beginning, blame
from becausal.blame.flow import Flow
from becausal.blame.ways import Place, Ways
from becausal.facts import Fact, facts, missing, remembering
from becausal.facts.compare import added, changed, lacks
from becausal.facts.fact import Key
from becausal.facts.likeness import AMOUNTS, likeness, place_of
from becausal.facts.stated import Row, Stated
from becausal.findings.contradictions import Bound, _bound
from becausal.findings.scene import Scene
from becausal.run import Run
from becausal.step import Step

WORDS = """
harbour ledger invoice carrier quota cargo route audit supplier parcel weather policy vendor margin terminal customs
report station signal reserve engine meadow lantern copper orchard ribbon granite voyage
"""
FORMS = ("{} kg", "${:,}.50", "AX-{}", "{} EUR", "{}%", "no later than {} days", "{}", "must not pay {}")


def prose(dice: random.Random, sentences: int) -> str:
    """Return sentences with a figure each, about half of which others have too."""
    said = []
    for _ in range(sentences):
        words = dice.choices(WORDS.split(), k=dice.randrange(4, 9))
        figure = dice.choice(FORMS).format(
            dice.choice((dice.randrange(10, 60), dice.randrange(1_000, 999_999)))
        )
        said.append(" ".join((*words[:3], figure, *words[3:])).capitalize() + ".")
    return " ".join(said)


def chat(turns: int, *, seed: int = 3, sentences: int = 6) -> Record:
    """Return the record of a conversation whose turns each hear all of it, and say something full of figures."""
    dice, record = random.Random(seed), Record()
    request = message("human", prose(dice, sentences))
    with record.step("workflow", "team", received={"messages": [request]}) as team:
        messages: list[dict[str, object]] = [request]
        arrivals: list[Draft] = []
        for turn in range(turns):
            with record.step(
                "agent", f"agent {turn}", received={"messages": list(messages)}, arrivals=arrivals
            ) as draft:
                said = message("ai", prose(dice, sentences))
                draft.produces({"messages": [said]})
            arrivals = [record.handoff(draft, f"agent {turn + 1}", {"messages": [said]})]
            messages.append(said)
        team.produces({"messages": messages})
    return record


def calls(work: Callable[[], object]) -> int:
    """Return how many functions of Python's run: a count, so no clock and no noise."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def run_of(turns: int) -> Run:
    record = chat(turns)
    return Run(record.chain_id, record.steps())


ASKED: dict[str, tuple[Callable[[Run], object], float]] = {
    "drift": (lambda run: run.drift(), 3.05),
    "findings": (lambda run: run.findings, 2.75),
    "why": (lambda run: (run.why(), run.blame(), run.root_cause()), 2.6),
    "the first of blame": (lambda run: beginning(run.graph, 21), 1.7),
    "handoffs": (lambda run: [handoff.delta for handoff in run.handoffs], 2.4),
}
"""What is asked, and how much more it may cost of twice as many turns, which hear four times as much."""


@pytest.mark.parametrize("name", ASKED)
def test_a_conversation_twice_as_long_costs_less_than_the_text_that_its_turns_heard(name: str) -> None:
    ask, most = ASKED[name]
    ask(run_of(4))
    short, long = run_of(24), run_of(48)

    assert calls(lambda: ask(long)) <= most * calls(lambda: ask(short))


@pytest.mark.parametrize(("name", "most"), [("drift", 3.1), ("findings", 2.0)])
def test_what_turns_heard_is_laid_out_once_for_all_of_them(
    name: str, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid_out = 0
    extend = Row.extend

    def counting(row: Row, facts: Iterable[Fact]) -> None:
        nonlocal laid_out
        before = len(row.facts)
        extend(row, facts)
        laid_out += len(row.facts) - before

    monkeypatch.setattr(Row, "extend", counting)
    counts = []
    for turns in (24, 48):
        laid_out = 0
        ASKED[name][0](run_of(turns))
        counts.append(laid_out)

    assert counts[1] <= most * counts[0]


def test_of_what_a_turn_heard_only_the_new_is_read_to_tell_what_it_exchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0

    def counting(value: object) -> tuple[Fact, ...]:
        nonlocal read
        read += 1
        return facts(value)

    monkeypatch.setattr(became, "facts", counting)
    counts = []
    for turns in (24, 48):
        read = 0
        run_of(turns).blame()
        counts.append(read)

    assert 0 < counts[1] <= 2.1 * counts[0]


def test_the_first_pieces_of_an_output_are_those_that_all_begin_with() -> None:
    whole, first = run_of(12).blame().segments, beginning(run_of(12).graph, 21).segments

    assert 21 <= len(first) < len(whole)
    assert [(one.text, one.at, one.source) for one in first] == [
        (one.text, one.at, one.source) for one in whole[: len(first)]
    ]


def test_a_list_that_goes_on_has_beside_its_words_what_it_has_alone() -> None:
    def beside(run: Run, step: Step) -> dict[Bound, Fact]:
        assert step.received is not None
        return _bound(Scene(run.graph, run.handoffs), [step.received])

    def turns(run: Run) -> list[Step]:
        return [step for step in run.graph.nodes if step.kind == "agent"]

    together = run_of(12)
    for place in (*range(12), *range(0, 12, 3)):
        alone = run_of(12)

        assert beside(together, turns(together)[place]) == beside(alone, turns(alone)[place])


def test_a_text_is_led_back_once_where_there_is_nothing_to_choose_whatever_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walks: Counter[tuple[Flow, Place]] = Counter()
    walked = Flow._walked

    def counting(flow: Flow, start: Place) -> Ways:
        walks[flow, start] += 1
        return walked(flow, start)

    monkeypatch.setattr(Flow, "_walked", counting)
    blame(chat(24).graph())

    # Once with words beside it, and once without any.
    assert max(walks.values()) <= 2


# What is shared says the same


def conversation(dice: random.Random) -> list[tuple[tuple[Fact, ...], str]]:
    """Return what turns heard: conversations that go on, begin anew, part, or are cut at the front."""
    said: list[str] = []
    heard: list[tuple[tuple[Fact, ...], str]] = []
    for _ in range(14):
        said.append(
            f"{prose(dice, 6)} Ada Lovelace came on {dice.randrange(1, 29)} May at {dice.randrange(24):02}:00."
        )
        match dice.randrange(8):
            case 0:
                said = said[: len(said) // 2]
            case 1:
                said = said[2:]
            case 2:
                said[len(said) // 2] = prose(dice, 3)
        value = {"messages": list(said), "round": len(heard)}
        heard.append((facts(value), "\n".join(said)))
    return heard


@pytest.mark.parametrize("seed", range(8))
def test_a_side_that_shares_its_beginning_states_what_it_states_alone(seed: int) -> None:
    dice = random.Random(seed)
    with remembering():
        heard = conversation(dice)
        asked = [fact for stated, _ in heard for fact in dice.sample(stated, min(12, len(stated)))]
        for stated, text in heard * 2:
            alone = Stated(stated, text)
            assert [lacks(fact, stated, text) for fact in asked] == [not alone.has(fact) for fact in asked]


def pairs_one_by_one(before: Sequence[Fact], after: Sequence[Fact]) -> list[tuple[Fact, Fact]]:
    """Return what `changed` does, by looking at every two facts."""
    new = added(before, after)
    fresh = {fact.key for fact in new}
    loose = {fact.key: fact for fact in after}
    rest = [fact for key, fact in loose.items() if key not in fresh and fact.kind in AMOUNTS]
    pairs, taken = [], set[Key]()
    for fact in missing(before, after):
        best, score = None, 0.0
        for word in (place_of(fact), *sorted(fact.near)):
            for other in [
                one for one in (*new, *rest) if word is not None and word in (place_of(one), *one.near)
            ][:64]:
                fits = other.key in fresh or (fact.kind == "limit" and other.value == fact.value[2])  # type: ignore[index]
                if fits and other.key not in taken and likeness(fact, other) > score:
                    best, score = other, likeness(fact, other)
        if best is not None:
            taken.add(best.key)
            pairs.append((fact, best))
    return pairs


@pytest.mark.parametrize("seed", range(12))
def test_what_stands_in_whose_place_is_what_looking_at_every_two_facts_finds(seed: int) -> None:
    dice = random.Random(seed)
    heard = [facts({"messages": [prose(dice, 8) for _ in range(3)], "price": seed}) for _ in range(4)]
    with remembering():
        found = [changed(one, other) for one in heard for other in heard]

    assert any(found)
    assert [list(pairs) for pairs in found] == [
        pairs_one_by_one(one, other) for one in heard for other in heard
    ]
