"""The app that a replay calls: what a framework's adapter drives, or a function that takes the recorded input."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from becausal import semconv
from becausal.answers.comparison.counterparts import entries_of
from becausal.errors import ReplayError
from becausal.redaction import shown
from becausal.replay.adapter import Entry, ReplayAdapter
from becausal.replay.trying import Tried, app_module, building
from becausal.step import Step

__all__ = ["App", "found_app", "imported", "tops"]


@dataclass(frozen=True, slots=True)
class App:
    """What is called, and who knows how."""

    target: Any
    adapter: ReplayAdapter | None
    """None: a function that takes the input, or nothing."""

    def run(self, entry: Entry) -> Any:
        """Call it as it was called; returns its result, or an awaitable of it."""
        if self.adapter is not None:
            return self.adapter.run(self.target, entry)
        return self.target(entry.given) if self.takes_input else self.target()

    @property
    def takes_input(self) -> bool:
        """Whether it is given what was recorded; a function without parameters knows what to begin with."""
        return self.adapter is not None or _takes_input(self.target)

    def roots(self) -> Iterator[object]:
        """Yield what leads to the classes that the app's own code can name."""
        if self.adapter is None:
            yield inspect.unwrap(self.target) if inspect.isroutine(self.target) else type(self.target)
        else:
            yield from self.adapter.roots(self.target)


def found_app(
    app: object,
    adapters: Sequence[ReplayAdapter],
    steps: Sequence[Step],
    trying: Callable[[Callable[[], Any]], Tried],
) -> App:
    """Return the app that was given: an object or a function.

    A function that can be called with nothing and returns an app of a framework's is a factory; a coroutine function
    is one where an adapter says so, by what it is declared to return. One that begins a run when it is tried is the
    app itself.

    Args:
        app: what was given.
        adapters: of the frameworks that are there.
        steps: of the recorded run.
        trying: calls a function that may be a factory.

    Raises:
        ReplayError: it is nothing that can be called.
    """
    target: Any = app
    adapter = _driver(target, adapters)
    if adapter is not None and inspect.iscoroutinefunction(target):
        return found_app(_made(target), adapters, steps, trying)
    if adapter is None and callable(target) and _may_be_factory(target, steps):
        tried = trying(target)
        if (driver := _driver(tried.made, adapters)) is not None:
            return App(tried.made, driver)
        if not tried.began and not _takes_input(target):
            if tried.error is not None:
                raise _no_app(target, tried.error) from tried.error
            raise ReplayError(
                f"{_named(target)} takes nothing and returned {type(tried.made).__name__}, which no adapter can run: "
                "give a graph, a team, or a function that takes the recorded input"
            )
    if adapter is None and not callable(target):
        raise ReplayError(
            f"a {type(target).__name__} cannot be run: give a graph, a team, a function or 'module:name'"
        )
    return App(target, adapter)


def tops(steps: Sequence[Step], app: App) -> list[Step]:
    """Return the steps with which a run was called from outside, in their order.

    For a framework's own app that was called in the course of an own request: the steps right below that.
    """
    return entries_of(steps, within_frames=app.adapter is not None)


def _made(factory: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a coroutine function makes, whether or not the caller stands in an event loop."""
    try:
        with building(), ThreadPoolExecutor(1) as thread:
            return thread.submit(contextvars.copy_context().run, asyncio.run, factory()).result()
    except (Exception, SystemExit) as failure:
        raise _no_app(factory, failure) from failure


def _no_app(factory: Any, failure: BaseException) -> ReplayError:
    return ReplayError(f"{_named(factory)}, which is to make the app, {_raised(failure)}")


def _driver(target: object, adapters: Sequence[ReplayAdapter]) -> ReplayAdapter | None:
    return next((adapter for adapter in adapters if adapter.drives(target)), None)


def imported(place: str) -> Any:
    """Return what `module:name` names.

    Raises:
        ReplayError: there is no such thing.
    """
    module_name, colon, path = place.partition(":")
    if not colon or not module_name or not path:
        raise ReplayError(f"{place!r} names no app: write module:name, such as my_app.graphs:graph")
    if "" not in sys.path and os.getcwd() not in sys.path:  # as `python -m` does
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = app_module(module_name, lambda: importlib.import_module(module_name))
    except ModuleNotFoundError as missing:
        if missing.name is not None and f"{module_name}.".startswith(f"{missing.name}."):
            raise ReplayError(
                f"there is no module {missing.name!r} to find {place!r} in: ask in the directory where the app is, or "
                "name an installed module"
            ) from missing
        raise ReplayError(
            f"{module_name}, which has the app, imports {missing.name!r}, which is not there"
        ) from missing
    except ReplayError:
        raise
    except (Exception, SystemExit) as failure:
        raise ReplayError(
            f"{module_name}, which has the app, {_raised(failure)} when it was imported"
        ) from failure
    for name in path.split("."):
        if not hasattr(found, name):
            raise ReplayError(f"{module_name} has no {path!r}")
        found = getattr(found, name)
    return found


def _may_be_factory(target: Callable[..., Any], steps: Sequence[Step]) -> bool:
    """Whether a function may make the app: it needs nothing, and says nothing to the contrary.

    One whose parameters have defaults may as well take the input, and does where there is no framework's app to make.
    """
    if inspect.iscoroutinefunction(target) or _needs_input(target) or _is_main(target):
        return False
    return not _takes_input(target) or any(
        step.kind in ("workflow", "agent", "request") and semconv.OWN_CODE not in step.attributes
        for step in steps
    )


def _is_main(target: Callable[..., Any]) -> bool:
    """Whether a function without parameters is the app itself: it says that it returns nothing, or text."""
    hint = getattr(target, "__annotations__", {}).get("return", "")
    return hint in (None, "None", str, "str")


def _takes_input(target: Callable[..., Any]) -> bool:
    """Whether a function can be given something."""
    given = _parameters(target)
    return given is None or bool(given)


def _needs_input(target: Callable[..., Any]) -> bool:
    """Whether a function cannot be called with nothing."""
    given = _parameters(target)
    return given is None or any(
        parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
        for parameter in given
    )


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return what a function can be given by position; None where it does not say."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        parameter
        for parameter in parameters
        if parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
    ]


def _raised(failure: BaseException) -> str:
    """Return what was raised and where; its text without secrets."""
    if isinstance(failure, SyntaxError):
        said, file, line = failure.msg, failure.filename, failure.lineno
    else:
        *_, frame = traceback.extract_tb(failure.__traceback__)
        said, file, line = str(failure), frame.filename, frame.lineno
    text = f": {shown(said)}" if said else ""
    return f"raised {type(failure).__qualname__}{text} ({file}, line {line})"


def _named(target: Any) -> str:
    return str(getattr(target, "__qualname__", type(target).__qualname__))
