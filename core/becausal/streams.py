"""Stand-ins for generators that record their life without changing it.

A generator's body runs in its reader's context, piece by piece. So no token is ever held across a `yield`: each piece
runs in a scope of its own, and what the generator itself attached is kept for the next piece and never leaks to the
reader. The step ends when the generator is exhausted, fails, is closed, or is left to the garbage collector; not when
a call of it is merely refused (it was running already).

The stand-ins are `wrapt` proxies, so that `isinstance`, `inspect.isasyncgen` and the event loop's own finalizers
see the generator they expect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import wrapt
from opentelemetry.context import Context

from becausal.context import attach, context_now
from becausal.observation import status_of
from becausal.step import Status

__all__ = ["AsyncStream", "Pieces", "SyncStream", "Telling"]


class Telling(Protocol):
    """What a stand-in tells of the stream it stands for."""

    def begin(self) -> Context | None:
        """The first item was asked for; returns the context to run in, or None where nothing is recorded."""

    def item(self, item: object) -> None:
        """An item is on its way to the reader."""

    def end(self, status: Status, error: BaseException | None = None) -> None:
        """It is over; told once or more often, only the first counts."""


if TYPE_CHECKING:  # generic in the stubs alone
    _Proxy = wrapt.ObjectProxy[Any]
else:
    _Proxy = wrapt.ObjectProxy


class _Stream(_Proxy):
    """What both kinds share: the context of the body, and how its life is told."""

    def __init__(self, wrapped: Any, telling: Telling) -> None:
        super().__init__(wrapped)
        self._self_telling = telling
        self._self_context: Context | None = None
        self._self_begun = False

    def _begin(self) -> None:
        if not self._self_begun:
            self._self_begun = True
            self._self_context = self._self_telling.begin()

    def _failed(self, error: BaseException, frame: str) -> None:
        # A generator that still has its frame lives on: it refused the call (it was running, or not started yet).
        if getattr(self.__wrapped__, frame, None) is None:
            self._self_telling.end(status_of(error), error)

    def __del__(self) -> None:
        self._self_telling.end("abandoned")


class SyncStream(_Stream):
    """Stands for a generator."""

    def __iter__(self) -> SyncStream:
        return self

    def __next__(self) -> Any:
        return self._piece(self.__wrapped__.__next__)

    def send(self, value: Any) -> Any:
        """As the generator's own."""
        return self._piece(self.__wrapped__.send, value)

    def throw(self, *args: Any) -> Any:
        """As the generator's own."""
        return self._piece(self.__wrapped__.throw, *args)

    def close(self) -> None:
        """As the generator's own."""
        self._self_begun = True  # closed unread: it never runs
        try:
            self._run(self.__wrapped__.close)
        except BaseException as error:
            self._failed(error, "gi_frame")
            raise
        self._self_telling.end("closed")

    def _piece(self, function: Callable[..., Any], *args: Any) -> Any:
        self._begin()
        try:
            item = self._run(function, *args)
        except StopIteration:
            self._self_telling.end("ok")
            raise
        except BaseException as error:
            self._failed(error, "gi_frame")
            raise
        self._self_telling.item(item)
        return item

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        mine = self._self_context
        if mine is None:
            return function(*args)
        former = context_now()
        attach(mine)
        try:
            return function(*args)
        finally:
            self._self_context = context_now()
            attach(former)


class AsyncStream(_Stream):
    """Stands for an async generator."""

    def __aiter__(self) -> AsyncStream:
        return self

    # Each gives the one coroutine that does the work: what asks for a piece passes no frame beside that.

    def __anext__(self) -> Coroutine[Any, Any, Any]:
        return self._piece(self.__wrapped__.__anext__)

    def asend(self, value: Any) -> Coroutine[Any, Any, Any]:
        """As the generator's own."""
        return self._piece(self.__wrapped__.asend, value)

    def athrow(self, *args: Any) -> Coroutine[Any, Any, Any]:
        """As the generator's own."""
        return self._piece(self.__wrapped__.athrow, *args)

    async def aclose(self) -> None:
        """As the generator's own."""
        self._self_begun = True  # closed unread: it never runs
        try:
            await self._run(self.__wrapped__.aclose)
        except BaseException as error:
            self._failed(error, "ag_frame")
            raise
        self._self_telling.end("closed")

    async def _piece(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        if not self._self_begun:
            self._begin()
        try:
            # As `_run` does it, in this frame: streams are made of pieces.
            mine = self._self_context
            if mine is None:
                item = await function(*args)
            else:
                former = context_now()
                attach(mine)
                try:
                    item = await function(*args)
                finally:
                    self._self_context = context_now()
                    attach(former)
        except StopAsyncIteration:
            self._self_telling.end("ok")
            raise
        except BaseException as error:
            self._failed(error, "ag_frame")
            raise
        self._self_telling.item(item)
        return item

    async def _run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        mine = self._self_context
        if mine is None:
            return await function(*args)
        former = context_now()
        attach(mine)
        try:
            return await function(*args)
        finally:
            self._self_context = context_now()
            attach(former)


class Pieces(AsyncStream):
    """Tells the life of a stream that is no generator: who hooks its methods runs each call of them through here.

    For a framework's own stream class, whose objects the app must get as they are.
    """

    def __init__(self, telling: Telling) -> None:
        super().__init__(None, telling)

    async def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Await a call that brings the next piece, or the rest, in the stream's own context."""
        return await self._piece(function, *args)

    async def leave(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Await the call with which the reader closes the stream."""
        self._self_begun = True  # closed unread: it never runs
        result = await self._run(function, *args)
        self._self_telling.end("closed")
        return result
