"""A chain goes on at the other end of an HTTP request: ASGI and WSGI servers, httpx and requests."""

from __future__ import annotations

import io
import threading
import wsgiref.simple_server
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from tests.conftest import Recording

import becausal
from becausal import web
from becausal.step import Step


async def order(_: Any) -> JSONResponse:
    with becausal.agent("server"):
        return JSONResponse({"ok": True})


def served() -> Starlette:
    app = Starlette(routes=[Route("/", order)])
    app.add_middleware(web.CausalMiddleware)
    return app


def joined(recording: Recording) -> tuple[Step, Step]:
    """Return the caller's step and the server's, of the one chain that there is."""
    steps = {step.name: step for step in recording.last()}
    return steps["caller"], steps["server"]


async def test_a_server_goes_on_with_the_chain_of_an_async_caller(recording: Recording) -> None:
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=served()),
        base_url="http://here",
        event_hooks={"request": [web.httpx_async_hook]},
    )
    with becausal.agent("caller"):
        # As in another process: nothing but the headers goes across.
        import contextvars

        response = await contextvars.Context().run(_task, client, _headers())
    assert response.json() == {"ok": True}
    caller, server = joined(recording)
    assert server.chain_id == caller.chain_id
    assert server.parent_id == caller.id
    assert server.seq > caller.seq


def _headers() -> dict[str, str]:
    request = httpx.Request("GET", "http://here/")
    web.httpx_hook(request)
    return dict(request.headers)


async def _task(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.get("/", headers=headers)


def test_a_sync_client_writes_the_place_of_each_request(recording: Recording) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("tracestate", ""))
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer), event_hooks={"request": [web.httpx_hook]})
    with becausal.agent("caller") as step:
        client.get("http://here/")
    client.get("http://here/")
    assert [str(step.id) in said for said in seen] == [True, False]
    assert seen[1] == ""


@pytest.fixture
def wsgi() -> Iterator[str]:
    """A WSGI server on loopback."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with becausal.agent("server"):
            start_response("200 OK", [])
            return [b"ok"]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = wsgiref.simple_server.make_server(
        "127.0.0.1", 0, web.CausalWsgiMiddleware(app), handler_class=Quiet
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_and_a_wsgi_server_share_a_chain(recording: Recording, wsgi: str) -> None:
    with requests.Session() as session, becausal.agent("caller"):
        session.mount(wsgi, web.requests_adapter())
        assert session.get(wsgi).text == "ok"
    caller, server = joined(recording)
    assert (server.chain_id, server.parent_id) == (caller.chain_id, caller.id)


def test_other_hosts_get_no_header_of_ours(recording: Recording) -> None:
    session = requests.Session()
    session.mount("http://mine/", web.requests_adapter())
    assert type(session.get_adapter("http://theirs/")) is requests.adapters.HTTPAdapter


def test_a_websocket_goes_on_with_the_chain_too(recording: Recording) -> None:
    async def talk(socket: Any) -> None:
        await socket.accept()
        with becausal.agent("server"):
            await socket.send_text("ok")
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/", talk)])
    app.add_middleware(web.CausalMiddleware)
    with becausal.agent("caller"):
        headers = _headers()
    with TestClient(app).websocket_connect("/", headers=headers) as socket:
        assert socket.receive_text() == "ok"
    caller, server = joined(recording)
    assert server.chain_id == caller.chain_id


@pytest.mark.parametrize(
    "headers", [{}, {"tracestate": "becausal=%%%/x/y/z"}, {"traceparent": "00-zz"}, {"becausal": "////"}]
)
def test_headers_that_make_no_sense_are_passed_over(recording: Recording, headers: dict[str, str]) -> None:
    assert TestClient(served()).get("/", headers=headers).json() == {"ok": True}
    (step,) = recording.last()
    assert (step.name, step.parent_id) == ("server", None)


def test_a_span_of_the_servers_own_stays_the_parent_of_ours(store: str) -> None:
    provider = TracerProvider()
    becausal.instrument("threads", store=store, tracer_provider=provider)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with becausal.agent("server"):
            return [b""]

    headers: dict[str, str] = {}
    with becausal.agent("caller"):
        becausal.inject(headers)
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    with trace.get_tracer("server", tracer_provider=provider).start_as_current_span("GET /") as span:
        web.CausalWsgiMiddleware(app)(environ, None)
    run = becausal.last_run()
    becausal.uninstrument()
    steps = {step.name: step for step in run.steps}
    assert steps["server"].chain_id == steps["caller"].chain_id
    assert steps["server"].trace_id == f"{span.get_span_context().trace_id:032x}"


def test_a_lifespan_passes_through() -> None:
    with TestClient(served()) as client:
        assert client.get("/").status_code == 200


def test_the_bodys_making_is_the_apps_own_affair() -> None:
    body = io.BytesIO(b"x")
    assert web.CausalWsgiMiddleware(lambda environ, start: body)({}, None) is body
