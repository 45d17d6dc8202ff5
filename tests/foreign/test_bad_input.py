"""Damaged, hostile and merely odd files: a clear refusal, or what can be read with the rest told. Never a hang."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from becausal import foreign, semconv
from becausal.errors import ImportFormatError
from becausal.foreign import Span, file
from becausal.run import Run
from becausal.runs import Runs
from becausal.step import OpenStep
from becausal.store import open_store

FIXTURES = Path(__file__).parent / "fixtures"


def run_of(steps: list[OpenStep]) -> Run:
    """Return the first run of some steps, asked everything once."""
    store = open_store("sqlite:///:memory:")
    store.write(steps)
    run = Runs(store).get(steps[0].chain_id)
    assert run.edges is not None
    assert run.findings is not None
    run.blame()
    return run


def notes_of(steps: list[OpenStep]) -> tuple[str, ...]:
    """Return what is said to be missing."""
    notes = steps[0].attributes.get(semconv.IMPORT_NOTES, ())
    assert isinstance(notes, tuple)
    return notes


def link(identity: str, trace: str = "t" * 32) -> tuple[tuple[str, str, dict[str, object]], ...]:
    """Return one link to a span."""
    return ((trace, identity, {}),)


def span(identity: str, parent: str | None = None, at: int = 0, **more: object) -> Span:
    """Return a span of an agent, ten nanoseconds long."""
    links = more.pop("links", ())
    assert isinstance(links, tuple)
    said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": identity, **more}
    return Span("t" * 32, identity, identity, parent, at, at + 10, None, said, links)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"{not json", "line 1, column 2"),
        (b"[1, 2, 3]", "first record is a int"),
        (b'{"a": 1}', "a mapping with the keys a"),
        (b"\xff\xfe\x00\x01", "no text in UTF-8"),
        (b"9" * 6000, "no JSON that can be read"),
        (b'{"resourceSpans": []}', "holds no trace"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "no ids"}]}]}]}', "holds no trace"),
        (b'{"resourceSpans": {"scopeSpans": 3}}', "holds no trace"),
        (b"PK\x03\x04" + bytes(40), "neither JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_trace_is_refused_with_the_reason(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)

    with pytest.raises(ImportFormatError) as refused:
        foreign.load(path)

    assert said in str(refused.value)


def test_spans_of_no_known_dialect_are_refused_by_name() -> None:
    http = [Span("t" * 32, "a" * 16, "GET /", None, 1, 2, None, {"http.method": "GET"})]

    with pytest.raises(ImportFormatError, match="none of the 1 spans is an agent's"):
        foreign.of_spans(http)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    path.write_text('{\n"resourceSpans": []}')
    monkeypatch.setattr(file, "MAX_DOCUMENT", 8)

    with pytest.raises(ImportFormatError, match="no JSON a line"):
        foreign.load(path)

    monkeypatch.setattr(file, "MAX_FILE", 8)
    with pytest.raises(ImportFormatError, match="at most 8 are read"):
        foreign.load(path)


def test_more_spans_than_the_bound_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MAX_SPANS", 5)

    with pytest.raises(ImportFormatError, match="more than 5 spans"):
        foreign.load(FIXTURES / "langgraph-openinference.jsonl")


def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    whole = (FIXTURES / "langgraph-openinference.jsonl").read_bytes()
    path = tmp_path / "spans.jsonl"
    path.write_bytes(whole[: len(whole) * 2 // 3])

    steps = foreign.load(path)

    assert 0 < len(steps) < 13
    assert any(note.startswith("lines that are no JSON") for note in notes_of(steps))
    assert any(note.startswith("steps whose caller is not in the file") for note in notes_of(steps))
    run_of(steps)


def test_callers_that_run_in_a_circle_are_cut_and_told() -> None:
    steps = foreign.of_spans([span("a", "b", 1), span("b", "c", 2), span("c", "a", 3), span("d", "d", 4)])

    assert len(steps) == 4
    assert "callers left out: they run in a circle: 2" in notes_of(steps)
    assert len(run_of(steps).graph.roots) == 2


def test_links_that_run_in_a_circle_change_nothing() -> None:
    steps = foreign.of_spans([span("a", None, 1, links=link("b")), span("b", None, 2, links=link("a"))])

    assert [step.name for step in steps] == ["a", "b"]
    run_of(steps)


def test_of_two_spans_with_one_id_one_is_kept_and_the_other_told() -> None:
    twin = Span("t" * 32, "a", "other", None, 1, 9, None, {"gen_ai.operation.name": "invoke_agent"})

    steps = foreign.of_spans([span("a"), twin, span("b")])

    assert [step.name for step in steps] == ["a", "b"]
    assert "spans left out: their ids belong to other spans already: 1" in notes_of(steps)


def test_a_span_that_was_sent_twice_is_one_step_without_a_word() -> None:
    steps = foreign.of_spans([span("a"), span("a"), span("b")])

    assert len(steps) == 2
    assert not any("ids" in note for note in notes_of(steps))


def test_a_callers_clock_that_is_late_does_not_turn_cause_and_effect_around() -> None:
    steps = foreign.of_spans([span("caller", None, 5_000), span("called", "caller", 1_000)])

    assert [step.name for step in steps] == ["caller", "called"]
    assert "steps that began before their caller: clocks differ: 1" in notes_of(steps)


def test_a_linked_source_whose_clock_is_late_still_comes_first() -> None:
    sender = Span("u" * 32, "sender", "sender", None, 9_000, 9_010, None, dict(span("sender").attributes))

    steps = foreign.of_spans([span("receiver", None, 1_000, links=link("sender", "u" * 32)), sender])

    assert [step.name for step in steps] == ["sender", "receiver"]
    assert [(cause.source_id, cause.kind) for cause in steps[1].causes] == [(steps[0].id, "transfer")]


def test_a_missing_caller_is_named_and_told() -> None:
    steps = foreign.of_spans([span("a", "f" * 16)])

    assert steps[0].parent_id == "f" * 16
    assert "steps whose caller is not in the file: 1" in notes_of(steps)
    assert run_of(steps).graph.missing == ("f" * 16,)


def test_a_span_that_never_ended_is_unfinished() -> None:
    (step,) = foreign.of_spans([Span("t" * 32, "a", "a", None, 5, None, None, dict(span("a").attributes))])

    assert (step.status, step.ended_ns) == ("unfinished", None)


def test_impossible_times_are_bounded() -> None:
    wild = [span("a", None, -(10**30)), span("b", None, 10**30)]

    steps = foreign.of_spans(wild)

    assert all(0 <= step.started_ns < 1 << 63 for step in steps)
    run_of(steps)


def _deep(levels: int) -> object:
    value: object = "x"
    for _ in range(levels):
        value = {"parts": [value], "role": "user"}
    return value


HOSTILE: dict[str, object] = {
    "a text that is nearly JSON": "[" * 20_000,
    "messages within messages": json.dumps(_deep(400)),
    "data within data": '[{"a":' * 250 + "1" + "}]" * 250,
    "a lone surrogate": "\ud800 is half a letter",
    "NaN": "[NaN, Infinity]",
    "a null byte": "a\0b",
    "a number of no type": 10**40,
    "a list of nothing": [[], {}, None],
    "messages that are no messages": '[{"role": 3, "content": {"parts": 7}}, 5, null]',
    "generations of nothing": '{"generations": [[]]}',
    "choices of nothing": '{"choices": [{"message": 3}]}',
    "tool calls of nothing": '[{"role": "assistant", "content": "", "tool_calls": [null, {"function": 3}, 7]}]',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["chat", "execute_tool", "invoke_agent", "invoke_workflow"])
def test_hostile_content_is_taken_in_as_data(name: str, kind: str) -> None:
    said = {
        "gen_ai.operation.name": kind,
        **dict.fromkeys(
            (
                "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.call.arguments",
                "gen_ai.tool.call.result", "gen_ai.system_instructions", "gen_ai.agent.name", "gen_ai.tool.name",
            ),
            HOSTILE[name],
        ),
    }  # fmt: skip

    steps = foreign.of_spans([Span("t" * 32, "a" * 16, "odd", None, 1, 2, None, said), span("b")])

    assert len(steps) == 2
    run_of(steps)


def test_names_of_lists_that_contradict_each_other_are_taken_in_as_far_as_they_go() -> None:
    said = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0": "leaf",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.x.message.content": "named",
        "llm.input_messages." + "9" * 400 + ".message.content": "far",
        "llm.output_messages." + "0." * 5_000 + "x": "deep",
    }

    (step,) = foreign.of_spans([Span("t" * 32, "a" * 16, "odd", None, 1, 2, None, said)])

    assert step.received is not None


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("*.json*")))
def test_whatever_becomes_of_a_file_it_is_read_or_refused(name: str, tmp_path: Path) -> None:
    whole = (FIXTURES / name).read_bytes()
    chance = random.Random(name)
    path = tmp_path / name

    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randint(0, 4)] = bytes(
                chance.choices(b'0a"{}[],:\\\x00\xff', k=chance.randint(0, 4))
            )
        path.write_bytes(damaged)
        try:
            steps = foreign.load(path)
        except ImportFormatError:
            continue
        open_store("sqlite:///:memory:").write(steps)


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: [span(f"{i:x}", f"{i - 1:x}" if i else None, i) for i in range(n)],  # a chain of callers
        lambda n: [span(f"{i:x}", f"{(i + 1) % n:x}", i) for i in range(n)],  # one circle
        lambda n: [span(f"{i:x}", "0" if i else None, i) for i in range(n)],  # a star
        lambda n: [span(f"{i:x}", None, i, links=link(f"{i + 1:x}")) for i in range(n)],  # links ahead
    ],
    ids=["chain", "circle", "star", "links"],
)
def test_the_work_grows_with_the_spans_whatever_their_shape(shape: Callable[[int], list[Span]]) -> None:
    def lines(n: int) -> int:
        spans, count = shape(n), 0

        def tick(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(tick)
        try:
            foreign.of_spans(spans)
        finally:
            sys.setprofile(None)
        return count

    assert lines(1600) < 2.6 * lines(800)


def test_a_deep_chain_of_callers_does_not_end_the_stack() -> None:
    steps = foreign.of_spans([span(f"{i:x}", f"{i - 1:x}" if i else None, i) for i in range(5_000)])

    assert len(steps) == 5_000
