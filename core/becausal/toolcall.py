"""A tool call, as one step tells it."""

from __future__ import annotations

from dataclasses import dataclass

from becausal import semconv
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["ToolCall"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One execution of a tool."""

    step: Step

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.step.name

    @property
    def agent(self) -> str | None:
        """Who called it."""
        return self.step.agent

    @property
    def arguments(self) -> object:
        """The exact arguments, as plain data; None where they were not kept."""
        return _value(self.step.received)

    @property
    def response(self) -> object:
        """The raw response, before a framework turned it into a message; None where it was not kept."""
        return _value(self.step.produced)

    @property
    def response_size(self) -> int:
        """Bytes of the response's canonical form; 0 without a response."""
        return 0 if self.step.produced is None else self.step.produced.size

    @property
    def latency_ns(self) -> int | None:
        """How long it took; None while it runs."""
        return self.step.duration_ns

    @property
    def error(self) -> str | None:
        """The exception's type and text."""
        return self.step.error

    @property
    def attempt(self) -> int:
        """Which try of the same call this was, from 1."""
        attempt = self.step.attributes.get(semconv.ATTEMPT, 1)
        return attempt if isinstance(attempt, int) else 1

    @property
    def checks(self) -> tuple[str, ...]:
        """What the app's own validators found wrong with its response."""
        checks = self.step.attributes.get(semconv.CHECKS, ())
        return checks if isinstance(checks, tuple) else ()


def _value(payload: Payload | None) -> object:
    return payload.value() if payload is not None and payload.is_kept else None
