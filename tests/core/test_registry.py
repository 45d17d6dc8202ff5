"""Every attribute of ours is in the registry, once, and keeps the rules that backends force on it."""

from __future__ import annotations

import re

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.attributes import PAGE, page
from tests.integrations.graphs import GRAPHS
from tests.integrations.graphs.plays import played

import becausal
from becausal import semconv
from becausal.registry import EVENTS, LINKS, REGISTRY

OURS = {
    value
    for name, value in vars(semconv).items()
    if name.isupper() and isinstance(value, str) and value.startswith("becausal.")
}
TYPES = {"string": str, "int": int, "double": float, "boolean": bool, "string[]": tuple}
NAMES = [one.name for one in (*REGISTRY, *EVENTS, *LINKS)]


def test_the_registry_has_every_name_of_ours_once() -> None:
    assert sorted(NAMES) == sorted(OURS)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_dotted_lower_case_and_no_beginning_of_another(name: str) -> None:
    assert re.fullmatch(r"becausal(\.[a-z][a-z_]*)+", name)
    assert not [other for other in NAMES if other.startswith(f"{name}.")]


def test_the_page_of_the_docs_is_what_the_registry_says() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.attributes"


def test_what_spans_carry_is_of_the_type_that_the_registry_says(store: str) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument(store=store, tracer_provider=provider)
    try:
        with becausal.chain("q"), becausal.agent("planner") as step:
            step.decide("look", confidence=0.5)
        for case in GRAPHS:
            if case.needs:
                played(case, "ainvoke")
    finally:
        becausal.uninstrument()
    types = {one.name: TYPES[one.type] for one in REGISTRY}
    told = [
        (key, value)
        for span in exporter.get_finished_spans()
        for key, value in (span.attributes or {}).items()
        if key.startswith("becausal.")
    ]
    assert len({key for key, _ in told}) > 20
    assert [(key, value) for key, value in told if type(value) is not types[key]] == []
