"""The promise: in whatever store a run lies, it gets the same answers; and a whole store can be carried to another."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.conformance.carrying import answers, carried

import becausal
from becausal.cassette.archive import read_archive, write_archive
from becausal.cli import main
from becausal.errors import CassetteError, StoreError
from becausal.runs import Runs
from becausal.store import Store, open_store
from becausal.store.moving import moving_of
from becausal.store.upkeep import upkeep_of


def test_the_same_answers_come_from_either_store(
    recorded: str, url: str, opened: Callable[..., Store]
) -> None:
    source, target = opened(recorded, read_only=True), opened(url)
    carried(source, target)

    assert target.chains() == source.chains()
    assert len(source.chains()) == 3
    for info in source.chains():
        here, there = (answers(Runs(store).get(info.chain_id)) for store in (source, target))
        assert here.keys() == there.keys()
        for question in here:
            assert there[question] == here[question], question
    assert any(Runs(source).get(info.chain_id).findings for info in source.chains())


def test_a_store_that_was_carried_to_and_fro_is_the_same(
    recorded: str, postgres_url: str, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    source, between, back = opened(recorded), opened(postgres_url), opened(f"sqlite:///{tmp_path}/back.db")
    carried(source, between)
    carried(between, back)

    for store in (between, back):
        assert store.gaps() == {"queue full": 3}
        found = store.anchored("checkpoint 7")
        assert found is not None
        assert (found.id, found.chain_id) == (f"{77:016x}", "anchored")
        assert moving_of(store, "").memories() == moving_of(source, "").memories()
        for memory in moving_of(source, "").memories():
            assert moving_of(store, "").log(memory) == moving_of(source, "").log(memory)
            assert store.broken_link(memory) is None
            assert store.memory_events(memory) == source.memory_events(memory)
            assert store.memory_reads(memory) == source.memory_reads(memory)
        assert store.describe().bodies == source.describe().bodies
    there, here = io.BytesIO(), io.BytesIO()
    write_archive(source, there)
    write_archive(back, here)
    assert here.getvalue() == there.getvalue()


def test_what_is_pinned_is_pinned_where_it_was_carried_to(
    recorded: str, url: str, opened: Callable[..., Store]
) -> None:
    source, target = opened(recorded), opened(url)
    pinned = source.chains()[-1].chain_id
    tended = upkeep_of(source), upkeep_of(target)
    assert tended[0] is not None
    assert tended[1] is not None
    tended[0].mark(pinned, "pinned")
    carried(source, target)

    assert [age.chain_id for age in tended[1].ages() if age.is_pinned] == [pinned]
    assert tended[1].ages() == tended[0].ages()


def test_importing_twice_changes_nothing(recorded: str, url: str, opened: Callable[..., Store]) -> None:
    source, target = opened(recorded), opened(url)
    carried(source, target)
    once = (target.chains(), target.memory_events(), target.memory_reads(), target.gaps(), target.describe())
    carried(source, target)

    now = (target.chains(), target.memory_events(), target.memory_reads(), target.gaps(), target.describe())
    assert now[:4] == once[:4]
    assert (now[4].steps, now[4].bodies) == (once[4].steps, once[4].bodies)


def test_a_memory_goes_on_where_it_was_carried_to(
    recorded: str, url: str, opened: Callable[..., Store]
) -> None:
    carried(opened(recorded), opened(url))

    memory = becausal.Memory("prices", store=url)
    memory.write("lamp", {"price": 14})
    assert [event.version for event in memory.history("lamp")] == [1, 2, 3, 4]
    assert memory.verify() is None
    memory.close()


def test_two_logs_of_one_memory_are_not_made_one(
    recorded: str, url: str, opened: Callable[..., Store]
) -> None:
    memory = becausal.Memory("prices", store=url)
    memory.write("lamp", "quite another price")

    with pytest.raises(StoreError, match=r"another log of the memory 'prices'.*two logs cannot be made one"):
        carried(opened(recorded), opened(url))
    assert memory.verify() is None
    assert [event.version for event in memory.history("lamp")] == [1]
    memory.close()


def test_a_log_that_did_not_verify_is_told_and_comes_as_it_stood(
    recorded: str, url: str, opened: Callable[..., Store]
) -> None:
    import sqlite3

    with sqlite3.connect(recorded.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE memory_events SET agent = 'somebody else' WHERE version = 2")
    connection.close()
    archive = io.BytesIO()
    write_archive(opened(recorded), archive)
    archive.seek(0)

    moved = read_archive(archive, opened(url))

    assert moved.broken == ("prices/lamp@2: the event, or the one before it, is not what was written",)
    assert "lamp@2" in (opened(url).broken_link("prices") or "")


@pytest.mark.parametrize("cut", [0, 100, 700, 3_000, -2_000])
def test_an_archive_that_was_cut_off_is_refused(
    recorded: str, url: str, opened: Callable[..., Store], cut: int
) -> None:
    archive = io.BytesIO()
    write_archive(opened(recorded), archive)
    whole = archive.getvalue().rstrip(b"\0")

    with pytest.raises(CassetteError, match=r"damaged|no archive"):
        read_archive(io.BytesIO(whole[:cut]), opened(url))


def test_no_path_in_an_archive_is_followed(tmp_path: Path, opened: Callable[..., Store]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as tar:
        about = b'{"format": 1, "gaps": {}}'
        first = tarfile.TarInfo("becausal.json")
        first.size = len(about)
        tar.addfile(first, io.BytesIO(about))
        link = tarfile.TarInfo("runs/1.becausal")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        far = tarfile.TarInfo("../../far.txt")
        far.size = 3
        tar.addfile(far, io.BytesIO(b"far"))
    out.seek(0)

    with pytest.raises(CassetteError, match="is no file"):
        read_archive(out, opened(f"sqlite:///{tmp_path}/deep/er/runs.db"))
    assert not (tmp_path / "far.txt").exists()


def test_a_store_goes_through_a_pipe(recorded: str, postgres_url: str, opened: Callable[..., Store]) -> None:
    command = [sys.executable, "-m", "becausal"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [*command, "export", "all", "-o", "-", "--store", recorded], stdout=subprocess.PIPE, env=environment
    ) as out:
        done = subprocess.run(
            [*command, "import", "-", "--store", postgres_url],
            stdin=out.stdout,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert "3 runs" in done.stdout
    assert "***" in done.stdout
    assert opened(postgres_url).chains() == opened(recorded).chains()


def test_an_archive_s_file_is_its_owner_s_alone_and_never_written_over(
    recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.tar"
    assert main(["export", "all", "-o", str(file), "--store", recorded]) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert main(["export", "all", "-o", str(file), "--store", recorded]) == 2
    assert "is there already" in capsys.readouterr().err

    assert main(["import", str(file), "--store", str(tmp_path / "new.db")]) == 0
    assert "3 runs" in capsys.readouterr().out


def test_an_archive_that_was_not_finished_is_not_left_in_the_way_of_the_next(
    recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = Path(recorded.removeprefix("sqlite:///")), tmp_path / "all.tar"
    whole = store.read_bytes()
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM names")
    assert main(["export", "all", "-o", str(file), "--store", recorded]) == 2
    assert not file.exists()

    store.write_bytes(whole)
    capsys.readouterr()
    assert main(["export", "all", "-o", str(file), "--store", recorded]) == 0
    assert "3 runs" in capsys.readouterr().out


def changed(recorded: str, *statements: str) -> None:
    """Damage a store in a way that its database does not notice."""
    with closing(sqlite3.connect(recorded.removeprefix("sqlite:///"))) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE packs SET codec = 0, data = zeroblob(size)",
        "UPDATE packs SET data = x'28b52ffd'",
        "UPDATE blobs SET codec = 0, data = zeroblob(size) WHERE codec < 16",
        "UPDATE blobs SET codec = 0, data = x'c1' WHERE codec < 16",
    ],
)
@pytest.mark.parametrize("output", ["all.tar", "-"])
def test_runs_with_a_damaged_content_are_named_and_left_out_of_what_is_carried(
    recorded: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], damage: str, output: str
) -> None:
    changed(recorded, damage)
    where = str(tmp_path / output) if output != "-" else output

    assert main(["export", "all", "-o", where, "--store", recorded]) == 1

    told = capsysbinary.readouterr()
    lines = told.err.splitlines()
    assert len([line for line in lines if line.startswith(b"becausal: the run ")]) == 2
    assert all(b"left out" in line for line in lines[:2])
    archive = io.BytesIO(told.out if output == "-" else Path(where).read_bytes())
    with closing(open_store(str(tmp_path / "new.db"))) as store:
        assert read_archive(archive, store).runs == 1  # the one that has no contents


OF_THE_FIRST = "WHERE chain_no = 1"
SPOILED = "CAST(CAST({0} AS BLOB) || x'4a616e65ff' AS TEXT)"


@pytest.mark.parametrize(
    ("damage", "left_out"),
    [
        (f"UPDATE steps SET attributes = {SPOILED.format('attributes')} {OF_THE_FIRST}", "the run "),
        (f"UPDATE steps SET attributes = '{{' {OF_THE_FIRST}", "the run "),
        (f"UPDATE chains SET chain_id = {SPOILED.format('chain_id')} {OF_THE_FIRST}", "the run (damaged "),
        (f"DELETE FROM steps {OF_THE_FIRST}", "the run "),
        ("UPDATE memory_events SET agent = CAST(x'4a616e65ff' AS TEXT)", "the memory prices: "),
        ("DROP TABLE marks", "which runs are pinned: "),
        ("UPDATE gaps SET reason = CAST(x'4a616e65ff' AS TEXT)", "the counts of gaps: "),
    ],
    ids=["attributes", "no JSON", "an id", "no steps", "a memory", "marks", "gaps"],
)
@pytest.mark.parametrize("output", ["all.tar", "-"])
def test_what_is_whole_goes_out_and_what_is_damaged_is_named_beside_it(
    recorded: str,
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    damage: str,
    left_out: str,
    output: str,
) -> None:
    with closing(open_store(recorded, read_only=True)) as store:
        whole = sorted(info.chain_id for info in store.chains())
        events = store.memory_events()
        with closing(sqlite3.connect(recorded.removeprefix("sqlite:///"))) as connection:
            (first,) = connection.execute("SELECT chain_id FROM chains WHERE chain_no = 1").fetchone()
    (dropped if damage.startswith("DROP") else changed)(recorded, damage)
    where = str(tmp_path / output) if output != "-" else output

    assert main(["export", "all", "-o", where, "--store", recorded]) == 1

    told = capsysbinary.readouterr()
    (line,) = told.err.decode().splitlines()
    assert line.startswith(f"becausal: {left_out}")
    assert "left out" in line
    assert "Jane" not in line
    archive = tmp_path / "archive.tar"
    archive.write_bytes(told.out if output == "-" else Path(where).read_bytes())
    new = str(tmp_path / "new.db")
    assert main(["import", str(archive), "--store", new]) == 0
    with closing(open_store(new, read_only=True)) as store:
        expected = [one for one in whole if one != first] if "the run" in left_out else whole
        assert sorted(info.chain_id for info in store.chains()) == expected
        assert len(store.memory_events()) == (0 if "memory" in left_out else len(events))


def dropped(recorded: str, statement: str) -> None:
    with closing(sqlite3.connect(recorded.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement)


def test_a_memory_that_is_not_what_was_written_is_told_and_carried_as_it_stands(
    recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(recorded, "UPDATE memory_events SET reason = 'no \x1b[31mreason' WHERE event_no = 1")
    file, said = tmp_path / "all.tar", "is not what was written; it is in the archive as it stands"

    assert main(["export", "all", "-o", str(file), "--store", recorded]) == 1
    assert said in capsys.readouterr().out
    assert main(["export", "all", "-o", str(file) + "2", "--json", "--store", recorded]) == 1
    assert json.loads(capsys.readouterr().out)["broken"]
    assert main(["import", str(file), "--store", str(tmp_path / "new.db")]) == 0
    assert "came as it stood" in capsys.readouterr().out


def test_what_is_wrong_with_a_store_that_goes_through_a_pipe_is_told_beside_it(
    recorded: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    changed(recorded, "UPDATE memory_events SET reason = 'none' WHERE event_no = 1")

    assert main(["export", "all", "-o", "-", "--store", recorded]) == 1

    told = capsysbinary.readouterr()
    assert told.err.endswith(b"is not what was written; it is in the archive as it stands\n")
    assert told.out.startswith(b"becausal.json\0")
