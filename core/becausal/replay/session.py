"""One replay under way: what a call is answered with, and where the replay leaves the record.

A session is in force in a context (OpenTelemetry's, in which steps travel as well), never in a process: the same app
may serve its users meanwhile.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from opentelemetry import context as otel_context

from becausal import canonical, clock, semconv
from becausal.answers.comparison.counterparts import Counterparts, own_key
from becausal.answers.comparison.meaning import means_the_same
from becausal.answers.recorded import Recorded
from becausal.context import Scope, current
from becausal.making import MEMORY_KINDS
from becausal.observation import NOTHING, Opening, Sealed
from becausal.payload import Bodies, Payload
from becausal.redaction import markers_in
from becausal.replay.answers import ANSWERED, NOWHERE, Answers, Coming, Place, Placed, place_below
from becausal.replay.changes import Change, Changes, allowing
from becausal.replay.divergence import Divergence, DivergenceError, Why
from becausal.replay.memories import MemoryTwin
from becausal.replay.order import Order
from becausal.replay.outliving import Carried, Threads
from becausal.replay.rebuild import Classes, UnmadeError, rebuild
from becausal.replay.recalled import Asked, Recalled, Standin
from becausal.step import Attribute, OpenStep, Step, StepKind, StepRef

__all__ = ["Session", "in_force"]

_SESSION = otel_context.create_key("becausal-replay")

MOST_PLACES = 100_000
"""Steps of a replay whose place is remembered."""

_by_chain: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()


def in_force() -> Session | None:
    """Return the session in whose course the caller runs; None outside every replay."""
    session: Any = otel_context.get_value(_SESSION)
    if session is None and _by_chain:  # a context that was brought in by a carrier knows the chain alone
        here = current()
        session = None if here is None else _by_chain.get(here.chain_id)
    return session  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Course:
    """What has come of a replay so far."""

    ran: list[str] = field(default_factory=list)
    """The ids of the replay's steps that were really made."""
    stood_in: list[str] = field(default_factory=list)
    """Those that a stand-in answered."""
    recalled: dict[str, str] = field(default_factory=dict)
    """By the id of a step of the replay: that of the recorded step that answered it."""
    applied: set[str] = field(default_factory=set)
    """The ids of the recorded steps whose edit has come to bear."""


