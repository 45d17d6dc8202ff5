"""AutoGen in a replay: teams, agents and runtimes run again; models, tools, memories and people answer as they did.

A team is run as it was, with the same task, and goes on from the same state where an earlier run of the same team, or a
state that was loaded, had left one. Its turns, choices of speakers, conditions and contexts are its own code's again.
What it asks of the outside is answered by the recorder's seam, with what `replayed` makes of the record.

Message ids and times are AutoGen's to leave to chance, and are other ones in a replay, unless the app fixes them.

See `becausal_integrations.autogen.replay_hooks` for what is hooked while somebody replays.

Checked against autogen-core and autogen-agentchat 0.7.5.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from becausal import semconv
from becausal.instrument import Hooks
from becausal.recorder import NOTHING, Recorder
from becausal.replay import Entry
from becausal.step import Step
from becausal_integrations.autogen import describe, replay_hooks
from becausal_integrations.autogen.chat import ASKED
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.runtime import RECIPIENT, TOPIC
from becausal_integrations.autogen.state import STATE, STATE_UNKNOWN, unseen
from becausal_integrations.autogen.teams import JUDGED, WITHOUT_TASK, manager_of

__all__ = ["AutoGenReplay"]

TEAM = ("autogen_agentchat.base._team", "Team")
AGENT = ("autogen_agentchat.agents._base_chat_agent", "BaseChatAgent")
RUNTIME = ("autogen_core._single_threaded_agent_runtime", "SingleThreadedAgentRuntime")

PACKAGES = ("autogen_core", "autogen_agentchat", "autogen_ext", "mcp.types")
"""Whose classes may stand in a recorded value."""


class AutoGenReplay:
    """What AutoGen needs for a replay; see `becausal.replay.ReplayAdapter`."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook what may be edited, what people type, and what tools a server has."""
        replay_hooks.install(recorder, hooks)

    def classes(self) -> Iterable[type]:
        """Return AutoGen's messages, answers, results and errors."""
        for name, module in list(sys.modules.items()):
            if name.startswith(PACKAGES):
                yield from (thing for thing in list(vars(module).values()) if _is_own(thing))
        messages = sys.modules.get("autogen_agentchat.messages")
        if messages is not None:
            yield from filter(
                _is_own, _subclasses(messages.BaseMessage)
            )  # generic ones are made as they are used

    def drives(self, app: object) -> bool:
        """Return whether an app is a team, an agent, or a runtime with agents; or a coroutine function that says so."""
        if inspect.iscoroutinefunction(app):
            made = typing.get_type_hints(app).get("return")
            return isinstance(made, type) and any(issubclass(made, base) for base in _driven())
        return isinstance(app, tuple(_driven()))

    async def run(self, app: Any, entry: Entry) -> Any:
        """Run a team or an agent, or send a message, as it was done."""
        step, given = entry.step, None if entry.given is NOTHING else entry.given
        if _is(app, RUNTIME):
            return await _sent(app, step, given)
        if (state := entry.kept(STATE)) is not NOTHING:
            with unseen():
                await app.load_state(state)
            self._judged(app, step)
        self._forget(given)
        if step.attributes.get(ASKED) == "on_messages":
            from autogen_core import CancellationToken

            return (await app.on_messages(given, CancellationToken())).chat_message
        more: dict[str, Any] = {"output_task_messages": False} if WITHOUT_TASK in step.attributes else {}
        result = await app.run(task=given, **more)
        await _saved_and_loaded(app, entry)
        return result

    def roots(self, app: Any) -> Iterable[object]:
        """Return the functions and classes that a team's or a runtime's agents are made of."""
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

    def problems(self, app: Any, steps: tuple[Step, ...]) -> Iterable[str]:
        """Say what the recorded run had that the app has not: agents, tools, a state that is known."""
        if _is(app, RUNTIME):
            yield from _of_runtime(app, steps)
            return
        if any(STATE_UNKNOWN in step.attributes for step in steps):
            yield (
                "it goes on from an earlier run of the same team, whose state agents or contexts of the app's own "
                "tell: that was not kept; replay the first run of the conversation"
            )
        if _has_worked(app):
            yield (
                f"this {type(app).__name__} has worked already, and would go on from that: give a function that makes "
                "a new one"
            )
        top = next((step for step in steps if step.kind in ("workflow", "agent")), None)
        if top is None:
            yield "it is no run of a team or an agent: nothing in it says so"
            return
        if top.name != app.name:
            yield f"the {top.kind} that was recorded is {top.name!r}, this one {app.name!r}"
        yield from _of_agents(app, top, steps)

    def _judged(self, app: Any, step: Step) -> None:
        """Note what a team's manager has judged already, where its state was not loaded when it was recorded."""
        judged, manager = step.attributes.get(JUDGED), manager_of(app) if _is(app, TEAM) else None
        if self._ledger is not None and manager is not None and isinstance(judged, int):
            self._ledger.threads.put(manager, judged)

    def _forget(self, given: Any) -> None:
        """Forget where the messages of a task came from when they were recorded: here they come from outside."""
        if self._ledger is not None:
            for message in describe.task_messages(given):
                self._ledger.messages.pop(message.id, None)


