"""The promise: where no content is kept, a memory's key cannot be guessed, and who has the installation finds it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

import becausal
from becausal.redaction import naming
from becausal.redaction.marker import KEY_FILE, Marking
from becausal.store import open_store

KEY = "users/42"

WRITES = f"""
import becausal, sys
from becausal.redaction.naming import hidden_name
becausal.instrument(store=sys.argv[1], capture="digest")
print(hidden_name({KEY!r}))
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does."""
    monkeypatch.setattr(naming, "_markings", {None: Marking(None)})
    monkeypatch.setattr(naming, "_folder", None)
    monkeypatch.delenv("BECAUSAL_REDACTION_KEY", raising=False)


def in_another_process(store: str) -> str:
    done = subprocess.run([sys.executable, "-c", WRITES, store], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_name_is_the_same_in_every_process_of_an_installation_and_in_no_other(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (f"sqlite:///{tmp_path / name / 'runs.db'}" for name in ("one", "two"))

    told = in_another_process(one)

    assert in_another_process(one) == told
    assert in_another_process(two) != told
    assert (tmp_path / "one" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    open_store(one, read_only=True).close()
    assert told in naming.hidden_names(KEY)


def test_a_name_cannot_be_tried_without_the_key() -> None:
    told = naming.hidden_name(KEY).split("/")

    for made in (hashlib.blake2s, hashlib.sha256, hashlib.md5):
        guessed = {f"#{made(part.encode()).hexdigest()[:12]}" for part in ("users", "42")}
        assert not guessed & set(told)


def test_looking_makes_no_key(store: str, tmp_path: Path) -> None:
    opened = open_store(store)

    assert naming.hidden_names(KEY) == ()
    assert not (tmp_path / KEY_FILE).exists()
    opened.close()


def test_who_read_a_memory_is_found_and_erased_by_its_name_though_it_is_told_by_another(store: str) -> None:
    becausal.instrument(store=store, capture="digest")
    try:
        with becausal.chain("go"), becausal.agent("clerk"):
            memory = becausal.Memory("notes", store=store)
            memory.write("jane-doe", 1)
            memory.read("jane-doe")
        told = naming.hidden_name("jane-doe")
        assert len(memory.readers("jane-doe")) == 1
        memory.close()
    finally:
        becausal.uninstrument()

    with becausal.open(store) as runs:
        assert told in repr([step.attributes for step in runs.last().steps])
        runs.erase("jane-doe")
        assert told not in repr([step.attributes for step in runs.last().steps])
