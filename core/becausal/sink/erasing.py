"""Takes out of the sink what was erased from a store, or is to be erased from the sink as well.

Rows are not rewritten: each run that held it is deleted as a whole, with its contents, and what the store still has
of them is sent again by the next copy, as it is by then. A run that the store has let go is gone from both.

A digest is gone where a step of the store, or an event of one of its memories, had it in the sink and has it no more.
What is compared is what this store has: a run may be in several, and the steps of the others are not for it to judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from becausal.errors import StoreFormatError
from becausal.sink.place import Sink
from becausal.store import Store
from becausal.store.encoding import encodable
from becausal.store.moving import moving_of
from becausal.store.outline import Outline
from becausal.store.upkeep import Erased, Erasure
from becausal.store.wording import Wording

__all__ = ["erase", "follow", "unfollowed"]

SEARCHED: Final = (
    ("runs", "chain_id"),
    ("steps", "chain_id"),
    ("contents", "digest"),
    ("memory_events", "memory"),
    ("gaps", "reason"),
)
"""Where texts are looked for, and what is noted of a row that has one."""

SOURCED: Final = ("runs", "memory_events", "gaps")
"""What a store is called is its user's own word, and would come again with the next copy: it is not searched."""

STEPS_AT_ONCE: Final = 5_000
"""Steps that are loaded at once."""

MOST_ASKED: Final = 2_000
"""Steps by which a run is looked for that was called otherwise."""

MARK: Final = re.compile(r"\[erased [0-9a-f]{8}\]| #\d+$")
"""What stands in a name where something was erased from it, or that two names would have become the same."""

CHAINS: Final = """SELECT chain_id FROM runs WHERE chain_id IN {values:Array(String)}
    UNION DISTINCT SELECT chain_id FROM steps WHERE chain_id IN {values:Array(String)}"""

CHAINS_OF_STEPS: Final = "SELECT DISTINCT chain_id FROM steps WHERE step_id IN {values:Array(String)}"

SIDES: Final = "SELECT step_id, received, produced FROM steps WHERE chain_id = {chain_id:String}"

DIGESTS_OF: Final = """SELECT DISTINCT arrayJoin([received, produced]) FROM steps
    WHERE chain_id IN {values:Array(String)}"""

CHAINS_WITH: Final = """SELECT DISTINCT chain_id FROM steps
    WHERE received IN {values:Array(String)} OR produced IN {values:Array(String)}"""

UNUSED: Final = """SELECT DISTINCT digest FROM contents WHERE digest IN {values:Array(String)}
    AND digest NOT IN (SELECT received FROM steps) AND digest NOT IN (SELECT produced FROM steps)
    AND digest NOT IN (SELECT digest FROM memory_events)"""


def follow(sink: Sink, store: Store, erasures: Sequence[Erased], copied_ns: int) -> int:
    """Take out what a store has erased since the last copy; returns how many runs were deleted."""
    new = unfollowed(sink, store, erasures)
    if not new:
        return 0
    source = sink.name_of(store)
    gone = _forgotten(sink, store)
    chains = _taken_out(sink, store, {chain_id for one in new for chain_id in one.chain_ids}, digests=gone)
    sink.delete("memory_events", "source", [source])
    when = json.dumps(sorted(one.at_ns for one in erasures))
    sink.insert("meta", [(_key(source), when)], copied_ns)
    return len(chains)


def unfollowed(sink: Sink, store: Store, erasures: Sequence[Erased]) -> list[Erased]:
    """Return those of a store's erasures that no copy has followed yet.

    Each by itself, for the clock that dates them may go back.
    """
    query = "SELECT argMax(value, copied_ns) FROM meta WHERE key = {key:String}"
    [(said,)] = sink.rows(query, key=_key(sink.name_of(store)))
    followed = set(json.loads(said)) if said.startswith("[") else set()
    return [one for one in erasures if one.at_ns not in followed]


def erase(sink: Sink, store: Store, what: Erasure, erased: Erased) -> int:
    """Erase from the sink what has just been erased from a store; returns how many runs were deleted.

    Beside the runs that the store named, those are looked for that it no longer has.
    """
    found = _found(sink, what.texts)
    chains, digests, memories = found["runs"] | found["steps"], found["contents"], found["memory_events"]
    if erased.total:
        digests |= _forgotten(sink, store)
    if what.chain_id is not None:
        chains.add(encodable(what.chain_id))
    if what.memory is not None:
        memory, key = map(encodable, what.memory)
        query = (
            "SELECT DISTINCT digest FROM memory_events WHERE memory = {memory:String} AND key = {key:String}"
        )
        digests |= {digest for (digest,) in sink.rows(query, memory=memory, key=key)}
        memories.add(memory)
    gone = _taken_out(sink, store, erased.chain_ids, chains=chains, digests=digests)
    sink.delete("memory_events", "memory", sorted(memories))
    sink.delete("gaps", "reason", sorted(found["gaps"]))
    return len(gone)


