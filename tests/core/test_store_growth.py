"""What SQLite does for an answer does not grow with what else is in the store: counted in its own instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
from benchmarks.corpus import Corpus

from becausal import canonical
from becausal.memory_event import NewEvent
from becausal.payload import Payload
from becausal.store import Store, open_store
from becausal.store.links import links_of
from becausal.store.memory_log import value_of
from becausal.store.moving import moving_of
from becausal.store.sqlite import SQLiteStore
from becausal.store.upkeep import upkeep_of

SMALL, LARGE = 4, 32
"""Batches of 512 steps."""

TOLERANCE = 1.5
"""A tree of ten times the rows is a level deeper at most."""


def instructions(store: Store, work: Callable[[], object]) -> int:
    """Return how many instructions SQLite's machine runs."""
    assert isinstance(store, SQLiteStore)
    count = 0

    def one() -> None:
        nonlocal count
        count += 1

    session = store._own_session()
    connections = (session.reader(), session.writer().connection)
    for connection in connections:
        connection.set_progress_handler(one, 1)
    try:
        work()
    finally:
        for connection in connections:
            connection.set_progress_handler(None, 0)
    return count


def remembered(number: int) -> tuple[NewEvent, dict[bytes, bytes]]:
    encoded = canonical.encode(f"note {number}")
    digest, belief = canonical.digest_text(encoded.digest), canonical.digest_text(encoded.belief)
    payload = Payload(digest, belief, encoded.size, encoded.type_name)
    event = NewEvent("notes", f"key {number // 4}", "write", number + 1, number, payload)
    return event, {encoded.digest: encoded.body}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Store, Corpus]]]:
    """A small store and a large one, which begins with the same steps."""
    made: list[tuple[Store, Corpus]] = []
    for batches in (SMALL, LARGE):
        folder = tmp_path_factory.mktemp("stores")
        store, corpus = open_store(f"sqlite:///{folder}/becausal.db"), Corpus(512 * LARGE, mean_bytes=40)
        for batch in islice(corpus.batches(), batches):
            store.write(batch)
        for number in range(20 * batches):
            store.append(*remembered(number))
        event, bodies = remembered(20 * batches)
        store.append(replace(event, key="newest"), bodies)
        made.append((store, corpus))
    yield made
    for store, _ in made:
        store.close()


def forgotten(store: Store, chain_id: str) -> object:
    upkeep = upkeep_of(store)
    assert upkeep is not None
    return upkeep.forget([chain_id])


def holding(store: Store, digest: str) -> object:
    links = links_of(store)
    assert links is not None
    return links.holding([digest], limit=3)


ASKED: dict[str, Callable[[Store, Corpus], object]] = {
    "a run is loaded": lambda store, corpus: store.load(corpus.samples.chains[min(corpus.samples.chains)][0]),
    "a run is found by the beginning of its id": lambda store, corpus: store.chains(
        prefix=corpus.samples.chains[min(corpus.samples.chains)][0][:16]
    ),
    "a step is found by its anchor": lambda store, corpus: store.anchored(corpus.samples.anchors[1]),
    "a body is read": lambda store, corpus: store.body(canonical.parse_digest(corpus.samples.digests[3])),
    "a memory's key is read": lambda store, _: store.memory_events("notes", "key 2"),
    "a memory's value of then is read": lambda store, _: value_of(store, "notes", "key 2", 11),
    "a memory's newest value is read": lambda store, _: value_of(store, "notes", "newest"),
    "a run's anchors are listed": lambda store, corpus: moving_of(store, store.url).anchors(
        corpus.samples.chains[min(corpus.samples.chains)][0]
    ),
    "a run is forgotten": lambda store, corpus: forgotten(
        store, corpus.samples.chains[min(corpus.samples.chains)][-1]
    ),
    "a memory is written": lambda store, _: store.append(*remembered(9)),
    "the steps that hold a content are found": lambda store, corpus: holding(
        store, corpus.samples.digests[2]
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_it_takes_no_longer_in_a_store_of_eight_times_the_size_that(
    what: str, stores: list[tuple[Store, Corpus]]
) -> None:
    small, large = (
        instructions(store, lambda store=store, corpus=corpus: ASKED[what](store, corpus))  # type: ignore[misc]
        for store, corpus in stores
    )

    assert small > 0
    assert large <= small * TOLERANCE + 10


def test_listing_the_newest_runs_takes_as_long_as_their_own_steps_are_many(
    stores: list[tuple[Store, Corpus]],
) -> None:
    small, large = (
        instructions(store, lambda store=store: store.chains(limit=20))  # type: ignore[misc]
        / sum(info.steps for info in store.chains(limit=20))
        for store, _ in stores
    )

    assert large <= small * TOLERANCE


class Asked(dict[bytes, int]):
    """What is remembered of contents; it can be asked for one, and counts who asks."""

    asked = 0

    def __contains__(self, digest: object) -> bool:
        """Say whether a content is remembered."""
        self.asked += 1
        return super().__contains__(digest)

    def get(self, digest: bytes, default: int = 0) -> int:  # type: ignore[override]
        """Return what is remembered of a content."""
        self.asked += 1
        return super().get(digest, default)

    def __iter__(self) -> Iterator[bytes]:
        """Refuse to go through all."""
        raise AssertionError("writing a batch goes through all that is remembered")

    keys = values = items = __iter__  # type: ignore[assignment]


def test_writing_asks_once_for_each_content_however_many_are_remembered() -> None:
    store = open_store("sqlite:///:memory:")
    assert isinstance(store, SQLiteStore)
    known = store._own_session().writer()._contents.known = Asked()
    for batch in Corpus(2_048).batches():
        known.asked = 0
        digests = {digest for step in batch for digest, _ in step.bodies}

        store.write(batch)

        assert known.asked <= len(digests)
    store.close()
