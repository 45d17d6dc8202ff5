"""Whether secrets are taken out of what is recorded, and how many were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from becausal.doctor.check import Line, advice, well
from becausal.redaction import in_force
from becausal.redaction.engine import is_linear

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_redaction"]


def look_at_redaction(patient: Patient) -> Iterator[Line]:
    """Say whether secrets are redacted, and how many of which kinds were in what the store was given."""
    redacts = in_force() is not None if patient.redacts is None else patient.redacts
    if not redacts:
        yield advice(
            "secrets are not redacted: what agents say is kept as it is",
            "leave out redact=False and BECAUSAL_REDACT=off, unless nobody else can read this store",
            is_on=False,
        )
    else:
        asked = " (as set here: no run says)" if patient.redacts is None else ""
        yield well(f"secrets are redacted before anything is kept{asked}", is_on=True)
        if not is_linear():
            yield advice(
                "secrets are looked for by Python's `re`, which takes tens of times as long as RE2",
                "pip install google-re2; where it has no wheel (Alpine) that needs a compiler, Abseil and RE2, and "
                "all else works without it",
                engine="re",
            )
    for kind, count in patient.redacted.items():
        yield well(f"redacted: {count} of the kind {kind}", kind=kind, count=count)
