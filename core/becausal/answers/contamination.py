"""Contamination: from what is known to be wrong to all who read it and all that came of it, in every run of a store.

    spread = runs.contaminated_by("research/prices@3")     # a version of a memory's key
    spread = run.contamination(run.tool_calls[0])          # a tool's result, a finding, any step
    spread.runs[1].entries[0].step                         # <Step … memory_read 'prices' of planner>: how it got there
    [one.chain_id for one in spread.outputs]               # the runs whose answers say it

Within a run everything downstream of a wrong step is reached; of that, those steps carry it whose payloads still say
what was wrong, in whichever wording. It passes to other runs by memory (a version that carries it was read there), by
a conversation that goes on from a step that carries it, and by content (a step there received or produced the very
same payload: a cached result of a tool, an answer that became the next question). What was only reached may be fine,
and passes nothing on unless `possible` says so. Nothing passes to what had ended before: who read a version is known by
the write that the read names, never by a number, and the same payload counts from when it was wrong.

Only the runs that it came to are loaded, however many the store has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from becausal import facts as stating
from becausal import semconv
from becausal.answers.version import Version, event_of
from becausal.clock import is_replay
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.graph import Graph
from becausal.graph.content import Contents
from becausal.graph.wording import Wording, normal
from becausal.harmless import legible
from becausal.memory_event import MemoryEvent, MemoryRead
from becausal.memory_view import content_of
from becausal.payload import Payload
from becausal.step import Step
from becausal.store import Store
from becausal.store.links import links_of
from becausal.store.numbering import load, versions_by

__all__ = ["Contamination", "Entry", "Spread", "contaminated_by"]

SHORTEST_TEXT: Final = 8
"""Characters of a text that is not the same by accident; facts may be shorter."""
SHORTEST_FACT: Final = 3
MOST_TEXTS: Final = 32
"""So many texts of what is wrong are followed, the longest first."""
SMALLEST: Final = 24
"""Bytes of a payload that is not the same by accident."""
MOST_READ: Final = 1_000_000
"""Bytes of a payload beyond which it is not read for what it states."""
MOST_HOLDERS: Final = 10_000
"""So many steps that hold the same payload are followed."""


How = Literal["origin", "memory", "content", "continued"]


@dataclass(frozen=True, slots=True)
class Entry:
    """How it came into a run."""

    step: Step
    """The first step that had it."""
    how: How
    """`content`: it received or produced the very same payload. `continued`: it goes on from a step of another run."""
    evidence: str
    """`research/prices@3`, `payload 81f0…`, `step 4c2a…`."""
    from_run: str | None
    """The chain id of the run that it came from; None where that is this run, or nobody's."""


@dataclass(frozen=True)
class Spread:
    """One run that it came to."""

    chain_id: str
    name: str
    """The run's."""
    entries: tuple[Entry, ...]
    reached: tuple[Step, ...]
    """The steps that depend on it, in `seq` order: what they say may be wrong."""
    carrying: tuple[Step, ...]
    """Those of them that say it."""
    output: Step | None
    """The run's output step, where it was reached."""
    is_output_wrong: bool
    """Whether the run's answer says it: of a whole state or conversation what was said last."""
    written: tuple[Version, ...]
    """The versions that pass it on."""


@dataclass(frozen=True)
class Contamination:
    """Where something wrong came to."""

    texts: tuple[str, ...]
    """What is wrong, in words: what is looked for. Empty where it says nothing that could be recognised."""
    runs: tuple[Spread, ...]
    """The run that it began in first, then in the order in which it came to them."""
    versions: tuple[Version, ...]
    """The versions of memories that say it."""

    @property
    def readers(self) -> tuple[Step, ...]:
        """The steps that read a version that says it, in other runs and in its own."""
        entries = [entry.step for run in self.runs for entry in run.entries if entry.how == "memory"]
        inside = [step for run in self.runs for step in run.carrying if step.kind == "memory_read"]
        return tuple({step.id: step for step in (*entries, *inside)}.values())

    @property
    def outputs(self) -> tuple[Spread, ...]:
        """The runs whose output says it."""
        return tuple(run for run in self.runs if run.is_output_wrong)

    @property
    def agents(self) -> tuple[str, ...]:
        """Who said it, in any run."""
        return tuple(dict.fromkeys(step.agent for run in self.runs for step in run.carrying if step.agent))

    @legible
    def __repr__(self) -> str:
        return f"<Contamination of {len(self.runs)} runs, {len(self.outputs)} outputs, {len(self.versions)} versions>"


