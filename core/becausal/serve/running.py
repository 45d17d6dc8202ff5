"""A receiver at work: from its address to its last span."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import httpx
import uvicorn
from starlette.applications import Starlette

from becausal.errors import SettingsError
from becausal.serve.app import application
from becausal.serve.assembling import Assembler
from becausal.serve.forwarding import Forwarder
from becausal.serve.intake import Intake
from becausal.store import Store

__all__ = ["run"]

MAX_CONNECTIONS: Final = 512
"""At once; further ones are answered with 503, which has an exporter try again."""

BACKLOG: Final = 1024
"""Connections that may wait until they are taken."""

STOP_S: Final = 10
"""Seconds for requests that are on their way when the server is told to stop."""


def run(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 4318,
    token: str | None = None,
    forward: str | None = None,
    forward_headers: Mapping[str, str] | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> Mapping[str, int]:
    """Receive until told to stop (SIGINT, SIGTERM); returns what became of requests, spans and runs.

    Args:
        store: where runs go; left open.
        host: the address to listen on.
        port: 0 for any that is free.
        token: what senders must show; without one only this machine may send.
        forward: an OTLP/HTTP endpoint that everything is handed on to.
        forward_headers: what that one asks for.
        ready: called with the address, once it listens.

    Raises:
        SettingsError: an address that others reach, and no token; an address that cannot be had; an endpoint that is
            none.
    """
    if token is None and not _is_loopback(host):
        raise SettingsError(
            f"{host} can be reached from other machines: choose a token (--token, or BECAUSAL_SERVE_TOKEN) that "
            "senders show as 'Authorization: Bearer …', or listen on 127.0.0.1"
        )
    if forward is not None and not _is_endpoint(forward):
        raise SettingsError(
            "what is to be handed on to is no URL of http or https: write it as --forward http://collector:4318"
        )
    listening = _listen(host, port)
    intake = Intake(Assembler(store))
    forwarder = None if forward is None else Forwarder(forward, forward_headers)
    try:
        app = application(intake, token=token, forwarder=forwarder)
        server = _server(app)
        ready(f"http://{_shown(listening)}")
        with _told_to_stop(), _rare_collections():
            server.run(sockets=[listening])
    finally:
        listening.close()
        if forwarder is not None:
            forwarder.close()
        intake.close()  # as long as it takes: what was acknowledged is to be written
    return {**intake.counts(), **(forwarder.counts if forwarder is not None else {})}


def _is_endpoint(said: str) -> bool:
    try:
        url = httpx.URL(said)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_S,
        )
    )


@contextlib.contextmanager
def _told_to_stop() -> Iterator[None]:
    """Let a signal end the server and not the process: what came is still to be written.

    uvicorn raises the signals that it caught once more when it is done (0.54, `Server.capture_signals`).
    """
    stops = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    former = {number: signal.signal(number, lambda *_: None) for number in stops}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Have Python look for circles less often: a span has none, and looking through hundred thousands costs a fifth."""
    former = gc.get_threshold()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*former)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:  # what is beyond would be cut to sixteen bits
        raise SettingsError(f"there is no port {port}; choose another --port")
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)  # from now on a sender waits, where it was refused before
    except OSError as failure:
        if listening is not None:
            listening.close()
        raise SettingsError(f"cannot listen on {host}:{port}: {failure}; choose another --port") from None
    return listening


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
