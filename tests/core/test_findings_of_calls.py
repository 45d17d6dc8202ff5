"""The promise: what a tool, a contract or a guess got wrong is a finding, with where it entered and how far it came."""

from __future__ import annotations

import pytest
from tests.core.builders import Record

from becausal import semconv
from becausal.finding import Finding
from becausal.findings import find
from becausal.findings.confidence import of_confidence
from becausal.findings.contract import of_contracts
from becausal.findings.failure import of_failures
from becausal.findings.handoff import of_handoffs
from becausal.findings.scene import Scene
from becausal.findings.tools import of_tools
from becausal.run import Run
from becausal.step import Attribute, StepKind


def scene_of(record: Record) -> Scene:
    run = Run(record.chain_id, record.steps())
    return Scene(run.graph, run.handoffs)


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.severity) for finding in findings]


def asking(answer: object, *more: object) -> Record:
    """A finder asks a tool, once or more often, and answers what it heard."""
    record = Record()
    with (
        record.step("workflow", "team", received="how many?") as team,
        record.step("agent", "finder") as finder,
    ):
        for one in (answer, *more):
            record.did("tool", "count_bolts", {"bin": 7}, one)
        finder.produces(str(more[-1] if more else answer))
        team.produces(str(more[-1] if more else answer))
    return record


def test_a_wrong_answer_that_came_to_the_output_is_an_error_with_its_way() -> None:
    (finding,) = of_tools(scene_of(asking("Error: the database is gone")))

    assert (finding.kind, finding.severity, finding.tool) == ("tool.error_as_data", "error", "count_bolts")
    assert finding.path[0].kind == "tool"
    assert finding.path[-1].name == "team"


def test_a_way_passes_everybody_who_handed_it_on() -> None:
    record = Record()
    with record.step("workflow", "team", received="q", produced="Error: gone, they say"):
        with record.step("agent", "finder", produced="Error: gone") as finder:
            record.did("tool", "price", {"id": 1}, "Error: gone")
        handoff = record.handoff(finder, "writer", "Error: gone")
        with record.step(
            "agent", "writer", received="Error: gone", produced="Error: gone, they say", arrivals=[handoff]
        ):
            pass

    (finding,) = of_tools(scene_of(record))
    assert [step.name for step in finding.path] == ["price", "finder", "finder to writer", "writer", "team"]


def test_a_wrong_answer_that_was_made_up_for_is_a_note() -> None:
    findings = list(of_tools(scene_of(asking("HTTP 502 Bad Gateway", {"bolts": 12}))))

    assert kinds(findings) == [("tool.error_as_data", "note")]
    assert "a later call made up for it" in findings[0].message


def test_what_a_validator_found_is_a_finding() -> None:
    record = asking({"bolts": -3})
    for step in record.made:
        if step.kind == "tool":
            step.attributes[semconv.CHECKS] = ("fewer than none",)

    (finding,) = of_tools(scene_of(record))
    assert (finding.kind, finding.evidence) == ("tool.invalid", ("fewer than none",))


def test_an_answer_that_the_app_and_a_built_in_check_refuse_is_told_once_with_the_app_s_word_first() -> None:
    record = asking([])
    for step in record.made:
        if step.kind == "tool":
            step.attributes[semconv.CHECKS] = ("no offer for bolts",)

    (finding,) = of_tools(scene_of(record))
    assert (finding.kind, finding.confidence, finding.evidence[0]) == (
        "tool.empty",
        1.0,
        "no offer for bolts",
    )
    assert "did not pass the app's own check: no offer for bolts; " in finding.message


def test_what_the_app_and_a_built_in_check_say_of_different_things_is_told_twice() -> None:
    record = asking("HTTP 502 Bad Gateway", {"bolts": 12})
    for step in record.made:
        if step.kind == "tool":
            step.attributes[semconv.CHECKS] = ("no currency",)

    told = kinds(list(of_tools(scene_of(record))))
    assert [kind for kind, _ in told] == ["tool.error_as_data", "tool.invalid", "tool.invalid"]


def test_a_proper_run_has_no_finding() -> None:
    scene = scene_of(asking({"bolts": 12}))

    assert [*of_tools(scene), *of_contracts(scene), *of_confidence(scene)] == []


def test_a_broken_contract_is_a_finding_of_its_handoff() -> None:
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        with record.step("agent", "planner", produced={"x": 1}) as planner:
            pass
        handoff = record.handoff(
            planner, "writer", {"x": 1}, attributes={semconv.CONTRACT_BREACHES: ("no order_id",)}
        )
        with record.step("agent", "writer", received={"x": 1}, produced="done", arrivals=[handoff]):
            pass

    (finding,) = of_contracts(scene_of(record))
    assert (finding.kind, finding.agent, finding.step.kind) == ("contract.broken", "planner", "handoff")
    assert finding.evidence == ("no order_id",)


