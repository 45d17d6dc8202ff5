"""What recording costs here: measured, not quoted. Steps of three sizes are recorded on a store that is thrown away.

The app's thread is measured by its own CPU time (sealing, redaction, the queue), the writer's by the process's beside
it (compressing, writing). Every payload is new: an app that hands the same thing on pays less.
"""

from __future__ import annotations

import contextvars
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import NoOpTracerProvider

from becausal.doctor.check import Line, advice, well
from becausal.recorder import Observation, Opening, Recorder
from becausal.redaction import read_redaction
from becausal.store import open_store
from becausal.telemetry import Telemetry
from becausal.writer import Writer

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["Cost", "look_at_cost", "measured"]

STEPS: Final = {1 << 10: 300, 32 << 10: 60, 1 << 20: 6}
"""How many steps are recorded, by the bytes that each receives, and gives again."""

WARM_UP: Final = 50
"""The first steps pay for what is loaded and remembered."""

LONGEST_S: Final = 1.0
"""After so much CPU time no more steps of a size are recorded: without a fast engine 1 MB takes seconds to redact."""

FEWEST: Final = 2
"""So many steps of a size are recorded, however long they take."""

SLOW_US: Final = 1_000
"""Beyond this a step of 1 KB is not what it should be."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step costs whose payloads have a size."""

    bytes_in: int
    """Of what it receives; it gives as much."""
    app_us: float
    """CPU time on the app's thread."""
    writer_us: float
    """CPU time on the writer's."""
    disk_bytes: float


def look_at_cost(patient: Patient) -> Iterator[Line]:
    """Say what a step costs on this machine, with the settings in force."""
    costs = measured(patient)
    for cost in costs:
        size = f"{cost.bytes_in >> 10} KB" if cost.bytes_in < 1 << 20 else f"{cost.bytes_in >> 20} MB"
        yield well(
            f"a step that receives {size} and gives {size}: {cost.app_us:,.0f} µs of the app's thread, "
            f"{cost.writer_us:,.0f} µs of the writer's, {cost.disk_bytes / 1024:,.1f} KB on disk",
            bytes_in=cost.bytes_in,
            app_us=round(cost.app_us, 1),
            writer_us=round(cost.writer_us, 1),
            disk_bytes=round(cost.disk_bytes),
        )
    smallest, largest = costs[0], costs[-1]
    per_kb = (largest.app_us - smallest.app_us) / (2 * (largest.bytes_in - smallest.bytes_in) / 1024)
    yield well(
        f"so {smallest.app_us:,.0f} µs a step and {per_kb:.2f} µs a KB of new content. Measured here, now: CPU time, "
        "a scratch store, redaction as the app sets it, no spans",
        app_us_per_kb=round(per_kb, 3),
    )
    if smallest.app_us > SLOW_US:
        yield advice(
            f"that is slow: {SLOW_US} µs is much for a step of 1 KB",
            "look again when the machine is idle; if it stays so, record less (level='boundaries', capture='digest')",
        )


def measured(patient: Patient) -> list[Cost]:
    """Return what steps cost, by their sizes: the smallest first."""
    # In no context: steps of an app that is going on here must not become their parents.
    return contextvars.Context().run(_measured, patient)


def _measured(patient: Patient) -> list[Cost]:
    asked = read_redaction(patient.redacts)
    with tempfile.TemporaryDirectory(prefix="becausal-doctor-") as folder:
        writer = Writer(open_store(f"sqlite:///{Path(folder) / 'scratch.db'}"))
        recorder = Recorder(
            Telemetry(NoOpTracerProvider(), patient.settings.dialects),
            writer,
            level="full",
            capture=patient.capture,
            redact=None if asked is None else asked.redactor(None),
        )
        try:
            text = _text(max(STEPS))
            _record(recorder, text, min(STEPS), WARM_UP)
            return [_cost(recorder, writer, text, size, count) for size, count in STEPS.items()]
        finally:
            recorder.close(5.0)


def _cost(recorder: Recorder, writer: Writer, text: str, size: int, count: int) -> Cost:
    recorder.flush(5.0)
    before = writer.store.describe().bytes_on_disk
    whole, mine = time.process_time(), time.thread_time()
    count = _record(recorder, text, size, count)
    app = time.thread_time() - mine
    recorder.flush(30.0)
    writing = max(0.0, time.process_time() - whole - (time.thread_time() - mine))
    grown = max(0, writer.store.describe().bytes_on_disk - before)
    return Cost(size, app / count * 1e6, writing / count * 1e6, grown / count)


def _record(recorder: Recorder, text: str, size: int, count: int) -> int:
    """Record steps, each with content that was never there before; returns how many there was time for."""
    began = time.thread_time()
    seen = Observation(lambda given: Opening("agent", "doctor", received=given))
    for number in range(count):
        if number >= FEWEST and time.thread_time() - began > LONGEST_S:
            return number
        start = number * 37 % (len(text) - size) if len(text) > size else 0
        content = f"{size} {number} {text[start : start + size]}"
        recorder.call(seen, lambda given: f"so: {given['question']}", {"question": content})
    return count


def _text(size: int) -> str:
    """Return words of a language that nobody speaks: they pack like a text, and none is a secret."""
    chance = random.Random(1)  # of our own, and always the same
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el", "or")]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(4_000)]
    sentence = " ".join(chance.choices(words, k=size // 16))
    return (sentence * (size // len(sentence) + 2))[: size + 4_096]
