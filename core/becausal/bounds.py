"""How much is kept: for how long, of how many runs, in how many bytes; and how that is written."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from becausal.errors import SettingsError

__all__ = ["MAX_PAYLOAD_BYTES", "MAX_RUN_BYTES", "Allowance", "Caps", "Retention", "age_ns", "byte_count"]

MAX_PAYLOAD_BYTES: Final = 8 << 20
MAX_RUN_BYTES: Final = 1 << 30
MOST_RUNS: Final = 4_096
"""Runs whose bytes are counted; of the one that was silent the longest it is forgotten what it had."""
MOST_CHARGED: Final = 16_384
"""Bodies of which it is remembered that their run had them counted: they are counted once, however often they come."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {
    **{"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12},
    **{"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40},
}


@dataclass(frozen=True, slots=True)
class Retention:
    """Which runs are kept: those that are within each of these bounds."""

    max_age_ns: int | None = None
    max_bytes: int | None = None
    """Of the whole store, without the space that it holds free for later."""
    keep_last: int | None = None
    """How many runs."""

    @classmethod
    def read(cls, text: str) -> Retention:
        """Return what a text says: `30d`, `5GB`, `last 1000`, or several of them with commas between.

        What is said amiss deletes runs, so nothing is guessed: `500M` may be minutes or megabytes and is neither.

        Raises:
            SettingsError: it says something else.
        """
        said: dict[str, int] = {}
        for piece in filter(None, (one.strip() for one in text.split(","))):
            last = re.fullmatch(r"(?i)last\s+(\d+)", piece)
            if last:
                said["keep_last"] = int(last[1])
            elif re.fullmatch(r"[\d.]+\s*[smhdw]", piece):
                said["max_age_ns"] = age_ns(piece)
            elif re.fullmatch(r"[\d.]+", piece):
                raise SettingsError(
                    f"{piece!r} of what? write for instance {piece}d, {piece}MB or last {piece}"
                )
            elif not re.match(r"[\d.]", piece):
                raise SettingsError(
                    f"{piece!r} is no age, size or count; write for instance '30d', '5GB', 'last 1000'"
                )
            else:
                said["max_bytes"] = byte_count(piece)
        if not said:
            raise SettingsError(f"retention={text!r} says nothing; write for instance '30d, 5GB, last 1000'")
        return cls(**said)

    def __str__(self) -> str:
        said = []
        if self.max_age_ns is not None:
            said.append(_in_largest(self.max_age_ns, {unit: _SECONDS[unit] * 10**9 for unit in "smhd"}))
        if self.max_bytes is not None:
            units = ("B", "kB", "MB", "GB", "TB")
            said.append(_in_largest(self.max_bytes, {unit: _BYTES[unit.lower()] for unit in units}))
        if self.keep_last is not None:
            said.append(f"last {self.keep_last}")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Caps:
    """How much of one payload, and of one run, is kept."""

    payload_bytes: int | None = MAX_PAYLOAD_BYTES
    """Of a larger payload its beginning and its end are kept; None: no bound."""
    run_bytes: int | None = MAX_RUN_BYTES
    """Once a run's bodies have come to so many bytes, its further steps are kept without theirs; None: no bound."""


class Spending:
    """What a run has had of its bytes."""

    __slots__ = ("bytes", "counted")

    def __init__(self) -> None:
        self.bytes = 0
        self.counted: dict[bytes, None] = {}
        """The digests of the bodies that are in it, in the order in which they came."""


class Allowance:
    """Counts the bytes of runs. For one thread at a time."""

    def __init__(self, max_run_bytes: int | None) -> None:
        """Make one; None: a run may keep whatever there is."""
        self._most = sys.maxsize if max_run_bytes is None else max_run_bytes
        self.runs: OrderedDict[str, Spending] = OrderedDict()
        """By chain, the most silent one first."""
        self.charged = 0
        """How many bodies they remember together."""

    def refused(self, chain_id: str, bodies: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Count bodies that a run is to keep; return the digests of those that it may not: all new ones, or none."""
        run = self.runs.get(chain_id)
        if run is None:
            run = self.runs[chain_id] = Spending()
            if len(self.runs) > MOST_RUNS:
                self.charged -= len(self.runs.popitem(last=False)[1].counted)
        else:
            self.runs.move_to_end(chain_id)
        counted, new, spent = run.counted, [], run.bytes
        for digest, body in bodies:
            if digest not in counted:
                counted[digest] = None
                new.append(digest)
                spent += len(body)
        if not new:
            return []
        run.bytes = spent
        self.charged += len(new)
        if spent <= self._most:
            if self.charged > MOST_CHARGED:
                self._forget()
            return []
        for digest in new:
            counted.pop(digest, None)
        self.charged -= len(new)
        return new

    def _forget(self) -> None:
        """Forget a quarter of the bodies that were counted, those first of the runs that were silent the longest."""
        beyond = self.charged - MOST_CHARGED * 3 // 4
        for run in list(self.runs.values()):  # a destructor may bring steps meanwhile
            oldest = [*islice(run.counted, beyond)]
            for digest in oldest:
                run.counted.pop(digest, None)
            self.charged -= len(oldest)
            beyond -= len(oldest)
            if not beyond:
                return


def age_ns(age: str | dt.timedelta) -> int:
    """Return an age in nanoseconds: `30d`, `12h`, `90m`, `2w`, or a `timedelta`.

    Raises:
        SettingsError: it is none.
    """
    if isinstance(age, dt.timedelta):
        return int(age.total_seconds() * 1e9)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", age)
    if found is None:
        raise SettingsError(
            f"{age!r} is no age; write for instance 30d, 12h or 2w (s, m, h, d, w: in small letters, m for minutes)"
        )
    return int(float(found[1]) * _SECONDS[found[2]] * 1e9)


def byte_count(size: str | int) -> int:
    """Return a size in bytes: `5GB` (10^9 each), `512MiB` (2^20 each), or a number. The B is part of it.

    Raises:
        SettingsError: it is none.
    """
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", size.lower())
    unit = None if found is None else _BYTES.get(found[2] or "b")
    if found is None or unit is None:
        raise SettingsError(f"{size!r} is no size; {_instead(found)}")
    return int(float(found[1]) * unit)


def _in_largest(number: int, units: dict[str, int]) -> str:
    """Return a number in the largest of the units, which begin with the smallest, of which it is at least one."""
    unit = next((unit for unit in reversed(units) if number >= units[unit]), next(iter(units)))
    return f"{number / units[unit]:g}{unit}"


def _instead(found: re.Match[str] | None) -> str:
    """Return what to write for what may be a size or an age."""
    number, unit = ("", "") if found is None else (found[1], found[2])
    says = []
    if unit and f"{unit}b" in _BYTES:
        says.append(f"{number}{unit[:1].upper()}{unit[1:]}B for bytes")
    if unit in _SECONDS:
        says.append(f"{number}{unit} for an age{', in minutes' if unit == 'm' else ''}")
    return f"write {' or '.join(says)}" if says else "write for instance 5GB or 512MiB"
