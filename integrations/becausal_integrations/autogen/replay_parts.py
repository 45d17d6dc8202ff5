"""What an AutoGen app consists of: its agents, tools, functions and classes, and whether they are those of a run."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from becausal.step import Step
from becausal_integrations.autogen.runtime import RECIPIENT, TOPIC

__all__ = [
    "AGENT",
    "GRPC",
    "PACKAGES",
    "RUNTIME",
    "TEAM",
    "driven",
    "has_worked",
    "is_a",
    "is_own",
    "roots_of",
    "subclasses",
    "unlike",
    "unlike_runtime",
]

TEAM = ("autogen_agentchat.base._team", "Team")
AGENT = ("autogen_agentchat.agents._base_chat_agent", "BaseChatAgent")
RUNTIME = ("autogen_core._single_threaded_agent_runtime", "SingleThreadedAgentRuntime")
GRPC = ("autogen_ext.runtimes.grpc._worker_runtime", "GrpcWorkerAgentRuntime")
BENCH = ("autogen_core.tools._static_workbench", "StaticWorkbench")

PACKAGES = ("autogen_core", "autogen_agentchat", "autogen_ext", "mcp.types")
"""Whose classes may stand in a recorded value."""


def driven() -> Iterator[type]:
    """Yield the classes of what can be run again, as far as they are loaded."""
    for module, name in (TEAM, AGENT, RUNTIME):
        base = getattr(sys.modules.get(module), name, None)
        if base is not None:
            yield base


def is_a(app: object, place: tuple[str, str]) -> bool:
    """Return whether something is of a class of AutoGen's, given by its module and name; none is loaded for that."""
    base = getattr(sys.modules.get(place[0]), place[1], None)
    return base is not None and isinstance(app, base)


def is_own(thing: object) -> bool:
    """Return whether something is a class of AutoGen's own."""
    return isinstance(thing, type) and thing.__module__.startswith(PACKAGES)


def subclasses(base: type) -> Iterator[type]:
    """Yield what is derived from a class, however far."""
    below: list[type] = type.__subclasses__(base)
    for cls in below:
        yield cls
        yield from subclasses(cls)


HELD = (
    "_participants", "_team", "_wrapped_agent", "_workbench", "_tools", "_handoff_tools", "_task_runner", "_func",
    "_memory", "_model_context", "_model_client", "_selector_func", "_candidate_func", "_termination_condition",
    "_output_content_type", "_input_func", "input_func", "_agent_factories", "_instantiated_agents",
)  # fmt: skip
"""Where AutoGen's objects hold those that they are made of."""


def _parts(thing: Any) -> Iterator[Any]:
    held = getattr(thing, "__dict__", {})
    for name in HELD:
        part = held.get(name)
        if isinstance(part, Mapping):
            yield from part.values()
        elif isinstance(part, list | tuple | set):
            yield from part
        elif part is not None:
            yield part
    factory = held.get("_message_factory")
    yield from getattr(factory, "_message_types", {}).values()


def _enclosed(function: Any) -> Iterator[Any]:
    """Yield what a function of AutoGen's own encloses: an app's, as where an agent is registered."""
    if str(getattr(function, "__module__", "")).startswith(PACKAGES):
        for cell in getattr(function, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # empty
                if inspect.isroutine(cell.cell_contents) or isinstance(cell.cell_contents, type):
                    yield cell.cell_contents


def _things(app: Any) -> Iterator[Any]:
    """Yield an app's objects, from the outside in."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        thing = waiting.pop()
        if thing is not None and id(thing) not in seen:
            seen.add(id(thing))
            yield thing
            waiting += _parts(thing)


def roots_of(app: Any) -> Iterator[object]:
    """Yield the functions and classes that an app's agents are made of."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or thing is None:
            continue
        seen.add(id(thing))
        if inspect.isroutine(thing) or isinstance(thing, type):
            yield thing
            waiting += _enclosed(thing)
            continue
        if not type(thing).__module__.startswith(PACKAGES):
            yield type(thing)
        waiting += _parts(thing)


def has_worked(app: Any) -> bool:
    """Return whether a team or an agent has been at work, so that it would go on from that."""
    if getattr(app, "_initialized", False):
        return True
    context = getattr(app, "__dict__", {}).get("_model_context")
    return bool(getattr(context, "_messages", ()))


def unlike(app: Any, top: Step, steps: Sequence[Step]) -> Iterator[str]:
    """Say which agents and tools a recorded run had that a team or an agent has not.

    Of the agents at the top alone: what an agent of the app's own does inside of itself is its own affair.
    """
    agents = {thing.name: thing for thing in _things(app) if is_a(thing, AGENT) or is_a(thing, TEAM)}
    at_top = {step.id: step for step in steps if top.id in (step.id, step.parent_id)}
    had = {step.name for step in at_top.values() if step.kind in ("agent", "workflow")}
    if gone := sorted(had - set(agents) - {getattr(app, "_group_chat_manager_name", None)}):
        yield f"the app has no agent {', '.join(gone)}, which the recorded run had"
    for name, agent in agents.items():
        tools = _tools_of(agent)
        turns = {step.id for step in at_top.values() if (step.kind, step.name) == ("agent", name)}
        called = {
            step.name
            for step in steps
            if step.kind == "tool" and step.parent_id in turns and step.status == "ok"
        }
        if tools is not None and (missing := sorted(called - tools)):
            yield f"the agent {name} has no tool {', '.join(missing)}, which the recorded run called"


def _tools_of(agent: Any) -> set[str] | None:
    """Return the names of an agent's tools; None where somebody else knows them: a server, the app's own code."""
    held = getattr(agent, "__dict__", {})
    benches = held.get("_workbench")
    if not type(agent).__module__.startswith(PACKAGES) or not isinstance(benches, list):
        return None
    if not all(is_a(bench, BENCH) for bench in benches):
        return None
    tools = [tool for bench in benches for tool in bench._tools]
    renamed = {name for bench in benches for name in bench._override_name_to_original}
    return {tool.name for tool in tools} | renamed | set(held.get("_handoffs", ()))


def unlike_runtime(app: Any, steps: Sequence[Step]) -> Iterator[str]:
    """Say which agents a recorded run had that a runtime has not."""
    entries = [step for step in steps if RECIPIENT in step.attributes or TOPIC in step.attributes]
    if not entries:
        yield "it did not begin with a message to a runtime: give what it began with, a team, an agent or a function"
    known = set(getattr(app, "_agent_factories", ())) | {id.type for id in app._instantiated_agents}
    if gone := sorted({step.name for step in steps if step.kind == "agent"} - known):
        yield f"the runtime has no agent {', '.join(gone)}, which the recorded run had"
