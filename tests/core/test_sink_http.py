"""The sink over a socket, as a server is spoken to: with the client's own requests, before the engine in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.clickhouse import PASSWORD, serving
from tests.core.builders import open_step
from tests.core.sinks import cut_off, opened, remember, text_of_all

from becausal.cli import main
from becausal.errors import StoreError
from becausal.sink import Copied, Sink, copy_all
from becausal.store import Store

Served = tuple[str, list[dict[str, str]]]


@pytest.fixture
def served(tmp_path: Path, sink_url: str) -> Iterator[Served]:
    with serving(tmp_path / "engine") as found:
        yield found


def test_a_store_is_copied_to_a_server_and_its_database_is_made(kept: Store, served: Served) -> None:
    url, asked = served
    kept.write(cut_off().made)
    remember(kept, "tier", "gold 'x' \\ \n☃")
    with opened(f"{url}/traces?source=here") as sink:
        assert copy_all(kept, sink, contents=True) == Copied(runs=1, steps=5, contents=5, events=1)
        assert sink.rows("SELECT source, steps FROM runs FINAL") == [("here", 5)]
        assert ("gold 'x' \\ \n☃",) in sink.rows("SELECT text FROM contents FINAL")
    with opened(f"{url}/traces?source=here", create=False) as sink:
        assert copy_all(kept, sink, contents=True) == Copied()
    inserts = [told for told in asked if "max_partitions_per_insert_block" in told]
    assert inserts
    assert {(told["database"], told["async_insert"]) for told in inserts} == {("traces", "0")}
    assert not any("session_id" in told for told in asked)


def test_names_and_contents_are_never_part_of_a_query(kept: Store, served: Served) -> None:
    url, asked = served
    odd = "x'; DROP TABLE steps --{n:Int8}\\"
    step = open_step(1, chain_id=odd, name=odd, agent=odd, started_ns=1)
    step.ended_ns, step.status = 2, "ok"
    kept.write([step])
    with opened(f"{url}/traces") as sink:
        copy_all(kept, sink)
        assert sink.rows("SELECT chain_id, name FROM steps") == [(odd, odd)]
        step.ended_ns = 3
        kept.write([step])
        copy_all(kept, sink)
        sink.delete("steps", "chain_id", [odd])
        assert sink.rows("SELECT count() FROM steps") == [(0,)]
    queries = [told["statement"] for told in asked if "statement" in told]
    assert any("chain_id IN" in query for query in queries)
    assert not any("DROP TABLE" in query for query in queries)


def test_any_number_of_runs_can_be_deleted_at_once(kept: Store, served: Served) -> None:
    url, asked = served
    ids = [f"{n:032x}" for n in range(3_000)]
    steps = [open_step(n + 1, chain_id=chain_id, started_ns=n + 1) for n, chain_id in enumerate(ids)]
    for step in steps:
        step.ended_ns = step.started_ns
    kept.write(steps)
    with opened(f"{url}/traces") as sink:
        assert copy_all(kept, sink, judges=False).runs == 3_000
        asked.clear()
        sink.delete("steps", "chain_id", ids[:-1])

        assert sink.rows("SELECT chain_id FROM steps FINAL") == [(ids[-1],)]
        assert all(told["mutations_sync"] == "2" for told in asked if "mutations_sync" in told)
        assert sum("mutations_sync" in told for told in asked) == 2


def test_an_erasure_reaches_a_server(
    store: str, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = served
    cut_off().write(store)
    monkeypatch.setenv("BECAUSAL_SINK", f"{url}/traces")
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0
    assert main(["erase", "--text", "500 units", "--yes", "--store", store]) == 0
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0

    assert PASSWORD not in (told := capsys.readouterr().out)
    assert "recorder:***@127.0.0.1" in told
    with opened(f"{url}/traces") as sink:
        said = text_of_all(sink)
        assert "500 units" not in said
        assert "The supplier Acme offers [erased" in said
        assert sink.rows("SELECT count() FROM runs FINAL") == [(1,)]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("recorder:", "somebody:"), "see that user and password are right"),
        (("clickhouse://recorder:", "clickhouse://recorder:no"), "see that user and password are right"),
    ],
)
def test_a_refused_login_is_told_without_the_password(
    changed: tuple[str, str], says: str, served: Served
) -> None:
    url, _ = served
    with pytest.raises(StoreError, match=says) as refused:
        Sink(f"{url.replace(*changed)}/traces")
    assert PASSWORD not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_server_that_repeats_the_password_is_not_quoted() -> None:
    pytest.importorskip("clickhouse_connect")
    from becausal.sink.place import _Address

    encoded = quote(PASSWORD, safe="")
    for url in (
        f"clickhouse://me:{quote(PASSWORD, safe='')}@host/db",
        f"clickhouse://host/db?password={quote(PASSWORD)}",
        f"clickhouse://host/db?access_token={quote(PASSWORD)}",
        f"clickhouse://host/db?http_proxy={quote(f'http://me:{encoded}@proxy:1')}",
    ):
        told = str(
            _Address(url).explained(ValueError(f"{PASSWORD} or {quote(PASSWORD, safe='')}"), "asking it")
        )
        assert PASSWORD not in told
        assert encoded not in told


def test_a_server_that_has_nothing_yet_is_not_changed_by_who_only_reads(served: Served) -> None:
    url, _ = served
    with pytest.raises(StoreError, match="nothing has been exported to it yet"):
        Sink(f"{url}/traces", create=False)
    with pytest.raises(StoreError, match="nothing has been exported to it yet"):
        Sink(f"{url}/traces", create=False)  # it made nothing