# Inside


def _key(source: str) -> str:
    """Return under what it is noted which erasures of a store were followed."""
    return f"erased {source}"


def _found(sink: Sink, texts: tuple[str, ...]) -> dict[str, set[str]]:
    """Return which rows hold a text, however it is written, by table."""
    found: dict[str, set[str]] = {table: set() for table, _ in SEARCHED}
    wording = Wording(texts)
    for table, noted in SEARCHED if texts else ():
        but = "EXCEPT(source)" if table in SOURCED else ""
        for key, said in sink.each(f"SELECT {noted}, toString(tuple(* {but})) FROM {table}"):
            if key not in found[table] and wording.is_in(said.encode("utf-8", "surrogatepass")):
                found[table].add(key)
    return found


def _taken_out(
    sink: Sink,
    store: Store,
    chain_ids: Collection[str],
    *,
    chains: Iterable[str] = (),
    digests: Iterable[str] = (),
) -> set[str]:
    """Delete runs, and those contents of theirs that nobody has any more, or that have become others.

    Args:
        sink: where they are deleted.
        store: tells what has become of them.
        chain_ids: runs of the store, as it calls them now.
        chains: runs of the sink, as it calls them.
        digests: what is gone beside them.
    """
    names, gone = set(chains), set(digests)
    for chain_id in chain_ids:
        called, lost = _of_run(sink, store, chain_id)
        names |= called
        gone |= lost
    gone -= {""}
    # Also in runs that the store does not have any more: from a digest, a content can be guessed.
    names = sink.among(CHAINS, sorted(names)) | sink.among(CHAINS_WITH, sorted(gone))
    former = sink.among(DIGESTS_OF, sorted(names)) - {""}
    for table in ("runs", "steps"):
        sink.delete(table, "chain_id", sorted(names))
    sink.delete("memory_events", "digest", sorted(gone))
    sink.delete("contents", "digest", sorted(gone | sink.among(UNUSED, sorted(former))))
    return names


def _of_run(sink: Sink, store: Store, chain_id: str) -> tuple[set[str], set[str]]:
    """Return what the sink calls a run of the store, and which digests its steps have there and no more in the store.

    Of what cannot be read nothing is known to have stayed.
    """
    names = {encodable(chain_id)}
    try:
        outline = store.outline(chain_id)
    except StoreFormatError:
        return names, sink.among(DIGESTS_OF, sorted(names))
    names |= _former_names(sink, chain_id, outline)
    steps = set(outline.named(range(len(outline))))
    there = {
        digest
        for name in names
        for step_id, *sides in sink.rows(SIDES, chain_id=name)
        if step_id in steps
        for digest in sides
    }
    return names, there - _digests_in(store, chain_id, outline) if there else set()


def _former_names(sink: Sink, chain_id: str, outline: Outline) -> set[str]:
    """Return what the sink calls a run from whose id something was erased: its steps are called as before."""
    around = MARK.split(encodable(chain_id))
    if len(around) == 1:
        return set()
    pattern = re.compile(".*".join(map(re.escape, around)), re.DOTALL)
    steps = outline.named(range(min(len(outline), MOST_ASKED)))
    return {name for name in sink.among(CHAINS_OF_STEPS, steps) if pattern.fullmatch(name)}


def _digests_in(store: Store, chain_id: str, outline: Outline) -> set[str]:
    """Return the digests of all that a run's steps received and produced, as it is in its store."""
    found: set[str] = set()
    try:
        for start in range(0, len(outline), STEPS_AT_ONCE):
            places = range(start, min(start + STEPS_AT_ONCE, len(outline)))
            for step in store.load(chain_id, outline.named(places)):
                found |= {side.digest for side in (step.received, step.produced) if side is not None}
    except StoreFormatError:
        return set()
    return found


def _forgotten(sink: Sink, store: Store) -> set[str]:
    """Return the digests that events of a store's memories have in the sink, and no more in the store."""
    query = "SELECT DISTINCT digest FROM memory_events WHERE source = {source:String}"
    there = {digest for (digest,) in sink.rows(query, source=sink.name_of(store))}
    now: set[str] = set()
    try:
        memories = moving_of(store, store.url).memories() if there else []
    except StoreFormatError:
        return there
    for memory in memories:
        try:
            events = store.memory_events(memory)
        except StoreFormatError:  # of what cannot be read nothing is known to have stayed
            continue
        now |= {event.payload.digest for event in events if event.payload is not None}
    return there - now
