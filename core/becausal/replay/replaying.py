"""A replay from its beginning to its result."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import functools
import inspect
import logging
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from becausal.adapter import Hooks
from becausal.answers.recorded import Recorded
from becausal.canonical.renaming import known_as
from becausal.errors import ReplayError
from becausal.instrument import active_recorder, instrument, leave
from becausal.payload import Bodies
from becausal.recorder import Recorder
from becausal.replay import network as networking
from becausal.replay.adapter import Entry, ReplayAdapter, carriers, replay_adapters
from becausal.replay.apart import GRACE, Within, apart, patience_with
from becausal.replay.app import App, found_app, imported, tops
from becausal.replay.changes import Changes
from becausal.replay.check import check
from becausal.replay.divergence import DivergenceError
from becausal.replay.edit import Edits
from becausal.replay.outcome import Outcome, Replay
from becausal.replay.outliving import Threads
from becausal.replay.rebuild import Classes
from becausal.replay.recalled import Standin
from becausal.replay.script import script_classes
from becausal.replay.seam import Seam
from becausal.replay.session import Session
from becausal.replay.trying import tried
from becausal.settings import shown_url, store_named
from becausal.step import Step
from becausal.store import Store, open_store

__all__ = ["answering", "replay", "several"]

log: logging.Logger = logging.getLogger("becausal")

R = TypeVar("R", bound=Recorded)

Load = Callable[[str, Store], R]
"""Loads a run by its chain id."""


def replay(
    recorded: R,
    load: Load[R],
    app: object,
    *,
    edit: object = None,
    live: bool | str | Collection[str] = False,
    standin: Standin | None = None,
    network: bool | None = None,
    timeout: float | None = None,
) -> Replay[R]:
    """Run an app again, answered from the record; see `becausal.run.Run.replay`."""
    if app is None:
        raise ReplayError("say which app is to run again: a graph, a team, a function, or 'module:name'")
    edits = Edits.of(edit, recorded)
    # Before anything is recorded: its module may say itself how that is to be done.
    named, app = app, imported(app) if isinstance(app, str) else app
    with _recording(_bodies_of(recorded)) as recorder:
        lost, adapters = _lost(recorder), replay_adapters()
        # From the trial on: what that has left behind in a thread is held to the end.
        with _in_force(recorder, adapters):
            target = found_app(app, adapters, recorded.steps, tried)
            classes = classes_of(adapters, target.roots())
            script = _script_of(recorded, (app, *_module_named(named), *target.roots()))
            classes.know_as(script)
            session = _session(recorded, recorder, classes, edits, live, standin)
            entries = tops(recorded.steps, target)
            session.secrets.entries = entries if target.takes_input else ()
            check(session, recorded.steps, target, entries)
            edits.check(session, {step.id for step in entries} if target.takes_input else ())
            session.kept_for[networking.OPEN] = bool(live) if network is None else network
            session.threads.in_force = functools.partial(_in_force, recorder, adapters, script)
            outcomes = apart(
                lambda within: _run(session, target, entries, within),
                functools.partial(_in_force, recorder, adapters, script),
                session,
                patience_with(recorded.steps, timeout, is_live=bool(live) or standin is not None),
            )
            if session.threads.is_at_work:
                _left_behind.setdefault(recorder, []).append(session.threads)
        if not recorder.flush(30.0) or _lost(recorder) > lost:
            raise _unwritten(recorder)
        store = _to_read(recorder)
        # A divergence shows what was asked, after the recorder's store is closed too.
        session.read_from(store)
        return _come_of(session, recorded, load(session.chain_id, store), edits, outcomes)


NOT_TAKEN: Final = frozenset(("closed", "queue full", "not written in time", "store failed"))
"""Why whole steps are not in a store, among a recorder's gaps."""


def _lost(recorder: Recorder) -> int:
    """Return how many steps its store has not taken."""
    return sum(count for reason, count in recorder.gaps.items() if reason in NOT_TAKEN)


def _unwritten(recorder: Recorder) -> ReplayError:
    where = "the store" if recorder.store is None else shown_url(recorder.store.url)
    return ReplayError(
        f"the replay could not be recorded, so nothing can be said of it: {where} did not take all of its steps. Allow "
        "writing there, or copy the store and name the copy (`--store`, BECAUSAL_STORE)"
    )


