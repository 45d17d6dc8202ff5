"""The promise: several processes write to one store, and each may read it meanwhile."""

from __future__ import annotations

import subprocess
import sys

from becausal.recorder import Opening, Recorder
from becausal.store import open_store
from becausal.telemetry import Telemetry
from becausal.writer import Writer

OTHER = """
import sys, becausal
becausal.instrument("threads", store=sys.argv[1])
with becausal.chain("theirs"):
    pass
becausal.flush()
print("ready", flush=True)
sys.stdin.read()
becausal.uninstrument()
"""


def record(recorder: Recorder, request: str) -> None:
    step = recorder.begin(Opening("request", request))
    assert step is not None
    recorder.end(step)
    assert recorder.flush(5)


def test_reading_while_writing_does_not_let_another_process_take_the_log_away(store: str) -> None:
    recorder = Recorder(Telemetry(), Writer(open_store(store)))
    record(recorder, "before")
    command = [sys.executable, "-c", OTHER, store]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        open_store(store, read_only=True).close()  # as `becausal.last_run()` does
        other.communicate()
    record(recorder, "after")

    kept = open_store(store, read_only=True)
    names = {step.name for chain in kept.chains() for step in kept.load(chain.chain_id)}
    assert names == {"before", "theirs", "after"}
    assert recorder.close(5)
