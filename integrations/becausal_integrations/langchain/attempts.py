"""What is tried again after it failed: by `with_retry`, `with_fallbacks`, a middleware, or a loop of the app's own.

The later try gets its number and a cause of kind `retry` that leads to the failed one, whoever makes it: the same model
or the next of several. So the answer is led to the model that gave it, and the ones that did not stay to be seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from becausal import semconv
from becausal.recorder import Recorder
from becausal.step import Cause, Grade, OpenStep, StepRef
from becausal_integrations.langchain.runnables import Runnables

__all__ = ["Attempts", "attempt_after"]

MAX_FAILED = 1024
"""Failed calls that are remembered, in case they are tried again."""

AT_ONCE = "map:key:"
"""How the tag of a `RunnableParallel`'s part begins: these run beside each other, none instead of another."""

_Key = tuple[str, str]


class Attempts:
    """Which model call is another try of which."""

    def __init__(self, recorder: Recorder, runnables: Runnables) -> None:
        self._recorder, self._runnables = recorder, runnables
        self._failed: OrderedDict[_Key, OpenStep] = OrderedDict()

    def begun(self, step: OpenStep, parent_run_id: UUID | None, tags: Sequence[str]) -> None:
        """Number a call that has begun, if it is another try."""
        before: Any = self._runnables.tried_before(parent_run_id, tags)
        grade: Grade = "observed"
        if before is None and self._failed and not any(tag.startswith(AT_ONCE) for tag in tags):
            key = _key(step)
            before = None if key is None else self._failed.pop(key, None)
            grade = "matched"
        if before is None or before.chain_id != step.chain_id:
            return
        step.attributes[semconv.ATTEMPT] = attempt_after(before)
        how = "the same messages, after" if grade == "matched" else "after"
        evidence = f"{how} {getattr(before, 'name', 'a call')} had failed"
        self._recorder.cause(step, Cause(before.id, "retry", grade, evidence, before.span_context))

    def failed(self, step: OpenStep, parent_run_id: UUID | None) -> None:
        """Remember a call that failed."""
        self._runnables.failed(parent_run_id, step)
        key = _key(step)
        if key is not None:
            self._failed[key] = step
            while len(self._failed) > MAX_FAILED:
                self._failed.popitem(last=False)


def attempt_after(before: StepRef) -> int:
    """Return the number of the try that follows another."""
    number = before.attributes.get(semconv.ATTEMPT) if isinstance(before, OpenStep) else None
    return number + 1 if isinstance(number, int) else 2


def _key(step: OpenStep) -> _Key | None:
    """Return what two tries have in common: the same messages, given to a model in the course of the same step."""
    if step.parent_id is None or step.received is None:
        return None
    return step.parent_id, step.received.digest
