"""What has no living link within one chain: its caller is not in the store, it outlived the run, nobody read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from becausal.answers.orphans.orphan import Orphan
from becausal.graph import Graph
from becausal.graph.edge import Edge
from becausal.step import Step

__all__ = ["dangling", "outlived", "unread"]


def dangling(graph: Graph) -> Iterator[Orphan]:
    """Yield the parts of a chain whose caller is not in the store."""
    for root in graph.roots:
        if root.parent_id is not None and len(graph.roots) > 1 and not root.causes:
            steps = _below(graph, root)
            yield Orphan(
                "dangling", root, steps, root.chain_id, (), is_read=_is_read(graph, steps), has_outlived=False
            )


def outlived(graph: Graph) -> Iterator[Orphan]:
    """Yield what went on after the step at the top of its chain was over."""
    for root in graph.roots:
        over = root.ended_ns
        if over is None or root.status != "ok":
            continue
        waiting = list(graph.children(root))
        while waiting:
            step = waiting.pop()
            late = step.ended_ns is None or step.ended_ns > over
            if late and step.kind != "handoff":
                steps = _below(graph, step)
                caller = graph.parent(step) or root
                edge = Edge(caller, step, "call", "observed", "call nesting")
                read = _is_read(graph, steps)
                yield Orphan("outlived", step, steps, step.chain_id, (edge,), is_read=read, has_outlived=True)
            else:
                waiting.extend(graph.children(step))


def unread(graph: Graph) -> Iterator[Orphan]:
    """Yield the messages that nobody received."""
    received = {cause.source_id for step in graph.nodes for cause in step.causes if cause.kind == "transfer"}
    for step in graph.nodes:
        is_over = step.kind == "handoff" and step.ended_ns is not None and step.status == "ok"
        if is_over and step.produced is None and step.id not in received:
            sender = next((cause.source_id for cause in step.causes if cause.source_id in graph), None)
            edges = (
                ()
                if sender is None
                else (Edge(graph.step(sender), step, "transfer", "observed", "sent and received by nobody"),)
            )
            yield Orphan("unread", step, (step,), step.chain_id, edges, is_read=False, has_outlived=False)


def _below(graph: Graph, top: Step) -> tuple[Step, ...]:
    found, waiting = [top], [top]
    while waiting:
        inner = graph.children(waiting.pop())
        found += inner
        waiting += inner
    return tuple(sorted(found, key=lambda step: step.seq))


def _is_read(graph: Graph, steps: Sequence[Step]) -> bool:
    """Return whether an edge leads from some steps to any other, their callers apart."""
    own = {step.id for step in steps}
    return any(
        edge.target.id not in own and edge.kind not in ("call", "retry")
        for step in steps
        for edge in graph.out_edges(step)
    )