def _come_of(session: Session, recorded: R, run: R, edits: Edits, outcomes: Sequence[Outcome]) -> Replay[R]:
    return Replay(
        recorded,
        run,
        session.divergence,
        tuple(outcomes),
        tuple(session.course.ran),
        tuple(session.course.stood_in),
        tuple(id for id in {**edits.inputs, **edits.outputs} if id not in session.course.applied),
        session.course.recalled,
        tuple(session.secrets.entries),
    )


@contextmanager
def several(recorded: Recorded) -> Iterator[None]:
    """Make many replays of a run, with one store, and look through the app once: it must not change meanwhile."""
    token = _seen.set(_Seen())
    try:
        with _recording(_bodies_of(recorded)):
            yield
    finally:
        _seen.reset(token)


@contextmanager
def answering(
    recorded: Recorded,
    *roots: object,
    live: bool | str | Collection[str] = False,
    standin: Standin | None = None,
) -> Iterator[Session]:
    """Answer what the block asks from a recorded run, whatever the block does; nothing is compared.

    Args:
        recorded: the run.
        roots: functions, classes or runnables of the app, from which its own classes can be reached.
        live: as for a replay.
        standin: as for a replay.
    """
    with _recording(_bodies_of(recorded)) as recorder:
        adapters = replay_adapters()
        classes = classes_of(adapters, roots)
        session = _session(recorded, recorder, classes, Edits(recorded), live, standin)
        session.kept_for[networking.OPEN] = bool(live)
        session.threads.in_force = functools.partial(_in_force, recorder, adapters)
        with _in_force(recorder, adapters):
            try:
                with session.here():
                    yield session
            finally:
                session.threads.end(GRACE)


def _session(
    recorded: Recorded,
    recorder: Recorder,
    classes: Classes,
    edits: Edits,
    live: bool | str | Collection[str],
    standin: Standin | None,
) -> Session:
    return Session(
        recorded,
        _bodies_of(recorded) or _NoBodies(),
        classes,
        Changes(edits.inputs, edits.outputs, (live,) if isinstance(live, str) else live, standin),
        written=recorder.store,
        flush=lambda: recorder.flush(30.0),
    )


def classes_of(adapters: Sequence[ReplayAdapter], roots: Iterable[object]) -> Classes:
    """Return the classes that a recorded value may be made of again: the frameworks' and the app's."""
    given = tuple(roots)
    known, key = _seen.get(), tuple(map(id, given))
    if known is not None and key in known.classes:
        return known.classes[key][1]
    classes = Classes(cls for adapter in adapters for cls in adapter.classes())
    classes.reach(given)
    if known is not None:
        known.classes[key] = given, classes
    return classes


def _script_of(recorded: Recorded, roots: tuple[object, ...]) -> Mapping[str, type]:
    """Return the classes that a record knows as `__main__`'s: it is gone through for them once."""
    known, key = _seen.get(), (id(recorded), *map(id, roots))
    if known is not None and key in known.scripts:
        return known.scripts[key][1]
    script = script_classes(recorded.steps, _bodies_of(recorded) or _NoBodies(), roots)
    if known is not None:
        known.scripts[key] = (recorded, *roots), script
    return script


_Key = tuple[int, ...]
_Kept = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found in looking through apps, by the identities of what leads to it, which is kept alive with it."""

    classes: dict[_Key, tuple[_Kept, Classes]] = field(default_factory=dict)
    scripts: dict[_Key, tuple[_Kept, Mapping[str, type]]] = field(default_factory=dict)


_seen: contextvars.ContextVar[_Seen | None] = contextvars.ContextVar("becausal_seen", default=None)
"""None: it is looked for each time."""


def _bodies_of(recorded: Recorded) -> Bodies | None:
    """Return where a run's payloads are kept: its store."""
    payloads = (payload for step in recorded.steps for payload in (step.received, step.produced))
    return next((payload.bodies for payload in payloads if payload is not None and payload.bodies), None)


def _module_named(app: object) -> Iterator[object]:
    """Yield the module that `module:name` names."""
    if isinstance(app, str) and (module := sys.modules.get(app.partition(":")[0])) is not None:
        yield module


class _NoBodies:
    def body(self, digest: bytes) -> bytes | None:
        return None


