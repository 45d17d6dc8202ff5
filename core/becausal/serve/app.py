"""The web application: three addresses of OTLP, and one that says how it stands."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from becausal.serve.forwarding import Forwarder
from becausal.serve.intake import Intake
from becausal.serve.wire import JSON, PROTOBUF, Received, Refusal, answer, read, unpacked

__all__ = ["MAX_BODY", "application"]

MAX_BODY: Final = 32 << 20
"""Bytes of a body, as it is sent and when it is unpacked."""

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

    async def traces(request: Request) -> Response:
        body, kind = await _body(request, max_body), _type(request)
        # Reading takes milliseconds of work: not on the loop that answers the others.
        received = await run_in_threadpool(_received, request, body, kind, max_body)
        if not intake.offer(received.spans):
            raise Refusal(429, "too many spans wait to be written")
        intake.note("spans rejected", received.rejected)
        if forwarder is not None:
            forwarder.pass_on("/v1/traces", body, request.headers)
        return Response(answer(kind, received.rejected), media_type=kind)

    async def others(request: Request) -> Response:
        if forwarder is None:
            raise Refusal(
                404, "this receiver takes traces; name a backend with --forward for logs and metrics"
            )
        kind = _type(request)
        forwarder.pass_on(request.url.path, await _body(request, max_body), request.headers)
        return Response(b"{}" if kind == JSON else b"", media_type=kind)

    async def health(_: Request) -> Response:
        counts = {**intake.counts(), **(forwarder.counts if forwarder is not None else {})}
        return JSONResponse({"status": "ok", "counts": counts})

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def answered(request: Request) -> Response:
            try:
                _check(request, token)
                return await endpoint(request)
            except Refusal as refusal:
                intake.note(f"requests refused: {refusal.status}")
                headers = {"Retry-After": str(RETRY_AFTER_S)} if refusal.status == 429 else {}
                if refusal.status == 401:
                    headers["WWW-Authenticate"] = "Bearer"
                return JSONResponse({"message": str(refusal)}, refusal.status, headers)
            except ClientDisconnect:
                intake.note("requests broken off")
                return Response(status_code=400)

        return answered

    return Starlette(
        routes=[
            Route("/v1/traces", guarded(traces), methods=["POST"]),
            Route("/v1/logs", guarded(others), methods=["POST"]),
            Route("/v1/metrics", guarded(others), methods=["POST"]),
            Route("/healthz", health, methods=["GET"]),
        ]
    )


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


async def _body(request: Request, limit: int) -> bytes:
    """Return a request's body, reading no more of it than is allowed."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Refusal(413, f"the body has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
