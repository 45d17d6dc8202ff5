"""One play under faults: an app is run with becausal on, faults strike, and nothing of the app may differ."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from opentelemetry import propagate
from tests.chaos.faults import Fault, Release, armed
from tests.chaos.handed import Handler, Propagator, Provider, a_check, a_predicate
from tests.chaos.subjects import Subject

import becausal
from becausal import contracts, guard, keeping, validators, writer
from becausal.errors import StoreError
from becausal.instrument import active_recorder
from becausal.recorder import Recorder
from becausal.store import open_store

__all__ = ["Outcome", "handed_over", "outcome_of", "play"]

BOUND = 24
"""Steps that the queue takes in one play of two; enough for none of the larger ones while the writer is held up."""

JOINED_S = 10.0
"""How long a thread of ours may take to end once nothing holds it."""


@dataclass
class Outcome:
    """What came of a play."""

    differences: list[str] = field(default_factory=list)
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    recorded: int = 0
    missing: int = 0
    gaps: int = 0


def outcome_of(subject: Subject) -> Any:
    """Return all that can be seen of a subject, exceptions that end it included."""
    try:
        return subject.play()
    except BaseException as error:
        return (type(error), error.args)


@cache
def plain(subject: Subject) -> Any:
    """Return what a subject does without becausal."""
    return outcome_of(subject)


def play(
    subject: Subject, faults: list[Fault], folder: Path, chance: random.Random, released: Release
) -> Outcome:
    """Run a subject with becausal on and faults in it."""
    outcome, wanted = Outcome(), plain(subject)
    former = set(threading.enumerate())
    path = folder / f"{chance.getrandbits(48):x}.db"
    max_steps = BOUND if chance.random() < 0.5 else writer.MAX_STEPS
    with _watched(max_steps) as seen:
        becausal.instrument(
            store=path,
            tracer_provider=Provider() if chance.random() < 0.7 else None,
            capture="digest" if chance.random() < 0.15 else None,
            level="boundaries" if chance.random() < 0.1 else None,
        )
        recorder = active_recorder()
        assert recorder is not None
        failures = _Failures(recorder)
        try:
            with armed(faults):
                got = outcome_of(subject)
                released.set()
                late = _close(outcome)
        finally:
            released.set()
            becausal.uninstrument()
    interrupts = [one for fault in faults for one in fault.interrupts]
    has_reached = bool(interrupts) and got == (KeyboardInterrupt, ("chaos",))
    if interrupts and not has_reached and not late:
        outcome.differences.append(f"an interrupt did not reach the app, but {str(got)[:200]}")
    elif got != wanted and not has_reached:
        outcome.differences.append(f"the app saw something else: {_first_difference(got, wanted)}")
    if not interrupts:  # a loop that is interrupted leaves AutoGen's own spans where they are
        outcome.differences += [f"logged: {line}" for line in seen.logged]
    if seen.longest > max_steps:
        outcome.differences.append(f"the queue held {seen.longest} of {max_steps}")
    outcome.differences += _left_over(former)
    outcome.struck = Counter({(fault.seam, fault.kind): fault.met for fault in faults if fault.met})
    _account(outcome, path, seen, dict(recorder.gaps), failures.count, len(interrupts))
    return outcome


def _close(outcome: Outcome) -> bool:
    """Take the hooks out while faults strike; returns whether an interrupt arrived here."""
    try:
        becausal.uninstrument()
    except KeyboardInterrupt:
        return True
    except BaseException as error:
        outcome.differences.append(f"uninstrument() raised {error!r}")
    return False


def _account(
    outcome: Outcome, path: Path, seen: _Seen, gaps: dict[str, int], failures: int, interrupts: int
) -> None:
    """Hold what is in the store to what came to an end: each step that lacks is one that a gap tells of."""
    stored: set[str] = set()
    try:
        store = open_store(f"sqlite:///{path}", read_only=True)
    except StoreError:
        pass  # it never came to hold anything
    else:
        stored = {step.id for chain in store.chains() for step in store.load(chain.chain_id)}
        store.close()
    outcome.recorded, outcome.gaps = len(seen.ended), sum(gaps.values())
    outcome.missing = len(seen.ended - stored)
    if outcome.missing > outcome.gaps + interrupts:  # who interrupts us in the middle of a step loses it
        outcome.differences.append(f"{outcome.missing} steps are missing, and the gaps are {gaps}")
    if failures and not gaps:
        outcome.differences.append(f"{failures} failures of ours, and no gap tells of them")


def _left_over(former: set[threading.Thread]) -> list[str]:
    now = set(threading.enumerate()) - former
    threads = [thread for thread in now if thread.name.startswith("becausal-")]
    for thread in threads:
        thread.join(JOINED_S)
    return [f"the thread {thread.name} goes on" for thread in threads if thread.is_alive()]


def _first_difference(got: Any, wanted: Any) -> str:
    while isinstance(got, tuple | list) and isinstance(wanted, tuple | list) and len(got) == len(wanted):
        differing = [pair for pair in zip(got, wanted, strict=True) if pair[0] != pair[1]]
        if not differing:
            break
        got, wanted = differing[0]
    return f"{str(got)[:300]} in place of {str(wanted)[:300]}"


# What is looked at meanwhile


class _Failures:
    """Counts our failures until a record is closed: what fails after that is missing from nothing."""

    def __init__(self, recorder: Recorder) -> None:
        self.count, self._recorder = 0, recorder
        guard.keepers.add(self)

    def failed(self, place: str) -> None:
        self.count += self._recorder in guard.keepers


class _Seen(logging.Handler):
    """What went by during a play."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.ended: set[str] = set()
        self.longest = 0
        self.logged: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.logged.append(record.getMessage())


