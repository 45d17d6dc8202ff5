"""A replay's work in a thread of its own, in the time that it is given."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from becausal.replay.divergence import Divergence, DivergenceError
from becausal.replay.session import Session
from becausal.step import Step

__all__ = ["GRACE", "Patience", "Within", "apart", "patience_with"]

T = TypeVar("T")

Within = Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]]
"""Awaits something, for as long as there is time; cancels it then."""

PATIENCE = 60.0
"""So many seconds a replay may take in whose run something was cancelled, and longer than the whole recorded run took
nothing may be heard of one in which nothing runs live."""

LEFT = 60.0
"""Seconds in which an app may end that has left the record: what waits for the call that was refused waits for ever."""

GRACE = 5.0
"""Seconds in which what was cancelled, stands before its next call, or outlives the app may end by itself."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a replay is waited for, in seconds; None: as long as it takes."""

    whole: float | None = None
    """In all."""
    silence: float | None = None
    """While no step of it begins and nothing is answered."""


def patience_with(steps: Sequence[Step], timeout: float | None, *, is_live: bool) -> Patience:
    """Return how long the replay of a run is waited for.

    Args:
        steps: of the recorded run.
        timeout: what somebody has said.
        is_live: whether something in it may really be asked, which takes the time that it takes.
    """
    if timeout is not None:
        return Patience(timeout)
    # What was cancelled may never end by itself.
    whole = PATIENCE if any(step.status == "cancelled" for step in steps) else None
    if is_live:
        return Patience(whole)
    took = max((step.ended_ns or step.started_ns for step in steps), default=0) - min(
        (step.started_ns for step in steps), default=0
    )
    return Patience(whole, PATIENCE + took / 1e9)


def apart(
    work: Callable[[Within], list[T]],
    in_force: Callable[[], AbstractContextManager[None]],
    session: Session,
    patience: Patience,
) -> list[T]:
    """Do something in a thread of its own: the caller may stand in an event loop, or in a step.

    When the time is up, or the app has not ended long after it left the record, a coroutine is cancelled; code that
    blocks its thread cannot be. It is left behind then, and what it still asks is refused: what holds it to the record
    stays in until it has ended.

    Args:
        work: what is to be done; it awaits by what it is given.
        in_force: what has to be in while it is done.
        session: of the replay; it is told that the time is up.
        patience: how long it is waited for.
    """
    done: list[Any] = []
    awaiting = _Awaiting(session)

    def run() -> None:
        try:
            with in_force():
                try:
                    done.append(work(awaiting.within))
                finally:
                    session.threads.end(GRACE)
        except BaseException as error:
            done.append(error)
        finally:
            session.settled.set()

    thread = threading.Thread(target=run, name="becausal replay", daemon=True)
    thread.start()
    why = _waited(thread, session, patience)
    if thread.is_alive():
        session.left(_overdue(why))
        awaiting.cut()
        thread.join(GRACE)
        if thread.is_alive():
            session.threads.leave_app()
    if not done:
        return []
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]  # type: ignore[no-any-return]


class _Awaiting:
    """The coroutine that is awaited, to be cancelled from another thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cancels: list[Callable[[], object]] = []
        self._is_cut = threading.Event()

    async def within(self, awaitable: Awaitable[Any]) -> Any:
        """Await something until it ends, or is cut."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancels[:] = [lambda: loop.call_soon_threadsafe(task.cancel)]
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._is_cut.is_set():
                assert self._session.divergence is not None
                raise DivergenceError(self._session.divergence) from None
            raise  # the app's own
        finally:
            self._cancels.clear()

    def cut(self) -> None:
        """Cancel what is awaited: the replay has left the record."""
        self._is_cut.set()
        for cancel in self._cancels[:]:
            cancel()


def _waited(thread: threading.Thread, session: Session, patience: Patience) -> str:
    """Wait until a thread has ended, or is not waited for any longer; returns why, unless the replay has said it."""
    session.heard = time.monotonic()
    ends = None if patience.whole is None else time.monotonic() + patience.whole
    while True:
        quiet = None if patience.silence is None else session.heard + patience.silence
        until = min((moment for moment in (ends, quiet) if moment is not None), default=None)
        if session.settled.wait(None if until is None else max(0.0, until - time.monotonic())):
            # It has ended, or left the record: then it is to end soon.
            thread.join(LEFT if ends is None else max(0.0, min(LEFT, ends - time.monotonic())))
            return ""
        if ends is not None and time.monotonic() >= ends:
            return f"it was given {patience.whole:g} seconds"
        if patience.silence is not None and time.monotonic() - session.heard >= patience.silence:
            if not _is_looked_at(thread):
                return (
                    f"nothing was heard of it for {patience.silence:g} seconds, longer than the recorded run took in "
                    "all: it waits for what is not in the record"
                )
            session.heard = time.monotonic()


def _is_looked_at(thread: threading.Thread) -> bool:
    """Return whether somebody goes through a thread's code with a debugger, who may stand still as long as he likes.

    What else traces, as what measures coverage does, stands still nowhere.
    """
    bdb = sys.modules.get("bdb")
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in _DEBUGGERS:
            return True
        if bdb is not None and isinstance(getattr(frame.f_trace, "__self__", None), bdb.Bdb):
            return True
        frame = frame.f_back
    return False


_DEBUGGERS = ("bdb", "pdb", "pydevd", "_pydevd_bundle")
"""Modules whose code runs in a thread that stands still: Python's own debugger's, and that of editors."""


def _overdue(why: str) -> Divergence:
    """Return the divergence of a replay whose time is up."""
    return Divergence(
        "timeout", "workflow", "the app", None, "the top", None, "", None, why,
        "give it more with timeout= (`--timeout`)",
    )  # fmt: skip
