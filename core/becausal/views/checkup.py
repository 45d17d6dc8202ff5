"""What the doctor found, for a terminal and as JSON."""

from __future__ import annotations

from typing import Final, TypedDict

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from becausal.adapter import AdapterReport
from becausal.callback import MISSES
from becausal.doctor import Diagnosis, Figure, Grade, Line, Section
from becausal.views.clean import line as one_line
from becausal.views.clean import styled

__all__ = ["json", "text"]


class AdapterJson(TypedDict):
    """An adapter on this machine; `version` is None where its framework is not installed."""

    name: str
    watches: str | None
    version: str | None
    supports: str
    is_supported: bool
    hooked: list[str]
    waiting: list[str]
    gone: list[str]


class ForeignJson(TypedDict):
    """Somebody else's instrumentor."""

    name: str
    version: str
    advice: str
    is_at_work: bool


class StoreJson(TypedDict):
    """The store; all but `url` and `trouble` are None where it cannot be read."""

    url: str
    trouble: str | None
    path: str | None
    format: int | None
    bytes_on_disk: int | None
    chains: int | None
    steps: int | None
    bodies: int | None


class LineJson(TypedDict):
    """One thing that a check found: `do` is empty where nothing is to be done."""

    grade: Grade
    says: str
    do: str
    figures: dict[str, Figure]


class SectionJson(TypedDict):
    """What was found under one headline."""

    title: str
    lines: list[LineJson]


class DiagnosisJson(TypedDict):
    """What `becausal doctor --json` prints: `sections` is what people are shown, the rest the facts below it."""

    grade: Grade
    """The worst of all lines; the exit status is 1 if it is `trouble`, else 0."""
    sections: list[SectionJson]
    versions: dict[str, str]
    adapters: list[AdapterJson]
    foreign: list[ForeignJson]
    opentelemetry_sdk: str | None
    extras: dict[str, bool]
    level: str
    capture: str
    dialects: list[str]
    watch: bool
    propagates: bool
    store: StoreJson
    gaps: dict[str, int]
    by_callback: bool
    missed_by_callback: list[str]


def text(found: Diagnosis) -> RenderableType:
    """Return a diagnosis for people."""
    return Group(*(part for section in found.sections for part in _section(section)), _in_short(found))


def json(found: Diagnosis) -> DiagnosisJson:
    """Return a diagnosis for programs."""
    patient = found.patient
    return DiagnosisJson(
        grade=found.grade,
        sections=[
            SectionJson(title=section.title, lines=[_line_json(line) for line in section.lines])
            for section in found.sections
        ],
        versions=dict(patient.versions),
        adapters=[_adapter_json(report) for report in patient.adapters],
        foreign=[
            ForeignJson(
                name=other.name, version=other.version, advice=other.advice, is_at_work=other.is_at_work
            )
            for other in patient.foreign
        ],
        opentelemetry_sdk=patient.versions.get("opentelemetry-sdk"),
        extras=dict(patient.extras),
        level=patient.level,
        capture=patient.capture,
        dialects=list(patient.settings.dialects),
        watch=patient.settings.watch,
        propagates=patient.propagates,
        store=_store_json(found),
        gaps=dict(patient.gaps),
        by_callback=patient.by_callback,
        missed_by_callback=list(MISSES) if patient.by_callback else [],
    )


MARKS: Final[dict[Grade, tuple[str, str]]] = {
    "well": ("", ""),
    "advice": ("note", "yellow"),
    "trouble": ("trouble", "bold red"),
}
"""How a line of each grade begins, and in which style."""


def _section(section: Section) -> list[RenderableType]:
    if not section.lines:
        return []
    return [styled(section.title, "bold"), *(_line(line) for line in section.lines)]


def _line(line: Line) -> RenderableType:
    """Return a line, whole at any width: what is to be done stands at the end of it."""
    mark, style = MARKS[line.grade]
    said = Text(f"{mark}: " if mark else "", style)
    said.append(one_line(line.says), "" if line.grade == "well" else style)
    if line.do:
        said.append("\n→ " + one_line(line.do))
    hanging = Table.grid()
    hanging.add_row(said)
    return Padding(hanging, (0, 0, 0, 2), expand=False)


def _in_short(found: Diagnosis) -> Text:
    lines = [line for section in found.sections for line in section.lines]
    troubles = sum(line.grade == "trouble" for line in lines)
    notes = sum(line.grade == "advice" for line in lines)
    if troubles:
        return Text(f"in trouble: {troubles}; worth a look: {notes}", "bold red")
    return Text(f"all is well; worth a look: {notes}" if notes else "all is well", "green")


def _line_json(line: Line) -> LineJson:
    return LineJson(grade=line.grade, says=line.says, do=line.do, figures=dict(line.figures))


def _store_json(found: Diagnosis) -> StoreJson:
    patient, store = found.patient, found.patient.info
    return StoreJson(
        url=patient.url,
        trouble=patient.store_trouble,
        path=str(store.path) if store is not None and store.path is not None else None,
        format=None if store is None else store.format,
        bytes_on_disk=None if store is None else store.bytes_on_disk,
        chains=None if store is None else store.chains,
        steps=None if store is None else store.steps,
        bodies=None if store is None else store.bodies,
    )


def _adapter_json(report: AdapterReport) -> AdapterJson:
    places = {state: [hook.place for hook in report.hooks if hook.state == state] for state in _STATES}
    return AdapterJson(
        name=report.name,
        watches=report.watches,
        version=report.version,
        supports=report.supports,
        is_supported=report.is_supported,
        hooked=places["hooked"],
        waiting=places["waiting"],
        gone=places["gone"],
    )


_STATES = ("hooked", "waiting", "gone")
