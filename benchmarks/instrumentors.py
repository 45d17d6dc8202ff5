"""Whose cost is measured: nobody's, the floors', becausal's, and the peers' instrumentors.

One class each; `INSTRUMENTORS` has them all. What makes OpenTelemetry spans gets a provider whose exporter counts and
throws away, so what is measured is the instrumentation. A client that cannot run without sending (LangSmith's) sends to
a sink on loopback, in a process of its own. Whose package is not installed is left out, and that is said.

To add one: a class with `name`, `package` and `start`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracerProvider

__all__ = ["INSTRUMENTORS", "SWITCHED", "Instrumentor", "missing", "version_of"]

BOTH = ("langgraph", "autogen")


class Counting(SpanExporter):
    """Takes spans, counts them, and throws them away."""

    def __init__(self) -> None:
        self.spans = self.bytes = 0
        self.weighs = False
        """Whether the bytes of their attributes are added up: only in runs that are not timed."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count."""
        self.spans += len(spans)
        if self.weighs:
            for span in spans:
                self.bytes += weight(span.attributes) + sum(weight(event.attributes) for event in span.events)
        return SpanExportResult.SUCCESS


def weight(attributes: Mapping[str, Any] | None) -> int:
    """Return the bytes of attributes, names included."""
    total = 0
    for name, value in (attributes or {}).items():
        if isinstance(value, str):
            total += len(name) + len(value.encode("utf-8", "replace"))
        elif isinstance(value, (tuple, list)):
            total += len(name) + sum(len(str(one)) for one in value)
        else:
            total += len(name) + 8
    return total


class Instrumentor:
    """Starts, is passed to runs where that is its way, flushes, and tells what a run made."""

    name: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str | None] = None
    """What must be installed, by its name in the index; None where nothing has to."""
    frameworks: ClassVar[tuple[str, ...]] = ("langgraph",)
    config: Mapping[str, Any]
    """Passed to each run of a LangGraph app."""

    def __init__(self, sink: str, folder: str) -> None:
        """Make one that has not started.

        Args:
            sink: address of the sink on loopback.
            folder: for its files.
        """
        self.sink, self.folder = sink, folder
        self.exporter = Counting()
        self.config = {}

    @classmethod
    def environment(cls, sink: str, folder: str) -> dict[str, str]:
        """Return what must stand in the environment before its process starts."""
        return {}

    def start(self) -> None:
        """Begin."""

    def flush(self) -> None:
        """Finish what is under way."""

    def weigh(self, run: Callable[[], None]) -> dict[str, float]:
        """Run once, untimed; return `spans` and `attribute_bytes` of that run, as far as they can be had."""
        self.flush()
        self.exporter.spans = self.exporter.bytes = 0
        self.exporter.weighs = True
        run()
        self.flush()
        self.exporter.weighs = False
        made = {"spans": self.exporter.spans, "attribute_bytes": self.exporter.bytes}
        return {name: float(count) for name, count in made.items()} if self.exporter.spans else {}


class Spanning(Instrumentor):
    """One that makes OpenTelemetry spans."""

    def __init__(self, sink: str, folder: str) -> None:
        """Make one with a provider."""
        super().__init__(sink, folder)
        self.provider = TracerProvider()
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter))

    def flush(self) -> None:
        """Hand the last spans to the exporter."""
        self.provider.force_flush()


class Plain(Instrumentor):
    """The app alone."""

    name, title, frameworks = "plain", "the app alone", BOTH


class Control(Instrumentor):
    """The negative control: a LangChain handler that does nothing; in AutoGen, which has none, the app once more."""

    name, title, frameworks = "control", "control: does nothing", BOTH

    def start(self) -> None:
        """Make the handler."""
        handler = importlib.import_module("langchain_core.callbacks").BaseCallbackHandler
        body = {"run_inline": True, "on_chat_model_start": lambda *_, **__: None}
        self.config = {"callbacks": [type("Nothing", (handler,), body)()]}


