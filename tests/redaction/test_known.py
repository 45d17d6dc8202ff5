"""What was met as a secret is looked for in all that comes later, and that costs no more than what comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ormsgpack
import pytest

from becausal.canonical import Encoder, encode
from becausal.redaction.engine import Pattern, compiled
from becausal.redaction.known import LARGEST, MOST, RECENT, Known
from becausal.redaction.redactor import Redactor

SECRET = "hunter2!x9"
NOTE = ormsgpack.packb({"note": f"the word is {SECRET}"})


def parts_of(redactor: Redactor, *, fresh: bool, turns: int) -> list[int]:
    """Return how many parts each turn of a conversation hands out."""
    encoder, messages, counts = Encoder(redactor), [], []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"turn {turn}: " + "as was said before. " * 40})
        token = f"t0ken-{turn if fresh else 0:08d}-abc"
        counts.append(len(encoder.encode({"messages": messages, "access_token": token}).parts))
    return counts


def test_a_new_secret_in_each_step_hands_out_no_more_than_one_secret_does() -> None:
    assert parts_of(Redactor(), fresh=True, turns=50) == parts_of(Redactor(), fresh=False, turns=50)


@pytest.mark.parametrize("messages", [2, 40])
def test_a_part_that_is_sent_again_is_looked_through_for_what_was_met_since(messages: int) -> None:
    redactor = Redactor()
    encoder = Encoder(redactor)
    said = [
        {"role": "user", "content": f"{n}: they said {SECRET} " + "and so on " * 60} for n in range(messages)
    ]

    before = encoder.encode({"messages": said})
    encoder.encode({"password": SECRET})
    after = encoder.encode({"messages": said})
    again = encoder.encode({"messages": [*said]})

    assert SECRET.encode() in b"".join(body for _, body in before.parts)
    assert len(after.parts) == len(before.parts) >= messages
    assert SECRET.encode() not in b"".join(body for _, body in after.parts)
    assert not again.parts
    assert (again.digest, again.belief) == (after.digest, after.belief)
    whole = encode({"messages": said}, redactor)
    assert (whole.digest, whole.belief, whole.size) == (after.digest, after.belief, after.size)


def test_many_secrets_at_once_are_looked_for_in_what_was_clean() -> None:
    redactor = Redactor()
    redactor.body(NOTE)
    redactor.body(ormsgpack.packb({"password": SECRET}))
    for n in range(3 * RECENT):
        redactor.body(ormsgpack.packb({"password": f"an0ther-{n:04d}"}))

    assert SECRET.encode() not in redactor.body(NOTE)


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("ask", ["body", "keeps", "name"])
def test_a_secret_that_another_thread_meets_while_a_body_is_judged_is_found_the_next_time(
    ask: str, others: int
) -> None:
    redactor = Redactor()
    for n in range(others):
        redactor._finder.replace("password", f"an0ther-{n:04d}")
    met: list[int] = []

    def judging(judge: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def judged(data: bytes) -> Any:
            found = judge(data)
            if not met:
                met.append(1)
                redactor._finder.replace("password", SECRET)  # as another thread does now
                redactor.body(ormsgpack.packb({"other": 1}))
                redactor.name("other")
            return found

        return judged

    redactor.may_hold = judging(redactor.may_hold)
    redactor._finder.known.stands_in = judging(redactor._finder.known.stands_in)  # type: ignore[assignment, method-assign]
    asked: dict[str, Any] = {
        "body": lambda: redactor.body(NOTE),
        "keeps": lambda: redactor.keeps([(b"1", NOTE)]),
        "name": lambda: redactor.name(f"the word is {SECRET}"),
    }
    asked[ask]()

    assert met
    if ask == "keeps":
        assert not redactor.keeps([(b"1", NOTE)])
    assert SECRET.encode() not in redactor.body(bytes(NOTE))
    assert SECRET not in redactor.name(f"the word is {SECRET}")


def test_whoever_knows_the_version_finds_every_secret_of_it() -> None:
    known = Known()
    for n in range(5 * RECENT):
        known.add(f"s3cret-{n:04d}", "m")
        assert known.version == n + 1
        assert all(known.stands_in(f"s3cret-{one:04d}".encode()) for one in range(n + 1))
        assert known.newer_stands_in(f"s3cret-{n:04d}".encode(), n)
        assert not known.newer_stands_in(b"s3cret-0000", n if n else 1)


@pytest.mark.parametrize("others", [0, 2 * RECENT])
@pytest.mark.parametrize("longer_first", [True, False])
def test_of_two_secrets_that_begin_alike_the_longer_one_is_taken_out(others: int, longer_first: bool) -> None:
    known = Known()
    both = ["hunter22", "hunter22-extra-long-tail"]
    for secret in reversed(both) if longer_first else both:
        known.add(secret, f"<{len(secret)}>")
        for n in range(others):
            known.add(f"an0ther-{secret[-3:]}-{n:04d}", "m")

    assert known.replaced(b"it is hunter22-extra-long-tail, or hunter22") == b"it is <24>, or <8>"


def test_automata_are_built_seldom_and_what_was_forgotten_is_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(pattern: str) -> Pattern:
        sizes.append(pattern.count("|") + 1)
        return compiled(pattern)

    monkeypatch.setattr("becausal.redaction.known.compiled", counted)
    known = Known()
    for n in range(4 * MOST):
        known.add(f"s3cret-{n:05d}", "m")

    assert sum(sizes) < 5 * 4 * MOST  # each is built in a few times
    assert max(sizes) <= 2 * LARGEST
    built, _ = known._sought
    assert len(built) < 12
    assert not known.stands_in(b"s3cret-00000")
    assert known.stands_in(f"s3cret-{4 * MOST - 1:05d}".encode())
