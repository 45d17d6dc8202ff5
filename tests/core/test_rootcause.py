"""The promise: who a fault came from is told by evidence, with its way; what followed from it is not blamed as well."""

from __future__ import annotations

from tests.core.builders import Draft, Record

from becausal import semconv
from becausal.answers.rootcause import Suspect, contained, root_cause
from becausal.finding import Finding, FindingKind, Severity
from becausal.run import Run
from becausal.step import Step

REQUEST = "Order 120 desks for at most $50,000.00, deliver by 3 May 2027, order number OR-48213."
SHORT = "Order 120 desks."
LOSSES = ("handoff.truncated", "drift.lost_fact")
WRONG = REQUEST.replace("3 May 2027", "9 June 2027")


class Told(Run):
    """A run whose findings are given."""

    def __init__(self, record: Record, *found: Finding) -> None:
        super().__init__("a" * 32, record.steps())
        self.__dict__["findings"] = found


def row(*texts: str, arrives: str | None = None) -> Record:
    """Agents a, b, c … in a row, each saying one of the texts; what arrives at the second may be another text."""
    record = Record()
    with record.step("workflow", "team", received=REQUEST) as root:
        sent: list[Draft] = []
        heard = REQUEST
        for place, text in enumerate(texts):
            name = "abcdefgh"[place]
            with record.step("agent", name, received=heard, arrivals=sent) as turn:
                turn.step.agent = name
                if place == 1:
                    with record.step("tool", "get_offer", received={"item": "desk"}) as tool:
                        tool.step.agent = name
                        tool.produces({"item": "desk", "unit_price": "410.00"})
                turn.produces(text)
            if place + 1 < len(texts):
                sent = [record.handoff(turn, "abcdefgh"[place + 1], text)]
                heard = arrives if arrives is not None and place == 0 else text
        root.produces(texts[-1])
    return record


def step(run: Run, name: str) -> Step:
    return next(one for one in run.steps if one.name == name)


def finding(
    run: Run, name: str, kind: FindingKind, *words: str, severity: Severity = "error", sure: float = 0.8
) -> Finding:
    there = step(run, name)
    is_tool = there.kind == "tool"
    agent = None if is_tool or there.kind == "handoff" else there.agent
    tool = there.name if is_tool else None
    wrong, right = ((), words) if kind in LOSSES else (words, ())
    return Finding(kind, severity, sure, there, "something", words, agent, tool, wrong=wrong, right=right)


def suspects(record: Record, *found: tuple[str, FindingKind, tuple[str, ...]]) -> list[Suspect]:
    plain = Run("a" * 32, record.steps())
    return root_cause(
        Told(record, *(finding(plain, name, kind, *evidence) for name, kind, evidence in found))
    )


def names(path: tuple[Step, ...]) -> list[str]:
    return [one.name for one in path]


def test_where_nothing_is_wrong_nobody_is_suspected() -> None:
    run = Run("a" * 32, row(REQUEST, REQUEST, REQUEST).steps())

    assert run.root_cause() == []
    assert contained(run) == []


def test_what_was_altered_on_its_way_is_the_ways_and_not_the_receivers() -> None:
    run = Run("a" * 32, row(REQUEST, WRONG, WRONG, arrives=WRONG).steps())

    first = run.root_cause()[0]

    assert first.step.kind == "handoff"
    assert first.agent is None
    assert first.tool is None
    assert first.who == "the way a to b"
    assert names(first.path) == ["a to b", "b", "b to c", "c", "team"]
    assert any("9 June 2027" in row for row in first.evidence)
    assert len(run.root_cause()) == 1


def test_the_same_content_lost_again_downstream_is_no_second_cause() -> None:
    found = suspects(
        row(REQUEST, SHORT, SHORT, SHORT),
        ("a to b", "handoff.truncated", ("OR-48213", "3 May 2027")),
        ("c", "drift.lost_fact", ("OR-48213",)),
    )

    assert len(found) == 1
    assert [one.kind for one in found[0].findings] == ["handoff.truncated", "drift.lost_fact"]


def test_the_way_has_every_message_that_says_what_is_wrong_also_one_that_led_nowhere() -> None:
    told = f"{REQUEST} The deposit is $741.00."
    record = Record()
    with record.step("workflow", "team", received=REQUEST) as root:
        with record.step("agent", "a", received=REQUEST) as writer:
            writer.step.agent = "a"
            writer.produces(told)
        asked, passed = record.handoff(writer, "critic", told), record.handoff(writer, "b", told)
        with record.step("agent", "critic", received=told, arrivals=[asked]) as critic:
            critic.step.agent = "critic"
            critic.produces("This is good.")
        with record.step("agent", "b", received=told, arrivals=[passed]) as last:
            last.step.agent = "b"
            last.produces(told)
        root.produces(told)

    (found,) = suspects(record, ("a", "model.ungrounded", ("$741.00",)))

    assert names(found.path) == ["a", "a to critic", "a to b", "b", "team"]


