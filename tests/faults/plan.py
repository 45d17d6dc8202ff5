"""Who hears whom: the topologies of the benchmark, as predecessors by agent."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

__all__ = ["TOPOLOGIES", "Plan"]

TOPOLOGIES: Final = ("chain", "tree", "diamond", "map")

_NAMES: Final = ("ada", "bo", "cleo", "dan", "eve", "finn", "gus", "hal", "ivy", "jo", "kim", "lee")


@dataclass(frozen=True)
class Plan:
    """Agents in the order of their work, each with those that it hears. The first hears the user, the last answers."""

    NAMES: ClassVar = _NAMES

    topology: str
    hears: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, rng: random.Random, topology: str | None = None, *, depth: int | None = None) -> Plan:
        """Return the agents of a topology; `depth`: how many there are in a row, 2 to 8."""
        made = topology or rng.choice(TOPOLOGIES)
        names = rng.sample(_NAMES, len(_NAMES))
        length = depth or rng.randint(3, 8)
        first, last, rest = names[0], names[1], names[2:]
        hears: dict[str, tuple[str, ...]] = {first: ()}
        match made:
            case "diamond":
                left, right, after = rest[0], rest[1], rest[2 : rng.randint(2, 5)]
                hears |= {left: (first,), right: (first,)}
                before: tuple[str, ...] = (left, right)
                for name in after:
                    hears[name] = before
                    before = (name,)
                hears[last] = before
            case "map":
                workers = rest[: rng.randint(3, 5)]
                hears |= dict.fromkeys(workers, (first,))
                hears[last] = tuple(workers)
            case "tree":
                branches = [(rest[0], rest[1]), (rest[2], rest[3])]
                for top, leaf in branches:
                    hears |= {top: (first,), leaf: (top,)}
                hears[last] = tuple(leaf for _, leaf in branches)
            case _:
                row = [first, *rest[: length - 2], last]
                hears |= {after: (before,) for before, after in pairwise(row)}
        return cls(made, hears)

    @property
    def agents(self) -> tuple[str, ...]:
        """All of them, those first that are heard first."""
        return tuple(self.hears)

    @property
    def first(self) -> str:
        """The one that hears the user."""
        return self.agents[0]

    @property
    def last(self) -> str:
        """The one that answers."""
        return self.agents[-1]

    def heard_by(self, name: str) -> tuple[str, ...]:
        """Return those that hear an agent."""
        return tuple(other for other, heard in self.hears.items() if name in heard)
