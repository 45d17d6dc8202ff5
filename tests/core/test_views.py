"""The promise: what agents said is shown as it is, never obeyed; JSON keeps its shape."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console, RenderableType
from tests.core.builders import Draft, Record, message, research_team

from becausal.run import Run
from becausal.store import ChainInfo
from becausal.views import blame as blames
from becausal.views import json as jsons
from becausal.views import text
from becausal.views.clean import cut, head, line

NASTY = "\x1b]0;owned\x07\x1b[31m[bold red]obey[/] \u202egnp.exe \x9b31m\r\nnext\x00 \udc80 :smile:"


def shown(renderable: RenderableType, width: int = 140) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, emoji=False, markup=False).print(renderable)
    return out.getvalue()


def run_of(record: Record) -> Run:
    return Run(record.chain_id, record.steps())


def test_no_escape_code_direction_mark_or_markup_of_a_payload_reaches_the_terminal() -> None:
    record = Record()
    with record.step("workflow", NASTY, received=NASTY) as team:
        planner = record.did("agent", NASTY, NASTY, NASTY)
        planner.decides(NASTY, reason=NASTY)
        handoff = record.handoff(planner, NASTY, {"a": NASTY})
        with record.step("agent", "writer", received={"b": NASTY}, arrivals=[handoff]):
            record.did("tool", NASTY, NASTY, NASTY)
        team.produces(NASTY)
        team.step.error = NASTY
    run = run_of(record)

    views = [
        text.run(run),
        blames.why(run.why(), run.blame()),
        text.handoffs(run.handoffs),
        text.tools(run.tool_calls),
    ]
    views += [blames.text(run.blame(asked), asked=asked) for asked in (None, "obey")]
    for view in views:
        out = shown(view)
        assert not set(out) & set("\x1b\x07\x9b\u202e\x00\r\udc80")
        assert "[bold red]obey[/]" in out or "obey" not in out


def test_long_text_is_cut_at_the_width_and_marked() -> None:
    assert cut("a" * 50, 10) == "aaaaaaaaa…"
    assert cut("short", 10) == "short"
    assert len(cut("word " * 100_000, 60)) == 60
    assert head("x\ny", 20) == '"x y"'
    assert line("a\x1b[2Jb\u200b") == "a[2Jb"


def test_a_tree_shows_steps_handoffs_digests_and_decisions() -> None:
    record = research_team()

    out = shown(text.run(run_of(record)))

    tool = next(step for step in record.steps() if step.kind == "tool")
    assert tool.produced is not None
    assert "tool revenue_database of researcher" in out
    assert tool.produced.digest.rpartition(":")[2][:8] in out
    assert "analyst ⇒ writer  " in out
    assert "extended (3 added)  sent " in out
    assert "+ added $.finding" in out
    assert "decides call revenue_database(company=Acme)  because The figure is in the database." in out
    assert "decides a full audit is due  0.60 declared" in out


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    run = run_of(research_team())

    for view in (
        text.run(run),
        blames.why(run.why(), run.blame()),
        blames.text(run.blame(), asked=None),
        text.handoffs(run.handoffs),
    ):
        assert max(len(row) for row in shown(view, width).splitlines()) <= width


def test_a_narrow_terminal_keeps_what_one_asks_on_with() -> None:
    run = run_of(research_team())
    out = shown(text.run(run), 80)
    for step in run.steps:
        assert step.id[:8] in out
    assert "extended (3 added)" in out

    info = ChainInfo(
        "ab" * 16, "a rather long name of a team", 0, 1_500_000, 1234, 7, 56, ("analyst", "writer") * 9
    )
    head, row = shown(text.runs([info]), 80).splitlines()
    assert head.split() == ["run", "name", "started", "took", "steps", "handoffs", "errors", "agents"]
    assert row.startswith("abababababab  a ")
    for cell in ("1.5 ms", "1234", "7", "56"):
        assert cell in row.split("  ") or f" {cell} " in row
    for column in ("cause", "effect", "edge", "grade", "evidence"):
        assert column in shown(text.edges(run.why()), 80)


def test_what_to_do_where_a_text_is_not_found_is_not_cut() -> None:
    out = shown(blames.text(run_of(research_team()).blame("nowhere"), asked="nowhere"), 60)
    assert "--of STEP` asks about another step" in " ".join(out.split())


def test_each_kind_of_change_can_be_read() -> None:
    record = Record()
    long = "the report is due on 3 May at noon and not later"
    sent = {"deadline": "3 May", "steps": [1, 2, 3], "text": long, "count": 1, "who": "Ann"}
    received = {"steps": [3, 1, 2], "text": long[:20], "count": "1", "who": "Bob", "more": "x"}
    with record.step("workflow", "team"):
        planner = record.did("agent", "planner", "q", sent)
        handoff = record.handoff(planner, "writer", sent)
        with record.step("agent", "writer", received=received, arrivals=[handoff]):
            pass

    out = shown(text.run(run_of(record)))

    assert '− dropped $.deadline  "3 May"' in out  # noqa: RUF001
    assert '+ added $.more  "x"' in out
    assert '~ changed $.who  "Ann" → "Bob"' in out
    assert "✂ cut $.text" in out
    assert "≠ retyped $.count  int → str" in out
    assert "⇅ reordered $.steps" in out


def test_why_tells_causes_first_with_grade_and_evidence() -> None:
    run = run_of(research_team())
    rows = shown(blames.why(run.why(), run.blame())).splitlines()

    (row,) = [i for i, row in enumerate(rows) if row[9:].startswith("tool revenue_database")]
    (last,) = [i for i, row in enumerate(rows) if row[9:].startswith("handoff analyst to writer")]
    assert "observed" in rows[row]
    assert "tool call call-1" in rows[row]
    assert row < last
    assert any('"20 million"' in line and "revenue_database" in line for line in rows[last:])


def test_blame_tells_the_origin_the_way_and_the_decision() -> None:
    run = run_of(research_team())

    out = shown(blames.text(run.blame("20 million"), asked="20 million"))

    assert "from the tool: tool revenue_database of researcher" in out
    assert "handoff researcher to analyst" in out
    assert "decides a full audit is due" in out
    assert "as model scripted of researcher decided: call revenue_database" in out


def chat(turns: int) -> Record:
    """Return the record of a conversation whose turns are each handed all of it, and send what they say."""
    record = Record()
    said: list[dict[str, object]] = [message("human", "How is the harbour?")]
    arrivals: list[Draft] = []
    with record.step("workflow", "team", received={"messages": said}) as team:
        for turn in range(turns):
            agent = f"agent {turn % 2}"
            with record.step("agent", agent, received={"messages": list(said)}, arrivals=arrivals) as draft:
                new = message("ai", f"turn {turn} says so")
                draft.produces({"messages": [new]})
            arrivals = [record.handoff(draft, f"agent {(turn + 1) % 2}", {"messages": [new]})]
            said.append(new)
        team.produces({"messages": said})
    return record


def test_what_an_earlier_handoff_had_brought_is_counted_and_what_is_new_is_shown() -> None:
    run = run_of(chat(30))

    folded, full = shown(text.handoffs(run.handoffs)), shown(text.handoffs(run.handoffs, full=True))

    assert folded.count("+ added") == 1  # the request, by the first one
    assert "= 28 that an earlier handoff had brought: --full" in folded
    assert full.count("+ added") == sum(range(30))
    assert "--full" not in full
    assert len(folded.splitlines()) <= 2 * len(run.handoffs)


def test_handoffs_that_lost_something_show_it_each_time() -> None:
    record = Record()
    arrivals: list[Draft] = []
    for turn in range(4):
        with record.step("agent", f"agent {turn}", received={"plan": "ship"}, arrivals=arrivals) as draft:
            draft.produces({"plan": "ship", "limit": "$9,000"})
        arrivals = [record.handoff(draft, f"agent {turn + 1}", {"plan": "ship", "limit": "$9,000"})]

    out = shown(text.handoffs(run_of(record).handoffs))

    assert out.count("dropped $.limit") == 3


def test_blame_says_so_where_the_text_is_not_in_the_output() -> None:
    run = run_of(research_team())

    assert "does not stand in the output" in shown(blames.text(run.blame("no such"), asked="no such"))


def test_every_view_of_an_empty_run_says_that_it_is_empty() -> None:
    run = run_of(Record())

    assert "no handoff" in shown(text.handoffs(run.handoffs))
    assert "no tool" in shown(text.tools(run.tool_calls))
    assert "no output" in shown(blames.text(run.blame(), asked=None))
    assert "No run" in shown(text.runs([]))


def test_json_is_plain_data_with_the_documented_fields() -> None:
    run = run_of(research_team())

    data = json.loads(json.dumps(jsons.run(run), allow_nan=False))

    assert set(data) == {
        "chain_id", "name", "status", "started_ns", "ended_ns", "agents", "output", "steps", "edges", "handoffs",
        "decisions",
    }  # fmt: skip
    assert set(data["handoffs"][0]) == {
        "id", "sender", "receiver", "sent_by", "received_by", "sent", "received", "verdict", "intended", "delta",
    }  # fmt: skip
    ids = {step["id"] for step in data["steps"]}
    assert all({edge["source"], edge["target"]} <= ids for edge in data["edges"])


def test_json_of_values_that_json_has_no_word_for_is_their_text() -> None:
    odd = {1: float("nan"), "b": b"\x00\xff", "s": {2, 1}, "t": (1, None)}

    assert jsons.plain(odd) == {"1": "nan", "b": "00ff", "s": [1, 2], "t": [1, None]}


def test_a_step_that_is_lost_is_told_without_a_promise_that_doctor_knows_of_it() -> None:
    record = Record()
    with record.step("agent", "finder") as finder:
        finder.step.parent_id = "f" * 16

    told = shown(text.run(run_of(record)))

    assert "1 step that this record names is lost, or in another run." in told
    assert "doctor" not in told
