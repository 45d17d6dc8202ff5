"""How the store is reached: how soon it answers, and by which server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from becausal.doctor.check import Line, advice, trouble, well

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_answers", "look_at_server"]

SLOW_MS: Final = 250.0
"""A store that takes longer to look up one run is too far away, or too busy."""

TRIES: Final = 3


@runtime_checkable
class Served(Protocol):
    """A store that a server keeps."""

    def server(self) -> tuple[str, bool]:
        """Return the server's version, and whether we may write there."""


def look_at_answers(patient: Patient) -> Iterator[Line]:
    """Say how soon the store answers."""
    if patient.store is None:
        return
    took = []
    for _ in range(TRIES):
        began = time.perf_counter()
        patient.store.chains(limit=1)
        took.append((time.perf_counter() - began) * 1000)
    says = f"it answers in {min(took):.1f} ms"
    if min(took) > SLOW_MS:
        yield advice(
            says,
            "bring it nearer, or give it more room; the app does not wait for it",
            ms=round(min(took), 2),
        )
    else:
        yield well(says, ms=round(min(took), 2))


def look_at_server(patient: Patient) -> Iterator[Line]:
    """Say which server keeps the store, and whether it lets us write."""
    if not isinstance(patient.store, Served):
        return
    version, may_write = patient.store.server()
    if may_write:
        yield well(f"the server is PostgreSQL {version}, and lets us write", server=version, may_write=True)
    else:
        yield trouble(
            f"the server is PostgreSQL {version}, and does not let this user write",
            "GRANT INSERT, UPDATE, DELETE on all tables of its schema to the user that the app records as",
            server=version,
            may_write=False,
        )
