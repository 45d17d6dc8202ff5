"""An app of the benchmark on AutoGen's runtime: one topic an agent, interventions are where things befall messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autogen_core import (
    AgentId,
    CancellationToken,
    DefaultInterventionHandler,
    DropMessage,
    FunctionCall,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_core.models import (
    AssistantMessage,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    SystemMessage,
    UserMessage,
)
from autogen_core.tools import FunctionTool
from tests.faults.app import App, Asks, Payload, answer, note, told
from tests.integrations.fakes_autogen import PureClient, Said

__all__ = ["RecordNote", "TextNote", "mind", "run"]


@dataclass
class TextNote:
    """A text from one agent to those that hear it."""

    sender: str
    text: str


@dataclass
class RecordNote:
    """A record from one agent to those that hear it."""

    sender: str
    record: dict[str, Any]


@dataclass
class Request:
    """What the user asks."""

    text: str


@dataclass
class StillThere:
    """A worker is still at work."""

    text: str = "still at work"


@dataclass
class Answer:
    """What the user is told."""

    text: str = ""


Note = TextNote | RecordNote


def mind(app: App, name: str) -> PureClient:
    """Return an agent's model."""

    def said(messages: Sequence[LLMMessage]) -> Said:
        heard = "\n".join(str(m.content) for m in messages if isinstance(m, UserMessage))
        results = [
            r.content for m in messages if isinstance(m, FunctionExecutionResultMessage) for r in m.content
        ]
        made = answer(app.roles[name], heard, results)
        if isinstance(made, Asks):
            arguments = json.dumps(dict(made.arguments))
            return [FunctionCall(id=f"call-{name}-{len(results)}", name=made.tool, arguments=arguments)]
        return app.meddler.said(name, made)

    return PureClient(said)


@dataclass
class Heard:
    """What an app's agents have heard, and its answer."""

    notes: dict[str, dict[str, Payload]] = field(default_factory=dict)
    answer: str = ""
    done: asyncio.Future[Answer] = field(default_factory=asyncio.Future)


class Worker(RoutedAgent):
    """Works when it has heard all that it waits for."""

    def __init__(self, app: App, name: str, heard: Heard) -> None:
        super().__init__(name)
        self.app, self.name, self.heard = app, name, heard

    @message_handler
    async def on_request(self, message: Request, ctx: MessageContext) -> Answer:
        await self.work(message.text)
        return await self.heard.done if self.app.is_awaited else Answer("accepted")

    @message_handler
    async def on_text(self, message: TextNote, ctx: MessageContext) -> None:
        await self.hear(message.sender, message.text)

    @message_handler
    async def on_record(self, message: RecordNote, ctx: MessageContext) -> None:
        await self.hear(message.sender, message.record)

    async def hear(self, sender: str, payload: Payload) -> None:
        notes = self.heard.notes.setdefault(self.name, {})
        notes[sender] = payload
        wanted = self.app.plan.hears[self.name]
        needed = wanted[:1] if self.name in self.app.hasty else wanted
        if sender not in needed or not all(other in notes for other in needed):
            return
        try:
            await self.work(told([(other, notes[other]) for other in wanted if other in notes]))
        except (
            Exception
        ) as error:  # a publisher is told of no failure: without this its user would wait for ever
            if not self.heard.done.done():
                self.heard.done.set_exception(error)
            raise

    async def work(self, heard: str) -> None:
        for _ in range(self.app.heartbeats):
            await self.publish_message(StillThere(), TopicId("answers", "app"))
        text = await self.speak(heard)
        if self.name == self.app.plan.last:
            self.heard.answer = text
            if not self.heard.done.done():
                self.heard.done.set_result(Answer(text))
            await self.publish_message(Answer(text), TopicId("answers", "app"))
            return
        payload = note(text, self.app.is_record)
        made: Note = (
            TextNote(self.name, payload) if isinstance(payload, str) else RecordNote(self.name, payload)
        )
        await self.publish_message(made, TopicId(f"from_{self.name}", "app"))

    async def speak(self, heard: str) -> str:
        model = mind(self.app, self.name)
        tools = {key: FunctionTool(tool, key, name=key) for key, tool in self.app.tools.items()}
        messages: list[LLMMessage] = [
            SystemMessage(content=f"You are {self.name}."),
            UserMessage(content=heard, source="others"),
        ]
        while True:
            reply = await model.create(messages)
            if isinstance(reply.content, str):
                return reply.content
            messages.append(AssistantMessage(content=reply.content, source=self.name))
            messages.append(
                FunctionExecutionResultMessage(content=[await self.execute(c, tools) for c in reply.content])
            )

    async def execute(self, call: FunctionCall, tools: dict[str, FunctionTool]) -> FunctionExecutionResult:
        arguments = self.app.meddler.executed(call.name, json.loads(call.arguments))
        for _ in range(self.app.meddler.ran(call.name)):
            content = await self.executed(tools[call.name], arguments, call.id)
        return FunctionExecutionResult(content=content, name=call.name, call_id=call.id, is_error=False)

    async def executed(self, tool: FunctionTool, arguments: dict[str, Any], call_id: str) -> str:
        content = ""
        for _ in range(self.app.retries + 1):
            try:
                result = await tool.run_json(arguments, CancellationToken(), call_id=call_id)
            except ConnectionError as error:
                content = f"I could not look it up: {error}"
            else:
                return result if isinstance(result, str) else json.dumps(result)
        return content


