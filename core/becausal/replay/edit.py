"""Changes to a run before it runs again: what a step received, or what it produced.

    becausal.edit(step).message(2).text("It is 2 million.")     # of what a model or an agent received
    becausal.edit(step).field("findings").to("none")            # a field of what an agent received
    becausal.edit(tool_step).to({"price": 3})                   # what a tool answered
    becausal.edit(tool_step).field("price").to(3)               # a part of it
    becausal.edit(step).produced.field("findings").to("none")   # either side, said by name

A step is said by itself, by its id, or by a name that is its alone (see `named`).

Of a step that answers (a tool, a read of memory, a decision where to go on) what it produced is meant unless the other
side is named, of a handoff what arrived, of every other step what it received.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from becausal import semconv
from becausal.answers.comparison.pair import Side
from becausal.answers.recorded import Recorded
from becausal.errors import ReplayError
from becausal.replay.answers import ANSWERED
from becausal.replay.changes import Change
from becausal.replay.named import step_named
from becausal.replay.recalled import Recalled
from becausal.replay.session import Session
from becausal.step import Step

__all__ = ["Edit", "Edits", "Place", "edit"]

Key = str | int

_PRODUCED_FIRST = frozenset({"tool", "memory_read", "memory_write", "route"})


@dataclass(frozen=True, slots=True)
class Edit:
    """One change, to be given to `Run.replay`."""

    of: object
    """A step, its id, or something that tells of one: a handoff, a tool call, a decision."""
    side: Side | None
    """None: the side that is meant of a step of its kind."""
    path: tuple[Key, ...]
    """Keys, field names, indexes, from the outside in; `messages` is left out where the list is all there is."""
    change: Change = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in what a step received or produced; say with `to`, `text` or `removed` what is to become of it."""

    of: object
    side: Side | None = None
    path: tuple[Key, ...] = ()

    @property
    def received(self) -> Place:
        """What the step received."""
        return Place(self.of, "received", ())

    @property
    def produced(self) -> Place:
        """What the step produced."""
        return Place(self.of, "produced", ())

    def message(self, number: int) -> Place:
        """The message of a number, from 0; negative ones count from the end."""
        return Place(self.of, self.side, (*self.path, "messages", number))

    def field(self, *path: Key) -> Place:
        """A field, a key or an item further inside."""
        return Place(self.of, self.side, (*self.path, *path))

    def to(self, value: Any) -> Edit:
        """Put a value there."""
        return Edit(self.of, self.side, self.path, lambda _: copy.deepcopy(value))

    def text(self, text: str) -> Edit:
        """Put a text there: a message's content, or the text itself."""
        return Edit(self.of, self.side, self.path, lambda there: _with_text(there, text))

    def removed(self) -> Edit:
        """Take it away: a message, a field, an item."""
        if not self.path:
            return Edit(self.of, self.side, (), lambda _: None)
        return Edit(self.of, self.side, self.path, lambda _: _GONE)

    def by(self, change: Change) -> Edit:
        """Put there what a function makes of what is there."""
        return Edit(self.of, self.side, self.path, change)


def edit(of: object) -> Place:
    """Return the place to begin at: a step (or its id), a handoff, a tool call or a decision of a recorded run."""
    return Place(of)


