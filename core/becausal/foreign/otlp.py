"""Spans out of JSON: OTLP as the specification writes it and as protobuf does, OpenTelemetry's own `to_json`, MLflow.

OTLP/JSON has ids in hexadecimal digits and 64-bit integers as texts; protobuf's JSON has ids in base64 and names as
they stand in the schema, where its user asked for that. MLflow's traces are near to it: their attributes hold JSON.

Sources: OTLP 1.9 (`opentelemetry/proto/trace/v1/trace.proto`, "JSON Protobuf Encoding"); opentelemetry-sdk 1.45
(`ReadableSpan.to_json`); mlflow 3.17.2 (`entities/span.py`, `Span.to_dict`).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from becausal.foreign.span import Span

__all__ = ["mlflow_spans", "nanoseconds", "otlp_spans", "sdk_span", "source_of"]

ERROR = (2, "STATUS_CODE_ERROR", "ERROR")


def otlp_spans(request: Mapping[str, object]) -> Iterator[Span]:
    """Yield the spans of an export request, or of the same without its outermost key."""
    for resource in _list(request, "resourceSpans", "resource_spans"):
        told = _get(resource, "resource")
        source = source_of(_attributes(_get(told, "attributes"))) if isinstance(told, Mapping) else ""
        for scoped in _list(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
            scope = _get(scoped, "scope", "instrumentationLibrary")
            name = scope.get("name") if isinstance(scope, Mapping) else None
            for span in _list(scoped, "spans"):
                yield _span(span, str(name or ""), source)


def mlflow_spans(trace: Mapping[str, object]) -> Iterator[Span]:
    """Yield the spans of an MLflow trace, as `Trace.to_json()` writes it."""
    data = trace.get("data")
    for span in _list(data if isinstance(data, Mapping) else {}, "spans"):
        yield _span(span, "mlflow")


def sdk_span(span: Mapping[str, object]) -> Span:
    """Return a span as OpenTelemetry's console exporter prints it."""
    context = span.get("context")
    ids = context if isinstance(context, Mapping) else {}
    status = span.get("status")
    code = status.get("status_code") if isinstance(status, Mapping) else None
    said = status.get("description") if isinstance(status, Mapping) else None
    attributes = span.get("attributes")
    return Span(
        trace_id=_id(ids.get("trace_id"), 16),
        span_id=_id(ids.get("span_id"), 8),
        name=str(span.get("name") or ""),
        parent_id=_id(span.get("parent_id"), 8) or None,
        started_ns=nanoseconds(span.get("start_time")) or 0,
        ended_ns=nanoseconds(span.get("end_time")),
        error=(str(said or "") or "error") if code in ERROR else None,
        attributes=attributes if isinstance(attributes, Mapping) else {},
        links=tuple(
            (_id(there.get("trace_id"), 16), _id(there.get("span_id"), 8), {})
            for link in _list(span, "links")
            if isinstance(there := link.get("context"), Mapping)
        ),
    )


def source_of(resource: Mapping[str, object]) -> str:
    """Return what tells one resource from another: the same text for the same attributes."""
    if not resource:
        return ""
    said = repr(sorted((name, repr(value)) for name, value in resource.items()))
    return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=8).hexdigest()


def nanoseconds(time: object) -> int | None:
    """Return a time as nanoseconds since the epoch, from nanoseconds or from a date; None where it is none."""
    if isinstance(time, bool) or time in (None, "", 0, "0"):
        return None
    if isinstance(time, int | float):
        return int(time) if abs(time) < 1e30 else None
    text = str(time)
    if re.fullmatch(r"\d{1,19}", text):
        return int(text)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)
    since = found - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _span(span: Mapping[str, object], scope: str, source: str = "") -> Span:
    status = _get(span, "status")
    code = status.get("code") if isinstance(status, Mapping) else None
    said = status.get("message") if isinstance(status, Mapping) else None
    attributes = _attributes(_get(span, "attributes"))
    failure = next(
        (_exception(event) for event in _list(span, "events") if event.get("name") == "exception"), None
    )
    return Span(
        trace_id=_id(_get(span, "traceId", "trace_id"), 16),
        span_id=_id(_get(span, "spanId", "span_id"), 8),
        name=str(span.get("name") or ""),
        parent_id=_id(_get(span, "parentSpanId", "parent_span_id"), 8) or None,
        started_ns=nanoseconds(_get(span, "startTimeUnixNano", "start_time_unix_nano")) or 0,
        ended_ns=nanoseconds(_get(span, "endTimeUnixNano", "end_time_unix_nano")),
        error=(failure or str(said or "") or "error") if code in ERROR else None,
        attributes=attributes,
        links=tuple(
            (
                _id(_get(link, "traceId", "trace_id"), 16),
                _id(_get(link, "spanId", "span_id"), 8),
                _attributes(_get(link, "attributes")),
            )
            for link in _list(span, "links")
        ),
        scope=scope,
        source=source,
    )


def _exception(event: Mapping[str, object]) -> str:
    said = _attributes(_get(event, "attributes"))
    return f"{said.get('exception.type', 'error')}: {said.get('exception.message', '')}"


def _get(of: Mapping[str, object], *names: str) -> object:
    return next((of[name] for name in names if name in of), None)


def _list(of: Mapping[str, object], *names: str) -> list[Mapping[str, object]]:
    found = _get(of, *names)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _attributes(said: object) -> Mapping[str, object]:
    if isinstance(said, Mapping):
        return said
    pairs = said if isinstance(said, list) else []
    return {
        str(pair["key"]): _value(pair.get("value"))
        for pair in pairs
        if isinstance(pair, Mapping) and "key" in pair
    }


def _value(value: object) -> object:
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    form, inner = next(iter(value.items()))
    match str(form).replace("_v", "V"):
        case "intValue":
            return int(inner) if isinstance(inner, str) and re.fullmatch(r"-?\d{1,19}", inner) else inner
        case "arrayValue":
            return [_value(item) for item in _items(inner)]
        case "kvlistValue":
            return _attributes(_items(inner))
        case _:
            return inner


def _items(inner: object) -> Sequence[object]:
    values = inner.get("values") if isinstance(inner, Mapping) else None
    return values if isinstance(values, list) else []


def _id(said: object, size: int) -> str:
    """Return an id in hexadecimal digits, from those or from base64; what is neither stays as it is."""
    text = str(said or "")
    plain = text.removeprefix("0x").lower()
    if re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", plain):
        return plain if plain.strip("0") else ""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text[:100]
    return raw.hex() if len(raw) == size else text[:100]
