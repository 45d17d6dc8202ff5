"""What the record of a chain says by itself: its steps, and what stands on them. `becausal.run` asks more of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from becausal.answers.handoffs import handoffs_of
from becausal.decision import Decision
from becausal.graph import Graph
from becausal.graph.edge import Edge
from becausal.graph.part import Part
from becausal.handoff import Handoff
from becausal.harmless import legible
from becausal.logline import LogLine, lines_of
from becausal.memory_view import MemoryView
from becausal.payload import Payload
from becausal.step import Status, Step
from becausal.store import Store
from becausal.toolcall import ToolCall

__all__ = ["Record"]


class Record:
    """A chain as it was recorded, or a part of one."""

    def __init__(
        self, chain_id: str, steps: Iterable[Step], *, store: Store | None = None, part: Part | None = None
    ) -> None:
        self.chain_id = chain_id
        self.store = store
        """Where it came from, and its payloads' bodies are; None of a run that was put together from steps."""
        self.graph = Graph(steps, part)
        """The causal graph; `graph.to_networkx()` gives it to networkx."""

    @property
    def part(self) -> Part | None:
        """Which part of the chain is loaded; None: all of it."""
        return self.graph.part

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step that is loaded, in `seq` order."""
        return self.graph.nodes

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge, in the order of the caused step."""
        return self.graph.edges

    @cached_property
    def name(self) -> str:
        """The name of the chain's first root; empty where nothing was recorded."""
        return next((root.name for root in self.graph.roots), "")

    @property
    def started_ns(self) -> int | None:
        """When its first step started, in nanoseconds since the epoch."""
        return min((step.started_ns for step in self.steps), default=None)

    @property
    def ended_ns(self) -> int | None:
        """When its last step ended; None while any is open, and where its root is lost."""
        ends = [step.ended_ns for step in self.steps]
        if None in ends or self.graph.root_is_lost:
            return None
        return max((end for end in ends if end is not None), default=None)

    @property
    def status(self) -> Status:
        """How its last root stands; `unfinished` where it is lost: nothing says that the chain came to its end."""
        roots = self.graph.roots
        return "unfinished" if self.graph.root_is_lost or not roots else roots[-1].status

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """The agents' names, in the order in which they first worked."""
        return tuple(
            dict.fromkeys(step.agent for step in self.steps if step.agent and step.kind != "handoff")
        )

    @property
    def output(self) -> Payload | None:
        """What came out: the produced payload of the chain's root; None if nothing did."""
        step = self.graph.output_step
        return None if step is None else step.produced

    @cached_property
    def handoffs(self) -> tuple[Handoff, ...]:
        """Every handoff, in the order of sending."""
        return handoffs_of(self.graph)

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Every execution of a tool, in the order of the calls."""
        return tuple(ToolCall(step) for step in self.steps if step.kind == "tool")

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision, in the order of the steps that took them."""
        return tuple(Decision(step, choice) for step in self.steps for choice in step.choices)

    @cached_property
    def logs(self) -> tuple[LogLine, ...]:
        """What the app logged inside this run's steps, in the order of writing (see `becausal.logs`)."""
        return tuple(
            sorted((line for step in self.steps for line in lines_of(step)), key=lambda line: line.time_ns)
        )

    @cached_property
    def memory(self) -> MemoryView:
        """What agents shared in this run, version by version: state channels, stores, memories."""
        return MemoryView(self.graph)

    def step(self, id: str) -> Step:
        """Return a step by its id or by the beginning of it.

        Raises:
            StepNotFoundError: no step, or several, answer to it.
        """
        return self.graph.step(id)

    @legible
    def __repr__(self) -> str:
        of_all = "" if self.part is None else f" of {self.part.of_all}"
        steps = f"{len(self.steps)}{of_all} steps"
        return f"<{type(self).__name__} {self.chain_id[:8]} {self.name!r}: {steps}, {self.status}>"