class Edits:
    """All changes of one replay, by the recorded step that each changes."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self.inputs: dict[str, Change] = {}
        self.outputs: dict[str, Change] = {}

    @classmethod
    def of(cls, given: object, recorded: Recorded) -> Edits:
        """Return the changes that somebody asked for.

        Args:
            given: an `Edit`, several, or a mapping from a step, its id, or the key of a memory's record to a value.

        Raises:
            ReplayError: one of them addresses nothing.
        """
        edits = cls(recorded)
        if isinstance(given, Mapping):
            for key, value in given.items():
                edits._add_value(key, value)
        elif isinstance(given, Edit):
            edits._add(given)
        elif given is not None:
            if not isinstance(given, Iterable) or isinstance(given, str | bytes):
                raise ReplayError(f"a {type(given).__name__} is no edit: give becausal.edit(step)… or a dict")
            for item in given:
                if not isinstance(item, Edit):
                    what = "say what to do there: .to(…), .text(…)" if isinstance(item, Place) else "no edit"
                    raise ReplayError(f"{item!r}: {what}")
                edits._add(item)
        return edits

    def check(self, session: Session, given: Collection[str]) -> None:
        """Try each change on what is recorded.

        Args:
            session: of the replay.
            given: the ids of the steps whose input the replay itself gives to the app.

        Raises:
            ReplayError: there is nothing in its place, or nothing that a replay could change.
        """
        by_id = {step.id: step for step in self._recorded.steps}
        for edits, side in ((self.inputs, "received"), (self.outputs, "produced")):
            for step_id, change in edits.items():
                step = by_id[step_id]
                if not (side == "received" and step_id in given) and (why := _out_of_reach(step, side)):
                    raise ReplayError(
                        f"the edit of what {step.kind} {step.name!r} {side} changes nothing: {why}"
                    )
                try:
                    there = (
                        session.unedited_input(step)
                        if side == "received"
                        else Recalled(step, session).produced()
                    )
                    made = change(there)
                except (LookupError, TypeError, AttributeError, ValueError) as missing:
                    raise ReplayError(
                        f"the edit of what {step.kind} {step.name!r} {side} addresses nothing: {missing}"
                    ) from missing
                _refuse_unfit(step, side, there, made)

    def _add_value(self, key: object, value: Any) -> None:
        places: list[Place] = []
        if isinstance(key, str) and len(self._recorded.graph.matches(key)) != 1:
            places = [place for step in self._recorded.steps for place in _read(step, key)]
        for place in places:
            self._add(place.by(functools.partial(_with_content, value)) if place.path else place.to(value))
        if not places:
            self._add(value if isinstance(value, Edit) else self._said_of(key, value))

    def _said_of(self, key: object, value: Any) -> Edit:
        """Return the edit that gives a step a value; of a model a text or a message is its answer."""
        text = value.get("content") if isinstance(value, Mapping) else value
        if step_named(self._recorded.graph, key).kind == "model":
            if isinstance(text, str):
                return Place(key, "produced").text(text)
            if hasattr(value, "content"):
                return Place(key, "produced").to(value)
        return Place(key).to(value)

    def _add(self, edit: Edit) -> None:
        step = step_named(self._recorded.graph, edit.of)
        side = edit.side or ("produced" if step.kind in _PRODUCED_FIRST else "received")
        path = edit.path
        if step.kind == "handoff":
            step, within = self._receiver(step)
            side, path = "received", (*within, *path)
        inside = self._answered_above(step)
        if inside is not None:
            raise ReplayError(
                f"the edit of {step.kind} {step.name!r} addresses nothing: it is part of what {inside.kind} "
                f"{inside.name!r} did, which is answered as a whole: edit its answer, or give live=[{inside.name!r}]"
            )
        kept = self.inputs if side == "received" else self.outputs
        former = kept.get(step.id)
        change = functools.partial(_changed, path=path, change=edit.change)
        kept[step.id] = change if former is None else functools.partial(_one_after_another, former, change)

    def _receiver(self, handoff: Step) -> tuple[Step, tuple[Key, ...]]:
        """Return the step that received a handoff, and where in what that received the handoff's content is."""
        received_by = handoff.attributes.get(semconv.TRANSFER_RECEIVED_BY)
        if isinstance(received_by, str) and received_by in self._recorded.graph:
            return self._recorded.graph.step(received_by), ()
        for step in self._recorded.steps:  # one that reads several at once
            if any((cause.source_id, cause.kind) == (handoff.id, "transfer") for cause in step.causes):
                return step, _place_in(step, handoff)
        raise ReplayError(f"the edit of handoff {handoff.name!r} addresses nothing: nobody received it")

    def _answered_above(self, step: Step) -> Step | None:
        graph = self._recorded.graph
        above = graph.step(step.parent_id) if step.parent_id and step.parent_id in graph else None
        while above is not None:
            if above.kind in ANSWERED and semconv.RUNS_AGAIN not in above.attributes:
                return above
            above = graph.step(above.parent_id) if above.parent_id and above.parent_id in graph else None
        return None


def _refuse_unfit(step: Step, side: str, there: Any, made: Any) -> None:
    """Raise where a model is to be given, or to answer, what none ever is or does: it would fail for that."""
    if step.kind != "model":
        return
    answers = isinstance(made, str | list) or hasattr(
        made, "content"
    )  # a text or calls: what a message holds
    if side == "produced" and hasattr(there, "content") and not answers:
        raise ReplayError(
            f"the edit of what model {step.name!r} produced gives a {type(made).__name__}: a model answers with a "
            f'message: write {{"{step.id[:8]}": "its text"}}, or a part of it (side `produced`, path ["content"])'
        )
    if side == "received" and isinstance(there, list) and not isinstance(made, list | tuple):
        raise ReplayError(
            f"the edit of what model {step.name!r} received gives a {type(made).__name__}: it receives a list of "
            f'messages. To change its answer write {{"{step.id[:8]}": "its text"}}, to change a message say which '
            '(path ["messages", 0])'
        )


