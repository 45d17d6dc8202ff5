"""What stands between an app and a whole record, and what to do about it.

The doctor asks about this machine, this process and the store. What it looks at is gathered once (`patient`); each
check looks at one thing of it and yields lines (`check`). To add one, write such a function and put it into `CHECKS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from becausal.doctor.bounding import look_at_bounds, look_at_exposure
from becausal.doctor.check import Check, Figure, Grade, Line, Section, advice, examined, trouble, well
from becausal.doctor.cost import look_at_cost
from becausal.doctor.hooking import look_at_adapters, look_at_callbacks
from becausal.doctor.keeping import (
    look_at_contents,
    look_at_damage,
    look_at_disk,
    look_at_growth,
    look_at_store,
)
from becausal.doctor.losing import look_at_failures, look_at_gaps, look_at_queue
from becausal.doctor.others import Foreign, foreign_instrumentors, look_at_others
from becausal.doctor.packages import look_at_extras, look_at_versions
from becausal.doctor.patient import Patient, presented
from becausal.doctor.redacting import look_at_redaction
from becausal.doctor.serving import look_at_answers, look_at_rights, look_at_server
from becausal.doctor.sinking import look_at_sink
from becausal.doctor.telling import look_at_settings, look_at_spans
from becausal.doctor.timing import look_at_clock
from becausal.instrument import store_url_in_use
from becausal.settings import store_url

__all__ = [
    "CHECKS",
    "Check",
    "Diagnosis",
    "Figure",
    "Foreign",
    "Grade",
    "Line",
    "Patient",
    "Section",
    "advice",
    "diagnose",
    "foreign_instrumentors",
    "trouble",
    "well",
]

CHECKS: Final[tuple[Check, ...]] = (
    Check("versions", look_at_versions),
    Check("adapters", look_at_adapters),
    Check("callbacks", look_at_callbacks),
    Check("other instrumentors", look_at_others),
    Check("OpenTelemetry", look_at_spans),
    Check("settings", look_at_settings),
    Check("extras", look_at_extras),
    Check("store", look_at_store),
    Check("store", look_at_server),
    Check("store", look_at_rights),
    Check("store", look_at_damage),
    Check("store", look_at_contents),
    Check("store", look_at_answers),
    Check("store", look_at_growth),
    Check("store", look_at_disk),
    Check("store", look_at_bounds),
    Check("sink", look_at_sink),
    Check("cost", look_at_cost),
    Check("clock", look_at_clock),
    Check("losses", look_at_gaps),
    Check("losses", look_at_queue),
    Check("losses", look_at_failures),
    Check("privacy", look_at_redaction),
    Check("privacy", look_at_exposure),
)
"""Every check, in the order of their headlines."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that the doctor found."""

    patient: Patient
    """What was looked at; its store is closed by now."""
    sections: tuple[Section, ...]

    @property
    def grade(self) -> Grade:
        """The worst of all lines."""
        grades = {line.grade for section in self.sections for line in section.lines}
        return "trouble" if "trouble" in grades else "advice" if "advice" in grades else "well"


def diagnose(store: str | os.PathLike[str] | None = None, *, checks: tuple[Check, ...] = CHECKS) -> Diagnosis:
    """Return how things stand. Imports every installed framework that has an adapter; never raises for what
    it finds.

    Args:
        store: a URL or a path; None for the one that would be used.
        checks: what to look at.
    """
    url = store_url_in_use() if store is None else store_url(os.fspath(store))
    with presented(url) as patient:
        return Diagnosis(patient, examined(patient, checks))
