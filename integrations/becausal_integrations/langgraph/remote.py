"""LangGraph's remote graphs: one step at the caller, and the chain goes on at the other end.

Hooked places, and why these
----------------------------
`RemoteGraph.invoke`, `stream` and their twins
    A call of a graph that runs elsewhere: a workflow step. `invoke` works by `stream`, which then is none.

`RunsClient.stream`, `create`, `wait`, `ThreadsClient.stream` and their sync twins (langgraph-sdk)
    Every run that a client asks a server for, by a remote graph or by itself. The request gets our headers
    (`traceparent`, `tracestate`) beside those that the app gave, in a dict of its own; where both give one the app's
    stays, and `tracestate` is joined. Here and not in `RemoteGraph`, whose own `distributed_tracing` so stays as it is.
    Not in the configuration that is sent: a server keeps that in its checkpoints.

`SyncPregelLoop.__enter__`, `AsyncPregelLoop.__aenter__`
    The other end. A graph that is entered outside every chain goes on with the one that its configuration brings: a
    LangGraph server puts there the headers that its `langgraph.json` names,
    `{"http": {"configurable_headers": {"includes": ["traceparent", "tracestate", "baggage"]}}}`.
    (Source: langgraph-api 0.16.7, `utils/headers.py`, `models/run.py`.)

Not seen: `RemoteGraph.stream_events(version="v3")` as a step of its own (its run is told at the other end, under
whoever asked); a remote graph's `get_state` and `update_state`.

Checked against langgraph 0.6.11 to 1.2.22 (source: `pregel/remote.py`), langgraph-sdk 0.2.15 to 0.4.14.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.guard import guarded
from becausal.propagation import extract, inject, remote_step
from becausal.recorder import Observation, Opening, Recorder
from becausal.standin import FunctionStandIn
from becausal.step import Attribute, OpenStep, Status
from becausal_integrations.langchain.describe import outcome
from becausal_integrations.patch import Notice, notice, noticing, observing, replace

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.pregel.remote import RemoteGraph

__all__ = ["install", "with_our_headers"]

REMOTE = "langgraph.pregel.remote:RemoteGraph"
LOOP = "langgraph.pregel._loop"
SDK = "langgraph_sdk.client"

ASSISTANT = "langgraph.assistant_id"

_BRINGING = frozenset(("tracestate", "baggage", semconv.HEADER))
"""The headers that a place may come by."""

_AT_WORK = otel_context.create_key("becausal-langgraph-remote")


def install(recorder: Recorder, hooks: Hooks) -> None:
    """Hook both ends of the wire."""
    seen = Observation(opened, failed=failed)
    for door in ("invoke", "ainvoke", "stream", "astream"):
        replace(hooks, f"{REMOTE}.{door}", functools.partial(_hook, recorder, seen))
    carrying = functools.partial(_carrying, recorder)
    for client in ("RunsClient", "SyncRunsClient"):
        for door in ("stream", "create", "wait"):
            replace(hooks, f"{SDK}:{client}.{door}", carrying)
    for client in ("ThreadsClient", "SyncThreadsClient"):
        replace(hooks, f"{SDK}:{client}.stream", carrying, optional=True)  # since langgraph-sdk 0.4
    arrived = Notice(scope=arriving)
    notice(recorder, hooks, f"{LOOP}:SyncPregelLoop.__enter__", arrived)
    notice(recorder, hooks, f"{LOOP}:AsyncPregelLoop.__aenter__", arrived)


# The caller's end


def opened(
    remote: RemoteGraph, input: Any = None, config: Mapping[str, Any] | None = None, *_: Any, **__: Any
) -> Opening | None:
    """Tell a call of a remote graph; None for the stream that `invoke` works by."""
    here = current()
    is_remote = isinstance(here, OpenStep) and ASSISTANT in here.attributes
    if is_remote and otel_context.get_value(_AT_WORK) == id(remote):
        return None
    attributes: dict[str, Attribute] = {ASSISTANT: str(remote.assistant_id)}
    for settings in (config, remote.config):
        thread = (settings or {}).get("configurable", {}).get("thread_id")
        if thread is not None:
            attributes.setdefault(semconv.CONVERSATION_ID, str(thread))
    return Opening("workflow", str(remote.name), received=input, attributes=attributes)


def failed(_: OpenStep, error: BaseException) -> Status | None:
    """Tell an interrupt or a jump to the parent graph from a failure."""
    return outcome(error)


def with_our_headers(
    given: Mapping[str, str] | None, standing: Mapping[str, str]
) -> Mapping[str, str] | None:
    """Return the headers of a request, ours beside those that the app gave; `standing` are those of its client."""
    ours: dict[str, str] = {}
    if current() is not None:
        inject(ours)
    if not ours:
        return given
    theirs = dict(given or {})
    names = {name.lower(): name for name in theirs}
    standing = {name.lower(): value for name, value in standing.items()}
    for name, value in ours.items():
        if name in ("tracestate", "baggage"):
            key = names.get(name, name)
            before = theirs.get(key) or standing.get(name)
            theirs[key] = ",".join(filter(None, (value, before) if name == "tracestate" else (before, value)))
        elif name not in names and name not in standing:
            theirs[name] = value
    return theirs


def _hook(recorder: Recorder, seen: Observation, original: Callable[..., Any]) -> Callable[..., Any]:
    if original.__name__.endswith("stream"):
        return observing(recorder, original, seen)
    return observing(recorder, noticing(recorder, original, Notice(scope=_at_work)), seen)


def _at_work(remote: RemoteGraph, *_: Any, **__: Any) -> Context:
    """Return the context in which `invoke` works: it knows of which graph that is."""
    return otel_context.set_value(_AT_WORK, id(remote))


def _carrying(recorder: Recorder, original: Callable[..., Any]) -> Any:
    """Return a method of a client whose requests carry our headers."""

    def through(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        headers = _headers(client, kwargs.get("headers")) if recorder.active else None
        return wrapped(*args, **(kwargs if headers is None else {**kwargs, "headers": headers}))

    return FunctionStandIn(original, through)


@guarded
def _headers(client: Any, given: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return the headers for a request of a client of langgraph-sdk; None: those that were given."""
    standing = getattr(getattr(getattr(client, "http", None), "client", None), "headers", {})
    return with_our_headers(given, standing)


# The other end


def arriving(loop: PregelLoop, *_: Any) -> Context | None:
    """Return the context in which to enter a graph that a caller elsewhere asked for; None for one of this process."""
    configurable = loop.config.get("configurable", {})
    if current() is not None or _BRINGING.isdisjoint(configurable) or remote_step(configurable) is None:
        return None
    # A span of the server's own is nearer than the caller's.
    here, context = trace.get_current_span(), extract(configurable)
    return trace.set_span_in_context(here, context) if here.get_span_context().is_valid else context
