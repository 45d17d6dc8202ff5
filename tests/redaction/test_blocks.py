"""Of a large body what is new is read, and a secret is found wherever the borders of its blocks lie."""

from __future__ import annotations

import random

import pytest
from tests.redaction.secrets import IN_CONTEXT, SECRETS

from becausal.canonical import Encoder
from becausal.redaction import blocks as blocks_of
from becausal.redaction.blocks import REACH, Blocks
from becausal.redaction.finder import Finder
from becausal.redaction.kinds import KINDS
from becausal.redaction.redactor import Redactor

BLOCK = 4 << 10
LONG_TOKEN = f"eyJ{'hbGciOiJIUzI1NiIsInR5cCI6' * 80}.eyJ{'zdWIiOiIxMjM0NTY3ODkwIn0' * 50}.abc"
EVERY = {
    **{f"{kind} {n}": some for kind, all_of in SECRETS.items() for n, some in enumerate(all_of)},
    **{
        f"{kind} in text {n}": around.replace("{}", some)
        for kind, pairs in IN_CONTEXT.items()
        for n, (around, some) in enumerate(pairs)
    },
    "a long token": LONG_TOKEN,
    "a long password in a URL": f"https://{'u' * 99}:{'p' * 199}@db",
}


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder(KINDS, own=(), keys=(), builtin_keys=True, folder=None, by_re2=True)


def filler(size: int) -> bytes:
    chance = random.Random(7)
    return b"".join(chance.choice((b"as it ", b"was said ", b"before, ")) for _ in range(size // 5))[:size]


def learn(known: Blocks, body: bytes, finder: Finder) -> None:
    """Have blocks learned as the redactor does: of a body that proved clean alone."""
    stretches, digests = known.unread(body, REACH)
    if not finder.sieve.matches(b"\n".join(stretches)):
        known.learn(digests)


@pytest.mark.parametrize("kind", EVERY)
def test_a_secret_is_found_at_every_place_across_a_border_though_both_of_its_sides_are_known(
    kind: str, finder: Finder
) -> None:
    secret = EVERY[kind].encode()
    said = filler(3 * BLOCK)
    places = range(1, len(secret), max(1, len(secret) // 60))
    for over in places:
        at = 2 * BLOCK - over
        known = Blocks()
        learn(known, said, finder)
        for half in (secret[:over] + b" " * (len(secret) - over), b" " * over + secret[over:]):
            learn(known, said[:at] + half + said[at + len(half) :], finder)

        stretches, _ = known.unread(said[:at] + secret + said[at + len(secret) :], REACH)
        assert finder.sieve.matches(b"\n".join(stretches)), over


@pytest.mark.parametrize("over", range(1, 1300, 99))
def test_what_is_known_as_a_secret_is_found_across_a_border_however_long_it_is(over: int) -> None:
    redactor, said = Redactor(), filler(5 * BLOCK).decode()
    secret = "Tr0ub4dor " + "and so on " * 128
    encoder = Encoder(redactor)
    encoder.encode({"password": secret})
    at = 3 * BLOCK - 3 - over  # behind the three bytes that begin a text
    after = said[at + len(secret) :]
    for half in (secret[:over] + " " * (len(secret) - over), " " * over + secret[over:]):
        encoder.encode([said[:at] + half + after])

    parts = encoder.encode([said[:at] + secret + after]).parts
    assert [secret.encode() in body for _, body in parts] == [False]


def test_of_a_large_body_the_blocks_that_changed_are_read() -> None:
    known, said = Blocks(), filler(1 << 20)
    stretches, digests = known.unread(said, REACH)
    assert stretches == [said]  # once, not the ends of the blocks twice
    known.learn(digests)

    assert known.unread(said, REACH) == ([], [])
    changed = said[:500_000] + b"0123" + said[500_004:]
    stretches, _ = known.unread(changed, REACH)
    assert sum(map(len, stretches)) < 40_000
    assert any(b"0123" in stretch for stretch in stretches)


def test_a_body_of_one_endless_run_is_read_whole_and_once() -> None:
    body = b"a" * 300_000
    assert Blocks().unread(body, REACH) == ([body], [])
    assert Blocks().unread(filler(100_000), blocks_of.MOST_REACH + 1)[1] == []


def test_no_more_blocks_are_remembered_than_so_many() -> None:
    known = Blocks()
    for number in range(3 * blocks_of.MOST_BLOCKS):
        known.learn([b"%016d" % number])
    assert len(known._clean) <= blocks_of.MOST_BLOCKS
