"""The promise: blame shows each piece's source at a glance, and what it was reckoned from or changed by."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console, RenderableType
from tests.core.builders import Record, message

from becausal.payload import Payload
from becausal.run import Run
from becausal.step import Step
from becausal.views import blame as blames


def reckoning() -> Run:
    given = {"net": 17_250, "tax": 3_277, "due": "2026-05-03"}
    said = {"report": "It comes to 20,527 EUR, due 3 May 2026.", "net": 17_250}
    record = Record()
    with record.step("workflow", "team", received="q") as team:
        record.did("tool", "ledger", {}, given)
        record.did("model", "m", [message("human", json.dumps(given))], message("ai", json.dumps(said)))
        team.produces(said)
    return Run(record.chain_id, record.steps())


def shown(view: RenderableType, *, colour: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=colour, color_system="standard" if colour else None).print(
        view
    )
    return out.getvalue()


def test_a_reckoned_figure_is_shown_with_its_operands_and_their_way() -> None:
    rows = shown(blames.text(reckoning().blame(), asked=None)).splitlines()

    at = next(i for i, row in enumerate(rows) if '"20,527"' in row)
    assert "from the model" in rows[at + 1]
    assert "reckoned: sum of 17250, 3277" in rows[at + 2]
    assert '"17250" $.net' in rows[at + 3]
    assert "tool ledger" in rows[at + 3]


def test_a_changed_form_is_shown_before_and_after() -> None:
    assert 'reformatted by model m: "2026-05-03" became "due 3 May 2026"' in shown(
        blames.text(reckoning().blame(), asked=None)
    )


def test_a_changed_figure_is_shown_with_what_it_was_and_who_changed_it() -> None:
    notes = "The plant made 1,250 units in March and employs 775 people."
    record = Record()
    with record.step("workflow", "team", received="q") as team:
        record.did("agent", "researcher", "q", notes)
        record.did("agent", "editor", notes, notes.replace("1,250", "12,500"))
        team.produces(notes.replace("1,250", "12,500"))
    run = Run(record.chain_id, record.steps())

    assert 'changed by agent editor: "1,250" became "12,500"' in shown(
        blames.text(run.blame("12,500"), asked="12,500")
    )
    assert "in the place of 1,250" in shown(blames.why(run.why(), run.blame()))


def test_what_was_asked_for_in_other_words_is_shown_as_the_output_has_it() -> None:
    found = reckoning().blame("17,250.00")

    assert '"17250"  stands there for "17,250.00"' in shown(blames.text(found, asked="17,250.00"))
    (segment,) = blames.json(found)["segments"]
    assert (segment["text"], segment["asked"]) == ("17250", "17,250.00")


def test_pieces_are_shown_with_their_fields_and_coloured_by_source() -> None:
    plain = shown(blames.text(reckoning().blame(), asked=None))
    coloured = shown(blames.text(reckoning().blame(), asked=None), colour=True)

    assert '"17250"  $.net' in plain
    assert '\x1b[1;32m"17250"' in coloured  # a tool's
    assert '\x1b[1;33m"It comes to' in coloured  # a model's


def test_programs_get_the_same() -> None:
    found = blames.json(reckoning().blame())

    by_text = {segment["text"]: segment for segment in found["segments"]}
    derived = by_text["20,527"]["derived"]
    assert derived is not None
    assert (derived["how"], derived["is_sure"]) == ("sum", True)
    assert [operand["source"] for operand in derived["operands"]] == ["tool", "tool"]
    assert by_text["20,527"]["part_of"] == "It comes to 20,527 EUR, due 3 May 2026."
    assert by_text["17250"]["at"] == "$.net"
    assert [change["kind"] for change in by_text["due 3 May 2026"]["changes"]] == ["reformatted"]
    assert json.loads(json.dumps(found)) == found


def test_a_text_whose_step_kept_no_content_is_said_to_need_it() -> None:
    record = reckoning()
    gone = Run(record.chain_id, [_without_body(step) for step in record.steps])

    told = " ".join(shown(blames.text(gone.blame("20,527"), asked="20,527")).split())

    assert "the content of workflow team was not kept" in told
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY" in told


def test_of_a_run_that_failed_without_an_output_it_is_said_what_to_ask_instead() -> None:
    record = Record()
    with record.step("workflow", "team", received="q") as team:
        record.did("agent", "researcher", "q", "1,250 units")
    team.step.status, team.step.error = "error", "ValueError: no"
    run = Run(record.chain_id, record.steps())

    for asked in (None, "1,250"):
        told = " ".join(shown(blames.text(run.blame(asked), asked=asked)).split())
        assert all(f"becausal {other} RUN" in told for other in ("findings", "why", "blame"))
    assert [one["nowhere"] for one in blames.json(run.blame("1,250"))["segments"]] == ["no output"]


def test_what_blame_and_root_cause_return_is_short_in_a_prompt() -> None:
    said = "The plant made 1,250 units in March. " * 40
    record = Record()
    with record.step("workflow", "team", received="q") as team:
        record.did("agent", "researcher", "q", said)
        record.did("agent", "editor", said, said.replace("1,250", "12,500"))
        team.produces(said.replace("1,250", "12,500"))
    run = Run(record.chain_id, record.steps())
    blamed = run.blame("12,500")

    assert repr(blamed) == "<Blame of workflow team: 1 segment>"
    assert repr(blamed.segments) == "[<Segment '12,500' from the agent: agent editor, observed>]"
    assert (
        repr(blamed.segments[0].changes) == "[<Rewording changed by agent editor: '1,250' became '12,500'>]"
    )
    for one in (*run.blame().segments, *run.root_cause(), *run.findings, *run.root_cause(text="12,500")):
        assert len(repr(one)) < 200
    assert run.findings


def _without_body(step: Step) -> Step:
    return replace(step, received=_hollow(step.received), produced=_hollow(step.produced))


def _hollow(payload: Payload | None) -> Payload | None:
    return None if payload is None else replace(payload, bodies=None)
