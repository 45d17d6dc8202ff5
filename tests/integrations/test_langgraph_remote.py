"""Remote graphs: one step at the caller, our context on the wire, and one chain over both ends."""

from __future__ import annotations

import contextvars
import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import langsmith
import pytest
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk.client import LangGraphClient, RunsClient, SyncLangGraphClient, SyncRunsClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import Recording
from tests.integrations.fakes_langchain import State, chain_of
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal.propagation import extract
from becausal_integrations.langgraph.remote import with_our_headers

INPUT: dict[str, Any] = {"question": "how large?", "log": []}
FORWARDED = ("traceparent", "tracestate", "baggage")


def remote_researcher(state: State) -> dict[str, Any]:
    return {"findings": f"{state['question']} 20 million", "log": ["found"]}


def remote_writer(state: State) -> dict[str, Any]:
    return {"draft": state["findings"].upper()}


class Server:
    """A LangGraph server, as far as a remote graph asks of it: runs a graph, outside of the caller's context."""

    def __init__(self, graph: Any = None, events: list[tuple[str, Any]] | None = None) -> None:
        self.graph = graph or chain_of(remote_researcher, remote_writer)
        self.events = events
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []

    def answer(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        asked = json.loads(body)
        self.requests.append((asked, dict(headers)))
        # As langgraph-api does with the headers that `configurable_headers` names.
        forwarded = {name: headers[name] for name in FORWARDED if name in headers}
        config = {**asked.get("config", {})}
        config["configurable"] = {**config.get("configurable", {}), **forwarded}
        events = self.events or contextvars.Context().run(self._run, asked, config)
        return b"".join(
            f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode() for name, data in events
        )

    def _run(self, asked: dict[str, Any], config: Any) -> list[tuple[str, Any]]:
        modes = [mode for mode in asked["stream_mode"] if mode in ("values", "updates")]
        return list(self.graph.stream(asked["input"], config, stream_mode=modes))

    def respond(self, request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, content=self.answer(request.content, request.headers))

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = self.answer(message["body"], headers)
        kind = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": body})

    def remote(self, headers: dict[str, str] | None = None, **options: Any) -> RemoteGraph:
        sync = httpx.Client(
            transport=httpx.MockTransport(self.respond), base_url="http://remote", headers=headers
        )
        other = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.asgi), base_url="http://remote", headers=headers
        )
        return RemoteGraph(
            "researcher",
            sync_client=SyncLangGraphClient(sync),
            client=LangGraphClient(other),
            **options,
        )


async def called(graph: Any, how: str, *args: Any, **kwargs: Any) -> Any:
    match how:
        case "invoke":
            return graph.invoke(*args, **kwargs)
        case "ainvoke":
            return await graph.ainvoke(*args, **kwargs)
        case "stream":
            return list(graph.stream(*args, **kwargs))
        case _:
            return [item async for item in graph.astream(*args, **kwargs)]


