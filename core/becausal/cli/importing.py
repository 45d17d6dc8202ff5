"""What `import` does with a file that is no cassette: traces and logs of others become runs of ours."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TypedDict

from rich.text import Text

from becausal import foreign, semconv
from becausal.cli.command import Answer
from becausal.counted import counted
from becausal.errors import ImportFormatError
from becausal.redaction import start
from becausal.step import OpenStep
from becausal.store import open_store

__all__ = ["import_others"]


class ImportedRun(TypedDict):
    """A run that was read from a file of others."""

    chain_id: str
    name: str
    steps: int
    dialects: list[str]
    notes: list[str]


def import_others(path: Path, url: str) -> Answer:
    """Take every run of a file into a store, and say what each was read from and what it lacks.

    The store is made when there is something to take in, and not before.

    Raises:
        ImportFormatError: it is no trace or log that can be read, or nothing is in it.
        StoreError: the store cannot be written.
    """
    start(None, url)  # whoever recorded it, secrets are not kept
    try:
        steps = foreign.load(path)
    except ImportFormatError as refusal:
        raise ImportFormatError(f"nothing was imported: {refusal}") from None
    if not steps:
        raise ImportFormatError(f"nothing was imported: {path.name} holds no step")
    with closing(open_store(url)) as store:
        store.write(steps)
        url = store.url  # as it may be shown
    runs = _runs(steps)
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
            f"{run['chain_id']} imported: {run['name'][:60]}, "
            f"{counted(run['steps'], 'step')} ({', '.join(run['dialects'])})"
        )
        lines += [f"    {note}" for note in run["notes"]]
    return [*lines, f"{counted(len(runs), 'run')} in {url}"]
