"""Record our own examples with other people's instrumentors, as the fixtures of these tests.

    python -m tests.foreign.record langgraph-openinference tests/foreign/fixtures

Each fixture is a run of an example of this repository under one instrumentor, in a process of its own (an
instrumentor cannot be taken out again), written as that instrumentor's users would have it: OTLP/JSON lines, OTLP as
protobuf writes it in JSON, a LangSmith run export, an MLflow trace. The instrumentors are no dependency of ours:
run it where they are installed. `versions.txt` says which packages made them.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = (
    "agent-framework-core", "autogen-agentchat", "autogen-core", "langchain-core", "langfuse", "langgraph", "langsmith",
    "mlflow-tracing", "openinference-instrumentation-autogen-agentchat", "openinference-instrumentation-langchain",
    "opentelemetry-instrumentation-genai-langchain", "opentelemetry-instrumentation-langchain", "opentelemetry-sdk",
)  # fmt: skip

QUESTION = "What was the revenue of Acme in 2025, and what follows from it?"


def load(module: str) -> Any:
    """Import what is no dependency of this repository."""
    return importlib.import_module(module)


def example(name: str) -> Any:
    """Import an example, with becausal out of the way: the fixture shows the instrumentor alone."""
    stand_in = types.ModuleType("becausal")
    vars(stand_in)["instrument"] = lambda *_: None
    sys.modules["becausal"] = stand_in
    return load(f"examples.{name}")


def run_langgraph(callbacks: list[Any] | None = None) -> None:
    app = example("quickstart")
    human = load("langchain_core.messages").HumanMessage(QUESTION)
    app.research_team().invoke({"messages": [human]}, {"callbacks": callbacks or []})


def run_autogen() -> None:
    asyncio.run(example("autogen_team").main())


def run_agent_framework() -> None:
    app, observed = example("agent_framework_workflow"), load("agent_framework.observability")
    framework = load("agent_framework")
    # A client of one's own has the framework's telemetry where it asks for it, as the framework's clients do.
    app.ScriptedClient = type(
        "ScriptedClient", (app.ScriptedClient, observed.ChatTelemetryLayer, framework.BaseChatClient), {}
    )
    observed.enable_instrumentation(enable_sensitive_data=True)
    asyncio.run(app.main())


def provider(to: Path) -> Any:
    """Return a provider that writes OTLP/JSON lines."""
    sdk, export = load("opentelemetry.sdk.trace"), load("opentelemetry.sdk.trace.export")
    made = sdk.TracerProvider()
    exporter = load("opentelemetry.exporter.otlp.json.file.trace_exporter").FileSpanExporter(str(to))
    made.add_span_processor(export.SimpleSpanProcessor(exporter))
    load("opentelemetry.trace").set_tracer_provider(made)
    return made


def openinference_langgraph(to: Path) -> None:
    load("openinference.instrumentation.langchain").LangChainInstrumentor().instrument(
        tracer_provider=provider(to)
    )
    run_langgraph()


def openinference_autogen(to: Path) -> None:
    instrumentor = load("openinference.instrumentation.autogen_agentchat").AutogenAgentChatInstrumentor()
    instrumentor.instrument(tracer_provider=provider(to))
    run_autogen()


def openllmetry_langgraph(to: Path) -> None:
    load("opentelemetry.instrumentation.langchain").LangchainInstrumentor().instrument(
        tracer_provider=provider(to)
    )
    run_langgraph()


def genai_langgraph(to: Path) -> None:
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    module = load("opentelemetry.instrumentation.genai.langchain")
    module.LangChainInstrumentor().instrument(tracer_provider=provider(to))
    run_langgraph()


def genai_agent_framework(to: Path) -> None:
    provider(to)
    run_agent_framework()


def autogen_native(to: Path) -> None:
    sdk, export = load("opentelemetry.sdk.trace"), load("opentelemetry.sdk.trace.export")
    kept = load("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    made = sdk.TracerProvider()
    made.add_span_processor(export.SimpleSpanProcessor(kept))
    load("opentelemetry.trace").set_tracer_provider(made)
    run_autogen()
    request = load("opentelemetry.exporter.otlp.proto.common.trace_encoder").encode_spans(
        kept.get_finished_spans()
    )
    to.write_text(load("google.protobuf.json_format").MessageToJson(request, indent=1) + "\n")


def langfuse_langgraph(to: Path) -> None:
    made = provider(to)
    nowhere = load("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    load("langfuse").Langfuse(
        public_key="pk",
        secret_key="sk",
        tracer_provider=made,
        span_exporter=nowhere,
        host="http://127.0.0.1:9",
    )
    run_langgraph([load("langfuse.langchain").CallbackHandler()])


def langsmith_langgraph(to: Path) -> None:
    runs: dict[str, dict[str, Any]] = {}
    client = load("langsmith").Client(
        api_key="none",
        api_url="http://127.0.0.1:9",
        session=_Desk(runs),
        auto_batch_tracing=False,
        info={},
    )
    run_langgraph(
        [load("langchain_core.tracers.langchain").LangChainTracer(project_name="examples", client=client)]
    )
    for run in runs.values():
        run.get("extra", {}).pop("runtime", None)  # names this machine
    to.write_text("".join(json.dumps(run) + "\n" for run in runs.values()))


class _Desk:
    """Takes what LangSmith's client sends, in place of its server, and keeps each run as an export has it."""

    def __init__(self, runs: dict[str, dict[str, Any]]) -> None:
        self.runs = runs

    def request(self, method: str, url: str, **more: Any) -> Any:
        if method in ("POST", "PATCH"):
            said = json.loads(more["data"])
            identity = said.get("id") or url.rpartition("/")[2]
            self.runs.setdefault(identity, {}).update(
                {key: value for key, value in said.items() if value is not None}
            )
        answer = load("requests").Response()
        answer.status_code, answer._content = 202, b"{}"
        return answer

    def mount(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        pass


def mlflow_langgraph(to: Path) -> None:
    mlflow = load("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{to.parent.absolute()}/mlflow.db")
    mlflow.set_experiment("examples")
    load("mlflow.langchain").autolog()
    run_langgraph()
    trace = mlflow.get_trace(mlflow.get_last_active_trace_id(), flush=True)
    written = json.loads(trace.to_json())
    written["info"] = {"trace_id": written["info"]["trace_id"]}  # the rest names this machine
    to.write_text(json.dumps(written, indent=1) + "\n")


FIXTURES: dict[str, Callable[[Path], None]] = {
    "langgraph-openinference.jsonl": openinference_langgraph,
    "langgraph-openllmetry.jsonl": openllmetry_langgraph,
    "langgraph-genai.jsonl": genai_langgraph,
    "langgraph-langfuse.jsonl": langfuse_langgraph,
    "langgraph-langsmith.jsonl": langsmith_langgraph,
    "langgraph-mlflow.json": mlflow_langgraph,
    "autogen-openinference.jsonl": openinference_autogen,
    "autogen-native.json": autogen_native,
    "agent-framework-genai.jsonl": genai_agent_framework,
}


def main(wanted: str, folder: str) -> None:
    for name, record in FIXTURES.items():
        if name.startswith(wanted):
            to = Path(folder) / name
            to.unlink(missing_ok=True)
            record(to)
            found = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
            used = [f"{package} {found[package]}\n" for package in PACKAGES if package in found]
            (to.parent / "versions.txt").write_text("".join(used))


if __name__ == "__main__":
    main(*sys.argv[1:])