def _run(session: Session, app: App, entries: Sequence[Step], within: Within) -> list[Outcome]:
    """Call the app for each entry, in one event loop of its own if it needs one."""
    outcomes: list[Outcome] = []
    with session.here(), asyncio.Runner() as runner:
        for step in entries:
            try:
                given = session.recorded_input(step) if app.takes_input else None
                result = app.run(Entry(step, given, session))
                if inspect.isawaitable(result):
                    result = runner.run(within(result), context=contextvars.copy_context())
                outcomes.append(Outcome(result))
            except DivergenceError as divergence:
                outcomes.append(Outcome(error=divergence))
                break
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                # The app's own, as it may have raised when it was recorded.
                outcomes.append(Outcome(error=error))
            if session.divergence is not None:
                break
    return outcomes


# What is in force in the process

_NO_SCRIPT: Mapping[str, type] = {}

_lock = threading.RLock()
_under_way: dict[int, tuple[int, Callable[[], None]]] = {}
"""By a recorder's id: how much is held to a record with it, and what takes the hooks of replays out."""
_left_behind: weakref.WeakKeyDictionary[Recorder, list[Threads]] = weakref.WeakKeyDictionary()
"""The threads of apps that have returned, or were given up, by what their steps are begun with."""


@contextmanager
def _in_force(
    recorder: Recorder, adapters: Sequence[ReplayAdapter], script: Mapping[str, type] = _NO_SCRIPT
) -> Iterator[None]:
    """Have the hooks of replays in, once for all that are under way, and a script's classes under their names."""
    with _lock:
        count, leave = _under_way.get(id(recorder), (0, None))
        if leave is None:
            leave = _hooked(recorder, adapters)
        _under_way[id(recorder)] = count + 1, leave
    try:
        with known_as(script):
            yield
    finally:
        with _lock:
            count, leave = _under_way.pop(id(recorder))
            if count > 1:
                _under_way[id(recorder)] = count - 1, leave
            else:
                leave()


def _hooked(recorder: Recorder, adapters: Sequence[ReplayAdapter]) -> Callable[[], None]:
    hooks = Hooks()
    try:
        for adapter in adapters:
            adapter.install(recorder, hooks)
        for carry in carriers():
            carry(recorder, hooks)
        hooks.undos.append(networking.shut())
    except BaseException:
        hooks.undo()
        raise
    recorder.replaying = Seam()

    def leave() -> None:
        recorder.replaying = None
        hooks.undo()

    return leave


LEFT_BEHIND: Final = (
    "becausal: the replayed app has left a thread running. What it asks is refused, and for that becausal stays in "
    "until it has ended, and records nothing: have the app wait for its threads, or call becausal.uninstrument()"
)


@contextmanager
def _recording(bodies: Bodies | None) -> Iterator[Recorder]:
    """Give the recorder that is at work; where none is, one that writes to the run's own store for as long."""
    recorder = active_recorder()
    if recorder is None or recorder.records_nothing:
        url = str(getattr(bodies, "url", ""))
        url = url if url.startswith("sqlite:") and ":memory:" not in url else _new_store()
        instrument(store=url)
        recorder = active_recorder()
        assert recorder is not None
        try:
            with _recording(bodies):
                yield recorder
        finally:
            _leave_or_stay(recorder)
        return
    if recorder.store is None:
        raise ReplayError(
            f"a replay is recorded, and {shown_url(store_named())} cannot be written to: allow writing there, or name "
            "another store (BECAUSAL_STORE)"
        )
    if recorder.level != "full" or recorder.withholds_content:
        raise ReplayError(
            "becausal records no contents in this process, which a replay needs: call becausal.uninstrument() first"
        )
    yield recorder


def _leave_or_stay(recorder: Recorder) -> None:
    """Stop recording; what refuses what was left running stays until that has ended."""
    left, seam = _left_behind.get(recorder, []), recorder.replaying

    def leave_once_done() -> None:
        if any(threads.is_at_work for threads in left):
            return
        leave(recorder)
        in_its_place = active_recorder()
        if in_its_place is not None and in_its_place.replaying is seam:
            in_its_place.replaying = None

    recorder.records_nothing = True
    for threads in left:
        threads.on_idle = leave_once_done
    if any(threads.is_at_work for threads in left):
        log.warning(LEFT_BEHIND)
    leave_once_done()  # it may have ended meanwhile


def _to_read(recorder: Recorder) -> Store:
    """Return what a recorder writes to, to be read for as long as somebody wants; one in memory is there only once."""
    store = recorder.store
    assert store is not None
    return store if ":memory:" in store.url else open_store(store.url, read_only=True)


def _new_store() -> str:
    """Return a store for a replay of a cassette in a process that records nowhere; it goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="becausal-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"sqlite:///{folder}/replays.db"
