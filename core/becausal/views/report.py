"""A report's data for programs; for people it is a document of its own (`becausal.answers.report`)."""

from __future__ import annotations

from typing import TypedDict

from becausal.answers.report import Cause, Incident, Leg
from becausal.views.health import HealthJson
from becausal.views.health import json as health_json

__all__ = ["ReportJson", "json"]


class LegJson(TypedDict):
    """One step of a way, with excerpts of what it received and gave."""

    step: str | None
    name: str
    before: str
    after: str


class CauseJson(TypedDict):
    """A root cause."""

    kind: str
    who: str
    step: str
    score: float
    message: str
    evidence: list[str]
    followed: list[str]
    way: list[LegJson]
    decisions: list[str]
    could_have_stopped_it: list[str]
    spread: list[str]
    elsewhere: list[str]
    advice: list[str]


class ReportJson(TypedDict):
    """A report."""

    run: str
    name: str
    when: str
    agents: list[str]
    health: HealthJson
    causes: list[CauseJson]
    contained: list[str]
    notes: list[str]
    request: str
    output: str


def json(shown: Incident) -> ReportJson:
    """Return what a report says."""
    return ReportJson(
        run=shown.chain_id,
        name=shown.name,
        when=shown.when,
        agents=list(shown.agents),
        health=health_json(shown.health),
        causes=[_cause(cause) for cause in shown.causes],
        contained=list(shown.contained),
        notes=list(shown.notes),
        request=shown.request.text,
        output=shown.output.text,
    )


def _cause(cause: Cause) -> CauseJson:
    return CauseJson(
        kind=cause.kind,
        who=cause.suspect.who,
        step=cause.suspect.step.id,
        score=round(cause.suspect.score, 4),
        message=cause.message,
        evidence=list(cause.evidence),
        followed=list(cause.followed),
        way=[_leg(leg) for leg in cause.way],
        decisions=list(cause.decisions),
        could_have_stopped_it=list(cause.stoppers),
        spread=list(cause.spread),
        elsewhere=list(cause.elsewhere),
        advice=list(cause.advice),
    )


def _leg(leg: Leg) -> LegJson:
    return LegJson(
        step=None if leg.step is None else leg.step.id,
        name=leg.name,
        before=leg.before.text,
        after=leg.after.text,
    )
