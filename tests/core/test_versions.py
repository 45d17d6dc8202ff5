from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from becausal import clock
from becausal.step import RemoteStep
from becausal.versions import MAX_KEPT, Versions


class Memory:
    pass


WRITER = RemoteStep("00000000000000a1", "c" * 32, 1)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", None])), max_size=40))
def test_each_key_counts_its_writes_from_one(writes: list[tuple[str, str | None]]) -> None:
    versions, memory = Versions(), Memory()
    counted = {"a": 0, "b": 0}
    for key, digest in writes:
        counted[key] += 1
        assert versions.wrote(memory, key, digest, WRITER).number == counted[key]
    for key, count in counted.items():
        latest = versions.latest(memory, key)
        assert (latest.number if latest else 0) == count


def test_an_outdated_content_is_known_as_the_version_that_it_was() -> None:
    versions, memory = Versions(), Memory()
    old = versions.wrote(memory, "price", "one", WRITER)
    new = versions.wrote(memory, "price", "two", WRITER)
    assert versions.read(memory, "price", "one") == old
    assert versions.read(memory, "price", "two") == new == versions.latest(memory, "price")


def test_a_content_that_was_written_elsewhere_is_no_version_of_ours() -> None:
    versions, memory = Versions(), Memory()
    versions.wrote(memory, "price", "one", WRITER)
    assert versions.read(memory, "price", "of another process") is None
    assert versions.read(Memory(), "price", "one") is None


def test_a_value_that_came_back_is_its_latest_version() -> None:
    versions, memory = Versions(), Memory()
    for digest in ("one", "two", "one"):
        versions.wrote(memory, "price", digest, WRITER)
    read = versions.read(memory, "price", "one")
    assert read is not None
    assert read.number == 3


def test_a_version_as_a_cause_names_the_step_that_wrote_it() -> None:
    cause = Versions().wrote(Memory(), "price", "one", WRITER).cause()
    assert (cause.source_id, cause.kind, cause.evidence) == (WRITER.id, "memory", "memory price@1")


def test_a_memory_goes_with_its_last_owner_and_its_versions_with_it() -> None:
    versions, memory = Versions(), Memory()
    versions.wrote(memory, "price", "one", WRITER)
    gone = weakref.ref(memory)
    del memory
    gc.collect()
    assert gone() is None


def test_of_a_key_that_is_written_for_ever_the_last_versions_are_kept() -> None:
    versions, memory = Versions(), Memory()
    for number in range(1, 200):
        versions.wrote(memory, "price", str(number), WRITER)
    assert versions.read(memory, "price", str(199 - MAX_KEPT)) is None
    assert versions.read(memory, "price", str(200 - MAX_KEPT)) is not None


def test_memories_that_say_they_are_equal_are_two_all_the_same() -> None:
    class Alike:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    versions, one, other = Versions(), Alike(), Alike()
    versions.wrote(one, "price", "one", WRITER)

    assert versions.latest(one, "price") is not None
    assert versions.latest(other, "price") is None


def test_what_a_key_stood_at_when_a_reader_began_is_known() -> None:
    versions, memory = Versions(), Memory()
    old = versions.wrote(memory, "price", "one", WRITER)
    began = clock.tick()
    versions.wrote(memory, "price", "two", WRITER)

    assert versions.latest(memory, "price", before=began) == old
    assert versions.latest(memory, "price", before=0) is None
