"""AutoGen: what a memory gave is led back to its write, by the object and by its content, with versions."""

from __future__ import annotations

from typing import Any

import pytest
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.memory import ListMemory, Memory, MemoryContent, MemoryQueryResult, UpdateContextResult
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import SystemMessage
from tests.conftest import Recording
from tests.integrations.fakes_autogen import hears_all, speaker
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv


def note(text: str, **metadata: str) -> MemoryContent:
    return MemoryContent(content=text, mime_type="text/plain", metadata=metadata or None)


class Copies(Memory):
    """A memory of an app's own, which keeps text as a database would and gives copies."""

    component_config_schema = None

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any] | None]] = []

    async def add(self, content: MemoryContent, cancellation_token: Any = None) -> None:
        self.rows.append((str(content.content), content.metadata))

    async def query(self, query: Any = "", cancellation_token: Any = None, **_: Any) -> MemoryQueryResult:
        found = [
            MemoryContent(content=text, mime_type="text/plain", metadata=data) for text, data in self.rows
        ]
        return MemoryQueryResult(results=found)

    async def update_context(self, model_context: ChatCompletionContext) -> UpdateContextResult:
        found = await self.query()
        for content in found.results:
            await model_context.add_message(SystemMessage(content=str(content.content)))
        return UpdateContextResult(memories=found)

    async def clear(self) -> None:
        self.rows.clear()

    async def close(self) -> None: ...


async def test_a_copy_is_led_back_to_its_write_by_what_it_says(recording: Recording) -> None:
    memory = Copies()
    with becausal.chain("talk"):
        await memory.add(note("x is 41"))
        await speaker("a", hears_all("a"), memory=[memory]).run(task="go")

    run = Kinds(recording.last())
    written, read = run.one("memory_write"), run.one("memory_read")
    assert [(cause.source_id, cause.kind, cause.grade) for cause in read.causes] == [
        (written.id, "memory", "matched")
    ]
    assert read in run.causes(run.one("model"), "data")
    assert read.attributes[semconv.MEMORY_STORE] == "Copies"
    assert read.attributes[semconv.MEMORY_SEEN] == (f"{written.attributes[semconv.MEMORY_RECORD]}@1",)


async def test_a_key_that_the_app_gave_has_versions_and_a_reader_names_the_one_it_saw(
    recording: Recording,
) -> None:
    memory = ListMemory("facts")
    with becausal.chain("talk"):
        await memory.add(note("it is 41", key="x"))
        await memory.add(note("it is 42", key="x"))
        await memory.query("x")

    run = Kinds(recording.last())
    first, second = run.all("memory_write")
    assert [step.attributes[semconv.MEMORY_RECORD] for step in (first, second)] == ["x", "x"]
    assert [step.attributes[semconv.MEMORY_VERSION] for step in (first, second)] == [1, 2]
    read = run.one("memory_read")
    assert read.attributes[semconv.MEMORY_SEEN] == ("x@1", "x@2")
    assert run.causes(read, "memory") == [first, second]
    assert first.received is not None
    assert first.received.value()["content"] == "it is 41"  # type: ignore[index]


async def test_a_content_that_was_changed_in_place_since_its_write_is_of_no_version(
    recording: Recording,
) -> None:
    memory, content = ListMemory("facts"), note("it is 41", key="x")
    with becausal.chain("talk"):
        await memory.add(content)
        content.content = "it is 1041"
        await memory.query("x")

    run = Kinds(recording.last())
    read = run.one("memory_read")
    assert read.attributes[semconv.MEMORY_SEEN] == ("x@?",)
    assert run.causes(read, "memory") == [run.one("memory_write")]
    assert "1041" in read.produced.text()  # type: ignore[union-attr]
    assert "1041" not in run.one("memory_write").received.text()  # type: ignore[union-attr]


async def test_what_was_there_before_anybody_looked_is_of_no_version(recording: Recording) -> None:
    memory = ListMemory("facts", [note("it is 41", key="x")])
    with becausal.chain("talk"):
        await memory.query("x")

    read = Kinds(recording.last()).one("memory_read")
    assert read.attributes[semconv.MEMORY_SEEN] == ("x@?",)
    assert read.causes == ()


async def test_clearing_a_memory_is_a_write_of_nothing(recording: Recording) -> None:
    memory = ListMemory("facts", [note("it is 41")])
    with becausal.chain("talk"):
        await memory.clear()
        await memory.query("x")

    run = Kinds(recording.last())
    assert run.one("memory_write").received is None
    read = run.one("memory_read").produced
    assert read is not None
    assert read.value() == []


async def test_two_agents_that_share_a_memory_read_the_same_write(recording: Recording) -> None:
    memory = ListMemory("facts")
    await memory.add(note("it is 41", key="x"))  # outside every chain: a chain of its own
    team = RoundRobinGroupChat(
        [speaker("a", hears_all("a"), memory=[memory]), speaker("b", hears_all("b"), memory=[memory])],
        max_turns=2,
    )

    await team.run(task="go")

    talk, before = map(Kinds, recording.runs())
    written = before.one("memory_write")
    reads = talk.all("memory_read")
    assert [read.agent for read in reads] == ["a", "b"]
    assert {cause.source_id for read in reads for cause in read.causes} == {written.id}


async def test_a_memory_of_files_is_read_each_time_a_model_is_asked(recording: Recording) -> None:
    pytest.importorskip("unidiff")
    from autogen_ext.memory.canvas import TextCanvasMemory

    memory = TextCanvasMemory()
    memory.canvas.add_or_update_file("story.md", "once upon a time")

    await speaker("a", hears_all("a"), memory=[memory]).run(task="go")

    run = Kinds(recording.last())
    assert "once upon a time" in run.one("memory_read").produced.text()  # type: ignore[union-attr]
    assert run.one("memory_read") in run.causes(run.one("model"), "data")
