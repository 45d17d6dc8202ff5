"""Where the runtimes of autogen-core and autogen-ext are hooked, and why there.

`SingleThreadedAgentRuntime.send_message`, `.publish_message`
    The only doors into the runtime. What is sent is sealed here; a message from outside every chain starts one.

`get_telemetry_envelope_metadata`, `SingleThreadedAgentRuntime._process_send`, `._process_publish`, `._process_response`
    The two ends of the queue in which every context is lost. What AutoGen puts on each envelope carries the sender's
    context; the handler runs in it. So everything on the way, AutoGen's own spans included, has its right parent. The
    answer to a direct message is sealed where it is put on its envelope, and again where it is given to the asker.

`SingleThreadedAgentRuntime._process_next`, `Queue._get`, `InterventionHandler.on_send`, `.on_publish`, `.on_response`
    What intervention handlers do to a message, and which one it was. Patched, not joined: a handler of our own would
    undo what the others changed, since the runtime gives each of them the original.

`SingleThreadedAgentRuntime.stop`
    What is in the queue then is thrown away.

`SingleThreadedAgentRuntime.save_state`, `.load_state`, `.agent_save_state`, `.agent_load_state`
    See `becausal_integrations.autogen.state`.

`BaseAgent.on_message`, `RoutedAgent.on_unhandled_message`
    The one place where a message arrives, whatever the agent and the runtime. For an agent written on autogen-core
    alone this is a turn; the agents that run teams only pass messages on. Handlers themselves are held by each agent
    from its making on, so hooking them would miss those that exist.

`GrpcWorkerAgentRuntime.send_message`, `.publish_message`, `._send_message`, `._process_request`, `._process_event`,
`._process_response`, `get_telemetry_grpc_metadata`
    The same over a wire, with the last moment before an envelope leaves; see `becausal_integrations.autogen.grpc`.

`GrpcWorkerAgentRuntimeHostServicer._process_request`, `._process_event`
    The host alone knows that there is nobody to bring a message to. It need not be instrumented otherwise.

Not seen: an intervention handler that has the methods without the base class is not named, though what it did shows;
a message that the gRPC runtime lost on its way between two processes that are both well is a handoff without a
receiver, or none where it was a broadcast.

Checked against autogen-core and autogen-ext 0.7.5; the hooked code is the same since 0.7.0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from becausal.adapter import Hooks
from becausal.recorder import Recorder
from becausal_integrations.autogen import describe, native
from becausal_integrations.autogen.answers import Answers
from becausal_integrations.autogen.deliveries import Deliveries
from becausal_integrations.autogen.hooking import noticed, observed, request_around, unless
from becausal_integrations.autogen.interventions import Interventions
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.runtime import Runtime
from becausal_integrations.autogen.state import States
from becausal_integrations.patch import Make, Notice, family, notice, observe, replace

if TYPE_CHECKING:
    from becausal_integrations.autogen.grpc import Wire

__all__ = ["install"]

GRPC = "autogen_ext.runtimes.grpc"

CORE = "autogen_core._single_threaded_agent_runtime"


def install(recorder: Recorder, hooks: Hooks, ledger: Ledger, states: States) -> None:
    """Hook the runtimes."""
    deliveries = Deliveries(recorder)
    interventions = Interventions(deliveries.lost)
    answers = Answers(recorder, deliveries)
    runtime = Runtime(recorder, ledger, states, deliveries, interventions, answers)
    arrives = unless(describe.passes_on, observed(recorder, runtime.delivery))
    replace(hooks, "autogen_core._base_agent:BaseAgent.on_message", arrives)
    notice(recorder, hooks, "autogen_core._routed_agent:RoutedAgent.on_unhandled_message", runtime.unhandled)
    _hook_in_process(recorder, hooks, runtime, interventions)
    native.install(recorder, hooks)
    _hook_grpc(recorder, hooks, runtime, deliveries, answers)
    for name in ("save_state", "agent_save_state"):
        observe(recorder, hooks, f"{CORE}:SingleThreadedAgentRuntime.{name}", states.saving)
    for name in ("load_state", "agent_load_state"):
        observe(recorder, hooks, f"{CORE}:SingleThreadedAgentRuntime.{name}", states.loading)


def _hook_in_process(
    recorder: Recorder, hooks: Hooks, runtime: Runtime, interventions: Interventions
) -> None:
    doors = f"{CORE}:SingleThreadedAgentRuntime"
    direct, broadcast = noticed(recorder, runtime.direct), noticed(recorder, runtime.broadcast)
    _hook_doors(recorder, hooks, doors, runtime, direct, broadcast)
    replace(hooks, f"{CORE}:get_telemetry_envelope_metadata", runtime.packing(recorder))
    notice(recorder, hooks, f"{doors}._process_next", interventions.next)
    replace(hooks, "autogen_core._queue:Queue._get", interventions.taking(recorder))
    notice(recorder, hooks, f"{doors}._process_send", runtime.delivered)
    notice(recorder, hooks, f"{doors}._process_publish", runtime.distributed)
    notice(recorder, hooks, f"{doors}._process_response", runtime.answered)
    notice(recorder, hooks, f"{doors}.stop", runtime.stopping)
    judged = noticed(recorder, interventions.handler)
    family(
        hooks,
        "autogen_core._intervention:InterventionHandler",
        {"on_send": judged, "on_publish": judged, "on_response": judged},
    )


def _hook_grpc(
    recorder: Recorder, hooks: Hooks, runtime: Runtime, deliveries: Deliveries, answers: Answers
) -> None:
    @functools.cache
    def wire() -> Wire:
        from becausal_integrations.autogen.grpc import Wire  # here: few apps have agents in several processes

        return Wire(recorder, runtime, deliveries, answers)

    def wired(pick: Callable[[Wire], Notice]) -> Make:
        return lambda original: noticed(recorder, pick(wire()))(original)

    worker = f"{GRPC}._worker_runtime"
    doors = f"{worker}:GrpcWorkerAgentRuntime"
    host = f"{GRPC}._worker_runtime_host_servicer:GrpcWorkerAgentRuntimeHostServicer"
    direct, broadcast = wired(lambda wire: wire.direct), wired(lambda wire: wire.broadcast)
    _hook_doors(recorder, hooks, doors, runtime, direct, broadcast)
    replace(hooks, f"{worker}:get_telemetry_grpc_metadata", wired(lambda wire: wire.answering))
    replace(hooks, f"{doors}._send_message", wired(lambda wire: wire.put))
    replace(hooks, f"{doors}._process_request", wired(lambda wire: wire.request))
    replace(hooks, f"{doors}._process_event", wired(lambda wire: wire.event))
    replace(hooks, f"{doors}._process_response", wired(lambda wire: wire.response))
    replace(hooks, f"{host}._process_request", wired(lambda wire: wire.hosted_request))
    replace(hooks, f"{host}._process_event", wired(lambda wire: wire.hosted_event))


def _hook_doors(
    recorder: Recorder, hooks: Hooks, doors: str, runtime: Runtime, direct: Make, broadcast: Make
) -> None:
    # The request around the sending: what is sent from outside belongs to the request that it starts.
    around = functools.partial(request_around, recorder)
    replace(hooks, f"{doors}.send_message", around(direct, runtime.direct_request))
    replace(hooks, f"{doors}.publish_message", around(broadcast, runtime.broadcast_request))
