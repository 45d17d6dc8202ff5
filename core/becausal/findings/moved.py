"""Cumulative drift: each agent passes the request on and changes a word of it, and at last it asks for something else.

No single hop is wrong enough to be seen. So what counts is the sum: of the words of the request more than half are
gone at the end, no agent took more than a third of them away, and at least three did. Who rewrites everything in words
of his own (a paraphrase, a translation, an answer) takes nearly all of them at once, and is not meant: by words alone
nobody can tell whether that means the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from becausal.drift.meaning import terms
from becausal.drift.request import request_of
from becausal.drift.turns import Turn, Turns
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output

__all__ = ["of_moved"]

FEWEST_WORDS: Final = 6
"""Words of a request that has enough of them to be told from another one."""
FEWEST_HOPS: Final = 3
MOST_AT_ONCE: Final = 1 / 3
"""Of the request's words, what one agent of a slow drift takes away at most."""
GONE: Final = 1 / 2
LEAST_PASSED_ON: Final = 0.5
"""Of the words that an agent heard, what one that passes them on says again at least."""


@dataclass(frozen=True)
class _Taken:
    turn: Turn
    words: frozenset[str]
    instead: frozenset[str]


def of_moved(scene: Scene, turns: Turns) -> Iterator[Finding]:
    """Yield where a request began to become another one, if it did; at most one finding."""
    asked = terms(request_of(scene.graph, ()).text)
    if len(asked) < FEWEST_WORDS or len(turns.hops) <= FEWEST_HOPS:
        return
    told = {turn.step.id: (terms(turn.heard[1]), terms(turn.said[1])) for turn in turns.all}
    last = frozenset().union(*(told[turn.step.id][0] for turn in turns.hops[-1]))
    gone = asked - last - terms(scene.answer)
    taken = []
    for turn in turns.all:
        heard, said = told[turn.step.id]
        words = (gone & heard) - said
        if not words:
            continue
        if len(words) > MOST_AT_ONCE * len(asked) or len(heard & said) < LEAST_PASSED_ON * len(heard):
            return
        taken.append(_Taken(turn, words, said - heard))
    if len(gone) > GONE * len(asked) and len({one.turn.hop for one in taken}) >= FEWEST_HOPS:
        yield _finding(scene, taken, len(gone) / len(asked))


def _finding(scene: Scene, taken: list[_Taken], share: float) -> Finding:
    first = min(taken, key=lambda one: (one.turn.hop, one.turn.step.seq)).turn
    who = first.step.agent or first.step.name
    return Finding(
        kind="drift.moved",
        severity="warning",
        confidence=0.6,
        step=first.step,
        message=(
            f"what was asked for moved over {len({one.turn.hop for one in taken})} hops, each a little, first with "
            f"{who}: {share:.0%} of its words are gone"
        ),
        evidence=tuple(
            f"hop {one.turn.hop}, {one.turn.step.agent}: {', '.join(sorted(one.words))} gone"
            + (f", instead {', '.join(sorted(one.instead)[:8])}" if one.instead else "")
            for one in taken
        ),
        agent=first.step.agent,
        path=way_to_output(scene.graph, first.step),
    )
