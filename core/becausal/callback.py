"""Recording by a framework's own callbacks, for apps that do not want to be patched.

    handler = becausal.callback()
    graph.invoke(question, config={"callbacks": [handler]})

The handler is the framework's own sort of object, so it is made by an integration: found by the entry-point group
`becausal.callbacks`, since core imports no framework.

It hooks nothing, and so it sees less than `becausal.instrument()`: `MISSES` says what. While `instrument()` has hooked
the framework the handler is silent, and a call is recorded once.
"""

from __future__ import annotations

import os
from typing import Any, Final

from opentelemetry.trace import TracerProvider

from becausal.errors import AdapterError
from becausal.instrument import listen

__all__ = ["MISSES", "callback"]

MISSES: Final = (
    "which channels of the state a node read and wrote, and at which versions; state that is changed in place",
    "what truly triggered a node: a handoff is told where one node alone ran in the superstep before, "
    "or a join names its nodes, and nowhere else",
    "what a `Send` carried when it was sent",
    "what a node returned before it was cut to the schema, where it returned it by writes",
    "hits in the cache of nodes or of text models, and tasks replayed from a checkpoint",
    "the step before an interrupt that a later run resumes from",
    "stores and checkpointers",
    "tool calls that no tool answered (unregistered, denied by middleware)",
    "a stream that its reader left without closing it",
    "the app's own spans and steps, which do not nest under a node or a tool; work handed to a raw thread",
)
"""What recording by callbacks cannot see."""


def callback(
    framework: str = "langchain",
    *,
    store: str | os.PathLike[str] | None = None,
    capture: str | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Any:
    """Return a handler for `config={"callbacks": [handler]}` that records what callbacks can tell, without patching.

    Works for LangChain and LangGraph, sync and async, streamed and in batches. It may be used for many runs at once,
    and several of them count as one. `becausal.flush` and `becausal.last_run` work as after `instrument()`, whose
    hooks make it silent; `uninstrument()` ends its recording too. What it cannot see stands in
    `becausal.callback.MISSES`, and `becausal doctor` shows it.

    Args:
        framework: whose callbacks; `langchain` covers LangGraph.
        store: where to, as for `instrument()`; counts for the first call in a process.
        capture: as for `instrument()`.
        tracer_provider: as for `instrument()`.

    Raises:
        AdapterError: there is no handler for this framework, or it is not installed.
        StoreError: the store that `store` names cannot be used.
        SettingsError: a capture that does not exist.
    """
    from importlib import metadata

    found = {point.name: point for point in metadata.entry_points(group="becausal.callbacks")}
    if framework not in found:
        there = ", ".join(sorted(found)) or "none: is becausal itself installed?"
        raise AdapterError(f"no callback handler for {framework!r}; there are: {there}")
    try:
        made = found[framework].load()
    except ImportError as missing:
        raise AdapterError(
            f"{framework} is not installed, so it cannot call back: pip install 'becausal[{framework}]'"
        ) from missing
    listen(framework, store=store, capture=capture, tracer_provider=tracer_provider)
    return made()
