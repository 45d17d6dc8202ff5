"""What is wrong with the shape of a run: work that nobody used, the same work again and again, what was held back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any, Final

from becausal import semconv
from becausal.facts import Fact, facts, missing
from becausal.finding import Finding
from becausal.findings.scene import LARGEST, Scene, Stated, versions
from becausal.findings.way import way_to_output
from becausal.step import Step

__all__ = ["of_structure"]

FEWEST_ROUNDS: Final = 3
"""So often the same must have been done before it is a loop."""

FEWEST_TURNS: Final = 3
TELLING: Final = frozenset(("money", "date", "id", "quantity", "percent", "number", "url", "email"))
"""Kinds of facts that are missed when they are not there."""

SMALLEST: Final = 100
"""A plain number below this counts things, or steps."""

LARGEST_NOTHING: Final = 512
"""Bytes of a payload that may well say nothing: an empty update of a state, a message without a content."""

WAITING: Final = re.compile(r"poll|wait|sleep|heartbeat|ping|status|tick|watch|health", re.IGNORECASE)
"""Names of what is done again and again on purpose."""


def of_structure(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the shape of a run."""
    yield from _loops(scene)
    yield from _unused(scene)
    yield from _too_late(scene)
    yield from _evicted(scene)


def _loops(scene: Scene) -> Iterator[Finding]:
    """The same step did the same with the same, again and again."""
    rounds: dict[tuple[str, str, str | None, str, str], list[Step]] = {}
    for step in scene.graph.nodes:
        if step.kind not in ("agent", "tool", "model") or step.received is None or step.produced is None:
            continue
        if step.kind != "tool" and _says_nothing(step):
            continue  # it listens: to heartbeats, to what it waits for
        if semconv.ATTEMPT in step.attributes or step.attributes.get(semconv.CACHED) is True:
            continue
        said = (step.kind, step.name, step.agent, step.received.belief, step.produced.belief)
        rounds.setdefault(said, []).append(step)
    for (kind, name, agent, _, _), steps in rounds.items():
        if len(steps) < FEWEST_ROUNDS or WAITING.search(name) or not _one_after_the_other(scene, steps):
            continue
        if kind == "model" and any(step.kind != "model" for many in rounds.values() for step in many[1:]):
            continue  # told by the turn or the call that it belongs to
        yield Finding(
            kind="path.loop",
            severity="warning",
            confidence=0.85,
            step=steps[1],
            message=f"{kind} {name} did the same with the same {len(steps)} times",
            evidence=(steps[0].id, *(step.id for step in steps[1:FEWEST_ROUNDS])),
            agent=agent,
            tool=name if kind == "tool" else None,
            path=tuple(steps),
        )


def _one_after_the_other(scene: Scene, steps: list[Step]) -> bool:
    """Return whether they were done in turn: workers side by side may well be given the same."""
    return all(
        before.ended_ns is not None and before.ended_ns <= after.started_ns
        for before, after in pairwise(steps)
    )


def _unused(scene: Scene) -> Iterator[Finding]:
    """A turn whose result nobody took up, while those of others like it were."""
    used = {edge.source.id for edge in scene.graph.edges if edge.kind not in ("call", "retry")}
    read = {channel for step in scene.graph.nodes for channel in versions(step, semconv.STATE_READ)}
    groups: dict[tuple[str | None, str], list[Step]] = {}
    for step in scene.graph.nodes:
        if step.kind == "agent" and step.status == "ok" and step.produced is not None:
            if _was_handed_back(scene, step):
                continue  # its caller's code has it, and may act on it without saying so: a manager's ledger
            groups.setdefault((step.parent_id, step.name), []).append(step)
    for (_, name), steps in groups.items():
        if len(steps) < 2:
            continue
        unread = [step for step in steps if _wrote_to_nobody(step, read)]
        idle = [step for step in steps if step.id not in used and not _says_nothing(step)]
        if len(unread) == len(steps):
            unread = []  # it is what the graph puts out
        if (idle or unread) and len(idle) < len(steps):
            for step in dict.fromkeys((*idle, *unread)):
                is_out = scene.graph.output_step is not None and _stands_in_output(scene, step)
                if is_out and step not in unread:
                    continue
                yield Finding(
                    kind="chain.orphaned",
                    severity="warning",
                    confidence=0.8,
                    step=step,
                    message=f"nobody took up what one of {len(steps)} turns of {name} brought",
                    evidence=(step.produced.text()[:200],) if step.produced and step.produced.is_kept else (),
                    agent=step.agent,
                    path=(step,),
                )


def _was_handed_back(scene: Scene, step: Step) -> bool:
    """Return whether another agent's turn waited for a turn: it got its answer as that of a call."""
    caller = scene.graph.parent(step)
    if caller is None or caller.kind != "agent" or step.ended_ns is None:
        return False
    return caller.ended_ns is None or step.ended_ns <= caller.ended_ns


