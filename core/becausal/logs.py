"""Logs join in: each line that an app writes inside a step says to which chain, step and agent it belongs.

`becausal.instrument()` does this for `logging` by itself: every record has four fields more, which a format string or
a JSON formatter can show, and the step keeps the line as evidence (`run.logs`).

    logging.Formatter("%(levelname)s %(becausal_chain_id)s %(becausal_agent)s %(message)s")

The fields are `becausal_chain_id`, `becausal_agent`, `becausal_trace_id` (32 hexadecimal digits) and
`becausal_span_id` (16); empty outside every step, so that such a format always works. The names have a prefix since
`logging` refuses an `extra` whose name the record has already (`Logger.makeRecord`, CPython 3.11).

For the others, by their own means:

    structlog.configure(processors=[becausal.logs.structlog_processor, ...])
    loguru.logger.configure(patcher=becausal.logs.loguru_patcher)

and `LogFilter` for a handler whose format names the fields also where becausal is not switched on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from opentelemetry import trace

from becausal import clock
from becausal.context import current
from becausal.guard import guarded
from becausal.instrument import active_recorder
from becausal.logline import kept
from becausal.recorder import Recorder
from becausal.step import OpenStep, StepRef

__all__ = ["FIELDS", "LogFilter", "loguru_patcher", "note", "structlog_processor", "wording"]

FIELDS: Final = ("becausal_chain_id", "becausal_agent", "becausal_trace_id", "becausal_span_id")
"""What a record says of where it was written."""

NOWHERE: Final = dict.fromkeys(FIELDS, "")

OURS: Final = "becausal"
"""The logger that we speak through ourselves: what it says is no evidence of the app's."""

MAX_ITEMS: Final = 20
"""A container among a message's arguments is worded if it holds no more than so many plain values."""


class LogFilter(logging.Filter):
    """Gives each record the four fields; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields to a record that has none."""
        if not hasattr(record, FIELDS[0]):
            vars(record).update(_fields(current()))
        return True


def structlog_processor(
    logger: Any, method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the fields to an event of structlog, and keep its text on the step; for `processors`."""
    _note_event(logger, method, event_dict)
    return event_dict


@guarded
def _note_event(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> None:
    step = current()
    if step is not None:
        event_dict.update(_fields(step))
        # One that renders into `logging` is kept when its record is made.
        if not isinstance(logger, logging.Logger):
            name = event_dict.get("logger")
            _keep(step, method.upper(), name if isinstance(name, str) else "", _worded_event(event_dict))


@guarded
def loguru_patcher(record: Any) -> None:
    """Add the fields to the `extra` of a record of loguru, and keep its text on the step; for `patcher`."""
    step = current()
    if step is not None:
        record["extra"].update(_fields(step))
        _keep(step, str(record["level"].name), str(record["name"] or ""), str(record["message"]))


def note(record: logging.LogRecord) -> None:
    """Give a record of `logging` the fields, and keep its text on the step that it was written in."""
    step = current()
    vars(record).update(_fields(step))
    # `logging.makeLogRecord` makes one without a name, to fill in what another process wrote.
    if step is not None and record.name and record.name.partition(".")[0] != OURS:
        _keep(step, record.levelname, record.name, wording(record.msg, record.args))


def wording(message: object, arguments: Any) -> str:
    """Return what a record says, without running code of the app's classes.

    An argument that is no plain value (text, number, a small container of them) is told by its type: to word it would
    run its `__str__` once more than the app does without us, and perhaps where no handler would have.
    """
    said = _worded(message)
    if not arguments:
        return said
    parts: Any = (
        {key: _plain(value) for key, value in arguments.items()}
        if isinstance(arguments, Mapping)
        else tuple(_plain(value) for value in arguments)
    )
    try:
        return str(said % parts)
    except (TypeError, ValueError, KeyError, OverflowError):  # `%d` of what is told by its type, or a slip
        return f"{said} {parts}"


@guarded
def _keep(step: StepRef, level: str, logger: str, text: str) -> None:
    recorder: Recorder | None = active_recorder()
    if recorder is None or not recorder.active or not isinstance(step, OpenStep):
        return
    kept(step, clock.now_ns(), level, logger, "" if recorder.withholds_content else recorder.shown(text))


def _fields(step: StepRef | None) -> dict[str, str]:
    if step is None:
        return NOWHERE
    here = trace.get_current_span().get_span_context()  # a span of the app's own, inside the step
    span = here if here.is_valid else step.span_context
    return {
        "becausal_chain_id": step.chain_id,
        "becausal_agent": step.agent or "",
        "becausal_trace_id": "" if span is None else f"{span.trace_id:032x}",
        "becausal_span_id": "" if span is None else f"{span.span_id:016x}",
    }


def _worded_event(event: Mapping[str, Any]) -> str:
    more = [
        f"{key}={_worded(value)}"
        for key, value in event.items()
        if key not in FIELDS and key not in ("event", "logger", "level", "timestamp")
    ]
    return " ".join([_worded(event.get("event", "")), *more])


def _worded(value: object) -> str:
    told = _plain(value)
    return told if isinstance(told, str) else str(told)


def _plain(value: object) -> Any:
    """Return a plain value as it is, and what stands for any other."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind in (list, tuple, set, frozenset, dict):
        items: Any = value
        inside = [*items, *items.values()] if kind is dict else list(items)
        if len(inside) <= MAX_ITEMS and all(type(item) in _SCALARS for item in inside):
            return value
    if isinstance(value, BaseException):  # what failed is what a log is read for
        texts = [arg for arg in BaseException.__dict__["args"].__get__(value) if type(arg) is str]
        return ": ".join([kind.__qualname__, *texts])
    return f"<{kind.__qualname__}>"


_SCALARS: Final = frozenset((str, int, float, bool, type(None), bytes))
