"""Who wrote what a task reads: the bookkeeping of one run of a graph, by channel and version."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from becausal.recorder import Sealed
from becausal.step import Cause, OpenStep, StepRef
from becausal_integrations.langgraph.channels import Rule, is_state, rule_of, value_of
from becausal_integrations.langgraph.describe import TASKS, langgraph_names, version_number
from becausal_integrations.langgraph.inplace import Entry
from becausal_integrations.langgraph.past import Edit, Past, past_step

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop

    from becausal_integrations.langgraph.register import TaskRecord
    from becausal_integrations.langgraph.superstep import Superstep

__all__ = ["MAX_CONTRIBUTORS", "Arrival", "Ledger", "Write"]

MAX_CONTRIBUTORS = 64
"""Earlier writers of a channel that gathers, beyond which one step stands for all of them."""


class Arrival(NamedTuple):
    """State that comes to a task from the task that triggered it."""

    sender: StepRef
    evidence: str
    sent: Sealed | None = None  # what a `Send` carries; None: what the sender produced


class _Parcel(NamedTuple):
    """A `Send` on its way."""

    send: Any  # kept so that its id stays its own
    sender: StepRef | None
    sent: Sealed  # what it carried when it was sent
    entry: Entry | None  # that it was this
    routes: Sequence[StepRef]  # the conditional edges that chose it

    def without_content(self) -> _Parcel:
        """Return it without anything of the app."""
        sender = None if self.sender is None else past_step(self.sender)
        return _Parcel(None, sender, Sealed(self.sent.payload), None, list(map(past_step, self.routes)))


class Write(NamedTuple):
    """A step wrote a channel."""

    step: StepRef
    version: object


class Ledger:
    """Who wrote each channel last, who sent what is on its way, and which conditional edge chose it."""

    __slots__ = ("_changed", "_is_restored", "_parcels", "_routes", "_sends", "by_channel", "past")

    def __init__(self, past: Past | None = None) -> None:
        self.past = past
        """Where a checkpointer keeps what a later run may go back to; else None."""
        self.by_channel: dict[str, dict[str, Write]] = {}
        """The last writes of each channel, by step id; changed here alone."""
        self._routes: dict[
            str, list[OpenStep]
        ] = {}  # by the channel through which the chosen task is triggered
        # By the id of the `Send`.
        self._sends: dict[int, _Parcel] = {}
        # The same by their place in the channel, of a run that waited: its `Send`s have become other objects.
        self._parcels: list[_Parcel | None] = []
        self._is_restored = False  # and nothing has run since then
        # The object that a channel held when a task changed it in place, and the step that tells so.
        self._changed: dict[str, tuple[Any, OpenStep]] = {}

    def copy(self) -> Ledger:
        """Return a ledger that goes on from here by itself."""
        other = Ledger(None if self.past is None else Past(self.past))
        other.by_channel = {channel: dict(writes) for channel, writes in self.by_channel.items()}
        other._routes = {channel: list(routes) for channel, routes in self._routes.items()}
        other._sends, other._changed = dict(self._sends), dict(self._changed)
        other._parcels = self._parcels
        return other

    @classmethod
    def at(cls, past: Past, versions: Mapping[str, Any], edits: Sequence[Edit] = ()) -> Ledger:
        """Return the ledger of a run that goes on from these versions of an earlier run's channels."""
        past = past.until(versions)
        ledger, newest = cls(past), max(versions.values(), default=None)
        for channel, version in versions.items():
            # An edit counts the versions up; of what carries control nothing else tells that it was the edit's.
            is_control = not is_state(channel)
            by = edits if not is_control or version == newest else ()
            made = past.writers(channel, version, by, is_control=is_control)
            if made:
                ledger.restore(channel, [Write(step, number) for step, number in made])
        return ledger

    def let_go(self, sends: Sequence[Any]) -> None:
        """Drop the app's own objects: a run that goes on later has others, made from the checkpoint.

        Args:
            sends: what is on its way now, as the channel holds it.
        """
        parcels = [self._sends.get(id(send)) for send in sends]
        self._parcels = [parcel and parcel.without_content() for parcel in parcels]
        self._sends, self._changed = {}, {}

    def triggered_by(self, channels: Iterable[str]) -> list[Arrival]:
        """Return one arrival for each step that wrote one of these channels."""
        sources = self._sources(channels)
        if len(sources) == 1:
            ((step, evidence),) = sources
            return [Arrival(step, evidence)]
        return [Arrival(step, evidence) for step, evidence in sources]

    def sent(self, send: Any, index: int) -> tuple[list[Arrival], list[Cause], Entry | None]:
        """Return the arrival that a `Send` is, who chose it, and what it was when it was sent."""
        parcel = self._sends.get(id(send))
        if parcel is None and index < len(self._parcels):
            parcel = self._parcels[index]
        evidence = f"channel {TASKS}[{index}]"
        if parcel is None:
            # Of another process's run it is known who sent, not what: where several did, not who sent this one.
            senders = self.writers(TASKS) if self._is_restored else []
            return [Arrival(sender, evidence) for sender in senders if len(senders) == 1], [], None
        causes: list[Cause] = []
        for step in parcel.routes:
            causes.append(Cause(step.id, "route", "observed", evidence, step.span_context))  # noqa: PERF401
        arrivals = [Arrival(parcel.sender, evidence, parcel.sent)] if parcel.sender is not None else []
        return arrivals, causes, parcel.entry

    def read_from(
        self, loop: PregelLoop, fired: Sequence[str], channels: Sequence[str], arrivals: Sequence[Arrival]
    ) -> list[Cause]:
        """Return a cause for each conditional edge that chose what these channels trigger, and each step that wrote
        what is read, and does not hand its state over itself.
        """
        senders = list(map(_SENDER, arrivals))
        causes: list[Cause] = []
        if self._routes:
            causes += [
                Cause(route.id, "route", "observed", f"channel {channel}", route.span_context)
                for channel in fired
                for route in self._routes.get(channel, ())
            ]
        for step, evidence in self._sources(channels, senders):
            causes.append(Cause(step.id, _kind_of(step), "observed", evidence, step.span_context))
        for channel in channels if self._changed else ():
            value, changer = self._changed.get(channel, (None, None))
            if changer is not None and value_of(loop.channels.get(channel)) is value:
                evidence = f"channel {channel}, changed in place"
                causes.append(Cause(changer.id, "memory", "observed", evidence, changer.span_context))
        return causes

    def remembered(self, channels: Iterable[str]) -> list[Cause]:
        """Return a cause for each step that wrote what somebody looks at in the middle of a task."""
        return [
            Cause(step.id, "memory", "observed", evidence, step.span_context)
            for step, evidence in self._sources(channels)
        ]

    def writers(self, channel: str) -> list[StepRef]:
        """Return the steps of which a channel's value is made, as far as no later one stands for them."""
        return [write.step for write in self.by_channel.get(channel, {}).values()]

    def wrote(self, channel: str, step: StepRef, version: object) -> None:
        """Let one step stand for all that a channel holds."""
        self.by_channel[channel] = {step.id: Write(step, version)}
        if self.past is not None:
            self.past.wrote(channel, version, [step])

    def restore(self, channel: str, writes: Iterable[Write]) -> None:
        """Take over from an earlier run who wrote a channel."""
        self.by_channel[channel] = {write.step.id: write for write in writes}
        self._is_restored = True

    def changed_in_place(self, channel: str, value: Any, step: OpenStep) -> None:
        """Note that a task changed what a channel holds without writing it."""
        self._changed[channel] = (value, step)

    def apply(self, done: Superstep, merged: Mapping[str, StepRef]) -> None:
        """Note the writes of a superstep that LangGraph has applied; `merged` says who stands for a channel's."""
        channels, now = done.loop.channels, done.loop.checkpoint["channel_versions"]
        self._sends, self._parcels, self._is_restored = {}, [], False
        self._consume(done)
        for _, record in done.tasks:
            if record.routes:
                self._choose(record)
            if record.sends:
                self._send(record)
        before, past = done.versions, self.past
        for channel, by in done.written.items():
            version = now.get(channel)
            if version is None or version == before.get(channel):
                continue
            if channel in merged:
                self.wrote(channel, merged[channel], version)
            elif channel in channels:
                # What is on its way goes with the superstep that it triggers.
                rule = "replace" if channel == TASKS else rule_of(type(channels[channel]))
                writes: dict[str, Write] = {}
                is_covered = rule == "replace"  # or a writer had read or replaced its former content
                for record, writer, value in by:
                    # Without the frame of a named tuple's own `__new__`.
                    writes[writer.id] = tuple.__new__(Write, (writer, version))
                    if is_covered or channel in record.reads or "Overwrite" in langgraph_names(type(value)):
                        is_covered = True
                if past is None and is_covered and rule != "unite":
                    self.by_channel[channel] = writes
                else:
                    self._note(channel, rule, writes, version, is_covered=is_covered)

    def _consume(self, done: Superstep) -> None:
        """Forget what has triggered the tasks that are done."""
        channels, routes = done.loop.channels, self._routes
        for _, record in done.tasks:
            for channel in record.fired:
                if routes:
                    routes.pop(channel, None)
                if rule_of(type(channels[channel])) == "unite":
                    self.by_channel.pop(channel, None)
                    if self.past is not None:
                        self.past.wrote(channel, done.version(channel), ())

    def _send(self, record: TaskRecord) -> None:
        """Note what a task sent on, and which conditional edges chose where to."""
        writer, chosen = record.writer, dict[str, list[OpenStep]]()  # by the node that it goes to
        for send, entry in record.sends:
            routes = chosen.get(send.node)
            if routes is None:
                routes = [route for route, places in record.routes if send.node in places]
                chosen[send.node] = routes
            self._sends[id(send)] = tuple.__new__(_Parcel, (send, writer, entry.sealed, entry, routes))

    def _choose(self, record: TaskRecord) -> None:
        for route, places in record.routes:
            for place in places:
                self._routes.setdefault(f"branch:to:{place}", []).append(route)

    def _note(
        self, channel: str, rule: Rule, writes: dict[str, Write], version: object, *, is_covered: bool
    ) -> None:
        if self.past is not None:
            adds = rule == "unite" or (rule == "gather" and not is_covered)
            self.past.wrote(channel, version, [write.step for write in writes.values()], adds=adds)
        if rule == "unite":
            self.by_channel.setdefault(channel, {}).update(writes)
        elif rule == "replace" or is_covered:
            # A gathering channel's earlier writers are causes of a writer that had read it: no need to name them again.
            self.by_channel[channel] = writes
        else:
            earlier = list(self.by_channel.get(channel, {}).items())[-MAX_CONTRIBUTORS:]
            self.by_channel[channel] = {**dict(earlier), **writes}

    def _sources(
        self, channels: Iterable[str], without: Sequence[str] = ()
    ) -> Collection[tuple[StepRef, str]]:
        """Return the steps that wrote these channels, each once, with the evidence; but for some, by their ids."""
        found: dict[str, tuple[StepRef, str]] = {}
        for channel in channels:
            for step_id, write in self.by_channel.get(channel, _NONE).items():
                if step_id in without:
                    continue
                said = f"{channel}@{version_number(write.version)}"
                known = found.get(step_id)
                found[step_id] = (
                    write.step,
                    f"channel {said}" if known is None else f"{known[1]}, {said}",
                )
        return found.values()


_NONE: Mapping[str, Write] = {}
_SENDER: Callable[[Arrival], str] = operator.attrgetter("sender.id")


def _kind_of(step: StepRef) -> Any:
    return "memory" if getattr(step, "kind", None) == "memory_write" else "data"
