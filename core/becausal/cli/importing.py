"""What `import` does with a file that is no cassette: traces and logs of others become runs of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from rich.text import Text

from becausal import foreign, semconv
from becausal.cli.command import Answer
from becausal.redaction import start
from becausal.step import OpenStep
from becausal.store import Store

__all__ = ["import_others"]


class ImportedRun(TypedDict):
    """A run that was read from a file of others."""

    chain_id: str
    name: str
    steps: int
    dialects: list[str]
    notes: list[str]


def import_others(path: Path, store: Store) -> Answer:
    """Take every run of a file into a store, and say what each was read from and what it lacks.

    Raises:
        ImportFormatError: it is no trace or log that can be read.
    """
    start(None, store.url)  # whoever recorded it, secrets are not kept
    steps = foreign.load(path)
    store.write(steps)
    runs = _runs(steps)
    url = store.url
    return Answer(lambda: Text("\n".join(_lines(runs, url))), lambda: {"store": url, "runs": runs})


def _runs(steps: list[OpenStep]) -> list[ImportedRun]:
    chains: dict[str, list[OpenStep]] = {}
    for step in steps:
        chains.setdefault(step.chain_id, []).append(step)
    return [
        {
            "chain_id": chain_id,
            "name": chain[0].name,
            "steps": len(chain),
            "dialects": _texts(chain[0], semconv.IMPORT_DIALECTS),
            "notes": _texts(chain[0], semconv.IMPORT_NOTES),
        }
        for chain_id, chain in chains.items()
    ]


def _texts(step: OpenStep, name: str) -> list[str]:
    said = step.attributes.get(name, ())
    return list(said) if isinstance(said, tuple) else []


def _lines(runs: list[ImportedRun], url: str) -> list[str]:
    lines = []
    for run in runs:
        lines.append(
            f"{run['chain_id']} imported: {run['name'][:60]}, {run['steps']} steps ({', '.join(run['dialects'])})"
        )
        lines += [f"    {note}" for note in run["notes"]]
    return [*lines, f"{len(runs)} run{'s' if len(runs) != 1 else ''} in {url}"]
