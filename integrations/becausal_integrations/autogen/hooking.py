"""Hooks for methods that may be coroutine functions, generator functions, or plain ones that give either."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from becausal.context import current
from becausal.guard import guarded
from becausal.observation import Observation
from becausal.recorder import Recorder
from becausal.standin import FunctionStandIn
from becausal_integrations.patch import Make, Notice, noticing, observing

__all__ = ["noticed", "observed", "request_around", "unless"]


def observed(recorder: Recorder, seen: Observation) -> Make:
    """Return what makes a hook that records each call as a step."""
    return lambda original: _observing(recorder, original, seen)


def unless(passes: Callable[[type, type], bool], make_inside: Make) -> Make:
    """Return what makes a coroutine method's hook that a call goes past of which there is nothing to be told.

    For what a framework calls for each of its messages: `passes` takes the classes of the method's object and of its
    first argument, and is asked once for each two.
    """
    # By identity: a class of the app's may have a metaclass that defines `__hash__`. Held, or another may have that id.
    known: dict[tuple[int, int], tuple[type, type]] = {}

    @guarded
    def goes_past(owner: Any, first: Any, *_: Any, **__: Any) -> bool:
        kinds = type(owner), type(first)
        is_past = passes(*kinds)
        if is_past:
            known[id(kinds[0]), id(kinds[1])] = kinds
        return is_past

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        inside = make_inside(original)

        @functools.wraps(original)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            if len(args) > 1 and (id(type(args[0])), id(type(args[1]))) in known:
                return await original(*args, **kwargs)
            return await (original if goes_past(*args, **kwargs) else inside)(*args, **kwargs)

        return awaited

    return make


def request_around(recorder: Recorder, make_inside: Make, request: Observation) -> Make:
    """Return what makes a hook that is a request as well where it is called outside every chain.

    Within one, which is nearly always, the call goes past what would find that it is no request.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        inside = make_inside(original)
        outside = _observing(recorder, inside, request)

        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                return await (outside if current() is None else inside)(*args, **kwargs)

            return awaited

        def either(*args: Any, **kwargs: Any) -> Any:
            return (outside if current() is None else inside)(*args, **kwargs)

        if inspect.isasyncgenfunction(original):
            return FunctionStandIn(
                original,
                lambda _, instance, args, kwargs: either(
                    *(args if instance is None else (instance, *args)), **kwargs
                ),
            )
        return functools.wraps(original)(either)

    return make


def _observing(recorder: Recorder, original: Callable[..., Any], seen: Observation) -> Callable[..., Any]:
    """Return a method's hook, also where a plain function gives what a coroutine or generator function would.

    AutoGen declares `create_stream` and its like as plain functions that return an async generator, and some are.
    """
    if inspect.iscoroutinefunction(original) or inspect.isasyncgenfunction(original):
        return observing(recorder, original, seen)
    seam = recorder.astream if original.__name__.endswith("_stream") else recorder.acall

    @functools.wraps(original)
    def seen_call(*args: Any, **kwargs: Any) -> Any:
        return seam(seen, original, *args, **kwargs)

    return seen_call


def noticed(recorder: Recorder, bookkeeping: Notice) -> Make:
    """Return what makes a hook for bookkeeping."""
    return lambda original: noticing(recorder, original, bookkeeping)
