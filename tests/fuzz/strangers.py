"""Damaged input by the thousand: mutations of what is valid, sent to whatever reads a stranger's bytes.

A case is wrong where something raises that may not, where the receiver answers with anything but a status that OTLP
knows, or where what was taken in cannot be written to a store and read again. It is made again from its seed and its
number.
"""

# ruff: noqa: T201 - the receiver's statuses are printed

from __future__ import annotations

import base64
import copy
import gzip
import json
import random
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import becausal
from becausal import foreign
from becausal.errors import ImportFormatError
from becausal.propagation import remote_step
from becausal.run import Run
from becausal.store import Store, open_store

FIXTURES = Path(__file__).parent.parent / "foreign" / "fixtures"

Case = tuple[int, str]
"""The number of a case that was wrong, and what was."""

ODD: list[Any] = [
    None, True, -1, 0, 1 << 63, 1 << 64, -(1 << 70), 1e308, float("nan"), float("-inf"), "", " ", "\0", "\ud800",
    "0" * 32, "f" * 16, "x" * 70_000, [], {}, [[]], [None], {"": {}}, {"intValue": "9" * 30}, {"doubleValue": "NaN"},
    {"arrayValue": {}}, {"kvlistValue": {"values": [{"key": "a"}, {}]}}, {"bytesValue": "AAE="},
    "bc1-xxh3:" + "0" * 32, "bc1-xxh3:zz", "handoff",
]  # fmt: skip
NAMES = (
    "becausal.node.id", "becausal.chain.id", "becausal.step.kind", "becausal.step.seq", "becausal.step.status",
    "becausal.cause.ids", "becausal.cause.types", "becausal.payload.input.digest", "becausal.payload.input.size",
    "becausal.belief.digest", "becausal.hop", "gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.input.messages",
    "gen_ai.output.messages", "openinference.span.kind", "input.value", "llm.input_messages.0.message.role",
    "traceloop.span.kind", "langfuse.observation.type", "mlflow.spanType", "messaging.operation",
)  # fmt: skip


# What is valid


@cache
def requests() -> list[dict[str, Any]]:
    """Return export requests as JSON: everybody's dialects, and becausal's own spans."""
    found = [
        json.loads(line)
        for path in sorted(FIXTURES.glob("*.jsonl"))
        for line in path.read_text().splitlines()
        if "resourceSpans" in line
    ]
    return [*found[:40], *found[-40:], _own()]


def _own() -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped,unused-ignore]
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from tests.core.spans import recorded

    request = MessageToDict(encode_spans(recorded("sqlite:///:memory:")))
    for span in _spans(request):
        for one in (span, *span.get("links", [])):
            for name in ("traceId", "spanId", "parentSpanId"):
                if name in one:
                    one[name] = _hexadecimal(one[name])
    return dict(request)


def _hexadecimal(in_base64: str) -> str:
    return base64.b64decode(in_base64).hex()


def _spans(request: Any) -> Iterator[dict[str, Any]]:
    for resource in request.get("resourceSpans", []):
        for scoped in resource.get("scopeSpans", []):
            yield from scoped.get("spans", [])


def as_protobuf(request: dict[str, Any]) -> bytes:
    """Return a request in JSON as protobuf, its ids put right; empty where it is none any more."""
    from google.protobuf.json_format import (  # type: ignore[import-untyped,unused-ignore]
        ParseDict,
        ParseError,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = copy.deepcopy(request)
    for span in _spans(request):
        links = span.get("links", [])
        for one in (span, *(links if isinstance(links, list) else [])):
            for name in ("traceId", "spanId", "parentSpanId"):
                if isinstance(one, dict) and isinstance(one.get(name), str):
                    try:
                        one[name] = base64.b64encode(bytes.fromhex(one[name])).decode()
                    except ValueError:
                        one[name] = ""
    made = ExportTraceServiceRequest()
    try:
        ParseDict(request, made, ignore_unknown_fields=True)
        return bytes(made.SerializeToString())
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError):
        return b""


# What is done to it


