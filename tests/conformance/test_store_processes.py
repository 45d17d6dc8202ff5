"""What a store that several processes share promises, run against each of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from tests.conformance.test_store import step

import becausal
from becausal import canonical
from becausal.store import Store, open_store

posix = pytest.mark.skipif(os.name != "posix", reason="fork is POSIX's")

WRITE_BATCHES = """
    import sys
    from becausal.payload import Payload
    from becausal.step import OpenStep
    from becausal.store import open_store

    url, who, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    store = open_store(url)
    for batch in range(batches):
        steps = []
        for nth in range(10):
            number = who * 1_000_000 + batch * 10 + nth
            step = OpenStep(id=f"{number:016x}", chain_id=f"c{batch % 7}", kind="tool", name=f"n{batch}",
                            agent=f"a{who}", parent_id=None, hop=0, seq=number, started_ns=number)
            step.ended_ns, step.status = number, "ok"
            digest = f"{batch:032x}"
            step.received = Payload("bc1-xxh3:" + digest, "bc1-xxh3:" + digest, 4, "t")
            step.bodies = [(bytes.fromhex(digest), b"body of %d" % batch)]
            steps.append(step)
        store.write(steps)
        print(batch, flush=True)
    store.close()
"""

APPEND = """
    import sys, becausal

    print("ready", flush=True)
    sys.stdin.readline()
    memory = becausal.Memory("shared", store=sys.argv[1])
    for nth in range(int(sys.argv[3])):
        memory.write("key", f"{sys.argv[2]} {nth}")
        memory.write(f"own {sys.argv[2]}", nth)
    memory.close()
"""


def started(code: str, url: str, *, who: int, times: int) -> subprocess.Popen[str]:
    """Start a process that waits for a line, so that several begin at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), url, str(who), str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def test_processes_make_a_store_and_write_to_it_while_another_reads(url: str) -> None:
    writers = [started(WRITE_BATCHES, url, who=who, times=40) for who in range(1, 4)]
    go(writers)
    reader = open_store(url)
    while any(writer.poll() is None for writer in writers):
        for info in reader.chains():
            assert len(reader.load(info.chain_id)) % 10 == 0

    assert [writer.communicate()[0].count("\n") for writer in writers] == [40, 40, 40]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    about = reader.describe()
    assert (about.chains, about.steps, about.bodies) == (7, 1200, 40)
    assert all(
        s.received is not None and reader.body(canonical.parse_digest(s.received.digest)) == b"body of 3"
        for s in reader.load("c3")
        if s.name == "n3"
    )
    for info in reader.chains():
        steps = reader.load(info.chain_id)
        assert (info.steps, info.started_ns, info.ended_ns) == (
            len(steps),
            min(each.started_ns for each in steps),
            max(each.ended_ns or 0 for each in steps),
        )
        assert info.agents == tuple(dict.fromkeys(each.agent for each in steps))
        assert info.name == steps[0].name
    reader.close()


@posix
def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(url: str) -> None:
    writer = started(WRITE_BATCHES, url, who=1, times=1_000_000)
    go([writer])
    assert writer.stdout is not None
    for line in writer.stdout:
        if line == "50\n":
            break

    writer.kill()
    acknowledged = 50
    for line in writer.communicate()[0].splitlines(keepends=True):
        if line.endswith("\n"):
            acknowledged = int(line)

    store = open_store(url)
    steps = [s for info in store.chains() for s in store.load(info.chain_id)]
    numbers = sorted(int(s.id, 16) - 1_000_000 for s in steps)
    assert len(numbers) >= (acknowledged + 1) * 10
    assert numbers == list(range(len(numbers)))
    assert len(numbers) % 10 == 0
    assert sum(info.steps for info in store.chains()) == len(numbers)
    store.write([step(7, chain="after")])
    assert len(store.load("after")) == 1
    store.close()


@posix
def test_a_forked_child_writes_through_a_connection_of_its_own(store: Store) -> None:
    written = step(1)
    written.name = "known to the parent"
    store.write([written])
    store.load("c1")

    child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in range(2, 50):
                store.write([step(number)])
            status = 0 if len(store.load("c1")) >= 49 else 2
            store.close()
        finally:
            os._exit(status)
    for number in range(50, 100):
        store.write([step(number)])

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [s.seq for s in store.load("c1")] == list(range(1, 100))


@posix
def test_a_child_that_ends_leaves_the_connections_of_its_parent_alone(store: Store) -> None:
    store.write([step(1)])
    store.load("c1")

    child = os.fork()
    if child == 0:
        os._exit(0 if store.load("c1") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    store.write([step(2)])
    assert len(store.load("c1")) == 2


def test_the_log_of_a_memory_that_processes_share_has_no_holes_and_verifies(url: str) -> None:
    writers = [started(APPEND, url, who=who, times=15) for who in range(1, 4)]
    go(writers)
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]

    memory = becausal.Memory("shared", store=url)
    events = memory.history("key")
    assert sorted(event.version for event in events) == list(range(1, 46))
    assert len({event.seq for event in events}) == 45
    for who in range(1, 4):
        assert [event.version for event in memory.history(f"own {who}")] == list(range(1, 16))
    assert memory.verify() is None
    memory.close()
