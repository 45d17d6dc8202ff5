"""What a check of the doctor is: looks at one thing, and says what it found in lines.

A line that is not well says what to do: there is no other way to make one. So a check is a function that yields
`well(...)`, `advice(...)` and `trouble(...)`, and a row in `becausal.doctor.CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from becausal.errors import StoreError, StoreFormatError

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = [
    "Check",
    "Figure",
    "Grade",
    "Line",
    "Section",
    "advice",
    "examined",
    "told_apart",
    "trouble",
    "well",
]

Grade: TypeAlias = Literal["well", "advice", "trouble"]
"""`advice`: could be better, nothing is lost. `trouble`: something is lost, or is about to be."""

Figure: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a check found."""

    grade: Grade
    says: str
    do: str
    """What to do about it, as an order; empty where all is well."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """The same for programs, units in the names."""


def well(says: str, **figures: Figure) -> Line:
    """Return a line that needs nothing done."""
    return Line("well", says, "", figures)


def advice(says: str, do: str, **figures: Figure) -> Line:
    """Return a line about what could be better."""
    return Line("advice", says, do, figures)


def trouble(says: str, do: str, **figures: Figure) -> Line:
    """Return a line about what goes wrong: with one of these the doctor's exit status is 1."""
    return Line("trouble", says, do, figures)


@dataclass(frozen=True, slots=True)
class Check:
    """A check, and the headline that its lines stand under. Those of one headline stand beside each other."""

    title: str
    look: Callable[[Patient], Iterator[Line]]
    """Looks at the patient and leaves it as it is. May raise: then the section says so, and the others go on."""


@dataclass(frozen=True, slots=True)
class Section:
    """What the checks under one headline found."""

    title: str
    lines: tuple[Line, ...]


def told_apart(refusal: str) -> tuple[str, str]:
    """Return what a refusal says is wrong, and what it says to do; empty where it says nothing of that."""
    says, _, do = " ".join(refusal.split()).partition(". ")
    return says, do


def examined(patient: Patient, checks: tuple[Check, ...]) -> tuple[Section, ...]:
    """Return what checks find, in their order, with one section for each headline."""
    lines: dict[str, list[Line]] = {}
    is_damaged = False
    for check in checks:
        found = lines.setdefault(check.title, [])
        try:
            for line in check.look(patient):
                if not (is_damaged and line.figures.get("is_damaged")):  # damage is told once
                    found.append(line)
                is_damaged = is_damaged or bool(line.figures.get("is_damaged"))
        except StoreError as refusal:
            says, do = told_apart(str(refusal))
            if not (is_damaged and isinstance(refusal, StoreFormatError)):
                found.append(trouble(says, do or "see that the store can be read, and ask again"))
            is_damaged = is_damaged or isinstance(refusal, StoreFormatError)
        except Exception as failure:  # a check that fails must not hide what the others found
            says = f"{check.look.__module__} could not look: {type(failure).__name__}: {failure}"
            found.append(trouble(says, "if the store is well, report this as a fault of becausal"))
    return tuple(Section(title, tuple(found)) for title, found in lines.items())