def broken(says: str, sent: object, received: object) -> tuple[Finding, ...]:
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        with record.step("agent", "planner", produced=sent) as planner:
            pass
        breaches: dict[str, Attribute] = {semconv.CONTRACT_BREACHES: (says,)}
        handoff = record.handoff(planner, "writer", sent, attributes=breaches)
        with record.step("agent", "writer", received=received, produced="done", arrivals=[handoff]):
            pass
    scene = scene_of(record)
    return find(scene.graph, scene.handoffs, (of_handoffs, of_contracts))


def test_what_a_broken_contract_misses_is_no_second_finding_and_its_evidence() -> None:
    sent = {"order_id": "OR-48213", "plan": "order 12 bolts of type A-17 for Ms Brandt in Lisbon"}
    (finding,) = broken("order_id ('OR-48213') did not arrive", sent, {"plan": sent["plan"]})

    assert (finding.kind, finding.key, finding.right) == ("contract.broken", "$.order_id", ("OR-48213",))
    assert finding.evidence[0] == "order_id ('OR-48213') did not arrive"
    assert "stated: OR-48213" in finding.evidence
    assert finding.agent is None


def test_what_was_lost_beside_what_a_contract_misses_is_a_finding_of_its_own() -> None:
    sent = {"order_id": "OR-48213", "due": "3 May 2027", "plan": "order 12 bolts for Ms Brandt in Lisbon"}
    found = broken("order_id ('OR-48213') did not arrive", sent, {"plan": sent["plan"]})

    assert [(one.kind, one.key) for one in found] == [
        ("contract.broken", "$.order_id"),
        ("handoff.dropped", "$.due"),
    ]


ALLOWED = [
    ("drop:notes", "note"),
    ("drop:*", "note"),
    ("drop:plan", "warning"),
    ("trim:*", "note"),
    ("reorder:*", "warning"),
]


@pytest.mark.parametrize(("allowance", "severity"), ALLOWED, ids=[row[0] for row in ALLOWED])
def test_what_a_contract_allows_is_worth_a_note(allowance: str, severity: str) -> None:
    sent = {"plan": "order 12 bolts of type A-17", "notes": "the old price was $4,711 in March"}
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        with record.step("agent", "planner", produced=sent) as planner:
            pass
        allows: dict[str, Attribute] = {semconv.CONTRACT_ALLOWS: (allowance,)}
        handoff = record.handoff(planner, "writer", sent, attributes=allows)
        with record.step(
            "agent", "writer", received={"plan": sent["plan"]}, produced="done", arrivals=[handoff]
        ):
            pass

    (finding,) = of_handoffs(scene_of(record))
    assert finding.kind == "handoff.dropped"
    assert (finding.severity == "note") is (severity == "note")


def two_agents(first: str, second: str, *, score: float | None = None) -> Record:
    record = Record()
    with record.step("workflow", "team", received="what did it cost?") as team:
        with record.step("agent", "finder", received="what did it cost?", produced=first) as finder:
            if score is not None:
                finder.decides("answer: it", score=score)
        handoff = record.handoff(finder, "writer", first)
        with record.step("agent", "writer", received=first, produced=second, arrivals=[handoff]):
            pass
        team.produces(second)
    return record


def test_a_hedge_that_got_lost_is_told_where_it_was_lost() -> None:
    scene = scene_of(two_agents("It probably cost $4,200 in May.", "It cost $4,200 in May."))

    findings = list(of_confidence(scene))
    assert findings
    assert {finding.kind for finding in findings} == {"confidence.inflated"}
    assert all(finding.agent == "writer" for finding in findings)
    assert findings[0].path[0].name == "finder"


def accepted(finds: str, says: str) -> Record:
    """An app that answers at once, and sends what it found when it has found it."""
    record = Record()
    with record.step("request", "ask", received="how much?") as root:
        root.produces("accepted")
    with record.step("agent", "finder", received="how much?", produced=finds) as finder:
        record.did("model", "m", "how much?", finds)
    found = record.handoff(finder, "writer", finds)
    with record.step("agent", "writer", received=finds, arrivals=[found]) as writer:
        record.did("model", "m", finds, says)
    sent = record.handoff(writer, "user", says)
    with record.step("agent", "user", received=says, arrivals=[sent]):
        pass
    return record


def test_what_an_app_sends_when_it_has_answered_is_part_of_what_it_told() -> None:
    (finding,) = of_confidence(scene_of(accepted("It probably cost $4,200.", "It cost $4,200.")))

    assert (finding.kind, finding.step.kind, finding.agent) == ("confidence.inflated", "model", "writer")
    assert (
        list(of_confidence(scene_of(accepted("It probably cost $4,200.", "It probably cost $4,200.")))) == []
    )


def test_a_hedge_that_was_kept_is_fine() -> None:
    assert (
        list(of_confidence(scene_of(two_agents("It probably cost $4,200.", "The cost was probably $4,200."))))
        == []
    )
    assert list(of_confidence(scene_of(two_agents("It cost $4,200.", "It cost $4,200.")))) == []


