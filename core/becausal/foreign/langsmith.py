"""Spans out of LangSmith's runs: what its client sends, what `Client.list_runs` gives, what its export writes.

Source: langsmith 0.15.0 (`schemas.py`, `RunBase` and `Run`).
"""

from __future__ import annotations

from collections.abc import Mapping

from becausal.foreign.otlp import nanoseconds
from becausal.foreign.span import Span

__all__ = ["is_run", "run_span"]

_TOLD = {"tool_call_id", "langgraph_node", "ls_model_name", "thread_id", "lc_agent_name"}


def is_run(record: Mapping[str, object]) -> bool:
    """Return whether a record is one of LangSmith's runs."""
    return "run_type" in record and "id" in record and ("inputs" in record or "start_time" in record)


def run_span(run: Mapping[str, object]) -> Span:
    """Return a run as a span."""
    extra = run.get("extra")
    more = extra if isinstance(extra, Mapping) else {}
    metadata = more.get("metadata")
    said = {**more, **(metadata if isinstance(metadata, Mapping) else {})}
    attributes = {
        "langsmith.span.kind": run.get("run_type"),
        "langsmith.inputs": run.get("inputs"),
        "langsmith.outputs": run.get("outputs"),
        **{f"langsmith.metadata.{name}": said[name] for name in _TOLD & said.keys()},
    }
    error, parent = run.get("error"), run.get("parent_run_id")
    return Span(
        trace_id=_id(run.get("trace_id") or run.get("id")),
        span_id=_id(run.get("id")),
        name=str(run.get("name") or ""),
        parent_id=_id(parent) if parent else None,
        started_ns=nanoseconds(run.get("start_time")) or 0,
        ended_ns=nanoseconds(run.get("end_time")),
        error=str(error) if error else None,
        attributes={name: value for name, value in attributes.items() if value is not None},
        scope="langsmith",
    )


def _id(said: object) -> str:
    """Return a UUID without its hyphens."""
    return str(said or "").replace("-", "").lower()[:100]
