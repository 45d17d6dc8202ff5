"""The one place where our own failures are swallowed.

Whatever becausal does inside the application's call runs under `guarded`. A failure there is logged once
for each place, with its traceback, and always counted; the application never sees it. Under
`BECAUSAL_STRICT=1` it is let out, which is how our tests run. Logged, not warned of: under `-W error` a
warning would be raised into the application.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, ParamSpec, Protocol, TypeVar

from becausal import settings

__all__ = [
    "Doing",
    "Keeper",
    "Scoping",
    "around",
    "around_async",
    "failures",
    "guarded",
    "keepers",
    "note_failure",
]

P = ParamSpec("P")
R = TypeVar("R")

log: logging.Logger = logging.getLogger("becausal")


class Keeper(Protocol):
    """Keeps a record, and says there what is missing from it."""

    def failed(self, place: str) -> None:
        """Count a failure of ours, given the qualified name of its place."""


failures: Counter[str] = Counter()
"""How often each place failed, by its qualified name."""

keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()
"""Who is told of each failure."""


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """Return a function that gives None where this one raises an `Exception`.

    `BaseException`s that are no `Exception` (KeyboardInterrupt, a cancellation) pass: they are the
    application's.
    """
    place = _place_of(function)

    @functools.wraps(function)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as failure:
            note_failure(place, failure)
            return None

    return safe


def note_failure(place: str, failure: Exception) -> None:
    """Count a failure of ours, log the first of its place, and let it out where tests ask for that."""
    failures[place] += 1
    for keeper in list(keepers):
        with contextlib.suppress(Exception):  # it failed already, and is counted here
            keeper.failed(place)
    if settings.is_strict():
        raise failure
    if failures[place] == 1:
        with contextlib.suppress(Exception):  # a filter of the app's may fail too
            log.error(
                "becausal failed in %s; the application goes on, with less recorded. Further failures here are "
                "counted in becausal.guard.failures and not logged.",
                place,
                exc_info=failure,
            )


class Switch(Protocol):
    """Says whether anything of ours is to be done at all."""

    active: bool


Before = Callable[..., Any]
"""Takes what a function takes, returns a token for what comes after."""
After = Callable[[Any, Any, BaseException | None], object]
"""Takes the token, the result and the exception."""
Scoping = Callable[[Any, tuple[Any, ...], dict[str, Any]], AbstractContextManager[None] | None]
"""Takes the token and the arguments, returns what to run in, or None."""
Asking = Callable[[Any], object]
"""Takes the first argument; None says that nothing of ours is to be done."""


class Doing(NamedTuple):
    """What is done around a function's calls; all of it guarded."""

    before: Before | None = None
    after: After | None = None
    """Without a `before`, its token is the tuple of the arguments."""
    scope: Scoping | None = None
    """What the function is to run in."""
    when: Asking | None = None
    """Asked first."""
    needs_token: bool = False
    """Whether there is nothing to do after what `before` gave no token for."""


_PASSED: Final = object()
"""The token of a call that means nothing to us."""


# Ten calls of a framework for each of its steps pass through these two, which differ by `await` alone. So what is ours
# is guarded in the hook's own frame: each `guarded` would be one more.


