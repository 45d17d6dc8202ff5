"""What stands between an app and a whole record: adapters, versions, foreign instrumentors, the store.

The doctor asks about this machine and this process, hooks every installed framework once, into a store that
is thrown away, and takes the hooks out again: only so can it say which places a version no longer has.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from becausal import semconv
from becausal.adapter import AdapterReport
from becausal.errors import BecausalError, BecausalWarning, StoreError
from becausal.instrument import (
    active_recorder,
    hooks_report,
    instrument,
    is_listening,
    store_url_in_use,
    uninstrument,
)
from becausal.settings import Settings, store_url
from becausal.store import Store, StoreInfo, open_store

__all__ = ["Diagnosis", "Foreign", "diagnose", "foreign_instrumentors"]


@dataclass(frozen=True, slots=True)
class Foreign:
    """An installed instrumentor of somebody else that records the same calls."""

    name: str
    version: str
    advice: str
    is_at_work: bool = False
    """Whether it instruments this very process, and not only could."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that the doctor found."""

    adapters: tuple[AdapterReport, ...]
    foreign: tuple[Foreign, ...]
    opentelemetry_sdk: str | None
    """Its version; None: not installed, so no span leaves this process."""
    store_url: str
    store: StoreInfo | None
    store_trouble: str | None
    """Why the store cannot be read."""
    gaps: Mapping[str, int]
    """How much could not be recorded, by reason."""
    extras: Mapping[str, bool] = field(default_factory=dict)
    """By name of an extra: whether what it brings is installed."""
    settings: Settings = field(default_factory=Settings)
    """What `becausal.instrument()` without arguments would do here."""
    propagates: bool = False
    """Whether OpenTelemetry's own propagators carry the chain (`OTEL_PROPAGATORS` names `becausal`)."""
    by_callback: bool = False
    """Whether this process, or the newest run in the store, is recorded by `becausal.callback()`, which sees less."""


def diagnose(store: str | os.PathLike[str] | None = None) -> Diagnosis:
    """Return how things stand. Imports every installed framework that has an adapter; never raises for what
    it finds.

    Args:
        store: a URL or a path; None for the one that would be used.
    """
    url = store_url_in_use() if store is None else store_url(os.fspath(store))
    info, gaps, trouble, by_callback = _store(url)
    return Diagnosis(
        adapters=tuple(_hooked()),
        foreign=foreign_instrumentors(_installed(_NAMES), _switches(), _at_work()),
        opentelemetry_sdk=_installed(("opentelemetry-sdk",)).get("opentelemetry-sdk"),
        store_url=url,
        store=info,
        store_trouble=trouble,
        gaps=gaps,
        extras={name: all(map(_is_there, modules)) for name, modules in EXTRAS.items()},
        settings=Settings.read(),
        propagates="becausal" in os.environ.get("OTEL_PROPAGATORS", "").split(","),
        by_callback=by_callback or is_listening("langchain"),
    )


def foreign_instrumentors(
    installed: Mapping[str, str], switches: Mapping[str, str], at_work: Collection[str] = ()
) -> tuple[Foreign, ...]:
    """Return the instrumentors among installed distributions that record what becausal records.

    Args:
        installed: versions by distribution.
        switches: by distribution, the name under which OpenTelemetry's auto-instrumentation knows it.
        at_work: the distributions that instrument this process now.
    """
    found = []
    for distribution, version in sorted(installed.items()):
        if distribution in _BY_CALL:
            advice = f"only if the app calls {_BY_CALL[distribution]}: leave that out"
        else:
            name = switches.get(distribution)
            switch = f", or set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={name}" if name else ""
            advice = f"leave one of the two out: do not call its instrument(){switch}"
        advice = f"each call becomes two spans; {advice}"
        found.append(Foreign(distribution, version, advice, distribution in at_work))
    return tuple(found)


_BY_CALL = {
    "langfuse": "langfuse's callback handler",
    "mlflow": "mlflow.langchain.autolog() or mlflow.autogen.autolog()",
}

_NAMES = (
    *_BY_CALL,
    "openinference-instrumentation-autogen",
    "openinference-instrumentation-autogen-agentchat",
    "openinference-instrumentation-langchain",
    "openinference-instrumentation-openai",
    "opentelemetry-instrumentation-langchain",
    "opentelemetry-instrumentation-openai",
    "opentelemetry-instrumentation-openai-v2",
)


EXTRAS: Final = {
    "contracts": ("jsonschema",),
    "embed": ("model2vec",),
    "otel": ("opentelemetry.sdk",),
    "serve": ("uvicorn", "starlette", "httpx", "opentelemetry.proto"),
}
"""What the extras that are no framework bring, by the modules that are imported of it."""


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def _hooked() -> list[AdapterReport]:
    if active_recorder() is not None:
        return hooks_report()  # the app's own hooks are the truth, and not ours to touch
    with warnings.catch_warnings():
        # What they warn of is what the report tells.
        warnings.simplefilter("ignore")
        try:
            instrument(store="sqlite:///:memory:")
            for report in hooks_report():
                _import_places(report)
            return hooks_report()
        except (BecausalError, BecausalWarning):
            return hooks_report()
        finally:
            uninstrument()


def _import_places(report: AdapterReport) -> None:
    for hook in report.hooks:
        try:
            importlib.import_module(hook.place.partition(":")[0])
        except Exception:
            continue  # an optional part of the framework that is not installed: it stays `waiting`


def _store(url: str) -> tuple[StoreInfo | None, Mapping[str, int], str | None, bool]:
    try:
        store = open_store(url, read_only=True)
    except StoreError as refusal:
        return None, {}, str(refusal), False
    try:
        return store.describe(), store.gaps(), None, _is_by_callback(store)
    except StoreError as trouble:
        return None, {}, str(trouble), False
    finally:
        store.close()


def _is_by_callback(store: Store) -> bool:
    """Return whether the newest run was recorded by callbacks."""
    steps = (step for chain in store.chains(limit=1) for step in store.load(chain.chain_id))
    return any(step.attributes.get(semconv.RECORDED_BY) == "callback" for step in steps)


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _instrumentors() -> dict[str, importlib.metadata.EntryPoint]:
    """Return OpenTelemetry's instrumentors by distribution: several go by the name of `langchain`."""
    points = importlib.metadata.entry_points(group="opentelemetry_instrumentor")
    return {point.dist.name: point for point in points if point.dist is not None}


def _switches() -> dict[str, str]:
    return {distribution: point.name for distribution, point in _instrumentors().items()}


def _at_work() -> list[str]:
    """Return the distributions whose instrumentor says so itself; nothing is imported to ask.

    Source: opentelemetry-instrumentation 0.66b2, `instrumentor.py`: `BaseInstrumentor` is one object for each class.
    """
    found = []
    for distribution, point in _instrumentors().items():
        cls = getattr(sys.modules.get(point.module), point.attr, None)
        one = getattr(cls, "_instance", None)
        if getattr(one, "is_instrumented_by_opentelemetry", False) is True:
            found.append(distribution)
    return found
