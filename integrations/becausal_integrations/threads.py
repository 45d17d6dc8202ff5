"""Threads (standard library): work that is handed to a thread belongs to whoever handed it over.

Hooked places, and why these
----------------------------
`threading.Thread.start`
    The door of a raw thread. Its `run` is entered in the starter's context.

`concurrent.futures.ThreadPoolExecutor.submit`
    The door of a pool, of `map` and of `loop.run_in_executor`. The function runs in the submitter's context; the pool's
    own threads are left out, or each would keep the context of its first customer for life.

Only OpenTelemetry's context is carried (which holds the current step), never the app's other context variables:
LangChain's would change streaming and callbacks. Nothing is done where no step is current.

A replay is in force in that context, too. So while one is under way both doors are hooked, whether or not the adapter
is in, and its work is carried where no step is current yet: what it asks is answered in every thread. What a thread
still does once the app has returned and the replay has ended is no part of it, and is done for real.

Not seen: `multiprocessing`, `_thread.start_new_thread`, threads made in C. Use `becausal.inject` and `extract` there.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal.adapter import Hooks
from becausal.context import Scope, current
from becausal.guard import guarded
from becausal.recorder import Recorder
from becausal_integrations.patch import replace

__all__ = ["ThreadsAdapter"]


class ThreadsAdapter:
    """Carries the current step into threads, and a replay."""

    watches: str | None = None
    supports = ""
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook both doors."""
        _hook(hooks, lambda: _work_here(recorder, of_steps=True))

    def install_for_replays(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook both doors for what is replayed, and for nothing else."""
        _hook(hooks, lambda: _work_here(recorder, of_steps=False))


Work = Callable[[Callable[[], Any]], Any]
"""Does the work of a thread that is started."""


def _hook(hooks: Hooks, carrying: Callable[[], Work | None]) -> None:
    replace(hooks, "threading:Thread.start", functools.partial(_starting, carrying))
    replace(
        hooks,
        "concurrent.futures.thread:ThreadPoolExecutor.submit",
        functools.partial(_submitting, carrying),
    )


@guarded
def _work_here(recorder: Recorder, *, of_steps: bool) -> Work | None:
    """Return what does the work that is handed over; None where the context is not to be carried.

    Args:
        recorder: whose.
        of_steps: whether a step's work is carried, too, and not a replay's alone.
    """
    if not recorder.active:
        return None
    replaying = recorder.replaying
    work = None if replaying is None else replaying.carrying()
    return operator.call if work is None and of_steps and current() is not None else work


def _starting(carrying: Callable[[], Work | None], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        work = carrying()
        if work is None:
            return original(self, *args, **kwargs)
        restore = _prepared(self, work)
        try:
            return original(self, *args, **kwargs)
        except BaseException:
            if restore is not None:
                restore()
            raise

    return start


@guarded
def _prepared(thread: Any, work: Work) -> Callable[[], None] | None:
    """Have a thread enter the context that it is started in; returns what undoes that, None where nothing was done."""
    if _is_pool_worker(thread):
        return None
    context = otel_context.get_current()
    own = vars(thread).get("run")

    def restore() -> None:
        if own is not None:
            thread.run = own
        elif "run" in vars(thread):
            del thread.run

    def run() -> None:
        restore()  # the thread's own again, before its work begins
        _run_in(context, work, thread.run)

    thread.run = run
    return restore


def _submitting(carrying: Callable[[], Work | None], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if carrying() is None:
            return original(self, fn, *args, **kwargs)
        return original(self, functools.partial(_run_in, otel_context.get_current(), fn), *args, **kwargs)

    return submit


def _run_in(context: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    with Scope(context):
        return function(*args, **kwargs)


def _is_pool_worker(thread: Any) -> bool:
    """Return whether a thread works for whoever comes, and so belongs to nobody."""
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", "") in ("concurrent.futures.thread", "multiprocessing.pool")