async def _sent(runtime: Any, step: Step, given: Any) -> Any:
    """Send a runtime's agents the message that a request began with, and wait until they have done with it."""
    from autogen_core import AgentId, TopicId

    recipient, topic = step.attributes.get(RECIPIENT), step.attributes.get(TOPIC)
    runtime.start()
    try:
        if isinstance(recipient, str):
            return await runtime.send_message(given, AgentId.from_str(recipient))
        await runtime.publish_message(given, TopicId.from_str(str(topic)))
    finally:
        await runtime.stop_when_idle()
    return None


async def _saved_and_loaded(app: Any, entry: Entry) -> None:
    """Save and load the state as often as the app did after its run: these are steps of it."""
    state = None
    for step in entry.session.steps:
        if step.attributes.get(semconv.MEMORY_RECORD) != "state" or step.seq < entry.step.seq:
            continue
        if step.kind == "memory_write" and step.parent_id == entry.step.id:
            state = await app.save_state()
        elif step.kind == "memory_read" and state is not None:
            await app.load_state(state)


# What an app consists of


def _driven() -> Iterator[type]:
    for module, name in (TEAM, AGENT, RUNTIME):
        base = getattr(sys.modules.get(module), name, None)
        if base is not None:
            yield base


def _is(app: object, place: tuple[str, str]) -> bool:
    base = getattr(sys.modules.get(place[0]), place[1], None)
    return base is not None and isinstance(app, base)


def _is_own(thing: object) -> bool:
    return isinstance(thing, type) and thing.__module__.startswith(PACKAGES)


def _subclasses(base: type) -> Iterator[type]:
    below: list[type] = type.__subclasses__(base)
    for cls in below:
        yield cls
        yield from _subclasses(cls)


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


def _has_worked(app: Any) -> bool:
    if getattr(app, "_initialized", False):
        return True
    context = getattr(app, "__dict__", {}).get("_model_context")
    return bool(getattr(context, "_messages", ()))


def _of_agents(app: Any, top: Step, steps: Sequence[Step]) -> Iterator[str]:
    things = list(_things(app))
    there = {thing.name for thing in things if _is(thing, AGENT) or _is(thing, TEAM)}
    there |= {getattr(thing, "_group_chat_manager_name", None) for thing in things if _is(thing, TEAM)}
    had = {
        step.name for step in steps if step.kind in ("agent", "workflow") and step.chain_id == top.chain_id
    }
    if gone := sorted(had - there):
        yield f"the app has no agent {', '.join(gone)}, which the recorded run had"
    benches = [thing for thing in things if _is(thing, ("autogen_core.tools._workbench", "Workbench"))]
    tools = {tool.name for tool in things if _is(tool, ("autogen_core.tools._base", "BaseTool"))}
    if any(not hasattr(bench, "_tools") for bench in benches):
        return  # tools that a server tells of
    called = {
        step.name for step in steps if step.kind == "tool" and step.attributes.get(semconv.TOOL_CALL_ID)
    }
    known = {step.name for step in steps if step.kind == "tool" and step.status == "ok"}
    if tools and (missing := sorted((called & known) - tools)):
        yield f"the app has no tool {', '.join(missing)}, which the recorded run called"


def _of_runtime(app: Any, steps: Sequence[Step]) -> Iterator[str]:
    entries = [step for step in steps if RECIPIENT in step.attributes or TOPIC in step.attributes]
    if not entries:
        yield "it did not begin with a message to a runtime: give what it began with, a team, an agent or a function"
    known = set(getattr(app, "_agent_factories", ())) | {id.type for id in app._instantiated_agents}
    if gone := sorted({step.name for step in steps if step.kind == "agent"} - known):
        yield f"the runtime has no agent {', '.join(gone)}, which the recorded run had"
