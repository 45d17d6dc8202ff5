"""Whether secrets are taken out of what is recorded, under which key they are marked, and how many were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from becausal.doctor.check import Line, advice, trouble, well
from becausal.redaction import folder_of, in_force
from becausal.redaction.engine import is_linear
from becausal.redaction.marker import KEY_FILE, KEY_VARIABLE, Marking

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
        yield from _of_the_key(patient)
    for kind, count in patient.redacted.items():
        yield well(f"redacted: {count} of the kind {kind}", kind=kind, count=count)


SHORTEST_KEY: Final = 32
"""Characters of a variable below which somebody may guess it."""

FRESH: Final = "python -c 'import secrets; print(secrets.token_hex(32))'"
"""What makes a key."""


def _of_the_key(patient: Patient) -> Iterator[Line]:
    """Say which key secrets are marked with, and whether the newest run's were marked with another; never the key."""
    folder = folder_of(patient.url)
    marking = Marking(folder)
    given = os.environ.get(KEY_VARIABLE)
    if given:
        yield well(f"secrets are marked under the key in {KEY_VARIABLE}", key_in=KEY_VARIABLE)
        if len(given) < SHORTEST_KEY:
            yield advice(
                f"{KEY_VARIABLE} is short: who guesses it can guess at secrets by their markers",
                f"set it to what {FRESH} prints, on each machine that records to this store",
            )
    elif folder is None:
        yield well("secrets are marked under a key of each process's own: this store has no place for one")
    elif marking.known_key is not None:
        yield well(f"secrets are marked under the key in {folder / KEY_FILE}", key_in=str(folder / KEY_FILE))
    elif (folder / KEY_FILE).exists():
        yield trouble(
            f"{folder / KEY_FILE} cannot be read, or holds no key: each process marks secrets under one of its own",
            "let whoever records read it; or remove it, and the next secret that is met makes another",
        )
    else:
        yield well(f"no secret was met here: the first one makes {folder / KEY_FILE}, the key of the markers")
    if patient.marked_by and marking.known_key is not None and patient.marked_by != {marking.key_id}:
        yield advice(
            "the newest run's secrets were marked under another key than the one here: one secret has two markers",
            f"where both are to have one, set {KEY_VARIABLE} to the text of {KEY_FILE} of where it was recorded; "
            "replays need no key",
        )
