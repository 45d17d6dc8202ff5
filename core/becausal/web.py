"""HTTP between processes, for apps whose libraries carry no context by themselves.

At the caller, for the services that are yours:

    httpx.Client(event_hooks={"request": [becausal.web.httpx_hook]})
    httpx.AsyncClient(event_hooks={"request": [becausal.web.httpx_async_hook]})
    session.mount("https://orders.internal/", becausal.web.requests_adapter())

At the one that is called:

    app.add_middleware(becausal.web.CausalMiddleware)            # Starlette, FastAPI, any ASGI app
    app.wsgi_app = becausal.web.CausalWsgiMiddleware(app.wsgi_app)  # Flask, any WSGI app

Nothing is hooked behind an app's back: a chain id in every outgoing request would reach strangers too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context

from becausal.context import Scope
from becausal.errors import BecausalError
from becausal.guard import guarded
from becausal.propagation import Carrier, extract, inject

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

__all__ = [
    "CausalMiddleware",
    "CausalWsgiMiddleware",
    "httpx_async_hook",
    "httpx_hook",
    "requests_adapter",
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class CausalMiddleware:
    """Goes on with the chain that a request names, for the length of its handling (ASGI 3.0: HTTP and WebSocket)."""

    def __init__(self, app: AsgiApp) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        context = _arriving(scope.get("headers", ())) if scope["type"] in ("http", "websocket") else None
        if context is None:
            await self.app(scope, receive, send)
            return
        with Scope(context):
            await self.app(scope, receive, send)


class CausalWsgiMiddleware:
    """Goes on with the chain that a request names, until the app has returned (PEP 3333).

    A body that is made while it is sent is made outside the chain.
    """

    def __init__(self, app: WsgiApp) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle one request."""
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        context = _arriving(headers)
        if context is None:
            return self.app(environ, start_response)
        with Scope(context):
            return self.app(environ, start_response)


@guarded
def httpx_hook(request: Any) -> None:
    """Write the current position into a request of `httpx.Client`; for its `event_hooks`."""
    inject(request.headers)


async def httpx_async_hook(request: Any) -> None:
    """Write the current position into a request of `httpx.AsyncClient`; for its `event_hooks`."""
    httpx_hook(request)


def requests_adapter(**options: Any) -> HTTPAdapter:
    """Return an adapter for `requests.Session.mount` whose requests carry the current position.

    Args:
        options: of `requests.adapters.HTTPAdapter`.

    Raises:
        BecausalError: requests is not installed.
    """
    try:
        from requests.adapters import HTTPAdapter
    except ImportError:
        raise BecausalError("requests is not installed; install it with: pip install requests") from None

    class Carrying(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            httpx_hook(request)  # its headers are a mapping too
            return super().send(request, *args, **kwargs)

    return Carrying(**options)


@guarded
def _arriving(headers: Carrier) -> Context:
    # A span of the server's own instrumentation is nearer than the caller's.
    here, context = trace.get_current_span(), extract(headers)
    return trace.set_span_in_context(here, context) if here.get_span_context().is_valid else context
