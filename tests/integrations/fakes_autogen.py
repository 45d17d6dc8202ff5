"""A chat client that is a pure function of the messages it is given, and the teams that the tests run.

A client that reads its answers from a script would not pass on a fault: a wrong figure in its input has to come out
again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_core import FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
    SystemMessage,
)

Said = str | list[FunctionCall]
Answer = Callable[[Sequence[LLMMessage]], Said]


class PureClient(ChatCompletionClient):
    """Answers with what a function makes of the messages."""

    def __init__(self, answer: Answer, thought: str | None = None) -> None:
        self.answer, self.thought = answer, thought

    async def create(self, messages: Sequence[LLMMessage], **_: Any) -> CreateResult:
        said = self.answer(messages)
        return CreateResult(
            content=said,
            finish_reason="stop" if isinstance(said, str) else "function_calls",
            usage=RequestUsage(prompt_tokens=len(messages), completion_tokens=1),
            cached=False,
            thought=self.thought,
        )

    async def create_stream(
        self, messages: Sequence[LLMMessage], **_: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        result = await self.create(messages)
        if isinstance(result.content, str):
            for word in result.content.split(" "):
                yield word
        yield result

    async def close(self) -> None:
        pass

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    def total_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    def count_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        return len(messages)

    def remaining_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        return 1000

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False,
            function_calling=True,
            json_output=False,
            family=ModelFamily.UNKNOWN,
            structured_output=False,
            multiple_system_messages=True,
        )


def text_of(message: LLMMessage) -> str:
    """Return what a message says."""
    if isinstance(message, FunctionExecutionResultMessage):
        return " ".join(result.content for result in message.content)
    return message.content if isinstance(message.content, str) else ""


def adds(name: str) -> Answer:
    """Return a model that puts its name to the last thing said."""
    return lambda messages: f"{name}({text_of(messages[-1])})"


def hears_all(name: str) -> Answer:
    """Return a model that puts its name to everything it was told."""

    def answer(messages: Sequence[LLMMessage]) -> str:
        told = [text_of(message) for message in messages if not isinstance(message, SystemMessage)]
        return f"{name}[{' + '.join(told)}]"

    return answer


def calls(tool: str, then: Answer, **arguments: Any) -> Answer:
    """Return a model that calls a tool once, and then answers."""

    def answer(messages: Sequence[LLMMessage]) -> Said:
        if any(isinstance(message, FunctionExecutionResultMessage) for message in messages):
            return then(messages)
        return [FunctionCall(id=f"call-{tool}", name=tool, arguments=json.dumps(arguments))]

    return answer


def speaker(name: str, answer: Answer | None = None, **options: Any) -> AssistantAgent:
    """Return an assistant whose model is a pure function."""
    client = PureClient(answer or adds(name))
    return AssistantAgent(name, client, system_message=None, description=f"The agent {name}.", **options)


def ledger(
    is_done: Callable[[str], bool],
    speaker: Callable[[str], str],
    progress: Callable[[str], bool] = lambda said: True,
) -> Answer:
    """Return a model of Magentic-One's orchestrator, which judges by all that was said."""

    def answer(messages: Sequence[LLMMessage]) -> str:
        asked = text_of(messages[-1])
        if "pure JSON" not in asked:
            return next(said for word, said in PLANNING.items() if word in asked)
        said = " ".join(map(text_of, messages[:-1]))
        flags: dict[str, Any] = {
            "is_request_satisfied": is_done(said),
            "is_in_loop": False,
            "is_progress_being_made": progress(said),
            "next_speaker": speaker(said),
            "instruction_or_question": "say it",
        }
        return json.dumps(
            {key: {"reason": f"because {key}", "answer": value} for key, value in flags.items()}
        )

    return answer


PLANNING = {
    "pre-survey": "the facts",
    "please rewrite the following fact sheet": "the facts, again",
    "bullet-point plan": "the plan",
    "new plan": "the plan, again",
    "finalize": "the answer",
    "final": "the answer",
    "": "something",
}
"""What the orchestrator's model answers, by a word of what it is asked."""
