"""One line that hooks every framework: `becausal.instrument()`.

Adapters are found by the entry-point group `becausal.adapters`; nothing of a framework is imported here. An adapter
hooks a place when its module is imported, by whoever imports it: so `instrument()` costs an app nothing for the
frameworks that are installed and not used.

Asked for by name, a framework that cannot be hooked is an error. Found by itself, it is passed over.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
import warnings
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import TracerProvider

from becausal.adapter import AdapterReport, Hooks, adapters, choose, install, reports
from becausal.bounds import Retention
from becausal.contracts import Contract, declare
from becausal.errors import BecausalWarning, StoreError
from becausal.guard import guarded
from becausal.recorder import Recorder
from becausal.settings import Settings, shown_url, store_named
from becausal.step import OpenStep
from becausal.store import Store, open_store
from becausal.telemetry import Telemetry
from becausal.writer import Writer

if TYPE_CHECKING:
    from becausal.redaction import Redact, Redactor

__all__ = [
    "active_recorder",
    "active_store",
    "flush",
    "hooks_report",
    "instrument",
    "is_hooked",
    "is_listening",
    "leave",
    "listen",
    "store_url_in_use",
    "uninstrument",
]

EXIT_DEADLINE_S = 5.0


class Watching(Protocol):
    """What judges runs as they end (`becausal.watching.Watch`)."""

    def ended(self, root: OpenStep) -> None:
        """Have the run judged whose root has ended."""

    def wait(self, timeout: float) -> bool:
        """Wait until every run that has ended is judged."""

    def forget(self) -> None:
        """Begin anew, in a child of a fork."""


@dataclass(slots=True)
class _Active:
    settings: Settings
    tracer_provider: TracerProvider | None
    recorder: Recorder
    redact: Redact = None
    hooks: dict[str, Hooks] = field(default_factory=dict)
    watch: Watching | None = None
    listening: set[str] = field(default_factory=set)  # frameworks that tell by callbacks

    def close(self) -> None:
        """Judge what has ended, write what is on its way, and stop."""
        with ExitStack() as leaving:
            leaving.callback(guarded(self.recorder.close), EXIT_DEADLINE_S)
            if self.watch is not None:
                leaving.callback(atexit.unregister, self.watch.wait)
                leaving.callback(guarded(self.watch.wait), EXIT_DEADLINE_S)

    def make_sure(self) -> None:
        """Close what an interrupt, or a failure of ours, has kept from being closed."""
        if not self.recorder.is_closed:
            try:
                self.recorder.close(EXIT_DEADLINE_S)
            finally:
                try:
                    self.recorder.stop(EXIT_DEADLINE_S)
                finally:
                    self.recorder.let_go()


_active: _Active | None = None
_last_store: str | None = None
_watches_pools = False
_lock = threading.RLock()


def instrument(
    *frameworks: str,
    level: str | None = None,
    store: str | os.PathLike[str] | None = None,
    capture: str | None = None,
    tracer_provider: TracerProvider | None = None,
    contracts: Iterable[Contract] = (),
    dialects: Iterable[str] | None = None,
    watch: bool | None = None,
    retention: str | Retention | None = None,
    max_payload_bytes: str | int | None = None,
    max_run_bytes: str | int | None = None,
    redact: Redact = None,
) -> None:
    """Hook frameworks, and record what they do from now on. Calling it again adds what is not hooked yet.

    Args:
        frameworks: their names; none means all that are installed.
        level: `full`, or `boundaries` for the handoffs and the agents at their ends alone.
        store: a URL or a path; else `BECAUSAL_STORE`, else `sqlite:///.becausal/becausal.db`.
        capture: `full`, or `digest` to keep checksums and sizes without the bodies.
        tracer_provider: where the spans go; else the global provider, whenever the app sets one.
        contracts: what handoffs must carry, as `becausal.contract` made them; it has put them in force already.
        dialects: what the spans speak beside `gen_ai.*` and `becausal.*`: `openinference` (by default), `langfuse`,
            `langsmith`, `mlflow`. See `becausal.dialects`.
        watch: judge each run when it has ended, and tell what is found. See `becausal.watching`.
        retention: which runs the store keeps, such as `"30d, 5GB, last 1000"`; all by default.
        max_payload_bytes: of a larger payload its beginning and end are kept; `"8MiB"` by default, `"none"`: no bound.
        max_run_bytes: once a run's contents are so large, steps are kept without theirs; `"1GiB"` by default.
        redact: what is secret beside keys, tokens, passwords and cards: a list of patterns and of functions that take
            a text and return what may be kept of it, or a `becausal.Redaction`; False: nothing is. See
            `docs/privacy.md`.

    What is not given is what `BECAUSAL_LEVEL`, `BECAUSAL_CAPTURE`, and so on, say in the environment.

    Raises:
        AdapterError: a framework asked for by name is unknown, or not installed.
        StoreError: `store` cannot be used. One that was not named here is warned of, and spans alone are made.
        SettingsError: a level, a capture or a dialect that does not exist, or nothing to redact by.
        ContractError: what `contracts` names is none.
    """
    for declared in contracts:
        declare(declared)
    given: dict[str, Any] = {
        "store": store,
        "level": level,
        "capture": capture,
        "dialects": dialects,
        "watch": watch,
        "retention": retention,
        "max_payload_bytes": max_payload_bytes,
        "max_run_bytes": max_run_bytes,
    }
    with _lock:
        chosen = choose(frameworks, adapters())
        active, is_first = _start(Settings.read(**given), tracer_provider, given, redact)
        try:
            install(chosen, active.recorder, active.hooks)
        except BaseException:
            if is_first:  # nothing, rather than a half
                uninstrument()
            raise


def listen(
    framework: str,
    *,
    store: str | os.PathLike[str] | None = None,
    capture: str | None = None,
    tracer_provider: TracerProvider | None = None,
) -> None:
    """Record what a framework's callbacks tell, from now on; nothing is hooked. See `becausal.callback`."""
    with _lock:
        settings = Settings.read(store=store, capture=capture)
        active, _ = _start(settings, tracer_provider, {"store": store, "capture": capture})
        active.listening.add(framework)


