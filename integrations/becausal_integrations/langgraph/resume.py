"""From which checkpoint a run goes on, and who wrote it: in this process, or in an earlier one.

In this process the register knows. For a later one, what a run leaves behind is given names in the store: the run of
each checkpoint that it wrote; and where it stopped before its end, also its tasks and who wrote its channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from becausal import clock, semconv
from becausal.context import current
from becausal.recorder import Opening, Recorder, Sealed
from becausal.step import Attribute, Cause, OpenStep, StepRef
from becausal_integrations.langgraph.channels import is_state, sends_of
from becausal_integrations.langgraph.describe import is_of
from becausal_integrations.langgraph.ledger import Ledger, Write
from becausal_integrations.langgraph.past import Edit, Past, past_step
from becausal_integrations.langgraph.register import GraphRecord, Left, Register

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop

__all__ = ["Origin", "Resumptions"]

CHECKPOINT_ID = "langgraph.checkpoint.id"
CHECKPOINT_PARENT = "langgraph.checkpoint.parent"

MAX_NAMED = 8
"""Writers of one channel that a later process finds again."""


class Origin(NamedTuple):
    """Where a run goes on from."""

    checkpoint_id: str | None = None  # None: nowhere, its thread is new
    parent_id: str | None = None
    found_id: str | None = None  # that of the two of which it is known who wrote it
    left: Left | None = None
    is_resumption: bool = False  # else a new request, on what an earlier one left
    is_elsewhere: bool = False  # another process wrote it

    def attributes(self) -> dict[str, Attribute]:
        """Return which checkpoint it is."""
        said = {CHECKPOINT_ID: self.checkpoint_id, CHECKPOINT_PARENT: self.parent_id}
        return {name: value for name, value in said.items() if value is not None}

    def cause(self) -> Cause | None:
        """Return the run that wrote the checkpoint, as a cause of the one that goes on from it."""
        if self.left is None:
            return None
        before, kind = self.left.workflow, "resume" if self.is_resumption else "memory"
        return Cause(before.id, kind, "observed", f"checkpoint {self.found_id}", before.span_context)  # type: ignore[arg-type]


class Resumptions:
    """Finds what a run goes on from, and leaves behind what a later one must know."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register

    # -- going on

    def origin(self, loop: PregelLoop, given: Any) -> Origin:
        """Return where a run that has loaded its checkpoint goes on from; `given` is its input."""
        configs = (loop.checkpoint_config, loop.prev_checkpoint_config)
        named = [config["configurable"].get("checkpoint_id") for config in configs if config]
        saved = loop.checkpoint_id_saved
        if loop.checkpointer is None or saved not in named:
            return Origin()  # there was none to load
        parent = next((name for name in named[1:] if name not in (None, saved)), None)
        resumes = bool(loop.config["configurable"].get("__pregel_resuming")) if loop.is_nested else False
        resumes = resumes or given is None or is_of(given, "Command")
        for found_id in (saved, parent):
            left = None if found_id is None else self._register.left(found_id)
            if left is not None:
                return Origin(saved, parent, found_id, left, resumes)
        for found_id in (saved, parent):
            step = None if found_id is None else self._recorder.anchored(_checkpoint(found_id))
            if step is not None and found_id is not None:
                last = self._recorder.anchored(_last(found_id)) if resumes else None
                clock.witness((last or step).seq)  # what goes on comes after all that there was
                return Origin(saved, parent, found_id, Left(step), resumes, is_elsewhere=True)
        return Origin(saved, parent, None, None, resumes)

    def go_on(self, graph: GraphRecord, loop: PregelLoop, origin: Origin) -> None:
        """Take over what the run knew that stopped there, or went on from there."""
        if graph.is_saved:
            graph.ledger.past = Past()
        left = origin.left
        if left is None or not origin.is_resumption:
            return
        graph.resumed = dict(left.steps)
        if left.ledger is not None:
            graph.ledger = left.ledger.copy()
        elif left.past is not None:
            graph.ledger = Ledger.at(left.past, loop.checkpoint["channel_versions"], left.edits)
        elif origin.is_elsewhere:
            graph.awaits = origin.found_id

    def look_up(self, graph: GraphRecord, loop: PregelLoop) -> None:
        """Find the steps of another process that the first tasks of a resumed run go on from."""
        checkpoint_id, graph.awaits = graph.awaits, None
        if checkpoint_id is None:
            return
        for task_id in loop.tasks:
            step = self._recorder.anchored(_task(task_id))
            if step is not None:
                graph.resumed[task_id] = step
        for channel, version in loop.checkpoint["channel_versions"].items():
            writes: list[Write] = []
            for number in range(MAX_NAMED):
                found = self._recorder.anchored(_channel(checkpoint_id, channel, number))
                if found is None:
                    break
                writes.append(Write(found, version))
            if writes:
                graph.ledger.restore(channel, writes)

    # -- leaving

    def saved(self, graph: GraphRecord, loop: PregelLoop) -> None:
        """Note that a run wrote a checkpoint; where only the last one is saved, `stopped` does."""
        if not graph.is_saved or loop.durability == "exit":
            return
        checkpoint_id = loop.checkpoint["id"]
        graph.workflow.anchor(_checkpoint(checkpoint_id))
        self._register.saved(checkpoint_id, graph.workflow, graph.ledger.past)

    def stopped(self, graph: GraphRecord, loop: PregelLoop, *, is_over: bool) -> None:
        """Note where a run left off: at its end, or before that."""
        if not graph.is_saved:
            return
        checkpoint_id = loop.checkpoint["id"]
        name = _checkpoint(checkpoint_id)
        if name not in graph.workflow.anchors[-1:]:
            graph.workflow.anchor(name)
        thread = loop.config["configurable"].get("thread_id")
        namespace = loop.config["configurable"].get("checkpoint_ns") or ""
        self._register.ran((str(thread), str(namespace)), graph.workflow, checkpoint_id)
        if is_over:
            self._register.saved(checkpoint_id, graph.workflow, graph.ledger.past)
            return
        steps = {
            record.id: writer for record in graph.tasks.values() if (writer := record.writer) is not None
        }
        graph.ledger.let_go(sends_of(loop.channels))
        self._register.paused(checkpoint_id, Left(graph.workflow, graph.ledger, steps))
        self._name(graph, checkpoint_id, steps)

    def _name(self, graph: GraphRecord, checkpoint_id: str, steps: Mapping[str, StepRef]) -> None:
        named: dict[str, OpenStep] = {}
        for task_id, step in steps.items():
            if isinstance(step, OpenStep):
                step.anchor(_task(task_id))
                named[step.id] = step
        for channel, writes in graph.ledger.by_channel.items():
            numbers = count()
            for write in list(writes.values())[-MAX_NAMED:]:
                if isinstance(write.step, OpenStep):
                    write.step.anchor(_channel(checkpoint_id, channel, next(numbers)))
                    named[write.step.id] = write.step
        if named:
            max(named.values(), key=lambda step: step.seq).anchor(_last(checkpoint_id))
        for step in named.values():
            if step.ended_ns is not None:
                self._recorder.write(step)

    # -- from outside

    def editing(self, _: Any, config: Any, supersteps: Sequence[Sequence[Any]], *__: Any) -> Any:
        """Seal what somebody is about to write into a thread's state (`update_state`)."""
        values = [update.values for updates in supersteps for update in updates]
        names = [update.as_node for updates in supersteps for update in updates if update.as_node]
        sealed = self._recorder.seal(values[0] if len(values) == 1 else values)
        return config, sealed, names, [key for value in values if isinstance(value, dict) for key in value]

    def edited(self, token: Any, config: Any, error: BaseException | None) -> None:
        """Tell the edit as a write to memory, in the chain of the thread's last run."""
        if token is None or error is not None or not isinstance(config, Mapping):
            return
        given, sealed, names, keys = token
        said = config.get("configurable", {})
        thread = (str(said.get("thread_id")), str(said.get("checkpoint_ns") or ""))
        before, last_id = self._register.threads.get(thread, (None, None))
        checkpoint_id = said.get("checkpoint_id")
        if before is None or checkpoint_id is None or self._register.left(str(checkpoint_id)) is not None:
            return  # nothing to join it to, or told: a subgraph's edit passes its parent graph's door first
        parent_id = given.get("configurable", {}).get("checkpoint_id") or last_id
        step = self._edit(before, sealed, names, keys, parent_id)
        if step is None:
            return
        step.anchor(_checkpoint(checkpoint_id))
        step.attributes[CHECKPOINT_ID] = str(checkpoint_id)
        self._recorder.end(step)
        left = self._register.left(str(parent_id))
        if left is None or left.ledger is None:
            edit = Edit(replace(past_step(step), produced=step.received), frozenset(map(str, keys)))
            past, edits = (None, ()) if left is None else (left.past, left.edits)
            self._register.paused(str(checkpoint_id), Left(edit.step, past=past, edits=(*edits, edit)))
            return
        # Who wrote what the edit left alone is as it was; its tasks are others, since their ids come of the checkpoint.
        ledger = left.ledger.copy()
        for channel in keys:
            ledger.wrote(str(channel), step, "edited")
        self._register.paused(str(checkpoint_id), Left(step, ledger))
        self._register.ran(thread, before, str(checkpoint_id))

    def _edit(
        self, before: StepRef, sealed: Sealed, names: list[str], keys: list[Any], parent: Any
    ) -> OpenStep | None:
        evidence = "the thread's last run"
        attributes: dict[str, Attribute] = {semconv.MEMORY_STORE: "state"}
        channels = [str(key) for key in keys if is_state(str(key))]
        if len(channels) == 1:
            attributes[semconv.MEMORY_RECORD] = channels[0]
        if parent is not None:
            attributes[CHECKPOINT_PARENT] = str(parent)
        return self._recorder.begin(
            Opening(
                "memory_write",
                "update_state",
                names[0] if len(names) == 1 else None,
                sealed,
                causes=[Cause(before.id, "memory", "observed", evidence, before.span_context)],
                attributes=attributes,
                chain_id=before.chain_id if current() is None else None,
            )
        )


def _checkpoint(checkpoint_id: str) -> str:
    return f"langgraph checkpoint {checkpoint_id}"


def _last(checkpoint_id: str) -> str:
    return f"langgraph last before {checkpoint_id}"


def _task(task_id: str) -> str:
    return f"langgraph task {task_id}"


def _channel(checkpoint_id: str, channel: str, number: int) -> str:
    return f"langgraph channel {checkpoint_id} {channel} {number}"
