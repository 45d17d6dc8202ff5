"""The network, shut in the course of a replay and nowhere else.

Python's own sockets are watched while a replay is under way: a connection, a datagram or a look-up of a name that is
asked for in its context ends it. What code in C does by itself (gRPC, uvloop) does not pass here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from becausal.context import current
from becausal.replay.divergence import Divergence, DivergenceError
from becausal.replay.session import in_force
from becausal.step import OpenStep

__all__ = ["shut"]

DOORS: tuple[tuple[Any, str], ...] = (
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket.socket, "sendto"),
    (socket.socket, "sendmsg"),
    (socket, "getaddrinfo"),
)

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


def _watched(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        session = in_force()
        if session is not None and not session.kept_for.get(OPEN):
            target = next((arg for arg in reversed(args) if isinstance(arg, tuple | str)), "somewhere")
            detail = f"{name} to {target!r}"
            here = current()
            if isinstance(here, OpenStep):
                raise session.diverged(here, "network", detail, "allow it with network=True")
            if session.divergence is None:
                session.divergence = Divergence(
                    "network", "workflow", "the app", None, "the top", None, "", None, detail
                )
            raise DivergenceError(session.divergence)
        return original(*args, **kwargs)

    return watched
