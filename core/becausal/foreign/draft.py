"""Steps as this process would have recorded them, made of what others recorded."""

from __future__ import annotations

import hashlib
import re

from becausal import semconv
from becausal.observation import Sealed
from becausal.sealing import Sealer
from becausal.step import Choice, OpenStep, StepKind

__all__ = ["Drafts", "note", "step_id"]

MAX_NS = (1 << 62) - 1
LONGEST_NAME = 300
"""Characters of a name; a longer one is content in the wrong place."""

MOST_ARGUMENTS = 200
"""Characters of a call's arguments in a decision."""


class Drafts:
    """The steps of one chain, numbered as they are made: causes before effects."""

    def __init__(self, chain_id: str, sealer: Sealer) -> None:
        self.chain_id = chain_id
        self.made: list[OpenStep] = []
        self._seal = sealer.seal

    def begin(
        self,
        id: str,
        kind: StepKind,
        name: str,
        agent: str | None,
        parent_id: str | None,
        started_ns: int,
        ended_ns: int | None,
        error: str | None = None,
    ) -> OpenStep:
        """Make a step with the next number."""
        step = OpenStep(
            id=id,
            chain_id=self.chain_id,
            kind=kind,
            name=(name or kind)[:LONGEST_NAME],
            agent=None if agent is None else agent[:LONGEST_NAME],
            parent_id=parent_id,
            hop=0,
            seq=len(self.made) + 1,
            started_ns=min(max(started_ns, 0), MAX_NS),
        )
        step.ended_ns = None if ended_ns is None else max(step.started_ns, min(ended_ns, MAX_NS))
        step.status = "unfinished" if ended_ns is None else "ok" if error is None else "error"
        step.error = error
        self.made.append(step)
        return step

    def receive(self, step: OpenStep, value: object) -> None:
        """Say what a step received."""
        sealed = self._sealed(step, value)
        step.received = sealed.payload

    def produce(self, step: OpenStep, value: object) -> None:
        """Say what a step produced."""
        sealed = self._sealed(step, value)
        step.produced = sealed.payload

    def take(self, step: OpenStep) -> None:
        """Give a step that stands already the next number."""
        step.seq = len(self.made) + 1
        self.made.append(step)

    def _sealed(self, step: OpenStep, value: object) -> Sealed:
        sealed = self._seal(value)
        step.bodies.extend(sealed.bodies)
        return sealed


def note(first: OpenStep, dialects: tuple[str, ...], notes: tuple[str, ...]) -> None:
    """Say on a chain's first step who recorded it, and what that lacks."""
    first.attributes[semconv.IMPORT_DIALECTS] = dialects
    if notes:
        first.attributes[semconv.IMPORT_NOTES] = notes


def step_id(span_id: str, *more: str) -> str:
    """Return 16 hexadecimal digits for an id of somebody else: the same each time, and the id itself where it fits."""
    if not more and re.fullmatch(r"[0-9a-f]{16}", span_id) and span_id.strip("0"):
        return span_id
    return hashlib.blake2b("\0".join((span_id, *more)).encode("utf-8", "replace"), digest_size=8).hexdigest()


def choices_of(calls: list[tuple[str, object]]) -> list[Choice]:
    """Return a model's decisions to call tools."""
    found = []
    for name, arguments in calls:
        said = (
            ", ".join(f"{key}={item!r}" for key, item in arguments.items())
            if isinstance(arguments, dict)
            else str(arguments or "")
        )
        found.append(Choice(f"call {name[:LONGEST_NAME]}({said[:MOST_ARGUMENTS]})"))
    return found