def mutated_bytes(dice: random.Random, data: bytes) -> bytes:
    """Return bytes with some of them changed, lost, doubled or moved."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(len(changed) + 1)
        to = min(len(changed), at + dice.choice((1, 1, 2, 8, 64, 1024)))
        match dice.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << dice.randrange(8)
            case 1:
                del changed[at:to]
            case 2:
                changed[at:at] = changed[at:to]
            case 3:
                changed[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 4:
                changed[at:to] = dice.choice((b"\xff", b"\x00", b"\x80", b"\x7f")) * (to - at)
            case 5:
                del changed[at:]
    return bytes(changed)


def mutated_json(dice: random.Random, value: Any) -> Any:
    """Return data with some of its parts replaced, lost, doubled or moved elsewhere."""
    changed = copy.deepcopy(value)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        places = list(_places(changed))
        if not places:
            return dice.choice(ODD)
        holder, at = dice.choice(places)
        match dice.randrange(5):
            case 0 | 1:
                holder[at] = copy.deepcopy(dice.choice(ODD))
            case 2:
                del holder[at]
            case 3:
                other, there = dice.choice(places)
                holder[at] = copy.deepcopy(_get(other, there))
            case 4 if isinstance(holder, list):
                holder.extend(copy.deepcopy(holder[at]) for _ in range(dice.choice((1, 3, 40))))
            case 4:
                holder[dice.choice(NAMES)] = copy.deepcopy(dice.choice(ODD))
    return changed


def with_odd_attributes(dice: random.Random, request: dict[str, Any]) -> dict[str, Any]:
    """Return a request whose spans say odd things under names that are read."""
    changed = copy.deepcopy(request)
    for span in _spans(changed):
        for _ in range(dice.randrange(4)):
            odd = dice.choice(ODD)
            value = odd if isinstance(odd, dict) else {"stringValue": odd if isinstance(odd, str) else "7"}
            if isinstance(odd, int) and abs(odd) < 1 << 63:
                value = {"intValue": str(int(odd))}
            said = {"key": dice.choice(NAMES), "value": value}
            span.setdefault("attributes", []).append(said)
        if dice.random() < 0.2:
            other = dice.choice(list(_spans(changed)))
            span["parentSpanId"], span["traceId"] = other["spanId"], other["traceId"]
        if dice.random() < 0.1:
            span["startTimeUnixNano"] = dice.choice(("0", "1", str((1 << 64) - 1)))
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    left = [value] if isinstance(value, dict | list) else []
    while left:
        holder = left.pop()
        for at in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, at
            if isinstance(holder[at], dict | list):
                left.append(holder[at])


def _get(holder: Any, at: Any) -> Any:
    try:
        return holder[at]
    except (LookupError, TypeError):
        return None


# Who reads it


def receiver(cases: int, seed: int) -> list[Case]:
    """Send bodies to a receiver; returns the cases that were wrong."""
    from starlette.testclient import TestClient

    from becausal.serve import Assembler, Intake, application

    kept = open_store("sqlite:///:memory:")
    intake = Intake(Assembler(kept, quiet_s=0.0))
    wrong: list[Case] = []
    statuses: Counter[int] = Counter()
    with TestClient(application(intake, max_body=1 << 20), raise_server_exceptions=True) as client:
        for number in range(cases):
            body, headers = _request(random.Random(f"{seed}/{number}"))
            try:
                response = client.post("/v1/traces", content=body, headers=headers)
            except Exception as failure:
                wrong.append((number, repr(failure)))
                continue
            statuses[response.status_code] += 1
            if response.status_code not in (200, 400, 413, 415, 429):
                wrong.append((number, f"status {response.status_code}"))
    if not intake.close(600):
        wrong.append((-1, "the receiver does not come to its end"))
    counts = intake.counts()
    wrong += [(-1, f"{n} {what}") for what, n in counts.items() if _is_wrong(what) and n]
    print("statuses:", dict(sorted(statuses.items())), "counts:", dict(counts))
    return wrong + _unreadable(kept)


def _is_wrong(what: str) -> bool:
    return any(word in what for word in ("failures", "lost", "could not be told", "did not take"))


def _request(dice: random.Random) -> tuple[bytes, dict[str, str]]:
    request = dice.choice(requests())
    match dice.randrange(4):
        case 0:
            body, kind = mutated_bytes(dice, as_protobuf(request)), "application/x-protobuf"
        case 1:
            body, kind = as_protobuf(with_odd_attributes(dice, request)), "application/x-protobuf"
        case 2:
            body, kind = json.dumps(mutated_json(dice, request)).encode(), "application/json"
        case _:
            body, kind = mutated_bytes(dice, json.dumps(request).encode()), "application/json"
    headers = {"content-type": kind}
    if dice.random() < 0.2:
        packed = dice.choice((gzip.compress, zlib.compress))(body)
        body = packed if dice.random() < 0.5 else mutated_bytes(dice, packed)
        headers["content-encoding"] = dice.choice(("gzip", "deflate", "br", "gzip, gzip"))
    if dice.random() < 0.03:
        headers["content-type"] = dice.choice(("", "text/plain", kind + "; charset=utf-8", kind.upper()))
    return body, headers


def headers(cases: int, seed: int) -> list[Case]:
    """Give carriers to `becausal.extract`; returns the cases that were wrong."""
    wrong: list[Case] = []
    for number in range(cases):
        dice = random.Random(f"{seed}/{number}")
        carrier, onward = _carrier(dice), dict[str, str]()
        try:
            step = remote_step(carrier)
            with becausal.extract(carrier):
                becausal.inject(onward)
            if step is not None:
                assert len(step.id) == 16 == len(f"{int(step.id, 16):016x}")
                assert min(step.seq, step.hop) >= 0
            assert all(isinstance(value, str) and value.isprintable() for value in onward.values()), onward
        except Exception as failure:
            wrong.append((number, f"{failure!r} of {carrier!r}"[:500]))
    return wrong


def _carrier(dice: random.Random) -> Any:
    trace, span, chain = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "c" * 32
    valid = {
        "traceparent": f"00-{trace}-{span}-01",
        "tracestate": f"other=1,becausal={chain}/{span}/7/2",
        "baggage": f"becausal.chain.id={chain},becausal.node.id={span},becausal.step.seq=7,becausal.hop=2",
        "becausal": f"{chain}/{span}/7/2",
    }
    made: dict[str, Any] = {}
    for name, value in valid.items():
        if dice.random() < 0.7:
            text = value
            for _ in range(dice.randrange(4)):
                text = mutated_bytes(dice, text.encode("utf-8", "replace")).decode(
                    dice.choice(("latin-1", "utf-8")), "replace"
                )
            made[name if dice.random() < 0.8 else name.title()] = text
    if dice.random() < 0.1:
        made[dice.choice(list(valid))] = dice.choice(ODD)
    if dice.random() < 0.3:
        return [
            (name.encode(), value.encode("utf-8", "replace") if isinstance(value, str) else value)
            for name, value in made.items()
        ]
    return made


def importers(cases: int, seed: int) -> list[Case]:
    """Give files to `becausal.foreign.load`; returns the cases that were wrong."""
    wrong: list[Case] = []
    files = sorted(path for path in FIXTURES.iterdir() if path.suffix.startswith(".json"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.json"
        for number in range(cases):
            dice = random.Random(f"{seed}/{number}")
            path.write_bytes(_file(dice, dice.choice(files)))
            kept = open_store("sqlite:///:memory:")
            try:
                kept.write(foreign.load(path), notes_memory=False)
                wrong += [(number, what) for _, what in _unreadable(kept)]
            except ImportFormatError:
                pass
            except Exception as failure:
                wrong.append((number, repr(failure)[:500]))
            kept.close()
    return wrong


def _file(dice: random.Random, path: Path) -> bytes:
    if dice.random() < 0.3:
        return mutated_bytes(dice, path.read_bytes())
    if path.suffix == ".json":
        return json.dumps(mutated_json(dice, json.loads(path.read_text()))).encode()
    lines = path.read_text().splitlines()
    for _ in range(dice.choice((1, 3))):
        at = dice.randrange(len(lines))
        lines[at] = json.dumps(mutated_json(dice, json.loads(lines[at])))
    return "\n".join(lines).encode()


def _unreadable(kept: Store) -> list[Case]:
    """Ask every run of a store for its graph; returns those that cannot be asked."""
    wrong: list[Case] = []
    for info in kept.chains():
        try:
            run = Run(info.chain_id, kept.load(info.chain_id))
            assert run.edges is not None
            for step in run.steps:
                for payload in (step.received, step.produced):
                    if payload is not None:
                        payload.text()
        except Exception as failure:
            wrong.append((-1, f"{failure!r} of the run {info.chain_id[:40]!r}"))
    return wrong


READERS: dict[str, Callable[[int, int], list[Case]]] = {
    "receiver": receiver,
    "headers": headers,
    "importers": importers,
}
