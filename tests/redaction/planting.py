"""Apps with a secret of its own in each place that anything is recorded of."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import operator
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Annotated, Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_core.models import CreateResult, FunctionExecutionResultMessage, LLMMessage
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt
from tests.integrations.fakes_autogen import PureClient, text_of
from tests.integrations.fakes_langchain import PureModel, tool_call
from typing_extensions import TypedDict

import becausal

__all__ = ["KINDS", "Plants", "on_autogen", "on_becausal", "on_langgraph"]

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789"


def _signs(seed: str, count: int, letters: str = _LETTERS) -> str:
    number = int.from_bytes(hashlib.sha512(seed.encode()).digest() * 2, "big")
    signs = []
    for _ in range(count):
        number, index = divmod(number, len(letters))
        signs.append(letters[index])
    return "".join(signs)


def _card(seed: str) -> str:
    digits = "4" + _signs(seed, 14, "0123456789")
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return digits + str(-sum(number // 10 + number % 10 for number in doubled) % 10)


KINDS: dict[str, Callable[[str], tuple[str, str]]] = {
    "openai_key": lambda seed: ("{}", "sk-proj-" + "7" + _signs(seed, 40)),
    "github_token": lambda seed: ("{}", "ghp_" + _signs(seed, 36)),
    "jwt": lambda seed: ("{}", f"eyJ{_signs(seed, 20)}.eyJ{_signs(seed + 'b', 30)}.{_signs(seed + 'c', 43)}"),
    "card": lambda seed: ("{}", _card(seed)),
    "private_key": lambda seed: (
        "{}",
        "-----BEGIN PRIVATE "
        + f"KEY-----\n{_signs(seed, 64)}\n{_signs(seed + 'b', 64)}\n-----END PRIVATE KEY-----",
    ),
    "password": lambda seed: ("password={}", "pw-7" + _signs(seed, 8)),
    "bearer": lambda seed: ("Authorization: Bearer {}", "0" + _signs(seed, 24)),
    "url_password": lambda seed: ("postgresql://app:{}@db:5432/x", "3" + _signs(seed, 9)),
}
"""What stands around a secret, and the secret, by its kind."""


class Plants:
    """Gives each place a text with a secret of its own, and remembers them.

    Every place has another kind than the one before it; `first` is the number of the first one's.
    """

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._kinds: dict[str, str] = {}
        self.secrets: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        if place not in self._kinds:
            self._kinds[place] = [*KINDS][(self._first + len(self._kinds)) % len(KINDS)]
        kind = self._kinds[place]
        around, self.secrets[place] = KINDS[kind](f"{kind} {place}")
        return around.format(self.secrets[place])


class State(TypedDict, total=False):
    messages: Annotated[list[Any], operator.add]
    nested: dict[str, Any]
    private: str


class Chopping(PureModel):
    """Streams three signs at a time: no piece holds a secret whole."""

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        said = str(self.answer(messages).content)
        for at in range(0, len(said), 3):
            yield ChatGenerationChunk(message=AIMessageChunk(content=said[at : at + 3], id="m-chopped"))

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


def on_langgraph(plant: Plants) -> list[Any]:
    """Play a graph; returns all that the app sees of it."""
    saw: list[Any] = []
    answer = PureModel(
        answer=lambda heard: AIMessage(
            content=f"I was told {heard[-1].content}; {plant('model answer')}",
            id="m-1",
            tool_calls=[tool_call("lookup", query=plant("tool argument"))],
        )
    )

    @tool
    def lookup(query: str) -> str:
        """Look something up."""
        logging.getLogger("app").warning("looking up %s", plant("log line"))
        return f"{len(query)} signs, {plant('tool result')}"

    def ask(state: State) -> State:
        said = answer.invoke([SystemMessage(plant("system message"), id="s"), *state["messages"]])
        nested = {
            "a": [{"deep": plant("nested state")}],
            plant("state key"): 1,
            "big": "x " * 400 + plant("big value"),
        }
        said.additional_kwargs["note"] = plant("message extras")
        said.response_metadata["model"] = plant("response metadata")
        return {"messages": [said], "nested": nested, "private": plant("channel")}

    def keep(state: State) -> State:
        store = get_store()
        assert store is not None
        store.put(
            ("users", plant("store namespace").replace(".", "_")),
            plant("store key"),
            {"fact": plant("store value")},
        )
        found = store.search(
            ("users", plant("store namespace").replace(".", "_")), query=plant("store query")
        )
        get_stream_writer()({"progress": plant("custom stream")})
        return {"messages": [AIMessage(str(found[0].value), id="m-2")]}

    def stream(state: State) -> State:
        model = Chopping(answer=lambda _: AIMessage(f"so it is {plant('stream chunks')} then"))
        said = "".join(str(chunk.content) for chunk in model.stream([HumanMessage("go", id="h-2")]))
        return {"messages": [AIMessage(said, id="m-3")]}

    def confirm(state: State) -> State:
        told = interrupt({"really": plant("interrupt")})
        return {"messages": [HumanMessage(str(told), id="h-3")]}

    def fail(state: State) -> State:
        try:
            raise KeyError(plant("exception cause"))
        except KeyError as cause:
            error = ValueError("refused", plant("exception text"))
            error.add_note(plant("exception note"))
            raise error from cause

    graph = StateGraph(State)
    former = START
    nodes: dict[str, Any] = {
        "ask": ask,
        "tools": ToolNode([lookup]),
        "keep": keep,
        "stream": stream,
        "confirm": confirm,
        "fail": fail,
    }
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(former, name)
        former = name
    app = graph.compile(checkpointer=InMemorySaver(), store=InMemoryStore())
    config: Any = {
        "configurable": {"thread_id": "t-1", "user_token": plant("configurable")},
        "metadata": {"who": plant("run metadata")},
        "tags": [plant("run tag")],
        "run_name": f"run {plant('run name')}",
    }
    saw += app.stream(
        {"messages": [HumanMessage(plant("prompt"), id="h-1")]}, config, stream_mode=["values", "custom"]
    )
    saw.append(app.get_state(config).values)
    try:
        saw.append(app.invoke(Command(resume=plant("resume")), config))
    except ValueError as error:
        saw += [error.args, error.__notes__[0], repr(error.__cause__)]
    return [_without_ids(item) for item in saw]


def _without_ids(item: Any) -> str:
    # An interrupt's id is of the run's random ids.
    return re.sub(r"id='[0-9a-f]{32}'", "id=", str(item))


class ChoppingClient(PureClient):
    """The same for AutoGen."""

    async def create_stream(
        self, messages: Sequence[LLMMessage], **_: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        result = await self.create(messages)
        if isinstance(result.content, str):
            for at in range(0, len(result.content), 3):
                yield result.content[at : at + 3]
        yield result


def on_autogen(plant: Plants) -> list[Any]:
    """Play a team, and one that fails; returns all that the app sees of them."""
    return asyncio.run(_on_autogen(plant))


async def _on_autogen(plant: Plants) -> list[Any]:
    memory = ListMemory("notes")
    await memory.add(
        MemoryContent(
            content=plant("autogen memory"),
            mime_type=MemoryMimeType.TEXT,
            metadata={"by": plant("memory metadata")},
        )
    )

    def lookup(query: str) -> str:
        """Look something up."""
        return f"{query}: {plant('autogen tool result')}"

    def says(messages: Sequence[LLMMessage]) -> Any:
        if any(isinstance(message, FunctionExecutionResultMessage) for message in messages):
            return f"done: {plant('autogen answer')}"
        return [
            FunctionCall(id="c-1", name="lookup", arguments=json.dumps({"query": plant("autogen argument")}))
        ]

    first = AssistantAgent(
        "first",
        PureClient(says, thought=plant("thought")),
        system_message=plant("autogen system message"),
        description=plant("agent description"),
        tools=[lookup],
        memory=[memory],
        reflect_on_tool_use=True,
    )
    second = AssistantAgent(
        "second",
        ChoppingClient(lambda messages: f"heard {text_of(messages[-1])} and {plant('autogen chunks')}"),
        model_client_stream=True,
    )
    team = RoundRobinGroupChat([first, second], max_turns=2)
    result = await team.run(task=f"please {plant('autogen task')}")
    saw: list[Any] = [str(getattr(message, "content", message)) for message in result.messages]

    def breaks(_: Sequence[LLMMessage]) -> str:
        raise ValueError(plant("autogen exception"))

    broken = RoundRobinGroupChat([AssistantAgent("third", PureClient(breaks))], max_turns=1)
    try:
        await broken.run(task="go")
    except Exception as error:
        saw.append(f"{type(error).__name__} {plant.secrets['autogen exception'] in str(error)}")
    return saw


def on_becausal(plant: Plants) -> list[Any]:
    """Play code of one's own, with all that becausal offers it; returns what the app sees, bar memories of ours."""
    saw: list[Any] = []

    @becausal.tool
    def call(headers: dict[str, str]) -> dict[str, Any]:
        return {
            "body": plant("own result"),
            "raw": plant("bytes").encode(),
            "pair": (plant("tuple"), {plant("set")}),
        }

    @becausal.tool
    def pieces() -> Iterator[str]:
        said = f"it is {plant('own chunks')} then"
        for at in range(0, len(said), 3):
            yield said[at : at + 3]

    with becausal.chain(f"please {plant('chain name')}"):
        with becausal.agent("planner", received={"brief": plant("agent input")}) as step:
            saw.append(call({"x-note": plant("header")}))
            saw.append(list(pieces()))
            step.decide(
                f"call it with {plant('conclusion')}",
                because=[plant("premise")],
                reason=plant("reason"),
                confidence=0.7,
            )
            saw.append(envelope := becausal.handoff("planner", "writer", {"for you": plant("handoff")}))
            step.returned([plant("agent output")])
        with becausal.receive("writer", envelope) as payload:
            saw.append(payload)
            memory = becausal.Memory(f"notes {0}")
            memory.write(plant("memory key"), {"v": plant("memory value")}, reason=plant("memory reason"))
            memory.read(plant("memory key"))
        with becausal.agent(f"agent {plant('agent name')}"):
            pass
    # An envelope's place and time are of the run.
    return [item["payload"] if isinstance(item, dict) and "payload" in item else item for item in saw]
