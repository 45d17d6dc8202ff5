"""A replay's work in a thread of its own, in the time that it is given."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from becausal.replay.divergence import Divergence, DivergenceError
from becausal.replay.session import Session

__all__ = ["Within", "apart"]

T = TypeVar("T")

Within = Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]]
"""Awaits something, for as long as there is time; cancels it then."""

GRACE = 5.0
"""Seconds in which what was cancelled, or stands before its next call, may end by itself."""


def apart(
    work: Callable[[Within], list[T]],
    in_force: Callable[[], AbstractContextManager[None]],
    session: Session,
    limit: float | None,
) -> list[T]:
    """Do something in a thread of its own: the caller may stand in an event loop, or in a step.

    When the time is up, a coroutine is cancelled; code that blocks its thread cannot be. It is left behind then, and
    what it still asks is refused: what holds it to the record stays in until it has ended.

    Args:
        work: what is to be done; it awaits by what it is given.
        in_force: what has to be in while it is done.
        session: of the replay; it is told that the time is up.
        limit: seconds; None: as long as it takes.
    """
    done: list[Any] = []
    ends = None if limit is None else time.monotonic() + limit

    async def within(awaitable: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(
                None if ends is None else max(0.0, ends - time.monotonic())
            ) as timeout:
                return await awaitable
        except TimeoutError:
            if timeout.expired():
                raise _overdue(session, limit) from None
            raise  # the app's own

    def run() -> None:
        try:
            with in_force():
                done.append(work(within))
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=run, name="becausal replay", daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        _overdue(session, limit)
        thread.join(GRACE)
    if not done:
        return []
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]  # type: ignore[no-any-return]


def _overdue(session: Session, limit: float | None) -> DivergenceError:
    """Return the exception that ends a replay whose time is up."""
    if session.divergence is None:
        session.divergence = Divergence(
            "timeout", "workflow", "the app", None, "the top", None, "", None, f"it was given {limit:g} seconds",
            "give it more with timeout= (`--timeout`)",
        )  # fmt: skip
    return DivergenceError(session.divergence)
