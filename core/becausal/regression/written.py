"""A test's source, written from a run, with the cassette that it replays beside it.

A run's names come from whoever recorded it, and a cassette may come from anybody. So nothing of it becomes code: the
names in the source are those that the writer was given, and what is told of the run is cut down to harmless letters.
"""

from __future__ import annotations

import keyword
import re
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from becausal import semconv
from becausal.cassette import SUFFIX
from becausal.errors import ReplayError
from becausal.finding import SEVERITIES
from becausal.run import Run
from becausal.store.exposure import owners_only

__all__ = ["Written", "write"]

WIDTH = 80
"""The length of a docstring's lines, below the limit of every common formatter."""

HARMLESS = re.compile(r"[^A-Za-z0-9 .,=+_-]+")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    test: Path
    cassette: Path
    functions: tuple[str, ...]


def write(run: Run, path: Path, app: str) -> Written:
    """Write a test of a run, and its cassette beside it.

    The test requires that the replay reproduces the run. Where the run has findings, a second test requires that it has
    none of them, and is expected to fail until the app is mended.

    Args:
        run: the run.
        path: of the test's file, which must not be there: somebody may have worked on it.
        app: `module:name` of the app, as the test will import it.

    Raises:
        ReplayError: there is such a file already, or `app` names nothing that can be imported.
        CassetteError: the cassette cannot be written.
    """
    if path.suffix != ".py":
        raise ReplayError(f"{path} is no name of a test's file; name one such as test_refund.py")
    if path.exists():
        raise ReplayError(f"{path} is there already; name another file, or remove it first")
    stem = re.sub(r"\W", "_", path.stem.removeprefix("test_"), flags=re.ASCII) or "run"
    cassette = run.export(path.with_name(f"{stem}{SUFFIX}"))
    source, functions = _source(run, stem, cassette.name, app)
    owners_only(path, source)
    return Written(path, cassette, functions)


def _source(run: Run, stem: str, cassette: str, app: str) -> tuple[str, tuple[str, ...]]:
    module, name, called = _imported(app)
    kinds = sorted({finding.kind for finding in run.findings if finding.severity in SEVERITIES[1:]}, key=str)
    first, second = f"test_{stem}_is_reproduced", f"test_{stem}_goes_well"
    lines = [
        f'"""Replays {cassette}.',
        "",
        *_said_of(run),
        "",
        "Models, tools and memory answer from the cassette, so this needs no network.",
        '"""',
        "",
        *(["import pytest"] if kinds else []),
        f"from {module} import {name}",
        "",
        "",
        f"def {first}(replay):",
        f'    replay("{cassette}", {called}).reproduces()',
    ]
    if kinds:
        lines += [
            "",
            "",
            '@pytest.mark.xfail(reason="recorded so; remove this once it is mended", strict=True)',
            f"def {second}(replay):",
            f'    played = replay("{cassette}", {called})',
            *(f'    played.has_no("{kind}")' for kind in kinds),
        ]
    return "\n".join(lines) + "\n", (first, second) if kinds else (first,)


def _imported(app: str) -> tuple[str, str, str]:
    """Return the module, the name to import from it, and how the app is called then."""
    module, _, called = app.partition(":")
    parts = [*module.split("."), *called.split(".")]
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise ReplayError(f"{app!r} names no app: write module:name, such as my_app.graphs:graph")
    return module, called.partition(".")[0], called


def _said_of(run: Run) -> list[str]:
    """Return lines that tell of a run."""
    started = run.started_ns
    day = "at no known time" if started is None else time.strftime("%Y-%m-%d", time.gmtime(started / 1e9))
    packages = next(
        (said for step in run.steps if isinstance(said := step.attributes.get(semconv.PACKAGES), tuple)), ()
    )
    told = f"A run of {len(run.steps)} steps, recorded on {day}"
    if packages:
        told += f" with {', '.join(HARMLESS.sub('', one)[:60] for one in packages[:12])}"
    return textwrap.wrap(f"{told}.", WIDTH)
