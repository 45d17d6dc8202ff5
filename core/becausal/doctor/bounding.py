"""Whether the store is kept within bounds, and to itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from becausal.counted import counted
from becausal.doctor.check import Line, advice, trouble, well
from becausal.store.exposure import exposed
from becausal.store.upkeep import upkeep_of

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_bounds", "look_at_exposure"]


def look_at_bounds(patient: Patient) -> Iterator[Line]:
    """Say which runs are kept, how much of them, and what was erased."""
    settings, info = patient.settings, patient.info
    if settings.retention is None:
        yield advice(
            "runs are kept until somebody prunes them",
            "set BECAUSAL_RETENTION='30d, 5GB', or run becausal prune from time to time",
            retention=None,
        )
    else:
        yield well(
            f"kept: {settings.retention}, runs with something wrong in them four times as long; "
            "what is beyond is pruned as apps write",
            retention=str(settings.retention),
        )
    payload, run = settings.max_payload_bytes, settings.max_run_bytes
    yield well(
        f"at most {_bound(payload)} of a payload, {_bound(run)} of a run's bodies",
        max_payload_bytes=payload,
        max_run_bytes=run,
    )
    upkeep = upkeep_of(patient.store)
    for erased in () if upkeep is None or info is None else upkeep.erasures():
        why = f" ({erased.reason})" if erased.reason else ""
        yield well(
            f"erased in {counted(erased.total, 'place')} of {counted(len(erased.chain_ids), 'run')}{why}",
            places=erased.total,
        )


def look_at_exposure(patient: Patient) -> Iterator[Line]:
    """Say who else can read what the store keeps, or the key of its markers."""
    found = exposed(patient.url)
    for told in found:
        says, _, do = told.partition(": ")
        yield trouble(says, do)
    if not found and os.name == "posix" and patient.info is not None and patient.info.path is not None:
        yield well("its files are for their owner alone")


def _bound(size: int | None) -> str:
    return "everything" if size is None else f"{size >> 20} MB" if size >= 1 << 20 else f"{size} bytes"
