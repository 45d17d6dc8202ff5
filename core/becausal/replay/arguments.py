"""What a tool of the app's own is called with, where an edit has made something else of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from becausal.errors import ReplayError
from becausal.observation import Opening

__all__ = ["arguments"]


def arguments(
    opening: Opening,
    given: object,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a tool is called with, by position and by name.

    Args:
        opening: of the tool's step.
        given: what the edit gave: the arguments by the names under which they are recorded.
        function: the tool.
        args: what it would be called with.
        kwargs: the same, by name.

    Raises:
        ReplayError: the edit gave no arguments.
    """
    if not isinstance(given, Mapping):
        raise ReplayError(
            f"the edit of what tool {opening.name!r} received gives a {type(given).__name__}: its arguments are a "
            "dict, by their names; one of them alone is changed with .field(name)"
        )
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # they are recorded by their numbers: see `becausal.own`
        numbers = [str(index) for index in range(len(args))]
        by_name = {name: value for name, value in given.items() if name not in numbers}
        return tuple(given[number] for number in numbers if number in given), by_name
    bound.arguments = dict(given)
    return bound.args, bound.kwargs
