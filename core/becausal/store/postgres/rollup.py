"""What a list of chains shows of each, kept up as its steps are written: so the list reads no steps.

Pure, but for the root of a chain that came in several batches, which may have to be looked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from becausal.store import ChainInfo
from becausal.store.postgres.row import StepRow
from becausal.store.upkeep import SAYS_WRONG

__all__ = ["COLUMNS", "Rollup"]

COLUMNS: Final = (
    "chain_id, day, started_ns, ended_ns, steps, open, errors, handoffs, touched_ns, wrong, root_seq, "
    "root_parent, root_name, agents"
)


NAMES: Final = COLUMNS.split(", ")[:-1]


@dataclass
class Rollup:
    """A row of the table `chains`."""

    chain_id: str
    day: int
    started_ns: int
    ended_ns: int | None
    steps: int
    open: int
    errors: int
    handoffs: int
    touched_ns: int
    wrong: bool
    root_seq: int | None
    root_parent: int | None
    root_name: str | None
    agents: dict[str, int]

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Rollup:
        """Return it from what a query of `COLUMNS` found."""
        return cls(**dict(zip(NAMES, row[:-1], strict=True)), agents=json.loads(row[-1]))

    def row(self) -> tuple[object, ...]:
        """Return the values of `COLUMNS`."""
        return (
            *(self.chain_id, self.day, self.started_ns, self.ended_ns, self.steps, self.open),
            *(
                self.errors,
                self.handoffs,
                self.touched_ns,
                self.wrong,
                self.root_seq,
                self.root_parent,
                self.root_name,
            ),
            json.dumps(self.agents),
        )

    def info(self, *, is_rooted: bool) -> ChainInfo:
        """Return it as a list shows it.

        Args:
            is_rooted: whether one of its steps was called by none.
        """
        return ChainInfo(
            chain_id=self.chain_id,
            name=self.root_name or "",
            started_ns=self.started_ns,
            ended_ns=None if self.open else self.ended_ns,
            steps=self.steps,
            errors=self.errors,
            handoffs=self.handoffs,
            agents=tuple(sorted(self.agents, key=self.agents.__getitem__)),
            root_is_lost=not is_rooted,
        )

    def count(self, old: StepRow | None, new: StepRow) -> None:
        """Take in that a step was written."""
        if old is not None:
            self._add(old, -1)
        self._add(new, 1)
        self.started_ns = min(self.started_ns, new.started_ns)
        self.touched_ns = max(self.touched_ns, new.started_ns, new.ended_ns or 0)
        self.wrong = self.wrong or any(f'"{name}":' in (new.attributes or "") for name in SAYS_WRONG)
        if new.ended_ns is not None:
            self.ended_ns = new.ended_ns if self.ended_ns is None else max(self.ended_ns, new.ended_ns)
        if new.agent is not None:
            self.agents[new.agent] = min(self.agents.get(new.agent, new.seq), new.seq)

    def may_have_another_root(self, written: Iterable[StepRow]) -> bool:
        """Return whether the earliest step whose parent is not there may be another one with these."""
        return self.root_seq is None or any(
            row.seq <= self.root_seq or row.step_id == self.root_parent for row in written
        )

    def take_root(self, rows: Collection[StepRow]) -> None:
        """Take the root from all rows of the chain."""
        ids = {row.step_id for row in rows}
        roots = [row for row in rows if row.parent_id not in ids]
        root = min(roots, key=lambda row: (row.seq, row.started_ns, row.step_id), default=None)
        found = (None, None, None) if root is None else (root.seq, root.parent_id, root.name)
        self.root_seq, self.root_parent, self.root_name = found

    def _add(self, row: StepRow, how_many: int) -> None:
        self.steps += how_many
        self.open += how_many * (row.ended_ns is None)
        self.errors += how_many * (row.status == "error")
        self.handoffs += how_many * (row.kind == "handoff")
