"""What `Send`s carry, sealed when they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from becausal.recorder import Recorder, Sealed
from becausal.step import OpenStep
from becausal_integrations.langgraph.inplace import Entry, version_of

__all__ = ["sent"]


def sent(recorder: Recorder, sends: Sequence[Any], keeper: OpenStep) -> list[tuple[Any, Entry]]:
    """Seal what `Send`s carry; return each with that.

    Args:
        recorder: seals them.
        sends: the `Send`s.
        keeper: the step with which it is kept: whether anybody receives it, and as a handoff, shows later or never.
    """
    entries: list[tuple[Any, Entry]] = []
    version = version_of(recorder)
    for send in sends:
        payload, bodies = recorder.seal(send.arg)
        keeper.bodies += bodies
        # Whoever receives it brings its own body again, as everybody does, and no part: these are on their way.
        sealed = tuple.__new__(Sealed, (payload, bodies[-1:]))
        entries.append((send, Entry(sealed, send.arg, version=version)))
    return entries