def contaminated_by(
    store: Store,
    of: Step | Version | Finding,
    *,
    graph: Graph | None = None,
    possible: bool = False,
    most_runs: int | None = None,
) -> Contamination:
    """Return where a step's result, a version of a memory or what a finding tells of came to.

    Args:
        store: whose runs are looked at.
        of: what is wrong.
        graph: the step's run, if it is loaded already.
        possible: let what was reached, and does not say it in words that are known, pass it on too.
        most_runs: after so many runs the search ends; None for all.

    Raises:
        MemoryKeyError: nobody wrote this version.
    """
    begin = event_of(store, of) if isinstance(of, Version) else None
    step = of.step if isinstance(of, Finding) else of if isinstance(of, Step) else None
    payload = begin.payload if begin is not None else _content(step)
    texts = _texts(payload, step, (of.wrong or of.evidence) if isinstance(of, Finding) else ())
    known = {} if graph is None or step is None else {step.chain_id: graph}
    came_of = begin or step
    tracing = _Tracing(
        store, texts, possible, known, most_runs, None if came_of is None else came_of.chain_id
    )
    if step is not None:
        tracing.enter(step.chain_id, step.id, "origin", f"step {step.id}", None)
    if begin is not None:
        tracing.begin_with(Version(begin.memory, begin.key, begin.version), begin)
    if payload is not None and payload.size >= SMALLEST:
        since_ns = begin.at_ns if begin is not None else 0 if step is None else step.started_ns
        tracing.payloads.append((payload, None if step is None else step.chain_id, since_ns))
    tracing.run()
    return Contamination(
        tuple(wording.text for wording in texts), tuple(tracing.spreads.values()), tuple(tracing.versions)
    )


class _Seed(NamedTuple):
    """How it may have come to a step."""

    how: How
    evidence: str
    from_run: str | None
    since_ns: int
    """When it was there at the earliest; 0: the record itself says that it came here."""

    def may_have_come_to(self, step: Step) -> bool:
        """Return whether a step had not ended by then."""
        return step.ended_ns is None or step.ended_ns >= self.since_ns


@dataclass(eq=False)
class _Tracing:
    """The search, in rounds: what one round found wrong is looked for in other runs in the next."""

    store: Store
    texts: Sequence[Wording]
    possible: bool
    loaded: dict[str, Graph]
    most_runs: int | None
    began_in: str | None
    """The run that it began in."""
    payloads: list[tuple[Payload, str | None, int]] = field(default_factory=list)
    """What is looked for by its digest in the next round, the run that has it, and since when."""
    versions: dict[Version, None] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)
    _entered: dict[str, dict[str, _Seed]] = field(default_factory=dict)
    _waiting: dict[str, None] = field(default_factory=dict)
    _reads: dict[tuple[str, str], list[MemoryRead]] = field(default_factory=dict)
    _seen_digests: set[str] = field(default_factory=set)

    def enter(
        self, chain_id: str, step_id: str, how: How, evidence: str, from_run: str | None, since_ns: int = 0
    ) -> None:
        """Note that a step of a run had it; the run is looked at in this round.

        A replay says again what a run said: it is no other run that it came to.
        """
        if is_replay(chain_id) and chain_id != self.began_in:
            return
        steps = self._entered.setdefault(chain_id, {})
        known = self.spreads.get(chain_id)
        if step_id not in steps and (known is None or all(step.id != step_id for step in known.reached)):
            steps[step_id] = _Seed(how, evidence, from_run, since_ns)
            self._waiting[chain_id] = None

    def begin_with(self, version: Version, event: MemoryEvent) -> None:
        """Begin with a version: with the step that wrote it, if it is known, and with who read it."""
        if event.chain_id is not None and event.step_id is not None:
            self.enter(event.chain_id, event.step_id, "origin", str(version), None)
        self._pass_on(version, event.chain_id)

    def run(self) -> None:
        """Search until nothing new is found."""
        while self._waiting or self.payloads:
            sources: dict[str, str] = {}
            waiting, self._waiting = list(self._waiting), {}
            for chain_id in waiting:
                if self.most_runs is not None and len(self.spreads) >= self.most_runs:
                    return
                sources.update(dict.fromkeys(self._spread(chain_id), chain_id))
            self._by_digest()
            self._by_cause(sources)

    def _spread(self, chain_id: str) -> Iterator[str]:
        """Look at one run; yield the ids of the steps that pass it on."""
        graph = self.loaded.pop(chain_id, None) or Graph(load(self.store, chain_id))
        seeds = {
            step_id: seed
            for step_id, seed in self._entered[chain_id].items()
            if step_id in graph and seed.may_have_come_to(graph.step(step_id))
        }
        if not seeds:
            return
        reached = {one.id: one for seed in seeds for one in (graph.step(seed), *graph.downstream(seed))}
        digests = _holders(graph, self.texts)
        ordered = sorted(reached.values(), key=lambda step: (step.seq, step.id))
        carrying = [step for step in ordered if step.id in seeds or _carries(step, digests)]
        passing = ordered if self.possible else carrying
        written = self._written(passing)
        output = (
            graph.output_step if graph.output_step is not None and graph.output_step.id in reached else None
        )
        is_wrong = output is not None and _says(Scene(graph, ()).answer, self.texts)
        self.spreads[chain_id] = Spread(
            chain_id,
            graph.roots[0].name,
            tuple(
                Entry(graph.step(one), seed.how, seed.evidence, seed.from_run) for one, seed in seeds.items()
            ),
            tuple(ordered),
            tuple(carrying),
            output,
            is_wrong,
            tuple(written),
        )
        for version, is_logged in written.items():
            if is_logged:
                self._pass_on(version, chain_id)
        if (
            is_wrong
            and output is not None
            and output.produced is not None
            and output.produced.size >= SMALLEST
        ):
            began_ns = min(graph.step(one).started_ns for one in seeds)
            self.payloads.append((output.produced, chain_id, began_ns))
        yield from (step.id for step in passing)

    def _written(self, steps: Iterable[Step]) -> dict[Version, bool]:
        """Return the versions that steps wrote, and whether the store's log has them under these numbers."""
        writes = [step for step in steps if step.kind == "memory_write"]
        logged = {
            (chain_id, step_id, memory): version
            for (step_id, memory, _), by_chain in versions_by(self.store, {s.id for s in writes}).items()
            for chain_id, version in by_chain.items()
        }
        found: dict[Version, bool] = {}
        for step in writes:
            said = step.attributes
            memory, key = said.get(semconv.MEMORY_STORE), said.get(semconv.MEMORY_RECORD)
            number = logged.get((step.chain_id, step.id, str(memory)), said.get(semconv.MEMORY_VERSION))
            if isinstance(memory, str) and isinstance(key, str) and isinstance(number, int):
                found[Version(memory, key, number)] = (step.chain_id, step.id, memory) in logged
        return found

    def _pass_on(self, version: Version, chain_id: str | None) -> None:
        """Enter the runs that read a version."""
        if version in self.versions:
            return
        self.versions[version] = None
        name = version.memory, version.key
        if name not in self._reads:
            self._reads[name] = self.store.memory_reads(*name)
        for read in self._reads[name]:
            if read.version == version.version and read.chain_id != chain_id:
                self.enter(read.chain_id, read.step_id, "memory", str(version), chain_id)

    def _by_digest(self) -> None:
        """Enter the runs that hold the very same payloads."""
        links = links_of(self.store)
        wanted = {payload.digest: (chain_id, since_ns) for payload, chain_id, since_ns in self.payloads}
        self.payloads = []
        new = [digest for digest in wanted if digest not in self._seen_digests]
        self._seen_digests.update(new)
        for found in links.holding(new, limit=MOST_HOLDERS) if links is not None and new else ():
            source, since_ns = wanted[found.digest]
            if found.chain_id != source:
                short = found.digest.rpartition(":")[2][:8]
                self.enter(found.chain_id, found.step_id, "content", f"payload {short}", source, since_ns)

    def _by_cause(self, sources: dict[str, str]) -> None:
        """Enter the runs that go on from a step that has it."""
        links = links_of(self.store)
        for taken in links.taken_from(sources) if links is not None and sources else ():
            if taken.chain_id != sources[taken.source_id]:
                evidence = f"step {taken.source_id}"
                self.enter(taken.chain_id, taken.step_id, "continued", evidence, sources[taken.source_id])