def _too_late(scene: Scene) -> Iterator[Finding]:
    """A turn was done when the one that answers had already spoken: nobody took up what it alone knew."""
    spoke = [step for step in scene.graph.nodes if step.kind == "agent" and _has_spoken(scene, step)]
    if len(spoke) < FEWEST_TURNS or not scene.answer:
        return
    for step in spoke:
        taken_by = [
            edge.target for edge in scene.graph.out_edges(step) if edge.kind not in ("call", "retry", "spawn")
        ]
        heard_by = [there for there in (*taken_by, *_receivers(scene, step)) if there.kind == "agent"]
        if step.status != "ok" or any(there in spoke and there.id != step.id for there in heard_by):
            continue
        before = {one.id for one in scene.graph.upstream(step)}
        # Whoever was sent it when he had spoken had not told it before, though the two may say much the same.
        came_late = {there.agent for there in _receivers(scene, step) if there not in spoke} - {
            None,
            step.agent,
        }
        told_before = _told_before(scene, step) if came_late else before
        joins = [
            one
            for one in spoke
            if one.seq < scene.ends[step.id]
            and one.id not in (told_before if one.agent in came_late else before)
        ]
        answering = [one for one in joins if _is_the_answer(scene, one) and one.id != step.id]
        if not answering or _is_the_answer(scene, step):
            continue
        alone = _known_to_it_alone(scene, step, answering[-1])
        if alone:
            yield Finding(
                kind="chain.orphaned",
                severity="warning",
                confidence=0.75,
                step=step,
                message=f"{answering[-1].agent} went on before {step.agent} was done: nobody took up {alone[0].text!r}",
                evidence=tuple(fact.text for fact in alone[:5]),
                agent=step.agent,
                path=(step, answering[-1]),
            )


def _told_before(scene: Scene, step: Step) -> set[str]:
    """Return the ids of the steps that a turn goes back to by more than the same words standing in both."""
    found: set[str] = set()
    todo = [step, *scene.graph.children(step)]
    while todo:
        edges = scene.graph.in_edges(todo.pop())
        sources = [one.source for one in edges if one.kind != "data" or one.grade in ("declared", "observed")]
        todo += [source for source in sources if source.id not in found]
        found.update(source.id for source in sources)
    return found


def _receivers(scene: Scene, step: Step) -> list[Step]:
    return [h.received_by for h in scene.sent_by.get(step.id, ()) if h.received_by is not None]


def _has_spoken(scene: Scene, step: Step) -> bool:
    return any(child.kind == "model" for child in scene.graph.children(step))


def _words(scene: Scene, step: Step) -> Stated:
    """Return what the models of a turn said last."""
    spoke = [child.produced for child in scene.graph.children(step) if child.kind == "model"]
    return scene.stated(spoke[-1] if spoke else None)


def _is_the_answer(scene: Scene, step: Step) -> bool:
    """Return whether a turn said what the run puts out."""
    text = _words(scene, step)[1].partition(": ")[2]
    return bool(text) and " ".join(text.split()) in " ".join(scene.answer.split())


def _known_to_it_alone(scene: Scene, step: Step, answering: Step) -> list[Fact]:
    """Return what a turn states and the answer does not, counters of things apart."""
    stated, _ = _words(scene, step)
    return [
        fact
        for fact in missing(stated, scene.answer_facts, text=scene.answer)
        if fact.kind in TELLING and not _is_small(fact)
    ]


def _wrote_to_nobody(step: Step, read: Collection[str]) -> bool:
    """Return whether a turn wrote fields of a state that nobody read, whoever was called after it."""
    written = versions(step, semconv.STATE_WRITTEN)
    return bool(written) and not written.keys() & set(read) and not _says_nothing(step)


def _says_nothing(step: Step) -> bool:
    if step.produced is None or not step.produced.is_kept:
        return True
    if step.produced.size > LARGEST_NOTHING:
        return False  # so much says something, and need not be read for that
    return step.produced.value() is None or not step.produced.text().strip("{}[] \n()")


def _stands_in_output(scene: Scene, step: Step) -> bool:
    stated, text = scene.stated(step.produced)
    return not text or not missing(stated, scene.output_facts, text=scene.output)


def _evicted(scene: Scene) -> Iterator[Finding]:
    """A model was not shown what its context had held, and the output lacks what that said."""
    for step in scene.graph.nodes:
        held_back = step.attributes.get(semconv.CONTEXT_EVICTED)
        if step.kind != "model" or not isinstance(held_back, tuple) or not held_back:
            continue
        text = "\n".join(_told_by(scene, entry) for entry in held_back)
        shown = step.received.text() if step.received is not None and step.received.is_kept else ""
        unseen = missing(facts(text), facts(shown), text=shown)
        telling = [fact for fact in unseen if not _is_small(fact)]
        needed = missing(telling, facts(scene.answer), text=scene.answer)
        way = way_to_output(scene.graph, step)
        yield Finding(
            kind="context.evicted",
            severity="note" if not needed else "warning",
            confidence=0.9 if needed else 0.5,
            step=step,
            message=f"{step.agent or step.name} was not shown {len(held_back)} messages that its context held",
            evidence=tuple(fact.text for fact in needed[:5]) or (text[:200],),
            agent=step.agent,
            path=way if needed else (step,),
            right=tuple(fact.text for fact in needed[:5]),
        )


def _is_small(fact: Fact) -> bool:
    """Return whether a plain number is so small that it counts things, or steps."""
    value: Any = fact.value
    return fact.kind == "number" and abs(value) < SMALLEST


def _told_by(scene: Scene, entry: str) -> str:
    """Return what the step said that brought a message which was held back; an entry begins with its id."""
    source, _, rest = entry.partition(" ")
    if source not in scene.graph:
        return rest
    step = scene.graph.step(source)
    payload = (
        step.produced
        if step.produced is not None and step.kind not in ("request", "workflow")
        else step.received
    )
    return payload.text() if payload is not None and payload.size <= LARGEST and payload.is_kept else ""
