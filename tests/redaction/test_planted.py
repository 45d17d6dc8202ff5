"""A secret that is planted in every place that anything is recorded of is found in nothing that leaves the app."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard
from tests.core.sinks import opened, text_of_all
from tests.integrations.spans import Spans
from tests.redaction.planting import KINDS, Plants, on_autogen, on_becausal, on_langgraph

import becausal
from becausal.cli import main
from becausal.store.encoding import shapes

APPS: dict[str, Callable[[Plants], list[object]]] = {
    "langgraph": on_langgraph,
    "autogen": on_autogen,
    "own code": on_becausal,
}
NOWHERE: dict[str, set[str]] = {
    "langgraph": {
        "configurable",
        "run metadata",
        "run tag",
        "custom stream",
        "exception cause",
        "exception note",
    },
    "autogen": {"agent description"},
    "own code": set(),
}
"""What is not recorded at all."""

FIRST = range(len(KINDS)) if os.environ.get("BECAUSAL_PLANT_ALL") else (0,)
"""Rotations of the kinds over the places: with all of them every kind stands in every place."""

ZSTD = b"\x28\xb5\x2f\xfd"


def inflated(data: bytes) -> Iterator[bytes]:
    """Yield what stands compressed in bytes, wherever it begins."""
    at = data.find(ZSTD)
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor(dict_data=shapes()).decompressobj().decompress(data[at:])
        at = data.find(ZSTD, at + 1)


def said_by(*arguments: str) -> bytes:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        main(list(arguments))
    return (out.getvalue() + err.getvalue()).encode()


def shown(store: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that people get to see of what was recorded."""
    every = [chain.chain_id for chain in becausal.open(store).list()]
    assert every
    for chain in every:
        for command in ("show", "why", "blame", "handoffs", "tools", "findings", "health", "drift", "report"):
            for more in ([], ["--json"]):
                yield f"becausal {command}", said_by(command, chain, *more, "--store", store)
        run = becausal.open(store).get(chain)
        yield "report", run.report("html").encode()
        cassette = run.export(folder / f"{chain}.becausal").read_bytes()
        yield "cassette", cassette
        yield from (("cassette", body) for body in inflated(cassette))
        for step in run.steps:
            for side in (step.received, step.produced):
                if side is not None and side.is_kept and isinstance(pieces := side.value(), list):
                    yield "pieces", "".join(map(str, pieces)).encode()
            sides = [side.text() for side in (step.received, step.produced) if side is not None]
            yield "steps", "\n".join([repr(step), str(step.attributes), str(step.choices), *sides]).encode()
    yield from in_the_sink(store, folder)
    yield "becausal runs", said_by("runs", "--json", "--store", store)
    yield "becausal doctor", said_by("doctor", "--store", store)


def in_the_sink(store: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that comes to ClickHouse, contents included, where its engine is installed."""
    if importlib.util.find_spec("chdb") is None:
        return
    url = f"chdb://{folder / 'sink'}"
    yield "export --to", said_by("export", "all", "--to", url, "--contents", "--store", store)
    with opened(url) as sink:
        assert sink.rows("SELECT count() FROM contents") > [(0,)]
        yield "sink", text_of_all(sink).encode()


def forms(secret: str) -> set[bytes]:
    """Return a secret as JSON, `repr`, HTML and URLs write it."""
    return {
        form.encode()
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
            quote(secret),
            quote(secret, safe=""),
        )
    }


def kept(spans: Spans, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that was exported, and every byte that was stored."""
    for span in spans.exporter.get_finished_spans():
        yield "span", (span.to_json() + repr(span.status.description)).encode()
    for path in folder.iterdir():
        data = path.read_bytes()
        yield path.name, data
        yield from ((path.name, body) for body in inflated(data))


@pytest.mark.parametrize("app", APPS)
def test_every_place_is_one_that_is_recorded_where_nothing_is_redacted(
    app: str, store: str, tmp_path: Path
) -> None:
    """Or else its secret is found nowhere for another reason."""
    spans, plants = Spans(), Plants(1)
    becausal.instrument(store=store, tracer_provider=spans.provider, redact=False)
    try:
        APPS[app](plants)
        assert becausal.flush(30)
    finally:
        becausal.uninstrument()

    all_of = b"\n".join(data for _, data in kept(spans, tmp_path))
    pieced = all_of.replace(b"\xa3", b"").replace(b"\n", b"")
    missing = [
        place
        for place, secret in plants.secrets.items()
        if not any(form in all_of or form in pieced for form in forms(secret))
    ]
    assert set(missing) == NOWHERE[app]
    assert len(plants.secrets) - len(missing) >= {"langgraph": 20, "autogen": 10, "own code": 17}[app]


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("first", FIRST)
def test_a_secret_in_every_place_is_found_nowhere(
    first: int,
    app: str,
    store: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_AND_EVENT")
    monkeypatch.setenv(
        "BECAUSAL_STORE", f"sqlite:///{tmp_path / 'before.db'}"
    )  # of memories: no app is hooked yet
    without = APPS[app](plain := Plants(first))
    spans, plants = Spans(), Plants(first)
    caplog.clear()
    becausal.instrument(store=store, tracer_provider=spans.provider, watch=True)
    try:
        saw = APPS[app](plants)
        assert becausal.flush(30)
    finally:
        becausal.uninstrument()

    places = list(kept(spans, tmp_path))
    places += [
        ("our log", record.getMessage().encode()) for record in caplog.records if record.name == "becausal"
    ]
    places += shown(store, tmp_path)
    found = [
        (place, where)
        for place, secret in plants.secrets.items()
        for where, data in places
        if any(form in data for form in forms(secret))
    ]
    assert found == []
    assert any(b"[redacted:" in data for _, data in places)
    assert saw == without
    assert plants.secrets == plain.secrets
