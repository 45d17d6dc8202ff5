"""What becausal costs an app before its first step: CPU time and memory of the import and of `instrument()`.

    python -m benchmarks.startup

Each row is the best of several fresh processes, whose bytecode is cached as an installed package's is. `beside` is what
the app has imported already: what a framework brings anyway is not ours. In units of what this machine takes to import
a part of the standard library, rows of different machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

BESIDE = {
    "nothing": "",
    "asyncio": "import asyncio",
    "langgraph": "import langgraph.graph, langgraph.prebuilt",
    "autogen": "import autogen_agentchat.teams",
    "agent framework": "import agent_framework._agents",
}

MEASURED = """
import time
def cpu(): return time.process_time() * 1e3
def kib(): return next((int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")), 0)
at = [cpu()]
import asyncio, email.message, zipfile, sqlite3, unittest.mock
at.append(cpu())
"""

OURS = """
before, memory = cpu(), [kib()]
import becausal
between = cpu(); memory.append(kib())
becausal.instrument(store={store!r})
after = cpu(); memory.append(kib())
import json; print(json.dumps([between - before, after - between, memory[1] - memory[0], memory[2] - memory[1]]))
"""

UNIT = f"{MEASURED}\nprint(at[1] - at[0])"


def rows(beside: Sequence[str], repeats: int) -> list[tuple[str, list[float]]]:
    """Return ms of the import, ms of `instrument()`, KiB of each, by what the app has imported before."""
    with tempfile.TemporaryDirectory() as folder:
        # As where it is installed: bytecode is there.
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        head = MEASURED.partition("at = ")[0]
        found = []
        for name in beside:
            code = f"{head}\n{BESIDE[name]}\n{OURS.format(store='sqlite:///:memory:')}"
            runs = [json.loads(_out(code, environ)) for _ in range(repeats + 1)][1:]  # the first one compiles
            found.append((name, [min(run[place] for run in runs) for place in range(4)]))
        return found


def unit_ms(repeats: int) -> float:
    """Return how long this machine takes to import a part of the standard library."""
    return min(float(_out(UNIT, dict(os.environ))) for _ in range(repeats))


def _out(code: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--beside", nargs="*", choices=BESIDE, default=list(BESIDE))
    options = parser.parse_args()
    unit = unit_ms(options.repeats)
    print(
        f"python {sys.version.split()[0]}; asyncio, email, zipfile, sqlite3, unittest.mock: {unit:.1f} ms CPU"
    )
    print(
        f"{'beside':<16} {'import':>10} {'instrument':>12} {'in units':>12} {'import':>10} {'instrument':>12}"
    )
    for name, (imported, hooked, first, second) in rows(options.beside, options.repeats):
        units = f"{imported / unit:.2f} + {hooked / unit:.2f}"
        print(
            f"{name:<16} {imported:>7.1f} ms {hooked:>9.1f} ms {units:>12} {first:>6.0f} KiB {second:>8.0f} KiB"
        )


if __name__ == "__main__":
    main()
