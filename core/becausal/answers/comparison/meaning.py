"""Whether two payloads say the same though their digests differ.

The belief of a payload leaves out the ids and times of messages that stand near its top. A saved state holds messages
further inside; of these they are left out here, where it is asked seldom.

A secret's length says which parts of a value are digested apart, and the marker in its place has another length. So
what a replay asks with a marker has other digests than what was asked with the secret, and the same content. What the
app itself brings of secrets has another marker where the replay runs under another key
(`becausal.answers.comparison.counterparts`).
"""

from __future__ import annotations

from typing import Any, Final

from becausal.answers.comparison.counterparts import Counterparts
from becausal.canonical.belief import BOOKKEEPING, is_message
from becausal.delta import delta
from becausal.payload import Payload
from becausal.redaction import markers_in

__all__ = ["LARGEST", "means_alike", "means_the_same"]

LARGEST: Final = 20_000_000
"""Bytes of a payload beyond which it is compared by its digest alone."""


def means_alike(before: Payload | None, after: Payload | None, secrets: Counterparts | None = None) -> bool:
    """Return whether two payloads mean the same by their digests or, where secrets were taken out, by their content."""
    if before is None or after is None:
        return before is after
    if before.belief == after.belief:
        return True
    return _holds_marker(before) and _holds_marker(after) and means_the_same(before, after, secrets)


def means_the_same(
    before: Payload | None,
    after: Payload | None,
    secrets: Counterparts | None = None,
    *,
    learns: bool = True,
) -> bool:
    """Return whether two payloads say the same but for the ids, times and counters of messages.

    Args:
        before: the recorded one, or any.
        after: the other one.
        secrets: which of a replay's secrets are which of the record's; None: a marker is what it says.
        learns: whether two may be found to be one that are not known to be; they are from then on.
    """
    if before is None or after is None:
        return before is after
    if before.belief == after.belief:
        return True
    if not (before.is_kept and after.is_kept) or max(before.size, after.size) > LARGEST:
        return False
    value, other = before.value(), after.value()
    found: dict[str, str] = {}
    if secrets is not None:
        other, found = secrets.led_back(value, other)
    if found and not learns:
        return False
    is_same = all(
        change.at and change.at[-1] in BOOKKEEPING and is_message(_holder(value, change.at))
        for change in delta(value, other)
    )
    if secrets is not None and is_same:
        secrets.learn(found)
    return is_same


def _holds_marker(payload: Payload) -> bool:
    return payload.is_kept and payload.size <= LARGEST and bool(markers_in(payload.text()))


def _holder(value: Any, at: tuple[Any, ...]) -> dict[str, Any]:
    """Return the dict that holds what has changed; an empty one where it is none, or stands in an object."""
    for key in at[:-1]:
        if not isinstance(value, dict | list):
            return {}
        value = value[key]
    return value if isinstance(value, dict) else {}
