"""becausal's row in the overhead harness, beside the peers'.

    python benchmarks/overhead.py HARNESS --workload lg-linear,lg-agent --instrumentor none,floor-noop,oi,becausal

HARNESS is the path of `bench_overhead.py`; what follows are its own options (`--help`). Its peers must be installed.
Spans go to its no-op exporter, steps and payloads to a store on disk; the store's thread and its last flush are part of
the CPU time that is counted.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import becausal


def harness(path: str) -> Any:
    """Return the harness with our row in it."""
    spec = importlib.util.spec_from_file_location("bench_overhead", path)
    assert spec is not None and spec.loader is not None
    bench: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    # It starts a child for each measurement by its own file name: that must be ours, or the child lacks our row.
    bench.__file__ = __file__

    class Becausal(bench.Instrumentor):  # type: ignore[misc]
        name = "becausal"
        frameworks = ("langgraph", "autogen")
        has_otlp = True

        def start(self, ctx: Any) -> None:
            super().start(ctx)
            becausal.instrument(store=f"sqlite:///{ctx.tmp}/becausal.db", tracer_provider=ctx.provider())

        def flush(self) -> None:
            becausal.flush(60)
            super().flush()

    bench.INSTRUMENTORS["becausal"] = Becausal
    return bench


if __name__ == "__main__":
    if "--child" not in sys.argv:  # the children find the harness by the environment
        os.environ["BECAUSAL_BENCH_HARNESS"] = os.path.abspath(sys.argv.pop(1))
    sys.exit(harness(os.environ["BECAUSAL_BENCH_HARNESS"]).main())
