"""A recorded run as a regression test: `replayed("refund.becausal", graph).reproduces()`.

The app runs again, answered from the cassette; then one asks what must hold. What does not is an `AssertionError` whose
text says where the replay left the record, or first differed from it, with both sides. `becausal.pytest_plugin` gives
it to pytest as the fixture `replay`; nothing here needs pytest.

A replay that left the record says nothing of the app's answers: then every question but `diverges` fails, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from becausal import runs as loading
from becausal.delta import Delta
from becausal.finding import KINDS, SEVERITIES, Finding
from becausal.payload import Payload
from becausal.replay import Replay
from becausal.run import Run

__all__ = ["Replayed", "replayed"]

MOST_LINES = 24
"""So many lines of a payload are shown."""

MOST_CHANGES = 8
LONGEST_VALUE = 120

WORTH_MENTIONING = SEVERITIES[1:]
"""A note says that nothing is wrong."""


def replayed(path: str | os.PathLike[str], app: object, **options: Any) -> Replayed:
    """Replay the run of a cassette.

    Args:
        path: the cassette.
        app: as for `Run.replay`: a graph, a team, a function, or `module:name`.
        options: as for `Run.replay`: `edit`, `live`, `standin`, `network`.

    Raises:
        CassetteError: the cassette cannot be read.
        ReplayError: the run cannot be replayed.
    """
    run = loading.open(path).last()
    return Replayed(Path(path).name, run.replay(app, **options))


class Replayed:
    """A replay, to be asked what must hold. Each question returns this again, so that one can follow the other."""

    def __init__(self, name: str, replay: Replay[Run]) -> None:
        self.name = name
        """The cassette's."""
        self.replay = replay

    @property
    def run(self) -> Run:
        """The run that the replay made."""
        return self.replay.run

    def reproduces(self, *, exactly: bool = False) -> Replayed:
        """Require that every step received and produced what it did when it was recorded.

        Args:
            exactly: byte for byte, the ids and times of messages included.

        Raises:
            AssertionError: one did not; says which came first, with both sides.
        """
        __tracebackhide__ = True
        self._require_whole()
        if not self.replay.reproduced:
            raise AssertionError(self._parting())
        if exactly and not self.replay.is_exact:
            raise AssertionError(
                f"The replay of {self.name} means the same, but is not the same byte for byte: ids or times differ, "
                "which the app or its framework makes anew each time."
            )
        return self

    def diverges(self) -> Replayed:
        """Require that the replay left the record: that the app asks otherwise than it did.

        Raises:
            AssertionError: it did not.
        """
        __tracebackhide__ = True
        if self.replay.divergence is None:
            raise AssertionError(
                f"The replay of {self.name} kept to the record from its beginning to its end."
            )
        return self

    def still_says(self, *texts: str) -> Replayed:
        """Require that the output has each of these texts, wherever lines are broken.

        Raises:
            AssertionError: one is not there; shows the output.
        """
        __tracebackhide__ = True
        self._require_whole()
        missing = [text for text in texts if _joined(text) not in _joined(self._said())]
        if missing:
            raise AssertionError(f"The output does not say {missing[0]!r}. {self._outputs()}")
        return self

    def no_longer_says(self, *texts: str) -> Replayed:
        """Require that the output has none of these texts.

        Raises:
            AssertionError: one is there; shows the output.
        """
        __tracebackhide__ = True
        self._require_whole()
        found = [text for text in texts if _joined(text) in _joined(self._said())]
        if found:
            raise AssertionError(f"The output still says {found[0]!r}. {self._outputs()}")
        return self

    def has(self, *kinds: str) -> Replayed:
        """Require a finding of each of these kinds.

        Raises:
            AssertionError: one is not among the findings; lists those that are.
            ValueError: there is no such kind at all.
        """
        __tracebackhide__ = True
        self._require_whole()
        _require_kinds(kinds)
        there: set[str] = {finding.kind for finding in self.run.findings}
        missing = [kind for kind in kinds if kind not in there]
        if missing:
            found = "".join(map(_told, self.run.findings)) or "\n    (none)"
            raise AssertionError(f"The replay of {self.name} has no finding {missing[0]!r}; it has:{found}")
        return self

    def has_no(self, *kinds: str) -> Replayed:
        """Require that there is no finding of these kinds; without a kind, none that is worse than a note.

        Raises:
            AssertionError: there is one; shows it, with its evidence.
            ValueError: there is no such kind at all.
        """
        __tracebackhide__ = True
        self._require_whole()
        _require_kinds(kinds)
        found = [
            finding
            for finding in self.run.findings
            if (finding.kind in kinds if kinds else finding.severity in WORTH_MENTIONING)
        ]
        if found:
            raise AssertionError(f"The replay of {self.name} has:{''.join(map(_told, found))}")
        return self

    def __repr__(self) -> str:
        return f"<Replayed {self.name}: {self.replay!r}>"

    # Inside

    def _require_whole(self) -> None:
        __tracebackhide__ = True
        divergence = self.replay.divergence
        if divergence is None:
            return
        lines = [f"The replay of {self.name} left the record:", f"    {divergence}"]
        if divergence.nearest is not None:
            lines += _changes(divergence.delta)
            lines += _shown("recorded", divergence.nearest.received)
        lines += _shown("asked now", divergence.request)
        lines.append(
            "Nothing more is known of this run. If the app was changed on purpose, record the run again, or let what "
            "it asks anew be answered: replay(…, live=[…]) or replay(…, standin=…)."
        )
        raise AssertionError("\n".join(lines))

    def _parting(self) -> str:
        first = self.replay.comparison.first
        if first is None:
            differs = next((pair for pair in self.replay.pairs if pair.state != "same"), None)
            return f"The replay of {self.name} differs from the record at {differs}."
        lines = [f"The replay of {self.name} differs from the record:", f"    {first.why}"]
        if first.side is not None:
            pair = first.pair
            lines += _changes(pair.received if first.side == "received" else pair.produced)
            before, after = pair.payloads(first.side)
            lines += [*_shown("recorded", before), *_shown("now", after)]
        return "\n".join(lines)

    def _said(self) -> str:
        output = self.run.output
        return "" if output is None else output.text()

    def _outputs(self) -> str:
        recorded = self.replay.of.output
        return "\n".join(
            [
                f"The replay of {self.name} gave:",
                *_shown("now", self.run.output),
                *_shown("recorded", recorded),
            ]
        )


def _require_kinds(kinds: Iterable[str]) -> None:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"no finding is ever of the kind {unknown[0]!r}; there are: {', '.join(KINDS)}")


def _told(finding: Finding) -> str:
    evidence = "".join(f"\n        {line}" for words in finding.evidence for line in words.splitlines())
    return f"\n    {finding.kind} ({finding.severity}): {finding.message}{evidence}"


def _changes(delta: Delta) -> list[str]:
    changes = [
        f"    {change.kind} {change.path}: {_short(change.before)} -> {_short(change.after)}"
        for change in list(delta)[:MOST_CHANGES]
    ]
    return ["  what differs:", *changes] if changes else []


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _shown(title: str, payload: Payload | None) -> list[str]:
    if payload is None:
        return [f"  {title}: (nothing)"]
    if not payload.is_kept:
        return [f"  {title}: ({payload.size} bytes, of which only the digest is kept)"]
    lines = payload.text().splitlines()
    more = [f"    … {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return [f"  {title}:", *(f"    {line}" for line in lines[:MOST_LINES]), *more]


def _joined(text: str) -> str:
    return " ".join(text.split())
