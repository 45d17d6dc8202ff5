"""Records that a sink is filled with, and what is then in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.core.builders import Record

from becausal import canonical
from becausal.memory_event import NewEvent
from becausal.payload import Payload
from becausal.sink import Sink
from becausal.store import Store

__all__ = ["OFFER", "TABLES", "all_text", "counts", "cut_off", "filled", "opened", "remember", "text_of_all"]

TABLES = ("runs", "steps", "contents", "memory_events", "gaps")

OFFER = (
    "The supplier Acme offers 500 units at $12.50 each. Delivery takes 5 days. "
    "The contract must not be renewed before 3 May 2026."
)


@contextmanager
def opened(url: str, *, create: bool = True) -> Iterator[Sink]:
    """Give a sink."""
    with closing(Sink(url, create=create)) as sink:
        yield sink


def cut_off(chain_id: str = "c" * 32, *, started_ns: int = 1_790_000_000 * 10**9) -> Record:
    """Return the record of a run whose handoff lost the end of what was sent."""
    record = Record(chain_id, started_ns=started_ns)
    with record.step("workflow", "team", received="Find an offer.") as team:
        with record.step("agent", "planner", received="Find an offer.") as planner:
            with record.step("model", "gpt-x", received="Find an offer.", produced=OFFER) as model:
                model.step.attributes |= {
                    "gen_ai.request.model": "gpt-x",
                    "gen_ai.usage.input_tokens": 120,
                    "gen_ai.usage.output_tokens": 30,
                    "gen_ai.tool.call.arguments": OFFER,
                }
                model.decides("call search(query=Acme)", reason="It may have an offer.", score=0.5)
            planner.produces(OFFER)
        handoff = record.handoff(planner, "writer", OFFER)
        with record.step("agent", "writer", received=OFFER[:60], arrivals=[handoff]) as writer:
            writer.produces("done")
        team.produces("done")
    return record


def remember(store: Store, key: str, value: str, *, memory: str = "notes", of: int | None = None) -> None:
    """Write a value to a memory."""
    made = canonical.encode(value)
    text = canonical.digest_text(made.digest)
    event = NewEvent(
        memory, key, "supersede" if of else "write", 1, 2, Payload(text, text, made.size, "str"), of=of
    )
    store.append(event, {made.digest: made.body})


def filled(store: Store, *records: Record) -> Store:
    """Write records to a store."""
    for record in records:
        store.write(record.made)
    return store


def counts(sink: Sink) -> dict[str, int]:
    """Return how many rows each table has, as one who asks with FINAL sees it."""
    return {table: sink.rows(f"SELECT count() FROM {table} FINAL")[0][0] for table in TABLES}


def all_text(sink: Sink, table: str) -> list[str]:
    """Return all that each row of a table says."""
    return [said for (said,) in sink.rows(f"SELECT toString(tuple(*)) FROM {table}")]


def text_of_all(sink: Sink) -> str:
    """Return all that a sink says."""
    return "\n".join(said for table in TABLES for said in all_text(sink, table))
