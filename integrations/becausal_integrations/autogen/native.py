"""AutoGen's own spans: one span for one event, and each of the rest under its right parent.

AutoGen makes spans of the GenAI conventions for an agent's turn (`invoke_agent`) and a tool call (`execute_tool`), with
a name and no content. Ours are of the same conventions and say more. Where both would go to the same place, ours stands
for both and takes over what AutoGen's would have said beside. AutoGen's stay where ours is not made or goes elsewhere:
a provider that `becausal.instrument(tracer_provider=…)` was given for ours alone, a level that leaves tools out, a call
outside every chain, a call of these functions by the app. `create_agent` stays: nothing of ours says that.

The spans of the runtimes (`autogen create`, `send`, `publish`, `process`, `ack`) are of the provider that the app gave
the runtime and stay. Their parents come right by the context in which each message is handled;
`AUTOGEN_DISABLE_RUNTIME_TRACING` turns them off, as ever.

Where nobody makes spans (no provider is set, or runtimes' are turned off) AutoGen prepares each all the same, ten for
each turn: it writes the message out for it as JSON, and parses the sender's span for a link that is never made. All of
that is passed over: envelopes do not name the sender's span, and what would stand around a piece of work is nothing.

The names are imported where they are used, so they are hooked there.

Source: autogen-core 0.7.5, `_telemetry/_genai.py`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, ProxyTracerProvider, Span

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.guard import guarded
from becausal.recorder import Recorder
from becausal.step import OpenStep
from becausal_integrations.patch import Make, replace

__all__ = ["install", "makes_spans"]

TOOLS = ("autogen_core.tools._base", "autogen_ext.tools.mcp._workbench")
AGENTS = (
    "autogen_agentchat.agents._base_chat_agent",
    "autogen_agentchat.teams._group_chat._chat_agent_container",
)


def install(recorder: Recorder, hooks: Hooks) -> None:
    """Hook where AutoGen makes a span that ours stands for, two places of each sort, and where it may make none."""
    for module in TOOLS:
        replace(hooks, f"{module}:trace_tool_span", _unless_ours(recorder, _tool_span))
    for module in AGENTS:
        replace(hooks, f"{module}:trace_invoke_agent_span", _unless_ours(recorder, _turn_span))
    replace(hooks, "autogen_core._telemetry._tracing:TraceHelper.trace_block", _unless_nobodys(recorder))
    described = "SingleThreadedAgentRuntime._create_otel_attributes"
    replace(hooks, f"autogen_core._single_threaded_agent_runtime:{described}", _undescribed(recorder))


@guarded
def makes_spans(helper: Any) -> bool:
    """Return whether a runtime makes spans of its own; it does not while there is no provider to make them.

    None where it cannot be asked, and so may make them.

    Args:
        helper: its `TraceHelper`; see `_telemetry/_tracing.py`.
    """
    tracer = getattr(helper, "tracer", None)
    # What stands for a tracer until a provider is set: while it has found none and there is none, it need not be asked.
    if trace._TRACER_PROVIDER is None and getattr(tracer, "_real_tracer", tracer) is None:
        return False
    return type(getattr(tracer, "_tracer", tracer)) is not NoOpTracer


_NO_SPAN: AbstractContextManager[Span] = contextlib.nullcontext(INVALID_SPAN)
"""Stands around what has no span."""


def _unless_nobodys(recorder: Recorder) -> Make:
    """Return what makes a stand-in for a runtime's span around something that is done: nothing where there is none."""

    def make(original: Callable[..., AbstractContextManager[Span]]) -> Any:
        @functools.wraps(original)
        def block(helper: Any, *args: Any, **kwargs: Any) -> AbstractContextManager[Span]:
            if recorder.active and makes_spans(helper) is False:
                return _NO_SPAN
            return original(helper, *args, **kwargs)

        return block

    return make


def _undescribed(recorder: Recorder) -> Make:
    """Return what makes a stand-in for what gathers a message's attributes for a span that may not be made."""

    def make(original: Callable[..., Awaitable[Mapping[str, str]]]) -> Any:
        @functools.wraps(original)
        async def gathered(
            runtime: Any,
            sender_agent_id: Any = None,
            recipient_agent_id: Any = None,
            *others: Any,
            **named: Any,
        ) -> Mapping[str, str]:
            if not recorder.active or makes_spans(getattr(runtime, "_tracer_helper", None)) is not False:
                return await original(runtime, sender_agent_id, recipient_agent_id, *others, **named)
            for agent_id in (sender_agent_id, recipient_agent_id):
                if agent_id:
                    await runtime._get_agent(agent_id)  # one that is not made yet is made by this, or refused
            return {}

        return gathered

    return make


def _unless_ours(recorder: Recorder, ours: Callable[..., Span | None]) -> Make:
    """Return what makes a stand-in that gives our span where there is one, else AutoGen's, where there may be one."""

    @guarded
    def find(*args: Any, tracer: object = None, **kwargs: Any) -> Span | None:
        if not recorder.active:
            return None
        span = ours(*args, **kwargs) if recorder.makes_global_spans else None
        if span is None and tracer is None and type(trace.get_tracer_provider()) is ProxyTracerProvider:
            return INVALID_SPAN
        return span

    def make(original: Callable[..., AbstractContextManager[Span]]) -> Any:
        @functools.wraps(original)
        def spanned(*args: Any, **kwargs: Any) -> AbstractContextManager[Span]:
            span = find(*args, **kwargs)
            return original(*args, **kwargs) if span is None else contextlib.nullcontext(span)

        return spanned

    return make


def _tool_span(
    tool_name: str, *, tool_description: str | None = None, tool_call_id: str | None = None, **_: Any
) -> Span | None:
    """Return the span of the tool call that runs here, with what AutoGen's own would have said."""
    step = current()
    if not isinstance(step, OpenStep) or step.kind != "tool" or step.name != tool_name:
        return None
    told = {semconv.TOOL_DESCRIPTION: tool_description, semconv.TOOL_CALL_ID: tool_call_id}
    for key, value in told.items():
        if value is not None:
            step.attributes.setdefault(key, value)
    return step.span


def _turn_span(*_: Any, **__: Any) -> Span | None:
    """Return the span around the turn that is about to begin, which will have one of ours; None outside every chain."""
    step = current()
    return trace.get_current_span() if step is not None and step.span_context is not None else None
