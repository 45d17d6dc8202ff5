"""What is measured beside becausal to know what its figures can be: the app alone, a control, and floors.

A floor does a part of what becausal promises of a step, once and bare: no adapter, no evidence, no causes, no limits,
no guard, nothing that could be asked afterwards. Each does what the one before it does, and one thing more:

1. `otel`: a span of OpenTelemetry's SDK for each step, with ten small attributes;
2. `handoffs`: one more for each thing that an agent was handed: by each node of the superstep before, by each message;
3. `snapshots`: what it received and produced, packed and digested on the app's thread, as both may change later;
4. `secrets`: these bytes read once for secrets, by RE2 and with becausal's own patterns;
5. `duties`: all of it in an SQLite file, written in batches by a thread: two rows a step, a content once, compressed.

A library in Python that keeps these promises costs at least as much as the last one. But where a conversation grows or
contents are large, the last two read and write all of it at every step anew, which a library need not: there it is the
third, as a change in place is seen by nobody who does not go through all that could have changed.
"""

from __future__ import annotations

import importlib
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import wrapt
from benchmarks.instrumentor import BOTH, Instrumentor, Spanning

__all__ = ["FLOORS", "Control", "Plain"]

BATCH_S = 0.1
"""How often the thread writes, in seconds."""

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE step (id BLOB PRIMARY KEY, name TEXT, received BLOB, produced BLOB) WITHOUT ROWID;
CREATE TABLE cause (step BLOB PRIMARY KEY, received BLOB) WITHOUT ROWID;
CREATE TABLE content (digest BLOB PRIMARY KEY, body BLOB) WITHOUT ROWID;
"""

ONE_AGENT = frozenset(("model", "tools"))
"""The nodes of `create_agent`: between them nothing is handed over."""

ATTRIBUTES = {f"floor.attribute{i}": f"value-{i}-0123456789abcdef" for i in range(10)}


class Plain(Instrumentor):
    """The app alone."""

    name, title, frameworks = "plain", "the app alone", BOTH


class Control(Instrumentor):
    """The negative control: a LangChain handler that does nothing; in AutoGen, which has none, the app once more."""

    name, title, frameworks = "control", "control: does nothing", BOTH

    def start(self) -> None:
        """Make the handler."""
        handler = importlib.import_module("langchain_core.callbacks").BaseCallbackHandler
        body = {"run_inline": True, "on_chat_model_start": lambda *_, **__: None}
        self.config = {"callbacks": [type("Nothing", (handler,), body)()]}


class SpanFloor(Spanning):
    """A span of OpenTelemetry's SDK for each operation, no payload read."""

    name, title, frameworks = "otel", "floor: a span for each step", BOTH

    def start(self) -> None:
        """Make LangChain's handler, and have AutoGen's classes told of once they are there."""
        self.tracer = self.provider.get_tracer("floor")
        self.within = importlib.import_module("opentelemetry.trace").set_span_in_context
        self.spans: dict[Any, Any] = {}
        self.config = {"callbacks": [handler_of(self)]}
        wrapt.register_post_import_hook(lambda module: hook_agents(module, self), "autogen_agentchat.agents")
        wrapt.register_post_import_hook(lambda module: hook_models(module, self), "autogen_ext.models.replay")
        wrapt.register_post_import_hook(lambda module: hook_tools(module, self), "autogen_core.tools")

    def begin(self, name: str, given: Any, run_id: Any, around: Any, *, handed: int = 0) -> None:
        """Open a step's span.

        Args:
            name: the step's.
            given: what it received.
            run_id: of the step.
            around: of the step that it is in, None at the root.
            handed: how many others handed something over to it, where it is an agent's turn.
        """
        parent = self.spans.get(around)
        context = None if parent is None else self.within(parent)
        self.spans[run_id] = self.tracer.start_span(name, context, attributes=ATTRIBUTES)

    def end(self, made: Any, run_id: Any) -> None:
        """Close it."""
        self.spans.pop(run_id).end()


