"""The app that a replay calls: what a framework's adapter drives, or a function that takes the recorded input."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from becausal import semconv
from becausal.errors import ReplayError
from becausal.replay.adapter import Entry, ReplayAdapter
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


def found_app(app: object, adapters: Sequence[ReplayAdapter]) -> App:
    """Return the app that was given: an object or a function.

    A function without parameters that returns an app of a framework's is a factory, and called once; a coroutine
    function is one where an adapter says so, by what it is declared to return.

    Raises:
        ReplayError: it is nothing that can be called.
    """
    target: Any = app
    adapter = _driver(target, adapters)
    if adapter is not None and inspect.iscoroutinefunction(target):
        return found_app(_made(target), adapters)
    if adapter is None and callable(target) and _is_factory(target):
        made = target()
        if (driver := _driver(made, adapters)) is not None:
            return App(made, driver)
        raise ReplayError(
            f"{_named(target)} takes nothing and returned {type(made).__name__}, which no adapter can run: give a "
            "graph, a team, or a function that takes the recorded input"
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
    ids = {step.id for step in steps}
    above = {step.id for step in steps if step.parent_id not in ids}
    if app.adapter is not None:
        while frames := {step.id for step in steps if step.id in above and _is_frame(step)}:
            above = (above - frames) | {step.id for step in steps if step.parent_id in frames}
    return [step for step in steps if step.id in above and step.kind != "handoff"]


def _made(factory: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a coroutine function makes, whether or not the caller stands in an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, factory()).result()


def _is_frame(step: Step) -> bool:
    return step.kind == "request" and semconv.ENTRY not in step.attributes


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
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        raise ReplayError(f"there is no module {missing.name!r} to find {place!r} in") from missing
    for name in path.split("."):
        if not hasattr(found, name):
            raise ReplayError(f"{module_name} has no {path!r}")
        found = getattr(found, name)
    return found


def _is_factory(target: Callable[..., Any]) -> bool:
    return not inspect.iscoroutinefunction(target) and not _takes_input(target) and not _is_main(target)


def _is_main(target: Callable[..., Any]) -> bool:
    """Whether a function without parameters is the app itself: it says that it returns nothing, or text."""
    hint = getattr(target, "__annotations__", {}).get("return", "")
    return hint in (None, "None", str, "str")


def _takes_input(target: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(
        parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
        for parameter in parameters
    )


def _named(target: Any) -> str:
    return str(getattr(target, "__qualname__", type(target).__qualname__))
