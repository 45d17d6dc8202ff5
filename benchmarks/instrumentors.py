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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.floors import FLOORS, Control, Plain
from benchmarks.instrumentor import BOTH, Instrumentor, Spanning, weight
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

__all__ = ["INSTRUMENTORS", "SWITCHED", "Instrumentor", "missing", "version_of"]


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
    *FLOORS,
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