class HandoffFloor(SpanFloor):
    """And a span for each thing that an agent was handed."""

    name, title = "handoffs", "floor: and one for each handoff"

    def begin(self, name: str, given: Any, run_id: Any, around: Any, *, handed: int = 0) -> None:
        """Open a step's span, the handoff's before it."""
        parent = self.spans.get(around) if handed else None
        context = None if parent is None else self.within(parent)
        for _ in range(handed):
            self.tracer.start_span("handoff", context, attributes=ATTRIBUTES).end()
        super().begin(name, given, run_id, around)


class SnapshotFloor(HandoffFloor):
    """And what a step received and produced, packed and digested."""

    name, title = "snapshots", "floor: and contents digested"

    def start(self) -> None:
        """Import what packs and digests."""
        super().start()
        self.pack = importlib.import_module("ormsgpack").packb
        self.digest = importlib.import_module("xxhash").xxh3_128_digest
        self.sorted = importlib.import_module("ormsgpack").OPT_SORT_KEYS
        self.received: dict[Any, tuple[str, bytes, bytes]] = {}

    def begin(self, name: str, given: Any, run_id: Any, around: Any, *, handed: int = 0) -> None:
        """Take what was received."""
        self.received[run_id] = (name, *self.taken(given))
        super().begin(name, given, run_id, around, handed=handed)

    def end(self, made: Any, run_id: Any) -> None:
        """Take what was produced."""
        self.keep(self.received.pop(run_id), self.taken(made))
        super().end(made, run_id)

    def taken(self, value: Any) -> tuple[bytes, bytes]:
        """Return the digest of a value, and its bytes."""
        content = self.packed(value)
        return self.digest(content), content

    def packed(self, value: Any) -> bytes:
        """Return the bytes of a value."""
        content: bytes = self.pack(value, plain, self.sorted)
        return content

    def keep(self, received: tuple[str, bytes, bytes], produced: tuple[bytes, bytes]) -> None:
        """Keep a step: not on this floor."""


class SecretsFloor(SnapshotFloor):
    """And all of it read for secrets."""

    name, title = "secrets", "floor: and read for secrets"

    def start(self) -> None:
        """Make the automaton."""
        super().start()
        redactor = importlib.import_module("becausal.redaction").Redactor()
        self.strikes: Callable[[bytes], Any] = redactor.may_hold

    def taken(self, value: Any) -> tuple[bytes, bytes]:
        """Return the digest of a value, and its bytes; none of the payloads here holds a secret."""
        digest, content = super().taken(value)
        self.strikes(content)
        return digest, content


class DutiesFloor(SecretsFloor):
    """And all of it on disk."""

    name, title = "duties", "floor: and all of it on disk"

    def start(self) -> None:
        """Make the file, and the thread that writes."""
        super().start()
        self.squeeze = importlib.import_module("zstandard").ZstdCompressor(level=1).compress
        self.queue: deque[tuple[tuple[str, bytes, bytes], tuple[bytes, bytes]]] = deque()
        self.file = sqlite3.connect(f"{self.folder}/floor.db", check_same_thread=False)
        self.file.executescript(SCHEMA)
        self.seen: set[bytes] = set()
        self.steps = 0
        self.writing = threading.Lock()
        self.stopped = threading.Event()
        threading.Thread(target=self.write_on, daemon=True).start()

    def keep(self, received: tuple[str, bytes, bytes], produced: tuple[bytes, bytes]) -> None:
        """Hand a step over."""
        self.queue.append((received, produced))

    def write_on(self) -> None:
        """Write what is there, again and again."""
        while not self.stopped.wait(BATCH_S):
            self.write()

    def write(self) -> None:
        """Write what is there."""
        steps: list[tuple[bytes, str, bytes, bytes]] = []
        causes: list[tuple[bytes, bytes]] = []
        contents: list[tuple[bytes, bytes]] = []
        with self.writing, self.file:
            while self.queue:
                (name, got, body), (made, other) = self.queue.popleft()
                self.steps += 1
                step = self.steps.to_bytes(8, "big")
                steps.append((step, name, got, made))
                causes.append((step, got))
                for digest, content in ((got, body), (made, other)):
                    if digest not in self.seen:
                        self.seen.add(digest)
                        contents.append((digest, self.squeeze(content)))
            self.file.executemany("INSERT INTO step VALUES (?, ?, ?, ?)", steps)
            self.file.executemany("INSERT INTO cause VALUES (?, ?)", causes)
            self.file.executemany("INSERT INTO content VALUES (?, ?)", contents)

    def flush(self) -> None:
        """Have all of it on disk."""
        self.write()
        super().flush()


