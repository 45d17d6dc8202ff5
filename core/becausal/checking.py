"""Which of the app's own checks a step that has ended is due."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from becausal import semconv
from becausal.afterwards import Afterwards
from becausal.contracts import Contracts, declared
from becausal.guard import guarded
from becausal.payload import Payload
from becausal.step import Attribute, OpenStep
from becausal.validators import Validators, registered
from becausal.writer import Writer

if TYPE_CHECKING:
    from becausal.finding import FindingKind

__all__ = ["CHECKED", "Checks"]

CHECKED: Mapping[str, Collection[object]] = {"tool": registered, "handoff": declared}
"""By the kind of a step: what there must be for it to be checked at all, so that an app without any pays nothing."""

BY_ATTRIBUTE: dict[str, FindingKind] = {
    semconv.CHECKS: "tool.invalid",
    semconv.CONTRACT_BREACHES: "contract.broken",
}
"""What an attribute that a check leaves says is wrong."""

MOST_WRONG = 4_096
"""Chains of which it is remembered, until their roots end, that something is wrong."""

FLUSH_S = 60.0
"""How long a check waits for what it is to check to be in the store; only its own thread waits."""


class Checks:
    """Has tool calls validated and handoffs held to their contracts, once the store has them."""

    def __init__(
        self,
        writer: Writer,
        count_gap: Callable[[str], None],
        clean: Callable[[OpenStep], object],
        *,
        keeps_bodies: bool,
    ) -> None:
        self._clean = clean
        self._writer, self._keeps_bodies = writer, keeps_bodies
        self._afterwards = Afterwards(self._save, count_gap)
        self._validators = Validators(self._afterwards, count_gap, self._value if keeps_bodies else None)
        self._contracts = Contracts(self._afterwards, self._value, count_gap)
        self._wrong: OrderedDict[str, FindingKind] = OrderedDict()

    def produced(self, step: OpenStep, value: object) -> None:
        """Fix what a step produced, if a check is to see it."""
        self._validators.produced(step, value)

    @guarded
    def ended(self, step: OpenStep) -> None:
        """Have a step checked that has been written."""
        if step.kind == "tool":
            self._validators.ended(step)
        elif step.kind == "handoff":
            self._contracts.ended(step)

    def wrong_with(self, chain_id: str) -> dict[str, Attribute]:
        """Return what the app's own checks have found wrong with a chain by now, as its root is to tell it."""
        kind = self._wrong.pop(chain_id, None)
        if kind is None:
            return {}
        from becausal.finding import anomaly  # here: most runs have nothing wrong with them

        return anomaly(kind, "warning")

    def wait(self, timeout: float) -> None:
        """Wait until all that ended so far is checked, or the time is up."""
        self._afterwards.wait(timeout)
        self._contracts.tell_unused()

    def forget(self) -> None:
        """Begin anew, in a child of a fork: what waits is the parent's."""
        self._afterwards.forget()
        self._validators.forget()

    def _save(self, step: OpenStep) -> None:
        for name, kind in BY_ATTRIBUTE.items():
            if step.attributes.get(name):
                self._wrong[step.chain_id] = kind
        while len(self._wrong) > MOST_WRONG:
            self._wrong.popitem(last=False)
        self._clean(step)  # what a check says may quote what it saw
        self._writer.put(step)

    def _value(self, payload: Payload) -> object:
        """Return a payload's value from the store, once it is there; not for the app's threads."""
        if not self._keeps_bodies:
            raise LookupError("bodies are not kept")
        self._writer.flush(FLUSH_S)
        return dataclasses.replace(payload, bodies=self._writer.store).value()
