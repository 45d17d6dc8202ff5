"""Where in the causal graph the code that runs now stands; `becausal.propagation` says how that crosses a wire.

The current step rides in OpenTelemetry's own context, under one key. So whatever carries that context (asyncio
tasks, instrumented executors, web frameworks) carries ours, and one attach serves both.

No token is ever detached. A step's scope attaches its context and, at its end, puts the former one back only if
its own is still current: so a scope that ends elsewhere than it began (a generator closed by another task)
neither logs an error nor overwrites a context that is not its own.
"""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext

from becausal.guard import note_failure
from becausal.step import OpenStep, StepRef

__all__ = ["Scope", "StepScope", "current", "span_parent", "stand_in", "step_of", "succeed", "with_step"]

_KEY = otel_context.create_key("becausal-step")
_HEIR = otel_context.create_key("becausal-heir")


def current() -> StepRef | None:
    """Return the step whose work runs now, or None outside every chain."""
    try:
        return otel_context.get_value(_KEY)  # type: ignore[return-value]
    except Exception as failure:  # hooks ask this before they know whether anything of ours is to be done
        note_failure("becausal.context.current", failure)
        return None


def step_of(context: Context) -> StepRef | None:
    """Return the step that a context carries."""
    return otel_context.get_value(_KEY, context)  # type: ignore[return-value]


def with_step(step: StepRef, base: Context | None = None) -> Context:
    """Return a context in which a step is current, and its span with it where it has one."""
    context = otel_context.set_value(_KEY, step, base)
    span = step.span if isinstance(step, OpenStep) else None
    if span is not None and step.span_context is not None:
        return trace.set_span_in_context(span, context)
    return context


class Scope:
    """Makes a context current for the length of a `with` block, in whichever thread or task that runs."""

    __slots__ = ("_former", "_mine")

    def __init__(self, context: Context) -> None:
        self._mine = context

    # What runs inside is the app's, so neither end may fail: where OpenTelemetry's context does, nothing is changed.

    def __enter__(self) -> None:
        try:
            if not isinstance(self._mine, Context):  # attached, it would fail in the app, far from here
                raise TypeError(f"no context: {type(self._mine).__name__}")
            self._former = otel_context.get_current()
            otel_context.attach(self._mine)
        except Exception as failure:
            note_failure("becausal.context.Scope.__enter__", failure)

    def __exit__(self, *_: object) -> None:
        try:
            now = otel_context.get_current()
            if now is self._mine or _is_heir(now, self._mine):
                otel_context.attach(self._former)
        except Exception as failure:
            note_failure("becausal.context.Scope.__exit__", failure)


class StepScope(Scope):
    """Makes a step current, and its span with it, for the length of a `with` block."""

    __slots__ = ("_step",)

    def __init__(self, step: StepRef) -> None:
        self._step = step

    def __enter__(self) -> None:
        try:
            self._mine = with_step(self._step)
        except Exception as failure:
            self._mine = Context()  # is never attached, so nothing is put back
            note_failure("becausal.context.StepScope.__enter__", failure)
            return
        super().__enter__()


class _Heir:
    """Marks the context that took another's place; by id, since a context must not hold itself."""

    __slots__ = ("context_id", "of")

    def __init__(self, of: Context) -> None:
        self.of = of
        self.context_id = 0


def succeed(step: StepRef) -> None:
    """Make a step current in the place of the one that is, until the scope in which that one stands ends.

    For work that turns into another step halfway, in a frame that is not ours: a retry, within the loop that retries.
    """
    here = otel_context.get_current()
    former = otel_context.get_value(_HEIR, here)
    is_heir = isinstance(former, _Heir) and former.context_id == id(here)
    heir = _Heir(former.of if isinstance(former, _Heir) and is_heir else here)
    context = with_step(step, otel_context.set_value(_HEIR, heir, here))
    heir.context_id = id(context)
    otel_context.attach(context)


def _is_heir(context: Context, of: Context) -> bool:
    heir = otel_context.get_value(_HEIR, context)
    return isinstance(heir, _Heir) and heir.of is of and heir.context_id == id(context)


def span_parent(explicit: StepRef | None, here: StepRef | None, base: Context) -> Context:
    """Return the context whose span is to be the parent of a step's span.

    A parent that the framework's bookkeeping names wins over what happens to be current, unless that is a span of
    the same step's making (the user's own span inside it): then that one is the more specific.
    """
    if explicit is None or explicit.span_context is None:
        return base
    if here is not None and here.id == explicit.id:
        return base
    return trace.set_span_in_context(stand_in(explicit.span_context), base)


def stand_in(span_context: SpanContext) -> NonRecordingSpan:
    """Return a span that stands for one that is not at hand, to be a parent."""
    return NonRecordingSpan(span_context)
