"""Builds records as the recorder would write them, without a framework.

record = Record()
with record.step("workflow", "team", received="question") as team:
    with record.step("agent", "planner", received="question") as planner:
        planner.produces("plan")
    with record.step("agent", "writer", received="plan", arrivals=[record.handoff(planner, "writer", "plan")]):
        ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from becausal import canonical, semconv
from becausal.graph import Graph
from becausal.payload import Payload
from becausal.step import Attribute, Cause, Choice, EdgeKind, Grade, OpenStep, Step, StepKind
from becausal.store import open_store

__all__ = ["Draft", "Record", "message", "open_step", "research_team", "step_of"]

NOTHING = object()


class Draft:
    """A step that is being built."""

    def __init__(self, record: Record, step: OpenStep) -> None:
        self.record, self.step = record, step

    @property
    def id(self) -> str:
        return self.step.id

    def produces(self, value: object) -> Draft:
        self.step.produced = self.record.seal(self.step, value)
        return self

    def decides(self, conclusion: str, **said: str | float) -> Draft:
        reason, score = said.get("reason"), said.get("score")
        self.step.chose(
            Choice(
                conclusion,
                reason=str(reason) if reason else None,
                score=float(score) if score is not None else None,
                method="declared" if score is not None else None,
            )
        )
        return self

    def caused_by(self, source: Draft, kind: EdgeKind = "transfer", grade: Grade = "declared") -> Draft:
        self.step.causes.append(Cause(source.id, kind, grade, "said so"))
        return self


class Record:
    """One chain's record, with a clock of its own."""

    def __init__(self, chain_id: str = "c" * 32, *, started_ns: int = 1_000) -> None:
        self.chain_id = chain_id
        self.bodies: dict[bytes, bytes] = {}
        self.open: list[Draft] = []
        self.made: list[OpenStep] = []
        self.now = started_ns

    def body(self, digest: bytes) -> bytes | None:
        return self.bodies.get(digest)

    @contextmanager
    def step(
        self,
        kind: StepKind,
        name: str,
        *,
        received: object = NOTHING,
        produced: object = NOTHING,
        arrivals: Sequence[Draft] = (),
        parent: Draft | None = None,
        call: str | None = None,
    ) -> Iterator[Draft]:
        """Build a step around what is built inside."""
        draft = self._begin(kind, name, parent)
        if received is not NOTHING:
            draft.step.received = self.seal(draft.step, received)
        if call is not None:
            draft.step.attributes[semconv.TOOL_CALL_ID] = call
        for handoff in arrivals:
            draft.caused_by(handoff)
            handoff.step.produced = draft.step.received
            handoff.step.attributes[semconv.TRANSFER_RECEIVED_BY] = draft.id
            handoff.step.ended_ns = self._tick()
        self.open.append(draft)
        yield draft
        self.open.pop()
        if produced is not NOTHING:
            draft.produces(produced)
        draft.step.ended_ns = self._tick()
        draft.step.status = "ok"

    def did(self, kind: StepKind, name: str, received: object, produced: object, **more: str | None) -> Draft:
        """Build a step with nothing inside."""
        with self.step(kind, name, received=received, produced=produced, call=more.get("call")) as draft:
            return draft

    def handoff(
        self, sender: Draft, receiver: str, sent: object, *, attributes: dict[str, Attribute] | None = None
    ) -> Draft:
        """Build a handoff that waits for a step to arrive in."""
        draft = self._begin("handoff", f"{sender.step.agent} to {receiver}", None)
        draft.step.agent = sender.step.agent
        draft.step.attributes = {
            semconv.TRANSFER_SOURCE: sender.step.agent or "",
            semconv.TRANSFER_TARGET_OWN: receiver,
            semconv.TRANSFER_SENT_BY: sender.id,
            **(attributes or {}),
        }
        draft.step.status = "ok"
        draft.step.received = self.seal(draft.step, sent)
        return draft.caused_by(sender)

    def steps(self) -> list[Step]:
        """Return the record as a store would."""
        return [step_of(step, self) for step in self.made]

    def graph(self) -> Graph:
        """Return the record's graph."""
        return Graph(self.steps())

    def write(self, url: str) -> None:
        """Keep the record in a store."""
        store = open_store(url)
        store.write(self.made)
        store.close()

    def seal(self, step: OpenStep, value: object) -> Payload:
        encoded = canonical.encode(value)
        bodies = (*encoded.parts, (encoded.digest, encoded.body))
        self.bodies.update(bodies)
        step.bodies.extend(bodies)
        return Payload(
            canonical.digest_text(encoded.digest),
            canonical.digest_text(encoded.belief),
            encoded.size,
            encoded.type_name,
            encoded.lossy,
            self,
        )

    def _begin(self, kind: StepKind, name: str, parent: Draft | None) -> Draft:
        outer = parent or (self.open[-1] if self.open else None)
        number = len(self.made) + 1
        step = open_step(
            number,
            id=f"{number:04x}{self.chain_id[:4]}{number:08x}",
            chain_id=self.chain_id,
            kind=kind,
            name=name,
            agent=name if kind == "agent" else (outer.step.agent if outer is not None else None),
            parent_id=outer.id if outer is not None else None,
            started_ns=self._tick(),
        )
        self.made.append(step)
        return Draft(self, step)

    def _tick(self) -> int:
        self.now += 1_000_000
        return self.now