class SpanFloor(Spanning):
    """A span of OpenTelemetry's SDK with ten small attributes for each operation, no payload read."""

    name, title = "otel", "floor: a span for each step"

    def start(self) -> None:
        """Make the handler."""
        handler = importlib.import_module("langchain_core.callbacks").BaseCallbackHandler
        tracer = self.provider.get_tracer("floor")
        spans: dict[Any, Any] = {}
        attributes = {f"floor.attribute{i}": f"value-{i}-0123456789abcdef" for i in range(10)}
        within = importlib.import_module("opentelemetry.trace").set_span_in_context

        def begin(
            _: Any, *__: Any, run_id: Any, parent_run_id: Any = None, name: Any = None, **___: Any
        ) -> None:
            around = spans.get(parent_run_id)
            context = None if around is None else within(around)
            spans[run_id] = tracer.start_span(name or "?", context, attributes=attributes)

        def end(_: Any, *__: Any, run_id: Any, **___: Any) -> None:
            spans.pop(run_id).end()

        named = {"run_inline": True, "raise_error": True}
        begins = dict.fromkeys(("on_chain_start", "on_chat_model_start", "on_tool_start"), begin)
        ends = dict.fromkeys(("on_chain_end", "on_chain_error", "on_tool_end", "on_llm_end"), end)
        self.config = {"callbacks": [type("Floor", (handler,), {**named, **begins, **ends})()]}


class Becausal(Spanning):
    """Ours, as it is by default: everything kept in a store on disk."""

    name, title, package, frameworks = "becausal", "**becausal**", "becausal", BOTH
    options: ClassVar[Mapping[str, Any]] = {}
    """What is switched otherwise than by default."""

    def start(self) -> None:
        """Import and instrument."""
        self.becausal = importlib.import_module("becausal")
        options = {"tracer_provider": self.provider, **self.options}
        self.becausal.instrument(store=f"sqlite:///{self.folder}/becausal.db", **options)

    def flush(self) -> None:
        """Have all of it on disk."""
        self.becausal.flush(60)
        super().flush()


class WithoutRedaction(Becausal):
    """Secrets stay where they are."""

    name, title = "unredacted", "`BECAUSAL_REDACT=0`"

    @classmethod
    def environment(cls, sink: str, folder: str) -> dict[str, str]:
        """Return what switches it off."""
        return {"BECAUSAL_REDACT": "0"}


class WithoutContent(Becausal):
    """Digests alone."""

    name, title = "digests", '`capture="digest"`'
    options: ClassVar[Mapping[str, Any]] = {"capture": "digest"}


class WithoutSpans(Becausal):
    """A provider that makes no spans."""

    name, title = "spanless", "`tracer_provider=NoOpTracerProvider()`"
    options: ClassVar[Mapping[str, Any]] = {"tracer_provider": NoOpTracerProvider()}


class BoundariesAlone(Becausal):
    """Agents and handoffs."""

    name, title = "boundaries", '`level="boundaries"`'
    options: ClassVar[Mapping[str, Any]] = {"level": "boundaries"}


class Least(WithoutRedaction):
    """All that can be switched off."""

    name, title = "least", "all four of them"
    options: ClassVar[Mapping[str, Any]] = {
        **WithoutContent.options,
        **WithoutSpans.options,
        **BoundariesAlone.options,
    }


class OpenInference(Spanning):
    """Arize's: LangChain's and AutoGen's."""

    name, title, frameworks = "openinference", "OpenInference", BOTH
    package = "openinference-instrumentation-langchain"

    def start(self) -> None:
        """Instrument."""
        packages = "openinference.instrumentation"
        chains = importlib.import_module(f"{packages}.langchain").LangChainInstrumentor
        chains().instrument(tracer_provider=self.provider)
        if version_of("openinference-instrumentation-autogen-agentchat"):
            teams = importlib.import_module(f"{packages}.autogen_agentchat").AutogenAgentChatInstrumentor
            teams().instrument(tracer_provider=self.provider)


class OpenLLMetry(Spanning):
    """Traceloop's."""

    name, title, package = "openllmetry", "OpenLLMetry", "opentelemetry-instrumentation-langchain"

    def start(self) -> None:
        """Instrument."""
        module = importlib.import_module("opentelemetry.instrumentation.langchain")
        module.LangchainInstrumentor().instrument(tracer_provider=self.provider)


class Langfuse(Instrumentor):
    """Langfuse's handler, its exporter replaced by one that counts."""

    name, title, package = "langfuse", "Langfuse", "langfuse"

    def start(self) -> None:
        """Make its client and its handler."""
        self.client = importlib.import_module("langfuse").Langfuse(
            public_key="pk-x",
            secret_key="sk-x",
            base_url=self.sink,
            tracer_provider=TracerProvider(),
            span_exporter=self.exporter,
        )
        self.config = {"callbacks": [importlib.import_module("langfuse.langchain").CallbackHandler()]}

    def flush(self) -> None:
        """Have it export."""
        self.client.flush()


