"""What is hooked of AutoGen while somebody replays, around the hooks that record.

Hooked places, and why these
----------------------------
`BaseChatAgent.on_messages`, `.on_messages_stream`; `ChatCompletionClient.create`, `.create_stream`; `BaseTool.
run_json`, `.run_json_stream`; `Workbench.call_tool`; `BaseAgent.on_message`
    What an agent, a model or a tool receives may be edited, before its step begins, so that the step tells of it.

`BaseAgent.on_message`
    Where a replay leaves the record, the run ends as one ends in which an agent raises: a `DivergenceError`, which is
    no `Exception`, would leave the team waiting for ever.

`AssistantAgent._execute_tool_call`
    It runs in a task of its own, and the agent waits for what it puts into a queue, not for the task: where a replay
    leaves the record in a tool, the agent is told that nothing more comes, and meets the exception in the task.

`UserProxyAgent._get_input`
    What a person typed.

`McpWorkbench.list_tools`, `.start`, `.stop`
    No server is started. Which tools it had is told by the record.

`GrpcWorkerAgentRuntime.start`, `.send_message`, `.publish_message`
    What is sent over gRPC is done by agents in other processes, which are none of the replay's: the network is shut to
    it as to everything else.

The logger `autogen_core`
    The runtime logs the traceback of every exception of an agent's. In a replay that is how each end that was meant
    shows, many times in a search for causes, and would bury what the replay itself has to say.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Recorder
from becausal.replay import DivergenceError, Recalled, Session, in_force, reaches_out, recall, result_of
from becausal.step import OpenStep, StepKind, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.carrier import arriving
from becausal_integrations.autogen.chat import stage
from becausal_integrations.autogen.ledger import owns
from becausal_integrations.autogen.protobuf import plain
from becausal_integrations.autogen.replay_parts import GRPC
from becausal_integrations.autogen.runtime import stands_apart
from becausal_integrations.autogen.tools import MCP
from becausal_integrations.patch import family, replace

__all__ = ["StoppedError", "install"]

Original = Callable[..., Any]
Where = Callable[[Any, Any], tuple[StepKind, str, StepRef | None]]
"""Takes the agent, client or tool, and what it is called with first; returns the kind and name of the step that is
about to begin, and what it will stand in."""


LOGGER = "autogen_core"
"""Of AutoGen's runtimes. Source: autogen-core 0.7.5, `_single_threaded_agent_runtime.py`."""


class StoppedError(Exception):
    """An agent's run ended because the replay left the record; its cause says where and why."""


def install(recorder: Recorder, hooks: Hooks) -> None:
    """Put the hooks in."""
    edited = functools.partial(_editing, recorder)
    turn = edited(_turn, 0, "messages")
    family(
        hooks,
        "autogen_agentchat.agents._base_chat_agent:BaseChatAgent",
        {"on_messages": turn, "on_messages_stream": turn},
    )
    asked = edited(_model, 0, "messages")
    family(
        hooks,
        "autogen_core.models._model_client:ChatCompletionClient",
        {"create": asked, "create_stream": asked},
    )
    called = edited(_tool, 0, "args")
    family(hooks, "autogen_core.tools._base:BaseTool", {"run_json": called, "run_json_stream": called})
    family(
        hooks,
        "autogen_core.tools._workbench:Workbench",
        {"call_tool": edited(_benched, 1, "arguments")},
    )
    replace(hooks, "autogen_core._base_agent:BaseAgent.on_message", edited(_message, 0, "message"))
    replace(hooks, "autogen_core._base_agent:BaseAgent.on_message", _ending)
    replace(
        hooks, "autogen_agentchat.agents._assistant_agent:AssistantAgent._execute_tool_call", _ending_a_tool
    )
    family(hooks, "autogen_agentchat.agents._user_proxy_agent:UserProxyAgent", {"_get_input": _person})
    for name, instead in (("list_tools", _tools_of), ("start", _nothing), ("stop", _nothing)):
        replace(hooks, f"{MCP}.{name}", functools.partial(_without_server, instead))
    for name in ("start", "send_message", "publish_message"):
        replace(hooks, f"{':'.join(GRPC)}.{name}", _over_the_wire)
    _quiet(hooks)


# Edits of what is received


def _turn(agent: Any, _: Any) -> tuple[StepKind, str, StepRef | None]:
    here = current()
    return "agent", agent.name, None if here is None else stage(here)


def _model(client: Any, _: Any) -> tuple[StepKind, str, StepRef | None]:
    return "model", describe.model_name(client), current()


def _tool(tool: Any, _: Any) -> tuple[StepKind, str, StepRef | None]:
    return "tool", tool.name, current()


def _benched(workbench: Any, _: Any) -> tuple[StepKind, str, StepRef | None]:
    return "tool", "", current()


def _message(agent: Any, _: Any) -> tuple[StepKind, str, StepRef | None]:
    return "agent", agent.id.type, stands_apart(arriving()) or current()


