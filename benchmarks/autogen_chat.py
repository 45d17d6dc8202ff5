"""A chat of 300 turns between three AutoGen agents: plain, with OpenInference's instrumentor, with becausal.

    PYTHONPATH=. python -m benchmarks.autogen_chat --rounds 5

The three take turns, each in a process of its own. CPU time counts, that of background threads and of the last flush
too; spans go to a no-op exporter. Prints the median ratio to the plain run, and what a turn costs in the first and in
the last quarter of the chat. OpenInference's is left out where it is not installed.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import becausal

TURNS = 300
WARM_UP = 5
KINDS = ("plain", "OpenInference", "becausal")
OPENINFERENCE = "openinference.instrumentation.autogen_agentchat"


class NoExporter(SpanExporter):
    """Takes spans and does nothing with them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


async def chat(turns: int) -> list[float]:
    """Hold a chat; returns the CPU time at each message."""
    from autogen_agentchat.teams import RoundRobinGroupChat
    from tests.integrations.fakes_autogen import speaker

    agents = [speaker(name, lambda _: "a turn of some forty characters, a pure one") for name in "abc"]
    team = RoundRobinGroupChat(list(agents), max_turns=turns)
    return [time.process_time() async for _ in team.run_stream(task="go")]


def measure(kind: str) -> dict[str, float]:
    """Hold the chat in this process, instrumented as asked."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NoExporter()))
    if kind == "becausal":
        becausal.instrument(
            "autogen", store=f"sqlite:///{tempfile.mkdtemp()}/runs.db", tracer_provider=provider
        )
    elif kind == "OpenInference":
        importlib.import_module(OPENINFERENCE).AutogenAgentChatInstrumentor().instrument(
            tracer_provider=provider
        )
    asyncio.run(chat(20))
    started = time.process_time()
    at = asyncio.run(chat(TURNS))
    becausal.flush(60)
    total = time.process_time() - started
    turns = [after - before for before, after in zip(at[WARM_UP:], at[WARM_UP + 1 : -1], strict=False)]
    quarter = len(turns) // 4
    first, last = statistics.median(turns[:quarter]), statistics.median(turns[-quarter:])
    return {"total": total, "first": first * 1e6, "last": last * 1e6}


def main() -> None:
    """Measure in turns and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(measure(asked.child)))
        return
    kinds = [kind for kind in KINDS if kind != "OpenInference" or _is_there("openinference")]
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(asked.rounds):
        for kind in kinds:
            command = [sys.executable, "-m", "benchmarks.autogen_chat", "--child", kind]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            found[kind].append(json.loads(ended.stdout.splitlines()[-1]))
    for kind in kinds:
        ratios = [
            mine["total"] / plain["total"] for mine, plain in zip(found[kind], found["plain"], strict=True)
        ]
        first, last = (statistics.median(one[end] for one in found[kind]) for end in ("first", "last"))
        print(
            f"{kind:14} {statistics.median(ratios):5.2f} times   a turn: {first:5.0f} µs, later {last:5.0f} µs"
        )


def _is_there(package: str) -> bool:
    return (
        importlib.util.find_spec(package) is not None and importlib.util.find_spec(OPENINFERENCE) is not None
    )


if __name__ == "__main__":
    main()