class Session:
    """What a replay is answered with."""

    def __init__(
        self,
        recorded: Recorded,
        bodies: Bodies,
        classes: Classes,
        changes: Changes,
        *,
        written: Bodies | None = None,
        flush: Callable[[], object] = lambda: None,
    ) -> None:
        """Make one.

        Args:
            recorded: the run that answers.
            bodies: where its payloads are kept.
            classes: of which answers may be made.
            changes: what is to be other than recorded.
            written: where the bodies of the replay's own steps are kept, once `flush` has returned.
            flush: makes durable what was recorded so far.
        """
        steps = recorded.steps
        self.of = recorded.chain_id
        self.chain_id = clock.new_chain_id(clock.REPLAYS)
        self.steps = steps
        self.answers = Answers(steps)
        # Each step of the replay stands for one recorded step, in what it receives as in what it produces.
        self._receivers, self._producers = Answers(steps), Answers(steps)
        self._stands_for: dict[str, str] = {}
        self.classes = classes
        self.divergence: Divergence | None = None
        self.settled = threading.Event()
        """Set once the replay has left the record, or has ended: for whoever waits for it."""
        self.heard = time.monotonic()
        """When a step of it began last, or was answered."""
        self.course = Course()
        self.kept_for: dict[object, Any] = {}
        """What adapters keep for the time of this replay, by keys of their own."""
        self._bodies, self._written, self._flush = bodies, written, flush
        self._changes = changes
        self._asking: dict[str, Change] = {}
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._memories: MemoryTwin | None = None
        self._sealed: list[tuple[bytes, bytes]] = []  # bodies that were handed out, and that no step has yet
        self.secrets = Counterparts(steps, own_key)
        self.order = Order()  # in which calls of coroutines get their answers
        self.threads = Threads(len(steps))
        self._lock = threading.Lock()
        _by_chain[self.chain_id] = self

    @contextmanager
    def here(self) -> Iterator[Session]:
        """Put the session in force for a block; nothing that was current is so within it."""
        with Scope(otel_context.set_value(_SESSION, self, otel_context.Context())):
            yield self

    # -- what the recorder tells

    def opening(self, opening: Opening, parent: StepRef | None) -> None:
        """Lead a step that begins a chain into the replay's own."""
        if parent is None or opening.chain_id is not None:
            opening.chain_id = self.chain_id
        # What is done to memories is none of their history.
        if parent is None or opening.kind in MEMORY_KINDS:
            # In place: it may be an adapter's own kind of dict.
            opening.attributes[semconv.REPLAY_OF] = self.of

    def begun(self, step: OpenStep) -> None:
        """Note where a step stands."""
        self.heard = time.monotonic()
        self.threads.begun()
        with self._lock:
            step.bodies += self._sealed
            self._sealed = []
            self._places[step.id] = place_below(self._places.get(step.parent_id or "", NOWHERE), step)
            if len(self._places) > MOST_PLACES:
                self._places.popitem(last=False)

    def place(self, step: OpenStep) -> Place:
        """Return where a step of the replay stands."""
        return self._places.get(step.parent_id or "", NOWHERE)

    # -- answers

    def answer(self, step: OpenStep) -> Recalled | None:
        """Return what a step is answered with; None where it is to be run.

        Raises:
            DivergenceError: the record does not know what it asks, and nothing else may answer.
        """
        self.heard = time.monotonic()
        if self.divergence is not None:
            raise DivergenceError(self.divergence)
        if self.threads.is_over:
            raise self.diverged(step, "ended")
        if step.id in self.course.ran:
            return None  # it asks itself by another door
        place = self.place(step)
        found = self.answers.take(step, place) or self._redacted(self.answers, step, place, self)
        if found is not None and found.id in self._changes.received:
            self.course.applied.add(found.id)
            self._asking[step.id], found = self._changes.received[found.id], None
        if self.is_run(step.name):
            self.course.ran.append(step.id)
            return None
        if found is not None:
            self.course.recalled[step.id] = found.id
            return self._recalled(step, found)
        if self._changes.runs_unknown(step):
            self.course.ran.append(step.id)
            return None
        if self._changes.standin is not None:
            self.course.stood_in.append(step.id)
            return self._stood_in(step, place, self._changes.standin)
        raise self.diverged(step, "needs_live" if self._changes.are_edits else "unknown")

    def made(self, payload: Payload) -> Any:
        """Return the value of a recorded payload, made again.

        Raises:
            UnmadeError: it cannot be.
        """
        return self._rebuilt(canonical.parse_digest(payload.digest))

    def kept(self, step: Step, name: str) -> Any:
        """Return what was kept of a recorded step under a name, made again; `NOTHING` where nothing was."""
        digest = step.attributes.get(semconv.KEPT + name)
        return self._rebuilt(canonical.parse_digest(digest)) if isinstance(digest, str) else NOTHING

    def recalled_value(self, step: Step) -> Any:
        """Return what a recorded step produced, made again."""
        return Recalled(step, self).value()

    def kept_error(self, step: Step) -> BaseException | None:
        """Return the exception that a recorded step ended with, made again; None where none was kept."""
        return Recalled(step, self).error()

    def is_run(self, name: str) -> bool:
        """Return whether a model or a tool is run whenever it is called."""
        return self._changes.runs(name)

    def recorded_input(self, step: Step) -> Any:
        """Return what a recorded step received, made again and edited, where somebody asked for that."""
        given, edit = self.unedited_input(step), self._edit(step.id, self._changes.received)
        return given if edit is None else edit(given)

    def unedited_input(self, step: Step) -> Any:
        """Return what a recorded step received, made again; `NOTHING` where it was not told."""
        given = self.kept(step, "given")
        if given is not NOTHING or step.received is None:
            return given
        return self.made(step.received)

    def rebuilt(self, body: bytes) -> Any:
        """Return the value of a canonical body, made again."""
        return rebuild(body, self._bodies.body, self.classes)

    def request_edit(self, step: OpenStep) -> Change | None:
        """Return what makes another request of the one of a call that is to be run; None where nothing does."""
        return self._asking.get(step.id)

    @property
    def edits_inputs(self) -> bool:
        """Whether what some recorded step received is to be another."""
        return bool(self._changes.received)

    def input_edit(
        self,
        kind: StepKind,
        name: str,
        received: Sealed,
        attributes: Mapping[str, Attribute],
        parent: StepRef | None,
    ) -> Change | None:
        """Return what makes something else of what a step is about to receive; None where nothing does.

        Args:
            kind: of the step, which is not begun.
            name: of the step.
            received: what it would receive, fixed as a step would have it.
            attributes: of the step.
            parent: what it will stand in.
        """
        with self._lock:
            self._sealed += received.bodies  # whoever is sealed next takes them for kept
        place = self._places.get("" if parent is None else parent.id, NOWHERE)
        coming = Coming(kind, name, received.payload, attributes)
        found = self._receivers.take(coming, place) or self._redacted(
            self._receivers, coming, place, _Unwritten(dict(received.bodies), self)
        )
        return None if found is None else self._edit(found.id, self._changes.received)

    def output_edit(self, step: OpenStep) -> Change | None:
        """Return what makes something else of what a step that runs again produces; None where nothing does."""
        if not self._changes.produced:
            return None
        with self._lock:
            if step.id not in self._stands_for:
                found = self._producers.take(step, self.place(step))
                self._stands_for[step.id] = "" if found is None else found.id
        return self._edit(self._stands_for[step.id], self._changes.produced)

    def diverged(self, step: OpenStep, why: Why, detail: str = "", allows: str = "") -> DivergenceError:
        """Return the exception that ends the replay at a step; the first one counts."""
        place = self.place(step)
        request = None if step.received is None else replace(step.received, bodies=self)
        nearest = self.answers.nearest(step, place)
        if not allows and why in ("unknown", "needs_live"):
            allows = allowing(step)
        return self.left(
            Divergence(
                why,
                step.kind,
                step.name,
                step.agent,
                str(place),
                request,
                step.id,
                nearest,
                detail,
                allows,
                self.secrets,
            )
        )

    def left(self, divergence: Divergence) -> DivergenceError:
        """Note where the replay left the record, and return the exception that ends it; the first place counts."""
        if self.threads.is_over and self.divergence is None:
            return DivergenceError(divergence)  # its result is told
        if self.divergence is None:
            self.divergence = divergence
            self.settled.set()
        return DivergenceError(self.divergence)

    def carried(self) -> Carried:
        """Return what does the work of a thread or a pool that is handed over here."""
        late = Divergence("ended", "workflow", "the app", None, "the top", None, "")
        return self.threads.carried(lambda: self.left(late))

    def body(self, digest: bytes) -> bytes | None:
        """Return a body of the recorded run, or of this one."""
        body = self._bodies.body(digest)
        return body if body is not None or self._written is None else self._written.body(digest)

    def memories(self) -> MemoryTwin:
        """Return what stands for the store of the app's memories."""
        with self._lock:
            if self._memories is None:
                self._memories = MemoryTwin(self._bodies, self.of, self.steps)
            return self._memories

    def read_from(self, written: Bodies) -> None:
        """Read from now on what this run wrote from somewhere else."""
        self._written = written

    # -- inside

    def _redacted(self, answers: Answers, step: Placed, place: Place, bodies: Bodies) -> Step | None:
        """Return the recorded step that asked the same with a secret in it; None where there is none.

        A replay asks with the marker that the record has, or with one of its own: the content is the same, its digests
        are not. See `becausal.answers.comparison.meaning`.
        """
        if step.kind not in ANSWERED or step.received is None:
            return None
        request = replace(step.received, bodies=bodies)

        def asks(found: Step, *, learns: bool) -> bool:
            received = found.received
            if received is None or not received.is_kept or not markers_in(received.text()):
                return False
            self._flush()
            return means_the_same(received, request, self.secrets, learns=learns)

        found = answers.take_where(step, place, partial(asks, learns=False))
        return found or answers.take_where(step, place, partial(asks, learns=True))

    def _recalled(self, step: OpenStep, found: Step) -> Recalled:
        edit, answer = self._edit(found.id, self._changes.produced), Recalled(found, self)
        try:
            return answer if edit is None else Recalled(found, self, edit(answer.produced()))
        except UnmadeError as unmade:
            raise self.diverged(step, "unmade", str(unmade)) from None

    def _stood_in(self, step: OpenStep, place: Place, standin: Standin) -> Recalled:
        nearest = self.answers.nearest(step, place)
        request = None if step.received is None else self._asked(step)
        said = standin(Asked(step.kind, step.name, step.agent, str(place), request, nearest))
        return Recalled(nearest or _unknown(step), self, said)

    def _asked(self, step: OpenStep) -> Any:
        assert step.received is not None
        self._flush()
        request = self._rebuilt(canonical.parse_digest(step.received.digest), self.body)
        edit = self._asking.get(step.id)
        return request if edit is None else edit(request)

    def _rebuilt(self, digest: bytes, part: Callable[[bytes], bytes | None] | None = None) -> Any:
        part = part or self._bodies.body
        if (body := part(digest)) is None:
            raise UnmadeError("what was not kept")
        return rebuild(body, part, self.classes)

    def _edit(self, id: str, edits: Mapping[str, Change]) -> Change | None:
        if (edit := edits.get(id)) is not None:
            self.course.applied.add(id)
        return edit


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """The bodies of a value that no step has told yet."""

    own: Mapping[bytes, bytes]
    others: Bodies

    def body(self, digest: bytes) -> bytes | None:
        return self.own[digest] if digest in self.own else self.others.body(digest)


def _unknown(step: OpenStep) -> Step:
    """Return a step that stands for a recorded one where there is none."""
    return Step(
        step.id, step.kind, step.name, step.agent, None, step.chain_id, None, None, step.seq, 0, 0, 0, "ok", None,
        step.received, None,
    )  # fmt: skip
