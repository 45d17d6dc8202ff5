"""LangGraph's checkpoints: which ones a run saved, and who read a thread's state.

Hooked places, and why these
----------------------------
`PregelLoop._put_checkpoint`
    Every checkpoint that a run hands to its checkpointer, whichever that is. Each stands in the attribute
    `langgraph.checkpoints` of the run's workflow step, as `step source id`; a step of its own for each would cost more
    than a tenth of a superstep. The checkpointer works on in a thread of its own; if it fails, the run does.

`SyncPregelLoop.__exit__`, `AsyncPregelLoop.__aexit__`
    Before the run's step ends, its checkpoints are told. With `durability="exit"` the last one comes within.

`Pregel.get_state`, `aget_state`
    Whoever reads a thread's state in the middle of a chain has read memory: what it holds is led back to the run that
    saved it. Outside every chain (an app that looks whether its graph waits for somebody) nothing is told.

Not seen: `get_state_history`; a checkpointer's methods called by the app itself; the writes of single tasks
(`put_writes`), whose steps tell them; `delete_thread`.

Checked against langgraph 0.6.11 to 1.2.22 (source: `pregel/_loop.py`, `pregel/main.py`).
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Cause, OpenStep
from becausal_integrations.langgraph.register import Register
from becausal_integrations.langgraph.resume import CHECKPOINT_ID
from becausal_integrations.patch import Notice, notice, observe

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop

__all__ = ["Checkpoints", "install"]

LOOP = "langgraph.pregel._loop"
GRAPH = "langgraph.pregel.main:Pregel"

CHECKPOINTS = "langgraph.checkpoints"

GET_STATE = "get_state"


def install(recorder: Recorder, hooks: Hooks, register: Register) -> None:
    """Hook the saving of checkpoints and, where memory is recorded, the reading of a thread's state."""
    checkpoints = Checkpoints(recorder, register)
    # Most graphs have no checkpointer: what they do not save means nothing here.
    put = Notice(checkpoints.saving, checkpoints.saved, when=operator.attrgetter("checkpointer"))
    notice(recorder, hooks, f"{LOOP}:PregelLoop._put_checkpoint", put)
    # Outside the hooks that end the step.
    notice(recorder, hooks, f"{LOOP}:SyncPregelLoop.__exit__", Notice(checkpoints.leaving))
    notice(recorder, hooks, f"{LOOP}:AsyncPregelLoop.__aexit__", Notice(checkpoints.leaving))
    if recorder.level == "full":
        read = Observation(checkpoints.reading, checkpoints.read)
        observe(recorder, hooks, f"{GRAPH}.get_state", read)
        observe(recorder, hooks, f"{GRAPH}.aget_state", read)


class Checkpoints:
    """Says what is saved of a run, and what is read of a thread."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register
        self._saved: weakref.WeakKeyDictionary[PregelLoop, list[str]] = weakref.WeakKeyDictionary()

    # -- what a run saves

    def saving(self, loop: PregelLoop, *_: Any) -> tuple[PregelLoop, Any]:
        """Keep which checkpoint is on its way already."""
        return loop, getattr(loop, "_put_checkpoint_fut", None)

    def saved(self, token: tuple[PregelLoop, Any] | None, _: Any, error: BaseException | None) -> None:
        """Note a checkpoint that was handed to the checkpointer."""
        if token is None or error is not None:
            return
        loop, former = token
        if getattr(loop, "_put_checkpoint_fut", None) is former:
            return  # it is not saved: there is no checkpointer, or only the last one counts
        metadata = loop.checkpoint_metadata
        told = f"{metadata.get('step')} {metadata.get('source')} {loop.checkpoint['id']}"
        self._saved.setdefault(loop, []).append(told)
        if loop.durability == "exit":
            self.leaving(loop)

    def leaving(self, loop: PregelLoop, *_: Any) -> None:
        """Tell on a run's step what was saved of it."""
        graph, saved = self._register.graphs.get(loop), self._saved.get(loop)
        if graph is not None and saved:
            graph.workflow.attributes[CHECKPOINTS] = tuple(saved)

    # -- what is read of a thread

    def reading(
        self, _: Any, config: Mapping[str, Any] | None = None, *__: Any, **___: Any
    ) -> Opening | None:
        """Tell a call of `get_state`; None outside every chain, and where one graph asks its part."""
        here = current()
        if here is None or (
            isinstance(here, OpenStep) and (here.kind, here.name) == ("memory_read", GET_STATE)
        ):
            return None
        asked = (config or {}).get("configurable", {})
        names = ("thread_id", "checkpoint_ns", "checkpoint_id")
        received = {name: str(asked[name]) for name in names if asked.get(name)}
        return Opening(
            "memory_read", GET_STATE, received=received, attributes={semconv.MEMORY_STORE: "state"}
        )

    def read(self, step: OpenStep, snapshot: Any) -> Any:
        """Tell the state that was found, and lead it back to the run that saved it."""
        said = (snapshot.config or {}).get("configurable", {})
        checkpoint_id = said.get("checkpoint_id")
        if checkpoint_id is None:
            return NOTHING  # the thread is new
        step.attributes[CHECKPOINT_ID] = str(checkpoint_id)
        step.attributes[semconv.CONVERSATION_ID] = str(said.get("thread_id"))
        left = self._register.left(str(checkpoint_id))
        writer = (
            self._recorder.anchored(f"langgraph checkpoint {checkpoint_id}")
            if left is None
            else left.workflow
        )
        if writer is not None:
            evidence = f"checkpoint {checkpoint_id}"
            self._recorder.cause(step, Cause(writer.id, "memory", "observed", evidence, writer.span_context))
        return snapshot.values
