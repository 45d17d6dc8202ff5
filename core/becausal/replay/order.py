"""In which order calls that are made side by side get their answers: in that in which they once got them.

An answer from the record is there at once, and the first to ask would be the first to go on. Where what comes of two
calls meets in the order of its arrival (two agents speak to a third one), a replay would be another run. So an answer
waits until nothing else can run in its event loop; then, of all that wait, the one goes on whose call ended first. What
does not wait by then depends on one that does, or was never asked: no answer waits for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Sequence

from becausal.step import Step

__all__ = ["Order"]

MOST_ROUNDS = 1_000
"""Rounds of an event loop that never rests, after which an answer is given all the same."""

Waiting = list[tuple[int, int, "asyncio.Future[None]"]]


class Order:
    """The answers that wait, by event loop."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.AbstractEventLoop, tuple[Waiting, asyncio.Task[None]]] = {}
        self._numbers = itertools.count()

    async def turn(self, step: Step) -> None:
        """Wait until it is a recorded step's turn to answer."""
        loop = asyncio.get_running_loop()
        there = self._waiting.get(loop)
        if there is None:
            waiting: Waiting = []
            there = self._waiting[loop] = waiting, loop.create_task(self._release(loop, waiting))
        future = loop.create_future()
        heapq.heappush(there[0], (step.ended_ns or step.started_ns, next(self._numbers), future))
        await future

    async def _release(self, loop: asyncio.AbstractEventLoop, waiting: Waiting) -> None:
        try:
            while True:
                await _rest(loop)
                if not waiting:
                    return
                *_, future = heapq.heappop(waiting)
                if not future.done():
                    future.set_result(None)
        finally:
            del self._waiting[loop]


async def _rest(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until nothing else can run. Source: CPython 3.10 to 3.14, `asyncio/base_events.py`, `_run_once`."""
    ready: Sequence[object] | None = getattr(loop, "_ready", None)
    for _ in range(MOST_ROUNDS):
        await asyncio.sleep(0)
        if ready is not None and not ready:
            return
