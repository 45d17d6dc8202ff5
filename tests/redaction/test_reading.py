"""What is recorded is read for secrets once: the cost of looking follows what is new, not what is there."""

from __future__ import annotations

from typing import Any

import pytest

from becausal.canonical import Encoder
from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer


class Counting:
    """Stands for the sieve, and counts the bytes that it is given."""

    def __init__(self, sieve: Any) -> None:
        self.sieve, self.bytes = sieve, 0

    def search(self, content: bytes, at: int = 0) -> Any:
        self.bytes += len(content) - at
        return self.sieve.search(content, at)


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made._sieve = Counting(made._sieve)
    return made


def read(redactor: Redactor) -> int:
    count, redactor._sieve.bytes = redactor._sieve.bytes, 0  # type: ignore[attr-defined]
    return int(count)


def test_a_value_that_was_read_is_not_read_again(redactor: Redactor) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redactor)
    value = {"text": "a plan " * 5000, "rows": [{"n": n, "note": "as before"} for n in range(500)]}

    size = sealer.seal(value).payload.size
    assert size <= read(redactor) <= size + 100
    sealer.seal(value)
    assert read(redactor) == 0
    sealer.seal({**value, "one": "more"})
    assert read(redactor) < 500


def test_a_conversation_that_grows_is_read_by_what_is_new(redactor: Redactor) -> None:
    encoder, messages = Encoder(redactor), []
    counts = []
    for turn in range(60):
        messages.append({"role": "user", "content": f"turn {turn}: " + "as it was said before. " * 40})
        encoder.encode({"messages": messages})
        counts.append(read(redactor))

    assert max(counts[30:]) < counts[0] + 60 * 40  # the references to the others, and one message


def test_what_was_met_as_a_secret_is_looked_for_in_what_was_read_before(redactor: Redactor) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redactor)
    value = {"note": "they said Tr0ub4dor-3 " + "and so on " * 100}

    before = sealer.seal(value)
    sealer.seal({"password": "Tr0ub4dor-3"})
    after = sealer.seal(value)

    assert b"Tr0ub4dor-3" in b"".join(body for _, body in before.bodies)  # nothing gave it away then
    assert b"Tr0ub4dor-3" not in b"".join(body for _, body in after.bodies)
    assert before.payload.digest != after.payload.digest
