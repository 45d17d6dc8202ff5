"""What the store on PostgreSQL promises beyond what every store does: of its server, its tables and its password."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from tests.at_once import at_once
from tests.conformance.test_store import payload, step
from tests.postgres import PASSWORD, Server, serving

import becausal
from becausal import doctor
from becausal.errors import StoreError, StoreFormatError
from becausal.recorder import Opening, Recorder
from becausal.settings import Settings
from becausal.step import OpenStep
from becausal.store import Store, open_store
from becausal.store.postgres import connecting, schema, session
from becausal.telemetry import Telemetry
from becausal.views import checkup
from becausal.writer import Writer

DAY_NS = 86_400 * 10**9


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[..., Store]]:
    """Open stores of one schema that are closed after the test."""
    stores: list[Store] = []

    def open_and_note(url: str = postgres_url, **options: bool) -> Store:
        stores.append(open_store(url, **options))
        return stores[-1]

    yield open_and_note
    for store in stores:
        store.close()


@pytest.fixture
def owner(postgres: Server, postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the role that the store is opened as, in the store's schema."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        name = schema_of(postgres_url)
        connection.execute("SELECT set_config('search_path', %s, false)", (f'"{name}"',))
        yield connection


@pytest.fixture
def root(postgres: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.url(user="postgres"), autocommit=True) as connection:
        yield connection


def schema_of(url: str) -> str:
    return connecting.Place(url).schema


def cut_off(root: psycopg.Connection) -> None:
    """End every connection of the app's role, as a server that is restarted does."""
    root.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'")


# What cannot be opened, and what is said then.


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda url: url.replace("/postgres?", "/nowhere?"), r'"nowhere" does not exist.*createdb'),
        (lambda url: url.replace("://app:", "://nobody_known:"), r"user and password are right.*PGPASSWORD"),
        (lambda url: url.replace("p%40ss", "wrong"), r"user and password are right.*PGPASSWORD"),
        (
            lambda url: url.replace("127.0.0.1", "127.0.0.1:1,127.0.0.1").replace(":1,", ":1/postgres?x="),
            "is no URL",
        ),
        (lambda url: f"{url}&no_such_parameter=1", "is no URL of a PostgreSQL database; write postgresql://"),
        (lambda url: "postgresql://app:p%40ss%3Aw%2Frd%3F%25@127.0.0.1:1/postgres", "server is running"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"read_only": True}])
def test_what_cannot_be_reached_is_told_with_what_to_do_and_without_the_password(
    postgres_url: str, change: Callable[[str], str], advice: str, options: dict[str, bool]
) -> None:
    with pytest.raises(StoreError, match=advice) as told:
        open_store(change(postgres_url), **options)

    failure: BaseException | None = told.value
    while failure is not None:
        for secret in (PASSWORD, quote(PASSWORD, safe="")):
            assert secret not in repr(failure)
        failure = failure.__cause__


@pytest.mark.parametrize("options", [{"read_only": True}, {"create": False}])
def test_what_is_not_there_is_not_made_by_looking_for_it(
    postgres_url: str, owner: psycopg.Connection, options: dict[str, bool]
) -> None:
    with pytest.raises(StoreError, match=r"no run has been recorded there yet.*becausal\.instrument"):
        open_store(postgres_url, **options)

    found = owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (schema_of(postgres_url),))
    assert found.fetchone() == (0,)


def test_a_server_that_is_too_old_is_told_by_its_version(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "LEAST_SERVER", 990_000)

    with pytest.raises(
        StoreError, match=r"the server is PostgreSQL \d+; becausal needs 99 or later: upgrade"
    ):
        open_store(postgres_url)


def test_a_database_that_cannot_hold_every_text_is_refused(
    postgres: Server, root: psycopg.Connection
) -> None:
    root.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(StoreError, match=r"encoded in LATIN1, which cannot hold every text.*--encoding=UTF8"):
        open_store(postgres.url("latin"))


