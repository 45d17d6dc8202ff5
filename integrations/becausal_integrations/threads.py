"""Threads (standard library): work that is handed to a thread belongs to whoever handed it over.

Hooked places, and why these
----------------------------
`threading.Thread.start`
    The door of a raw thread. Its `run` is entered in the starter's context.

`_thread.start_new_thread`
    The same of a thread that has no object.

`concurrent.futures.ThreadPoolExecutor.submit`
    The door of a pool, of `map` and of `loop.run_in_executor`. The function runs in the submitter's context; the pool's
    own threads are left out, or each would keep the context of its first customer for life.

Only OpenTelemetry's context is carried (which holds the current step), never the app's other context variables:
LangChain's would change streaming and callbacks. Nothing is done where no step is current.

A replay is in force in that context, too. So while one is under way these doors are hooked, whether or not the adapter
is in, and its work is carried where no step is current yet: what it asks is answered in every thread, and refused once
the replay has ended (see `becausal.replay.outliving`).

Not seen: `multiprocessing`, threads made in C, and a pool's `submit` or `start_new_thread` that somebody took by its
name before. Use `becausal.inject` and `extract` there.
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
        """Hook the doors."""
        _hook(hooks, functools.partial(_work_here, recorder, of_steps=True))

    def install_for_replays(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook the doors for what is replayed, and for nothing else."""
        _hook(hooks, functools.partial(_work_here, recorder, of_steps=False))


Work = Callable[[Callable[[], Any]], Any]
"""Does the work of a thread, or a piece of a pool's."""

Carrying = Callable[..., Work | None]
"""Returns what does the work that is handed over; told whether to a pool."""


def _hook(hooks: Hooks, carrying: Carrying) -> None:
    replace(hooks, "threading:Thread.start", functools.partial(_starting, carrying))
    replace(hooks, "_thread:start_new_thread", functools.partial(_starting_raw, carrying))
    replace(
        hooks,
        "concurrent.futures.thread:ThreadPoolExecutor.submit",
        functools.partial(_submitting, carrying),
    )


@guarded
def _work_here(recorder: Recorder, *, of_steps: bool, is_pool: bool) -> Work | None:
    """Return what does the work that is handed over; None where the context is not to be carried.

    Args:
        recorder: whose.
        of_steps: whether a step's work is carried, too, and not a replay's alone.
        is_pool: whether it is handed to a pool, which tells of its exceptions.
    """
    if not recorder.active:
        return None
    replaying = recorder.replaying
    work = None if replaying is None else replaying.carrying(is_pool=is_pool)
    return operator.call if work is None and of_steps and current() is not None else work


def _starting(carrying: Carrying, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        work = carrying(is_pool=False)
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


def _starting_raw(carrying: Carrying, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start_new_thread(function: Callable[..., Any], args: Any, *kwargs: Any) -> Any:
        work = carrying(is_pool=False)
        if work is None or not callable(function):
            return original(function, args, *kwargs)
        context = otel_context.get_current()

        def run(*args: Any, **kwargs: Any) -> None:
            _run_in(context, work, functools.partial(function, *args, **kwargs))

        _name_after(function, run)
        return original(run, args, *kwargs)

    return start_new_thread


@guarded
def _name_after(function: Callable[..., Any], run: Callable[..., Any]) -> None:
    """Call what runs in a function's place as it is called: Python names it where a thread fails."""
    functools.update_wrapper(run, function, updated=())


def _submitting(carrying: Carrying, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        work = carrying(is_pool=True)
        if work is None:
            return original(self, fn, *args, **kwargs)
        does = functools.partial(fn, *args, **kwargs)
        return original(self, functools.partial(_run_in, otel_context.get_current(), work, does))

    return submit


def _run_in(context: Context, work: Work, function: Callable[[], Any]) -> Any:
    with Scope(context):
        return work(function)


def _is_pool_worker(thread: Any) -> bool:
    """Return whether a thread works for whoever comes, and so belongs to nobody."""
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", "") in ("concurrent.futures.thread", "multiprocessing.pool")
