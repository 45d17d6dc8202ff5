"""Writes `docs/attributes.md` out of the registry: `python -m tests.attributes`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from becausal import semconv
from becausal.dialects import DIALECTS
from becausal.registry import EVENTS, LINKS, REGISTRY, Registered

PAGE = Path(__file__).resolve().parents[1] / "docs" / "attributes.md"


def page() -> str:
    """Return the page as it should be."""
    genai = sorted(
        value
        for name, value in vars(semconv).items()
        if name.isupper() and isinstance(value, str) and value.startswith("gen_ai.")
    )
    lines = [
        "# Attributes",
        "",
        "What stands on the spans that becausal makes. Made by `python -m tests.attributes` from",
        "`core/becausal/registry.py`; do not edit it by hand.",
        "",
        f"No value is longer than {semconv.MAX_ATTRIBUTE_BYTES} bytes, none is bytes or a map, and no name is the",
        "beginning of another. What was said stays off the spans unless",
        "`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `SPAN_ONLY` or `SPAN_AND_EVENT`.",
        "",
        "## `becausal.*`",
        "",
        *table(REGISTRY),
        "",
        "## On the events `becausal.finding`",
        "",
        *table(EVENTS),
        "",
        "## On links",
        "",
        *table(LINKS),
        "",
        "## `gen_ai.*`",
        "",
        f"Of the conventions at <{semconv.SCHEMA_URL}>, as far as a step has them:",
        "",
        *(f"- `{name}`" for name in genai),
        "",
        "## In other tools' words",
        "",
        "With `BECAUSAL_DIALECTS` or `instrument(dialects=[...])`; `openinference` is on by default.",
        "",
        "| dialect | sort of span | conversation | agent | chain | in and out (content) |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {name} | `{spoken.kind}` | `{spoken.session}` | {_code(spoken.agent)} | {_code(spoken.chain)} "
            f"| `{spoken.input}`, `{spoken.output}` |"
            for name, spoken in DIALECTS.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def table(registered: Iterable[Registered]) -> list[str]:
    """Return rows of Markdown."""
    return [
        "| name | type | meaning | on |",
        "| --- | --- | --- | --- |",
        *(f"| `{one.name}` | {one.type} | {one.meaning} | {one.when} |" for one in registered),
    ]


def _code(name: str | None) -> str:
    return "" if name is None else f"`{name}`"


if __name__ == "__main__":
    PAGE.write_text(page())
