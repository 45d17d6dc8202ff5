"""How a run's path departs from the earlier runs of the same app, where those all went one and the same way.

No template is needed for it and none is learned: a run is put beside the last few earlier ones in its store that have
the same name and mostly the same agents and came to their end. Only if those agree with each other on who hands to whom
is anything said; an app whose path varies by its nature is never judged so. Told are

    path.skipped     somebody who checks, by his name, was there each time and was passed over now
    path.deviated    somebody who was never there stands in the way, or two have changed their places
    path.novel       another way was taken, on a declared branch: worth knowing, and no more (a note)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from becausal import semconv
from becausal.finding import Finding, FindingKind, Severity
from becausal.graph import Graph
from becausal.step import Step
from becausal.store import ChainInfo, Store
from becausal.store.links import passing_damage

__all__ = ["departures"]

FEWEST: Final = 3
"""So many earlier runs must have gone the same way."""
MOST_APART: Final = 1
"""So many agents may have come or gone: where more did, the app is another one."""
MOST_BRIDGED: Final = 2
"""So many handoffs may go past whoever came or went."""
MOST: Final = 6
MOST_LISTED: Final = 60
"""So many of the newest chains are looked at for runs of the same app."""
MOST_STEPS: Final = 2_000

CHECKS: Final = re.compile(
    r"valid|verif|guard|check|review|approv|critic|audit|polic|moderat|safe|complian|sanit|test|inspect|fact_?check|judge",
    re.IGNORECASE,
)
"""Names of those who are there to stop what is wrong."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class _Path:
    """Who took part in a run, and who handed to whom."""

    agents: tuple[str, ...]
    """In the order of their first turns."""
    pairs: frozenset[Pair]
    candidates: frozenset[str]
    """Who could have been chosen, where the app said so."""


def departures(graph: Graph, store: Store | None) -> tuple[Finding, ...]:
    """Return where a run left the way that all earlier runs of its app had gone; nothing where they had none."""
    mine = _path(graph.nodes)
    root = next(iter(graph.roots), None)
    if store is None or root is None or root.status != "ok" or len(mine.agents) < FEWEST:
        return ()
    earlier = list(_earlier(store, graph, root, mine))
    if len(earlier) < FEWEST or any(path.pairs != earlier[0].pairs for path in earlier):
        return ()
    if not _is_near(mine, earlier[0]):
        return ()  # another app, or one that was built anew
    return tuple(_compared(graph, mine, earlier[0], len(earlier)))


def _earlier(store: Store, graph: Graph, root: Step, mine: _Path) -> Iterator[_Path]:
    count = 0
    for info in store.chains(limit=MOST_LISTED):
        is_candidate = (
            info.chain_id != root.chain_id
            and info.started_ns < root.started_ns
            and info.errors == 0
            and info.ended_ns is not None
            and info.steps <= MOST_STEPS
            and _is_same_app(info, root.name, mine.agents)
        )
        if not is_candidate:
            continue
        with passing_damage(f"the run {info.chain_id}"):
            yield _path(store.load(info.chain_id))
            count += 1
        if count == MOST:
            return


def _is_same_app(info: ChainInfo, name: str, agents: Sequence[str]) -> bool:
    """Return whether a chain has the name and mostly the agents of a run; a chain's list has its managers too."""
    shared = len(set(info.agents) & set(agents))
    return info.name == name and shared * 3 >= 2 * len(agents) and len(info.agents) <= 2 * len(agents) + 2


def _is_near(mine: _Path, usual: _Path) -> bool:
    """Return whether a path is the usual one but for one agent come or gone, or for two that changed their places."""
    apart, shared = set(mine.agents) ^ set(usual.agents), set(mine.agents) & set(usual.agents)
    if len(shared) < FEWEST or len(apart) > MOST_APART or mine.agents[0] != usual.agents[0]:
        return False
    if not apart:
        return mine.agents[-1] == usual.agents[-1]
    new, gone = mine.pairs - usual.pairs, usual.pairs - mine.pairs
    more, less = (new, gone) if apart <= set(mine.agents) else (gone, new)
    return all(apart & set(pair) for pair in more) and len(less) <= MOST_BRIDGED


