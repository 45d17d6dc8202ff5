"""What a replay needs of a graph's run beside its input and its steps: how it was called, and where it went on from.

Hooked places, and why these
----------------------------
`PregelLoop._first`
    Called once the thread's checkpoint is loaded and before the input is applied to it: the state that the run goes on
    from. Not for a run that resumes: what it goes on from is in the same chain.

`Graphs` hooks where a loop is entered, and asks `given` then: for the input, before ids are put into its messages, and
once it is sealed, since most of it need not be written again. And `entered`, for what the run was configured with.

Of a nested graph the state alone, if it has one that lasts. Of `configurable` no key that may name a secret is kept.

Checked against langgraph 0.6.11 to 1.2.22 (source: `pregel/_loop.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from becausal.adapter import Hooks
from becausal.guard import guarded
from becausal.recorder import NOTHING, Recorder, Sealed
from becausal.step import OpenStep
from becausal_integrations.langgraph.describe import is_of
from becausal_integrations.langgraph.register import Register
from becausal_integrations.patch import Notice, notice

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop

__all__ = ["CONFIG", "STATE", "install"]

LOOP = "langgraph.pregel._loop"

CONFIG, STATE = "config", "state"
"""Under which names the two are kept; see `Recorder.keep`."""

SECRETS = ("key", "token", "secret", "password", "auth", "credential")
"""A key of `configurable` with one of these in its name is not kept."""

OF_THE_LOOP = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map")

DEFAULT_LIMITS = (25, 10_000, 10_007)
"""The limits of steps that LangGraph itself sets, by version."""


def install(recorder: Recorder, hooks: Hooks, kept: Kept) -> None:
    """Hook the beginning of a run; at `level="boundaries"` nothing is replayed."""
    if recorder.level != "boundaries":
        notice(recorder, hooks, f"{LOOP}:PregelLoop._first", Notice(kept.beginning))


class Kept:
    """Keeps it on the step of the run."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register
        self._states: weakref.WeakKeyDictionary[PregelLoop, Sealed] = weakref.WeakKeyDictionary()

    @guarded
    def given(self, loop: PregelLoop, received: Sealed) -> Sealed | None:
        """Fix the input as it is now, having just been sealed."""
        if loop.is_nested or self._recorder.level == "boundaries":
            return None
        return self._recorder.kept(loop.input, unless_sorted=True, sealed=received)

    def beginning(self, loop: PregelLoop, *_: Any, **__: Any) -> None:
        """Keep the state that a run goes on from."""
        checkpoint = loop.checkpoint
        if loop.is_nested:
            resumes = bool(loop.config.get("configurable", {}).get("__pregel_resuming"))
        else:
            resumes = loop.input is None or is_of(loop.input, "Command")
            # From an earlier checkpoint, by its name: that is not where the run before left off.
            resumes = resumes and not loop.config.get("configurable", {}).get("checkpoint_id")
        if not checkpoint["channel_versions"] or (resumes and not _is_elsewhere(self._register, loop)):
            return
        configurable = (loop.checkpoint_config or {}).get("configurable", {})
        state = {
            "values": checkpoint["channel_values"],
            "versions": checkpoint["channel_versions"],
            "seen": checkpoint["versions_seen"],
            "step": loop.checkpoint_metadata.get("step", -1),
            "namespace": configurable.get("checkpoint_ns") or "",
        }
        # Sealed as any payload, part by part: a conversation is not to be kept once for each of its turns.
        self._states[loop] = self._recorder.seal(state)

    @guarded
    def entered(self, loop: PregelLoop, workflow: OpenStep, given: Sealed | None) -> None:
        """Note on the run's step what was kept."""
        if self._recorder.level == "boundaries":
            return
        config = None if loop.is_nested else _config_of(loop)
        if given is not None:
            self._recorder.keep(workflow, "given", given)
        if config:
            self._recorder.keep(workflow, CONFIG, config)
        state = self._states.pop(loop, None)
        if state is not None:
            self._recorder.keep(workflow, STATE, state)


def _is_elsewhere(register: Register, loop: PregelLoop) -> bool:
    """Return whether what a run resumes was written by another process; then its chain may not hold it."""
    saved = getattr(loop, "checkpoint_id_saved", None) or loop.checkpoint.get("id")
    return saved is None or register.left(str(saved)) is None


def _config_of(loop: PregelLoop) -> Mapping[str, Any]:
    """Return what a run was configured with, as far as it is not as always."""
    configurable: Mapping[str, Any] = loop.config.get("configurable", {})
    own = {
        key: value
        for key, value in configurable.items()
        if not key.startswith("__")
        and key not in OF_THE_LOOP
        and not any(word in key.lower() for word in SECRETS)
    }
    runtime = configurable.get("__pregel_runtime")
    limit = loop.config.get("recursion_limit")
    said = {
        "configurable": own or None,
        "context": getattr(runtime, "context", None),
        "recursion_limit": None if limit in DEFAULT_LIMITS else limit,
        "interrupt_before": loop.interrupt_before or None,
        "interrupt_after": loop.interrupt_after or None,
        "durability": None if loop.durability == "async" else loop.durability,
        "checkpoint_id": configurable.get("checkpoint_id"),
        "is_async": type(loop).__name__.startswith("Async") or None,
    }
    return {name: value for name, value in said.items() if value is not None and value is not NOTHING}
