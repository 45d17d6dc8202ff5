"""AutoGen (autogen-core and autogen-agentchat): teams, turns, and the messages between agents."""

from __future__ import annotations

from becausal.instrument import Hooks
from becausal.recorder import Recorder

__all__ = ["AutoGenAdapter"]


class AutoGenAdapter:
    """Watches AutoGen's in-process runtime and the agents that talk over it."""

    watches: str | None = "autogen-core"
    supports = ">=0.7,<0.8"
    requires: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every place, each noted in `hooks` with what undoes it."""
