"""The promise: a run in a file is the run that was recorded, wherever it is read, and stays what it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.builders import Record, message, research_team

import becausal
from becausal import canonical, semconv
from becausal.cassette import Cassette, is_cassette, read
from becausal.cassette.store import take_in
from becausal.cli import main
from becausal.errors import CassetteError, StoreError
from becausal.recorder import Opening, Recorder
from becausal.run import Run
from becausal.step import Choice
from becausal.store import Store, open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.fixture
def run(url: str) -> Run:
    """A run in a store of its own."""
    research_team().write(url)
    return becausal.open(url).last()


def cassette_of(record: Record) -> Cassette:
    return Cassette.of(record.chain_id, record.steps())


def test_a_run_in_a_file_gives_the_same_answers_as_in_its_store(run: Run, tmp_path: Path) -> None:
    run.export(tmp_path / "team.becausal")

    again = becausal.open(tmp_path / "team.becausal").last()

    assert again.chain_id == run.chain_id
    assert again.steps == run.steps
    assert again.edges == run.edges
    assert [step.received and step.received.text() for step in again.steps] == [
        step.received and step.received.text() for step in run.steps
    ]
    assert [str(finding) for finding in again.findings] == [str(finding) for finding in run.findings]
    assert again.blame("20 million").segments[0].source == "tool"


def test_everything_that_a_step_may_say_comes_back(tmp_path: Path) -> None:
    record = Record()
    with record.step("agent", "näme \ud800", received={"a": (1, 2.5, None)}, produced=b"\x00") as draft:
        step = draft.step
        step.attributes = {"t": ("a", "b"), "i": 2**70, "f": 0.5, "b": True, "s": "\udfff", "none": ()}
        step.choices = [Choice("go", ("because",), "reason", 0.25, "declared"), Choice("stay")]
        step.error = ""
    written = record.steps()[0]

    path = cassette_of(record).write(tmp_path / "x.becausal")
    (back,) = read(path).steps

    assert back == written
    assert back.received is not None
    assert back.received.value() == {"a": (1, 2.5, None)}


def test_the_same_run_makes_the_same_bytes(run: Run, url: str, tmp_path: Path) -> None:
    first = run.export(tmp_path / "a.becausal").read_bytes()

    code = "import sys, becausal; becausal.open(sys.argv[1]).last().export(sys.argv[2])"
    for seed in ("1", "77"):
        there = str(tmp_path / f"{seed}.becausal")
        subprocess.run(
            [sys.executable, "-c", code, url, there],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

        assert Path(there).read_bytes() == first


def test_a_run_exported_imported_and_exported_again_is_the_same_file(run: Run, tmp_path: Path) -> None:
    first = run.export(tmp_path / "a.becausal")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert main(["import", str(first), "--store", other]) == 0

    second = becausal.open(other).last().export(tmp_path / "b.becausal")

    assert second.read_bytes() == first.read_bytes()


def test_the_digest_of_a_run_is_that_of_its_content(run: Run, tmp_path: Path) -> None:
    made = read(run.export(tmp_path / "a.becausal"))

    assert made.digest == read(made.write(tmp_path / "b.becausal")).digest
    assert made.digest != cassette_of(research_team(Record("d" * 32))).digest


def test_a_body_that_was_not_kept_is_no_body_in_the_file(tmp_path: Path) -> None:
    record = research_team()
    record.bodies.clear()

    path = cassette_of(record).write(tmp_path / "digests.becausal")

    made = read(path)
    assert not made.bodies
    assert made.without_body > 10
    payload = made.steps[0].received
    assert payload is not None
    assert not payload.is_kept


def test_what_a_replay_needs_beside_the_payloads_is_in_the_file(
    kept: Store, recording_to: Recorder, tmp_path: Path
) -> None:
    step = recording_to.begin(Opening("tool", "search", received="q"))
    assert step is not None
    recording_to.keep(step, "answer", {"b": "z" * 600, "a": 1})
    recording_to.end(step, "ok")
    assert recording_to.flush(5)
    (recorded,) = kept.load(step.chain_id)

    made = read(Cassette.of(step.chain_id, [recorded], (), ()).write(tmp_path / "x.becausal"))

    digest = canonical.parse_digest(str(made.steps[0].attributes[semconv.KEPT + "answer"]))
    assert canonical.decode(made.bodies[digest], made.bodies.get) == {"b": "z" * 600, "a": 1}
    assert made.without_body == 0


def test_what_was_erased_from_the_store_is_not_in_the_file(store: str, tmp_path: Path) -> None:
    becausal.instrument("threads", store=store)
    memory = becausal.Memory("clients")
    with becausal.chain("note the client"):
        memory.write("client", "her secret name")
    memory.erase("client")

    becausal.last_run().export(tmp_path / "x.becausal")
    becausal.uninstrument()

    assert b"her secret name" not in b"".join(read(tmp_path / "x.becausal").bodies.values())


def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left_beside_it(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    path = run.export(folder / "a.becausal")
    run.export(folder / "a.becausal")

    assert [one.name for one in folder.iterdir()] == ["a.becausal"]
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_somebody_else_s_is_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("five years of work")

    with pytest.raises(CassetteError, match="is there, and is no cassette"):
        run.export(tmp_path / "thesis.txt")

    assert (tmp_path / "thesis.txt").read_text() == "five years of work"
    with pytest.raises(CassetteError, match="folder"):
        run.export(tmp_path / "nowhere" / "a.becausal")


# Memories


def test_what_the_run_read_and_wrote_of_memories_is_in_the_file_and_nothing_of_others(
    store: str, tmp_path: Path
) -> None:
    becausal.instrument("threads", store=store)
    memory = becausal.Memory("plans")
    with becausal.chain("somebody else's request"):
        memory.write("budget", 100)
        memory.write("private", "of others")
    with becausal.chain("ours"), becausal.agent("planner"):
        memory.write("goal", memory.read("budget") * 2, reason="twice the budget")

    becausal.last_run().export(tmp_path / "x.becausal")
    becausal.uninstrument()

    runs = becausal.open(tmp_path / "x.becausal")
    events = runs.store.memory_events()
    assert [str(event) for event in events] == [
        "plans/budget@1 write by nobody named",
        "plans/goal@1 write by planner",
    ]
    assert events[1].payload is not None
    assert events[1].payload.value() == 200
    assert [(one.key, one.version) for one in runs.store.memory_reads("plans")] == [("budget", 1)]
    assert runs.last().memory.keys() == ("plans/goal",)
    assert b"of others" not in b"".join(read(tmp_path / "x.becausal").bodies.values())
    with pytest.raises(StoreError, match="whole log"):
        runs.store.broken_link("plans")


def test_a_run_that_is_taken_in_changes_no_memory_of_the_store(store: str, tmp_path: Path) -> None:
    record = Record()
    with record.step("memory_write", "plans", received="a stranger's goal") as write:
        write.step.attributes |= {
            semconv.MEMORY_STORE: "plans",
            semconv.MEMORY_RECORD: "goal",
            semconv.MEMORY_VERSION: 1,
        }
    memory = becausal.Memory("plans", store=store)
    memory.write("goal", "our goal")

    opened = open_store(store)
    assert take_in(cassette_of(record), opened)

    assert memory.read("goal") == "our goal"
    assert [event.version for event in opened.memory_events("plans")] == [1]
    assert becausal.open(store).get(record.chain_id).memory.history("goal")[0].value() == "a stranger's goal"
    opened.close()


# Into a store


def test_a_run_comes_into_a_store_under_its_own_id_and_the_second_time_nothing_changes(
    run: Run, tmp_path: Path, kept: Store
) -> None:
    made = read(run.export(tmp_path / "a.becausal"))

    assert take_in(made, kept)
    there = kept.load(run.chain_id)
    assert not take_in(made, kept)

    assert tuple(kept.load(run.chain_id)) == tuple(there) == run.steps
    assert kept.describe().bodies == len(made.bodies)


def test_another_run_with_the_same_id_is_told_and_nothing_is_written(kept: Store) -> None:
    ours, theirs = Record(), Record()
    ours.did("agent", "planner", "q", "a")
    theirs.did("agent", "planner", "q", "b")
    theirs.did("agent", "writer", "b", "c")
    take_in(cassette_of(ours), kept)

    with pytest.raises(CassetteError, match=f"tells otherwise of the step {ours.made[0].id}"):
        take_in(cassette_of(theirs), kept)

    assert [step.name for step in kept.load(ours.chain_id)] == ["planner"]


def test_runs_that_share_no_more_than_their_id_are_not_mixed(kept: Store) -> None:
    ours, theirs = Record(), Record()
    ours.did("agent", "planner", "q", "a")
    theirs.did("agent", "writer", "q", "a")
    theirs.made[0].id = "f" * 16
    take_in(cassette_of(ours), kept)

    with pytest.raises(CassetteError, match="has other steps"):
        take_in(cassette_of(theirs), kept)


def test_a_run_that_went_on_after_its_first_export_is_completed(kept: Store) -> None:
    record = Record()
    record.did("agent", "planner", "q", "a")
    early = cassette_of(record)
    record.did("agent", "writer", "a", "b")
    late = cassette_of(record)

    assert take_in(early, kept)
    assert take_in(late, kept)
    assert not take_in(early, kept)

    assert [step.name for step in kept.load(record.chain_id)] == ["planner", "writer"]


def test_a_cassette_is_never_written_to(run: Run, tmp_path: Path) -> None:
    store = becausal.open(run.export(tmp_path / "a.becausal")).store

    changes: list[Callable[[], object]] = [
        lambda: store.write([]),
        lambda: store.add_gaps({}),
        lambda: store.erase("m", "k"),
        lambda: store.append(None, {}),  # type: ignore[arg-type]
    ]
    for change in changes:
        with pytest.raises(StoreError, match="becausal import"):
            change()
    assert store.anchored("x") is None
    assert store.gaps() == {}
    assert store.chains(prefix="no such") == []
    assert store.load("no such") == []
    assert store.describe().steps == len(run.steps)
    (info,) = store.chains()
    assert info == becausal.open(tmp_path / "runs.db").list()[0]
    store.close()


# What recorded it


def test_a_run_says_which_versions_recorded_it(store: str, tmp_path: Path) -> None:
    becausal.instrument("langgraph", store=store)
    with becausal.chain("a request"), becausal.agent("planner"):
        pass

    becausal.last_run().export(tmp_path / "x.becausal")
    becausal.uninstrument()

    packages = dict(one.split("==") for one in read(tmp_path / "x.becausal").packages)
    assert packages.keys() == {"python", "becausal", "langchain-core", "langgraph"}
    assert packages["python"] == ".".join(map(str, sys.version_info[:3]))
    chain, agent = becausal.open(store).last().steps
    assert semconv.PACKAGES in chain.attributes
    assert semconv.PACKAGES not in agent.attributes


# The commands


def test_the_commands_write_a_file_read_it_in_place_and_take_it_in(
    run: Run, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, other = str(tmp_path / "team.becausal"), f"sqlite:///{tmp_path / 'other.db'}"

    assert main(["export", run.chain_id[:6], "-o", there, "--store", url]) == 0
    assert f"{len(run.steps)} steps" in capsys.readouterr().out
    assert main(["show", there, "--fail-on", "error"]) in (0, 1)
    assert "researcher" in capsys.readouterr().out
    assert main(["blame", "last", "20 million", "--store", there]) == 0
    assert "revenue_database" in capsys.readouterr().out
    assert main(["import", there, "--store", other, "--json"]) == 0
    assert '"is_new": true' in capsys.readouterr().out
    assert main(["import", there, "--store", other]) == 0
    assert "is there already" in capsys.readouterr().out
    assert main(["import", str(tmp_path / "none.becausal"), "--store", other]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_run_is_not_written_to_a_file_that_is_named_as_the_output(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["export", "last", "-o", "-", "--store", url]) == 2

    assert "-o FILE" in capsys.readouterr().err
    assert not (tmp_path / "-").exists()


def test_a_file_is_named_after_its_run_where_nobody_names_it(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["export", "last", "--store", url]) == 0

    assert (tmp_path / f"{run.chain_id[:8]}.becausal").exists()


def test_a_store_whose_name_ends_like_a_cassette_s_is_a_store_all_the_same(tmp_path: Path) -> None:
    research_team().write(f"sqlite:///{tmp_path / 'runs.becausal'}")

    assert not is_cassette(tmp_path / "runs.becausal")
    assert becausal.open(tmp_path / "runs.becausal").last().name == "team"


def test_a_long_conversation_costs_its_messages_once(tmp_path: Path) -> None:
    sizes = []
    for turns in (20, 40, 80):
        record, said = Record(), []
        for turn in range(turns):
            said.append(message("human", f"{turn} " + os.urandom(500).hex()))
            record.did("model", "scripted", list(said), "ok")
        path = cassette_of(record).write(tmp_path / f"{turns}.becausal")
        sizes.append(path.stat().st_size)

    # Twice the messages are twice the bytes, and not four times.
    assert sizes[2] / sizes[1] < 2.3
    assert sizes[1] / sizes[0] < 2.3


def test_what_was_a_typed_object_is_plain_data_when_it_is_read(tmp_path: Path) -> None:
    class Order:
        def __init__(self) -> None:
            self.number = 17

    record = Record()
    record.did("agent", "planner", Order(), "ok")

    (step,) = read(cassette_of(record).write(tmp_path / "x.becausal")).steps

    assert step.received is not None
    value = step.received.value()
    assert isinstance(value, canonical.Record)
    assert value == {"number": 17}