# Where a step is told of.


def handler_of(floor: SpanFloor) -> Any:
    """Return a LangChain handler that tells a floor of graphs, nodes, models and tools."""
    handler = importlib.import_module("langchain_core.callbacks").BaseCallbackHandler
    supersteps: dict[
        Any, Counter[int]
    ] = {}  # of each graph under way: how many nodes each superstep has begun

    def begin(_: Any, __: Any, given: Any, *, run_id: Any, **told: Any) -> None:
        name, around = told.get("name"), told.get("parent_run_id")
        handed = 0
        if around is None:
            supersteps[run_id] = Counter()
        elif around in supersteps and name not in ONE_AGENT:
            number = told["metadata"]["langgraph_step"]
            supersteps[around][number] += 1
            handed = supersteps[around][number - 1]
        floor.begin(name or "?", given, run_id, around, handed=handed)

    def end(_: Any, made: Any, *, run_id: Any, **__: Any) -> None:
        supersteps.pop(run_id, None)
        floor.end(made, run_id)

    named = {"run_inline": True, "raise_error": True}
    begins = dict.fromkeys(("on_chain_start", "on_chat_model_start", "on_tool_start"), begin)
    ends = dict.fromkeys(("on_chain_end", "on_chain_error", "on_tool_end", "on_llm_end"), end)
    return type("Floor", (handler,), {**named, **begins, **ends})()


TURN = "turn"
"""The one turn that a team has open at a time."""


def hook_agents(module: Any, floor: SpanFloor) -> None:
    """Tell a floor of an assistant's turns."""

    async def turn(wrapped: Any, agent: Any, given: Any, options: Any) -> AsyncIterator[Any]:
        floor.begin(agent.name, given[0], TURN, None, handed=len(given[0]))
        said: Any = None
        async for said in wrapped(*given, **options):
            yield said
        floor.end(said.chat_message, TURN)

    wrapt.wrap_function_wrapper(module, "AssistantAgent.on_messages_stream", turn)


def hook_models(module: Any, floor: SpanFloor) -> None:
    """Tell a floor of a model's calls."""

    async def create(wrapped: Any, _: Any, given: Any, options: Any) -> Any:
        floor.begin("model", given[0] if given else options["messages"], "model", TURN)
        answer = await wrapped(*given, **options)
        floor.end(answer, "model")
        return answer

    wrapt.wrap_function_wrapper(module, "ReplayChatCompletionClient.create", create)


def hook_tools(module: Any, floor: SpanFloor) -> None:
    """Tell a floor of a tool's calls."""

    async def run(wrapped: Any, tool: Any, given: Any, options: Any) -> Any:
        floor.begin(tool.name, given[0], "tool", TURN)
        found = await wrapped(*given, **options)
        floor.end(found, "tool")
        return found

    wrapt.wrap_function_wrapper(module, "FunctionTool.run", run)


def plain(value: Any) -> Any:
    """Return what stands for a value that msgpack does not know."""
    return getattr(value, "__dict__", None) or str(value)


FLOORS: tuple[type[Instrumentor], ...] = (SpanFloor, HandoffFloor, SnapshotFloor, SecretsFloor, DutiesFloor)
