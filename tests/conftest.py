"""What every test stands on: our own failures are let out, and a run can be recorded into a store of its own."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["BECAUSAL_STRICT"] = "1"
os.environ.pop("COLUMNS", None)  # tables are as wide as for a pipe, whatever terminal this runs in

from tests.postgres import Server, serving, why_not

import becausal
from becausal import guard
from becausal.recorder import Recorder
from becausal.step import Step
from becausal.store import Store, open_store
from becausal.telemetry import Telemetry
from becausal.writer import Writer

# How long an input takes says how loaded the machine is, and nothing about the law that is held against it.
settings.register_profile("becausal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("becausal")


class Recording:
    """What was recorded in a test, read back from its store."""

    def __init__(self, store: str) -> None:
        self.store = store

    def runs(self) -> list[list[Step]]:
        """Return the steps of each recorded chain, the newest chain first."""
        assert becausal.flush()
        reader = open_store(self.store, read_only=True)
        return [reader.load(chain.chain_id) for chain in reader.chains()]

    def last(self) -> list[Step]:
        """Return the steps of the only chain that was recorded."""
        runs = self.runs()
        assert len(runs) == 1, f"{len(runs)} chains were recorded"
        return runs[0]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a store of this test's own."""
    return f"sqlite:///{tmp_path / 'becausal.db'}"


@pytest.fixture
def recording(store: str) -> Iterator[Recording]:
    """Everything that is installed is hooked for the length of a test."""
    becausal.instrument(store=store)
    yield Recording(store)
    becausal.uninstrument()


@pytest.fixture
def kept() -> Iterator[Store]:
    """A store in memory."""
    store = open_store("sqlite:///:memory:")
    yield store
    guard.keepers.clear()  # a recorder that is left lying there would be told of a later test's failures
    store.close()


@pytest.fixture
def recording_to(kept: Store) -> Iterator[Recorder]:
    """A recorder of its own, which writes to `kept` and hooks nothing."""
    made = Recorder(Telemetry(), Writer(kept))
    yield made
    assert made.close(30)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL of the tests' own. Where none can be had they are skipped; in CI that is a failure."""
    reason = why_not()
    if reason is not None and os.environ.get("BECAUSAL_TEST_POSTGRES") == "required":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    with serving() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """The URL of a store of this test's own in a PostgreSQL."""
    return postgres.url(schema=f"test {uuid.uuid4().hex[:12]}")


@pytest.fixture
def sink_url(tmp_path: Path) -> str:
    """The URL of a sink of this test's own: ClickHouse's engine in this process, where there is one."""
    if importlib.util.find_spec("chdb") is None or importlib.util.find_spec("clickhouse_connect") is None:
        pytest.skip("no ClickHouse: pip install chdb clickhouse-connect")
    return f"chdb://{tmp_path / 'sink'}"
