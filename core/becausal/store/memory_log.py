"""How the events of a memory hold together: what is said of each, its hash, and the commitment to its content.

The hash covers what an event says and a commitment to its content: SHA-256 over a random salt and the content's
bytes. So an event that was changed, taken out or put in shows, and so does a content that was exchanged. Erasing
removes bytes, digest, salt and commitment: the chain still verifies, and what is left tells nothing of what was there.
What such an event still says is held by a link that the erasure made.

Pure, and the same for every store: a log that is copied from one kind of store to another verifies there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from becausal import canonical, semconv
from becausal.errors import StoreFormatError
from becausal.memory_event import MemoryEvent, NewEvent, value_at
from becausal.payload import Payload
from becausal.step import Attribute, OpenStep, StepKind
from becausal.store.encoding import encodable, json_text, number_of, step_id_of

if TYPE_CHECKING:
    from becausal.store import Store

__all__ = [
    "ERASED",
    "LAST_SEQ",
    "Entry",
    "Find",
    "broken_link",
    "commitment",
    "committed",
    "entry_of",
    "event_from",
    "event_of",
    "hash_of",
    "is_channel",
    "link_of",
    "parts_below",
    "reads_of",
    "said",
    "up_to",
    "value_of",
]

ERASED = b""
"""The salt of an event of which something was erased. Its hash covers what is no longer there, and cannot be computed
any more, nor can anybody guess from it what it covered, for want of the salt; see `link_of`."""

LAST_SEQ = (1 << 63) - 1
"""No event has a higher seq: a database's numbers end here, and the logical clock never comes that far."""

Find = Callable[[bytes], bytes | None]
"""Gives a body by its digest."""

Said = tuple[Any, ...]
"""What an event says, as it is hashed: memory, key, version, operation, of, seq, at_ns, chain id, step id as a number,
agent, digest, reason."""


class Entry(NamedTuple):
    """An event as it stands in a log."""

    said: Said
    salt: bytes | None
    """`ERASED` once something of the event was erased. None in logs of before: where there was no content, or it was
    erased and nothing beside it."""
    commitment: bytes | None
    hash: bytes


def said(event: NewEvent, version: int, seq: int) -> Said:
    """Return what an event says, with the version and seq that the log gave it."""
    return (
        encodable(event.memory),
        encodable(event.key),
        version,
        event.operation,
        event.of,
        seq,
        event.at_ns,
        event.chain_id and encodable(event.chain_id),
        None if event.step_id is None else number_of(event.step_id),
        event.agent and encodable(event.agent),
        None if event.payload is None else canonical.parse_digest(event.payload.digest),
        event.reason and encodable(event.reason),
    )


def entry_of(event: NewEvent, version: int, seq: int, former: bytes, body: Find) -> Entry:
    """Return an event as it is to stand in a log, behind the one with the hash `former`."""
    says = said(event, version, seq)
    salt, commitment = committed(says, body)
    return Entry(says, salt, commitment, hash_of(former, says, commitment))


def event_from(said: Said, hash: bytes, payload: Payload | None) -> MemoryEvent:
    """Return the event that stands in a log."""
    return MemoryEvent(
        memory=said[0],
        key=said[1],
        version=said[2],
        operation=said[3],
        of=said[4],
        seq=said[5],
        at_ns=said[6],
        chain_id=said[7],
        step_id=None if said[8] is None else step_id_of(said[8]),
        agent=said[9],
        payload=payload,
        reason=said[11],
        hash=hash.hex(),
    )


def hash_of(former: bytes, said: Said, commitment: bytes | None) -> bytes:
    """Return an event's hash: over the hash of the event before it, and over what it says as JSON."""
    plain = [item.hex() if type(item) is bytes else item for item in (*said, commitment)]
    return hashlib.sha256(former + json_text(plain).encode()).digest()


def committed(said: Said, body: Find) -> tuple[bytes, bytes | None]:
    """Return a new salt and the commitment to an event's content under it; also to none, so that a hash hides it."""
    salt = os.urandom(16)
    return salt, commitment(salt, said[10], body)


def commitment(salt: bytes, digest: bytes | None, body: Find) -> bytes | None:
    """Return the commitment to a content, to nothing if there is none; None where its bytes are not kept."""
    whole = hashlib.sha256(salt)
    for part in parts_below(digest, body) if digest is not None else ():
        found = body(part)
        if found is None:
            return None
        whole.update(len(found).to_bytes(8, "big") + found)
    return whole.digest()


@runtime_checkable
class Valued(Protocol):
    """A store that finds the event which gives a key its value, without reading all events of the key."""

    def memory_value(self, memory_name: str, key: str, seq: int | None = None) -> MemoryEvent | None:
        """Return the event that gives a key its value at a causal sequence number; None where it has none."""


