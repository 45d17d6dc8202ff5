"""The body of an export request: unpacked within bounds, then read as spans.

What a stranger sends is data: it is never larger in memory than was agreed, and what is wrong with it is told to
whoever sent it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from sys import intern
from typing import Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from becausal.foreign import Span, otlp_spans, source_of

__all__ = ["JSON", "PROTOBUF", "Received", "Refusal", "answer", "read", "unpacked"]

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

MAX_SPANS: Final = 50_000
"""Spans of a request; exporters send some hundreds. An empty span is two bytes that cost two hundred to read."""

VARINT: Final = 0
LENGTH: Final = 2
FIXED: Final = {1: 8, 5: 4}
"""Protobuf's forms of a field; bytes of those of a fixed size."""

MAX_ITEMS: Final = 100_000
"""Attributes, links or events of a span, and items of a list: a body of empty ones is refused before they are read."""

DEEPEST: Final = 32
"""Lists and maps within an attribute's value."""

ERROR: Final = 2
"""`STATUS_CODE_ERROR`."""


class Refusal(Exception):
    """A request that cannot be taken: the HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Received:
    """What a request brought."""

    spans: list[Span]
    rejected: int
    """Spans that nothing can be made of: without a trace id or a span id."""
    size: int
    """Bytes of the body, unpacked."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body as it was before its sender packed it.

    Raises:
        Refusal: it is damaged (400), packed otherwise than with gzip or deflate (415), or holds more than `limit` bytes
            (413).
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise Refusal(415, f"Content-Encoding {encoding!r} is not read; send gzip, deflate or none")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip and zlib, told apart by their heads
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error as flaw:
        raise Refusal(400, f"the {encoding} of the body is damaged: {flaw}") from None
    if len(data) > limit:
        raise Refusal(413, f"the body holds more than {limit} bytes")
    if not unpacker.eof:
        raise Refusal(400, f"the {encoding} of the body breaks off")
    return data


def read(body: bytes, content_type: str) -> Received:
    """Return the spans of a body.

    Raises:
        Refusal: its type is none of OTLP's (415), or it is no export request (400).
    """
    if content_type == PROTOBUF:
        return _kept(_of_protobuf(body), len(body))
    if content_type == JSON:
        return _kept(_of_json(body), len(body))
    raise Refusal(415, f"Content-Type {content_type!r} is not read; send {PROTOBUF} or {JSON}")


def answer(content_type: str, rejected: int = 0) -> bytes:
    """Return the body of the response, in the form of the request.

    Source: OTLP 1.9, "Partial Success".
    """
    why = f"{rejected} spans have no valid trace id and span id"
    if content_type == JSON:
        said = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}} if rejected else {}
        return json.dumps(said).encode()
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = why
    return bytes(response.SerializeToString())


def _kept(spans: Iterator[Span], size: int) -> Received:
    found, rejected = [], 0
    for span in spans:
        if len(span.trace_id) == 32 and len(span.span_id) == 16:
            found.append(span)
        else:
            rejected += 1
    return Received(found, rejected, size)


def _of_json(body: bytes) -> Iterator[Span]:
    try:
        request = json.loads(body) if body else {}
    except (ValueError, RecursionError) as flaw:
        raise Refusal(400, f"the body is no JSON: {flaw}") from None
    if not isinstance(request, Mapping):
        raise Refusal(400, "the body is no export request: its JSON is no object")
    try:
        for number, span in enumerate(list(otlp_spans(request))):
            if number == MAX_SPANS:
                raise Refusal(413, f"more than {MAX_SPANS} spans in one request")
            yield span
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as flaw:
        raise Refusal(400, f"the body is no export request: {flaw}") from None


def _of_protobuf(body: bytes) -> Iterator[Span]:
    _check_number(body)
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as flaw:
        raise Refusal(400, f"the body is no export request: {flaw}") from None
    for resource in request.resource_spans:
        source = source_of(_attributes(resource.resource.attributes))
        for scoped in resource.scope_spans:
            scope = scoped.scope.name
            for span in scoped.spans:
                yield _span(span, scope, source)


def _check_number(body: bytes) -> None:
    """Refuse a request of too many messages before they are made: their lengths alone are read.

    Resources, scopes and spans are one within the other, fields 1, 2 and 2.
    Source: protobuf.dev/programming-guides/encoding; OTLP 1.9, `collector/trace/v1/trace_service.proto`.
    """
    left: list[tuple[int, int, tuple[int, ...]]] = [(0, len(body), (1, 2, 2))]
    number = 0
    while left:
        at, end, fields = left.pop()
        while at < end:
            tag, at = _varint(body, at, end)
            form = tag & 7
            if form == LENGTH:
                size, at = _varint(body, at, end)
                if tag >> 3 == fields[0]:
                    number += 1
                    if len(fields) > 1:
                        left.append((at, min(at + size, end), fields[1:]))
                at += size
            elif form == VARINT:
                _, at = _varint(body, at, end)
            elif form in FIXED:
                at += FIXED[form]
            else:
                raise Refusal(400, "the body is no export request: it has groups")
            if number > MAX_SPANS:
                raise Refusal(413, f"more than {MAX_SPANS} spans in one request")


def _varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number that begins at a place, and where it ends."""
    number = shift = 0
    while at < end:
        byte = body[at]
        at += 1
        if byte < 0x80:
            return number | byte << shift, at
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            break
    raise Refusal(400, "the body is no export request: it breaks off within a number")


def _span(span: OtlpSpan, scope: str, source: str) -> Span:
    error = None
    _check_length(span.links)
    _check_length(span.events)
    if span.status.code == ERROR:
        failure = next((event for event in span.events if event.name == "exception"), None)
        said = _attributes(failure.attributes) if failure is not None else {}
        error = (
            f"{said.get('exception.type', 'error')}: {said.get('exception.message', '')}"
            if failure is not None
            else span.status.message or "error"
        )
    return Span(
        trace_id=_id(span.trace_id),
        span_id=_id(span.span_id),
        name=span.name,
        parent_id=_id(span.parent_span_id) or None,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano or None,
        error=error,
        attributes=_attributes(span.attributes),
        links=tuple(
            (_id(link.trace_id), _id(link.span_id), _attributes(link.attributes)) for link in span.links
        ),
        scope=scope,
        source=source,
    )


def _check_length(items: Sized) -> None:
    if len(items) > MAX_ITEMS:
        raise Refusal(413, f"more than {MAX_ITEMS} attributes, links, events or items of a list")


def _id(raw: bytes) -> str:
    return raw.hex() if any(raw) else ""


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, object]:
    found: dict[str, object] = {}
    _check_length(pairs)
    for pair in pairs:
        value = pair.value
        # Most are texts; and the names are few, so that each is kept once.
        found[intern(pair.key)] = value.string_value or _value(value)
    return found


def _value(value: AnyValue, depth: int = 0) -> object:
    form = value.WhichOneof("value")
    if form is None or depth > DEEPEST:
        return None
    if form == "array_value":
        _check_length(value.array_value.values)
        return [_value(item, depth + 1) for item in value.array_value.values]
    if form == "kvlist_value":
        _check_length(value.kvlist_value.values)
        return {pair.key: _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return getattr(value, form)