class User(RoutedAgent):
    """Is told the answer."""

    @message_handler
    async def on_heartbeat(self, message: StillThere, ctx: MessageContext) -> None:
        pass

    @message_handler
    async def on_answer(self, message: Answer, ctx: MessageContext) -> None:
        pass


class Transport(DefaultInterventionHandler):
    """Where things befall messages that are published."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        if isinstance(message, TextNote):
            arriving = self.app.meddler.sent(message.sender, message.text)
            if arriving == ():
                return DropMessage
            return message if arriving is message.text else TextNote(message.sender, arriving)
        if isinstance(message, RecordNote):
            arriving = self.app.meddler.sent(message.sender, message.record)
            if arriving == ():
                return DropMessage
            return message if arriving is message.record else RecordNote(message.sender, arriving)
        return message


def _deliver_twice(runtime: SingleThreadedAgentRuntime, senders: frozenset[str]) -> None:
    """Let the runtime's queue hold the messages of some senders twice, as a queue does that delivers at least once."""
    queue: Any = runtime._message_queue
    inner, seen = queue.put, set()

    async def put(envelope: Any) -> None:
        await inner(envelope)
        sender = getattr(getattr(envelope, "message", None), "sender", None)
        if sender in senders and sender not in seen:
            seen.add(sender)
            await inner(envelope)

    queue.put = put


async def _run(app: App) -> str:
    heard = Heard()
    runtime = SingleThreadedAgentRuntime(intervention_handlers=[Transport(app)])
    _deliver_twice(runtime, app.twice)
    for name, others in app.plan.hears.items():
        await Worker.register(runtime, name, lambda name=name: Worker(app, name, heard))  # type: ignore[misc]
        for other in others:
            await runtime.add_subscription(TypeSubscription(f"from_{other}", name))
    await User.register(runtime, "user", lambda: User("user"))
    await runtime.add_subscription(TypeSubscription("answers", "user"))
    runtime.start()
    await runtime.send_message(Request(app.world.request()), AgentId(app.plan.first, "app"))
    # A runtime that dropped a message never believes that it is idle.
    while runtime._background_tasks or runtime.unprocessed_messages_count:
        await asyncio.sleep(0)
    await runtime.stop()
    return heard.answer


def run(app: App) -> str:
    """Run an app; return its answer."""
    return asyncio.run(_run(app))
