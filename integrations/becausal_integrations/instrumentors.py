"""Found by `opentelemetry-instrument`: one instrumentor a framework, so that each can be left out by its name.

    opentelemetry-instrument python app.py
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=becausal-autogen opentelemetry-instrument python app.py

The entry points, in the group `opentelemetry_instrumentor`, are `becausal-langgraph`, `becausal-langchain`,
`becausal-autogen` and `becausal-agent-framework`: the bare names are taken by three other packages. This module is
imported by OpenTelemetry's own loader alone, and needs its `opentelemetry-instrumentation`.

Nothing is raised: whatever is no `ImportError` ends the whole auto-instrumentation of an app
(`opentelemetry/instrumentation/auto_instrumentation/_load.py`, 0.66b2).
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined,unused-ignore]
    BaseInstrumentor,
)

from becausal.adapter import adapters
from becausal.errors import BecausalError, BecausalWarning
from becausal.instrument import instrument, uninstrument

__all__ = [
    "AgentFrameworkInstrumentor",
    "AutoGenInstrumentor",
    "LangChainInstrumentor",
    "LangGraphInstrumentor",
]

log: logging.Logger = logging.getLogger("becausal")


class _Instrumentor(BaseInstrumentor):  # type: ignore[misc,unused-ignore]
    """`becausal.instrument(framework)`, as OpenTelemetry calls it."""

    framework: ClassVar[str]
    _at_work: ClassVar[set[str]] = set()

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the framework, with the versions that its adapter was checked with."""
        adapter = adapters().get(self.framework)
        return (
            () if adapter is None or adapter.watches is None else (f"{adapter.watches} {adapter.supports}",)
        )

    def _instrument(self, **kwargs: Any) -> None:
        # The loader has checked our own distribution alone, which asks for no framework.
        conflict = self._check_dependency_conflicts()
        if conflict:
            log.debug("becausal leaves %s alone: %s", self.framework, conflict)
            return
        try:
            instrument(self.framework, tracer_provider=kwargs.get("tracer_provider"))
        except (BecausalError, BecausalWarning) as refusal:
            log.warning("becausal does not record %s: %s", self.framework, refusal)
            return
        self._at_work.add(self.framework)

    def _uninstrument(self, **_: Any) -> None:
        self._at_work.discard(self.framework)
        if not self._at_work:
            uninstrument()


class LangGraphInstrumentor(_Instrumentor):
    """LangGraph, and LangChain below it."""

    framework = "langgraph"


class LangChainInstrumentor(_Instrumentor):
    """LangChain alone."""

    framework = "langchain"


class AutoGenInstrumentor(_Instrumentor):
    """AutoGen."""

    framework = "autogen"


class AgentFrameworkInstrumentor(_Instrumentor):
    """Microsoft Agent Framework."""

    framework = "agent_framework"
