"""The app's own checks of what its tools answer: `@becausal.validator("search")`.

    @becausal.validator("search")
    def has_results(response):
        return len(response["hits"]) > 0 or "search found nothing"

A validator is called with the answer as plain data, as it was when the tool returned, after the call has ended and on
another thread: it costs the app nothing and cannot change what it got. It says that the answer is fine with None or
True, and what is wrong with False, a text, several texts, or a failed `assert`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from becausal import canonical, semconv
from becausal.afterwards import Afterwards, Check
from becausal.observation import Sealed
from becausal.payload import Payload
from becausal.step import Attribute, OpenStep

__all__ = ["Validators", "registered", "validator"]

F = TypeVar("F", bound=Check)

Value = Callable[[Payload], object]
"""Gives a payload's value; raises LookupError where its body was not kept."""

registered: dict[str, list[Check]] = {}


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
        registered.setdefault(tool, []).append(check)
        return check

    return register


class Validators:
    """Has the answers of tools validated."""

    def __init__(
        self, afterwards: Afterwards, count_gap: Callable[[str], None], stored: Value | None
    ) -> None:
        """Make one; `stored` reads what the store keeps, None where it keeps no bodies."""
        self._afterwards, self._count_gap, self._stored = afterwards, count_gap, stored
        self._answers: dict[str, object] = {}

    def produced(self, step: OpenStep, value: object) -> None:
        """Fix what a tool answered, if anybody wants to see it and it is not kept anyway."""
        if step.kind != "tool" or step.name not in registered or self._stored is not None:
            return
        if isinstance(value, Sealed):
            bodies = dict(value.bodies)
            body = bodies.get(canonical.parse_digest(value.payload.digest))
            if body is None:  # handed out before, to another step
                self._count_gap("not checked")
            else:
                self._answers[step.id] = canonical.decode(body, bodies.get)
        else:
            self._answers[step.id] = canonical.plain(value)

    def ended(self, step: OpenStep) -> None:
        """Have a step's answer validated; what is found is saved with the step."""
        if step.id in self._answers:
            answer = self._answers.pop(step.id)
            self._afterwards.put(step, lambda: {semconv.CHECKS: self._found(step.name, answer)})
        elif self._stored is not None and step.name in registered and step.produced is not None:
            self._afterwards.put(step, lambda: self._found_stored(step))

    def forget(self) -> None:
        """Begin anew, in a child of a fork."""
        self._answers = {}

    def _found_stored(self, step: OpenStep) -> Mapping[str, Attribute]:
        if self._stored is None or step.produced is None:
            return {}
        try:
            answer = self._stored(step.produced)
        except LookupError:  # it never came to the store
            self._count_gap("not checked")
            return {}
        return {semconv.CHECKS: self._found(step.name, answer)}

    def _found(self, tool: str, answer: object) -> tuple[str, ...]:
        checks = tuple(registered.get(tool, ()))
        return tuple(said for check in checks for said in self._afterwards.asked(check, answer))
