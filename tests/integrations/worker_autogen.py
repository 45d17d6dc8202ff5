"""A process of its own with one worker: answers, passes on, until its standard input ends.

    python worker_autogen.py ADDRESS STORE NAME [TO]

STORE is `-` for a worker without becausal.
"""

from __future__ import annotations

import asyncio
import sys


async def main(address: str, store: str, name: str, to: str | None = None) -> None:
    if store != "-":
        import becausal

        becausal.instrument("autogen", store=store)
    from autogen_core import TypeSubscription
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
    from tests.integrations.test_autogen_grpc import Echo

    worker = GrpcWorkerAgentRuntime(address)
    await worker.start()
    await Echo.register(worker, name, lambda: Echo(to))
    await worker.add_subscription(TypeSubscription(name, name))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await worker.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
