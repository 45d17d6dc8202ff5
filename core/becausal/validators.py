"""The app's own checks of what its tools answer: `@becausal.validator("search")`.

    @becausal.validator("search")
    def has_results(response):
        return len(response["hits"]) > 0 or "search found nothing"

A validator is called with the answer as plain data, as it was when the tool returned. It says that the answer is fine
with None or True, and what is wrong with False, a text, several texts, or a failed `assert`. It runs on a thread of its
own after the call has ended, so it costs the app nothing and cannot change what it got. One that raises or answers
something else is told of on the step as such; one that blocks is given up.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from opentelemetry.context import Context

from becausal import canonical, semconv
from becausal.context import Scope
from becausal.guard import guarded
from becausal.observation import Sealed
from becausal.step import OpenStep

__all__ = ["Validators", "validator", "validators_of"]

log: logging.Logger = logging.getLogger("becausal")

Check = Callable[[Any], object]
"""Takes an answer as plain data."""

F = TypeVar("F", bound=Check)

MOST_WAITING = 1_000
"""Answers that wait to be validated; one beyond is counted as a gap."""

MOST_SECONDS = 10.0
"""A validator that takes longer is given up, and not asked again."""

MOST_SAID = 8
"""So many things that a validator finds wrong with one answer are kept."""

WIDEST = 300
"""Characters of each that are kept."""

_registered: dict[str, list[Check]] = {}


def validator(tool: str) -> Callable[[F], F]:
    """Register a function as a check of what a tool answers.

    Args:
        tool: the tool's name, as its steps have it.
    """
    if not isinstance(tool, str):
        raise TypeError(
            f"a validator is registered for a tool's name: @becausal.validator('search'), not {tool!r}"
        )

    def register(check: F) -> F:
        _registered.setdefault(tool, []).append(check)
        return check

    return register


def validators_of(tool: str) -> tuple[Check, ...]:
    """Return the checks that are registered for a tool."""
    return tuple(_registered.get(tool, ()))


class Validators:
    """Runs validators after their calls have ended."""

    def __init__(self, save: Callable[[OpenStep], None], count_gap: Callable[[str], None]) -> None:
        self._save, self._count_gap = save, count_gap
        self._answers: dict[str, object] = {}
        self._queue: deque[tuple[OpenStep, object]] = deque()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._given_up: set[Check] = set()

    def produced(self, step: OpenStep, value: object) -> None:
        """Fix what a tool answered, if anybody wants to see it."""
        if step.kind != "tool" or step.name not in _registered:
            return
        if isinstance(value, Sealed):
            bodies = dict(value.bodies)
            body = bodies.get(canonical.parse_digest(value.payload.digest))
            if body is None:  # handed out before, to another step
                self._count_gap("answer not validated")
            else:
                self._answers[step.id] = canonical.decode(body, bodies.get)
        else:
            self._answers[step.id] = canonical.plain(value)

    def ended(self, step: OpenStep) -> None:
        """Have a step's answer validated; its checks are saved when that is done."""
        if step.id not in self._answers:
            return
        answer = self._answers.pop(step.id)
        with self._changed:
            if len(self._queue) >= MOST_WAITING:
                self._count_gap("answer not validated")
                return
            self._queue.append((step, answer))
            if self._thread is None:
                self._thread = _started(self._run)

    def wait(self, timeout: float) -> bool:
        """Wait until all that ended so far is validated; False when the time was up."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def forget(self) -> None:
        """Begin anew, in a child of a fork: what waits is the parent's."""
        self._answers, self._queue, self._thread = {}, deque(), None
        self._changed = threading.Condition()

    # Inside

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._queue:
                    self._thread = None
                    self._changed.notify_all()
                    return
                step, answer = self._queue[0]
            self._validate(step, answer)
            with self._changed:
                self._queue.popleft()

    @guarded
    def _validate(self, step: OpenStep, answer: object) -> None:
        said: list[str] = []
        for check in validators_of(step.name):
            if check not in self._given_up:
                said += self._asked(check, answer)
        checked = copy.copy(step)
        checked.attributes = {**step.attributes, semconv.CHECKS: tuple(said)}
        self._save(checked)

    def _asked(self, check: Check, answer: object) -> list[str]:
        """Return what a validator finds wrong, or what is wrong with the validator."""
        found: list[list[str]] = []
        thread = _started(lambda: found.append(_findings_of(check, answer)))
        thread.join(MOST_SECONDS)
        if found:
            return found[0]
        self._given_up.add(check)
        log.warning(
            "becausal: the validator %s did not answer within %.0f s and is not asked again",
            _name(check),
            MOST_SECONDS,
        )
        return [f"validator {_name(check)} did not answer within {MOST_SECONDS:.0f} s"]


# Inside


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="becausal-validators", daemon=True)
    with Scope(Context()):  # in no step: what a validator calls is none of the run's
        thread.start()
    return thread


def _findings_of(check: Check, answer: object) -> list[str]:
    try:
        verdict = check(answer)
    except AssertionError as refusal:
        return [str(refusal).partition("\n")[0][:WIDEST] or f"{_name(check)}: assertion failed"]
    except BaseException as failure:  # of the app's own code; it says so where the finding is read
        return [f"validator {_name(check)} failed: {type(failure).__name__}: {failure}"[:WIDEST]]
    match verdict:
        case None | True:
            return []
        case False:
            return [_name(check)]
        case str():
            return [verdict[:WIDEST]]
        case list() | tuple() if all(isinstance(one, str) for one in verdict):
            return [one[:WIDEST] for one in verdict[:MOST_SAID]]
        case _:
            return [
                f"validator {_name(check)} answered {type(verdict).__name__}; it is to answer None, a truth value, a "
                "text or texts"
            ]


def _name(check: Check) -> str:
    return getattr(check, "__name__", type(check).__name__)
