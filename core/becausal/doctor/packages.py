"""What is installed: Python, what becausal stands on, and the extras."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from becausal.doctor.check import Line, advice, well
from becausal.installed import installed_version

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["EXTRAS", "installed", "is_there", "look_at_extras", "look_at_versions", "versions"]

EXTRAS: Final = {
    "clickhouse": ("clickhouse_connect",),
    "contracts": ("jsonschema",),
    "embed": ("model2vec",),
    "otel": ("opentelemetry.sdk",),
    "serve": ("uvicorn", "starlette", "httpx", "opentelemetry.proto"),
}
"""What the extras that are no framework bring, by the modules that are imported of it."""

STANDS_ON = (
    "becausal",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "ormsgpack",
    "wrapt",
    "xxhash",
    "zstandard",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of what every recording stands on."""
    return {"python": platform.python_version(), **installed(STANDS_ON)}


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    return {name: version for name in names if (version := installed_version(name)) is not None}


def is_there(module: str) -> bool:
    """Return whether a module could be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def look_at_versions(patient: Patient) -> Iterator[Line]:
    """Say the versions of what every recording stands on."""
    known = patient.versions
    if "becausal" not in known:
        yield advice(
            "becausal runs from its source and is not installed: no adapter is found then",
            "pip install becausal (or pip install -e . in its source)",
        )
    yield well(", ".join(f"{name} {version}" for name, version in known.items()), **known)


def look_at_extras(patient: Patient) -> Iterator[Line]:
    """Say which extras are installed; none has to be."""
    for name, is_here in patient.extras.items():
        how = "installed" if is_here else f"not installed (pip install 'becausal[{name}]')"
        yield well(f"{name}: {how}", extra=name, is_installed=is_here)
