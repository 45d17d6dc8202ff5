"""The machine's clock: whether it went backward while runs were recorded.

Order is told by the logical clock and does not suffer; durations do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from becausal.doctor.check import Line, trouble, well

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient
    from becausal.step import Step

__all__ = ["look_at_clock"]

NEWEST: Final = 20
"""So many runs are looked at, those alone that have at most `LARGEST` steps."""

LARGEST: Final = 5_000

TOLERATED_NS: Final = 1_000_000
"""A clock that is slewed goes a little back against another processor's."""


def look_at_clock(patient: Patient) -> Iterator[Line]:
    """Say how many steps of the newest runs ended before they began, or began before what called them."""
    if patient.store is None:
        return
    steps = backward = 0
    for chain in patient.store.chains(limit=NEWEST):
        if chain.steps <= LARGEST:
            loaded = patient.store.load(chain.chain_id)
            steps += len(loaded)
            backward += _backward(loaded)
    if backward:
        yield trouble(
            f"the clock went backward: {backward} of the newest {steps} steps ended before they began, or began before "
            "their caller; what came first is told by the logical clock and is right, durations are not",
            "let the clocks of these machines be slewed, not stepped (chrony, ntpd -x)",
            steps=steps,
            backward=backward,
        )
    elif steps:
        yield well(f"the clock went forward in the newest {steps} steps", steps=steps, backward=0)


def _backward(steps: list[Step]) -> int:
    by_id = {step.id: step for step in steps}
    found = 0
    for step in steps:
        caller = by_id.get(step.parent_id or "")
        ends_early = step.ended_ns is not None and step.ended_ns < step.started_ns - TOLERATED_NS
        begins_early = caller is not None and step.started_ns < caller.started_ns - TOLERATED_NS
        found += ends_early or begins_early
    return found
