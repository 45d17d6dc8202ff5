"""Counts: per kind what was found, what was named, where, and whose; with intervals, beside trivial controls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tests.faults.case import KINDS
from tests.faults.controls import CONTROLS
from tests.faults.playing import Outcome

__all__ = ["macro_f1", "share", "table", "wilson"]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    if of == 0:
        return 0.0, 1.0
    z, p = 1.959964, hits / of
    centre, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return max(0.0, (centre - spread) / (1 + z * z / of)), min(1.0, (centre + spread) / (1 + z * z / of))


def share(outcomes: Iterable[Outcome], is_so: Callable[[Outcome], bool]) -> float:
    """Return of how many something is so."""
    rows = [is_so(outcome) for outcome in outcomes]
    return sum(rows) / len(rows) if rows else math.nan


def macro_f1(outcomes: Sequence[Outcome]) -> float:
    """Return the mean of the classes' F1; a clean run's class is `none`, and the first alarm is what was said."""
    pairs: list[tuple[str, str]] = []
    for outcome in outcomes:
        if not outcome.fault.expected:
            continue
        wanted = outcome.fault.expected[0]
        said = outcome.found[0] if outcome.found else "none"
        pairs.append((wanted, wanted if outcome.is_class_right else said))
        pairs += [
            ("none", alarms[0].partition(": ")[0] if alarms else "none")
            for alarms in (outcome.clean_alarms, outcome.sham_alarms)
        ]
    wanted_of, said_of = Counter(w for w, _ in pairs), Counter(s for _, s in pairs)
    right = Counter(w for w, s in pairs if w == s)
    classes = sorted(wanted_of)
    return (
        sum(2 * right[c] / (wanted_of[c] + said_of[c]) for c in classes) / len(classes)
        if classes
        else math.nan
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the printed table."""
    head = f"{'fault':<46}{'n':>4}  {'detected':>8} {'class':>6} {'step':>6} {'blame':>6} {'clean':>6} {'sham':>6}"
    lines = [head, "-" * len(head)]
    for name, kind in sorted(KINDS.items()):
        rows = [outcome for outcome in outcomes if outcome.fault.id == name]
        if rows:
            what = f"{name} {kind.name} ({kind.expected[0] if kind.expected else 'by blame'})"
            lines.append(f"{what[:70]:<70}\n{'':<46}{_row(rows)}")
    lines += ["-" * len(head), f"{'all':<46}{_row(outcomes)}", ""]
    for name, is_so in _MEASURES:
        hits = sum(map(is_so, outcomes))
        low, high = wilson(hits, len(outcomes))
        lines.append(
            f"{name:<28} {hits:>5} of {len(outcomes):<5} {hits / len(outcomes):6.1%}  [{low:.1%}, {high:.1%}]"
        )
    lines += [
        f"{'class macro-F1':<28} {macro_f1(outcomes):.3f}",
        f"{'of them contained':<28} {sum(o.is_contained for o in outcomes):>5}, where a note is enough",
        "",
        "first corrupt step by trivial controls:",
    ]
    for name in CONTROLS:
        hits = sum(outcome.controls[name] for outcome in outcomes)
        low, high = wilson(hits, len(outcomes))
        lines.append(f"  {name:<26} {hits / len(outcomes):6.1%}  [{low:.1%}, {high:.1%}]")
    return "\n".join(lines)


def _row(rows: Sequence[Outcome]) -> str:
    shares = [share(rows, is_so) for _, is_so in _MEASURES]
    return f"{len(rows):>4}  {shares[0]:>8.0%} " + " ".join(f"{one:>6.0%}" for one in shares[1:])


_MEASURES: tuple[tuple[str, Callable[[Outcome], bool]], ...] = (
    ("detected", lambda outcome: outcome.is_detected),
    ("class exact", lambda outcome: outcome.is_class_right),
    ("first corrupt step", lambda outcome: outcome.is_site_right),
    ("who is to blame", lambda outcome: outcome.is_blame_right),
    ("false alarm on clean", lambda outcome: bool(outcome.clean_alarms)),
    ("false alarm on sham", lambda outcome: bool(outcome.sham_alarms)),
)