def _editing(recorder: Recorder, where: Where, index: int, name: str) -> Callable[[Original], Original]:
    """Return what makes a hook that gives a method what an edit makes of one of its arguments, if there is one."""

    def changed(
        owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        session = in_force()
        if session is None or not session.edits_inputs or owns(current(), owner):
            return args, kwargs
        value = args[index] if len(args) > index else kwargs.get(name)
        if describe.is_of_a_team(value):
            return args, kwargs
        kind, named, parent = where(owner, value)
        if index:  # a workbench is told which of its tools is called
            named = args[0] if args else kwargs.get("name", "")
        received = list(value) if isinstance(value, list) else plain(value)
        edit = session.input_edit(kind, named, recorder.seal(received), {}, parent)
        if edit is None:
            return args, kwargs
        if len(args) > index:
            return (*args[:index], edit(value), *args[index + 1 :]), kwargs
        return args, {**kwargs, name: edit(value)}

    def make(original: Original) -> Original:
        if inspect.iscoroutinefunction(original) or not original.__name__.endswith("_stream"):

            @functools.wraps(original)
            async def given(owner: Any, *args: Any, **kwargs: Any) -> Any:
                args, kwargs = changed(owner, args, kwargs)
                return await original(owner, *args, **kwargs)

            return given

        @functools.wraps(original)
        async def streamed(owner: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            args, kwargs = changed(owner, args, kwargs)
            async with aclosing(original(owner, *args, **kwargs)) as items:
                async for item in items:
                    yield item

        return streamed

    return make


# Where a replay leaves the record


def _quiet(hooks: Hooks) -> None:
    """Keep from the handlers of AutoGen's logger what a replay ends in: its result says it, once and in words.

    The steps of the replay have these lines all the same, and what is logged outside of it is left alone.
    """
    logger = logging.getLogger(LOGGER)

    def is_wanted(record: logging.LogRecord) -> bool:
        return not record.exc_info or in_force() is None

    logger.addFilter(is_wanted)
    hooks.undos.append(functools.partial(logger.removeFilter, is_wanted))


def _ending(original: Original) -> Original:
    """Hook `BaseAgent.on_message`: an agent that cannot go on tells its team so, as it does of an exception."""

    @functools.wraps(original)
    async def ended(agent: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(agent, *args, **kwargs)
        except DivergenceError as divergence:
            stopped = StoppedError(str(divergence))
            await _tell(agent, stopped)
            raise stopped from divergence

    return ended


def _ending_a_tool(original: Original) -> Original:
    """Hook `_execute_tool_call`: an agent that waits for what a tool's stream gives is told that this has ended.

    Source: autogen-agentchat 0.7.5, `AssistantAgent._process_model_result`; None is its sign for the end.
    """

    @functools.wraps(original)
    async def ended(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        except DivergenceError:
            if (stream := kwargs.get("stream")) is not None:
                stream.put_nowait(None)
            raise

    return ended


async def _tell(agent: Any, error: Exception) -> None:
    if not describe.is_team_agent(agent):
        return
    from autogen_agentchat.teams._group_chat._events import GroupChatError, SerializableException
    from autogen_core import DefaultTopicId

    told = SerializableException.from_exception(error)
    if hasattr(agent, "_signal_termination_with_error"):
        await agent._signal_termination_with_error(told)
    else:
        topic = DefaultTopicId(type=agent._parent_topic_type)
        await agent.publish_message(GroupChatError(error=told), topic_id=topic)


def _over_the_wire(original: Original) -> Original:
    @functools.wraps(original)
    async def sent(runtime: Any, *args: Any, **kwargs: Any) -> Any:
        reaches_out(
            f"{original.__name__} of a runtime over gRPC: other processes' agents would answer; a replay needs all of "
            "them on a SingleThreadedAgentRuntime"
        )
        return await original(runtime, *args, **kwargs)

    return sent


# People, and servers


def _person(original: Original) -> Original:
    @functools.wraps(original)
    async def typed(agent: Any, *args: Any, **kwargs: Any) -> Any:
        session, step = in_force(), current()
        if session is None or not isinstance(step, OpenStep):
            return await original(agent, *args, **kwargs)
        recalled = recall(step)
        if recalled is None:
            return await original(agent, *args, **kwargs)
        asked, now = recalled[1].step.received, step.received
        if not recalled[1].is_other and (asked is None or now is None or asked.belief != now.belief):
            raise session.diverged(
                step,
                "needs_live",
                "nobody knows what a person would type to that",
                f"ask them: live=[{step.name!r}]",
            )
        return result_of(recalled, _typed)

    return typed


def _typed(answer: Recalled) -> Any:
    said = answer.produced()
    last = said[-1] if isinstance(said, list) else said
    return getattr(last, "content", last)


def _without_server(make: Callable[[Session, Any], Any], original: Original) -> Original:
    @functools.wraps(original)
    async def unmade(workbench: Any, *args: Any, **kwargs: Any) -> Any:
        session = in_force()
        if session is None or any(session.is_run(tool) for tool in _names(session, workbench)):
            return await original(workbench, *args, **kwargs)
        return make(session, workbench)

    return unmade


def _tools_of(session: Session, workbench: Any) -> Any:
    """Return the tools that a server had when it was asked last in the recorded run."""
    name = describe.server_name(workbench)
    for step in reversed(session.steps):
        if semconv.KEPT + name in step.attributes:
            return session.kept(step, name)
    return []


def _nothing(_: Session, __: Any) -> None:
    return None


def _names(session: Session, workbench: Any) -> Iterator[str]:
    return (tool["name"] for tool in _tools_of(session, workbench))