def _path(steps: Sequence[Step]) -> _Path:
    agents = tuple(dict.fromkeys(step.agent or step.name for step in steps if step.kind == "agent"))
    pairs = frozenset(
        (str(said[semconv.TRANSFER_SOURCE]), str(said[semconv.TRANSFER_TARGET_OWN]))
        for step in steps
        if step.kind == "handoff"
        and (said := step.attributes).get(semconv.TRANSFER_SOURCE)
        and said.get(semconv.TRANSFER_TARGET_OWN)
    )
    listed = [step.attributes.get(semconv.ROUTE_CANDIDATES) for step in steps if step.kind == "route"]
    candidates = frozenset(name for names in listed if isinstance(names, tuple) for name in names)
    return _Path(agents, _direct(pairs), candidates)


def _direct(pairs: frozenset[Pair]) -> frozenset[Pair]:
    """Return the pairs without those that lead over somebody in between: in a chat everybody hears everybody."""
    after: dict[str, set[str]] = {}
    for one, other in pairs:
        after.setdefault(one, set()).add(other)
    return frozenset(
        (one, other)
        for one, other in pairs
        if not any(other in after.get(between, ()) for between in after[one] - {one, other})
    )


def _compared(graph: Graph, mine: _Path, usual: _Path, count: int) -> Iterator[Finding]:
    new, gone = mine.pairs - usual.pairs, usual.pairs - mine.pairs
    for name in usual.agents:
        if name not in mine.agents:
            yield from _passed_over(graph, name, new, usual, count)
    strangers = [name for name in mine.agents if name not in usual.agents]
    for name in strangers:
        step = _first_turn(graph, name)
        is_declared = name in usual.candidates
        yield from _told(
            graph,
            "path.novel" if is_declared else "path.deviated",
            "note" if is_declared else "warning",
            step,
            f"{name} took part, as in none of the {count} runs before",
            (f"before: {' → '.join(usual.agents)}", f"now: {' → '.join(mine.agents)}"),
        )
    turned = [
        (a, b)
        for a, b in sorted(new)
        if _comes_before(usual, b, a) and a in usual.agents and b in usual.agents
    ]
    if turned and gone and not strangers and set(mine.agents) == set(usual.agents):
        first = min(turned, key=lambda pair: mine.agents.index(pair[0]))
        yield from _told(
            graph,
            "path.deviated",
            "warning",
            _first_turn(graph, first[0]),
            f"{first[0]} came before {first[1]}, the other way round than in the {count} runs before",
            (f"before: {' → '.join(usual.agents)}", f"now: {' → '.join(mine.agents)}"),
        )


def _passed_over(
    graph: Graph, name: str, new: frozenset[Pair], usual: _Path, count: int
) -> Iterator[Finding]:
    """Yield who passed somebody over: the way that leads from those before him to those after him."""
    before = {a for a, b in usual.pairs if b == name}
    after = {b for a, b in usual.pairs if a == name}
    around = sorted((a, b) for a, b in new if a in before and (b in after or not after))
    step = _first_turn(graph, around[0][0]) if around else None
    if step is None:
        step = next((turn for who in sorted(before) if (turn := _first_turn(graph, who)) is not None), None)
    is_check = CHECKS.search(name) is not None
    yield from _told(
        graph,
        "path.skipped",
        "warning" if is_check else "note",
        step,
        f"{name} was passed over, who took part in each of the {count} runs before",
        (f"before: {' → '.join(usual.agents)}", *(f"instead: {a} → {b}" for a, b in around)),
    )


def _first_turn(graph: Graph, name: str) -> Step | None:
    return next(
        (step for step in graph.nodes if step.kind == "agent" and (step.agent or step.name) == name), None
    )


def _comes_before(usual: _Path, one: str, other: str) -> bool:
    """Return whether what one agent said led to another one's turn, by whomever."""
    reached, waiting = {one}, [one]
    while waiting:
        here = waiting.pop()
        for a, b in usual.pairs:
            if a == here and b not in reached:
                reached.add(b)
                waiting.append(b)
    return other in reached


def _told(
    graph: Graph,
    kind: FindingKind,
    severity: Severity,
    step: Step | None,
    message: str,
    evidence: tuple[str, ...],
) -> Iterator[Finding]:
    if step is not None:
        yield Finding(
            kind=kind,
            severity=severity,
            confidence=0.7,
            step=step,
            message=message,
            evidence=evidence,
            agent=step.agent,
            path=(step,),
        )
