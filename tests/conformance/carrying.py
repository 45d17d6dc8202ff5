"""Carries a store into another, and asks a run all that can be asked of it."""

from __future__ import annotations

import io
import random

from becausal.cassette.archive import read_archive, write_archive
from becausal.run import Run
from becausal.store import Store

__all__ = ["answers", "carried"]


def carried(source: Store, target: Store) -> None:
    archive = io.BytesIO()
    write_archive(source, archive)
    archive.seek(0)
    read_archive(archive, target)


def answers(run: Run) -> dict[str, object]:
    """Return all that can be asked of a run without saying what about."""
    random.seed(7)
    return {
        "steps": run.steps,
        "edges": [(e.source.id, e.target.id, e.kind, e.grade, e.evidence) for e in run.edges],
        "handoffs": run.handoffs,
        "findings": [(f.kind, f.severity, f.message, f.step and f.step.id, f.evidence) for f in run.findings],
        "health": repr(run.health),
        "why": [one.id for one in run.why().steps],
        "blame": [(s.text, s.origin and s.origin.id, s.source, s.grade) for s in run.blame().segments],
        "root cause": [(s.step.id, s.score) for s in run.root_cause()],
        "drift": repr(run.drift()),
        "report": run.report(),
        "values": [[p.text() for p in (s.received, s.produced) if p is not None] for s in run.steps],
    }
