"""Whether the store is kept within bounds, and to itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from becausal.doctor.check import Line, advice, trouble, well
from becausal.store.exposure import exposed
from becausal.store.upkeep import upkeep_of

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_bounds", "look_at_exposure"]

LARGE: Final = 2 * 10**9
"""Bytes: a store beyond this that nothing bounds is worth a word."""


def look_at_bounds(patient: Patient) -> Iterator[Line]:
    """Say which runs are let go, and what was erased."""
    info, kept = patient.info, patient.settings.retention
    if kept is not None:
        yield well(f"keeps {kept}; runs with something wrong in them four times as long", retention=str(kept))
    elif info is not None and info.bytes_on_disk > LARGE:
        yield advice(
            "every run is kept for ever",
            "let old ones go: becausal prune --older-than 30d, or BECAUSAL_RETENTION='30d, 5GB'",
            retention=None,
        )
    upkeep = upkeep_of(patient.store)
    for erased in () if upkeep is None or info is None else upkeep.erasures():
        why = f" ({erased.reason})" if erased.reason else ""
        yield well(
            f"erased in {erased.total} places of {len(erased.chain_ids)} runs{why}", places=erased.total
        )


def look_at_exposure(patient: Patient) -> Iterator[Line]:
    """Say who else can read what the store keeps."""
    for told in exposed(patient.url):
        says, _, do = told.partition(": ")
        yield trouble(says, do)
