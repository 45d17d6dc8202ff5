"""How the store is reached: how soon it answers, by which server, and whether it lets us write."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from becausal.doctor.check import Line, advice, trouble, well
from becausal.store.exposure import file_of

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_answers", "look_at_rights", "look_at_server"]

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


def look_at_rights(patient: Patient) -> Iterator[Line]:
    """Say whether this user may write a store that is a file, and make what SQLite puts beside it."""
    path = file_of(patient.url)
    if path is None or (path.exists() and patient.info is None):  # what cannot be read is told already
        return
    folder = next(one for one in path.parents if one.exists())
    closed = [one for one in (path, folder) if one.exists() and not os.access(one, os.W_OK)]
    for one in closed:
        is_folder = one is folder
        yield trouble(
            f"{one} cannot be written to by this user, so nothing is recorded there",
            f"chmod u+{'rwx' if is_folder else 'rw'} {one} as its owner, or record to another path (BECAUSAL_STORE)",
            may_write=False,
        )
    if not closed and path.exists():
        yield well("this user may write to it", may_write=True)
