"""That something was redacted is no change of what was handed over, and no fault; a replay says what it lacks."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from tests.conftest import Recording

import becausal
from becausal.redaction.alike import alike
from becausal.views.replay import text

PASSWORD = "Tr0ub4dor-3"


def test_a_secret_that_was_met_between_the_two_ends_of_a_handoff_is_no_change(recording: Recording) -> None:
    with becausal.chain("go"):
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", {"brief": f"log in with {PASSWORD}", "n": 1})
        with becausal.agent("clerk", received={"password": PASSWORD}):
            pass
        with becausal.receive("writer", envelope) as payload:
            assert payload == {"brief": f"log in with {PASSWORD}", "n": 1}

    run = becausal.last_run()
    (handoff,) = run.handoffs
    assert handoff.sent is not None
    assert handoff.received is not None
    assert handoff.sent.digest != handoff.received.digest
    assert not handoff.delta
    assert handoff.verdict == "same_meaning"
    assert [finding.kind for finding in run.findings] == []


def test_another_change_beside_it_is_still_one(recording: Recording) -> None:
    with becausal.chain("go"):
        with becausal.agent("planner"):
            envelope = becausal.handoff(
                "planner", "writer", {"brief": f"log in with {PASSWORD}", "limit": "500 EUR"}
            )
        with becausal.agent("clerk", received={"password": PASSWORD}):
            pass
        payload: Any = envelope["payload"]
        payload["limit"] = "900 EUR"
        with becausal.receive("writer", envelope):
            pass

    run = becausal.last_run()
    assert [change.path for change in run.handoffs[0].delta] == ["$.limit"]
    assert "handoff.mutated" in [finding.kind for finding in run.findings]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": "x [redacted:password:01234567] y"}, {"a": "x secret7 y"}),
        ({"a": ["[redacted:password:01234567]", "n"]}, {"a": ["secret7", "n"]}),
        ("[redacted:password:01234567], [redacted:card:89abcdef]", "secret7, 4111111111111111"),
    ],
)
def test_values_are_alike_whichever_of_them_is_redacted(first: Any, second: Any) -> None:
    assert alike(first, second) == (first, first)
    assert alike(second, first) == (first, first)


def test_two_secrets_are_two() -> None:
    first, second = "x [redacted:password:01234567]", "x [redacted:password:76543210]"

    assert alike(first, second) == (first, second)
    assert alike("x [redacted:password:01234567]", "y secret7") == (
        "x [redacted:password:01234567]",
        "y secret7",
    )


def test_a_replay_gives_the_marker_and_says_so(recording: Recording) -> None:
    @becausal.tool
    def login() -> dict[str, str]:
        return {"password": PASSWORD, "user": "ann"}

    def app() -> str:
        with becausal.chain("go"), becausal.agent("clerk") as step:
            said = login()["user"]
            step.returned(said)
        return said

    assert app() == "ann"
    becausal.flush()
    run = becausal.last_run()

    replay = run.replay(app)

    assert replay.value == "ann"
    assert replay.reproduced
    (tool,) = run.tool_calls
    assert replay.redacted == (tool.step.id,)
    console = Console(file=io.StringIO(), width=200)
    console.print(text(replay))
    assert "1 of these answers hold markers in place of secrets" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("there", "kinds"), [("another", []), ("one", ["handoff.mutated"])])
def test_markers_of_two_installations_are_compared_by_their_kinds(
    store: str, monkeypatch: pytest.MonkeyPatch, there: str, kinds: list[str]
) -> None:
    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", "one")
    becausal.instrument(store=store)
    with becausal.chain("go"), becausal.agent("planner"):
        envelope = becausal.handoff(
            "planner", "writer", {"log in with": {"password": PASSWORD}, "by": "3 May"}
        )
    becausal.uninstrument()

    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", there)
    becausal.instrument(store=store)
    if there == "one":  # here a marker tells: it is another password
        payload: Any = envelope["payload"]
        payload["log in with"]["password"] = "Wint3r-Coming"
    with becausal.receive("writer", envelope):
        pass
    run = becausal.last_run()
    becausal.uninstrument()

    (handoff,) = run.handoffs
    assert handoff.has_two_keys == (there == "another")
    assert (handoff.verdict == "same_meaning") == (there == "another")
    assert [finding.kind for finding in run.findings if finding.kind.startswith("handoff.")] == kinds
