"""A conversation log is a run of turns: what each could have read, what it said, and nothing beyond the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from becausal import foreign, semconv
from becausal.run import Run
from becausal.runs import Runs
from becausal.store import open_store

QUESTION = "What was the revenue of Acme in 2025?"
FIGURE = "Acme: revenue 2025 was 20 million USD (audited)"

GROUP_CHAT = {
    "question": QUESTION,
    "history": [
        {"role": "assistant", "name": "Finance_Expert", "content": "Let us ask.\n```python\nprint(revenue())\n```"},
        {"role": "user", "name": "Computer_terminal", "content": f"exitcode: 0\nCode output: {FIGURE}\n"},
        {"role": "assistant", "name": "Report_Expert", "content": "Acme had revenue of 20 million USD."},
    ],
}  # fmt: skip

MAGENTIC = {
    "question": QUESTION,
    "history": [
        {"role": "human", "content": QUESTION},
        {"role": "Orchestrator (thought)", "content": "The secret plan: ask the web first."},
        {"role": "Orchestrator (-> WebSurfer)", "content": "Please look up the revenue of Acme."},
        {"role": "WebSurfer", "content": f"I found it. {FIGURE}"},
        {"role": "Orchestrator (termination condition)", "content": "Revenue was 20 million USD."},
    ],
}

CALLS = [
    {"role": "system", "content": "You are a clerk."},
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call-1", "type": "function", "function": {"name": "revenue", "arguments": '{"company": "Acme"}'}}]},
    {"role": "tool", "tool_call_id": "call-1", "content": FIGURE},
    {"role": "assistant", "content": "It was 20 million USD."},
]  # fmt: skip

AUTOGEN: dict[str, list[dict[str, object]]] = {
    "messages": [
        {"source": "user", "type": "TextMessage", "content": QUESTION, "created_at": "2026-05-01T10:00:00Z"},
        {"source": "researcher", "type": "ToolCallRequestEvent", "created_at": "2026-05-01T10:00:01Z",
         "content": [{"id": "call-1", "name": "revenue", "arguments": '{"company": "Acme"}'}]},
        {"source": "researcher", "type": "ToolCallExecutionEvent", "created_at": "2026-05-01T10:00:02Z",
         "content": [{"call_id": "call-1", "name": "revenue", "content": FIGURE, "is_error": False}]},
        {"source": "writer", "type": "TextMessage", "content": "Acme had 20 million USD.",
         "created_at": "2026-05-01T10:00:03Z"},
    ],
}  # fmt: skip


def loaded(folder: Path, record: object) -> Run:
    """Return a log as a run, through a file and a store."""
    path = folder / "log.json"
    path.write_text(json.dumps(record))
    steps = foreign.load(path)
    store = open_store("sqlite:///:memory:")
    store.write(steps)
    return Runs(store).get(steps[0].chain_id)


@pytest.mark.parametrize(
    ("record", "source", "name"),
    [
        (GROUP_CHAT, "tool", "Computer_terminal"),
        (MAGENTIC, "agent", "WebSurfer"),
        (CALLS, "tool", "revenue"),
        (AUTOGEN, "tool", "revenue"),
    ],
)
def test_blame_leads_to_the_turn_that_brought_the_figure(
    tmp_path: Path, record: object, source: str, name: str
) -> None:
    run = loaded(tmp_path, record)

    segment = run.blame("20 million").segments[0]

    assert segment.origin is not None
    assert (segment.source, segment.origin.name) == (source, name)


def test_what_the_user_said_is_the_user_s(tmp_path: Path) -> None:
    record = [
        *CALLS,
        {"role": "user", "content": "Round it to 25."},
        {"role": "assistant", "content": "So 25."},
    ]

    run = loaded(tmp_path, record)

    assert run.blame("25").segments[0].source == "user"


def test_a_thought_is_seen_by_its_thinker_alone(tmp_path: Path) -> None:
    run = loaded(tmp_path, MAGENTIC)

    received = {
        step.name: step.received.text() for step in run.steps if step.kind == "agent" and step.received
    }

    assert "secret plan" not in received["WebSurfer"]
    assert "secret plan" in received["Orchestrator"]


def test_only_what_the_log_addresses_to_somebody_is_a_handoff(tmp_path: Path) -> None:
    magentic, group_chat = loaded(tmp_path, MAGENTIC), loaded(tmp_path, GROUP_CHAT)

    assert [(handoff.sender, handoff.receiver, handoff.verdict) for handoff in magentic.handoffs] == [
        ("Orchestrator", "WebSurfer", "identical")
    ]
    assert group_chat.handoffs == ()


def test_a_tools_turn_has_its_arguments_and_its_caller(tmp_path: Path) -> None:
    for record, caller in ((CALLS, "assistant"), (AUTOGEN, "researcher")):
        (call,) = loaded(tmp_path, record).tool_calls

        assert (call.step.name, call.step.agent) == ("revenue", caller)
        assert call.step.received is not None
        assert call.step.received.value() == {"company": "Acme"}


def test_a_terminals_failure_is_an_error(tmp_path: Path) -> None:
    failed = "exitcode: 1 (execution failed)\nNameError: revenue"
    history = [
        {"role": "assistant", "name": "Finance_Expert", "content": "```python\nprint(revenue())\n```"},
        {"role": "user", "name": "Computer_terminal", "content": failed},
    ]

    (call,) = loaded(tmp_path, {"question": QUESTION, "history": history}).tool_calls

    assert (call.step.status, call.step.error) == ("error", "exitcode: 1 (execution failed)")


def test_each_turn_knows_where_it_stands_in_the_log(tmp_path: Path) -> None:
    run = loaded(tmp_path, MAGENTIC)

    at = [step.attributes[semconv.IMPORT_INDEX] for step in run.steps]

    assert at == [0, 1, 2, 2, 3, 4]


def test_a_file_of_several_logs_gives_a_run_each(tmp_path: Path) -> None:
    path = tmp_path / "logs.jsonl"
    path.write_text(
        "".join(json.dumps(record) + "\n" for record in (GROUP_CHAT, MAGENTIC, {"messages": CALLS}))
    )

    assert len({step.chain_id for step in foreign.load(path)}) == 3


def test_a_file_of_a_message_a_line_is_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(message) + "\n" for message in CALLS))

    assert len({step.chain_id for step in foreign.load(path)}) == 1


def test_a_log_says_what_it_lacks(tmp_path: Path) -> None:
    timeless, timed = loaded(tmp_path, CALLS), loaded(tmp_path, AUTOGEN)

    assert timeless.steps[0].attributes[semconv.IMPORT_NOTES] == (
        "no model call recorded: a turn is what somebody said",
        "no times recorded: turns stand in their order, a millisecond apart",
    )
    assert timed.steps[0].attributes[semconv.IMPORT_NOTES] == (
        "no model call recorded: a turn is what somebody said",
    )


def test_times_that_run_backwards_do_not_part_a_turn_from_what_it_answers(tmp_path: Path) -> None:
    messages = [dict(message) for message in AUTOGEN["messages"]]
    messages[2]["created_at"] = "2026-05-01T11:00:00Z"

    run = loaded(tmp_path, {"messages": messages})

    assert [step.started_ns for step in run.steps] == sorted(step.started_ns for step in run.steps)
    assert run.blame("20 million").segments[0].source == "tool"


def test_what_came_out_is_what_the_user_was_told_and_not_that_they_stopped(tmp_path: Path) -> None:
    run = loaded(tmp_path, [*CALLS, {"role": "user", "content": "###STOP###"}])

    assert run.output is not None
    assert "It was 20 million USD." in run.output.text()
    assert run.blame("20 million").segments[0].source == "tool"
