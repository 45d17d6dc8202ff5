"""Whether a replayed step is the recorded one: what it received and produced means the same.

The belief of a payload leaves out the ids and times of messages that stand near its top. A saved state holds messages
further inside; of these they are left out here, where it is asked seldom.
"""

from __future__ import annotations

from typing import Any

from becausal.answers.comparison.pair import LARGEST, Pair
from becausal.canonical.belief import BOOKKEEPING, is_message
from becausal.delta import delta
from becausal.payload import Payload

__all__ = ["is_same", "means_the_same"]


def is_same(pair: Pair) -> bool:
    """Return whether nothing differs but the ids, times and counters of messages, however deep they stand."""
    if pair.state != "changed" or pair.is_elsewhere:
        return pair.state == "same"
    assert pair.before is not None
    assert pair.after is not None
    if pair.before.status != pair.after.status:
        return False
    return all(means_the_same(*pair.payloads(side)) for side in ("received", "produced"))


def means_the_same(before: Payload | None, after: Payload | None) -> bool:
    """Return whether two payloads say the same but for the ids, times and counters of messages."""
    if before is None or after is None:
        return before is after
    if before.belief == after.belief:
        return True
    if not (before.is_kept and after.is_kept) or max(before.size, after.size) > LARGEST:
        return False
    value = before.value()
    return all(
        change.at and change.at[-1] in BOOKKEEPING and is_message(_holder(value, change.at))
        for change in delta(value, after.value())
    )


def _holder(value: Any, at: tuple[Any, ...]) -> dict[str, Any]:
    """Return the dict that holds what has changed; an empty one where it is none, or stands in an object."""
    for key in at[:-1]:
        if not isinstance(value, dict | list):
            return {}
        value = value[key]
    return value if isinstance(value, dict) else {}
