"""A recorded chain, loaded: what one asks questions of.

    runs = becausal.open()
    run = runs.last()
    run.blame("20 million").segments[0].origin

A run is read whole when it is got, and its payloads' bodies when somebody asks for them; so the store that
it came from stays open for as long as the run is used. Of a chain of a million steps a part is enough:

    run = runs.last(last=10_000)       # the last ten thousand steps; `run.part` says what is loaded
    run.why("4f1c…")                   # what led to a step is loaded when it is asked about
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import overload

import becausal.blame as blaming
from becausal import findings as finding_out
from becausal.answers import lineage, rootcause
from becausal.answers import orphans as orphaned
from becausal.answers.comparison import Comparison, compare
from becausal.answers.contamination import Contamination, contaminated_by
from becausal.answers.health import Health
from becausal.answers.health import health as judge_health
from becausal.answers.lineage import Lineage
from becausal.answers.orphans import Orphan
from becausal.answers.report import Format
from becausal.answers.report import report as write_report
from becausal.answers.rootcause import Suspect
from becausal.answers.version import held_as, names_key, not_held, version_of
from becausal.blame import Blame
from becausal.cassette import Cassette
from becausal.counterfactual import MOST_REPLAYS, Counterfactual, Piece, PieceKind, blame_by_replay
from becausal.decision import Decision
from becausal.drift import Drift, Embed, drift, embedder
from becausal.errors import BecausalError, StepNotFoundError
from becausal.finding import Finding
from becausal.findings.departures import departures
from becausal.findings.scene import Scene
from becausal.graph.part import Part
from becausal.handoff import Handoff
from becausal.memory_view import Held
from becausal.record import Record
from becausal.replay.outcome import Replay
from becausal.replay.recalled import Standin
from becausal.replay.replaying import replay, several
from becausal.step import Step
from becausal.store import Store
from becausal.store.numbering import load
from becausal.toolcall import ToolCall

__all__ = ["Asked", "Run"]

Asked = Step | Handoff | ToolCall | Decision | str
"""What one may ask about: a step, what a step tells, its id or the beginning of its id."""


class Run(Record):
    """One recorded chain: what its record says, and what is asked of it.

    What was worked out for one question is kept for the next, without a lock: threads that ask at once load a run each.
    """

    def __init__(
        self, chain_id: str, steps: Iterable[Step], *, store: Store | None = None, part: Part | None = None
    ) -> None:
        super().__init__(chain_id, steps, store=store, part=part)
        self._reached: tuple[str, Run] | None = None

    @classmethod
    def of_part(cls, part: Part) -> Run:
        """Return the run that a part of a chain makes."""
        return cls(part.chain_id, part.steps, store=part.store, part=part)

    @cached_property
    def orphans(self) -> tuple[Orphan, ...]:
        """Work that belongs to this run without a living link to it: lost threads, callbacks, messages nobody read."""
        # Who has an orphan's content is told from all that a run has.
        return () if self.part is not None else orphaned.orphans_of(self.chain_id, self.graph, self.store)

    def joined(self) -> Run:
        """Return this run with its orphans in it, so that `blame`, `why` and `impact` see them too."""
        certain = [orphan for orphan in self.orphans if orphan.how == "unlinked" and not orphan.others]
        return Run(self.chain_id, orphaned.joined(self.graph, certain), store=self.store)

    def contamination(self, of: Asked | Finding | Held, *, possible: bool = False) -> Contamination:
        """Return where something wrong of this run came to: every reader, every output, in this run and in others.

        Args:
            of: a step whose result is wrong, a tool call, a finding, a version of a memory's key (`facts/tier@3`;
                without a number the last that this run wrote).
            possible: follow what depends on it without saying it into other runs, too.

        Raises:
            StepNotFoundError: there is no such step, and nobody wrote such a key.
            MemoryKeyError: several memories have this key.
            BecausalError: this run came from no store.
        """
        if self.store is None:
            raise BecausalError("this run came from no store: get it with becausal.open().get(…)")
        if isinstance(of, str) and names_key(of):
            held = held_as(self.memory, of)
            version = None if held is not None else version_of(self.store, of)
            if version is not None:  # that another run wrote
                return contaminated_by(self.store, version, possible=possible)
            if held is None:
                raise StepNotFoundError(not_held(self.memory, self.store, of))
            of = held
        wrong = (
            of
            if isinstance(of, Finding)
            else of.step
            if isinstance(of, Held)
            else self.graph.step(_named_step(of))
        )
        return contaminated_by(self.store, wrong, graph=self.graph, possible=possible)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, in the order in which it entered.

        Of a part of a run: what is shown by what is loaded. That something was lost, or that nobody had said it, is
        known of a whole run alone.
        """
        found = finding_out.find(self.graph, self.handoffs)
        if self.part is not None:
            return found
        lost = orphaned.findings_of(self.orphans)
        strayed = departures(self.graph, self.store)
        return tuple(sorted((*found, *lost, *strayed), key=finding_out.place)) if lost or strayed else found

    @cached_property
    def health(self) -> Health:
        """One verdict on the run as a whole, with its reasons: `assert becausal.last_run().health.ok`."""
        return judge_health(self)

    def _reaching(self, of: Step | Handoff | str | None) -> Run:
        """Return this run with what led to a step; that is loaded where only a part of the chain was."""
        if self.part is None:
            return self
        if isinstance(of, str) and of not in self.graph and self.part.has_beginning(of):
            step_id = of
        else:
            step = self.graph.output_step if of is None else self.graph.step(of)
            if step is None:
                return self
            step_id = step.id
        if self._reached is None or self._reached[0] != step_id:
            self._reached = step_id, Run.of_part(self.part.reaching(step_id))
        return self._reached[1]

    def why(self, of: Asked | None = None) -> Lineage:
        """Return everything upstream of a step, of a handoff or, by default, of the output.

        Raises:
            StepNotFoundError: there is no such step, or no output.
        """
        named = _named_step(of)
        return lineage.why(self._reaching(named).graph, named)

    def impact(self, of: Asked) -> Lineage:
        """Return everything downstream of a step or of a handoff.

        Raises:
            StepNotFoundError: there is no such step.
        """
        return lineage.impact(self.graph, _named_step(of))

    def blame(self, text: str | int | float | None = None, *, of: Asked | None = None) -> Blame:
        """Return where a text of the output came in, and its way; without a text, each piece of the output.

        Args:
            text: a phrase, a number or a field's value, in whichever wording.
            of: another step or handoff to ask about, in place of the output.

        Raises:
            StepNotFoundError: there is no such step.
        """
        named = _named_step(of)
        return blaming.blame(self._reaching(named).graph, None if text is None else str(text), of=named)

    def root_cause(self, of: Asked | None = None, *, text: str | int | float | None = None) -> list[Suspect]:
        """Return who may have caused what is wrong, the likeliest first; empty where nothing speaks against anybody.

        Args:
            of: the step that is wrong; None for the run as a whole.
            text: words of the output, or of what the step says, that are known to be wrong: then the suspects are
                the steps that brought them in, whether or not a finding names them.

        Raises:
            StepNotFoundError: there is no such step.
        """
        return rootcause.root_cause(self, _named_step(of), text=None if text is None else str(text))

    def drift(self, *, embed: Embed | None = None, model: str | None = None) -> Drift:
        """Return what became of the request's facts and constraints, hop by hop, and how far its meaning moved.

            run.drift().lost               # what the last agents no longer knew, and where it went
            run.drift(embed=my_embedding)  # the distance by an embedding too, in `Hop.embedded`

        Args:
            embed: gives a list of texts their vectors, one each.
            model: the name or the path of a model for `model2vec`, in place of `embed`.

        Raises:
            BecausalError: `model` needs model2vec, which is not installed; or `embed` returned no vectors.
        """
        chosen = embed if model is None else embedder(model)
        self._must_be_whole("what became of a request is told from beginning to end")
        scene = Scene(self.graph, self.handoffs)
        return drift(self.graph, self.handoffs, scene.stated, (scene.answer_facts, scene.answer), chosen)

    def report(self, format: Format = "markdown") -> str:
        """Return an incident report, for people who were not there: Markdown, or one HTML page that is whole in itself.

        Raises:
            BecausalError: there is no such format.
        """
        return write_report(self, format)

    def diff(self, other: Run) -> Comparison:
        """Return this run and another one side by side: what differs, step by step, and where they first part."""
        return compare(self, other)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write this run to a cassette: one file, payloads included, to be read and replayed on another machine.

        Raises:
            CassetteError: it cannot be written, or there is something that is no cassette.
            StoreError: the store cannot be read.
        """
        self._must_be_whole("a cassette has a run whole")
        known = self.store
        events = () if known is None else known.memory_events()
        reads = () if known is None else known.memory_reads()
        return Cassette.of(self.chain_id, self.steps, events, reads).write(path)

    def replay(
        self,
        app: object = None,
        edit: object = None,
        live: bool | str | Collection[str] = False,
        *,
        standin: Standin | None = None,
        network: bool | None = None,
        timeout: float | None = None,
    ) -> Replay[Run]:
        """Run the app again with the recorded answers of models, tools and memory, and see whether it does the same.

        Works inside a running event loop, too: the app runs in a thread of its own.

        Args:
            app: a graph, a team, a function that takes the recorded input (or, if it takes nothing and returns a graph,
                makes it), or `module:name` of one.
            edit: what is to be changed before: `becausal.edit(step)…`, several of them, or a dict from a step (or its
                id, or the key of a memory's record) to another answer or input. Only what depends on it runs anew.
            live: names of models and tools that are really run; True: models whose request the record does not know.
                A tool is never run unless it is named.
            standin: answers a call that the record does not know, in the place of a live one.
            network: whether the app may reach the network; by default only if something may run live.
            timeout: so many seconds it may take in all; then it ends with a divergence. None: as long as it takes, or
                60 seconds where work was cancelled in the recorded run, which may never end by itself. Unless something
                may run live, it ends too when nothing is heard of it for a minute longer than the recorded run took.

        Raises:
            ReplayError: it cannot be replayed so; says why. Nothing has run.
        """
        self._must_be_whole("a replay runs from beginning to end")
        return replay(
            self,
            lambda chain_id, store: Run(chain_id, load(store, chain_id), store=store),
            app,
            edit=edit,
            live=live,
            standin=standin,
            network=network,
            timeout=timeout,
        )

    def counterfactual(
        self,
        app: object,
        changed: Callable[[Run], bool] | None = None,
        *,
        pieces: Iterable[Piece] | None = None,
        kinds: Collection[PieceKind] | None = None,
        corrections: Mapping[Piece, object] | None = None,
        repeats: int = 1,
        most_replays: int = MOST_REPLAYS,
        live: bool | str | Collection[str] = False,
        standin: Standin | None = None,
        network: bool | None = None,
    ) -> Counterfactual:
        """Find the smallest part of the context that changes the outcome when it is taken away or corrected.

        Args:
            app: as for `replay`.
            changed: takes the run of a replay and says whether its outcome is another; by default, whether its output
                means something else.
            pieces: what may be changed; by default the request and all answers that could have reached the output.
            kinds: of which kinds pieces are looked at: `request`, `answer`, `memory`, `statement`.
            corrections: what is to stand in a piece's place, where it is not to be taken away.
            repeats: how often each set of pieces is tried at most: more than once for models that answer at random.
            most_replays: after so many sets the search ends.
            live: as for `replay`; what depends on a changed piece has to be answered by somebody.
            standin: as for `replay`.
            network: as for `replay`.

        Raises:
            ReplayError: the run cannot be replayed, or the replay without a change does not reproduce it.
        """
        with several(self):
            return blame_by_replay(
                self,
                lambda edits: self.replay(app, edits or None, live, standin=standin, network=network),
                changed,
                pieces=pieces,
                kinds=kinds,
                corrections=corrections,
                repeats=repeats,
                most_replays=most_replays,
            )

    async def areplay(
        self,
        app: object = None,
        edit: object = None,
        live: bool | str | Collection[str] = False,
        *,
        standin: Standin | None = None,
        network: bool | None = None,
        timeout: float | None = None,
    ) -> Replay[Run]:
        """Do what `replay` does, without holding up the caller's event loop."""
        return await asyncio.to_thread(
            self.replay, app, edit, live, standin=standin, network=network, timeout=timeout
        )

    def _must_be_whole(self, why: str) -> None:
        if self.part is not None:
            raise BecausalError(f"{why}, and only a part of this run is loaded: load all, runs.get(chain_id)")


@overload
def _named_step(of: Asked) -> Step | Handoff | str: ...
@overload
def _named_step(of: Asked | None) -> Step | Handoff | str | None: ...
def _named_step(of: Asked | None) -> Step | Handoff | str | None:
    """Return what the graph knows a step by."""
    if isinstance(of, ToolCall | Decision):
        return of.step
    if of is None or isinstance(of, Step | Handoff | str):
        return of
    raise StepNotFoundError(
        f"a {type(of).__name__} is no step: give a step, a handoff, a tool call, a decision, or a step's id"
    )
