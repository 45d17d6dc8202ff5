"""What the record answers to one call, and what is asked where it has no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from becausal.observation import NOTHING
from becausal.step import Step

if TYPE_CHECKING:
    from becausal.replay.session import Session

__all__ = ["Asked", "Recalled", "Standin"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that the record does not answer, as a stand-in is told of it."""

    kind: str
    name: str
    agent: str | None
    place: str
    request: Any
    """What is asked, made again: a model's messages, a tool's arguments."""
    nearest: Step | None
    """The recorded step that most likely stood there."""


Standin = Callable[[Asked], Any]
"""Answers in the place of what may not be run."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a recorded step answered; see `becausal.observation.Answer`."""

    step: Step
    _session: Session = field(repr=False)
    _instead: Any = NOTHING
    """What an edit or a stand-in puts in the answer's place."""

    @property
    def is_other(self) -> bool:
        """Whether an edit or a stand-in gives the answer: nothing that was kept of the recorded one holds then."""
        return self._instead is not NOTHING

    def value(self) -> Any:
        """Return what it produced."""
        if self.is_other:
            return self._instead
        answer = self.kept("answer")
        if answer is not NOTHING:
            return answer
        return NOTHING if self.step.produced is None else self._session.made(self.step.produced)

    def produced(self) -> Any:
        """Return what it produced, as its payload tells it, whatever else was kept; dicts in their order, if known."""
        if self.is_other:
            return self._instead
        if self.step.produced is None:
            return NOTHING
        produced, answer = self._session.made(self.step.produced), self.kept("answer")
        return answer if type(answer) in (dict, list) and answer == produced else produced

    def kept(self, name: str) -> Any:
        """Return what was kept under a name; `NOTHING` where nothing was, or where the answer is another."""
        return NOTHING if self.is_other else self._session.kept(self.step, name)

    def rebuilt(self, body: bytes) -> Any:
        """Return the value of a body that was kept inside of another value."""
        return self._session.rebuilt(body)

    def error(self) -> BaseException | None:
        """Return the exception that it ended with, made again; None where it ended well."""
        if self.is_other or self.step.status not in ("error", "interrupted"):
            return None
        error = self.kept("error")
        return error if isinstance(error, BaseException) else None
