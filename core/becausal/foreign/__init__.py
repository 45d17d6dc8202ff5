"""Traces and logs that others recorded, as runs of ours.

    steps = becausal.foreign.load("spans.jsonl")
    store.write(steps)

`load` reads a file; `of_spans` takes spans from anywhere else, a receiver for instance. Both return steps that a store
takes as they are: with payloads, in causal order, with the same ids each time. They get graph, blame and findings as
far as their content allows; what they lack is told on each run's first step.
"""

from becausal.foreign.file import load
from becausal.foreign.order import chain_of
from becausal.foreign.otlp import otlp_spans, source_of
from becausal.foreign.span import Span
from becausal.foreign.spans import of_spans

__all__ = ["Span", "chain_of", "load", "of_spans", "otlp_spans", "source_of"]
