"""What `Send`s carry, sealed when they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from becausal.recorder import Recorder
from becausal.step import OpenStep
from becausal_integrations.langgraph.inplace import Entry, version_of

__all__ = ["sent"]


def sent(recorder: Recorder, sends: Sequence[Any], keeper: OpenStep) -> list[tuple[Any, Entry]]:
    """Seal what `Send`s carry; return each with that.

    Args:
        recorder: seals them.
        sends: the `Send`s.
        keeper: the step with which its parts are kept, whether anybody receives it or not. Who does brings them again:
            the keeper may be lost.
    """
    entries: list[tuple[Any, Entry]] = []
    parts: list[tuple[bytes, bytes]] = []
    version = version_of(recorder)
    for send in sends:
        sealed = recorder.seal(send.arg)
        parts += sealed.bodies[:-1]
        entries.append((send, Entry(sealed, send.arg, version=version)))
    if parts:
        keeper.beside = (*keeper.beside, *parts)
    return entries
