"""The promise: a run tells what its agents shared, version by version, whichever memory they shared it in."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from tests.core.builders import Record, research_team

import becausal
from becausal import Memory, MemoryKeyError, clock, semconv
from becausal.cli import main
from becausal.graph import Graph
from becausal.memory_view import MemoryView
from becausal.views import memory as shown


@pytest.fixture
def view() -> MemoryView:
    """Two nodes share the state of the graph `team`; one of them keeps a fact in the memory `facts`."""
    record = Record()
    with record.step("workflow", "team", received="question"):
        with record.step("agent", "finder", produced={"size": 20, "note": "a guess"}) as finder:
            finder.step.attributes[semconv.STATE_WRITTEN] = ("size@2", "note@2")
            with record.step("memory_write", "facts", received=20) as write:
                write.step.attributes |= {
                    semconv.MEMORY_STORE: "facts",
                    semconv.MEMORY_RECORD: "size",
                    semconv.MEMORY_VERSION: 1,
                }
        with record.step("agent", "checker", received={"size": 20}, produced={"size": 2}) as checker:
            checker.step.attributes |= {semconv.STATE_READ: ("size@2",), semconv.STATE_WRITTEN: ("size@3",)}
        with record.step("agent", "writer", received={"size": 2}) as writer:
            writer.step.attributes[semconv.STATE_READ] = ("size@3", "note@2", "unseen@?")
            with record.step("memory_read", "facts", produced=20) as read:
                read.step.attributes |= {
                    semconv.MEMORY_STORE: "facts",
                    semconv.MEMORY_RECORD: "size",
                    semconv.MEMORY_VERSION: 1,
                }
    return MemoryView(Graph(record.steps()))


def test_every_key_has_a_history_of_who_wrote_what(view: MemoryView) -> None:
    assert view.keys() == ("team/size", "team/note", "facts/size")
    assert [(held.version, held.agent, held.value()) for held in view.history("team/size")] == [
        (2, "finder", 20),
        (3, "checker", 2),
    ]
    assert view.blame("note").value() == "a guess"


def test_a_key_that_several_memories_have_must_be_named_whole(view: MemoryView) -> None:
    with pytest.raises(
        MemoryKeyError, match="several memories of this run have 'size': team/size, facts/size"
    ):
        view.history("size")
    with pytest.raises(MemoryKeyError, match="no memory of this run has 'prize'; it has: team/size"):
        view.history("prize")


def test_a_memory_is_read_as_it_stood(view: MemoryView) -> None:
    first, second = view.history("team/size")

    assert view.at(first.seq)["team/size"].value() == 20
    assert view.at(second.seq)["team/size"].value() == 2
    assert len(view.at(first.seq - 1)) == 0


def test_what_changed_between_two_moments_is_told_by_key(view: MemoryView) -> None:
    first, second = view.history("team/size")
    changed = view.diff(first.seq, second.seq)

    assert list(changed) == ["team/size"]
    assert list(view.diff(0, first.seq)) == ["team/size", "team/note", "facts/size"]
    assert (changed["team/size"][0].before, changed["team/size"][0].after) == (20, 2)
    assert view.diff(second.seq, second.seq) == {}


def test_the_readers_of_a_version_are_named(view: MemoryView) -> None:
    first, second = view.history("team/size")

    assert [step.name for step in view.readers("team/size")] == ["checker", "writer"]
    assert [step.name for step in view.readers("team/size", first.seq)] == ["checker"]
    assert [step.name for step in view.readers("team/size", second.seq)] == ["writer"]
    assert [step.kind for step in view.readers("facts/size")] == ["memory_read"]
    assert view.readers("team/size", first.seq - 1) == ()


# The command


@pytest.fixture
def memory(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    monkeypatch.setenv("BECAUSAL_STORE", store)
    becausal.instrument(store=store)
    made = Memory("research")
    with becausal.chain("first"), becausal.agent("finder"):
        made.write("size", 20)
    with becausal.chain("second"), becausal.agent("checker"):
        made.supersede("size", 2, reason="a decimal point")
    with becausal.chain("third"), becausal.agent("writer"):
        made.read("size")
    assert becausal.flush()
    yield made
    becausal.uninstrument()


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["memory", *arguments, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["versions"]
    return found


def test_the_command_shows_a_keys_history_over_all_runs(
    memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", "size", "--readers"]) == 0
    shown = capsys.readouterr().out

    assert [line.split()[:4] for line in shown.splitlines()[1:3]] == [
        ["research/size", "1", "write", "finder"],
        ["research/size", "2", "supersede", "1"],
    ]
    assert "read by" in shown
    assert "writer" in shown


def test_the_command_shows_what_a_key_held_at_a_moment_and_who_is_to_blame(
    memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    first = memory.history("size")[0]

    assert [line["value"] for line in asked(capsys, "research/size", "--at", str(first.seq))] == [20]
    assert [(line["agent"], line["value"]) for line in asked(capsys, "size", "--blame")] == [("checker", 2)]
    assert [line["name"] for line in asked(capsys)] == ["research/size"]
    assert main(["memory", "size", "--run", "last"]) == 2  # this one only read it


def test_a_time_before_all_writing_is_not_told_as_a_memory_that_nobody_ever_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    becausal.instrument("threads", store=str(tmp_path / "runs.db"))
    try:
        Memory("research").write("size", 20)
        becausal.flush()
    finally:
        becausal.uninstrument()

    assert main(["memory", "--at", "0", "--store", str(tmp_path / "runs.db")]) == 0

    assert capsys.readouterr().out.strip() == "No memory held anything at 0."


def test_where_no_memory_was_written_it_is_said_how_to_ask_for_a_run_s_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BECAUSAL_STORE", str(tmp_path / "runs.db"))
    research_team().write(f"sqlite:///{tmp_path / 'runs.db'}")

    assert main(["memory"]) == 0
    assert "becausal memory --run last" in capsys.readouterr().out
    assert main(["memory", "--run", "last"]) == 0
    assert "--run last" not in capsys.readouterr().out


def test_what_a_replay_wrote_and_read_is_shown_when_asked_for(
    memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    with becausal.chain("again", id=clock.new_chain_id(clock.REPLAYS)), becausal.agent("checker"):
        memory.write("size", 99)
        memory.read("size")
    assert becausal.flush()

    assert [line["value"] for line in asked(capsys)] == [2]
    assert [(line["value"], line["holds"]) for line in asked(capsys, "size")] == [(20, False), (2, True)]
    assert [line["value"] for line in asked(capsys, "--all")] == [99]
    assert [line["value"] for line in asked(capsys, "size", "--all")] == [20, 2, 99]
    for everything, most in ((), 1), (("--all",), 2):
        assert main(["memory", "size", "--readers", "--json", *everything]) == 0
        assert len(json.loads(capsys.readouterr().out)["readers"]) == most


def test_versions_stand_in_the_order_of_the_log_and_its_last_is_what_the_key_holds(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each process counts its causal sequence numbers from 1."""
    monkeypatch.setenv("BECAUSAL_STORE", store)
    for version, before in (1, 6), (2, 28), (3, 0):
        record = Record(chain_id=f"{version}" * 32)
        for _ in range(before):
            with record.step("tool", "search"):
                pass
        with record.step("memory_write", "facts", received=version) as write:
            write.step.attributes |= {
                semconv.MEMORY_STORE: "facts",
                semconv.MEMORY_RECORD: "size",
                semconv.MEMORY_VERSION: version,
            }
        record.write(store)

    found = asked(capsys, "size")

    assert [(line["version"], line["holds"]) for line in found] == [(1, False), (2, False), (3, True)]
    assert [line["version"] for line in asked(capsys)] == [3]


