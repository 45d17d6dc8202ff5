"""A stream's life, told as one step: what stands between the stand-ins of `streams` and the recorder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context

from becausal import clock, semconv
from becausal.canonical import plain
from becausal.context import Scope, context_now, current, with_step
from becausal.guard import guarded
from becausal.observation import NOTHING, Observation
from becausal.step import OpenStep, Status

if TYPE_CHECKING:
    from becausal.redaction.redactor import Redactor

__all__ = ["MAX_ITEMS", "StreamTelling"]

MAX_ITEMS = 10_000
"""Items of a stream that are kept; of a longer one their number is told."""

_IMMUTABLE = (str, bytes, int, float, bool, type(None))


class Steps(Protocol):
    """What of the recorder a stream needs."""

    def opened(self, seen: Observation, args: Sequence[Any], kwargs: dict[str, Any]) -> OpenStep | None:
        """Start the step of a call; None where nothing is recorded."""

    def produce(self, step: OpenStep, value: object) -> None:
        """Seal what a step produced."""

    @property
    def redact(self) -> Redactor | None:
        """What takes the secrets out of what is kept."""

    def keep(self, step: OpenStep, name: str, value: object) -> None:
        """Seal what a replay needs of a step beside what it received and produced."""

    def end(
        self,
        step: OpenStep,
        produced: object = NOTHING,
        *,
        error: BaseException | None = None,
        status: Status | None = None,
    ) -> None:
        """End a step."""


class StreamTelling:
    """Tells a stream's life as one step: what the stand-ins of `streams` ask for."""

    __slots__ = (
        "_args",
        "_base",
        "_count",
        "_has_result",
        "_items",
        "_kwargs",
        "_recorder",
        "_seen",
        "_step",
    )

    def __init__(
        self, recorder: Steps, seen: Observation, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        self._recorder, self._seen, self._args, self._kwargs = recorder, seen, args, kwargs
        self._base = context_now()  # where the stream was asked for
        self._step: OpenStep | None = None
        self._has_result = False
        self._items: list[object] = []
        self._count = 0

    @guarded
    def begin(self) -> Context | None:
        """Start the step; returns the context to run the generator in."""
        with Scope(context_now() if current() is not None else self._base):
            self._step = self._recorder.opened(self._seen, self._args, self._kwargs)
            self._args, self._kwargs = (), {}
            return None if self._step is None else with_step(self._step)

    @guarded
    def item(self, item: object) -> None:
        """Note an item on its way to the reader."""
        if self._step is None:
            return
        if self._seen.keeps is None:
            self._count += 1
            if self._count <= MAX_ITEMS:
                # As it is now: its reader may change it.
                self._items.append(item if type(item) in _IMMUTABLE else plain(item))
        elif self._seen.keeps(item):
            # Sealed at once: attributes and payloads set after the last item are lost when the reader leaves.
            produced = self._seen.closed(self._step, item)
            if produced is not NOTHING:
                self._recorder.produce(self._step, produced)
            if self._items and self._seen.answers is not None and self._count <= MAX_ITEMS:
                self._recorder.keep(self._step, "pieces", self._whole())
            self._has_result = True
            self._items.clear()
            self._step.ended_ns = clock.now_ns()
        elif type(item) in _IMMUTABLE:
            self._count += 1
            if self._count <= MAX_ITEMS:
                self._items.append(item)  # what a stream says before its result, or before it breaks off

    @guarded
    def end(self, status: Status, error: BaseException | None = None) -> None:
        """End the step."""
        step, self._step = self._step, None
        if step is None:
            return
        produced: object = NOTHING
        try:
            if error is not None:
                status = self._seen.failed(step, error) or status
            elif self._has_result:
                status = "ok"  # its result is out; how the reader left does not matter
            if self._seen.keeps is None and (self._items or error is None):
                produced = self._seen.closed(step, self._whole())
                if self._count > MAX_ITEMS:
                    step.attributes[semconv.STREAM_ITEMS] = self._count
            elif self._items and not self._has_result:
                produced = self._whole()
        finally:  # it ends, whatever became of its description
            self._recorder.end(step, produced, error=error, status=status)

    def _whole(self) -> list[object]:
        """Return the items as they may be kept: a secret may lie across several of them."""
        redact = self._recorder.redact
        return self._items if redact is None else redact.pieces(self._items)