def holding(remote: RemoteGraph, **compiled: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("elsewhere", remote)
    graph.add_edge(START, "elsewhere")
    return graph.compile(**compiled)


HOW = ["invoke", "ainvoke", "stream", "astream"]


@pytest.mark.parametrize("how", HOW)
async def test_a_remote_graph_is_one_workflow_step_at_the_caller(recording: Recording, how: str) -> None:
    server = Server(events=[("values", {"draft": "x"})])
    result = await called(server.remote(), how, INPUT, {"configurable": {"thread_id": "t1"}})

    (step,) = recording.last()
    assert (step.kind, step.name, step.status) == ("workflow", "researcher", "ok")
    assert step.attributes[semconv.CONVERSATION_ID] == "t1"
    assert step.received is not None
    assert step.produced is not None
    assert (step.received.value(), step.produced.value()) == (INPUT, result)


@pytest.mark.parametrize("how", HOW)
async def test_both_ends_are_one_chain(recording: Recording, how: str) -> None:
    server = Server()
    with becausal.chain("how large?") as turn:
        await called(server.remote(), how, INPUT)

    steps = Kinds(recording.last())  # one chain, or it would fail
    caller = steps.one("workflow", "researcher")
    served = steps.one("workflow", "LangGraph")
    assert served.parent_id == caller.id
    assert steps.one("agent", "remote_writer").parent_id == served.id
    assert {step.chain_id for step in steps.steps} == {turn.chain_id}
    assert served.seq > caller.seq


@pytest.mark.parametrize("how", HOW)
async def test_a_remote_graph_as_a_node_stands_under_the_node(recording: Recording, how: str) -> None:
    result = await called(holding(Server().remote()), how, INPUT)
    assert "HOW LARGE? 20 MILLION" in json.dumps(result)

    steps = Kinds(recording.last())
    node, remote = steps.one("agent", "elsewhere"), steps.one("workflow", "researcher")
    outer, served = steps.all("workflow", "LangGraph")
    assert (node.parent_id, remote.parent_id, served.parent_id) == (outer.id, node.id, remote.id)


@pytest.mark.parametrize("how", HOW)
async def test_the_spans_of_both_ends_are_one_trace(store: str, how: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument(store=store, tracer_provider=provider)
    try:
        await called(Server().remote(), how, INPUT)
    finally:
        becausal.uninstrument()

    spans = {span.name: span for span in exporter.get_finished_spans()}
    caller, served = spans["invoke_workflow researcher"], spans["invoke_workflow LangGraph"]
    assert served.parent is not None
    assert (served.parent.span_id, served.context.trace_id) == (
        caller.context.span_id,
        caller.context.trace_id,
    )


def test_a_server_s_own_span_is_nearer_than_the_caller_s(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument(store=store, tracer_provider=provider)
    server = Server(events=[("values", {})])
    try:
        server.remote().invoke(INPUT)
        (_, headers) = server.requests[0]
        forwarded = {name: headers[name] for name in FORWARDED if name in headers}
        with provider.get_tracer("server").start_as_current_span("worker"):
            contextvars.copy_context().run(server.graph.invoke, INPUT, {"configurable": forwarded})
    finally:
        becausal.uninstrument()

    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert spans["invoke_workflow LangGraph"].parent == spans["worker"].context
    steps = Kinds(Recording(store).last())
    assert steps.one("workflow", "LangGraph").parent_id == steps.one("workflow", "researcher").id


def test_a_graph_inside_a_chain_does_not_leave_it_for_what_its_configuration_brings(
    recording: Recording,
) -> None:
    carrier: dict[str, str] = {}
    with becausal.chain("another"):
        becausal.inject(carrier)
    with becausal.chain("mine") as mine:
        chain_of(remote_writer).invoke({"findings": "x", "log": []}, {"configurable": carrier})

    chains = {step.chain_id: step for run in recording.runs() for step in run if step.kind == "workflow"}
    assert list(chains) == [mine.chain_id]


@pytest.mark.parametrize("said", ["", "nonsense", "becausal=x", "becausal=x/zz/1/1", "a=b"])
def test_a_tracestate_that_says_nothing_of_a_chain_begins_a_new_one(recording: Recording, said: str) -> None:
    chain_of(remote_writer).invoke({"findings": "x", "log": []}, {"configurable": {"tracestate": said}})

    assert Kinds(recording.last()).one("workflow").parent_id is None


# What goes over the wire


@pytest.mark.parametrize("how", HOW)
async def test_the_app_s_headers_go_out_as_they_were_given(recording: Recording, how: str) -> None:
    server, headers = (
        Server(events=[("values", {})]),
        {"X-Mine": "1", "Tracestate": "user=7", "traceparent": "00-mine", "baggage": "theirs=1"},
    )
    await called(server.remote(), how, INPUT, headers=headers)

    assert headers == {
        "X-Mine": "1",
        "Tracestate": "user=7",
        "traceparent": "00-mine",
        "baggage": "theirs=1",
    }
    ((_, sent),) = server.requests
    assert (sent["x-mine"], sent["traceparent"]) == ("1", "00-mine")
    assert re.fullmatch(r"becausal=[0-9a-f]{32}/[0-9a-f]{16}/\d+/\d+,user=7", sent["tracestate"])
    assert sent["baggage"] == "theirs=1"


@pytest.mark.parametrize("how", HOW)
async def test_what_the_client_sends_always_is_sent(recording: Recording, how: str) -> None:
    server = Server(events=[("values", {})])
    await called(server.remote({"tracestate": "tenant=a", "traceparent": "00-client"}), how, INPUT)

    ((_, sent),) = server.requests
    assert sent["traceparent"] == "00-client"
    assert re.fullmatch(r"becausal=[^,]+,tenant=a", sent["tracestate"])


@pytest.mark.parametrize("how", HOW)
async def test_the_request_differs_by_our_headers_alone(store: str, how: str) -> None:
    options: dict[str, Any] = {
        "config": {"tags": ["t"], "metadata": {"m": 1}, "configurable": {"thread_id": "t1"}}
    }
    without, with_us = Server(events=[("values", {})]), Server(events=[("values", {})])
    plain = await called(without.remote(**options), how, INPUT)
    becausal.instrument(store=store)
    same = await called(with_us.remote(**options), how, INPUT)
    becausal.uninstrument()

    assert plain == same
    ((body, headers),) = without.requests
    ((our_body, our_headers),) = with_us.requests
    assert our_body == body
    assert {name: our_headers[name] for name in headers} == headers
    assert set(our_headers) - set(headers) == {"traceparent", "tracestate"}


@pytest.mark.parametrize("how", HOW)
async def test_langsmith_s_own_headers_stay(recording: Recording, how: str) -> None:
    client = langsmith.Client(api_url="http://nowhere", api_key="none", auto_batch_tracing=False)
    run = langsmith.RunTree(name="theirs", run_type="chain", ls_client=client)
    server = Server(events=[("values", {})])
    with langsmith.tracing_context(parent=run, enabled=False):
        await called(server.remote(distributed_tracing=True), how, INPUT)

    ((_, sent),) = server.requests
    assert sent["langsmith-trace"] == run.to_headers()["langsmith-trace"]
    assert sent["tracestate"].startswith("becausal=")


async def test_a_run_that_a_client_asks_for_by_itself_carries_our_context(recording: Recording) -> None:
    server = Server(events=[("values", {})])
    client, sync = server.remote().client, server.remote().sync_client
    assert client is not None
    assert sync is not None
    with becausal.chain("by the client") as turn:
        [item async for item in client.runs.stream(None, "researcher", input=INPUT)]
        list(sync.runs.stream(None, "researcher", input=INPUT))
    list(sync.runs.stream(None, "researcher", input=INPUT))

    inside, also_inside, outside = (sent for _, sent in server.requests)
    assert str(turn.chain_id) in inside["tracestate"]
    assert str(turn.chain_id) in also_inside["tracestate"]
    assert "tracestate" not in outside


def test_headers_come_out_as_given_outside_every_chain() -> None:
    given = {"x": "1"}
    assert with_our_headers(given, {}) is given
    assert with_our_headers(None, {}) is None


def test_our_headers_lead_back_to_the_caller_s_step(recording: Recording) -> None:
    with becausal.chain("where from?") as turn:
        headers = with_our_headers({"Baggage": "a=b"}, {})
    assert headers is not None
    with extract(headers):
        remote = becausal.context.current()
    assert remote is not None
    assert (remote.chain_id, remote.id) == (turn.chain_id, turn.id)


# The app notices nothing


@pytest.mark.parametrize("how", HOW)
async def test_an_error_from_there_is_an_error_here(recording: Recording, how: str) -> None:
    with pytest.raises(RemoteException, match="no such graph"):
        await called(Server(events=[("error", "no such graph")]).remote(), how, INPUT)

    (step,) = recording.last()
    assert (step.status, step.error) == ("error", "RemoteException: no such graph")


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_an_interrupt_from_there_interrupts_the_node_here(recording: Recording, how: str) -> None:
    waiting = ("updates", {"__interrupt__": [{"value": "sure?", "id": "i1"}]})
    await called(holding(Server(events=[waiting]).remote()), how, INPUT)

    steps = Kinds(recording.last())
    assert steps.one("workflow", "researcher").status == "interrupted"
    assert steps.one("agent", "elsewhere").status == "interrupted"


@pytest.mark.parametrize("how", HOW)
async def test_a_resumption_is_told_as_what_was_given(recording: Recording, how: str) -> None:
    server = Server(events=[("values", {"draft": "x"})])
    await called(server.remote(), how, Command(resume="yes"))

    ((asked, _),) = server.requests
    assert asked["command"]["resume"] == "yes"
    assert recording.last()[0].status == "ok"


def test_a_stream_that_is_left_ends_its_step(recording: Recording) -> None:
    events: list[tuple[str, Any]] = [("updates", {"a": {}}), ("updates", {"b": {}})]
    stream: Any = Server(events=events).remote().stream(INPUT)
    assert next(stream) == {"a": {}}
    stream.close()

    (step,) = recording.last()
    assert step.status == "closed"


def test_at_the_boundaries_level_the_chain_goes_over_the_wire_too(store: str) -> None:
    becausal.instrument(store=store, level="boundaries")
    try:
        Server().remote().invoke(INPUT)
        steps = Kinds(Recording(store).last())
    finally:
        becausal.uninstrument()

    assert steps.one("workflow", "LangGraph").parent_id == steps.one("workflow", "researcher").id


def test_all_is_as_it_was_in_the_end(store: str) -> None:
    doors: list[tuple[Any, str]] = [(RemoteGraph, name) for name in HOW]
    doors += [
        (client, name) for client in (RunsClient, SyncRunsClient) for name in ("stream", "create", "wait")
    ]
    before = [vars(owner)[name] for owner, name in doors]
    becausal.instrument(store=store)
    during = [vars(owner)[name] for owner, name in doors]
    becausal.uninstrument()

    assert all(ours is not theirs for ours, theirs in zip(during, before, strict=True))
    assert all(vars(owner)[name] is method for (owner, name), method in zip(doors, before, strict=True))
