"""Who made which message, and who has read it: what the causes of a turn and of a model call are known by.

A chat message is known by its id, which survives every envelope, buffer and saved state. A message of a model's
context has no id and is known by being the same object; a copy of it (of a loaded state, without its pictures) by
saying the same. Nothing here keeps an app's object alive, nor a step longer than it is open, and nothing grows without
bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from becausal.payload import Payload
from becausal.recorder import Recorder, Sealed
from becausal.step import Attribute, Cause, EdgeKind, Grade, OpenStep, RemoteStep, StepRef
from becausal.versions import Version
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.unchanged import Inside, inside, is_same
from becausal_integrations.identity import ByIdentity, Recent, weakly

__all__ = [
    "Ledger",
    "Notes",
    "Origin",
    "Tag",
    "View",
    "cause",
    "notes_of",
    "owns",
    "remote",
]

MOST_MESSAGES = 20_000
"""Messages that are remembered. Each costs a few hundred bytes; the forgotten one is the longest unread."""

MOST_CONTENTS = 20_000
"""Messages of models' contexts that are known by what they say."""

MOST_ROUTES = 1_000
"""Group chat managers whose last choice is remembered."""


class View(NamedTuple):
    """What a model context showed of what it holds."""

    stored: int
    seen: int
    evicted: tuple[str, ...]
    """What this agent's model could still see the time before: where each message came from, `step id evidence`."""


_NONE: Mapping[str, Any] = MappingProxyType({})


class Notes(dict[str, Attribute]):
    """A step's attributes, and what the adapter must know of the step as long as it is current."""

    __slots__ = (
        "_owner",
        "content",
        "decided",
        "done",
        "earlier",
        "premises",
        "said",
        "standing",
        "state",
        "view",
        "within",
    )

    def __init__(
        self, owner: object, within: StepRef | None, attributes: Mapping[str, Attribute] | None = None
    ):
        super().__init__(attributes or {})
        # Weakly: a step is kept for as long as anything may be caused by it, which is longer than the app needs it.
        self._owner = weakly(owner)
        self.within = within
        """The step that it was called in."""
        # Nothing is made for what most steps have none of: it would be the garbage collector's to look at.
        self.decided: Mapping[str, StepRef] = _NONE
        """Of a turn: the model call that decided on a tool call, by call id."""
        self.done: Mapping[str, StepRef] = _NONE
        """Of a turn: the tool's step, by call id."""
        self.said: tuple[tuple[StepRef, str], ...] = ()
        """Of a choice of speaker, or of a team: the model calls made for it, and what each answered in words."""
        self.earlier: Sequence[Cause] = ()
        """Of a team's run: what it goes on from, until its first choice of a speaker has taken that up."""
        self.premises: tuple[str, ...] = ()
        """Of a model call: what its agent's model had not seen before."""
        self.standing: RemoteStep | None = None
        """What `remote` gives of the step."""
        self.state: Sealed | None = None
        """Of a run: what the team or the agent goes on from, until it is kept with the step."""
        self.view: View | None = None
        """Of a turn: what the model context showed last, until the model is called with it."""
        self.content: object = None
        """Of a load: the state. Of a plan: what it says. Of a choice: what stood before. Of a turn: its messages' ids.
        Of a call of an MCP server: its answer. Of a memory's update of a context: what it added. Of a tool's stream:
        how many items there were."""

    @property
    def owner(self) -> object:
        """The app's object at work: the agent, the team, the tool, the client; None once that is gone."""
        return self._owner()


def notes_of(step: StepRef | None) -> Notes | None:
    """Return what is noted of a step, if it is one of this adapter's."""
    if isinstance(step, OpenStep):
        attributes = step.attributes
        if isinstance(attributes, Notes):
            return attributes
    return None


def owns(step: StepRef | None, thing: object) -> bool:
    """Return whether a step is this very object's work: then a call of it is part of that and no step of its own.

    `on_messages` calls `on_messages_stream` or the other way round, and both may call `super()`.
    """
    notes = notes_of(step)
    return notes is not None and notes.owner is thing


def cause(step: StepRef, kind: EdgeKind, evidence: str, grade: Grade = "observed") -> Cause:
    """Return a cause that was seen (the same object, the same id), or known by another grade of evidence."""
    return Cause(step.id, kind, grade, evidence, step.span_context)


def remote(step: StepRef) -> RemoteStep:
    """Return what must be known of a step once it is over, without what it holds alive."""
    if isinstance(step, RemoteStep):
        return step
    notes = step.attributes if isinstance(step, OpenStep) else None
    if not isinstance(notes, Notes):
        return RemoteStep(step.id, step.chain_id, step.seq, step.hop, step.agent, step.span_context)
    if notes.standing is None:
        notes.standing = RemoteStep(step.id, step.chain_id, step.seq, step.hop, step.agent, step.span_context)
    return notes.standing


class Source(NamedTuple):
    """A step that something comes from."""

    step: StepRef
    cause: Cause
    """The step as the cause of whatever takes it up in the same chain, with what shows it."""


class Origin(NamedTuple):
    """Where a chat message comes from: a source, too, of all that is made of it, models' contexts above all."""

    step: StepRef
    cause: Cause
    """As that of a source."""
    sender: str
    payload: Payload
    """The message as it was when it was sent."""
    bodies: tuple[tuple[bytes, bytes], ...]
    """Of what is not in the store yet."""
    sent: Cause
    """Its sending, as the cause of each handoff of it."""

    @property
    def sealed(self) -> Sealed:
        """The message as it was when it was sent."""
        return Sealed(self.payload, self.bodies)


