"""The OTLP receiver: what it takes, what it refuses and how, and how runs come together out of batches."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.testclient import TestClient
from tests.core.spans import recorded

import becausal
from becausal.errors import SettingsError, StoreError
from becausal.foreign import Span
from becausal.run import Run
from becausal.serve import Assembler, Forwarder, Intake, application, run
from becausal.serve.wire import Refusal, read, unpacked
from becausal.store import Store

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda body: gzip.compress(body),
    "deflate": lambda body: zlib.compress(body),
}
PROTOBUF = {"content-type": "application/x-protobuf"}
AS_JSON = {"content-type": "application/json"}

# The example of OTLP's repository (`examples/trace.json`), as far as it matters here, with an agent's attributes.
EXAMPLE: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "my.library", "version": "1.0.0"},
                    "spans": [
                        {
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "EEE19B7EC3C1B174",
                            "parentSpanId": "EEE19B7EC3C1B173",
                            "name": "invoke_agent planner",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "kind": 2,
                            "attributes": [
                                {"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}},
                                {"key": "gen_ai.agent.name", "value": {"stringValue": "planner"}},
                            ],
                            "droppedAttributesCount": 0,
                            "unknownField": {"of": "a later version"},
                        }
                    ],
                }
            ],
        }
    ]
}


class Here:
    """A receiver in this process."""

    def __init__(self, kept: Store, **options: Any) -> None:
        self.store = kept
        self.intake = Intake(Assembler(kept, quiet_s=0.0), **options.pop("intake", {}))
        self.client = TestClient(application(self.intake, **options))

    def post(self, content: bytes, headers: Any, path: str = "/v1/traces") -> Any:
        return self.client.post(path, content=content, headers=headers)

    def runs(self) -> list[Run]:
        assert self.intake.close()
        return [Run(info.chain_id, self.store.load(info.chain_id)) for info in self.store.chains()]


@pytest.fixture
def here(kept: Store) -> Iterator[Here]:
    made = Here(kept)
    yield made
    made.intake.close()


# What it takes


def test_the_specifications_example_becomes_a_run(here: Here) -> None:
    response = here.post(json.dumps(EXAMPLE).encode(), AS_JSON)
    assert (response.status_code, response.json()) == (200, {})
    assert response.headers["content-type"] == "application/json"
    (found,) = here.runs()
    (step,) = found.steps
    assert (step.kind, step.agent, step.started_ns) == ("agent", "planner", 1544712660000000000)
    assert found.chain_id == "5b8efff798038103d269b633813fc60c"


@pytest.mark.parametrize("packing", ["", "gzip", "deflate"])
def test_what_becausal_exports_is_the_same_run_at_the_other_end(here: Here, store: str, packing: str) -> None:
    spans = recorded(store)
    with becausal.open(store) as runs:
        before = runs.get("chain-1")
        body = encode_spans(spans).SerializeToString()
        packed = PACKINGS[packing](body)
        response = here.post(packed, {**PROTOBUF, "content-encoding": packing} if packing else PROTOBUF)
        assert response.status_code == 200
        assert ExportTraceServiceResponse.FromString(response.content) == ExportTraceServiceResponse()
        (after,) = here.runs()
        assert after.chain_id == "chain-1"
        assert {(step.id, step.kind, step.agent, step.parent_id) for step in after.steps} == {
            (step.id, step.kind, step.agent, step.parent_id) for step in before.steps
        }
        assert {(edge.source.id, edge.target.id, edge.kind) for edge in after.edges} >= {
            (edge.source.id, edge.target.id, edge.kind) for edge in before.edges if edge.kind == "transfer"
        }


def test_an_empty_request_is_fine(here: Here) -> None:
    assert here.post(b"", PROTOBUF).status_code == 200
    assert here.post(b"{}", {"content-type": "application/json; charset=utf-8"}).status_code == 200


def test_spans_without_an_id_are_rejected_and_the_others_kept(here: Here) -> None:
    request = json.loads(json.dumps(EXAMPLE))
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans += [{**spans[0], "spanId": "00"}, {**spans[0], "traceId": "0" * 32, "spanId": "EEE19B7EC3C1B175"}]
    said = here.post(json.dumps(request).encode(), AS_JSON).json()
    assert said["partialSuccess"]["rejectedSpans"] == "2"
    assert len(here.runs()[0].steps) == 1


# What it refuses


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"<xml/>", {"content-type": "application/xml"}, 415),
        (b"{}", {}, 415),
        (b"{}", {**AS_JSON, "content-encoding": "br"}, 415),
        (b"{", AS_JSON, 400),
        (b"[]", AS_JSON, 400),
        (b'{"resourceSpans": 7}', AS_JSON, 200),
        (b"\xff\xff\xff", PROTOBUF, 400),
        (b"no gzip at all", {**PROTOBUF, "content-encoding": "gzip"}, 400),
        # At no time: two processes that collect this must call it alike.
        (gzip.compress(b"{}", mtime=0)[:-4], {**AS_JSON, "content-encoding": "gzip"}, 400),
        (b"[" * 100_000, AS_JSON, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_export_request_is_refused_with_the_reason(
    here: Here, content: bytes, headers: Any, status: int
) -> None:
    response = here.post(content, headers)
    assert response.status_code == status
    assert status == 200 or response.json()["message"]


def test_a_decompression_bomb_is_refused_without_being_unpacked(kept: Store) -> None:
    here = Here(kept, max_body=1 << 20)
    bomb = gzip.compress(b"\0" * (200 << 20))
    response = here.post(bomb, {**PROTOBUF, "content-encoding": "gzip"})
    assert response.status_code == 413
    here.intake.close()


def test_a_body_is_read_no_further_than_its_bound(kept: Store) -> None:
    here = Here(kept, max_body=1000)
    assert here.post(b"x" * 1001, PROTOBUF).status_code == 413
    assert here.intake.counts()["requests refused: 413"] == 1
    here.intake.close()


def test_more_than_it_can_hold_is_sent_back_and_counted_and_nothing_of_it_taken(kept: Store) -> None:
    goes_on = threading.Event()

    class Stuck(Assembler):
        def add(self, spans: Any, size: int = 0) -> None:
            goes_on.wait(60)

    intake = Intake(Stuck(kept), max_waiting=2)
    client = TestClient(application(intake))
    body = json.dumps(EXAMPLE).encode()
    statuses = [client.post("/v1/traces", content=body, headers=AS_JSON) for _ in range(4)]
    assert [response.status_code for response in statuses] == [200, 200, 429, 429]
    assert statuses[-1].headers["retry-after"] == "2"
    counts = intake.counts()
    assert (counts["spans received"], counts["requests sent back: too many spans wait"]) == (2, 2)
    goes_on.set()
    intake.close()


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic s3cret", 401),
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
    ],
)
def test_with_a_token_only_who_shows_it_is_heard(kept: Store, shown: str | None, status: int) -> None:
    here = Here(kept, token="s3cret")
    headers = AS_JSON if shown is None else {**AS_JSON, "authorization": shown}
    assert here.post(b"{}", headers).status_code == status
    here.intake.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_that_others_reach_needs_a_token(kept: Store, host: str) -> None:
    with pytest.raises(SettingsError, match="choose a token"):
        run(kept, host=host)


def test_a_port_that_is_taken_is_told_and_so_is_one_that_does_not_exist(kept: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="choose another --port"):
            run(kept, port=taken.getsockname()[1])
    with pytest.raises(SettingsError, match="no port 70000"):
        run(kept, port=70_000)


@pytest.mark.parametrize(
    "said", ["notaurl", "collector:4318", "ftp://collector", "http://", "http://a:b", ""]
)
def test_what_is_no_endpoint_to_hand_on_to_is_told_before_anything_is_received(
    kept: Store, said: str
) -> None:
    with pytest.raises(SettingsError, match="write it as --forward http://"):
        run(kept, port=70_000, forward=said)


# A stranger's bytes


VALID = encode_spans([]).SerializeToString()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from(["application/x-protobuf", "application/json"]),
    st.sampled_from(["", "gzip", "deflate"]),
    st.booleans(),
)
def test_no_body_does_more_than_be_refused(body: bytes, kind: str, encoding: str, packs: bool) -> None:
    packed = PACKINGS[encoding](body) if packs else body
    with contextlib.suppress(Refusal):
        found = read(unpacked(packed, encoding, 10_000), kind)
        assert all(len(span.trace_id) == 32 for span in found.spans)


# Put together


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def span(number: int, parent: int | None = None, *, trace: int = 1) -> Span:
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        name=f"invoke_agent a{number}",
        parent_id=None if parent is None else f"{parent:016x}",
        started_ns=number,
        ended_ns=number + 100,
        attributes={
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": f"a{number}",
        },
    )


def of_chain(number: int) -> Span:
    """Return a span of a trace of its own, of the chain `c`."""
    made = span(number, trace=number)
    return dataclasses.replace(made, attributes={**made.attributes, "becausal.chain.id": "c"})


def test_a_run_is_written_when_it_has_been_quiet_and_completed_by_what_comes_late(kept: Store) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=2.0, now=clock)
    assembler.add([span(2, 1), span(3, 2)])
    clock.now = 1.9
    assembler.write_due()
    assert kept.chains() == []
    clock.now = 2.1
    assembler.write_due()
    assert kept.chains()[0].steps == 2

    assembler.add([span(1)])
    clock.now = 4.2
    assembler.write_due()
    (info,) = kept.chains()
    found = {step.name: step for step in kept.load(info.chain_id)}
    assert (info.steps, info.name) == (3, "a1")
    assert found["a2"].parent_id == found["a1"].id
    assert [found[name].seq for name in ("a1", "a2", "a3")] == sorted(step.seq for step in found.values())


def test_traces_that_a_link_or_a_chain_joins_are_one_run_whichever_comes_first(kept: Store) -> None:
    linked = dataclasses.replace(span(9, trace=3), links=((f"{1:032x}", f"{2:016x}", {}),))
    for spans in ([span(2), linked], [linked, span(2)]):
        assembler = Assembler(kept, quiet_s=0.0)
        assembler.add(spans[:1])
        assembler.add(spans[1:])
        assembler.write_all()
    chained = Assembler(kept, quiet_s=0.0)
    chained.add([of_chain(number) for number in (5, 6)])
    chained.write_all()
    assert chained.counts["runs written"] == 1


def test_what_is_kept_in_mind_is_bounded_and_what_is_forgotten_is_written_first(kept: Store) -> None:
    assembler = Assembler(kept, quiet_s=1000.0, max_spans=10)
    for trace in range(1, 41):
        assembler.add([span(trace * 10, trace=trace)])
    assert assembler.held <= 10
    assert len(kept.chains()) == 30
    assembler.write_all()
    assert len(kept.chains()) == 40


def test_a_run_that_was_written_is_forgotten_after_a_while(kept: Store) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=1.0, keep_s=10.0, now=clock)
    assembler.add([span(1)])
    for clock.now in (1.5, 12.0):
        assembler.write_due()
    assert assembler.held == 0


def test_a_trace_that_no_agent_took_part_in_is_counted_and_left_out(kept: Store) -> None:
    assembler = Assembler(kept, quiet_s=0.0)
    assembler.add([Span("1" * 32, "2" * 16, "GET /", attributes={"http.method": "GET"})])
    assembler.write_all()
    assert kept.chains() == []
    assert assembler.counts == {"runs that no agent took part in": 1}


def test_what_a_store_does_not_take_is_tried_again(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    assembler = Assembler(kept, quiet_s=1.0, now=clock)
    assembler.add([span(1)])

    def full(*_: Any, **__: Any) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(kept, "write", full)
        clock.now = 2.0
        assembler.write_due()
    assert assembler.counts == {"runs that the store did not take": 1}
    clock.now = 20.0
    assembler.write_due()
    assert len(kept.chains()) == 1


# Handed on


def test_every_request_is_handed_on_as_it_came(kept: Store) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    forwarder = Forwarder(
        "http://collector:4318/", client=httpx.Client(transport=httpx.MockTransport(answer))
    )
    here = Here(kept, forwarder=forwarder)
    packed = gzip.compress(json.dumps(EXAMPLE).encode())
    here.post(packed, {**AS_JSON, "content-encoding": "gzip", "cookie": "mine"})
    assert here.post(b"x", PROTOBUF, "/v1/logs").status_code == 200
    forwarder.close()
    here.intake.close()
    assert [str(request.url) for request in seen] == [
        "http://collector:4318/v1/traces",
        "http://collector:4318/v1/logs",
    ]
    assert (seen[0].content, seen[0].headers["content-encoding"]) == (packed, "gzip")
    assert "cookie" not in seen[0].headers


def test_a_backend_that_is_down_costs_the_sender_nothing_and_is_counted(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal.serve.forwarding.PAUSE_S", 0.0)

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    forwarder = Forwarder("http://nowhere", client=httpx.Client(transport=httpx.MockTransport(down)))
    here = Here(kept, forwarder=forwarder)
    assert here.post(json.dumps(EXAMPLE).encode(), AS_JSON).status_code == 200
    forwarder.close()
    assert forwarder.counts == {"requests not handed on: refused": 1}
    assert here.client.get("/healthz").json()["counts"]["requests not handed on: refused"] == 1
    assert len(here.runs()) == 1


def test_logs_and_metrics_are_refused_where_nobody_is_named_to_take_them(here: Here) -> None:
    response = here.post(b"", PROTOBUF, "/v1/metrics")
    assert response.status_code == 404
    assert "--forward" in response.json()["message"]


def test_a_large_trace_is_whole(here: Here) -> None:
    spans = [span(number, number // 10 if number > 1 else None) for number in range(1, 2001)]
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for one in spans:
        made = scoped.spans.add()
        made.trace_id, made.span_id = bytes.fromhex(one.trace_id), bytes.fromhex(one.span_id)
        made.parent_span_id = bytes.fromhex(one.parent_id or "")
        made.name, made.start_time_unix_nano, made.end_time_unix_nano = one.name, one.started_ns, 1 << 40
        for key, value in one.attributes.items():
            pair = made.attributes.add()
            pair.key, pair.value.string_value = key, str(value)
    assert here.post(request.SerializeToString(), PROTOBUF).status_code == 200
    (found,) = here.runs()
    assert len(found.steps) == 2000


# As a command


def test_the_command_receives_from_another_process_and_says_at_the_end_what_came(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'shared.db'}"
    command = [sys.executable, "-m", "becausal", "serve", "--port", "0", "--store", store, "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        address = server.stderr.readline().split(" at ")[1].split()[0]
        sender = textwrap.dedent(
            """
            import sys, becausal
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            provider = TracerProvider()
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(sys.argv[1])))
            trace.set_tracer_provider(provider)
            becausal.instrument("threads", store=sys.argv[2])
            with becausal.chain("q", id=sys.argv[3]), becausal.agent("planner"):
                becausal.tool(name="search")(lambda q: [q])("hats")
            provider.shutdown()
            """
        )
        senders = [
            subprocess.Popen([sys.executable, "-c", sender, address, str(tmp_path / f"{name}.db"), name])
            for name in ("one", "two")
        ]
        assert [process.wait(60) for process in senders] == [0, 0]
    finally:
        server.send_signal(signal.SIGINT)
        said, errors = server.communicate(timeout=60)
    assert server.returncode == 0, errors
    assert json.loads(said)["spans received"] == 6
    with becausal.open(store) as runs:
        assert {info.chain_id: info.steps for info in runs.list()} == {"one": 3, "two": 3}
        assert runs.get("one").tool_calls[0].name == "search"
