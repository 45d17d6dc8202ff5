"""Two graphs with somebody else's instrumentor beside becausal, in a process of its own: theirs cannot be taken out.

    python -m tests.integrations.beside none|openinference|openllmetry  ours-first|theirs-first|theirs-alone|nobody

Prints as JSON what the app got, what becausal recorded, how many spans theirs made, and whom the doctor named.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.integrations.graphs import GRAPHS

import becausal
from becausal.doctor import diagnose
from becausal.instrument import store_url_in_use
from becausal.step import Step
from becausal.store import open_store

INSTRUMENTORS = {
    "openinference": ("openinference.instrumentation.langchain", "LangChainInstrumentor"),
    "openllmetry": ("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
}

PLAYED = ("a chat", "an agent", "map and reduce", "an interrupt and its answer", "a node that fails")


def results() -> list[str]:
    """Run the graphs; return what each turn gave, and every piece of a stream."""
    given = []
    for case in (case for case in GRAPHS if case.name in PLAYED):
        app, thread = case.build(), {"configurable": {"thread_id": "1"}}
        for turn in case.turns:
            try:
                pieces = list(app.stream(turn, thread, stream_mode=["values", "updates"]))
            except KeyError as error:
                pieces = [type(error).__name__]
            told = [said(piece) for piece in pieces]
            given.append(" ".join(sorted(told) if case.is_parallel else told))
    return given


def said(value: Any) -> str:
    """Return a result as text, without the ids that differ from process to process."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {said(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            parts = [said(item) for item in value]
            return f"[{', '.join(parts)}]"
        case _ if hasattr(value, "content"):
            return f"{type(value).__name__}({value.content!r}, {said(getattr(value, 'tool_calls', []))})"
    return str(value) if isinstance(value, str | int | float | None) else type(value).__name__


def recorded() -> list[list[str]]:
    """Return the steps of each chain: what each is, whose child, and what caused it."""
    assert becausal.flush()
    store = open_store(store_url_in_use(), read_only=True)
    chains = [store.load(chain.chain_id) for chain in store.chains()]
    return sorted(sorted(told(step, steps) for step in steps) for steps in chains)


def told(step: Step, steps: list[Step]) -> str:
    by_id = {other.id: other for other in steps}
    parent = by_id[step.parent_id].name if step.parent_id is not None else "nobody"
    sources = [
        (cause.kind, by_id.get(cause.source_id)) for cause in step.causes
    ]  # of an earlier run: not here
    causes = sorted(f"{kind} {source.name if source else 'elsewhere'}" for kind, source in sources)
    payloads = [payload.size for payload in (step.received, step.produced) if payload is not None]
    return f"{step.kind} {step.name} {step.status} under {parent} by {causes} with {payloads}"


def main(whose: str, order: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def ours() -> None:
        becausal.instrument(store=Path(tempfile.mkdtemp()) / "beside.db", tracer_provider=provider)

    def theirs() -> None:
        if whose != "none":
            module, instrumentor = INSTRUMENTORS[whose]
            getattr(importlib.import_module(module), instrumentor)().instrument(tracer_provider=provider)

    steps = {
        "ours-first": (ours, theirs),
        "theirs-first": (theirs, ours),
        "theirs-alone": (theirs,),
        "nobody": (),
    }
    for step in steps[order]:
        step()
    got = results()
    spans = exporter.get_finished_spans()
    their_spans = [
        span for span in spans if not (span.instrumentation_scope or span).name.startswith("becausal")
    ]
    report = {
        "results": got,
        "steps": recorded() if ours in steps[order] else [],
        "theirs": len(their_spans),
        "ours": len(spans) - len(their_spans),
        "named": [other.name for other in diagnose().patient.foreign if other.is_at_work],
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:3])
