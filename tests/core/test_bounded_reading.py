"""The promise: a few bytes that somebody made by hand are read in bounded time and memory, whatever they refer to."""

from __future__ import annotations

import resource
import time

import ormsgpack
import pytest
from tests.fuzz.targets import TARGETS

from becausal import canonical
from becausal.canonical import Missing, Record, decode
from becausal.canonical.decoded import MOST_LEVELS
from becausal.canonical.wire import Code, array, entry
from becausal.payload import text_of


def no_part(digest: bytes) -> None:
    """Keep no part."""


def part(digest: bytes) -> bytes:
    return entry(Code.PART, digest)


def named(number: int) -> bytes:
    return number.to_bytes(16, "big")


def doubling(levels: int) -> dict[bytes, bytes]:
    """Return bodies of which each names the next one twice; the last one is a text."""
    bodies = {named(level): array(2) + 2 * part(named(level + 1)) for level in range(levels)}
    return bodies | {named(levels): ormsgpack.packb("the innermost")}


def depth_of(value: object) -> int:
    levels = 0
    while isinstance(value, list | tuple) and value:
        value, levels = value[0], levels + 1
    return levels


def test_parts_that_double_forty_times_are_read_and_shown_within_bounds() -> None:
    bodies, began = doubling(40), time.process_time()

    value = decode(bodies[named(0)], bodies.get)
    shown = text_of(value)

    assert depth_of(value) == 40
    assert "the innermost" in shown
    assert "<content that is not there>" in shown  # what was too much is said to be missing
    assert len(shown) < 512 << 20
    assert time.process_time() - began < 60  # 2**40 parts would be weeks
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20  # KiB


def test_what_is_named_again_within_measure_is_read_each_time_and_is_not_shared() -> None:
    bodies = doubling(8)

    value = decode(bodies[named(0)], bodies.get)

    assert text_of(value).count("the innermost") == 2**8
    assert "not there" not in text_of(value)
    assert isinstance(value, list)
    first, second = value
    assert first == second
    assert first is not second


def test_a_part_within_itself_is_missing_there_however_it_comes_back_to_itself() -> None:
    one, two = named(1), named(2)
    note = {"\0": ormsgpack.Ext(Code.TYPE, b"app.Note"), "back": ormsgpack.Ext(Code.PART, one)}
    bodies = {one: array(2) + 2 * part(two), two: ormsgpack.packb(note)}

    value = decode(bodies[two], bodies.get)

    # The body that is asked for has no name: it is met as a part once, and within itself no more.
    again = Record("app.Note", {"back": Missing(one)})
    assert value == Record("app.Note", {"back": [again, again]})


@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_any_bytes_that_refer_to_themselves_hold_the_law_of_all_bodies(distinct: int) -> None:
    TARGETS["bodies"](array(distinct * 2) + 2 * b"".join(part(named(number)) for number in range(distinct)))


def test_parts_and_lists_deeper_than_any_recorder_writes_them_are_cut() -> None:
    chain = {named(level): array(1) + part(named(level + 1)) for level in range(3000)}
    lists = {named(level): b"\x91" * 200 + part(named(level + 1)) for level in range(100)}

    for bodies in (chain, lists):
        value = decode(bodies[named(0)], bodies.get)
        assert depth_of(value) <= MOST_LEVELS
        assert "levels deep" in text_of(value)
        canonical.encode(value)
    assert depth_of(decode(b"\x91" * 1000 + b"\x01", no_part)) == MOST_LEVELS


def test_a_text_is_indented_no_deeper_than_somebody_would_read_it() -> None:
    body = b"\x91" * 300 + array(60_000) + 60_000 * b"\x01"

    assert len(text_of(decode(body, no_part))) < 1_000


def test_a_number_of_more_digits_than_python_writes_out_is_shown_all_the_same() -> None:
    number = decode(entry(Code.INT, b"\x7f" * 5_000), no_part)

    assert text_of(number) == "(int of too many digits)"
    assert (
        text_of({"name": "pay", "args": {"amount": number}}) == "calls pay(amount=(int of too many digits))"
    )


def test_an_array_of_thousands_of_dimensions_is_damaged() -> None:
    hostile = ormsgpack.packb(["numpy.ndarray", "b1", [1] * 2_000, bytes(2_000)])

    with pytest.raises(ValueError, match="damaged"):
        decode(entry(Code.ARRAY, hostile), no_part)
