"""How the store is reached: how soon it answers, by which server, who else may read it, and how long it keeps runs."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from becausal.doctor.check import Line, advice, trouble, well
from becausal.redaction.marker import KEY_FILE

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_answers", "look_at_modes", "look_at_retention", "look_at_server"]

SLOW_MS: Final = 250.0
"""A store that takes longer to look up one run is too far away, or too busy."""

TRIES: Final = 3

OPEN: Final = stat.S_IRWXG | stat.S_IRWXO
"""The bits of a file's mode that let others in."""


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


def look_at_modes(patient: Patient) -> Iterator[Line]:
    """Say whether others on this machine may read the store's files, or the key of its markers."""
    path = None if patient.info is None else patient.info.path
    if path is None or os.name != "posix":
        return
    beside = (Path(f"{path}-wal"), Path(f"{path}-shm"), path.parent / KEY_FILE)
    files = [file for file in (path, *beside) if file.exists()]
    ajar = [file for file in files if file.stat().st_mode & OPEN]
    for file in ajar:
        mode = stat.S_IMODE(file.stat().st_mode)
        yield trouble(
            f"others may open {file} (mode {mode:04o})", f"chmod 600 {file}", path=str(file), mode=mode
        )
    if not ajar:
        yield well("its files are for their owner alone", mode=stat.S_IMODE(path.stat().st_mode))


def look_at_retention(patient: Patient) -> Iterator[Line]:
    """Say which runs are kept, and how much of them."""
    settings = patient.settings
    if settings.retention is None:
        yield advice(
            "runs are kept until somebody prunes them",
            "set BECAUSAL_RETENTION='30d, 5GB', or run becausal prune from time to time",
            retention=None,
        )
    else:
        yield well(
            f"kept: {settings.retention}; what is beyond is pruned as apps write",
            retention=str(settings.retention),
        )
    payload, run = settings.max_payload_bytes, settings.max_run_bytes
    yield well(
        f"at most {_bound(payload)} of a payload, {_bound(run)} of a run's bodies",
        max_payload_bytes=payload,
        max_run_bytes=run,
    )


def _bound(size: int | None) -> str:
    return "everything" if size is None else f"{size >> 20} MB" if size >= 1 << 20 else f"{size} bytes"