def _out_of_reach(step: Step, side: str) -> str:
    """Return why nothing of what a step received or produced can be changed; nothing where it can be."""
    if semconv.OWN_CODE in step.attributes:
        return (
            "the app's own code makes it and holds it: edit what that was made of, such as a tool's answer, "
            "a message that it got, or what the request was given"
        )
    if step.kind == "workflow" and side == "received" and "langgraph.nodes" in step.attributes:
        return "the app's own code gives it to the graph: edit what the graph's first node receives"
    if step.kind == "request" and side == "received" and step.parent_id is None:
        return "the app takes no input: give a function that takes the recorded one"
    return ""


def _read(step: Step, key: str) -> Iterator[Place]:
    """Yield where a memory's record is in what a step read: all of it, or one of several."""
    if step.kind != "memory_read":
        return
    if step.attributes.get(semconv.MEMORY_RECORD) == key:
        yield Place(step)
        return
    seen = step.attributes.get(semconv.MEMORY_SEEN)
    for number, name in enumerate(seen if isinstance(seen, tuple) else ()):
        if str(name).rpartition("@")[0] == key:
            yield Place(step).field(number)


def _with_content(content: Any, there: Any) -> Any:
    return _with(there, "content", content) if hasattr(there, "content") else copy.deepcopy(content)


def _place_in(reader: Step, handoff: Step) -> tuple[Key, ...]:
    """Return the place of what a handoff brought among all that its reader received; the last one of equal ones."""
    content = handoff.produced or handoff.received
    if reader.received is None or content is None or not (reader.received.is_kept and content.is_kept):
        raise ReplayError(f"the edit of handoff {handoff.name!r} addresses nothing: its content is not kept")
    items, brought = reader.received.value(), content.value()
    found = [
        number for number, item in enumerate(items if isinstance(items, list) else ()) if item == brought
    ]
    if not found:
        raise ReplayError(
            f"the edit of handoff {handoff.name!r} addresses nothing: {reader.name!r} did not read it"
        )
    return (found[-1],)


# Changing a part of a value, without changing the value


def _one_after_another(first: Change, second: Change, value: Any) -> Any:
    return second(first(value))


class _Gone:
    pass


_GONE: Any = _Gone()


def _changed(value: Any, path: tuple[Key, ...], change: Change) -> Any:
    if not path:
        return change(value)
    key, rest = path[0], path[1:]
    if key == "messages" and isinstance(value, list | tuple):  # the list itself
        return _changed(value, rest, change)
    made = _changed(_part(value, key), rest, change)
    return _without(value, key) if made is _GONE else _with(value, key, made)


def _part(value: Any, key: Key) -> Any:
    if isinstance(value, Mapping):
        if key not in value:
            raise LookupError(f"there is no {key!r} among {', '.join(map(str, value)) or 'nothing'}")
        return value[key]
    if isinstance(value, list | tuple):
        if not isinstance(key, int) or not -len(value) <= key < len(value):
            raise LookupError(f"there is no item {key!r} in a list of {len(value)}")
        return value[key]
    if isinstance(key, str) and hasattr(value, key):
        return getattr(value, key)
    raise LookupError(f"a {type(value).__name__} has no {key!r}")


def _with(value: Any, key: Any, part: Any) -> Any:
    if isinstance(value, tuple):
        items = list(value)
        items[key] = part
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, dict | list):
        made = copy.copy(value)
        made[key] = part
        return made
    if hasattr(value, "model_copy"):
        return value.model_copy(update={key: part})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{key: part})
    made = copy.copy(value)
    setattr(made, key, part)
    return made


def _without(value: Any, key: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(item for index, item in enumerate(value) if index != key % len(value))
    if isinstance(value, dict | list):
        made = copy.copy(value)
        del made[key]
        return made
    raise LookupError(f"{key!r} of a {type(value).__name__} cannot be taken away")


def _with_text(value: Any, text: str) -> Any:
    if isinstance(value, Mapping) and "content" in value:
        return {**value, "content": text}
    if hasattr(value, "content"):
        return _with(value, "content", text)
    if isinstance(value, str):
        return text
    raise LookupError(f"a {type(value).__name__} has no text")
