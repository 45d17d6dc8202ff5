"""Which run a chain that lost its link belongs to: whose content it received, or who took up what it brought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from becausal.answers.orphans.orphan import Orphan, top_of
from becausal.clock import is_aside
from becausal.graph import Graph
from becausal.graph.content import Content
from becausal.graph.edge import Edge
from becausal.graph.wording import Wording
from becausal.payload import Payload
from becausal.step import Grade, Step
from becausal.store import Store
from becausal.store.links import Begun, Links

__all__ = ["LATE_NS", "MOST_CHAINS", "ON_ITS_OWN", "Host", "Hosts"]

ON_ITS_OWN: Final = frozenset(("request", "workflow", "agent"))
"""Kinds of steps that a run of its own begins with."""

SHORTEST: Final = 8
"""Characters of a text, and bytes of a payload, that are not equal by accident."""
MOST_TEXTS: Final = 24
"""So many texts of a payload, the longest first, are looked for."""
LONGEST: Final = 2_000
"""Of a longer text its beginning is looked for."""
MOST_CHAINS: Final = 64
"""So many chains that began while a run was under way are looked at."""
MOST_HOSTS: Final = 16
"""So many runs that were under way at once are compared."""
LATE_NS: Final = 60 * 10**9
"""Nanoseconds after the end of a run in which what it had started may begin."""

_Held = tuple[int, int, Step, str]
"""Whether a step was at work then, its `seq`, it, and the text that it had: the better ones are greater."""


class Host:
    """A run that may have started what lost its link."""

    def __init__(self, chain_id: str, graph: Graph) -> None:
        self.chain_id, self.graph = chain_id, graph
        self.began = min(step.started_ns for step in graph.nodes)
        # A step that never ended says nothing of when the run was over.
        self.ended = max(step.ended_ns or step.started_ns for step in graph.nodes)
        self.over = max((root.ended_ns or self.ended for root in graph.roots), default=self.ended)

    def edges(self, orphan: Graph) -> tuple[Edge, ...]:
        """Return what joins a chain to this run."""
        top = top_of(orphan.nodes)
        spawn = self._spawn(top, orphan)
        if spawn is None and top.kind in ON_ITS_OWN:
            return ()  # two that were asked the same may well answer the same
        return tuple(edge for edge in (spawn, *self._reads(top, orphan)) if edge is not None)

    def _spawn(self, top: Step, orphan: Graph) -> Edge | None:
        """Return the edge from the step of the run that had what a chain received."""
        texts = _telling(orphan.contents.of(top.received))
        if top.kind in ON_ITS_OWN:
            known = [leaf for content in self._known_outside(top) for leaf in content.leaves]
            texts = [text for text in texts if not any(text in leaf for leaf in known)]
        best: _Held | None = None
        for text in texts:
            for step in self._holders(text, orphan, top):
                if step.kind == "handoff" or step.started_ns > top.started_ns:
                    continue
                is_open = step.ended_ns is None or step.ended_ns >= top.started_ns
                rank = (int(is_open), step.seq, step, text)
                best = rank if best is None or rank[:2] > best[:2] else best
        best = best or (None if top.kind in ON_ITS_OWN else self._quoted_in(top, orphan))
        return None if best is None else Edge(best[2], top, "spawn", "matched", _quoted(best[3]))

    def _known_outside(self, top: Step) -> Iterator[Content]:
        """Yield what others than the run itself know, and may begin a run of their own with.

        Two users may well ask the same; and who was given an answer, or a whole conversation, may go on from it.
        """
        root, output = self.graph.roots[0], self.graph.output_step
        is_over = top.started_ns >= self.over
        for payload in (root.received, output.produced if output is not None and is_over else None):
            content = self.graph.contents.of(payload)
            if content is not None:
                yield content

    def _quoted_in(self, top: Step, orphan: Graph) -> _Held | None:
        """Return the step at work then whose text stands inside what a chain received: a query made of it."""
        given = orphan.contents.of(top.received)
        shown = "\n".join(given.leaves) if given is not None else ""
        best: _Held | None = None
        for step in self.graph.nodes:
            is_open = (
                step.started_ns <= top.started_ns and (step.ended_ns or top.started_ns) >= top.started_ns
            )
            if not is_open or step.kind == "handoff":
                continue
            for text in _telling(self.graph.contents.of(step.received)):
                if text in shown and (best is None or (step.seq, len(text)) > (best[1], len(best[3]))):
                    best = 1, step.seq, step, text
        return best

    def _reads(self, top: Step, orphan: Graph) -> Iterator[Edge]:
        """Yield the edge to the first step of the run that had what a chain produced, and not before."""
        for step in orphan.nodes:
            if step.produced is None or step.ended_ns is None or step.kind == "handoff":
                continue
            given = [orphan.contents.of(one.received) for one in orphan.nodes]
            for text in _telling(orphan.contents.of(step.produced)):
                if any(text in leaf for content in given if content is not None for leaf in content.leaves):
                    continue
                reader = self._first_with(text, orphan, step)
                if reader is not None:
                    yield Edge(step, reader, "data", "matched", _quoted(text))
                    return

    def _first_with(self, text: str, orphan: Graph, step: Step) -> Step | None:
        """Return the first step that received or produced a text after it was said; None if somebody had it before."""
        over = step.ended_ns or 0
        digests = self._digests(text, orphan, step.produced)
        first: tuple[int, Step] | None = None
        for other in self.graph.nodes:
            for payload, at in ((other.received, other.started_ns), (other.produced, other.ended_ns)):
                if payload is None or payload.digest not in digests or at is None:
                    continue
                if at < over:
                    return None
                if first is None or at < first[0]:
                    first = at, other
        return None if first is None else first[1]

    def _holders(self, text: str, orphan: Graph, top: Step) -> Iterator[Step]:
        digests = self._digests(text, orphan, top.received)
        for step in self.graph.nodes:
            had = (
                (step.received,)
                if step.ended_ns is None or step.ended_ns > top.started_ns
                else (
                    step.received,
                    step.produced,
                )
            )
            if any(payload is not None and payload.digest in digests for payload in had):
                yield step

    def _digests(self, text: str, orphan: Graph, payload: Payload | None) -> frozenset[str]:
        """Return the digests of the run's payloads that hold a text, in whichever wording."""
        key = text
        if key not in self._known:
            index = self.graph.index
            grades = index.grades(index.find(Wording(text, orphan.contents.texts(payload))))
            self._known[key] = frozenset(digest for digest, grade in grades.items() if grade != "inferred")
        return self._known[key]

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        return {}


