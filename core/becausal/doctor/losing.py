"""What was lost: gaps by reason, failures of ours, and what still waits to be written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from becausal import guard
from becausal.doctor.check import Line, trouble, well
from becausal.inspecting import FOUND_DAMAGED

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["REMEDIES", "look_at_failures", "look_at_gaps", "look_at_queue"]

REMEDIES: Final[dict[str, str]] = {
    "queue full": "steps come faster than the store writes them: use a faster disk or another store, "
    "level='boundaries', or fewer processes on one store",
    "store failed": "see the log of the logger 'becausal' for the reason; mostly a full disk, a lock, or rights",
    "closed": "call becausal.uninstrument() after the last run has ended, not before",
    "step not recorded": "see the log of the logger 'becausal', and report the failure that it shows",
    "recorded in part": "see the log of the logger 'becausal', and report the failure that it shows",
    "span not told": "see the log of the logger 'becausal': the tracer provider refused; the runs are whole",
    "content left out: run beyond max_run_bytes": "raise max_run_bytes (BECAUSAL_MAX_RUN_BYTES), or keep it: the "
    "steps are there, without what they said",
    FOUND_DAMAGED: "see what is said of the store; what is whole can be carried to a new one: becausal export all",
    "anchor not looked up": "make the store readable for the app: it looks up what a resumed run goes on from",
}
"""What to do, by the reason under which something was counted as a gap."""

ANYTHING = "see the log of the logger 'becausal' for the first of them"


def look_at_gaps(patient: Patient) -> Iterator[Line]:
    """Say what every process that wrote to the store could not record."""
    if patient.info is None:
        return
    for reason, count in patient.gaps.items():
        do = REMEDIES.get(reason, ANYTHING)
        yield trouble(f"not recorded: {count} ({reason})", do, reason=reason, count=count)
    if not patient.gaps:
        yield well("nothing was lost", count=0)


def look_at_queue(patient: Patient) -> Iterator[Line]:
    """Say how much of this process's is on its way to the store. That of other processes is theirs alone to know."""
    recorder = patient.recorder
    if recorder is None:
        yield well("becausal is not at work in this process: no queue, no drops of its own", waiting=None)
        return
    says = f"{recorder.waiting} steps of this process wait to be written"
    yield well(says, waiting=recorder.waiting)
    for reason, count in recorder.gaps.items():
        do = REMEDIES.get(reason, ANYTHING)
        yield trouble(f"this process could not record: {count} ({reason})", do, reason=reason, count=count)


def look_at_failures(patient: Patient) -> Iterator[Line]:
    """Say which places of becausal failed in this process."""
    for place, count in guard.failures.items():
        yield trouble(
            f"becausal failed in {place}: {count} times in this process; the app went on, with less recorded",
            "see the log of the logger 'becausal' for the traceback, and report it",
            place=place,
            count=count,
        )