def uninstrument() -> None:
    """Take every hook out and close the store; everything is as it was before."""
    with _lock, ExitStack() as leaving:  # last in, first out; one that fails or is interrupted stops no other
        if _active is None:
            return
        leaving.callback(guarded(_forget))
        leaving.callback(guarded(_active.make_sure))
        leaving.callback(guarded(_active.close))
        for hooks in _active.hooks.values():
            leaving.callback(guarded(hooks.undo))


def _forget() -> None:
    global _active
    from becausal.redaction import stop

    _active = None
    stop()


def leave(recorder: Recorder) -> None:
    """Take every hook out, unless another recorder is at work by now."""
    with _lock:
        if active_recorder() is recorder:
            uninstrument()


def flush(timeout: float = 5.0) -> bool:
    """Make durable all that was recorded so far; False when the time was up first."""
    return True if _active is None else _active.recorder.flush(timeout)


def active_recorder() -> Recorder | None:
    """Return the recorder that is at work, or None before `instrument()`."""
    return None if _active is None else _active.recorder


def is_hooked(adapter: str) -> bool:
    """Return whether an adapter's hooks are in."""
    return _active is not None and adapter in _active.hooks


def is_listening(framework: str) -> bool:
    """Return whether a framework's callbacks are recorded in this process."""
    return _active is not None and framework in _active.listening


def active_store() -> Store | None:
    """Return the store that is recorded to; None before `instrument()`, and where there is none."""
    return None if _active is None else _active.recorder.store


def store_url_in_use() -> str:
    """Return the URL of the store that this process records to, or last did, or would by default."""
    return _last_store or store_named()


def hooks_report() -> list[AdapterReport]:
    """Return the state of every adapter in this process, by name."""
    return reports(adapters(), {} if _active is None else _active.hooks)


