"""The recorder's seam while runs are replayed: what is called in the place of an observed function.

Each stand-in asks when it runs, once its step is current, so that a stream which nobody reads asks nothing.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any, cast

from becausal import semconv
from becausal.context import current
from becausal.observation import NOTHING, Observation, Opening, Sealed
from becausal.replay.arguments import arguments
from becausal.replay.rebuild import UnmadeError
from becausal.replay.recalled import Recalled
from becausal.replay.session import Session, in_force
from becausal.replay.trying import begins, on_trial, stopped_quietly
from becausal.step import OpenStep, StepRef
from becausal.store import Store

__all__ = ["Seam", "recall", "result_of"]


class Seam:
    """What a recorder asks; see `becausal.observation.Replaying`. One for a process, whatever the number of replays."""

    def is_in_force(self) -> bool:
        """Return whether what runs here belongs to a replay."""
        return in_force() is not None

    def opening(self, opening: Opening, parent: StepRef | None) -> None:
        """Tell the replay, if one is under way here, that a step is about to begin."""
        begins(opening)
        session = in_force()
        if session is not None:
            session.opening(opening, parent)

    def arriving(self, opening: Opening, seal: Callable[[object], Sealed]) -> Any:
        """Return what an edit makes of what a step is about to receive; where there is none, what it would receive."""
        session, value = in_force(), opening.received
        if session is None or not session.edits_inputs:
            return value
        parent = opening.parent or current()
        change = session.input_edit(opening.kind, opening.name, seal(value), opening.attributes, parent)
        return value if change is None else change(value)

    def calling(
        self,
        opening: Opening,
        seal: Callable[[object], Sealed],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what an edit makes of a call's arguments; where there is none, what they are."""
        given = self.arriving(opening, seal)
        return (
            (args, kwargs) if given is opening.received else arguments(opening, given, function, args, kwargs)
        )

    def begun(self, step: OpenStep) -> None:
        """Tell the replay that a step has begun."""
        session = in_force()
        if session is not None:
            session.begun(step)

    def memories(self) -> Store | None:
        """Return what stands for the store of the app's memories here; None outside every replay."""
        session = in_force()
        return None if session is None else cast(Store, session.memories())

    def carrying(self, *, is_pool: bool) -> Callable[[Callable[[], Any]], Any] | None:
        """Return what does the work that is handed over here; None outside every replay and every trial."""
        if on_trial() is not None:
            return operator.call if is_pool else stopped_quietly
        session = in_force()
        return None if session is None else session.carried()

    def call(self, seen: Observation, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is called in a function's place."""
        if seen.edited is not None:
            return _amending_result(seen.edited, function)
        if seen.answers is None or in_force() is None:
            return function

        def instead(*args: Any, **kwargs: Any) -> Any:
            answered = _answered(seen)
            return function(*args, **kwargs) if answered is NOTHING else answered

        return instead

    def acall(
        self, seen: Observation, function: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Return what is awaited in a coroutine function's place."""
        if seen.edited is not None:
            return _amending(seen.edited, function)
        if seen.answers is None or in_force() is None:
            return function

        async def instead(*args: Any, **kwargs: Any) -> Any:
            recalled = recall()
            if recalled is None:
                return await function(*args, **kwargs)
            await recalled[0].order.turn(recalled[1].step)
            if seen.redone is not None:
                await seen.redone(recalled[1], *args, **kwargs)
            assert seen.answers is not None
            return result_of(recalled, seen.answers)

        return instead

    def stream(
        self, seen: Observation, function: Callable[..., Generator[Any, Any, Any]]
    ) -> Callable[..., Generator[Any, Any, Any]]:
        """Return what is called in a generator function's place."""
        if seen.answers is None or in_force() is None:
            return function

        def instead(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            recalled = recall()
            if recalled is None:
                return (yield from function(*args, **kwargs))
            session, answer = recalled
            yield from _items(seen, session, answer)
            _end(session, answer)
            return None

        return instead

    def astream(
        self, seen: Observation, function: Callable[..., AsyncGenerator[Any, Any]]
    ) -> Callable[..., AsyncGenerator[Any, Any]]:
        """Return what is called in an async generator function's place."""
        if seen.edited is not None:
            return _amending_items(seen, function)
        if seen.answers is None or in_force() is None:
            return function

        async def instead(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            recalled = recall()
            if recalled is None:
                async for item in function(*args, **kwargs):
                    yield item
                return
            session, answer = recalled
            await session.order.turn(answer.step)
            for item in _items(seen, session, answer):
                yield item
            _end(session, answer)

        return instead


def recall(step: OpenStep | None = None) -> tuple[Session, Recalled] | None:
    """Return the answer to the step that is current, or to one that is named; None where the call is to be made.

    For adapters whose framework makes the call elsewhere than where its step is told.

    Raises:
        DivergenceError: the record does not know what it asks.
    """
    session, here = in_force(), step or current()
    if session is None or not isinstance(here, OpenStep) or semconv.RUNS_AGAIN in here.attributes:
        return None
    answer = session.answer(here)
    return None if answer is None else (session, answer)


def result_of(
    recalled: tuple[Session, Recalled], make: Callable[[Recalled], Any], step: OpenStep | None = None
) -> Any:
    """Return the result of a call, made from its answer; raise, where the recorded call did.

    Raises:
        DivergenceError: the answer cannot be made again.
    """
    session, answer = recalled
    _end(session, answer)
    return _made(session, answer, functools.partial(make, answer))


def _amending_result(
    edited: Callable[[Callable[[Any], Any], Any], Any], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function whose result is what an edit makes of it, where there is one."""

    def amended(*args: Any, **kwargs: Any) -> Any:
        result, change = function(*args, **kwargs), _change()
        return result if change is None else edited(change, result)

    return amended


def _amending(
    edited: Callable[[Callable[[Any], Any], Any], Any], function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """Return the same of a coroutine function."""

    async def amended(*args: Any, **kwargs: Any) -> Any:
        result, change = await function(*args, **kwargs), _change()
        return result if change is None else edited(change, result)

    return amended


def _amending_items(
    seen: Observation, function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return the same of an async generator function: its result is the item that is kept."""

    async def amended(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        assert seen.edited is not None
        async with aclosing(function(*args, **kwargs)) as items:
            async for item in items:
                change = _change() if seen.keeps is not None and seen.keeps(item) else None
                yield item if change is None else seen.edited(change, item)

    return amended


def _change() -> Callable[[Any], Any] | None:
    """Return what an edit makes of what the current step produces; None where nothing does, or nobody replays."""
    session, here = in_force(), current()
    return session.output_edit(here) if session is not None and isinstance(here, OpenStep) else None


def _answered(seen: Observation) -> Any:
    recalled = recall()
    assert seen.answers is not None
    return NOTHING if recalled is None else result_of(recalled, seen.answers)


def _items(seen: Observation, session: Session, answer: Recalled) -> Any:
    assert seen.answers is not None
    return _made(session, answer, functools.partial(seen.answers, answer))


def _end(session: Session, answer: Recalled) -> None:
    """Raise what the recorded call raised."""
    if answer.is_other or answer.step.status not in ("error", "interrupted"):
        return
    error = _made(session, answer, answer.error)
    if error is None and answer.step.produced is None:
        here = current()
        assert isinstance(here, OpenStep)
        raise session.diverged(
            here, "unmade", f"it failed with {answer.step.error}, of which only the text was kept"
        )
    if error is not None:
        raise error


def _made(session: Session, answer: Recalled, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except UnmadeError as unmade:
        here = current()
        assert isinstance(here, OpenStep)
        raise session.diverged(here, "unmade", str(unmade)) from None