@contextmanager
def _watched(max_steps: int) -> Iterator[_Seen]:
    """Look at every step that has ended, at the queue, and at OpenTelemetry's log; with a bound to the queue."""
    seen = _Seen()
    log = logging.getLogger("opentelemetry.context")
    write, put, defaults = keeping.Keeping.write, writer.Writer.put, writer.Writer.__init__.__kwdefaults__

    def written(self: Any, step: Any, **how: Any) -> None:
        if step.ended_ns is not None:
            seen.ended.add(step.id)
        write(self, step, **how)

    def putting(self: Any, step: Any) -> None:
        put(self, step)
        seen.longest = max(seen.longest, self.waiting)

    keeping.Keeping.write, writer.Writer.put = written, putting  # type: ignore[method-assign]
    writer.Writer.__init__.__kwdefaults__ = {**(defaults or {}), "max_steps": max_steps}
    log.addHandler(seen)
    try:
        yield seen
    finally:
        log.removeHandler(seen)
        keeping.Keeping.write, writer.Writer.put = write, put  # type: ignore[method-assign]
        writer.Writer.__init__.__kwdefaults__ = defaults


@contextmanager
def handed_over() -> Iterator[None]:
    """Have the app hand us its propagator, its log handler and its checks, for the length of a block."""
    strict, os.environ["BECAUSAL_STRICT"] = os.environ.get("BECAUSAL_STRICT", ""), "0"
    log, propagator = logging.getLogger("becausal"), propagate.get_global_textmap()
    handler, was = Handler(), (log.propagate, log.level)
    known, declared = dict(validators.registered), list(contracts.declared)
    log.addHandler(handler)
    log.propagate = False
    propagate.set_global_textmap(Propagator())
    for tool in ("search", "lookup", "add"):
        validators.validator(tool)(a_check)
    becausal.contract("*", "*", check=a_predicate)
    try:
        yield
    finally:
        os.environ["BECAUSAL_STRICT"] = strict
        log.removeHandler(handler)
        log.propagate, log.level = was
        propagate.set_global_textmap(propagator)
        validators.registered.clear()
        validators.registered.update(known)
        contracts.declared[:] = declared