def _start(
    settings: Settings,
    tracer_provider: TracerProvider | None,
    given: Mapping[str, object],
    redact: Redact = None,
) -> tuple[_Active, bool]:
    """Return what is at work, and whether it has only just begun. Called with the lock held."""
    global _active
    left = None
    if _active is not None and _active.recorder.records_nothing:
        left = _active.recorder.replaying  # refuses what replays have left running
        uninstrument()
    if _active is None:
        from becausal.redaction import start  # here: `import becausal` need not wait for it

        redactor = start(redact, settings.store)
        _active = _Active(settings, tracer_provider, _recorder(settings, tracer_provider, redactor), redact)
        _active.recorder.replaying = left
        if settings.watch:
            _active.watch = _watch(_active)
        _flush_in_pool_workers()
        return _active, True
    if (redact is not None and redact != _active.redact) or _differs(
        settings, _active, provider=tracer_provider, **given
    ):
        warnings.warn(
            f"becausal records to {shown_url(_active.settings.store)} at level {_active.settings.level!r} already; "
            "call becausal.uninstrument() before you instrument with other settings",
            BecausalWarning,
            stacklevel=3,
        )
    return _active, False


def _differs(
    settings: Settings, active: _Active, *, provider: TracerProvider | None, **given: object
) -> bool:
    """Return whether one of the settings that were given as arguments is not what is in use."""
    if provider is not None and provider is not active.tracer_provider:
        return True
    named = [name for name, value in given.items() if value is not None]
    return any(getattr(settings, name) != getattr(active.settings, name) for name in named)


def _watch(active: _Active) -> Watching:
    # What judges runs stands on all that reads them: only who asks for it pays for it.
    made: Watching = importlib.import_module("becausal.watching").Watch(
        active.recorder, active.tracer_provider
    )
    active.recorder.on_root_end = made.ended
    # At exit a provider that the app has set up by now must not be gone before the last run is judged.
    atexit.register(made.wait, EXIT_DEADLINE_S)
    return made


def _recorder(
    settings: Settings, tracer_provider: TracerProvider | None, redactor: Redactor | None
) -> Recorder:
    global _last_store
    writer = None
    try:
        store = open_store(settings.store)
    except StoreError as refusal:
        if settings.store_was_named:
            raise
        said = str(refusal) if redactor is None else redactor.text(str(refusal))
        warnings.warn(
            f"{said}. Until then becausal makes spans and keeps no runs.",
            BecausalWarning,
            stacklevel=4,
        )
    else:
        _last_store = settings.store
        writer = Writer(store, max_run_bytes=settings.max_run_bytes)
        inspecting = importlib.import_module("becausal.inspecting")
        occasions = [inspecting.Inspecting(store, writer.count_gap).occasion]
        writer.on_batch = lambda: [take() for take in occasions]
        if settings.retention is not None and ":memory:" not in settings.store:
            # Only who asks for it pays for its import.
            retaining = importlib.import_module("becausal.retaining")
            retainer = retaining.Retaining(settings.store, settings.retention)
            occasions.append(retainer.occasion)
            writer.on_close = retainer.stop
    recorder = Recorder(
        Telemetry(tracer_provider, settings.dialects),
        writer,
        level=settings.level,
        capture=settings.capture,
        redact=redactor,
        max_payload_bytes=settings.max_payload_bytes,
    )
    if writer is not None:
        writer.on_gap = recorder.forget
    return recorder


def _flush_in_pool_workers() -> None:
    """Flush when a worker of a process pool ends: `multiprocessing` ends it without asking `atexit`."""

    def when_loaded(util: Any) -> None:
        # In the child, since it begins by forgetting what its parent had registered.
        util.register_after_fork(flush, lambda _: util.Finalize(None, flush, exitpriority=0))

    global _watches_pools
    if not _watches_pools:
        _watches_pools = True
        import wrapt  # here: it brings asyncio, which `import becausal` need not wait for

        wrapt.register_post_import_hook(when_loaded, "multiprocessing.util")


@atexit.register
def _at_exit() -> None:
    if _active is not None:
        guarded(_active.close)()
        guarded(_active.make_sure)()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    if _active is not None:
        _active.recorder.forget_after_fork()
        if _active.watch is not None:
            _active.watch.forget()


os.register_at_fork(after_in_child=_after_fork)