def test_other_content_lost_later_is_a_cause_of_its_own() -> None:
    found = suspects(
        row(REQUEST, SHORT, SHORT, SHORT),
        ("a to b", "handoff.truncated", ("OR-48213",)),
        ("c", "drift.lost_fact", ("at most $50,000.00",)),
    )

    assert [one.step.name for one in found] == ["a to b", "c"]


def test_a_figure_made_up_where_a_tool_gave_nothing_follows_from_the_tool() -> None:
    record = row(REQUEST, REQUEST, REQUEST)
    same_turn = suspects(
        record, ("get_offer", "tool.empty", ("null",)), ("b", "model.ungrounded", ("$0.00",))
    )
    elsewhere = suspects(
        record, ("get_offer", "tool.empty", ("null",)), ("c", "model.ungrounded", ("QY-40417",))
    )

    assert [one.who for one in same_turn] == ["tool get_offer"]
    assert same_turn[0].tool == "get_offer"
    assert [one.who for one in elsewhere] == ["tool get_offer", "agent c"]


def test_what_reached_the_output_comes_before_what_may_not_have() -> None:
    record = row(REQUEST, REQUEST, REQUEST, REQUEST)
    run = Run("a" * 32, record.steps())
    told = Told(
        record,
        finding(run, "b", "model.ungrounded", "QY-11111", severity="warning", sure=0.9),
        finding(run, "c", "model.ungrounded", "QY-22222", sure=0.7),
    )

    found = root_cause(told)

    assert [(one.who, round(one.score, 2)) for one in found] == [("agent c", 0.7), ("agent b", 0.45)]


def test_what_was_put_right_before_the_output_is_told_as_contained_and_not_blamed() -> None:
    run = Run("a" * 32, row(REQUEST, WRONG, REQUEST, arrives=WRONG).steps())

    assert run.root_cause() == []
    assert [one.step.kind for one in contained(run)] == ["handoff"]


def test_a_lost_update_is_the_merges_and_not_that_of_whoever_lost() -> None:
    record = row(REQUEST, REQUEST)
    write = next(one for one in record.made if one.kind == "tool")
    write.kind, write.name, write.agent = "memory_write", "offers", None
    plain = Run("a" * 32, record.steps())
    lost = Finding(
        "memory.lost_update", "error", 0.9, step(plain, "offers"), "lost", ("a: 40",), "loser", key="offers"
    )

    found = root_cause(Told(record, lost))

    assert found[0].agent is None
    assert found[0].who == "the merge of offers"


def test_of_a_step_that_is_asked_about_only_what_led_to_it_is_suspected() -> None:
    record = row(REQUEST, REQUEST, REQUEST)
    run = Run("a" * 32, record.steps())
    told = Told(record, finding(run, "c", "model.ungrounded", "QY-22222"))

    assert root_cause(told, step(run, "b")) == []
    assert [one.who for one in root_cause(told, step(run, "c"))] == ["agent c"]


def test_words_that_somebody_knows_to_be_wrong_are_led_to_whoever_brought_them_in() -> None:
    run = Run(
        "a" * 32,
        row(REQUEST, f"{REQUEST} The deposit is $741.00.", f"{REQUEST} The deposit is $741.00.").steps(),
    )

    found = run.root_cause(text="$741.00")

    assert run.findings == () or all(one.step.name != "a" for one in run.findings)
    assert found[0].step.name == "b"
    assert found[0].agent == "b"
    assert found[0].score == 1.0
    assert run.root_cause(text="$999.00") == []


def test_the_decision_that_asked_for_a_bad_tool_call_comes_with_the_suspect() -> None:
    record = Record()
    with record.step("workflow", "team", received=REQUEST) as root:
        with record.step("agent", "a", received=REQUEST) as turn:
            asks = record.did(
                "model", "m", REQUEST, {"name": "get_offer", "arguments": {"item": "desk"}, "id": "c-1"}
            )
            asks.decides("call get_offer(item='desk')")
            tool = record.did(
                "tool", "get_offer", {"item": "desk"}, "HTTP 503 Service Unavailable", call="c-1"
            )
            tool.caused_by(asks, "data")
            turn.produces("It costs 0 dollars.")
        root.produces("It costs 0 dollars.")
    run = Run("a" * 32, record.steps())

    first = run.root_cause()[0]

    assert first.tool == "get_offer"
    assert first.decisions[0].conclusion == "call get_offer(item='desk')"
    assert semconv.TOOL_CALL_ID in first.step.attributes