def test_a_key_that_was_retracted_is_still_listed(memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    memory.retract("size", reason="a forecast")

    assert [(line["name"], line["operation"], line["holds"]) for line in asked(capsys)] == [
        ("research/size", "retract 2", False)
    ]


def test_the_command_says_when_nobody_wrote_a_key(
    memory: Memory, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["memory", "prize"]) == 2
    assert "prize" in capsys.readouterr().err

    becausal.instrument()
    becausal.uninstrument()
    assert main(["memory", "prize", "--store", str(tmp_path / "none.db")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("width", [60, 80, 160])
def test_no_part_of_a_version_is_lost_on_a_narrow_screen(store: str, width: int) -> None:
    kept = becausal.Memory("notes of the whole team", store=store)
    kept.write("size of the market", {"usd": 20_000_000})
    found = shown.look_up(
        becausal.open(store), "size of the market", run=None, at=None, only_last=False, readers=False
    )
    kept.close()

    console = Console(width=width, file=io.StringIO())
    console.print(shown.text(found))
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    (line,) = found.lines
    assert "usd: 20000000" in text
    assert "write" in text
    assert str(line.seq) in text
    assert datetime.datetime.fromtimestamp((line.at_ns or 0) / 1e9).strftime("%Y-%m-%d %H:%M:%S") in text