def _content(step: Step | None) -> Payload | None:
    if step is None:
        return None
    return content_of(step) if step.kind == "memory_write" else step.produced or step.received


def _texts(payload: Payload | None, step: Step | None, evidence: Iterable[str]) -> tuple[Wording, ...]:
    """Return what is wrong in words: what a finding quotes of it, else what it says and its step was not given."""
    if payload is None or not payload.is_kept or payload.size > MOST_READ:
        return ()
    shown = payload.text()
    quoted = [text for text in evidence if len(text) >= SHORTEST_FACT and text in shown]
    given = ""
    if (
        step is not None
        and step.kind != "memory_write"
        and step.received is not None
        and step.received.is_kept
    ):
        given = step.received.text() if step.received.size <= MOST_READ else ""
    figures = [
        fact.text
        for fact in stating.facts(shown)
        if len(fact.text) >= SHORTEST_FACT
        and fact.kind not in ("rule", "term")
        and any(map(str.isdigit, fact.text))
    ]
    content = Contents().of(payload)
    leaves = [leaf.strip() for leaf in content.leaves] if content is not None else []
    lines = [
        line.strip() for leaf in leaves for line in leaf.splitlines() if len(line.strip()) >= SHORTEST_TEXT
    ]
    said = quoted or [text for text in (*figures, *lines) if text not in given]
    chosen = sorted(dict.fromkeys(said), key=lambda text: (-len(text), text))[:MOST_TEXTS]
    return tuple(Wording(text, (shown,)) for text in chosen)


def _holders(graph: Graph, texts: Sequence[Wording]) -> frozenset[str]:
    """Return the digests of a run's payloads that say one of some texts."""
    return frozenset(
        digest
        for wording in texts
        for digest, grade in graph.index.grades(graph.index.find(wording)).items()
        if grade != "inferred"
    )


def _says(text: str, wordings: Sequence[Wording]) -> bool:
    plain = normal(text)
    return any(wording.is_in(text) or wording.is_in_normal(plain) for wording in wordings)


def _carries(step: Step, digests: frozenset[str]) -> bool:
    payloads = (step.received, step.produced)
    return any(payload is not None and payload.digest in digests for payload in payloads)
