"""Celery: a task belongs to the chain of whoever sent it, in whichever process it runs.

Hooked places, and why these
----------------------------
`celery.signals.before_task_publish`
    The sender, once for each message and after Celery has made its headers: ours go beside them, and become no
    argument of the task.

`celery.signals.task_prerun`, `task_postrun`
    Around the task in the worker, on the thread that runs it. Between them the sender's step is current.

A task that runs eagerly (`task_always_eager`) has no message: it stands in its caller's context by itself.

Checked against celery 5.7.0 (source: `celery/app/amqp.py`, `celery/app/trace.py`).
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from typing import Any

from becausal.adapter import Hooks
from becausal.context import Scope
from becausal.guard import guarded
from becausal.propagation import CausalPropagator, extract, inject, remote_step
from becausal.recorder import Recorder
from becausal_integrations.patch import when_imported

__all__ = ["CeleryAdapter"]

MAX_TASKS = 4096
"""Tasks under way in one worker; one that never ends by `task_postrun` (its process was told to die) is forgotten."""

HEADERS = ("traceparent", "tracestate", "baggage", *CausalPropagator().fields)


class CeleryAdapter:
    """Carries the current step in a task's headers."""

    watches: str | None = "celery"
    supports = ">=5.3,<6"
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ("celery",)

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Connect to the signals, once they are there."""
        tasks = _Tasks(recorder)
        hook = hooks.add("celery.signals:before_task_publish")

        def connect() -> None:
            from celery import signals  # type: ignore[import-untyped,unused-ignore]

            for signal, receiver in (
                (signals.before_task_publish, tasks.publishing),
                (signals.task_prerun, tasks.starting),
                (signals.task_postrun, tasks.ended),
            ):
                signal.connect(receiver, weak=False)
                hooks.undos.append(functools.partial(signal.disconnect, receiver))
            hook.state = "hooked"

        when_imported(hooks, "celery.signals", connect)


class _Tasks:
    """What is to be known of the tasks that a worker runs."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._scopes: OrderedDict[str, Scope] = OrderedDict()
        self._lock = threading.Lock()
        self.publishing, self.starting, self.ended = (
            guarded(receiver) for receiver in (self._publishing, self._starting, self._ended)
        )

    def _publishing(self, headers: Any = None, **_: Any) -> None:
        if self._recorder.active and isinstance(headers, dict):
            inject(headers)

    def _starting(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        headers = _headers(getattr(task, "request", None))
        if not self._recorder.active or remote_step(headers) is None:
            return
        scope = Scope(extract(headers))
        scope.__enter__()
        with self._lock:
            self._scopes[task_id] = scope
            while len(self._scopes) > MAX_TASKS:
                self._scopes.popitem(last=False)

    def _ended(self, task_id: str = "", **_: Any) -> None:
        with self._lock:
            scope = self._scopes.pop(task_id, None)
        if scope is not None:
            scope.__exit__()


def _headers(request: Any) -> dict[str, str]:
    """Return our headers of a task's message: its protocol makes them attributes of the request."""
    named = {name: getattr(request, name, None) for name in HEADERS}
    return {name: value for name, value in named.items() if isinstance(value, str)}
