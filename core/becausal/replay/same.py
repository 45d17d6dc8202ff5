"""Whether a replayed step is the recorded one: what it received and produced means the same."""

from __future__ import annotations

from becausal.answers.comparison.meaning import means_the_same
from becausal.answers.comparison.pair import Pair

__all__ = ["is_same"]


def is_same(pair: Pair) -> bool:
    """Return whether nothing differs but the ids, times and counters of messages, however deep they stand."""
    if pair.state != "changed" or pair.is_elsewhere:
        return pair.state == "same"
    assert pair.before is not None
    assert pair.after is not None
    if pair.before.status != pair.after.status:
        return False
    return all(means_the_same(*pair.payloads(side), pair.secrets) for side in ("received", "produced"))
