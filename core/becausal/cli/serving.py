"""The command that receives: `serve`."""

from __future__ import annotations

import argparse
import os
import sys

from rich.text import Text

from becausal.cli.command import Answer, Commands, add_command, store_of
from becausal.errors import BecausalError, SettingsError
from becausal.redaction import start
from becausal.settings import store_url
from becausal.store import open_store

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add this command."""
    serve = add_command(
        commands,
        "serve",
        _serve,
        "receive spans over OTLP/HTTP, so that many processes share one store",
        takes_run=False,
    )
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=4318, help="0 for any that is free (default: 4318)")
    serve.add_argument(
        "--token",
        default=os.environ.get("BECAUSAL_SERVE_TOKEN"),
        help="what senders must show as a bearer token; needed where other machines reach this one "
        "(default: BECAUSAL_SERVE_TOKEN)",
    )
    serve.add_argument(
        "--forward", metavar="URL", help="hand everything on to another OTLP/HTTP backend as well"
    )
    serve.add_argument(
        "--forward-header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what that backend asks for, an API key for instance; may be given several times",
    )


def _serve(options: argparse.Namespace) -> Answer:
    try:
        from becausal.serve import run
    except ImportError as missing:
        raise BecausalError(
            f"{missing.name} is not installed; install what a receiver needs with: pip install 'becausal[serve]'"
        ) from None
    pairs = [header.partition("=") for header in options.forward_header]
    if wrong := [name for name, equals, _ in pairs if not equals or not name.strip()]:
        raise SettingsError(f"--forward-header {wrong[0]!r} is no NAME=VALUE")
    store = open_store(store_url(store_of(options)))

    start(None, store.url)

    def ready(address: str) -> None:
        sys.stderr.write(f"becausal receives OTLP at {address}/v1/traces and writes to {store.url}\n")
        sys.stderr.flush()

    try:
        counts = run(
            store,
            host=options.host,
            port=options.port,
            token=options.token or None,
            forward=options.forward,
            forward_headers={name.strip(): value.strip() for name, _, value in pairs},
            ready=ready,
        )
    finally:
        store.close()
    lines = "\n".join(f"{number:>10,}  {what}" for what, number in sorted(counts.items()))
    return Answer(lambda: Text(lines), lambda: dict(counts))
