"""The parts of the benchmark beside the table of known kinds: what is played, and what is printed of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from tests.faults import (  # noqa: F401 - they enter kinds into the table
    composites,
    repair,
    repair_by_replay,
    unknown_kept,
    unknown_last,
)
from tests.faults.case import FRAMEWORKS
from tests.faults.clean import CLEAN
from tests.faults.playing import Outcome, Sealed, alarms, play
from tests.faults.scoring import wilson
from tests.faults.unknown import UNKNOWN
from tests.faults.world import World

import becausal

__all__ = ["SECTIONS"]


def unknown(cases: int, first_seed: int) -> str:
    """Play kinds that no judge was written against."""
    kinds, sealed, rows = [UNKNOWN[name] for name in sorted(UNKNOWN)], Sealed(None), []
    for number in range(cases):
        kind, turn = kinds[number % len(kinds)], number // len(kinds)
        rows.append(play(kind, first_seed + turn, FRAMEWORKS[(turn + number) % 2], sealed))
    columns = f"{'n':>4} {'seen':>5} {'step':>5} {'clean':>6} {'sham':>5}  said"
    head = f"{'kinds that no judge was written against':<58}{columns}"
    lines = [head, "-" * len(head)]
    for kind in kinds:
        mine = [row for row in rows if row.fault.id == kind.id]
        if mine:
            said = Counter(row.found[0] if row.found else "nothing" for row in mine)
            told = ", ".join(f"{name} {count}" for name, count in said.most_common(2))
            lines.append(
                f"{kind.id} {kind.name:<54}{len(mine):>4} {_sum(mine, _is_seen):>5} "
                f"{_sum(mine, lambda row: row.is_site_right):>5} {_sum(mine, lambda row: bool(row.clean_alarms)):>6} "
                f"{_sum(mine, lambda row: bool(row.sham_alarms)):>5}  {told}"
            )
    for letter, what in _SETS.items():
        mine = [row for row in rows if row.fault.id[0] == letter]
        lines.append(_share(f"recall, {letter}: {what}", _sum(mine, _is_seen), len(mine)))
    as_one = _sum(rows, lambda row: "run.anomaly" in row.found)
    lines += [
        _share("told as run.anomaly, the others by a known kind", as_one, len(rows)),
        _share("false alarm on clean", _sum(rows, lambda row: bool(row.clean_alarms)), len(rows)),
        _share("false alarm on sham", _sum(rows, lambda row: bool(row.sham_alarms)), len(rows)),
    ]
    return "\n".join(lines)


_SETS: Final = {
    "U": "the judge was written with them at hand",
    "K": "put in later, the judge bettered after (72 % before)",
    "L": "put in last, the judge not touched since",
}
"""The sets of unknown kinds, by the first letter of their ids."""


def together(cases: int, first_seed: int) -> str:
    """Play faults that come together."""
    kinds = list(composites.COMPOSITES.values())
    rows = [
        composites.play(
            kinds[number % len(kinds)],
            first_seed + number // len(kinds),
            FRAMEWORKS[number // len(kinds) % 2],
        )
        for number in range(cases)
    ]
    lines = ["faults that come together (scored apart)"]
    for kind in kinds:
        mine = [row for row in rows if row.id == kind.id]
        what = "nobody blamed" if kind.is_contained else "each root named"
        told = f", told as a note {sum(row.is_noted for row in mine)}" if kind.is_contained else ""
        alarmed = sum(bool(row.clean_alarms or row.sham_alarms) for row in mine)
        lines.append(
            _share(f"{kind.id} {kind.name}: {what}", sum(row.is_right for row in mine), len(mine))
            + f"{told}, false alarms {alarmed}"
        )
    return "\n".join(lines)


def clean(cases: int, first_seed: int) -> str:
    """Play clean variations that no twin covers."""
    names, alarmed = sorted(CLEAN), 0
    said: list[str] = []
    for number in range(cases):
        name = names[number % len(names)]
        CLEAN[name](World.of(first_seed + number // len(names), name))
        found = alarms(becausal.last_run())
        alarmed += bool(found)
        said += [f"    {name} seed {first_seed + number // len(names)}: {one}"[:200] for one in found[:1]]
    what = f"clean variations ({', '.join(names)}): false alarm"
    return "\n".join([_share(what, alarmed, cases), *said])


def repaired(cases: int, first_seed: int) -> str:
    """Prove what is blamed by repair."""
    kinds = repair.kinds()
    proofs = repair.proves(kinds, range(first_seed, first_seed + max(1, cases // len(kinds))))
    others = [proof for proof in proofs if proof.other is not None]
    lines = [
        f"repair, of the cases whose answer is another one than the clean run's ({len(proofs)}):",
        _share("the blamed place put right: the clean answer", sum(p.restores for p in proofs), len(proofs)),
        _share(
            "a place that it does not lead to: the clean answer",
            sum(p.other_restores for p in others),
            len(others),
        ),
    ]
    lines += [
        f"    not restored: {p.fault} seed {p.seed} {p.framework} {p.blamed}"
        for p in proofs
        if not p.restores
    ]
    return "\n".join(lines)


def replayed(cases: int, first_seed: int) -> str:
    """Prove what is blamed by an edit of the recorded run, from which only what follows runs again."""
    kinds = repair_by_replay.kinds()
    proofs = repair_by_replay.proves(kinds, range(first_seed, first_seed + max(1, cases // len(kinds))))
    proofs, spoilt = [p for p in proofs if p.can_be_repaired], [p for p in proofs if not p.can_be_repaired]
    others = [(proof.faulty, proof.other) for proof in proofs if proof.other is not None]
    replays = [*(proof.repaired for proof in proofs), *(other for _, other in others)]
    lines = [
        f"replay, of the cases that one place put right repairs ({len(proofs)}; spoilt at several: {len(spoilt)}):",
        _share("the blamed place edited: the clean answer", sum(p.restores for p in proofs), len(proofs)),
        _share(
            "a step outside the cone edited: the answer stays",
            sum(other.answer == faulty for faulty, other in others),
            len(others),
        ),
        _share(
            "only the cone ran, the rest was answered", sum(r.is_cone_alone for r in replays), len(replays)
        ),
        f"  calls of models and tools: {sum(r.ran for r in replays)} ran, "
        f"{sum(r.cone for r in replays)} are in the cones, {sum(r.outside for r in replays)} outside",
    ]
    lines += [
        f"    not restored: {p.fault} seed {p.seed} {p.framework} {p.blamed}"
        for p in proofs
        if not p.restores
    ]
    return "\n".join(lines)


SECTIONS: Final[dict[str, tuple[Callable[[int, int], str], int]]] = {
    "unknown": (unknown, 3),
    "together": (together, 12),
    "clean": (clean, 12),
    "repair": (repaired, 7),
    "replay": (replayed, 7),
}
"""By name: what plays it, and for how many cases of the table it plays one."""


def _is_seen(row: Outcome) -> bool:
    return bool(row.found)


def _sum(rows: Sequence[Outcome], is_so: Callable[[Outcome], bool]) -> int:
    return sum(map(is_so, rows))


def _share(what: str, hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"  {what:<74} {hits:>4} of {of:<4} {hits / of if of else 0:6.1%}  [{low:.1%}, {high:.1%}]"