def value_of(store: Store, memory: str, key: str, seq: int | None = None) -> MemoryEvent | None:
    """Return the event that gives a key its value at a causal sequence number; None where it has none."""
    if isinstance(store, Valued):
        return store.memory_value(memory, key, seq)
    return value_at(store.memory_events(memory, key), seq)


def up_to(seq: int | None) -> int:
    """Return up to which seq events are asked for, as a number that a database has; None means all of them."""
    return LAST_SEQ if seq is None else max(-1, min(seq, LAST_SEQ))


def broken_link(log: Iterable[Entry], body: Find) -> str | None:
    """Return which event of one memory's log is not what was appended, in words; None: all of them are."""

    def find(digest: bytes) -> bytes | None:
        try:
            return body(digest)
        except StoreFormatError:  # damaged: not what was written
            return None

    former = b""
    versions: dict[str, int] = {}
    for entry in log:
        memory, key, version = entry.said[:3]
        name = f"{memory}/{key}@{version}"
        if version != versions.get(key, 0) + 1:
            return f"{name}: the event before it is missing"
        versions[key] = version
        if not _holds(former, entry):
            return f"{name}: the event, or the one before it, is not what was written"
        if entry.salt and commitment(entry.salt, entry.said[10], find) != entry.commitment:
            return f"{name}: the content is not what was written"
        former = entry.hash
    return None


def link_of(former: bytes, said: Said, hash: bytes) -> bytes:
    """Return what stands for the commitment of an event of which something was erased.

    It holds what the event still says, and its hash, to the event before it.
    """
    return hash_of(former, said, hash)


def _holds(former: bytes, entry: Entry) -> bool:
    if entry.salt == ERASED:
        return link_of(former, entry.said, entry.hash) == entry.commitment
    return hash_of(former, entry.said, entry.commitment) == entry.hash


def parts_below(digest: bytes, body: Find) -> Iterator[bytes]:
    """Yield a content's digest and those of all its parts, each once, depth first."""
    seen: dict[bytes, None] = {}
    waiting = [digest]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen[one] = None
        yield one
        found = body(one)
        if found is not None:
            waiting.extend(reversed(canonical.part_digests(found)))


def event_of(step: OpenStep) -> NewEvent | None:
    """Return the event that a step of an adapter tells of; None where it tells of none."""
    if step.kind != "memory_write" or step.status != "ok":
        return None
    told = step.attributes
    memory, key = told.get(semconv.MEMORY_STORE), told.get(semconv.MEMORY_RECORD)
    if is_channel(step.kind, step.name, told):
        return None
    if not isinstance(memory, str) or not isinstance(key, str) or semconv.MEMORY_VERSION not in told:
        return None  # a write that is no key's, such as a checkpoint
    if semconv.MEMORY_EVENT in told:
        return None  # its event was appended by whoever wrote it
    if semconv.REPLAY_OF in told:
        return None  # a replay's, which writes to nothing that lasts
    content = step.received if step.produced is None else step.produced
    return NewEvent(
        memory,
        key,
        "delete" if content is None else "write",
        step.seq,
        step.ended_ns or step.started_ns,
        content,
        chain_id=step.chain_id,
        step_id=step.id,
        agent=step.agent,
    )


def is_channel(kind: StepKind, name: str, told: Mapping[str, Attribute]) -> bool:
    """Return whether a write is to a channel of a graph's state: its step bears the channel's name, not the memory's.

    A state belongs to a run or a thread, and LangGraph counts its versions; runs tell of it, and no log does.
    """
    key = told.get(semconv.MEMORY_RECORD)
    return kind == "memory_write" and name == key != told.get(semconv.MEMORY_STORE)


def reads_of(step: OpenStep) -> Iterator[tuple[object, ...]]:
    """Yield what a step read of memories.

    Each as memory, key, chain id, step id as a number, agent, seq, the version if it is known, else the id of the step
    that wrote it as a number.
    """
    told: Mapping[str, object] = step.attributes
    memory = told.get(semconv.MEMORY_STORE)
    if step.kind != "memory_read" or step.ended_ns is None or not isinstance(memory, str):
        return
    if semconv.REPLAY_OF in told:  # none of the app's runs
        return
    key, seen = told.get(semconv.MEMORY_RECORD), told.get(semconv.MEMORY_SEEN)
    # What a search found is told as `key@version`.
    keys = [one.rpartition("@")[0] for one in seen] if isinstance(seen, tuple) else []
    keys += [key] if isinstance(key, str) and key not in keys else []
    exact = told.get(semconv.MEMORY_VERSION) if semconv.MEMORY_EVENT in told else None
    for one in keys:
        source = next(
            (
                cause.source_id
                for cause in step.causes
                if cause.kind == "memory" and (len(keys) == 1 or cause.evidence.startswith(f"memory {one}@"))
            ),
            None,
        )
        yield (
            encodable(memory),
            encodable(one),
            encodable(step.chain_id),
            number_of(step.id),
            step.agent and encodable(step.agent),
            step.seq,
            exact,
            None if source is None else number_of(source),
        )
