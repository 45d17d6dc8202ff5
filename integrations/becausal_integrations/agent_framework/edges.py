"""What lies between two executors: groups of edges that gather, select and judge, and supersteps that lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Opening, Recorder
from becausal.step import Choice
from becausal_integrations.agent_framework.ledger import Ledger, cause
from becausal_integrations.patch import Notice

__all__ = ["Delivery", "Edges", "delivering"]

_DELIVERING = otel_context.create_key("becausal-agent-framework-delivering")

CONDITION = "agent_framework.edge.condition"
"""The name of the condition that an edge stands under."""


class Delivery(NamedTuple):
    """A message on its way through one group of edges."""

    runner: Any
    message: Any
    gathered: tuple[Any, ...]
    """Of a fan-in: the messages that are there, this one included."""


def delivering() -> Delivery | None:
    """Return the delivery that what runs now is part of."""
    return otel_context.get_value(_DELIVERING)  # type: ignore[return-value]


class Edges:
    """Says what the methods of edges and runners mean."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.delivery = Notice(
            lambda runner, message, *_, **__: (runner, message), self._delivered, self._delivering
        )
        self.selection = Notice(self._selected)
        self.condition = Notice(lambda edge, data: edge, self._judged)
        self.drained = Notice(lambda context: context, self._under_way)
        self.superstep = Notice(self._over)

    # On the way

    def _delivering(self, runner: Any, message: Any, *_: Any, **__: Any) -> Context:
        waiting: dict[str, list[Any]] = getattr(runner, "_buffer", {})  # of a fan-in
        gathered = {
            edge.source_id: list(waiting.get(edge.source_id, ())) for edge in runner._edge_group.edges
        }
        gathered.setdefault(message.source_id, []).append(message)
        parts = tuple(part for batch in gathered.values() for part in batch)
        return otel_context.set_value(_DELIVERING, Delivery(runner, message, parts))

    def _delivered(self, token: Any, was_taken: Any, error: BaseException | None) -> None:
        if token is None or error is not None:
            return
        runner, message = token
        carrier = self._ledger.carriers.get(message)
        if carrier is None:
            return
        if was_taken:
            carrier.has_arrived = True  # delivered, kept for a fan-in, or held back by a condition
        elif not any(runner._can_handle(edge.target_id, message) for edge in runner._edge_group.edges):
            carrier.is_refused = True

    def _under_way(self, context: Any, drained: Mapping[str, Sequence[Any]] | None, _: Any) -> None:
        sent = [message for batch in (drained or {}).values() for message in batch]
        carriers = [self._ledger.carriers.get(message) for message in sent]
        self._ledger.under_way[context] = [carrier for carrier in carriers if carrier is not None]

    def _over(self, context: Any) -> None:
        """Tell of the messages of a superstep that no executor behind any edge takes."""
        for carrier in self._ledger.under_way.pop(context, ()):
            if carrier.has_arrived or not carrier.is_refused:
                continue
            lost = self._recorder.handoff(
                carrier.sender,
                None,
                carrier.sent,
                sent_by=carrier.step,
                parent=current(),
                cause=cause(carrier.step, "transfer", "no executor takes its type"),
            )
            if lost is not None:
                self._recorder.end(lost)

    # Which way

    def _selected(self, runner: Any, targets: Sequence[str]) -> None:
        """Record what the selection of a switch, or of a fan-out that selects, has chosen."""
        delivery = delivering()
        if delivery is None or delivery.runner is not runner or runner._selection_func is None:
            return
        chosen = [str(target) for target in targets]
        self._route(delivery.message, tuple(runner._target_ids), chosen, {})

    def _judged(self, edge: Any, may_pass: bool | None, error: BaseException | None) -> None:
        """Record what a condition on an edge has decided."""
        delivery = delivering()
        if edge is None or edge._condition is None or delivery is None or error is not None:
            return
        attributes = {CONDITION: str(edge.condition_name)} if edge.condition_name else {}
        self._route(delivery.message, (edge.target_id,), [edge.target_id] if may_pass else [], attributes)

    def _route(
        self, message: Any, candidates: tuple[str, ...], chosen: list[str], attributes: dict[str, str]
    ) -> None:
        carrier = self._ledger.carriers.get(message)
        sender = carrier.sender if carrier is not None else message.source_id
        step = self._recorder.begin(
            Opening(
                "route",
                sender,
                agent=sender,
                received=NOTHING if carrier is None else carrier.sent,
                causes=[] if carrier is None else [cause(carrier.step, "data", "message to be routed")],
                attributes={semconv.ROUTE_CANDIDATES: candidates, **attributes},
            )
        )
        if step is None:
            return
        self._recorder.decide(step, Choice(f"route to {', '.join(chosen) or 'nobody'}"))
        self._recorder.end(step)
        if carrier is not None:
            carrier.routes.update(dict.fromkeys(chosen, step))