class LangSmith(Instrumentor):
    """LangSmith's tracer, which sends to the sink."""

    name, title, package = "langsmith", "LangSmith", "langsmith"

    @classmethod
    def environment(cls, sink: str, folder: str) -> dict[str, str]:
        """Return what switches it on."""
        return {"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": sink, "LANGSMITH_API_KEY": "lsv2_x"}

    def flush(self) -> None:
        """Have it send."""
        importlib.import_module("langchain_core.tracers.langchain").wait_for_all_tracers()

    def weigh(self, run: Callable[[], None]) -> dict[str, float]:
        """Run once; the sink weighs what came, decompressed."""
        self.flush()
        time.sleep(0.5)  # what was sent is on its way
        self._ask("decode")
        self._ask("reset")
        run()
        self.flush()
        time.sleep(0.5)
        told = self._ask("stats")
        self._ask("nodecode")
        return {"attribute_bytes": float(told["decoded_bytes"])}

    def _ask(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.sink}/__{what}__") as response:
            told: dict[str, Any] = json.load(response)
        return told


class MLflow(Instrumentor):
    """MLflow's autolog, for LangChain and for AutoGen, to an SQLite store of its own."""

    name, title, package, frameworks = "mlflow", "MLflow", "mlflow", BOTH

    @classmethod
    def environment(cls, sink: str, folder: str) -> dict[str, str]:
        """Return where its store is, and that it is to keep to itself."""
        place = f"sqlite:///{folder}/mlflow.db"
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_TRACKING_URI": place}

    def start(self) -> None:
        """Switch it on."""
        self.mlflow = importlib.import_module("mlflow")
        # The schema is made once a deployment, not once a process.
        made = (
            Path(tempfile.gettempdir()) / f"becausal-bench-mlflow-{self.mlflow.__version__}-{os.getuid()}.db"
        )
        if not made.exists():
            self.mlflow.set_tracking_uri(f"sqlite:///{made}.new")
            self.mlflow.search_experiments()
            Path(f"{made}.new").replace(made)
        shutil.copy(made, f"{self.folder}/mlflow.db")
        self.mlflow.set_tracking_uri(f"sqlite:///{self.folder}/mlflow.db")
        self._experiment("timed")
        self.mlflow.langchain.autolog()
        self.mlflow.autogen.autolog()

    def flush(self) -> None:
        """Have it write."""
        self.mlflow.flush_trace_async_logging()

    def weigh(self, run: Callable[[], None]) -> dict[str, float]:
        """Run once, in an experiment of its own."""
        self.flush()
        own = self._experiment(f"weighed {time.monotonic_ns()}")
        run()
        self.flush()
        found = self.mlflow.search_traces(locations=[own], max_results=5000, return_type="list")
        spans = [span for trace in found for span in trace.data.spans]
        texts = [
            {
                name: value if isinstance(value, str) else json.dumps(value, default=str)
                for name, value in span.items()
            }
            for span in (one.attributes for one in spans)
        ]
        return {"spans": float(len(spans)), "attribute_bytes": float(sum(map(weight, texts)))}

    def _experiment(self, name: str) -> str:
        made: str = self.mlflow.create_experiment(name, artifact_location=f"file://{self.folder}/artifacts")
        self.mlflow.set_experiment(experiment_id=made)
        return made


class AutoGenSpans(Spanning):
    """AutoGen's own spans, which it makes as soon as there is a global provider."""

    name, title, frameworks = "autogen-spans", "AutoGen's own spans", ("autogen",)

    def start(self) -> None:
        """Set the provider."""
        importlib.import_module("opentelemetry.trace").set_tracer_provider(self.provider)


SWITCHED: tuple[type[Instrumentor], ...] = (
    WithoutRedaction,
    WithoutContent,
    WithoutSpans,
    BoundariesAlone,
    Least,
)
"""becausal with something switched off."""

ALL: tuple[type[Instrumentor], ...] = (
    Plain,
    Control,
    SpanFloor,
    Becausal,
    OpenInference,
    OpenLLMetry,
    Langfuse,
    LangSmith,
    MLflow,
    AutoGenSpans,
    *SWITCHED,
)

INSTRUMENTORS: dict[str, type[Instrumentor]] = {each.name: each for each in ALL}


def version_of(package: str | None) -> str | None:
    """Return the version of a package; None where it is not installed, or none is meant."""
    if package is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing() -> list[str]:
    """Return the instrumentors whose package is not installed."""
    return [each.name for each in INSTRUMENTORS.values() if each.package and not version_of(each.package)]
