"""Where in the causal graph the code that runs now stands; `becausal.propagation` says how that crosses a wire.

The current step rides in OpenTelemetry's own context, under one key. So whatever carries that context (asyncio
tasks, instrumented executors, web frameworks) carries ours, and one attach serves both.

No token is ever detached. A step's scope attaches its context and, at its end, puts the former one back only if
its own is still current: so a scope that ends elsewhere than it began (a generator closed by another task)
neither logs an error nor overwrites a context that is not its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import NonRecordingSpan, SpanContext

from becausal.guard import note_failure
from becausal.step import OpenStep, StepRef

__all__ = [
    "Aside",
    "Scope",
    "StepScope",
    "aside",
    "attach",
    "context_now",
    "current",
    "put_aside",
    "span_parent",
    "stand_in",
    "step_of",
    "succeed",
    "with_step",
]

_KEY = otel_context.create_key("becausal-step")
_HEIR = otel_context.create_key("becausal-heir")
_ASIDE = otel_context.create_key("becausal-aside")
(_SPAN,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key under which OpenTelemetry's own functions find the current span."""


def _doors(api: Any = otel_context) -> tuple[Callable[[], Context], Callable[[Context], object]]:
    """Return what reads OpenTelemetry's context, and what makes another one current.

    Each step passes here a dozen times. The API goes through two functions every time to a `ContextVar`; where that is
    what keeps the context (somebody may have put another keeper in its place), these are that variable's own doors.
    """
    api.get_current()  # some versions find their keeper only when they are asked
    keeper = getattr(api, "_RUNTIME_CONTEXT", None)
    variable = getattr(keeper, "_current_context", None)
    if type(keeper) is ContextVarsRuntimeContext and type(variable) is ContextVar:
        return variable.get, variable.set
    return api.get_current, api.attach


context_now, attach = _doors()
"""Returns OpenTelemetry's current context, and makes one current."""


def current() -> StepRef | None:
    """Return the step whose work runs now, or None outside every chain."""
    try:
        return context_now().get(_KEY)  # type: ignore[return-value]
    except Exception as failure:  # hooks ask this before they know whether anything of ours is to be done
        note_failure("becausal.context.current", failure)
        return None


def step_of(context: Context) -> StepRef | None:
    """Return the step that a context carries."""
    return context.get(_KEY)  # type: ignore[return-value]


_NOTHING: dict[str, object] = {}


def with_step(step: StepRef, base: Context | None = None, beside: dict[str, object] = _NOTHING) -> Context:
    """Return a context in which a step is current, and its span with it where it has one.

    Args:
        step: the step.
        base: what else stands in it; None: what does now.
        beside: what is new in it, too.
    """
    around = context_now() if base is None else base
    span = step.span if isinstance(step, OpenStep) else None
    if span is not None and step.span_context is not None:
        return Context({**around, **beside, _KEY: step, _SPAN: span})
    return Context({**around, **beside, _KEY: step})


S = TypeVar("S")


class Aside(Protocol):
    """Work that becausal itself does with an app's code, such as making the app for a replay."""

    def memories(self, store: S) -> S:
        """Return what stands for the store of the app's memories, in which nothing lasts."""

    def begins(self, kind: str, name: str) -> bool:
        """Return whether a step of it is told; one that must not come about is stopped by what this raises."""


def aside() -> Aside | None:
    """Return the work in whose course the caller runs, whose memory accesses are none of the app's history; or None."""
    return context_now().get(_ASIDE)  # type: ignore[return-value]


def put_aside(work: Aside, base: Context | None = None) -> Context:
    """Return a context in which such work goes on."""
    return Context({**(context_now() if base is None else base), _ASIDE: work})


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
            self._former = context_now()
            attach(self._mine)
        except Exception as failure:
            note_failure("becausal.context.Scope.__enter__", failure)

    def __exit__(self, *_: object) -> None:
        try:
            now = context_now()
            if now is self._mine or (_HEIR in now and _is_heir(now, self._mine)):
                attach(self._former)
        except Exception as failure:
            note_failure("becausal.context.Scope.__exit__", failure)


_NEVER = Context()
"""Stands in a scope whose own context could not be made: it is never attached, so nothing is put back."""


class StepScope(Scope):
    """Makes a step current, and its span with it, for the length of a `with` block."""

    __slots__ = ("_step",)

    def __init__(self, step: StepRef) -> None:
        self._step = step

    def __enter__(self) -> None:
        self._mine = _NEVER
        try:
            self._former = former = context_now()
            mine = with_step(self._step, former)
            if not isinstance(mine, Context):
                raise TypeError(f"no context: {type(mine).__name__}")
            attach(mine)
            self._mine = mine
        except Exception as failure:
            note_failure("becausal.context.StepScope.__enter__", failure)


class _Heir:
    """Marks the context that took another's place; by id, since a context must not hold itself."""

    __slots__ = ("context_id", "of")

    def __init__(self, of: Context) -> None:
        self.of = of
        self.context_id = 0


def succeed(step: StepRef) -> tuple[Context, Context]:
    """Make a step current in the place of the one that is, until the scope in which that one stands ends.

    For work that turns into another step halfway, in a frame that is not ours: a retry, within the loop that retries.
    Returns the context that was current, and the one that is.
    """
    here = context_now()
    former = here.get(_HEIR)
    is_heir = isinstance(former, _Heir) and former.context_id == id(here)
    heir = _Heir(former.of if isinstance(former, _Heir) and is_heir else here)
    context = with_step(step, Context({**here, _HEIR: heir}))
    heir.context_id = id(context)
    attach(context)
    return here, context


def _is_heir(context: Context, of: Context) -> bool:
    heir = context.get(_HEIR)
    return isinstance(heir, _Heir) and heir.of is of and heir.context_id == id(context)


def span_parent(explicit: StepRef | None, here: StepRef | None, base: Context) -> Context:
    """Return the context whose span is to be the parent of a step's span.

    A parent that the framework's bookkeeping names wins over what happens to be current, unless that is a span of
    the same step's making (the user's own span inside it): then that one is the more specific.
    """
    if explicit is None or explicit.span_context is None:
        return base
    if here is explicit or (here is not None and here.id == explicit.id):
        return base
    span = explicit.span if isinstance(explicit, OpenStep) else None
    return Context({**base, _SPAN: stand_in(explicit.span_context) if span is None else span})


def stand_in(span_context: SpanContext) -> NonRecordingSpan:
    """Return a span that stands for one that is not at hand, to be a parent."""
    return NonRecordingSpan(span_context)
