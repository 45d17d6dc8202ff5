"""The laws that hold of any input, each as a function of bytes that raises where one is broken."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.values import Source, value_of

import becausal
from becausal import canonical, foreign
from becausal.canonical import Encoder, decode, encode
from becausal.cassette import read as read_cassette
from becausal.delta import apply, delta, same
from becausal.errors import CassetteError, ImportFormatError
from becausal.facts import added, changed, facts, missing
from becausal.propagation import remote_step
from becausal.redaction import Redactor
from becausal.redaction.alike import alike
from becausal.run import Run
from becausal.store import Store, open_store

__all__ = ["TARGETS", "Target"]

Target = Callable[[bytes], None]

SECRETS = (
    "sk-proj-0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0u",
    "ghp_1234567890abcdefghijklmnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "4111 1111 1111 1111",
)
REDACTOR = Redactor()
OLD = Encoder()
"""Has seen every value that was encoded before in this process."""


def canonical_values(data: bytes) -> None:
    """Hold: an encoder that has seen much gives what a fresh one gives, keys have no order, all is decoded."""
    value = value_of(Source(data))
    fresh, again = encode(value), OLD.encode(value)
    assert (fresh.digest, fresh.belief, fresh.size, fresh.body) == (
        again.digest,
        again.belief,
        again.size,
        again.body,
    )
    parts = dict(fresh.parts)
    assert canonical.parse_digest(canonical.digest_text(fresh.digest)) == fresh.digest
    once = decode(fresh.body, parts.get)
    assert same(once, decode(fresh.body, parts.get))
    assert encode(once).digest == encode(once).digest
    if type(value) is dict:
        assert encode(dict(reversed(list(value.items())))).digest == fresh.digest, "keys have no order"


def canonical_bodies(data: bytes) -> None:
    """Hold: any bytes are decoded, or refused with a ValueError."""
    try:
        value = decode(data, lambda digest: data)
    except ValueError:
        return
    encode(value)


def deltas(data: bytes) -> None:
    """Hold: a delta makes the second value of the first, and never raises."""
    source = Source(data)
    before, after = (_plain(value_of(source)) for _ in range(2))
    found = delta(before, after)
    assert same(apply(found, before), after)
    assert bool(found) != same(before, after)
    str(found)


def _plain(value: object) -> object:
    encoded = encode(value)
    return decode(encoded.body, dict(encoded.parts).get)


def stated(data: bytes) -> None:
    """Hold: what a text states stands where it is said to stand, is not missing from itself, and is always read."""
    source = Source(data)
    text = source.some(len(data) // 2).decode("utf-8", "replace")
    other = source.rest().decode("utf-8", "replace")
    found = facts(text)
    for fact in found:
        start, end = fact.span
        assert 0 <= start <= end <= len(text)
        assert not fact.path or text
    assert missing(found, found, text=text) == ()
    assert added(found, found, text=text) == ()
    changed(found, facts(other), text=other)
    facts(value_of(Source(data)))


def files(data: bytes) -> None:
    """Hold: any file is imported, or refused with an ImportFormatError; what was imported can be asked."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.json"
        path.write_bytes(data)
        try:
            steps = foreign.load(path)
        except ImportFormatError:
            return
        kept = open_store("sqlite:///:memory:")
        try:
            kept.write(steps, notes_memory=False)
            _ask(kept)
        finally:
            kept.close()


def cassettes(data: bytes) -> None:
    """Hold: any file is read as a cassette, or refused with a CassetteError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.becausal"
        path.write_bytes(data)
        try:
            cassette = read_cassette(path)
        except CassetteError:
            return
        assert cassette.chain_id


def _ask(kept: Store) -> None:
    for info in kept.chains():
        run = Run(info.chain_id, kept.load(info.chain_id))
        assert run.edges is not None
        for step in run.steps:
            for payload in (step.received, step.produced):
                if payload is not None:
                    payload.text()


def headers(data: bytes) -> None:
    """Hold: any carrier is read, and what is told onward can be written as headers."""
    names = ("traceparent", "tracestate", "baggage", "becausal")
    pieces = data.split(b"\n", 3)
    carrier: dict[str, Any] = {
        name: piece.decode("latin-1") for name, piece in zip(names, pieces, strict=False) if piece
    }
    step = remote_step(carrier)
    onward: dict[str, str] = {}
    with becausal.extract(carrier):
        becausal.inject(onward)
    if step is not None:
        assert len(step.id) == 16
        assert int(step.id, 16) > 0
        assert min(step.seq, step.hop) >= 0
    assert all(isinstance(value, str) and value.isprintable() for value in onward.values())


def secrets(data: bytes) -> None:
    """Hold: a secret among any other words is in nothing that is kept, and what is redacted stays as it is."""
    source = Source(data)
    secret = SECRETS[source.byte() % len(SECRETS)]
    before, after = source.text(), source.rest().decode("utf-8", "replace")
    text = f"{before} {secret} {after}"
    kept = REDACTOR.text(text)
    assert secret not in kept
    assert REDACTOR.text(kept) == kept
    encoded = encode({"said": text, "value": value_of(Source(data))}, REDACTOR)
    for body in (encoded.body, *(part for _, part in encoded.parts)):
        assert secret.encode() not in body


def compared(data: bytes) -> None:
    """Hold: two values are compared whatever markers they hold; what stands alone for a secret is led back to it."""
    source = Source(data)
    first, second = (_marked(_plain(value_of(source))) for _ in range(2))
    for two_keys in (False, True):
        alike(first, second, two_keys=two_keys)
    assert same(alike(first, first)[0], first)
    before, after = (piece.decode("utf-8", "replace") for piece in (source.some(9), source.some(9)))
    marked = f"{before}[redacted:password:{len(data) % 99999999:08d}]{after}"
    secret = "Tr0ub4dor-3"
    if marked.count("[redacted:") == 1:
        assert alike(marked, f"{before}{secret}{after}") == (marked, marked)


def _marked(value: object) -> object:
    """Return a value with markers in its texts: each exclamation mark and each e is one."""
    if isinstance(value, str):
        return value.replace("!", "[redacted:card:00000001]").replace("e", "[redacted:own:00000002]")
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _marked(item) for key, item in value.items()}
    return value


TARGETS: dict[str, Target] = {
    "canonical": canonical_values,
    "bodies": canonical_bodies,
    "delta": deltas,
    "facts": stated,
    "files": files,
    "cassettes": cassettes,
    "carriers": headers,
    "redaction": secrets,
    "markers": compared,
}
