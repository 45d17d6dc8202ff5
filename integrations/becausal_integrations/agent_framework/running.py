"""Calls that give an awaitable or a stream, as the caller's `stream` argument says.

`Agent.run`, `Workflow.run` and a chat client's `_inner_get_response` are plain functions that give either. The function
itself is called as it was: what it refuses it refuses at once, and it gives the very stream that it gave, which is the
lock of a workflow's run (agent-framework-core 1.23, `_workflows/_workflow.py`, `_active_run`).
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from opentelemetry.context import Context

from becausal.context import Scope
from becausal.recorder import Observation, Recorder
from becausal.step import Status
from becausal.streams import Pieces
from becausal.telling import StreamTelling
from becausal_integrations.agent_framework.describe import is_stream
from becausal_integrations.patch import Make

__all__ = ["Streams"]


class Streams:
    """The streams that are told, for as long as they live, and the hooks that tell them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told: weakref.WeakKeyDictionary[Any, Pieces] = weakref.WeakKeyDictionary()

    def running(self, *seen: Observation) -> Make:
        """Return what makes a hook that tells each call as steps, the first around the others."""
        return lambda original: self._hook(original, seen)

    def piecewise(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return the hook of a stream's method that brings an item or the final response."""

        @functools.wraps(original)
        async def piece(stream: Any) -> Any:
            pieces = self._told.get(stream)
            return await (original(stream) if pieces is None else pieces.run(original, stream))

        return piece

    def closing(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return the hook of the method with which a reader closes a stream."""

        @functools.wraps(original)
        async def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
            # With an exception the framework itself closes it, on the way out of the piece that failed.
            pieces = None if args or kwargs else self._told.get(stream)
            call = functools.partial(original, stream, *args, **kwargs)
            return await (call() if pieces is None else pieces.leave(call))

        return close

    def resolving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the hook of a stream's `__await__`, which prepares the run."""

        @functools.wraps(original)
        def resolve(stream: Any) -> Any:
            pieces = self._told.get(stream)
            if pieces is None:
                return original(stream)
            return pieces.run(_Awaiting, functools.partial(original, stream)).__await__()

        return resolve

    # Inside

    def _hook(self, original: Callable[..., Any], seen: Sequence[Observation]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                if not self._recorder.active:
                    return await original(*args, **kwargs)
                return await self._follow(original(*args, **kwargs), seen, args, kwargs)

            return run_async

        @functools.wraps(original)
        def run(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            return self._follow(result, seen, args, kwargs) if self._recorder.active else result

        return run

    def _follow(
        self, result: Any, seen: Sequence[Observation], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Return what a call gave, now told."""
        if is_stream(result):
            return self._tell(result, seen, args, kwargs)
        if not inspect.isawaitable(result):
            return result
        if kwargs.get("stream"):
            return self._arrived(result, seen, args, kwargs)
        function: Callable[..., Any] = _Given(result)
        for observation in reversed(seen):
            function = functools.partial(self._recorder.acall, observation, function)
        call = function(*args, **kwargs)
        if inspect.iscoroutine(result):  # Python names it where nobody awaits it
            call.__name__, call.__qualname__ = result.__name__, result.__qualname__
        return call

    async def _arrived(
        self, result: Awaitable[Any], seen: Sequence[Observation], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        stream = await result
        return self._tell(stream, seen, args, kwargs) if is_stream(stream) else stream

    def _tell(
        self, stream: Any, seen: Sequence[Observation], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        # Of an agent's layers each returns the stream of the one below, or one around it: the outermost counts.
        tellings = [StreamTelling(self._recorder, observation, args, kwargs) for observation in seen]
        self._told[stream] = Pieces(_Telling(weakref.ref(stream), tellings))
        return stream


class _Telling:
    """Tells a stream by the final response that the framework itself makes of its items."""

    def __init__(self, stream: weakref.ref[Any], tellings: Sequence[StreamTelling]) -> None:
        self._stream, self._tellings = stream, tellings

    def begin(self) -> Context | None:
        context: Context | None = None
        for telling in self._tellings:
            if context is None:
                context = telling.begin()
            else:
                with Scope(context):
                    context = telling.begin() or context
        return context

    def item(self, item: object) -> None:
        """Nothing: a piece of an answer is no answer."""
        stream = self._stream()
        if stream is not None and stream._finalized and stream._consumed:
            self.end("ok")  # read by `get_final_response` alone

    def end(self, status: Status, error: BaseException | None = None) -> None:
        stream = self._stream()
        for telling in reversed(self._tellings):
            if status == "ok" and stream is not None and stream._finalized:
                telling.item(stream._final_result)
            telling.end(status, error)


class _Given:
    """Gives an awaitable that is there already, once; one that nobody came for is closed with what was to come."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable: Awaitable[Any] | None = awaitable

    def __call__(self, *_: Any, **__: Any) -> Awaitable[Any]:
        awaitable, self._awaitable = self._awaitable, None
        assert awaitable is not None
        return awaitable

    def __del__(self) -> None:
        if inspect.iscoroutine(self._awaitable):
            self._awaitable.close()


class _Awaiting:
    """Awaits what an `__await__` gives."""

    def __init__(self, awaiting: Callable[[], Any]) -> None:
        self._awaiting = awaiting

    def __await__(self) -> Any:
        return self._awaiting()