def test_a_hedge_without_a_figure_that_got_lost_is_told() -> None:
    maybe, sure = "Maybe the parser drops the last row.", "The parser drops the last row. Please mend it."

    (finding,) = of_confidence(scene_of(two_agents(maybe, sure)))
    assert (finding.kind, finding.agent) == ("confidence.inflated", "writer")
    assert finding.evidence == ("Maybe the parser drops the last row", "The parser drops the last row")
    assert finding.path[0].name == "finder"
    assert list(of_confidence(scene_of(two_agents(maybe, maybe)))) == []
    assert list(of_confidence(scene_of(two_agents(maybe, "The parser does not drop the last row.")))) == []
    assert list(of_confidence(scene_of(two_agents("It drops rows.", "It drops rows, I think.")))) == []


def test_a_hedge_is_of_what_follows_it_alone() -> None:
    first = "Order A-17 costs $4,200 and will probably arrive on 3 May 2026."

    assert list(of_confidence(scene_of(two_agents(first, "A-17 costs $4,200 and may arrive in May.")))) == []
    (finding,) = of_confidence(scene_of(two_agents(first, "A-17 costs $4,200 and arrives on 3 May 2026.")))
    assert finding.evidence == ("probably 3 May 2026", "3 May 2026")


def test_what_a_tool_confirmed_since_was_looked_up_and_not_inflated() -> None:
    for maybe, sure in (
        ("It probably cost $4,200.", "It cost $4,200."),
        ("Maybe the parser drops the last row.", "The parser drops the last row."),
    ):
        record = Record()
        with record.step("workflow", "team", received="what is wrong?", produced=sure):
            with record.step("agent", "finder", received="what is wrong?", produced=maybe) as finder:
                pass
            handoff = record.handoff(finder, "writer", maybe)
            with record.step("agent", "writer", received=maybe, produced=sure, arrivals=[handoff]):
                record.did("tool", "look_up", {"of": "it"}, sure)
        assert list(of_confidence(scene_of(record))) == []


def test_a_guess_that_is_told_as_certain_is_a_finding_of_whoever_guessed() -> None:
    findings = list(of_confidence(scene_of(two_agents("It cost $4,200.", "It cost $4,200.", score=0.2))))

    assert [(finding.kind, finding.agent) for finding in findings] == [("confidence.inflated", "finder")]
    assert list(of_confidence(scene_of(two_agents("It cost $4,200.", "It cost $4,200.", score=0.9)))) == []
    assert list(of_confidence(scene_of(two_agents("It cost $4,200.", "It was dear.", score=0.2)))) == []


def test_a_run_that_ended_in_an_error_says_where_it_began() -> None:
    record = Record()
    with (
        record.step("workflow", "team", received="q") as team,
        record.step("agent", "pricer") as pricer,
        record.step("tool", "price", received={"id": 1}) as tool,
    ):
        pass
    for step in (team, pricer, tool):
        step.step.status, step.step.error = "error", "KeyError: price_eur"

    (finding,) = of_failures(scene_of(record))
    assert (finding.kind, finding.severity, finding.agent) == ("run.anomaly", "error", "pricer")
    assert "KeyError: price_eur" in finding.message
    assert [step.name for step in finding.path] == ["price", "pricer", "team"]


def test_a_run_that_went_well_after_a_failed_attempt_has_not_failed() -> None:
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        with record.step("agent", "pricer", received="q") as pricer:
            pass
        with record.step("agent", "pricer", received="q", produced="done"):
            pass
    pricer.step.status, pricer.step.error = "error", "KeyError: price_eur"

    assert list(of_failures(scene_of(record))) == []


def test_a_run_whose_content_was_not_kept_says_that_it_could_not_be_judged() -> None:
    record = asking({"bolts": 12})
    record.bodies.clear()

    (finding,) = of_failures(scene_of(record))
    assert (finding.kind, finding.severity) == ("run.anomaly", "note")
    assert "could be judged" in finding.message


def passing_over(*statuses: str, kind: StepKind = "agent") -> list[Finding]:
    """Let steps under a run that went well end so, one after the other."""
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        for status in statuses:
            with record.step(kind, "checker", received="q") as step:
                pass
            step.step.status = status  # type: ignore[assignment]
            step.step.error = "KeyError: price" if status == "error" else None
    return list(of_failures(scene_of(record)))


def test_a_turn_that_failed_and_was_passed_over_is_told() -> None:
    (finding,) = passing_over("ok", "error")

    assert (finding.kind, finding.severity, finding.agent) == ("run.anomaly", "warning", "checker")
    assert "the run went on without it: KeyError: price" in finding.message


def test_a_turn_that_was_tried_again_or_stopped_on_purpose_is_not() -> None:
    assert passing_over("error", "ok") == []
    assert passing_over("cancelled") == []
    assert passing_over("interrupted") == []
