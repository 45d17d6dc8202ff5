"""The apps that are measured: no model but pure functions, no network, nothing else to do than to hand on.

Each is a class with a name; `WORKLOADS` has them all. A worker builds one after its instrumentor has started, prepares
a fresh input for every run (not timed) and runs it.
"""

from __future__ import annotations

from benchmarks.workloads import autogen, langgraph
from benchmarks.workloads.base import Cell, Workload

__all__ = ["WORKLOADS", "Cell", "Workload"]

WORKLOADS: dict[str, type[Workload]] = {
    workload.name: workload
    for workload in (
        langgraph.Linear,
        langgraph.LinearAsync,
        langgraph.ToolLoop,
        langgraph.FanOut,
        langgraph.Growing,
        autogen.RoundRobin,
    )
}
