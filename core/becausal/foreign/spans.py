"""Spans in, steps out: no file, no network, no store. A file's reader uses it, and so can a receiver.

What a span lacks is not guessed: it is counted, and told on the run's first step (`becausal.import.notes`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import islice

from becausal import semconv
from becausal.cleaning import clean
from becausal.errors import ImportFormatError
from becausal.foreign import inferred, own
from becausal.foreign.draft import Drafts, choices_of, note, step_id
from becausal.foreign.order import Key, callers, chain_of, key, numbered, of_each_run, without_twins
from becausal.foreign.span import Span
from becausal.foreign.told import Told, tell
from becausal.foreign.value import MISSING, calls_of
from becausal.redaction import in_force
from becausal.sealing import Sealer
from becausal.step import Cause, Choice, EdgeKind, OpenStep

__all__ = ["of_spans"]

LONGEST_CHAIN_ID = 64
MOST_AROUND = 256
"""So far outwards a link is compared with what encloses its span anyway."""


def of_spans(spans: Iterable[Span], chains: MutableMapping[str, str] | None = None) -> list[OpenStep]:
    """Return the steps of all runs that spans tell of, each run's in causal order.

    Args:
        spans: in any order.
        chains: by its id, the chain that a trace belongs to. Kept by who has runs made once more when more of them has
            come: a run of several traces keeps the name that it had, although one comes last that began first.

    Raises:
        ImportFormatError: none of the spans speaks a dialect that is known.
    """
    gaps: Counter[str] = Counter()
    by_key = without_twins(spans, gaps)
    redact = in_force()
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redact)
    steps: list[OpenStep] = []
    for run in of_each_run(by_key):
        steps += _Run(run, sealer, gaps, {} if chains is None else chains).steps()
    if not steps:
        raise ImportFormatError(
            f"none of the {len(by_key)} spans is an agent's, a model's or a tool's by the names of OpenInference, "
            "OpenLLMetry, the GenAI conventions, Langfuse, LangSmith, MLflow, AutoGen or becausal"
        )
    if redact is not None:
        for step in steps:
            clean(step, redact)
    return steps


class _Run:
    """The spans of one run on their way to steps."""

    def __init__(
        self, spans: Sequence[Span], sealer: Sealer, gaps: Counter[str], chains: MutableMapping[str, str]
    ) -> None:
        self._chains = chains
        self._gaps = gaps.copy()  # what was found before the spans were parted into runs
        self._spans = {key(span): span for span in spans}
        self._told = self._tell()
        self._callers = callers(self._spans, self._gaps)
        self._keep_roots()
        self._enclosing = self._nearest_steps()
        self._sealer = sealer

    def steps(self) -> list[OpenStep]:
        """Return the run's steps; none where no span of it is one."""
        told = [told for told in self._told.values() if told.kind is not None and not told.is_own]
        ids = self._ids()
        ours = own.steps_of(
            [told.span for told in self._told.values() if told.is_own], self._enclosing, ids, self._sealer
        )
        if not told:
            return self._recorded(list(ours.values()))
        self._promote_nodes(told)
        inferred.take_what_was_sent(self._told, self._enclosing, self._gaps)
        inferred.take_what_was_buffered(told, self._enclosing)
        inferred.take_from_messages(told, self._gaps)
        self._open_requests(told)
        drafts = Drafts(self._chain_id(), self._sealer)
        before = {name: [*self._linked(name), *self._caller_of(name)] for name in self._spans}
        steps = [told.span for told in self._told.values() if told.kind is not None]
        for span in numbered(steps, before):
            if (step := ours.get(key(span))) is not None:
                drafts.take(step)
            else:
                self._draft(drafts, ids, self._told[key(span)])
        self._count_gaps(told)
        note(drafts.made[0], self._dialects(), self._notes())
        return drafts.made

    # -- which spans are steps

    def _tell(self) -> dict[Key, Told]:
        told = {name: tell(span) for name, span in self._spans.items()}
        others = [one.span for one in told.values() if not one.is_own]
        ours = [one.span for one in told.values() if one.is_own] if others else []
        for name in own.doubles(ours, others):
            if told[name].kind is not None:
                self._gaps["spans left out: becausal recorded the same process itself"] += 1
            told[name] = Told(self._spans[name], None, ())
        return told

    def _keep_roots(self) -> None:
        """Keep what encloses a whole run although it speaks no dialect: a web request, a job."""
        called = set(self._callers.values())
        if any(told.is_own for told in self._told.values()):
            return  # the chain has its own request
        for name, told in self._told.items():
            if told.kind is None and not told.sends and name not in self._callers and name in called:
                told.kind, told.name = "workflow", told.span.name or "workflow"
        # A root below which is nothing but roots of its kind is no run of agents.
        if all(not told.dialects for told in self._told.values() if told.kind is not None):
            for told in self._told.values():
                told.kind = None

    def _nearest_steps(self) -> dict[Key, Key | None]:
        """Return for each span the nearest one around it that is a step."""
        found: dict[Key, Key | None] = {}
        for start in self._spans:
            way = []
            here = self._callers.get(start)
            before = start
            while here is not None and before not in found and self._told[here].kind is None:
                way.append(before)
                before, here = here, self._callers.get(here)
            end = found.get(before, here)
            found.update(dict.fromkeys([*way, before], end))
        return found

    def _caller_of(self, name: Key) -> list[Key]:
        caller = self._enclosing[name]
        return [] if caller is None else [caller]

    def _linked(self, name: Key) -> list[Key]:
        """Return the steps that a span is linked to: themselves, or around the span that is linked."""
        found = []
        for trace, identity, _ in self._spans[name].links:
            source: Key | None = (trace, identity)
            if source in self._told and self._told[source].kind is None:
                source = self._enclosing[source]
            if source is not None and source in self._told and source != name:
                found.append(source)
        return list(dict.fromkeys(found))

    # -- what the record says without saying it of the span itself

    def _promote_nodes(self, told: Sequence[Told]) -> None:
        """Know LangGraph's nodes as agents, and its routes by what they return: a node's name."""
        nodes = {one.node for one in told if one.node is not None and one.node == one.name}
        for one in told:
            if one.kind != "workflow" or one.node is None:
                continue
            around = self._enclosing[key(one.span)]
            outer = self._told[around] if around is not None else None
            if one.name == one.node and (outer is None or outer.node != one.node):
                one.kind, one.agent = "agent", one.name
            elif (goal := _only_text(one.produced)) in nodes or goal in ("__end__", "END"):
                one.kind = "route"

    def _open_requests(self, told: Sequence[Told]) -> None:
        """Know what encloses a run and has no content of its own as the request: what is in it tells what came out."""
        for one in told:
            if one.kind == "workflow" and self._enclosing[key(one.span)] is None and one.node is None:
                one.kind = "request" if one.received is one.produced is MISSING else "workflow"

    # -- steps

    def _recorded(self, steps: list[OpenStep]) -> list[OpenStep]:
        """Return the steps of a run that becausal recorded and nobody else, numbered as it did."""
        if steps:
            steps.sort(key=lambda step: (step.seq, step.started_ns, step.id))
            self._gaps["steps whose caller is not in the file"] = sum(
                told.is_own and self._enclosing[name] is None and told.span.parent_id is not None
                for name, told in self._told.items()
            )
            if not any(step.bodies for step in steps):
                self._gaps["no content recorded at all, in so many steps"] = len(steps)
            note(steps[0], ("becausal",), self._notes())
        return steps

    def _draft(self, drafts: Drafts, ids: Mapping[Key, str], told: Told) -> None:
        span, name = told.span, key(told.span)
        caller = self._enclosing[name]
        parent_id = ids[caller] if caller is not None else self._missing_caller(span)
        if told.agent is None and caller is not None:
            told.agent = self._told[caller].agent  # numbered before it, and so known by now
        assert told.kind is not None
        step = drafts.begin(
            ids[name], told.kind, told.name, told.agent, parent_id, span.started_ns, span.ended_ns, told.error
        )
        step.attributes.update(told.attributes or {})
        if told.received is not MISSING:
            drafts.receive(step, told.received)
        if told.produced is not MISSING:
            drafts.produce(step, told.produced)
        if told.kind == "model":
            step.choices = choices_of(calls_of(told.produced))
        elif told.kind == "route" and (goal := _only_text(told.produced)):
            step.chose(Choice(f"route to {goal[:100]}"))
        step.causes.extend(self._causes(name, told, ids))

    def _missing_caller(self, span: Span) -> str | None:
        if span.parent_id is None or (span.trace_id, span.parent_id) in self._spans:
            return None
        self._gaps["steps whose caller is not in the file"] += 1
        return step_id(span.parent_id)

    def _causes(self, name: Key, told: Told, ids: Mapping[Key, str]) -> list[Cause]:
        if not (linked := self._linked(name)):
            return []
        around = set(islice(self._outwards(name), MOST_AROUND))
        usual: EdgeKind = "transfer" if told.kind == "agent" else "data"
        return [
            Cause(ids[source], usual, "declared", "span link") for source in linked if source not in around
        ]

    def _outwards(self, name: Key) -> Iterator[Key]:
        """Yield the steps around a span, innermost first."""
        while (around := self._enclosing[name]) is not None:
            yield around
            name = around

    def _ids(self) -> dict[Key, str]:
        """Return the steps' ids: the spans' own, where they are ids of ours and nobody else's."""
        ids: dict[Key, str] = {}
        used: set[str] = set()
        for name, told in self._told.items():
            node = told.span.attributes.get(semconv.NODE_ID)
            identity = step_id(node if isinstance(node, str) else told.span.span_id)
            if identity in used:
                identity = step_id(told.span.span_id, told.span.trace_id)
            used.add(identity)
            ids[name] = identity
        return ids

    def _chain_id(self) -> str:
        ours = next((chain_of(told.span) for told in self._told.values() if told.is_own), None)
        if ours is not None:
            return ours
        by_time = sorted(self._spans.values(), key=lambda span: (span.started_ns, key(span)))
        traces = dict.fromkeys(span.trace_id for span in by_time)
        before = next((self._chains[trace] for trace in traces if trace in self._chains), None)
        chain = before or self._first_chain(by_time)
        self._chains.update(dict.fromkeys(traces, chain))
        return chain

    def _first_chain(self, by_time: Sequence[Span]) -> str:
        named = next(filter(None, map(chain_of, self._spans.values())), by_time[0].trace_id)
        if re.fullmatch(r"[\w.:-]+", named) and len(named) <= LONGEST_CHAIN_ID:
            return named
        return step_id(named, "chain") * 2

    # -- what is missing

    def _count_gaps(self, told: Sequence[Told]) -> None:
        gaps = self._gaps
        gaps["spans left out: of no known dialect"] = sum(
            one.kind is None and not one.sends and not one.dialects for one in self._told.values()
        )
        for one in told:
            caller = self._enclosing[key(one.span)]
            if caller is not None and one.span.started_ns < self._spans[caller].started_ns:
                gaps["steps that began before their caller: clocks differ"] += 1
            if one.span.ended_ns is not None and one.span.ended_ns < one.span.started_ns:
                gaps["steps that ended before they began: clocks differ"] += 1
            gaps["links that lead out of the file"] += sum(
                link[:2] not in self._spans for link in one.span.links
            )
            if one.kind == "tool":
                gaps["tools without arguments recorded"] += one.received is MISSING
                gaps["tools without a result recorded"] += one.produced is MISSING and one.error is None
            elif one.kind == "model":
                gaps["models without messages recorded"] += one.received is MISSING
                gaps["models without an answer recorded"] += one.produced is MISSING and one.error is None
        kinds = Counter(one.kind for one in told)
        if all(one.received is MISSING and one.produced is MISSING for one in told):
            gaps["no content recorded at all, in so many steps"] = len(told)
        if not kinds["model"]:
            gaps["no model call recorded, in so many steps"] = len(told)

    def _notes(self) -> tuple[str, ...]:
        return tuple(f"{what}: {n}" for what, n in sorted(self._gaps.items()) if n)

    def _dialects(self) -> tuple[str, ...]:
        told = [one for one in self._told.values() if one.kind is not None]
        return tuple(dict.fromkeys(name for one in told for name in one.dialects))


def _only_text(value: object) -> str | None:
    """Return a text that is all that a value holds."""
    while isinstance(value, dict | list) and len(value) == 1:
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value if isinstance(value, str) else None
