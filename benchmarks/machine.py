"""On what something was measured."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

from benchmarks.instrumentors import INSTRUMENTORS, version_of

__all__ = ["Machine"]

PACKAGES = (
    "langgraph",
    "langchain",
    "langchain-core",
    "autogen-agentchat",
    "opentelemetry-sdk",
    "ormsgpack",
    "xxhash",
    "zstandard",
)


class Machine:
    """The machine, its load now and when `ended` is asked for, and the versions of what is installed."""

    def __init__(self) -> None:
        self.began = datetime.datetime.now(datetime.UTC)
        self.load = os.getloadavg()

    def told(self) -> dict[str, object]:
        """Return it all, with the load as it is now beside the load at the beginning."""
        peers = {each.title: each.package for each in INSTRUMENTORS.values() if each.package}
        found = {package: version_of(package) for package in [*PACKAGES, *filter(None, peers.values())]}
        return {
            "date": self.began.strftime("%Y-%m-%d %H:%M UTC"),
            "minutes": round((datetime.datetime.now(datetime.UTC) - self.began).total_seconds() / 60, 1),
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
            "system": platform.platform(),
            "load at start": [round(one, 2) for one in self.load],
            "load at end": [round(one, 2) for one in os.getloadavg()],
            "Python": platform.python_version(),
            "packages": {name: version for name, version in found.items() if version},
        }


def processor() -> str:
    """Return the processor's name, or what the platform calls it."""
    place = Path("/proc/cpuinfo")
    if place.exists():
        for line in place.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def in_words(told: dict[str, object]) -> str:
    """Return a machine as one paragraph."""
    packages = told["packages"]
    assert isinstance(packages, dict)
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (
        f"Measured {told['date']} in {told['minutes']} minutes: {told['processor']}, {told['cores']} cores, "
        f"{told['memory GiB']} GiB, {told['system']}; load (1, 5, 15 min) {told['load at start']} at the start, "
        f"{told['load at end']} at the end. Python {told['Python']}, {versions}."
    )
