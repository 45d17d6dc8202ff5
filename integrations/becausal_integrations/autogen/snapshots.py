"""The state that a team or an agent is in: told as AutoGen tells it, with what AutoGen's saved states leave out.

Left out (autogen-agentchat 0.7.5): who is still at work (`BaseGroupChatManager._active_speakers`), which joins of a
graph were triggered (`GraphFlowManager._triggered_activation_groups`), what the model of a `SocietyOfMindAgent` has
seen, the agent in a `MessageFilterAgent`. A replay of a later run of the same team needs it all.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

__all__ = ["MOST_KEPT", "manager_of", "managers", "put_back", "snapshot"]

MOST_KEPT = 5_000
"""So many messages may the contexts of a team's agents hold for its state to be kept with the next run."""

LEFT_OUT = ("_active_speakers", "_triggered_activation_groups")
INSIDE = ("_model_context", "_wrapped_agent")


def snapshot(thing: Any) -> Mapping[str, Any] | None:
    """Return the state of a team or an agent that has worked, for `put_back`.

    None where an app's own code would have to tell it, and where it is long: it is told anew for each run.
    """
    parts = list(_within(thing))
    messages = sum(len(_held(part).get("_messages", ())) for part in parts)
    if messages > MOST_KEPT or not all(map(_tells_itself, parts)):
        return None
    state = _at_once(thing.save_state())
    return None if state is None else {"state": state, "left out": [_left_out(part) for part in parts]}


async def put_back(thing: Any, kept: Mapping[str, Any]) -> None:
    """Bring a new team or agent into a state."""
    await thing.load_state(kept["state"])
    for part, left_out in zip(list(_within(thing)), kept["left out"], strict=False):
        for name, value in left_out.items():
            if name in INSIDE:
                await getattr(part, name).load_state(value)
            else:
                setattr(part, name, value)


def managers(team: Any) -> Iterator[Any]:
    """Yield the managers of a team and of the teams in it; None for one that has not begun."""
    for part in _within(team):
        if "_group_chat_manager_topic_type" in _held(part):
            yield manager_of(part)


def manager_of(team: Any) -> Any:
    """Return the manager of a group chat that has begun; None of one that has not."""
    held = _held(team)
    agents = getattr(held.get("_runtime"), "_instantiated_agents", {})
    named = held.get("_group_chat_manager_topic_type"), held.get("_team_id")
    return next((agent for id, agent in agents.items() if (id.type, id.key) == named), None)


def _within(thing: Any) -> Iterator[Any]:
    """Yield a team or an agent, what it consists of, and what keeps its messages; for each team its manager or None."""
    held = _held(thing)
    yield thing
    if "_group_chat_manager_topic_type" in held:
        yield manager_of(thing)
    parts = [*held.get("_participants", ()), held.get("_team"), held.get("_wrapped_agent")]
    for part in filter(None, [*parts, held.get("_model_context")]):
        yield from _within(part)


def _held(thing: Any) -> Mapping[str, Any]:
    return getattr(thing, "__dict__", {})


def _tells_itself(thing: object) -> bool:
    if thing is None:
        return True
    method = inspect.unwrap(type(thing).save_state)  # type: ignore[attr-defined]
    return str(method.__module__).startswith("autogen_")


def _left_out(part: Any) -> dict[str, Any]:
    held = _held(part)
    left_out = {name: copy.deepcopy(held[name]) for name in LEFT_OUT if name in held}
    inside = [name for name in INSIDE if name in held and ("_team" in held or name == "_wrapped_agent")]
    return left_out | {name: _at_once(held[name].save_state()) for name in inside}


def _at_once(saving: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that waits for nothing; None of one that does: of a runtime elsewhere."""
    try:
        saving.send(None)
    except StopIteration as done:
        return done.value
    saving.close()
    return None
