"""The promise: the app's own checks see what a tool answered, after the call and at no cost to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Recording

import becausal
from becausal import afterwards, validators
from becausal.toolcall import ToolCall


@pytest.fixture(autouse=True)
def _no_validators_left() -> Iterator[None]:
    before = {tool: list(checks) for tool, checks in validators.registered.items()}
    yield
    validators.registered.clear()
    validators.registered.update(before)


@becausal.tool
def search(query: str) -> dict[str, object]:
    return {"hits": [] if query == "nothing" else [query]}


def checks_of(recording: Recording) -> tuple[str, ...]:
    (tool,) = [ToolCall(step) for step in recording.last() if step.kind == "tool"]
    return tool.checks


def test_a_validator_that_is_content_says_nothing(recording: Recording) -> None:
    @becausal.validator("search")
    def has_hits(response: dict[str, object]) -> bool:
        return bool(response["hits"])

    search("bolts")

    assert checks_of(recording) == ()


def test_what_validators_find_stands_on_the_call(recording: Recording) -> None:
    @becausal.validator("search")
    def has_hits(response: dict[str, object]) -> bool:
        return bool(response["hits"])

    @becausal.validator("search")
    def has_total(response: dict[str, object]) -> None:
        assert "total" in response, "there is no total"

    @becausal.validator("search")
    def in_words(response: dict[str, object]) -> list[str]:
        return ["too few", "too old"]

    @becausal.validator("other")
    def not_asked(response: object) -> bool:
        return False

    search("nothing")

    assert checks_of(recording) == (
        "has_hits failed on {'hits': []}",
        "there is no total",
        "too few",
        "too old",
    )


def test_a_validator_that_fails_or_answers_nonsense_is_told_of_and_the_app_goes_on(
    recording: Recording,
) -> None:
    @becausal.validator("search")
    def failing(response: dict[str, object]) -> bool:
        return bool(response["no such field"])

    @becausal.validator("search")
    def nonsense(response: object) -> int:
        return 7

    assert search("bolts") == {"hits": ["bolts"]}
    failed, answered = checks_of(recording)
    assert failed == "check failing failed: KeyError: 'no such field'"
    assert answered.startswith("check nonsense answered int; it is to answer None")


def test_a_validator_that_blocks_is_given_up_and_not_asked_again(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(afterwards, "MOST_SECONDS", 0.01)
    never, asked = threading.Event(), []

    @becausal.validator("search")
    def blocking(response: object) -> None:
        asked.append(response)
        never.wait()

    with becausal.chain("request"):
        search("a")
        search("b")

    tools = [ToolCall(step) for step in recording.last() if step.kind == "tool"]
    never.set()
    assert [tool.checks for tool in tools] == [("check blocking did not answer within 0 s",), ()]
    assert len(asked) == 1
    assert "is not asked again" in caplog.text


def test_a_validator_sees_the_answer_as_it_was_and_cannot_change_it(recording: Recording) -> None:
    go, seen = threading.Event(), []

    @becausal.validator("search")
    def late(response: dict[str, list[str]]) -> None:
        go.wait(10)
        seen.append(list(response["hits"]))
        response["hits"].append("from the validator")

    answer = search("bolts")
    answer["hits"].append("from the app")  # type: ignore[attr-defined]
    go.set()

    assert checks_of(recording) == ()
    assert seen == [["bolts"]]
    assert answer["hits"] == ["bolts", "from the app"]


def test_a_validator_that_calls_a_tool_records_it_in_no_run_of_the_apps(recording: Recording) -> None:
    @becausal.tool
    def helper() -> int:
        return 1

    @becausal.validator("search")
    def asks(response: object) -> None:
        helper()

    with becausal.chain("request"):
        search("bolts")
    assert becausal.flush()

    (run,) = [run for run in recording.runs() if any(step.name == "search" for step in run)]
    assert [step.name for step in run if step.kind == "tool"] == ["search"]


def test_a_tool_brings_its_own_validators(recording: Recording) -> None:
    @becausal.tool(name="count", validate=[lambda answer: None if answer > 0 else "not positive"])
    def count() -> int:
        return 0

    count()

    assert checks_of(recording) == ("not positive",)


def test_the_name_of_the_tool_must_be_given() -> None:
    with pytest.raises(TypeError, match=r"@becausal\.validator\('search'\)"):
        becausal.validator(search)  # type: ignore[arg-type]


def test_what_was_found_is_kept_when_the_program_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    becausal.instrument(store=url)

    @becausal.validator("search")
    def never_content(response: object) -> bool:
        return False

    search("bolts")
    becausal.uninstrument()

    (tool,) = becausal.open(url).last().tool_calls
    assert tool.checks == ("never_content failed on {'hits': ['bolts']}",)
