"""The network, shut in the course of a replay and nowhere else.

Python's own sockets are watched while a replay is under way: a connection, a datagram or a look-up of a name that is
asked for in its context ends it. What code in C does by itself (gRPC, uvloop) does not pass here, unless an adapter
tells of it (`reaches_out`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from becausal.context import current
from becausal.replay.divergence import Divergence
from becausal.replay.session import in_force
from becausal.step import OpenStep

__all__ = ["reaches_out", "shut"]

DOORS: tuple[tuple[Any, str], ...] = (
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket.socket, "sendto"),
    (socket.socket, "sendmsg"),
    (socket, "getaddrinfo"),
)

ALLOWS = "allow it with network=True (`--network`)"

OPEN = "becausal network"
"""The key under which a session says that its network is open."""


def shut() -> Callable[[], None]:
    """Watch the doors of the network; returns what leaves them as they were."""
    undo: list[Callable[[], None]] = []
    for owner, name in DOORS:
        original, own = getattr(owner, name), vars(owner).get(name)
        hook = _watched(original, name)
        setattr(owner, name, hook)
        undo.append(_restoring(owner, name, hook, own))

    def leave() -> None:
        while undo:
            undo.pop()()

    return leave


def _restoring(owner: Any, name: str, hook: Any, own: Any) -> Callable[[], None]:
    def restore() -> None:
        if vars(owner).get(name) is not hook:
            return  # somebody has wrapped it since
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    return restore


def reaches_out(detail: str) -> None:
    """End the replay in whose course somebody reaches for the network, unless it is open there.

    For doors that are none of Python's sockets; an adapter hooks them.

    Args:
        detail: what was reached for.

    Raises:
        DivergenceError: the network is shut here.
    """
    session = in_force()
    if session is None or session.threads.has_let_go:
        return
    if session.kept_for.get(OPEN) and not session.threads.is_over:
        return
    here = current()
    if isinstance(here, OpenStep):
        raise session.diverged(here, "network", detail, ALLOWS)
    raise session.left(
        Divergence("network", "workflow", "the app", None, "the top", None, "", None, detail, ALLOWS)
    )


def _watched(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        if in_force() is not None:
            target = next((arg for arg in reversed(args) if isinstance(arg, tuple | str)), "somewhere")
            reaches_out(f"{name} to {target!r}")
        return original(*args, **kwargs)

    return watched
