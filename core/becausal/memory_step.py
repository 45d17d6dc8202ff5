"""What a memory keeps of a value, and its access as a step of the run that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from becausal import canonical, semconv
from becausal.context import aside, current
from becausal.errors import MemoryValueError
from becausal.instrument import active_recorder
from becausal.memory_event import MemoryEvent
from becausal.observation import NOTHING, Observation, Opening
from becausal.payload import Payload
from becausal.recorder import Recorder
from becausal.redaction import in_force
from becausal.redaction.naming import hidden_name
from becausal.step import Attribute, Cause, OpenStep, StepKind
from becausal.store import Store

__all__ = ["kept_under", "kept_whole", "recorded", "standing_for"]

T = TypeVar("T")


class _Bodies:
    def __init__(self, found: Callable[[bytes], bytes | None]) -> None:
        self.body = found


def kept_under(key: str, value: object) -> object:
    """Return a value as it may be kept under a key, which names it: what stands under `password` is a secret."""
    redactor = in_force()
    return redactor.under(key, value) if redactor is not None and type(value) is str else value


def kept_whole(name: str, key: str, value: object) -> tuple[Payload, dict[bytes, bytes]]:
    """Return a value's payload, and the bodies that it is made of, by digest.

    Raises:
        MemoryValueError: it cannot be kept whole.
    """
    encoded = canonical.Encoder(in_force()).encode(value)  # all of its parts, as nothing is known of any
    if encoded.lossy:
        where, why = encoded.lossy[0]
        raise MemoryValueError(
            f"{name}/{key}: this value cannot be kept whole ({where}: {why}); write what it stands for, such as a "
            "path or plain data"
        )
    bodies = dict([*encoded.parts, (encoded.digest, encoded.body)])
    payload = Payload(
        canonical.digest_text(encoded.digest),
        canonical.digest_text(encoded.belief),
        encoded.size,
        encoded.type_name,
        bodies=_Bodies(bodies.get),
    )
    return payload, bodies


def standing_for(lasting: Callable[[], Store]) -> Store:
    """Return the store of a memory, or what stands for it where becausal runs the app: nothing of that lasts.

    Args:
        lasting: gives the store itself.
    """
    recorder = active_recorder()
    replaying = None if recorder is None else recorder.replaying
    twin = None if replaying is None else replaying.memories()
    if twin is not None:
        return twin
    work = aside()
    return lasting() if work is None else work.memories(lasting())


def recorded(
    work: Callable[[], T],
    kind: StepKind,
    name: str,
    key: str,
    value: object,
    said: Mapping[str, Attribute],
    *,
    edited: Callable[[Callable[[Any], Any], Any], Any] | None = None,
) -> T:
    """Do what is done to a memory, as a step of the run that it belongs to; outside every chain there is none."""
    recorder = active_recorder()
    if recorder is None or current() is None:
        return work()
    # The log has the key, as it has the value; where no content may be kept, what is told of it does not.
    told_key = hidden_name(key) if recorder.withholds_content else key
    told = {semconv.MEMORY_STORE: name, semconv.MEMORY_RECORD: told_key, **said}
    seen = Observation(
        lambda: Opening(kind, name, received=value, attributes=told),
        lambda step, event: _seen(recorder, step, event),
        edited=edited,
    )
    result: T = recorder.call(seen, work)
    return result


def _seen(recorder: Recorder, step: OpenStep, event: MemoryEvent | None) -> object:
    """Say which version a step wrote or read; returns what it read."""
    if event is None:
        return NOTHING
    step.attributes |= {semconv.MEMORY_VERSION: event.version, semconv.MEMORY_EVENT: event.hash[:16]}
    if step.kind != "memory_read":
        return NOTHING
    if event.step_id is not None:
        evidence = f"memory {step.attributes[semconv.MEMORY_RECORD]}@{event.version}"
        recorder.cause(step, Cause(event.step_id, "memory", "observed", evidence))
    return event.payload.value() if event.payload is not None and event.payload.is_kept else NOTHING
