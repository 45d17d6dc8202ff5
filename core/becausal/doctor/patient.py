"""What the doctor looks at: this machine, this process, and the store, each asked once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from becausal import semconv
from becausal.adapter import AdapterReport
from becausal.answers.comparison.counterparts import keys_of
from becausal.doctor.hooking import hooked
from becausal.doctor.others import Foreign, others
from becausal.doctor.packages import EXTRAS, is_there, versions
from becausal.errors import StoreError, StoreFormatError
from becausal.instrument import active_recorder, is_listening
from becausal.keeping import REDACTED
from becausal.making import MEMORY_KINDS
from becausal.recorder import Recorder
from becausal.settings import Capture, Level, Settings, shown_url
from becausal.step import Step
from becausal.store import Store, StoreInfo, open_store

__all__ = ["Patient", "presented"]

SAMPLE = 32
"""Contents of a run that are looked at to see whether any is kept."""

LARGEST = 20_000
"""Steps: a larger run is not loaded to see how it was recorded."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What every check may ask. The store is open for reading while they look."""

    url: str
    """The store's."""
    settings: Settings = field(default_factory=Settings)
    """What `becausal.instrument()` without arguments would do here."""
    unread: tuple[str, ...] = ()
    """What is wrong with variables whose values mean nothing."""
    store: Store | None = None
    info: StoreInfo | None = None
    store_trouble: str | None = None
    """Why the store cannot be read."""
    gaps: Mapping[str, int] = field(default_factory=dict)
    """How much could not be recorded, by reason: what the store counted, of every process that wrote to it."""
    redacted: Mapping[str, int] = field(default_factory=dict)
    """How many values were redacted in what the store was given, by kind."""
    redacts: bool | None = None
    """Whether secrets are taken out: what this process does that records, else what the newest run says of itself; None
    where there is neither."""
    marked_by: frozenset[str] = frozenset()
    """What tells the key apart under which the newest run's secrets were marked; empty where none was met."""
    recorder: Recorder | None = None
    """The one at work in this process."""
    adapters: tuple[AdapterReport, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    """Instrumentors of others that record the same calls."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python and of what becausal stands on, by distribution; what is not installed is not there."""
    extras: Mapping[str, bool] = field(default_factory=dict)
    """By name of an extra: whether what it brings is installed."""
    propagates: bool = False
    """Whether OpenTelemetry's own propagators carry the chain (`OTEL_PROPAGATORS` names `becausal`)."""
    recorded_at: Level | None = None
    """At which level: what this process does that records, else as the newest run says; None where neither is there."""
    captured: Capture | None = None
    """What was kept of contents, known in the same way."""
    by_callback: bool = False
    """Whether this process, or the newest run in the store, is recorded by `becausal.callback()`, which sees less."""

    @property
    def level(self) -> Level:
        """The level at which runs are recorded, as far as it is known here."""
        return self.recorded_at or self.settings.level

    @property
    def capture(self) -> Capture:
        """What is kept of contents, as far as it is known here."""
        return self.captured or self.settings.capture


@contextlib.contextmanager
def presented(url: str) -> Iterator[Patient]:
    """Give what is to be looked at, its store open.

    Imports every installed framework that has an adapter: only so can it be told which places a version no longer has.
    """
    recorder = active_recorder()
    store, trouble = _opened(url)
    unread: list[str] = []
    settings = Settings.read(flawed=unread.append)
    info, gaps = None, {}
    newest: Sequence[Step] = ()
    try:
        if store is not None:
            try:
                info, gaps, newest = store.describe(), store.gaps(), _newest(store)
            except StoreError as refusal:
                trouble = str(refusal)
        yield Patient(
            url=shown_url(url),
            settings=settings,
            unread=tuple(unread),
            store=store if trouble is None else None,
            info=info,
            store_trouble=trouble,
            gaps={reason: count for reason, count in gaps.items() if not reason.startswith(REDACTED)},
            redacted={
                reason[len(REDACTED) :]: count
                for reason, count in gaps.items()
                if reason.startswith(REDACTED)
            },
            recorder=recorder,
            adapters=tuple(hooked()),
            foreign=others(),
            versions=versions(),
            extras={name: all(map(is_there, modules)) for name, modules in EXTRAS.items()},
            propagates="becausal" in os.environ.get("OTEL_PROPAGATORS", "").split(","),
            redacts=_redacts(newest) if recorder is None else recorder.redact is not None,
            marked_by=keys_of(newest),
            recorded_at=_level(newest) if recorder is None else recorder.level,
            captured=_captured(newest) if recorder is None else _kept_by(recorder),
            by_callback=_is_by_callback(newest) or is_listening("langchain"),
        )
    finally:
        if store is not None:
            store.close()


def _opened(url: str) -> tuple[Store | None, str | None]:
    try:
        return open_store(url, read_only=True), None
    except StoreError as refusal:
        return None, str(refusal)


def _newest(store: Store) -> Sequence[Step]:
    """Return the steps of the newest run, unless it is too large."""
    try:
        newest = (chain for chain in store.chains(limit=1) if chain.steps <= LARGEST)
        return [step for chain in newest for step in store.load(chain.chain_id)]
    except StoreFormatError:  # one of the checks says so
        return ()


def _is_by_callback(run: Sequence[Step]) -> bool:
    """Return whether a run was recorded by callbacks."""
    return any(step.attributes.get(semconv.RECORDED_BY) == "callback" for step in run)


def _kept_by(recorder: Recorder) -> Capture:
    return "digest" if recorder.withholds_content else "full"


def _level(run: Sequence[Step]) -> Level | None:
    """Return at which level a run was recorded, as its first steps say; None where they say nothing."""
    roots = [step.attributes for step in run if semconv.PACKAGES in step.attributes]
    if not roots:
        return None
    return "boundaries" if any(said.get(semconv.LEVEL) == "boundaries" for said in roots) else "full"


def _captured(run: Sequence[Step]) -> Capture | None:
    """Return what was kept of a run's contents; None where that cannot be told from it."""
    if any(semconv.LEFT_OUT in step.attributes for step in run):
        return None
    contents = (  # a memory keeps its values all the same
        payload
        for step in run
        for payload in (step.received, step.produced)
        if payload is not None and step.kind not in MEMORY_KINDS
    )
    try:
        kept = [payload.is_kept for payload in islice(contents, SAMPLE)]
    except StoreFormatError:  # what is damaged was kept; one of the checks says so
        return "full"
    return None if not kept else "full" if any(kept) else "digest"


def _redacts(run: Sequence[Step]) -> bool | None:
    """Return whether secrets were taken out of a run, as its first steps say; None where they say nothing."""
    said = {step.attributes.get(semconv.REDACTION) for step in run} - {None}
    return "off" not in said if said else None
