"""`logging` (standard library): each record says in which step it was written.

Hooked is the record factory (`logging.setLogRecordFactory`): the one place that every logger passes, whatever its
handlers and its `propagate`. No handler is added: with one on the root logger `logging.basicConfig` would do nothing
more. A factory that stands there already is called first, and is put back; one that was set on top of ours later calls
ours, which then falls silent.
"""

from __future__ import annotations

import logging
from typing import Any

from becausal.adapter import Hooks
from becausal.guard import guarded
from becausal.logs import note
from becausal.recorder import Recorder

__all__ = ["LoggingAdapter"]


class LoggingAdapter:
    """Gives log records the fields of `becausal.logs`."""

    watches: str | None = None
    supports = ""
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook the record factory."""
        original = logging.getLogRecordFactory()
        noted = guarded(note)

        def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record: logging.LogRecord = original(*args, **kwargs)
            if recorder.active:
                noted(record)
            return record

        def take_out() -> None:
            if logging.getLogRecordFactory() is factory:
                logging.setLogRecordFactory(original)

        hook = hooks.add("logging:setLogRecordFactory")
        logging.setLogRecordFactory(factory)
        hooks.undos.append(take_out)
        hook.state = "hooked"
