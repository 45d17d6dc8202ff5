"""Files of traces and logs: which form one has, and how much of it is taken in.

A file is one JSON document or one a line. Everything is bounded: bytes, records, depth. What of a file cannot be
read is counted and told, as long as something of it can; else it is refused, with the place and the reason.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from becausal import semconv
from becausal.cleaning import clean
from becausal.errors import ImportFormatError
from becausal.foreign.conversation import is_message, messages_of, of_conversation
from becausal.foreign.langsmith import is_run, run_span
from becausal.foreign.otlp import mlflow_spans, otlp_spans, sdk_span
from becausal.foreign.span import Span
from becausal.foreign.spans import of_spans
from becausal.redaction import in_force
from becausal.sealing import Sealer
from becausal.step import OpenStep

__all__ = ["load"]

MAX_DOCUMENT = 256 << 20
"""Bytes of a file that is one document, and of one line."""

MAX_FILE = 2 << 30
"""Bytes of a file of lines."""

MAX_SPANS = 500_000

_LISTS = ("runs", "traces", "spans", "data")
"""Under what name exports keep their records."""


def load(path: str | os.PathLike[str]) -> list[OpenStep]:
    """Return the steps of all runs in a file, ready for `Store.write`; the same ids each time.

    On each run's first step stands which dialects it was read from (`becausal.import.dialects`) and what it lacks
    (`becausal.import.notes`).

    Raises:
        ImportFormatError: it is no trace or log that can be read.
        OSError: the file cannot be read.
    """
    place = Path(path)
    size = place.stat().st_size
    if size > MAX_FILE:
        raise ImportFormatError(f"{place.name} has {size:,} bytes; at most {MAX_FILE:,} are read")
    found = _Found(place.name)
    try:
        with place.open("rb") as file:
            for record in _records(file, size, found):
                found.take(record)
        steps = found.steps(int(place.stat().st_mtime) * 1_000_000_000)
    except RecursionError:
        raise ImportFormatError(f"{place.name} is nested too deeply to be read") from None
    if found.gaps:
        _tell(steps, found.gaps)
    return steps


class _Found:
    """What a file holds so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gaps: Counter[str] = Counter()
        self._spans: list[Span] = []
        self._conversations: list[object] = []
        self._messages: list[object] = []  # one a line
        self._first_unknown: str | None = None

    def take(self, record: object, depth: int = 0) -> None:
        """Take one record in, whatever it is."""
        if messages_of(record) is not None:
            self._conversations.append(record)
        elif isinstance(record, Mapping) and (spans := _spans(record)) is not None:
            self._add(spans)
        elif is_message(record):
            self._messages.append(record)
        elif (inner := _inner(record)) is not None and depth < 3:
            for item in inner:
                self.take(item, depth + 1)
        else:
            self.gaps["records of no known form"] += 1
            self._first_unknown = self._first_unknown or _shown(record)

    def steps(self, at_ns: int) -> list[OpenStep]:
        """Return the steps of all that was found."""
        if self._messages:
            self._conversations.append(self._messages)
        if not self._spans and not self._conversations:
            what = self._first_unknown
            raise ImportFormatError(
                f"{self.name} holds no trace or log that is known: "
                + (f"its first record is {what}" if what else "no spans are in it")
            )
        redact = in_force()
        sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redact)
        steps = of_spans(self._spans) if self._spans else []
        for record in self._conversations:
            said = of_conversation(record, at_ns, sealer)
            if redact is not None:
                for step in said:
                    clean(step, redact)
            steps += said
        return steps

    def _add(self, spans: Iterable[Span]) -> None:
        for span in spans:
            if not span.span_id or not span.trace_id:
                self.gaps["spans without an id"] += 1
                continue
            self._spans.append(span)
            if len(self._spans) > MAX_SPANS:
                raise ImportFormatError(f"{self.name} has more than {MAX_SPANS:,} spans; import it in parts")


def _spans(record: Mapping[str, object]) -> Iterable[Span] | None:
    """Return the spans of a record; None where it is of another form."""
    if "resourceSpans" in record or "resource_spans" in record:
        return otlp_spans(record)
    if "scopeSpans" in record or "scope_spans" in record:
        return otlp_spans({"resourceSpans": [record]})
    if isinstance(record.get("data"), Mapping) and "info" in record:
        return mlflow_spans(record)
    if isinstance(record.get("context"), Mapping) and "start_time" in record:
        return [sdk_span(record)]
    return [run_span(record)] if is_run(record) else None


def _records(file: IO[bytes], size: int, found: _Found) -> Iterator[object]:
    """Yield the records of a file: those of its lines, where its first line is one; else the one that it is."""
    first = (
        next((line for line in file if line.strip()), b"")
        if size <= MAX_DOCUMENT
        else file.readline(MAX_DOCUMENT)
    )
    file.seek(0)
    if _parsed(first) is None:
        if size > MAX_DOCUMENT:
            raise ImportFormatError(
                f"{found.name} has {size:,} bytes and is no JSON a line; one document is read up to {MAX_DOCUMENT:,}"
            )
        yield _document(file.read(), found.name)
        return
    for number, line in enumerate(iter(lambda: file.readline(MAX_DOCUMENT), b""), 1):
        if not line.strip():
            continue
        record = _parsed(line)
        if record is None:
            found.gaps[f"lines that are no JSON, the first of them line {number}"] += 1
        else:
            yield record[0]


def _parsed(line: bytes) -> tuple[object] | None:
    try:
        return (json.loads(line.decode("utf-8-sig")),)
    except (ValueError, RecursionError):
        return None


def _document(data: bytes, name: str) -> object:
    if not data.strip():
        raise ImportFormatError(f"{name} is empty")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{name} is no text in UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ImportFormatError(
            f"{name} is neither JSON (one document, or one a line) nor a cassette: "
            f"{error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError as error:  # a number of too many digits
        raise ImportFormatError(f"{name} is no JSON that can be read: {error}") from None


def _inner(record: object) -> list[object] | None:
    if isinstance(record, Mapping):
        return next((record[name] for name in _LISTS if isinstance(record.get(name), list)), None)
    return record if isinstance(record, list) else None


def _shown(record: object) -> str:
    if isinstance(record, Mapping):
        keys = ", ".join(sorted(map(str, record))[:8])
        return f"a mapping with the keys {keys[:200]}"
    return f"a {type(record).__name__}"


def _tell(steps: list[OpenStep], gaps: Counter[str]) -> None:
    """Add what a whole file lacks to the notes of each of its runs."""
    more = tuple(f"{what}: {count}" if count > 1 else what for what, count in sorted(gaps.items()))
    for step in steps:
        if semconv.IMPORT_DIALECTS in step.attributes:
            notes = step.attributes.get(semconv.IMPORT_NOTES)
            step.attributes[semconv.IMPORT_NOTES] = (*(notes if isinstance(notes, tuple) else ()), *more)
