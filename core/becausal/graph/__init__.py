"""The causal graph of one chain: its steps, and every edge between them.

Edges come from three places: the nesting of calls, the causes that the record holds, and equal content
where the record holds none (see `becausal.graph.dataflow`). Which step happened before which is a question of its
own (`becausal.graph.order`), since a step is two events there and one node here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from becausal import semconv
from becausal.errors import BecausalError, StepNotFoundError
from becausal.facts import Fact
from becausal.facts.kept import Kept
from becausal.facts.remembered import Remembered
from becausal.graph.content import Contents
from becausal.graph.dataflow import data_edges
from becausal.graph.edge import Edge
from becausal.graph.index import Index
from becausal.graph.order import Nesting, Order
from becausal.graph.part import Part
from becausal.graph.values import Values
from becausal.handoff import Handoff
from becausal.harmless import legible
from becausal.step import Step

if TYPE_CHECKING:
    import networkx  # type: ignore[import-untyped,import-not-found,unused-ignore]

__all__ = ["Graph", "View"]

MOST_STATED = 64_000_000
"""Characters and facts of payloads that are kept in mind as what they state."""

T_co = TypeVar("T_co", covariant=True)


class View(tuple[T_co, ...]):
    """A sequence that may also be called: `graph.nodes` and `graph.nodes()` are the same, as in networkx."""

    __slots__ = ()

    def __call__(self) -> View[T_co]:
        """Return itself."""
        return self


class Graph:
    """A chain's steps and edges. Wherever a step is asked for, its id or the beginning of it will do."""

    def __init__(self, steps: Iterable[Step], part: Part | None = None) -> None:
        self.part = part
        """What of the chain is loaded; None: all of it."""
        self._steps = {step.id: step for step in sorted(steps, key=lambda step: (step.seq, step.id))}
        self.contents = Contents()
        """What the payloads say, each read once."""
        self.values = Values()
        """What the payloads hold, decoded: each stored part once."""
        self.kept = Kept()
        """Which texts were read for what they state, by whomever."""
        self.stated: Remembered[str, tuple[tuple[Fact, ...], str]] = Remembered(MOST_STATED)
        """What payloads state, and their texts, by digest: read once for all who judge this run."""

    @property
    def nodes(self) -> View[Step]:
        """The steps, in `seq` order."""
        return View(self._steps.values())

    @cached_property
    def edges(self) -> View[Edge]:
        """Call edges, recorded causes and data edges, in the order of the caused step."""
        found = [*self._calls, *self._recorded, *self._data]
        return View(sorted(found, key=lambda edge: (edge.target.seq, edge.source.seq)))

    @cached_property
    def index(self) -> Index:
        """Which payloads hold a text."""
        return Index(self.nodes, self.contents)

    @cached_property
    def order(self) -> Order:
        """What happened before what."""
        return Order(self.nodes, [*self._recorded, *self._data])

    @cached_property
    def roots(self) -> tuple[Step, ...]:
        """The steps whose caller is none or is not in the store, in `seq` order."""
        return tuple(step for step in self.nodes if step.parent_id not in self._steps)

    @cached_property
    def root_is_lost(self) -> bool:
        """Whether every step was called by another: the one that holds them all was never written, or elsewhere."""
        callers = [root.parent_id for root in self.roots]
        return bool(callers) and all(one is not None and self.is_foreign(one) for one in callers)

    @cached_property
    def came_in(self) -> bool:
        """Whether its root is lost because the chain came in from another process, and what came in has ended."""
        return self.root_is_lost and all(
            semconv.ENTERED in root.attributes and root.ended_ns is not None for root in self.roots
        )

    @cached_property
    def output_step(self) -> Step | None:
        """The step whose produced payload is the chain's output; None if nothing was produced.

        That is the root. Of several roots, the last that ended. Where the app did not say what came out of a
        request or of an agent's turn, what the last step within it produced.
        """
        ends = [end for root in self.roots if (end := self._output_of(root)) is not None]
        return max(ends, key=_ended, default=None)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Ids that the record names as callers or causes, of steps that are not in the store."""
        named = [
            name
            for step in self.nodes
            for name in (step.parent_id, *(cause.source_id for cause in step.causes))
            if name is not None and self.is_foreign(name)
        ]
        return tuple(dict.fromkeys(named))

    def is_foreign(self, step_id: str) -> bool:
        """Return whether an id is that of no step of this chain, loaded or not."""
        return step_id not in self._steps and (self.part is None or not self.part.leaves_out(step_id))

    def step(self, of: Step | Handoff | str) -> Step:
        """Return a step by itself, by its handoff, by its id or the beginning of it, or by a name.

        A name is an agent's, of its turn; else that of any step. It must be one step's alone.

        Raises:
            StepNotFoundError: no step, or several, answer to it.
        """
        name = of if isinstance(of, str) else of.id
        if name in self._steps:
            return self._steps[name]
        matches = self.matches(name)
        if len(matches) == 1:
            return matches[0]
        few = ", ".join(_called(step) for step in (matches or self.nodes)[:8])
        more = ", …" if len(matches or self.nodes) > 8 else ""
        if name in self._named:
            raise StepNotFoundError(f"{name!r} names {len(matches)} steps: {few}{more}; give the id of one")
        if matches:
            raise StepNotFoundError(
                f"{name!r} is the beginning of {len(matches)} steps: {few}{more}; write more of it"
            )
        if self.part is not None and self.part.has_beginning(name):
            raise StepNotFoundError(
                f"the step {name} is in this run, and not among the {len(self._steps)} that are loaded: load those "
                f"around it (runs.get(…, around={name!r}), or --around {name})"
            )
        raise StepNotFoundError(f"this run has no step {name!r}; it has {len(self._steps)}: {few}{more}")

    def matches(self, name: str) -> Sequence[Step]:
        """Return the steps that an id, a name, or the beginning of an id may mean, in `seq` order.

        The first of these that any step has decides: a name is not looked for where it is an id.
        """
        if name in self._steps:
            return (self._steps[name],)
        if name in self._named:
            return self._named[name]
        return [step for step in self.nodes if name and step.id.startswith(name)]

    def children(self, of: Step | Handoff | str) -> tuple[Step, ...]:
        """Return the steps that a step called, in `seq` order."""
        return tuple(self._children.get(self.step(of).id, ()))

    def parent(self, of: Step | Handoff | str) -> Step | None:
        """Return the step that called a step."""
        return self._steps.get(self.step(of).parent_id or "")

    def in_edges(self, of: Step | Handoff | str) -> tuple[Edge, ...]:
        """Return the edges into a step, in the order of their sources."""
        return tuple(self._edges_in.get(self.step(of).id, ()))

    def out_edges(self, of: Step | Handoff | str) -> tuple[Edge, ...]:
        """Return the edges out of a step, in the order of their targets."""
        return tuple(self._edges_out.get(self.step(of).id, ()))

    def predecessors(self, of: Step | Handoff | str) -> list[Step]:
        """Return the steps with an edge to a step, each once."""
        return list({edge.source.id: edge.source for edge in self.in_edges(of)}.values())

    def successors(self, of: Step | Handoff | str) -> list[Step]:
        """Return the steps with an edge from a step, each once."""
        return list({edge.target.id: edge.target for edge in self.out_edges(of)}.values())

    def in_degree(self, of: Step | Handoff | str) -> int:
        """Return how many edges lead into a step."""
        return len(self.in_edges(of))

    def out_degree(self, of: Step | Handoff | str) -> int:
        """Return how many edges lead out of a step."""
        return len(self.out_edges(of))

    def happens_before(self, a: Step | Handoff | str, b: Step | Handoff | str) -> bool:
        """Return whether a step had ended, and its result could be known, when another began."""
        return self.order.happens_before(self.step(a).id, self.step(b).id)

    def upstream(self, of: Step | Handoff | str) -> list[Step]:
        """Return the steps that a step's result depends on, nearest first, then latest first.

        Those that it called are among them, and those that it was called by: the one for what they
        produced, the other for what they received.
        """
        return [self._steps[name] for name in self.order.upstream(self.step(of).id)]

    def downstream(self, of: Step | Handoff | str) -> list[Step]:
        """Return the steps that depend on a step, nearest first, then earliest first."""
        return [self._steps[name] for name in self.order.downstream(self.step(of).id)]

    def to_networkx(self) -> networkx.MultiDiGraph:
        """Return a graph of networkx: nodes are ids and have `step`; edges have `edge`, `kind` and `grade`.

        Raises:
            BecausalError: networkx is not installed.
        """
        try:
            import networkx
        except ImportError:
            raise BecausalError("networkx is not installed; install it with: pip install networkx") from None
        graph = networkx.MultiDiGraph()
        graph.add_nodes_from((step.id, {"step": step}) for step in self.nodes)
        graph.add_edges_from(
            (edge.source.id, edge.target.id, {"edge": edge, "kind": edge.kind, "grade": edge.grade})
            for edge in self.edges
        )
        return graph

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, of: object) -> bool:
        return getattr(of, "id", of) in self._steps

    @legible
    def __repr__(self) -> str:
        return f"<Graph of {len(self._steps)} steps and {len(self.edges)} edges>"

    # Where the edges come from

    @cached_property
    def _calls(self) -> list[Edge]:
        return [
            Edge(self._steps[step.parent_id], step, "call", "observed", "call nesting")
            for step in self.nodes
            if step.parent_id in self._steps and step.parent_id is not None
        ]

    @cached_property
    def _recorded(self) -> list[Edge]:
        return [
            Edge(self._steps[cause.source_id], step, cause.kind, cause.grade, cause.evidence)
            for step in self.nodes
            for cause in dict.fromkeys(step.causes)
            if cause.source_id in self._steps and cause.source_id != step.id
        ]

    @cached_property
    def _data(self) -> list[Edge]:
        return data_edges(self.nodes, self._recorded, Nesting(self.nodes), self.contents)

    @cached_property
    def _named(self) -> dict[str, list[Step]]:
        turns: dict[str, list[Step]] = {}
        others: dict[str, list[Step]] = {}
        for step in self.nodes:
            if step.kind == "agent" and step.agent:
                turns.setdefault(step.agent, []).append(step)
            elif step.kind != "handoff":
                others.setdefault(step.name, []).append(step)
        return others | turns

    @cached_property
    def _children(self) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = {}
        for step in self.nodes:
            if step.parent_id is not None:
                found.setdefault(step.parent_id, []).append(step)
        return found

    @cached_property
    def _edges_in(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.target.id, []).append(edge)
        return found

    @cached_property
    def _edges_out(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.source.id, []).append(edge)
        return found

    def _output_of(self, root: Step) -> Step | None:
        if root.produced is not None:
            return root
        # An app need not say what came out of its blocks; a framework's steps do, unless they failed.
        if root.kind != "request" and (root.kind, root.status) != ("agent", "ok"):
            return None
        insides = [self._output_of(step) for step in self.children(root) if step.kind != "handoff"]
        return max((step for step in insides if step is not None), key=_ended, default=None)


def _ended(step: Step) -> tuple[int, int]:
    return step.ended_ns or 0, step.seq


def _called(step: Step) -> str:
    return f"{step.id} ({step.kind} {step.name})"
