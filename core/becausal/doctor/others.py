"""Other instrumentors: those of somebody else that record the same calls, installed or at work."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from becausal.doctor.check import Line, advice, trouble, well
from becausal.doctor.packages import installed

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["Foreign", "foreign_instrumentors", "look_at_others", "others"]


@dataclass(frozen=True, slots=True)
class Foreign:
    """An installed instrumentor of somebody else that records the same calls."""

    name: str
    version: str
    advice: str
    is_at_work: bool = False
    """Whether it instruments this very process, and not only could."""


def look_at_others(patient: Patient) -> Iterator[Line]:
    """Say which instrumentors of others record the same calls."""
    if not patient.foreign:
        yield well("none that records the same calls")
    for other in patient.foreign:
        if other.is_at_work:
            says = f"{other.name} {other.version} is at work in this process beside becausal: {DOUBLED}"
            yield trouble(says, other.advice, name=other.name, is_at_work=True)
        else:
            says = f"{other.name} {other.version}: {DOUBLED} where both are at work"
            yield advice(says, other.advice, name=other.name, is_at_work=False)


def others() -> tuple[Foreign, ...]:
    """Return the instrumentors on this machine that record what becausal records."""
    return foreign_instrumentors(installed(_NAMES), _switches(), _at_work())


def foreign_instrumentors(
    installed: Mapping[str, str], switches: Mapping[str, str], at_work: Collection[str] = ()
) -> tuple[Foreign, ...]:
    """Return the instrumentors among installed distributions that record what becausal records.

    Args:
        installed: versions by distribution.
        switches: by distribution, the name under which OpenTelemetry's auto-instrumentation knows it.
        at_work: the distributions that instrument this process now.
    """
    found = []
    for distribution, version in sorted(installed.items()):
        if distribution in _BY_CALL:
            leave = f"only if the app calls {_BY_CALL[distribution]}: leave that out"
        else:
            name = switches.get(distribution)
            switch = f", or set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={name}" if name else ""
            leave = f"leave one of the two out: do not call its instrument(){switch}"
        found.append(Foreign(distribution, version, leave, distribution in at_work))
    return tuple(found)


_BY_CALL = {
    "langfuse": "langfuse's callback handler",
    "mlflow": "mlflow.langchain.autolog() or mlflow.autogen.autolog()",
}

_NAMES = (
    *_BY_CALL,
    "openinference-instrumentation-autogen",
    "openinference-instrumentation-autogen-agentchat",
    "openinference-instrumentation-langchain",
    "openinference-instrumentation-openai",
    "opentelemetry-instrumentation-langchain",
    "opentelemetry-instrumentation-openai",
    "opentelemetry-instrumentation-openai-v2",
)


DOUBLED = "each call becomes two spans"


def _instrumentors() -> dict[str, importlib.metadata.EntryPoint]:
    """Return OpenTelemetry's instrumentors by distribution: several go by the name of `langchain`."""
    points = importlib.metadata.entry_points(group="opentelemetry_instrumentor")
    return {point.dist.name: point for point in points if point.dist is not None}


def _switches() -> dict[str, str]:
    return {distribution: point.name for distribution, point in _instrumentors().items()}


def _at_work() -> list[str]:
    """Return the distributions whose instrumentor says so itself; nothing is imported to ask.

    Source: opentelemetry-instrumentation 0.66b2, `instrumentor.py`: `BaseInstrumentor` is one object for each class.
    """
    found = []
    for distribution, point in _instrumentors().items():
        cls = getattr(sys.modules.get(point.module), point.attr, None)
        one = getattr(cls, "_instance", None)
        if getattr(one, "is_instrumented_by_opentelemetry", False) is True:
            found.append(distribution)
    return found
