"""The promise: of each fact and constraint of a request it is known what became of it, at which hop, and with whom."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.builders import Draft, Record, message

from becausal.cli import main
from becausal.drift import Drift
from becausal.drift.meaning import Wanted, terms
from becausal.drift.pairing import is_slip, may_slip
from becausal.errors import BecausalError
from becausal.facts import changed, facts
from becausal.run import Run

REQUEST = (
    "Book a hotel in Lisbon for 1,450 guests, at most $98,000, no later than 3 May 2027. "
    "Order number QX-48213. Never book the Grand Palace."
)
KEPT = (
    "To do: hotel in Lisbon, 1450 guests, no more than USD 98,000.00, by May 3, 2027, order number QX-48213, "
    "never book the Grand Palace."
)


def told(text: object) -> list[dict[str, object]]:
    return [message("human", str(text))]


def row(*said: object, request: object = REQUEST, output: object = None) -> Record:
    """Return the record of agents in a row, each of which is told what the one before said."""
    return wired(request, [((i - 1,) if i else (), text) for i, text in enumerate(said)], output)


def wired(request: object, turns: Sequence[tuple[tuple[int, ...], object]], output: object = None) -> Record:
    """Return the record of agents, each given as those that it hears (none: the user) and what it says."""
    record = Record()
    with record.step("workflow", "team", received=request) as team:
        made: list[Draft] = []
        for number, (hears, text) in enumerate(turns):
            name = f"agent {number}"
            heard = "\n".join(str(turns[i][1]) for i in hears) if hears else request
            arrivals = [record.handoff(made[i], name, turns[i][1]) for i in hears]
            with record.step("agent", name, received=heard, arrivals=arrivals) as draft:
                record.did("model", "scripted", heard if isinstance(heard, list) else told(heard), text)
                draft.produces(text)
            made.append(draft)
        team.produces(turns[-1][1] if output is None else output)
    return record


def drift_of(record: Record, **options: object) -> Drift:
    return Run(record.chain_id, record.steps()).drift(**options)  # type: ignore[arg-type]


def names(followed: Iterable[object]) -> list[str]:
    return [one.fact.text for one in followed]  # type: ignore[attr-defined]


def test_a_request_that_is_passed_on_in_other_formats_is_kept_whole() -> None:
    drift = drift_of(row(KEPT, REQUEST, KEPT))

    assert not drift.lost
    assert not drift.changed
    assert drift.first is None
    assert [kept for _, kept, _ in drift.curve] == [1.0, 1.0, 1.0, 1.0]


def test_a_constraint_is_lost_at_the_hop_and_with_the_agent_that_left_it_out() -> None:
    without = KEPT.replace("no more than USD 98,000.00, ", "")
    drift = drift_of(row(KEPT, KEPT, without, without))

    (lost,) = drift.lost
    assert "98,000" in lost.fact.text
    assert lost.step is not None
    assert (lost.step.name, lost.hop) == ("agent 2", 3)
    assert lost.known == (True, True, True, False)
    assert [hop.kept == 1.0 for hop in drift.hops] == [True, True, True, True, False]


def test_a_fact_that_becomes_another_a_little_more_each_hop_has_all_its_steps_and_the_first_to_deviate() -> (
    None
):
    said = [KEPT.replace("1450", str(1450 + 30 * i)) for i in range(6)]
    drift = drift_of(row(*said))

    (changed,) = drift.changed
    assert [(c.hop, c.before.text, c.after.text) for c in changed.changes] == [
        (2, "1,450", "1480"),
        (3, "1480", "1510"),
        (4, "1510", "1540"),
        (5, "1540", "1570"),
        (6, "1570", "1600"),
    ]
    assert changed.became is not None
    assert changed.became.text == "1600"
    assert drift.first is not None
    assert drift.first.name == "agent 1"


def test_what_one_of_two_branches_keeps_is_not_lost() -> None:
    without = KEPT.replace(", order number QX-48213", "")
    drift = drift_of(wired(REQUEST, [((), KEPT), ((0,), without), ((0,), KEPT), ((1, 2), KEPT)]))

    assert not drift.lost
    assert [hop.number for hop in drift.hops] == [0, 1, 2, 3]
    assert [len(hop.steps) for hop in drift.hops] == [1, 1, 2, 1]


def test_what_all_branches_leave_out_is_lost_where_they_join() -> None:
    without = KEPT.replace(", order number QX-48213", "")
    drift = drift_of(wired(REQUEST, [((), KEPT), ((0,), without), ((0,), without), ((1, 2), without)]))

    assert names(drift.lost) == ["QX-48213"]
    assert drift.lost[0].hop == 2


def test_a_branch_that_is_longer_carries_a_fact_past_a_shorter_one_that_lost_it() -> None:
    without = KEPT.replace(", order number QX-48213", "")
    long_way = [((), KEPT), ((0,), KEPT), ((0,), without), ((2,), without), ((3, 1), KEPT)]

    drift = drift_of(wired(REQUEST, long_way))
    assert {one.fate for one in drift.facts} == {"kept"}
    assert [hop.kept for hop in drift.hops] == [1.0] * 5


def test_a_fact_that_was_lost_and_is_said_again_came_back() -> None:
    without = KEPT.replace(", order number QX-48213", "")
    drift = drift_of(row(KEPT, without, KEPT, KEPT))

    assert names(drift.returned) == ["QX-48213"]
    assert drift.returned[0].returned is not None
    assert drift.returned[0].returned.name == "agent 2"
    assert not drift.lost


def test_a_worker_that_is_sent_one_part_did_not_lose_what_went_past_it() -> None:
    def hop(record: Record, name: str, heard: str, shown: str, said: str) -> None:
        sent = [record.handoff(before, name, words) for before, words in made[-1:]]
        with record.step("agent", name, received=heard, arrivals=sent) as draft:
            record.did("model", "scripted", told(shown), said)
            draft.produces(said)
        made.append((draft, said))

    part = "Order number QX-48213 for 1450 guests"
    for narrow, fate in ((part, "kept"), (KEPT, "returned")):
        made: list[tuple[Draft, str]] = []
        record = Record()
        with record.step("workflow", "team", received=REQUEST) as team:
            hop(record, "planner", REQUEST, REQUEST, "one part each")
            hop(record, "worker", narrow, part, f"{part}: done")
            hop(record, "writer", KEPT, KEPT, "all done")
            team.produces("all done")
        drift = drift_of(record)

        (limit,) = (one for one in drift.facts if one.fact.kind == "limit" and "98,000" in one.fact.text)
        assert limit.fate == fate, narrow  # the second was given it, and did not show it to its model
        assert (drift.hops[2].kept == 1) == (fate == "kept")


def test_what_got_lost_on_the_way_between_two_agents_is_the_handoff_s_loss() -> None:
    record = Record()
    with record.step("workflow", "team", received=REQUEST) as team:
        with record.step("agent", "first", received=REQUEST, produced=KEPT) as first:
            pass
        cut = KEPT.partition(", order number")[0]
        with record.step(
            "agent", "second", received=cut, produced=cut, arrivals=[record.handoff(first, "second", KEPT)]
        ):
            pass
        team.produces(cut)

    lost = drift_of(record).lost
    assert "QX-48213" in names(lost)
    assert {one.step.kind for one in lost if one.step is not None} == {"handoff"}


def test_the_user_s_messages_and_a_system_prompt_in_the_request_are_followed_and_an_answer_is_not() -> None:
    request = [
        message("system", "Never spend more than $5,000."),
        message("human", "I need 240 chairs."),
        message("ai", "I could also get you 999 tables."),
        message("human", "By 9 June 2027, please."),
    ]
    followed = {one.fact.text: one.source for one in drift_of(row("240 chairs", request=request)).facts}

    assert followed["240"] == "user"
    assert any(source == "user" and "9 June" in text for text, source in followed.items())
    assert any(source == "system" and "5,000" in text for text, source in followed.items())
    assert "999" not in followed


def test_what_the_user_said_in_an_earlier_run_of_the_conversation_is_followed_too() -> None:
    record = Record()
    with record.step("workflow", "team", received={"messages": [message("human", "And in blue.")]}) as team:
        history = [
            message("human", "I need 240 chairs by 9 June 2027."),
            message("ai", "Noted."),
            message("human", "And in blue."),
        ]
        with record.step("agent", "clerk", received={"messages": history}) as clerk:
            record.did("model", "scripted", history, "240 blue chairs")
            clerk.produces("240 blue chairs")
        team.produces("240 blue chairs")

    sources = {one.fact.text: one.source for one in drift_of(record).facts}
    assert sources["240"] == "earlier"


def test_an_agent_s_own_system_prompt_counts_in_no_share() -> None:
    record = Record()
    with record.step("workflow", "team", received="I need 240 chairs.") as team:
        with record.step("agent", "clerk", received="I need 240 chairs.", produced="240 chairs") as clerk:
            shown = [
                message("system", "Never offer more than 900 tables."),
                message("human", "I need 240 chairs."),
            ]
            record.did("model", "scripted", shown, "240 chairs")
        with record.step(
            "agent",
            "buyer",
            received="240 chairs",
            produced="240 chairs",
            arrivals=[record.handoff(clerk, "buyer", "240 chairs")],
        ):
            pass
        team.produces("240 chairs")

    drift = drift_of(record)
    assert any(one.source == "system" for one in drift.facts)
    assert [hop.kept for hop in drift.hops] == [1.0, 1.0, 1.0]


def test_agents_that_nobody_handed_anything_to_are_followed_by_the_data_that_reached_them() -> None:
    record = Record()
    with record.step("request", "own code", received=REQUEST) as root:
        record.did("agent", "first", REQUEST, KEPT)
        record.did("agent", "second", KEPT, "Booked it, at most $98,000.")
        root.produces("Booked it, at most $98,000.")

    assert [[step.name for step in hop.steps] for hop in drift_of(record).hops] == [
        ["own code"],
        ["first"],
        ["second"],
    ]


def test_a_run_without_agents_or_steps_has_an_empty_drift() -> None:
    assert Run("c", []).drift().hops[0].kept == 1.0
    assert drift_of(row("x", request="")).facts == ()


# How far the meaning moved


def far(request: str, *texts: str) -> float:
    return Wanted((facts(request), request)).distance([(facts(text), text) for text in texts])


def test_the_distance_is_none_for_the_same_words_and_formats_and_one_for_none_of_them() -> None:
    assert far(REQUEST, REQUEST) == 0.0
    assert far("Pay $1,250.00 by 3 May 2027.", "By May 3, 2027 pay USD 1250.") == 0.0
    assert far(REQUEST, "Thanks!") == 1.0


def test_what_a_message_says_beside_the_request_is_no_distance_and_what_it_leaves_out_is() -> None:
    more = f"{REQUEST} The weather will be fine, and there is a boat to the castle."
    less = REQUEST.partition("Order")[0]

    assert far(REQUEST, more) == 0.0
    assert 0.0 < far(REQUEST, less) < 1.0
    assert far(REQUEST, less, REQUEST) == 0.0


def test_the_words_of_a_text_are_counted_once_each_without_endings_and_stop_words() -> None:
    assert terms("The refunds were refunded, and the refund is 20.") == {"refund"}


def test_an_embedding_that_the_user_names_gives_a_curve_of_its_own() -> None:
    asked: list[list[str]] = []

    def embed(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return [[1.0, 0.0] if "guests" in text else [0.0, 1.0] for text in texts]

    drift = drift_of(row(KEPT, "Nothing of it.", "Nothing of it."), embed=embed)

    assert [hop.embedded for hop in drift.hops] == [0.0, 0.0, 0.0, 1.0]
    assert len(asked) == 1  # one call for all of them: they cost money
    assert all(hop.embedded is None for hop in drift_of(row(KEPT)).hops)


def test_an_embedding_that_returns_something_else_is_refused_in_words() -> None:
    with pytest.raises(BecausalError, match="must return one for each"):
        drift_of(row(KEPT), embed=lambda texts: [[1.0]])


def test_a_model_by_name_is_loaded_by_model2vec_or_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(BecausalError, match=r"pip install 'becausal\[embed\]'"):
        drift_of(row(KEPT), model="some/model")

    class StaticModel:
        @staticmethod
        def from_pretrained(name: str) -> StaticModel:
            assert name == "some/model"
            return StaticModel()

        def encode(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, float(len(text) > 0)] for text in texts]

    fake = ModuleType("model2vec")
    fake.StaticModel = StaticModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "model2vec", fake)

    assert [hop.embedded for hop in drift_of(row(KEPT), model="some/model").hops] == pytest.approx([0, 0])


def test_which_of_several_messages_a_figure_stands_in_does_not_make_it_another_one_s_place() -> None:
    asked = {"messages": [message("human", "Go to gate 111 now and pay 250 EUR")]}
    record = Record()
    with record.step("workflow", "team", received=asked) as team:
        for number in (9, 10, 11):
            with record.step("agent", f"agent {number}", received=asked) as draft:
                draft.produces({"messages": [message("ai", f"Step {number}")]})
        team.produces({"messages": [message("ai", "Step 11")]})
    run = Run(record.chain_id, record.steps())

    assert run.drift().changed == ()
    assert [finding.kind for finding in run.findings if finding.kind == "drift.changed_fact"] == []


def test_a_field_of_one_name_is_one_place_whatever_words_stand_there() -> None:
    (old, new), *rest = changed(facts({"gate": "go to 111"}), facts({"gate": "now 110"}))

    assert (old.text, new.text, rest) == ("111", "110", [])


# What it costs


def test_the_work_grows_with_the_turns_and_not_with_their_pairs() -> None:
    calls = {size: _calls(row(*[KEPT] * size)) for size in (10, 20, 40)}

    assert calls[20] / calls[10] < 2.6
    assert calls[40] / calls[20] < 2.6


def _calls(record: Record) -> int:
    run = Run(record.chain_id, record.steps())
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        run.drift()
    finally:
        sys.setprofile(None)
    return counted


# Shown


def test_the_command_shows_the_curve_and_what_was_lost_and_changed(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = KEPT.replace("1450", "1460").replace(", order number QX-48213", "")
    row(KEPT, said, said.replace("1460", "1490")).write(store)

    assert main(["drift", "last", "--store", store]) == 0
    words = capsys.readouterr().out
    assert main(["drift", "last", "--store", store, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)

    assert "1,450 → 1460 (agent 1, hop 2) → 1490 (agent 2, hop 3)" in words
    assert "lost  QX-48213  with agent 1 at hop 2: it was told there, and not at hop 3" in words
    assert [hop["agents"] for hop in data["hops"]] == [["team"], ["agent 0"], ["agent 1"], ["agent 2"]]
    assert {one["fact"]["text"]: one["fate"] for one in data["facts"]}["QX-48213"] == "lost"


# Told


def findings_of(record: Record) -> list[tuple[str, str | None, tuple[str, ...]]]:
    found = Run(record.chain_id, record.steps()).findings
    return [(f.kind, f.agent, f.evidence) for f in found if f.kind.startswith("drift.")]


def test_a_value_that_drifts_over_five_hops_is_one_finding_with_the_first_agent_and_every_step_of_the_way() -> (
    None
):
    said = [KEPT.replace("1450", str(1450 + 37 * i)) for i in range(6)]

    assert findings_of(row(*said)) == [
        ("drift.changed_fact", "agent 1", ("1,450", "1487", "1524", "1561", "1598", "1635"))
    ]


@pytest.mark.parametrize("first", [1, 98, 117])
def test_a_number_that_counts_the_turns_is_no_fact_that_changes(first: int) -> None:
    plan = "the order of 1450 desks goes to the office in Lisbon"
    said = [f"Message {first + i}: {plan}." for i in range(5)]

    assert findings_of(row(*said)) == []
    assert findings_of(wired(REQUEST, [(tuple(range(i)), text) for i, text in enumerate(said)])) == []
    # Twice is no count yet: somebody may have miscopied it.
    assert [kind for kind, _, _ in findings_of(row(*said[:2]))] == ["drift.changed_fact"] * (first == 117)


def test_a_change_on_one_branch_is_told_though_another_branch_kept_the_fact() -> None:
    other = KEPT.replace("1450", "1540")
    record = wired(REQUEST, [((), KEPT), ((0,), other), ((0,), KEPT), ((1, 2), KEPT)])

    assert [(kind, agent) for kind, agent, _ in findings_of(record)] == [("drift.changed_fact", "agent 1")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("98,000.00", "89,000.00"),
        ("QX-48213", "QX-48218"),
        ("May 3", "May 13"),
        ("Grand Palace", "Royal Court"),
    ],
)
def test_a_limit_an_identifier_a_date_and_a_name_that_became_another_are_told(
    before: str, after: str
) -> None:
    (found,) = findings_of(row(KEPT, KEPT.replace(before, after), KEPT.replace(before, after)))

    assert found[:2] == ("drift.changed_fact", "agent 1")


def test_what_is_lost_is_not_taken_for_changed_because_something_else_of_its_kind_came_in() -> None:
    asked = {
        "text": "The quantity is 389 units. The budget is at most $676,000. The order number is LM-63158."
    }
    said = {"text": "The quantity is 389 units. The total is $238,573.70. The order number is LM-63158."}

    (lost,) = findings_of(row(asked, said, said, request=asked))
    assert lost[:2] == ("drift.lost_fact", "agent 1")


def test_a_value_in_a_table_without_labels_is_known_by_its_place() -> None:
    asked = {"request": "Quantity: 901 units\nOrder number: BG-79353\nContact: sales@marlow.example"}
    said = {
        "note": "| Quantity | 901 units |\n| Order number | BG-70353 |\n| Contact | sales@marlow.example |"
    }

    (found,) = findings_of(row(said, said, request=asked))
    assert found == ("drift.changed_fact", "agent 0", ("BG-79353", "BG-70353"))


GOAL = "find the cheapest direct morning train and compare the refund rules of every carrier"
MOVED = [
    GOAL,
    GOAL.replace("cheapest", "affordable"),
    GOAL.replace("cheapest", "affordable").replace("direct", "comfortable").replace("morning", "evening"),
    "find the affordable comfortable evening flight and compare the luggage rules of every carrier",
    "find the affordable comfortable evening flight and praise the luggage service of every airline",
]


def test_a_goal_that_moves_a_word_at_each_hop_is_told_with_the_first_hop_and_all_words() -> None:
    record = row(*MOVED, request=GOAL)
    (found,) = findings_of(record)

    assert found[:2] == ("drift.moved", "agent 1")
    assert found[2][0] == "hop 2, agent 1: cheapest gone, instead affordabl"
    distances = [distance for _, _, distance in drift_of(record).curve]
    assert distances == sorted(distances)
    assert distances[-1] > 0.4


AT_ONCE = "find the best train and compare the refund rules of any railway"


@pytest.mark.parametrize(
    "said",
    [
        [
            GOAL,
            "look up which train at an early hour costs least and who gives money back",
            "look it up",
            "done",
        ],
        [GOAL, GOAL, GOAL, "The 7:10 by Nordic Rail, $24."],
        [GOAL, f"From the planner:\n> **{GOAL}**", GOAL.upper(), GOAL],
        [GOAL, GOAL.replace("cheapest", "least expensive"), GOAL.replace("direct", "nonstop"), GOAL],
        [GOAL, MOVED[2], *[MOVED[3].replace("luggage rules", "luggage policy")] * 2],
        [
            GOAL,
            AT_ONCE,
            AT_ONCE.replace("compare", "weigh"),
            AT_ONCE.replace("compare", "weigh").replace("rules", "terms"),
            *[AT_ONCE.replace("compare", "weigh").replace("rules", "terms").replace("train", "bus")] * 2,
        ],
    ],
    ids=[
        "reworded at once",
        "answered",
        "wrapped",
        "a synonym here and there",
        "in two hops",
        "most of it at once",
    ],
)
def test_an_answer_a_paraphrase_a_wrapper_and_a_synonym_are_no_drift(said: list[str]) -> None:
    assert findings_of(row(*said, request=GOAL)) == []


FORMS = ("{} kg", "${}.50", "order AB{}", "{} EUR", "{} %", "at most {} EUR", "number {}")


def slipped(dice: random.Random, text: str) -> str:
    at, digit = dice.randrange(len(text)), str(dice.randrange(10))
    return dice.choice(
        (text[:at] + text[at + 1 :], text[:at] + digit + text[at + 1 :], f"{text}0", text[::-1])
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9_999_999), st.sampled_from(FORMS)), min_size=1, max_size=6),
    st.integers(0, 1_000_000),
)
def test_no_turn_is_passed_over_that_miscopied_something(rows: list[tuple[int, str]], seed: int) -> None:
    dice = random.Random(seed)
    heard = [fact for number, form in rows for fact in facts(f"Crates weigh {form.format(number)}.")]
    said = [
        fact
        for number, form in rows
        for fact in facts(f"Crates weigh {form.format(slipped(dice, str(number)) or '7')}.")
    ]
    slips = [pair for pair in changed(heard, said) if is_slip(*pair)]
    assert may_slip(heard, said) or not slips


SUPPORT = {
    "customer": "C-1042",
    "messages": told("I am Jane Doe, customer C-1042, and I want 700 EUR back. My API key: sk-1"),
}


def answered(*inside: tuple[str, str, object, object], given: object, answer: str) -> Record:
    """Return the record of a triage that says the amount alone, and of a responder that does some things before."""
    said = "refund request, amount 700 EUR"
    record = Record()
    with record.step("workflow", "support", received=SUPPORT) as team:
        with record.step("agent", "triage", received=SUPPORT, produced=said) as triage:
            record.did("model", "scripted", SUPPORT["messages"], said)
        arrivals = [record.handoff(triage, "responder", said)]
        with record.step("agent", "responder", received=given, produced=answer, arrivals=arrivals):
            for kind, name, received, produced in inside:
                record.did(kind, name, received, produced)  # type: ignore[arg-type]
            record.did("model", "scripted", told(f"limit 150 EUR; {said}"), answer)
        team.produces(answer)
    return record


DECLINED = "Your limit is 150 EUR, so 700 EUR needs a manager."
READ = ("memory_read", "store", {"namespace": ["customers", "C-1042"]}, "limit 150 EUR")
ASKED = ("tool", "crm", {"customer": "C-1042"}, "limit 150 EUR")
PROSE = {"request": "I am customer C-1042", "messages": told("refund request, amount 700 EUR")}


@pytest.mark.parametrize(
    ("inside", "given", "answer"),
    [
        ([READ], PROSE, DECLINED),
        ([ASKED], PROSE, DECLINED),
        ([], SUPPORT, DECLINED),
        ([], PROSE, f"C-1042: {DECLINED}"),
    ],
    ids=("key of a memory", "argument of a tool", "field of its own", "answer"),
)
def test_a_fact_that_a_later_turn_works_with_or_the_answer_states_is_not_lost(
    inside: list[tuple[str, str, object, object]], given: object, answer: str
) -> None:
    assert findings_of(answered(*inside, given=given, answer=answer)) == []


def test_a_fact_that_stands_in_the_prose_of_a_shared_state_alone_is_lost() -> None:
    (found,) = findings_of(answered(given=PROSE, answer=DECLINED))

    assert found == ("drift.lost_fact", "triage", ("C-1042",))


def test_what_a_later_turn_works_with_is_known_there() -> None:
    fates = {one.fact.text: one.fate for one in drift_of(answered(READ, given=PROSE, answer=DECLINED)).facts}

    assert fates["C-1042"] == "kept"
    assert fates["Jane Doe"] == "lost"


def test_the_label_of_a_value_is_no_fact_of_the_request() -> None:
    followed = [
        one.fact.text
        for one in drift_of(row(KEPT, request="My API key: 77421. Then ask IBM for QX-48213.")).facts
    ]

    assert "API" not in followed
    assert {"IBM", "QX-48213"} <= set(followed)