class Hosts:
    """The runs that were under way when a chain began, each loaded once."""

    def __init__(self, store: Store, links: Links, known: dict[str, Host]) -> None:
        self._store, self._links, self._hosts = store, links, known
        self._edges: dict[tuple[str, str], tuple[Edge, ...]] = {}

    def orphan(self, begun: Begun) -> Orphan | None:
        """Return a chain as an orphan of the run that it fits best; None if it fits none."""
        if is_aside(begun.chain_id):
            return None
        graph = Graph(self._store.load(begun.chain_id))
        if not graph.nodes or any(cause for root in graph.roots for cause in root.causes):
            return None  # it says itself what it goes on from
        fits: dict[str, tuple[Edge, ...]] = {}
        for host in self._under_way(begun, graph):
            edges = host.edges(graph)
            if edges:
                fits[host.chain_id] = self._edges[begun.chain_id, host.chain_id] = edges
        if not fits:
            return None
        most = max(map(_strength, fits.values()))
        best = [chain_id for chain_id, edges in fits.items() if _strength(edges) == most]
        return self._made(graph, self._hosts[best[0]], fits[best[0]], tuple(best[1:]))

    def seen_from(self, orphan: Orphan, chain_id: str) -> Orphan:
        """Return an orphan that fits several runs as well, as one of them has it."""
        rest = tuple(one for one in (orphan.run, *orphan.others) if one not in (None, chain_id))
        edges = self._edges[orphan.step.chain_id, chain_id]
        return self._made(Graph(orphan.steps), self._hosts[chain_id], edges, tuple(filter(None, rest)))

    def _made(self, graph: Graph, host: Host, edges: Sequence[Edge], others: tuple[str, ...]) -> Orphan:
        grade: Grade = "inferred" if others else "matched"
        ends = [step.ended_ns for step in graph.nodes]
        return Orphan(
            "unlinked",
            top_of(graph.nodes),
            tuple(graph.nodes),
            host.chain_id,
            tuple(replace(edge, grade=grade) for edge in edges),
            is_read=any(edge.kind == "data" for edge in edges),
            has_outlived=any(end is None or end > host.over for end in ends),
            others=others,
        )

    def _under_way(self, begun: Begun, graph: Graph) -> Iterator[Host]:
        known = {
            host.chain_id
            for host in self._hosts.values()
            if host.began <= begun.started_ns <= host.ended + LATE_NS
        }
        at_once = [
            one.chain_id
            for one in self._links.under_way(begun.started_ns, limit=MOST_CHAINS)
            if one.kind in ON_ITS_OWN and not is_aside(one.chain_id)
        ]
        for chain_id in dict.fromkeys((*sorted(known), *at_once[:MOST_HOSTS])):
            if chain_id == begun.chain_id:
                continue
            if chain_id not in self._hosts:
                loaded = Graph(self._store.load(chain_id))
                if not loaded.nodes:
                    continue
                self._hosts[chain_id] = Host(chain_id, loaded)
            yield self._hosts[chain_id]


def _strength(edges: Sequence[Edge]) -> int:
    """Return how much joins a chain to a run: what it brought weighs more than what it was given."""
    kinds = {edge.kind for edge in edges}
    return 2 * ("data" in kinds) + ("spawn" in kinds)


def _telling(content: Content | None) -> list[str]:
    """Return the texts of a payload that are not equal by accident, the longest first."""
    if content is None:
        return []
    texts = {leaf[:LONGEST].strip() for leaf in content.leaves if len(leaf.strip()) >= SHORTEST}
    return sorted(texts, key=lambda text: (-len(text), text))[:MOST_TEXTS]


def _quoted(text: str) -> str:
    head = " ".join(text.split())
    return f'text "{head[:40]}{"…" if len(head) > 40 else ""}"'
