"""What a loaded run tells those who judge it as a whole."""

from __future__ import annotations

from typing import Protocol

from becausal.finding import Finding
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.step import Step
from becausal.store import Store

__all__ = ["Recorded"]


class Recorded(Protocol):
    """A run, as far as its comparison, its suspects, its health and its report ask about it."""

    @property
    def chain_id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """The name of its first root."""

    @property
    def graph(self) -> Graph:
        """Its causal graph."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in `seq` order."""

    @property
    def handoffs(self) -> tuple[Handoff, ...]:
        """Every handoff, in the order of sending."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, in the order in which it entered."""

    @property
    def store(self) -> Store | None:
        """Where it came from; None of a run that was put together from steps."""

    @property
    def output(self) -> Payload | None:
        """What came out."""