def test_a_role_that_may_only_read_reads_and_is_told_so_when_it_would_write(
    postgres: Server, postgres_url: str, opened: Callable[..., Store], root: psycopg.Connection
) -> None:
    opened().write([step(1)])
    name = sql.Identifier(schema_of(postgres_url))
    root.execute(sql.SQL("CREATE ROLE onlooker LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
    root.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO onlooker").format(name))
    root.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO onlooker").format(name))
    theirs = postgres_url.replace("://app:", "://onlooker:")

    assert len(opened(theirs, read_only=True).load("c1")) == 1
    with pytest.raises(
        StoreError, match=r"role onlooker may read this store and not write to it.*GRANT SELECT, I"
    ):
        open_store(theirs)


def test_a_role_that_may_make_no_schema_is_told_what_it_needs(
    postgres: Server, postgres_url: str, root: psycopg.Connection
) -> None:
    root.execute(sql.SQL("CREATE ROLE newcomer LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))

    with pytest.raises(StoreError, match=r"permission denied.*the role needs rights: GRANT.*docs/stores\.md"):
        open_store(postgres_url.replace("://app:", "://newcomer:"))


def test_a_newer_format_is_refused_by_its_number(
    opened: Callable[..., Store], owner: psycopg.Connection
) -> None:
    opened().close()
    owner.execute("UPDATE meta SET value = '99' WHERE key = 'format'")

    for options in ({}, {"read_only": True}):
        with pytest.raises(
            StoreFormatError, match=r"newer becausal \(format 99\); this one reads up to \d+: pip"
        ):
            opened(**options)


# The password.


def test_the_password_is_shown_nowhere(
    postgres_url: str,
    opened: Callable[..., Store],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BECAUSAL_STORE", postgres_url)
    store = opened()
    store.write([step(1)])
    examined = doctor.diagnose()
    shown = [store.url, repr(store), repr(store.describe()), repr(Settings.read()), repr(becausal.open())]
    shown += [repr(examined), repr(checkup.json(examined))]
    monkeypatch.setattr(session, "PATIENCE_S", 0.0)
    with caplog.at_level(logging.DEBUG):
        writer = Writer(store)
        bad = step(2)
        bad.seq = 2**64
        writer.put(bad)
        assert writer.flush(5)
    shown.append(caplog.text)

    assert "***" in store.url
    for text in shown:
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text


def test_a_store_is_opened_again_by_the_url_that_it_shows(opened: Callable[..., Store]) -> None:
    store = opened()
    store.write([step(1)])

    assert len(opened(store.url, read_only=True).load("c1")) == 1


# A server that goes away.


def test_a_connection_that_was_lost_is_opened_again(
    opened: Callable[..., Store], root: psycopg.Connection
) -> None:
    store = opened()
    store.write([step(1)])
    store.load("c1")
    memory = becausal.Memory("plan", store=store.url)
    memory.write("budget", 1)

    cut_off(root)
    store.write([step(2)])
    cut_off(root)
    assert len(store.load("c1")) == 2
    cut_off(root)
    memory.write("budget", 2)
    assert memory.read("budget") == 2
    assert memory.verify() is None
    memory.close()


def test_an_app_goes_on_while_the_server_is_away_and_what_is_lost_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "PATIENCE_S", 0.0)
    with serving() as server:
        store = open_store(server.url())
        recorder = Recorder(Telemetry(), Writer(store))

        def record(name: str) -> None:
            begun = recorder.begin(Opening("request", name))
            assert begun is not None
            recorder.end(begun)

        record("before")
        assert recorder.flush(10)
        server.stop()
        for nth in range(3):
            record(f"lost {nth}")
        assert recorder.flush(10)
        assert "cannot write 3 steps" in caplog.text
        assert "see that the server is running" in caplog.text
        server.start()
        record("after")
        assert recorder.flush(10)

        assert {chain.name for chain in store.chains()} == {"before", "after"}
        assert store.gaps() == {"store failed": 3}
        assert recorder.close(5)


def test_a_batch_waits_for_a_server_that_is_restarted() -> None:
    with serving() as server:
        store = open_store(server.url())
        store.write([step(1)])
        server.stop()
        failed: list[BaseException] = []

        def write() -> None:
            try:
                store.write([step(2)])
            except BaseException as failure:
                failed.append(failure)

        writing = threading.Thread(target=write)
        writing.start()
        server.start()
        writing.join(20)

        assert failed == []
        assert len(store.load("c1")) == 2
        store.close()


# The tables.


def test_two_that_make_the_tables_at_once_make_them_once(opened: Callable[..., Store]) -> None:
    stores: list[Store] = []
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        stores.append(opened())

    at_once([make] * 4)

    assert len(stores) == 4
    stores[0].write([step(1)])
    assert len(stores[3].load("c1")) == 1


def test_who_makes_the_tables_waits_for_another_who_does(
    postgres_url: str, opened: Callable[..., Store], owner: psycopg.Connection
) -> None:
    number = schema.lock_number(connecting.Place(postgres_url)) - 1
    owner.execute("SELECT pg_advisory_lock(%s)", (number,))
    making = threading.Thread(target=opened)
    making.start()
    waits = False
    while making.is_alive() and not waits:
        query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        waits = owner.execute(query).fetchone() is not None

    assert waits
    owner.execute("SELECT pg_advisory_unlock(%s)", (number,))
    making.join()
    assert opened().describe().format == schema.FORMAT


def test_migrations_run_once_in_their_order_and_keep_what_is_there(
    opened: Callable[..., Store], owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = opened()
    old.write([step(1)])
    later = (
        *schema.MIGRATIONS,
        ("CREATE TABLE extra(nth serial, word text)", "INSERT INTO extra(word) VALUES ('first')"),
        ("INSERT INTO extra(word) VALUES ('second')",),
    )
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "FORMAT", len(later))

    with pytest.raises(StoreFormatError, match=r"older becausal.*open it once to write"):
        opened(read_only=True)
    at_once([opened] * 3)

    assert owner.execute("SELECT word FROM extra ORDER BY nth").fetchall() == [("first",), ("second",)]
    assert len(opened(read_only=True).load("c1")) == 1


def test_the_steps_of_a_day_lie_in_tables_of_their_own(
    opened: Callable[..., Store], owner: psycopg.Connection
) -> None:
    now = time.time_ns()
    today, ancient = step(1, chain="today"), step(2, chain="ancient")
    today.started_ns, today.ended_ns = now, now + 1
    child = step(3, chain="today", parent=1)
    child.started_ns, child.ended_ns = now + 2 * DAY_NS, now + 2 * DAY_NS + 1
    store = opened()
    store.write([today, ancient])
    store.write([child])

    where: dict[int, str] = dict(
        owner.execute("SELECT step_id, tableoid::regclass::text FROM steps").fetchall()
    )
    name = f"steps_{time.strftime('%Y%m%d', time.gmtime(now // 10**9))}"
    assert where == {1: name, 2: "steps_other", 3: name}
    assert [each.id for each in store.load("today")] == [today.id, child.id]


def test_a_role_that_may_make_no_tables_records_all_the_same(
    postgres_url: str, opened: Callable[..., Store], root: psycopg.Connection
) -> None:
    opened().close()
    name = sql.Identifier(schema_of(postgres_url))
    root.execute(sql.SQL("CREATE ROLE worker LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
    root.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO worker").format(name))
    root.execute(
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO worker").format(name)
    )
    store = opened(postgres_url.replace("://app:", "://worker:"))
    written = step(1)
    written.started_ns = time.time_ns()

    store.write([written])

    assert [each.id for each in store.load("c1")] == [written.id]


def test_the_printed_script_makes_a_store_for_who_makes_tables_himself(
    postgres_url: str, opened: Callable[..., Store], owner: psycopg.Connection
) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "becausal.store.postgres", "--schema", schema_of(postgres_url)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    owner.execute(printed.stdout)

    store = opened(create=False)
    store.write([step(1)])
    assert store.describe().format == schema.FORMAT
    assert len(store.load("c1")) == 1


def test_nobody_changes_the_log_of_a_memory_not_even_its_owner(
    opened: Callable[..., Store], owner: psycopg.Connection
) -> None:
    memory = becausal.Memory("plan", store=opened().url)
    memory.write("budget", 1)

    for statement in (
        "UPDATE memory_events SET agent = 'somebody else'",
        "DELETE FROM memory_events",
        "TRUNCATE memory_events",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement)
    assert memory.verify() is None
    memory.close()


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE memory_events SET agent = 'somebody else' WHERE nth = 2", "not what was written"),
        ("DELETE FROM memory_events WHERE nth = 2", "the event before it is missing"),
        ("DELETE FROM memory_events WHERE nth = 3", "its last events are missing"),
    ],
)
def test_a_log_that_a_superuser_changed_does_not_verify(
    postgres_url: str, opened: Callable[..., Store], root: psycopg.Connection, tampering: str, told: str
) -> None:
    memory = becausal.Memory("plan", store=opened().url)
    for value in range(3):
        memory.write("budget", value)
    assert memory.verify() is None

    root.execute("SELECT set_config('search_path', %s, false)", (f'"{schema_of(postgres_url)}"',))
    root.execute(tampering)

    assert told in (memory.verify() or "")
    memory.close()


# Batches that meet.


def test_batches_that_share_contents_and_chains_do_not_stop_each_other(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(4)]

    def work(who: int) -> None:
        for nth in range(15):
            batch = []
            for at in range(20):
                written = step(who * 100_000 + nth * 100 + at, chain=f"c{at % 5}")
                written.received = payload(at)
                written.bodies = [(bytes([at]) * 16, b"shared %d" % at)]
                written.anchors = [f"anchor {at % 3}"]
                batch.append(written)
            stores[who].write(batch[:: -1 if who % 2 else 1])

    at_once([partial(work, who) for who in range(4)])

    assert (stores[0].describe().steps, stores[0].describe().bodies) == (1200, 20)
    assert [info.steps for info in stores[0].chains()] == [240] * 5


def test_what_a_list_shows_is_what_its_steps_say_however_they_came(opened: Callable[..., Store]) -> None:
    def family() -> list[OpenStep]:
        root, child = (
            step(1, seq=10, name="root", agent=None),
            step(2, seq=11, parent=1, agent="a", status="error"),
        )
        late = step(3, seq=12, parent=2, kind="handoff", agent="b")
        stray = step(4, seq=9, parent=0xDEAD, name="stray", agent="b")
        return [root, child, late, stray]

    store = opened()
    for nth, order in enumerate([[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]]):
        for at in order:
            one = family()[at]
            one.chain_id = f"one by one {nth}"
            opener = family()[at]
            opener.chain_id, opener.status, opener.ended_ns = one.chain_id, "open", None
            store.write([opener])
            store.write([one])
        together = family()
        for each in together:
            each.chain_id = f"together {nth}"
        store.write([together[at] for at in order])

    seen = {
        (i.name, i.started_ns, i.ended_ns, i.steps, i.errors, i.handoffs, i.agents) for i in store.chains()
    }
    assert seen == {("stray", 9 * 10**9, 13 * 10**9, 4, 1, 1, ("b", "a"))}
