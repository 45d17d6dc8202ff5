"""Two processes and HTTP between them: an agent asks a price service, which runs an agent of its own.

Run this file, then ask `becausal show last` and `becausal blame last "1250"`: the price came in at the service's tool.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import becausal
from becausal.web import CausalWsgiMiddleware

becausal.instrument()


# The service


@becausal.tool
def price_list(item: str) -> dict[str, Any]:
    """Look a price up."""
    return {"item": item, "price": 1250, "currency": "USD"}


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    with becausal.agent("pricing", received=environ["PATH_INFO"]) as turn:
        offer = price_list(environ["PATH_INFO"].strip("/"))
        turn.returned(offer)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(offer).encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def serve_once() -> None:
    with make_server("127.0.0.1", 0, CausalWsgiMiddleware(service), handler_class=Quiet) as server:
        print(server.server_port, flush=True)
        server.handle_request()


# Its caller


def ask(port: int, item: str) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{item}")
    headers: dict[str, str] = {}
    becausal.inject(headers)
    for name, value in headers.items():
        request.add_header(name, value)
    with urllib.request.urlopen(request) as response:
        offer: dict[str, Any] = json.load(response)
        return offer


def main() -> None:
    if sys.argv[1:] == ["service"]:
        serve_once()
        return
    with subprocess.Popen([sys.executable, __file__, "service"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with becausal.chain("What does the press cost?") as request:
            with becausal.agent("buyer", received="What does the press cost?") as turn:
                offer = ask(port, "press")
                text = f"The press costs {offer['price']} {offer['currency']}."
                turn.returned(text)
            request.returned(text)
    print(text)


if __name__ == "__main__":
    main()
