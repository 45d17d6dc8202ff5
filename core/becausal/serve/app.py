"""The web application: three addresses of OTLP, and one that says how it stands."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from anyio import CapacityLimiter, fail_after, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from becausal.serve.forwarding import Forwarder
from becausal.serve.intake import Intake
from becausal.serve.wire import JSON, PROTOBUF, Received, Refusal, answer, read, unpacked

__all__ = ["MAX_BODY", "application"]

MAX_BODY: Final = 20 << 20
"""Bytes of a body, as it is sent and when it is unpacked; OpenTelemetry's Collector takes as many."""

MAX_COMING: Final = 64 << 20
"""Bytes of all bodies that are being received."""

READ_S: Final = 30.0
"""Seconds in which a body must have come."""

RETRY_AFTER_S: Final = 2

Endpoint = Callable[[Request], Awaitable[Response]]


def application(
    intake: Intake,
    *,
    token: str | None = None,
    forwarder: Forwarder | None = None,
    max_body: int = MAX_BODY,
) -> Starlette:
    """Return the application.

    Args:
        intake: where spans go.
        token: what a sender must show (`Authorization: Bearer …`); None: nobody is asked.
        forwarder: hands every request on.
        max_body: bytes of a body, packed and unpacked.
    """
    receiver = _Receiver(intake, token, forwarder, max_body)
    return Starlette(
        routes=[
            Route("/v1/traces", receiver.answering(receiver.traces), methods=["POST"]),
            Route("/v1/logs", receiver.answering(receiver.others), methods=["POST"]),
            Route("/v1/metrics", receiver.answering(receiver.others), methods=["POST"]),
            Route("/healthz", receiver.health, methods=["GET"]),
        ]
    )


class _Receiver:
    """What answers at each address."""

    def __init__(self, intake: Intake, token: str | None, forwarder: Forwarder | None, max_body: int) -> None:
        self._intake, self._token, self._forwarder, self._max_body = intake, token, forwarder, max_body
        self._coming = _Coming(max_body)
        # Reading takes milliseconds of work: not on the loop that answers the others. One at a time: two would share
        # Python's lock, and a hostile body is many times as large once it is read.
        self._one_at_a_time = CapacityLimiter(1)

    async def traces(self, request: Request) -> Response:
        """Take spans in."""
        kind = _type(request)
        if not self._intake.has_room:
            raise _come_again(self._intake)
        body = await self._coming.body(request)
        received = await to_thread.run_sync(
            _received, request, body, kind, self._max_body, limiter=self._one_at_a_time
        )
        if not self._intake.offer(received.spans, received.size):
            raise _come_again(self._intake)
        self._intake.note("spans rejected", received.rejected)
        if self._forwarder is not None:
            self._forwarder.pass_on("/v1/traces", body, request.headers)
        return Response(answer(kind, received.rejected), media_type=kind)

    async def others(self, request: Request) -> Response:
        """Hand logs and metrics on."""
        if self._forwarder is None:
            raise Refusal(
                404, "this receiver takes traces; name a backend with --forward for logs and metrics"
            )
        kind = _type(request)
        self._forwarder.pass_on(request.url.path, await self._coming.body(request), request.headers)
        return Response(b"{}" if kind == JSON else b"", media_type=kind)

    async def health(self, _: Request) -> Response:
        """Tell what became of requests, spans and runs."""
        handed_on = self._forwarder.counts if self._forwarder is not None else {}
        return JSONResponse({"status": "ok", "counts": {**self._intake.counts(), **handed_on}})

    def answering(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint that asks for the token first, and tells a refusal as OTLP has it."""

        async def answered(request: Request) -> Response:
            try:
                _check(request, self._token)
                return await endpoint(request)
            except Refusal as refusal:
                return self._refused(request, refusal)
            except ClientDisconnect:
                self._intake.note("requests broken off")
                return Response(status_code=400)

        return answered

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        self._intake.note(f"requests refused: {refusal.status}")
        headers = {"Retry-After": str(RETRY_AFTER_S)} if refusal.status == 429 else {}
        if refusal.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        # What was not read of the body is not waited for.
        headers |= {} if self._coming.is_read(request) else {"Connection": "close"}
        return JSONResponse({"message": str(refusal)}, refusal.status, headers)


def _received(request: Request, body: bytes, kind: str, limit: int) -> Received:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    return read(unpacked(body, encoding, limit), kind)


def _check(request: Request, token: str | None) -> None:
    if token is None:
        return
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), token.encode()):
        raise Refusal(401, "show the token of this receiver: Authorization: Bearer …")


def _type(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise Refusal(415, f"Content-Type {kind!r} is not read; send {PROTOBUF} or {JSON}")
    return kind


def _come_again(intake: Intake) -> Refusal:
    intake.note("requests sent back: too many spans wait")
    return Refusal(429, "too many spans wait to be written")


class _Coming:
    """The bodies that are being received: each within its bound, and all of them within theirs."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0

    async def body(self, request: Request) -> bytes:
        """Return a request's body, reading no more of it than is allowed.

        Raises:
            Refusal: it is too large (413), too slow (408), or too many are on their way (429).
        """
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said[:20]) > self._limit:
            raise Refusal(413, f"the body has more than {self._limit} bytes")
        parts: list[bytes] = []
        size = 0
        try:
            with fail_after(READ_S):
                async for part in request.stream():
                    size, self._bytes = size + len(part), self._bytes + len(part)
                    if size > self._limit:
                        raise Refusal(413, f"the body has more than {self._limit} bytes")
                    if self._bytes > max(MAX_COMING, self._limit):
                        raise Refusal(429, "too many bodies are on their way")
                    parts.append(part)
        except TimeoutError:
            raise Refusal(408, f"the body did not come within {READ_S:.0f} s") from None
        finally:
            self._bytes -= size
        request.state.is_read = True
        return b"".join(parts)

    @staticmethod
    def is_read(request: Request) -> bool:
        """Return whether a request's body was read to its end."""
        return getattr(request.state, "is_read", False) or request.headers.get("content-length") == "0"
