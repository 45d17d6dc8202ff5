"""Orphans: work whose link to the run that it belongs to was lost, found again by content. `run.orphans`

    run.orphans[0].step                                 # <Step … tool 'lookup'>
    run.orphans[0].evidence                             # ('text "Lisbon in spring"', 'text "The hotel costs…"')
    run.joined().blame("1,250").segments[0].origin      # <Step … tool 'lookup'>: now it is part of the run

A thread, a callback or a process that was started without its starter's context records what it does in a chain of its
own. Such a chain belongs to a run if it began while the run was under way and what it received is what a step of the
run had received or produced before, or what it produced turns up in the run later on and nobody in the run had said
it before. That is content, not time: two requests that a server handles side by side share nothing but chance, and
where more than one run fits as well, all of them are named and the grade is `inferred`.

A chain that begins with a request or a graph is one of those only if the run's own work shows in what it was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from becausal.answers.orphans.hosts import LATE_NS, MOST_CHAINS, ON_ITS_OWN, Host, Hosts
from becausal.answers.orphans.orphan import How, Orphan, top_of
from becausal.answers.orphans.within import dangling, outlived, unread
from becausal.clock import is_aside
from becausal.finding import Finding
from becausal.graph import Graph
from becausal.payload import Payload
from becausal.step import Cause, Step
from becausal.store import Store
from becausal.store.links import Links, links_of, passing_damage

__all__ = ["How", "Orphan", "findings_of", "joined", "orphans_in", "orphans_of"]


def orphans_of(chain_id: str, graph: Graph, store: Store | None) -> tuple[Orphan, ...]:
    """Return the work that belongs to a run and is not linked to it, in the order in which it began."""
    found = [*dangling(graph), *outlived(graph), *unread(graph)]
    links = None if store is None else links_of(store)
    if store is not None and links is not None and graph.nodes:
        with passing_damage("what else was under way"):
            found += _begun_meanwhile(Host(chain_id, graph), store, links)
    return tuple(sorted(found, key=lambda orphan: (orphan.step.started_ns, orphan.step.seq)))


def _begun_meanwhile(host: Host, store: Store, links: Links) -> Iterator[Orphan]:
    """Yield the chains that were begun while a run was under way and are joined to it by what they say."""
    hosts = Hosts(store, links, {host.chain_id: host})
    for begun in links.begun(host.began, host.ended + LATE_NS, limit=MOST_CHAINS):
        orphan = None
        if begun.chain_id != host.chain_id:
            with passing_damage(f"the run {begun.chain_id}, or one beside it,"):
                orphan = hosts.orphan(begun)
        if orphan is not None and host.chain_id in (orphan.run, *orphan.others):
            yield orphan if orphan.run == host.chain_id else hosts.seen_from(orphan, host.chain_id)


def orphans_in(store: Store, *, limit: int) -> Iterator[Orphan]:
    """Yield the newest chains of a store that are no runs of their own, joined where a run shows their content."""
    links = links_of(store)
    if links is None:
        return
    hosts = Hosts(store, links, {})
    infos = [info for info in store.chains(limit=limit) if not is_aside(info.chain_id)]
    for info in infos:
        begun = next(
            (
                one
                for one in links.begun(info.started_ns, info.started_ns, limit=MOST_CHAINS)
                if one.chain_id == info.chain_id
            ),
            None,
        )
        if begun is None:
            continue
        with passing_damage(f"the run {begun.chain_id}, or one beside it,"):
            orphan = hosts.orphan(begun)
            if orphan is not None:
                yield orphan
            elif begun.kind not in ON_ITS_OWN:
                steps = tuple(store.load(info.chain_id))
                yield Orphan("unlinked", top_of(steps), steps, None, (), is_read=False, has_outlived=False)


def joined(graph: Graph, orphans: Sequence[Orphan]) -> list[Step]:
    """Return a run's steps with those of its orphans, each called or caused by the steps that its edges name.

    Where the step that was at work enclosed the orphan's whole time, the orphan is called by it; else it is spawned.
    """
    steps = {step.id: step for step in graph.nodes}
    for orphan in orphans:
        steps.update((step.id, step) for step in orphan.steps)
    for edge in chain.from_iterable(orphan.edges for orphan in orphans):
        target = steps[edge.target.id]
        cause = Cause(edge.source.id, edge.kind, edge.grade, edge.evidence)
        if edge.kind == "spawn" and target.parent_id not in steps and _encloses(edge.source, target):
            steps[target.id] = replace(target, parent_id=edge.source.id)
        elif edge.kind == "spawn" or target.parent_id != edge.source.id:
            steps[target.id] = replace(target, causes=(*target.causes, cause))
    made = sorted(steps.values(), key=lambda step: (step.seq, step.id))
    numbers = {step.id: step.seq for step in made}
    if any(
        numbers[e.source.id] >= numbers[e.target.id] for o in orphans for e in o.edges if e.kind == "spawn"
    ):
        # Of another process, whose clock was never told of ours: the wall clock of one machine tells enough.
        made.sort(key=lambda step: (step.started_ns, step.seq))
        made = [replace(step, seq=number) for number, step in enumerate(made, 1)]
    return made


def findings_of(orphans: Sequence[Orphan]) -> Iterator[Finding]:
    """Yield what is worth knowing of a run's orphans; a warning is what was worked for in vain."""
    late = [orphan for orphan in orphans if orphan.how == "outlived"]
    for orphan in orphans:
        if orphan.how == "unread" or orphan.others or orphan in late[1:]:
            continue  # told as a handoff that was lost; not known to be this run's; told with the first
        step = orphan.step
        is_in_vain = orphan.how == "unlinked" and not orphan.is_read and _says_something(step.produced)
        who = f"{step.kind} {step.name}"
        reader = next((edge.target for edge in orphan.edges if edge.kind == "data"), None)
        told = {
            "unlinked": f"{who} lost its link to the run",
            "dangling": f"{who} was called by a step that is not in the store",
            "outlived": f"{who} went on after the run was over"
            + (f", and {len(late) - 1} more" if len(late) > 1 else ""),
        }[orphan.how]
        if orphan.how == "unlinked":
            told += (
                ", and nobody took up what it brought"
                if reader is None
                else f", and {reader.name} took up what it brought"
            )
        yield Finding(
            kind="chain.orphaned",
            severity="warning" if is_in_vain else "note",
            confidence=0.8,
            step=step,
            message=told,
            evidence=orphan.evidence,
            agent=step.agent,
            tool=step.name if step.kind == "tool" else None,
            path=_path(orphan),
        )


def _path(orphan: Orphan) -> tuple[Step, ...]:
    spawned = [edge.source for edge in orphan.edges if edge.kind == "spawn"][:1]
    read = [edge.target for edge in orphan.edges if edge.kind == "data"][:1]
    return tuple({step.id: step for step in (*spawned, orphan.step, *read)}.values())


def _encloses(outer: Step, inner: Step) -> bool:
    return (
        outer.started_ns <= inner.started_ns
        and outer.ended_ns is not None
        and inner.ended_ns is not None
        and inner.ended_ns <= outer.ended_ns
    )


def _says_something(payload: Payload | None) -> bool:
    return payload is not None and payload.is_kept and bool(payload.text().strip("{}[] \n()\"'"))
