"""An AutoGen team: three agents in turn, one of which calls a tool at each of its turns."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from benchmarks.workloads.base import Workload, text

__all__ = ["RoundRobin"]

INFO = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=False,
    family=ModelFamily.UNKNOWN,
    structured_output=False,
)


class RoundRobin(Workload):
    """`RoundRobinGroupChat` of so many turns."""

    name = "autogen"
    framework = "autogen"

    @property
    def operations(self) -> int:
        """Turns, and the tool's calls."""
        return self.steps + self.steps // 3

    def build(self) -> None:
        """Make the loop that the teams run on."""
        # The replay client warns of every tool's result.
        for name in ("autogen_ext", "autogen_core"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.runner = asyncio.Runner()

    def prepare(self) -> tuple[RoundRobinGroupChat, str]:
        """Return a new team and its task: a team remembers."""
        self.seed += 1
        body = text(self.payload, self.seed)

        async def lookup(q: str) -> str:
            """Look a thing up."""
            return q + body

        turns = self.steps // 3
        calls = ReplayChatCompletionClient([called(number) for number in range(turns)], model_info=INFO)
        agents = [AssistantAgent("tooler", calls, tools=[lookup])]
        for speaker in (1, 2):
            said = [f"{speaker}.{number} {body}" for number in range(turns)]
            agents.append(
                AssistantAgent(f"talker{speaker}", ReplayChatCompletionClient([*said], model_info=INFO))
            )
        ending = MaxMessageTermination(100_000)
        return RoundRobinGroupChat([*agents], max_turns=self.steps, termination_condition=ending), body

    def run(self, given: Any) -> None:
        """Let the team talk."""
        self.runner.run(self._talk(*given))

    async def _talk(self, team: RoundRobinGroupChat, body: str) -> None:
        async for _ in team.run_stream(task=body):
            self.mark()


def called(number: int) -> CreateResult:
    """Return a model's answer that asks for the tool."""
    call = FunctionCall(id=f"c{number}", name="lookup", arguments=f'{{"q": "{number}"}}')
    return CreateResult(
        finish_reason="function_calls", cached=False, usage=RequestUsage(10, 10), content=[call]
    )
