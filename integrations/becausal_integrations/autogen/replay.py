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
from collections.abc import Iterable
from typing import Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.recorder import NOTHING, Recorder
from becausal.replay import Entry
from becausal.step import Step
from becausal_integrations.autogen import describe, replay_hooks
from becausal_integrations.autogen.chat import ASKED
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.replay_parts import (
    GRPC,
    PACKAGES,
    RUNTIME,
    driven,
    has_worked,
    is_a,
    is_own,
    roots_of,
    subclasses,
    unlike,
    unlike_runtime,
)
from becausal_integrations.autogen.runtime import RECIPIENT, TOPIC
from becausal_integrations.autogen.snapshots import MOST_KEPT, managers, put_back
from becausal_integrations.autogen.state import STATE, STATE_UNKNOWN, unseen
from becausal_integrations.autogen.teams import JUDGED, WITHOUT_TASK

__all__ = ["AutoGenReplay"]


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
                yield from (thing for thing in list(vars(module).values()) if is_own(thing))
        messages = sys.modules.get("autogen_agentchat.messages")
        if messages is not None:
            yield from filter(
                is_own, subclasses(messages.BaseMessage)
            )  # generic ones are made as they are used

    def drives(self, app: object) -> bool:
        """Return whether an app is a team, an agent, or a runtime with agents; or a coroutine function that says so."""
        if inspect.iscoroutinefunction(app):
            made = None
            with contextlib.suppress(NameError, TypeError):  # names that are known to type checkers alone
                made = typing.get_type_hints(app).get("return")
            return isinstance(made, type) and any(issubclass(made, base) for base in driven())
        return isinstance(app, tuple(driven())) or is_a(app, GRPC)

    async def run(self, app: Any, entry: Entry) -> Any:
        """Run a team or an agent, or send a message, as it was done."""
        step, given = entry.step, None if entry.given is NOTHING else entry.given
        if is_a(app, RUNTIME):
            return await _sent(app, step, given)
        if (state := entry.kept(STATE)) is not NOTHING:
            with unseen():
                await put_back(app, state)
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
        return roots_of(app)

    def problems(self, app: Any, steps: tuple[Step, ...]) -> Iterable[str]:
        """Say what the recorded run had that the app has not: agents, tools, a state that is known."""
        if is_a(app, GRPC):
            yield (
                "a runtime over gRPC cannot be run again, as its agents may be in other processes: give a function "
                "that makes all of them on a SingleThreadedAgentRuntime"
            )
            return
        if is_a(app, RUNTIME):
            yield from unlike_runtime(app, steps)
            return
        if any(STATE_UNKNOWN in step.attributes for step in steps):
            yield (
                "it goes on from an earlier run, and the state that this left was not kept: agents or contexts of the "
                f"app's own tell it, or it has more than {MOST_KEPT:,} messages; replay the first run"
            )
        if has_worked(app):
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
        yield from unlike(app, top, steps)

    def _judged(self, app: Any, step: Step) -> None:
        """Note what a team's managers have judged already, where its state was not loaded when it was recorded."""
        judged = step.attributes.get(JUDGED)
        for manager, count in zip(managers(app), judged if isinstance(judged, tuple) else (), strict=False):
            if self._ledger is not None and manager is not None and str(count).isdigit():
                self._ledger.threads.put(manager, int(count))

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
