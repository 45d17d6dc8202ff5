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
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from becausal import settings

__all__ = ["failures", "guarded", "note_failure", "tellers"]

P = ParamSpec("P")
R = TypeVar("R")

log: logging.Logger = logging.getLogger("becausal")

failures: Counter[str] = Counter()
"""How often each place failed, by its qualified name."""

tellers: list[Callable[[str], object]] = []
"""Called with the place of each failure: whoever keeps a record says there that something is missing from it."""


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
    for tell in tuple(tellers):
        with contextlib.suppress(Exception):  # it failed already, and is counted here
            tell(place)
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
