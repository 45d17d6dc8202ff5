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
from typing import ParamSpec, Protocol, TypeVar

from becausal import settings

__all__ = ["Keeper", "failures", "guarded", "keepers", "note_failure"]

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
    name = getattr(function, "__qualname__", type(function).__qualname__)  # a partial has none
    place = f"{getattr(function, '__module__', '?')}.{name}"

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