def open_step(
    number: int = 1,
    *,
    id: str | None = None,
    chain_id: str = "c",
    kind: StepKind = "agent",
    name: str = "clerk",
    agent: str | None = None,
    parent_id: str | None = None,
    hop: int = 0,
    seq: int | None = None,
    started_ns: int | None = None,
) -> OpenStep:
    """Return a step that has started. Its number is its id, its place and its time, unless they are told."""
    return OpenStep(
        id=f"{number:016x}" if id is None else id,
        chain_id=chain_id,
        kind=kind,
        name=name,
        agent=agent,
        parent_id=parent_id,
        hop=hop,
        seq=number if seq is None else seq,
        started_ns=number if started_ns is None else started_ns,
    )


def step_of(step: OpenStep, bodies: Record) -> Step:
    """Return an open step as it would come back from a store."""
    return Step(
        id=step.id,
        kind=step.kind,
        name=step.name,
        agent=step.agent,
        parent_id=step.parent_id,
        chain_id=step.chain_id,
        trace_id=None,
        span_id=None,
        seq=step.seq,
        hop=step.hop,
        started_ns=step.started_ns,
        ended_ns=step.ended_ns,
        status=step.status,
        error=step.error,
        received=step.received,
        produced=step.produced,
        attributes=dict(step.attributes),
        causes=tuple(step.causes),
        choices=tuple(step.choices),
    )


def message(kind: str, content: str, **more: object) -> dict[str, object]:
    """Return a message as frameworks have it, bookkeeping included."""
    return {"type": kind, "content": content, "id": f"run--{abs(hash(content)):016x}", "name": None, **more}


QUESTION = "What was the revenue of Acme in 2025?"
WRONG = "Acme: revenue 2025 was 20 million USD (audited)"


def research_team(record: Record | None = None) -> Record:
    """Return the record of a graph in which a tool's wrong figure reaches the report.

    researcher (model, tool, model) to analyst (model) to writer (model); beside them a critic that says nothing
    of the figure. State is handed on as LangGraph does it: updates are sent, the whole state is received.
    """
    record = record or Record()
    human = message("human", QUESTION)
    call = {"name": "revenue_database", "args": {"company": "Acme"}, "id": "call-1", "type": "tool_call"}
    asks = message("ai", "The figure is in the database.", tool_calls=[call])
    answers = message("tool", WRONG, tool_call_id="call-1")
    found = message("ai", "The database gives 20 million USD.")
    analysis = "With 20 million USD a full audit is due."
    report = "Acme had revenue of 20 million USD in 2025. We recommend a full audit."
    state: dict[str, object] = {"messages": [human]}
    with record.step("workflow", "team", received=state) as team:
        with record.step("agent", "researcher", received=state) as researcher:
            record.did("model", "scripted", [message("system", "You research facts."), human], asks).decides(
                "call revenue_database(company=Acme)", reason="The figure is in the database."
            )
            record.did("tool", "revenue_database", {"company": "Acme"}, WRONG, call="call-1")
            record.did("model", "scripted", [human, asks, answers], found)
            update: dict[str, object] = {"messages": [asks, answers, found], "finding": found["content"]}
            researcher.produces(update)
        state = {"messages": [human, asks, answers, found], "finding": found["content"]}
        handoff, aside = (record.handoff(researcher, to, update) for to in ("analyst", "critic"))
        with record.step("agent", "analyst", received=state, arrivals=[handoff]) as analyst:
            record.did(
                "model", "scripted", [message("human", str(found["content"]))], message("ai", analysis)
            )
            analyst.produces({"analysis": analysis}).decides("a full audit is due", score=0.6)
        with record.step("agent", "critic", received=state, arrivals=[aside]) as critic:
            critic.produces({"remark": "Looks fine to me, nothing to add."})
        state = {**state, "analysis": analysis, "remark": "Looks fine to me, nothing to add."}
        handoff = record.handoff(analyst, "writer", {"analysis": analysis})
        with record.step("agent", "writer", received=state, arrivals=[handoff]) as writer:
            record.did("model", "scripted", [message("human", analysis)], message("ai", report))
            writer.produces({"report": report})
        team.produces({**state, "report": report})
    return record
