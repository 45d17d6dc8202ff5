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

Not seen: `multiprocessing`, `_thread.start_new_thread`, threads made in C. Use `becausal.inject` and `extract` there.
"""

from __future__ import annotations

import functools
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
    """Carries the current step into threads."""

    watches: str | None = None
    supports = ""
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook both doors."""
        replace(hooks, "threading:Thread.start", functools.partial(_starting, recorder))
        replace(
            hooks,
            "concurrent.futures.thread:ThreadPoolExecutor.submit",
            functools.partial(_submitting, recorder),
        )


def _starting(recorder: Recorder, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.active or current() is None:
            return original(self, *args, **kwargs)
        restore = _prepared(self)
        try:
            return original(self, *args, **kwargs)
        except BaseException:
            if restore is not None:
                restore()
            raise

    return start


@guarded
def _prepared(thread: Any) -> Callable[[], None] | None:
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
        _run_in(context, thread.run)

    thread.run = run
    return restore


def _submitting(recorder: Recorder, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if not recorder.active or current() is None:
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