@dataclass(slots=True, eq=False, repr=False)
class Tag:
    """Where a message of a model's context comes from."""

    origin: Origin | None
    """The chat message that it was made of."""
    others: tuple[Source, ...] = ()
    """Other sources."""
    readers: tuple[str, ...] = ()
    """The agents whose model has seen it."""
    losers: frozenset[str] = frozenset()
    """The agents whose model context no longer shows it."""

    @property
    def sources(self) -> tuple[Source | Origin, ...]:
        """All that it comes from."""
        return self.others if self.origin is None else (self.origin,)


class Seal(NamedTuple):
    """A chat message as it was sealed last."""

    sealed: Sealed
    inside: Inside
    """What it consisted of; see `unchanged`."""
    version: int
    """Of the redaction: a secret that was met since may stand in it."""


class Ledger:
    """What one process's agents have said, read and decided."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self._redact = recorder, recorder.redact
        self.messages: Recent[Origin] = Recent(MOST_MESSAGES)
        self.routes: Recent[RemoteStep] = Recent(MOST_ROUTES)
        """The last choice of a group chat manager, by its agent id."""
        self.seals: ByIdentity[Seal] = ByIdentity()
        """The chat messages that are still about: each reader finds them sealed, unless somebody changed them."""
        self.tags: ByIdentity[Tag] = ByIdentity()
        self.contents: Recent[Tag] = Recent(MOST_CONTENTS)
        """What the messages of models' contexts say; see `describe.wording`."""
        self.models: ByIdentity[RemoteStep] = ByIdentity()
        """An agent's last model call."""
        self.runs: ByIdentity[RemoteStep] = ByIdentity()
        """A team's last run, whose state it carries on."""
        self.memories: ByIdentity[Version] = ByIdentity()
        """The write that a memory's content came with."""
        self.unanswered: ByIdentity[frozenset[str]] = ByIdentity()
        """The ids of the messages that an agent's last turn failed on."""
        self.threads: ByIdentity[int] = ByIdentity()
        """How much of its thread a group chat manager has judged."""
        self.transcribed: ByIdentity[int] = ByIdentity()
        """How much of its thread a group chat manager has put before its model."""

    def origin(self, message: Any, here: StepRef | None) -> Origin | None:
        """Return where a chat message comes from; one that is new comes from the step in which it was first seen.

        A message that comes by again, echoed or used as another task, keeps its origin: it is passed on, not made anew.
        """
        known = self.messages.find(message.id)
        if known is not None or here is None:
            return known
        return self.produce(message, here, here.agent or message.source)

    def produce(self, message: Any, step: StepRef, sender: str, sealed: Sealed | None = None) -> Origin:
        """Note who made a chat message, and what it says now."""
        kept = self.keep(step, self.seal(message) if sealed is None else sealed)
        maker = remote(step)
        evidence = f"message id {message.id}"
        sent, taken_up = cause(maker, "transfer", evidence), cause(maker, "data", evidence)
        origin = Origin(maker, taken_up, sender, *kept, sent)
        self.messages.put(message.id, origin)
        return origin

    def seal(self, message: object) -> Sealed:
        """Fix a chat message as it is now; one that is what it was is not encoded again."""
        former = self.seals.get(message)
        version = 0 if self._redact is None else self._redact.version
        if former is not None and former.version == version and is_same(message, former.inside):
            return former.sealed
        consists_of = inside(message)
        if consists_of is None:
            return self._recorder.seal(message)
        sealed = self._recorder.seal_message(message)
        self.seals.put(message, Seal(sealed, consists_of, version))
        return sealed

    def keep(self, step: StepRef, value: object) -> Sealed:
        """Seal a value whose body goes to the store with an open step, so that it need not be held here."""
        sealed = self._recorder.seal(value)
        if not isinstance(step, OpenStep) or step.status != "open":
            return sealed
        step.bodies.extend(sealed.bodies)
        return Sealed(sealed.payload)

    def tag(self, message: object, *sources: tuple[StepRef, str]) -> None:
        """Note where a message of a model's context comes from, unless that is known."""
        if self.tags.get(message) is None:
            known = [(remote(step), evidence) for step, evidence in sources]
            self._tag(
                message, Tag(None, tuple([Source(one, cause(one, "data", said)) for one, said in known]))
            )

    def tag_of(self, message: object, origin: Origin) -> None:
        """Note of which chat message a message of a model's context was made, unless that is known."""
        if self.tags.get(message) is None:
            self._tag(message, Tag(origin))

    def _tag(self, message: object, tag: Tag) -> None:
        self.tags.put(message, tag)
        if (tag.origin or tag.others) and (wording := describe.wording(message)) is not None:
            self.contents.put(wording, tag)

    def known(self, message: object) -> tuple[Tag, Grade] | None:
        """Return where a message of a model's context comes from: the same object, else one that says the same."""
        tag = self.tags.get(message)
        if tag is not None:
            return tag, "observed"
        wording = describe.wording(message)
        tag = None if wording is None else self.contents.find(wording)
        return None if tag is None else (tag, "matched")
