"""An error that came as an answer: a message, a status field, an HTML page of a proxy."""

from __future__ import annotations

import re
from collections.abc import Mapping

from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import Calls, Reading, text_at

__all__ = ["error_as_data"]

ERROR_HEAD = re.compile(
    r"""\s*(?:
      (?:fatal\ |unexpected\ |internal\ )?(?:error|exception|failure)\b
         \s*(?:[:(\-–]|\d|executing|calling|while|occurred|in\b)
      | \w*(?:Error|Exception)\b\s*[:(]
      | traceback\ \(most\ recent\ call\ last\)
      | http(?:/\d(?:\.\d)?)?\s*(?:error\s*)?(?:status\s*)?[:\s]?\s*[45]\d\d\b
      | [45]\d\d\s*:?\s+(?:bad|not|internal|service|gateway|unauthori[sz]ed|forbidden|too|unavailable|request|client
         |server)\b
      | (?:internal\ server\ error|bad\ gateway|service\ (?:temporarily\ )?unavailable|gateway\ time-?out|access\ denied
         |permission\ denied|connection\ (?:refused|reset|error|aborted|timed\ out)
         |(?:request|read|operation)\ timed\ out
         |timeout\ (?:error|exceeded)|rate\ limit(?:\ exceeded|ed)?|too\ many\ requests|quota\ exceeded|unauthori[sz]ed
         |command\ failed|failed\ to\ \w+|could\ not\ (?:connect|reach|fetch|load|retrieve)
         |unable\ to\ (?:connect|reach|fetch|load|retrieve))\b
    )""",  # noqa: RUF001
    re.IGNORECASE | re.VERBOSE,
)
NO_ERROR = re.compile(r"\s*errors?\s*[:=]\s*(?:none|null|nil|no|0|false)\b", re.IGNORECASE)
HTML = re.compile(r"\s*(?:<!doctype html|<html|<\?xml[^>]*>\s*<!doctype html)", re.IGNORECASE)
HTML_ERROR = re.compile(
    r"<(?:title|h1)[^>]*>[^<]*(?:\b[45]\d\d\b|error|bad gateway|unavailable|not found|forbidden|denied|timed? ?out)",
    re.IGNORECASE,
)
BESIDE_AN_ERROR = frozenset(
    ("error", "errors", "message", "detail", "details", "status", "code", "status_code", "success", "ok", "request_id",
     "trace_id", "timestamp", "type", "reason", "retry_after", "path", "method", "exception", "traceback", "hint",
     "error_code", "error_message")
)  # fmt: skip


def error_as_data(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """An error that came as an answer: a message, a status field, an HTML page of a proxy."""
    if not reading.is_answered:
        return None
    if (
        reading.call.step.status == "error"
    ):  # raised, and answered all the same: the model read it as a result
        words = reading.call.error or reading.text
        said = f"{reading.call.name} failed, and its error was passed on as its answer"
        return reading.breach("tool.error_as_data", said, 0.9, words)
    shown = _error_in(reading.data)
    if shown is None:
        return None
    said = f"{reading.call.name} answered with an error as if it were a result"
    return reading.breach("tool.error_as_data", said, 0.9, shown)


def _error_in(data: object) -> str | None:
    if isinstance(data, Mapping):
        return _error_field(data)
    if not isinstance(data, str):
        return None
    head = data[:4000]
    if HTML.match(head):
        found = HTML_ERROR.search(head)
        return None if found is None else found[0]
    if NO_ERROR.match(head):
        return None
    matched = ERROR_HEAD.match(head)
    return None if matched is None else head[:200].strip()


def _error_field(data: Mapping[object, object]) -> str | None:
    names = {str(key).lower() for key in data}
    failed = text_at(data, "success", "ok")
    if failed is not None and failed[1] is False:
        return f"{failed[0]}: false"
    status = text_at(data, "status", "state", "result")
    if status is not None and str(status[1]).lower() in ("error", "failed", "failure", "exception"):
        return f"{status[0]}: {status[1]}"
    code = text_at(data, "status_code", "status", "code", "http_status")
    is_code = code is not None and isinstance(code[1], int) and 400 <= code[1] < 600
    if is_code and names <= BESIDE_AN_ERROR and code is not None:
        return f"{code[0]}: {code[1]}"
    error = text_at(data, "error", "errors", "exception", "traceback", "error_message")
    # Beside results an error is a part of the answer, not in place of it.
    if error is not None and error[1] and (names <= BESIDE_AN_ERROR or _holds_nothing_else(data, error[0])):
        return f"{error[0]}: {error[1]}"[:200]
    return None


def _holds_nothing_else(data: Mapping[object, object], error: str) -> bool:
    return not any(
        value for key, value in data.items() if key != error and str(key).lower() not in BESIDE_AN_ERROR
    )