def around(switch: Switch, original: Callable[..., Any], doing: Doing) -> Callable[..., Any]:
    """Return a function that does something of ours around another, and has its results and its exceptions.

    While the switch is off, nothing of ours is done.
    """
    if doing.when is not None:
        return _asking(switch, original, doing.when, around(switch, original, doing._replace(when=None)))
    if doing.before is not None and doing.after is None and doing.scope is None:
        return _ahead(switch, original, doing.before)
    after, scope, nothing = doing.after, doing.scope, None if doing.needs_token else _PASSED
    opens = doing.before
    opening, scoping, closing = map(_place_of, (opens, scope, after))

    def around_call(*args: Any, **kwargs: Any) -> Any:
        if not switch.active:
            return original(*args, **kwargs)
        token: Any = args
        if opens is not None:
            try:
                token = opens(*args, **kwargs)
            except Exception as failure:
                token = None
                note_failure(opening, failure)
            if token is nothing:
                return original(*args, **kwargs)
        result, error, within = None, None, None
        try:
            if scope is not None:
                try:
                    within = scope(token, args, kwargs)
                except Exception as failure:
                    note_failure(scoping, failure)
            if within is None:
                result = original(*args, **kwargs)
            else:
                with within:
                    result = original(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if after is not None:
                try:
                    after(token, result, error)
                except Exception as failure:
                    note_failure(closing, failure)
            error = None  # its traceback holds this frame
        return result

    return around_call


def around_async(switch: Switch, original: Callable[..., Any], doing: Doing) -> Callable[..., Any]:
    """Return the same of a coroutine function."""
    if doing.when is not None:
        whole = around_async(switch, original, doing._replace(when=None))
        return _asking_async(switch, original, doing.when, whole)
    if doing.before is not None and doing.after is None and doing.scope is None:
        return _ahead_async(switch, original, doing.before)
    after, scope, nothing = doing.after, doing.scope, None if doing.needs_token else _PASSED
    opens = doing.before
    opening, scoping, closing = map(_place_of, (opens, scope, after))

    async def around_call(*args: Any, **kwargs: Any) -> Any:
        if not switch.active:
            return await original(*args, **kwargs)
        token: Any = args
        if opens is not None:
            try:
                token = opens(*args, **kwargs)
            except Exception as failure:
                token = None
                note_failure(opening, failure)
            if token is nothing:
                return await original(*args, **kwargs)
        result, error, within = None, None, None
        try:
            if scope is not None:
                try:
                    within = scope(token, args, kwargs)
                except Exception as failure:
                    note_failure(scoping, failure)
            if within is None:
                result = await original(*args, **kwargs)
            else:
                with within:
                    result = await original(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if after is not None:
                try:
                    after(token, result, error)
                except Exception as failure:
                    note_failure(closing, failure)
            error = None  # its traceback holds this frame
        return result

    return around_call


# Most calls mean nothing to us, or nothing once they are over: they pass through as little as can be.


def _ahead(switch: Switch, original: Callable[..., Any], before: Before) -> Callable[..., Any]:
    """Return a function that does something of ours before another, and nothing after it."""
    opening = _place_of(before)

    def ahead(*args: Any, **kwargs: Any) -> Any:
        if switch.active:
            try:
                before(*args, **kwargs)
            except Exception as failure:
                note_failure(opening, failure)
        return original(*args, **kwargs)

    return ahead


def _ahead_async(switch: Switch, original: Callable[..., Any], before: Before) -> Callable[..., Any]:
    """Return the same of a coroutine function."""
    opening = _place_of(before)

    async def ahead(*args: Any, **kwargs: Any) -> Any:
        if switch.active:
            try:
                before(*args, **kwargs)
            except Exception as failure:
                note_failure(opening, failure)
        return await original(*args, **kwargs)

    return ahead


def _asking(
    switch: Switch, original: Callable[..., Any], when: Asking, whole: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function that is `whole` where something of ours is to be done, else the original."""
    opening = _place_of(when)

    def asking(*args: Any, **kwargs: Any) -> Any:
        called = original
        if switch.active:
            try:
                if when(args[0]) is not None:
                    called = whole
            except Exception as failure:
                note_failure(opening, failure)
        return called(*args, **kwargs)

    return asking


def _asking_async(
    switch: Switch, original: Callable[..., Any], when: Asking, whole: Callable[..., Any]
) -> Callable[..., Any]:
    """Return the same of a coroutine function."""
    opening = _place_of(when)

    async def asking(*args: Any, **kwargs: Any) -> Any:
        called = original
        if switch.active:
            try:
                if when(args[0]) is not None:
                    called = whole
            except Exception as failure:
                note_failure(opening, failure)
        return await called(*args, **kwargs)

    return asking


def _place_of(function: Callable[..., Any] | None) -> str:
    """Return the name under which failures of a function are counted."""
    name = getattr(function, "__qualname__", type(function).__qualname__)  # a partial has none
    return f"{getattr(function, '__module__', '?')}.{name}"
