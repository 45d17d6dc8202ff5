"""The promise: from one bad version or result to every reader and every answer made of it, in all runs of a store."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import pytest
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from tests.core.builders import Record
from tests.integrations.fakes_autogen import speaker, text_of
from typing_extensions import TypedDict

import becausal
from becausal import semconv
from becausal.answers.contamination import Contamination
from becausal.cli import main
from becausal.errors import MemoryKeyError, StepNotFoundError
from becausal.run import Run
from becausal.runs import Runs
from becausal.step import Cause
from becausal.store import Store

WRONG, RIGHT = "Acme: revenue 2025 was 20 million USD", "Acme: revenue 2025 was 35 million USD"
FACTS = ("facts", "market")


class Talk(TypedDict, total=False):
    question: str
    answer: str


def graph_of(name: str, node: Any, store: BaseStore | None = None, **options: Any) -> Any:
    graph: Any = StateGraph(Talk)
    graph.add_node(name, node)
    graph.add_edge(START, name)
    return graph.compile(store=store, name=name, **options)


def read_key(store: BaseStore, key: str) -> str:
    found = store.get(FACTS, key)
    return "nothing" if found is None else str(found.value["said"])


def runs_in(recording: Recording) -> Runs:
    assert becausal.flush()
    return becausal.open(recording.store)


def told(found: Contamination) -> list[tuple[str, bool]]:
    return [(spread.name, spread.is_output_wrong) for spread in found.runs]


def test_what_one_run_wrote_to_a_store_is_followed_to_every_run_that_read_it_and_on(
    recording: Recording,
) -> None:
    store = InMemoryStore()

    def writer(state: Talk, *, store: BaseStore) -> Talk:
        store.put(FACTS, "acme", {"said": state["question"]})
        return {"answer": "noted"}

    def reader(state: Talk, *, store: BaseStore) -> Talk:
        return {"answer": f"We know: {read_key(store, 'acme')}."}

    def analyst(state: Talk, *, store: BaseStore) -> Talk:
        store.put(FACTS, "report", {"said": f"The report says that {read_key(store, 'acme')}"})
        return {"answer": "The report is in the store."}

    def publisher(state: Talk, *, store: BaseStore) -> Talk:
        return {"answer": f"Published: {read_key(store, 'report')}"}

    def bystander(state: Talk, *, store: BaseStore) -> Talk:
        return {"answer": read_key(store, "weather")}

    graph_of("writer", writer, store).invoke({"question": WRONG})
    for name, node in (
        ("reader", reader),
        ("analyst", analyst),
        ("publisher", publisher),
        ("bystander", bystander),
    ):
        graph_of(name, node, store).invoke({"question": "What do we know?"})
    graph_of("corrector", writer, store).invoke({"question": RIGHT})
    graph_of("late reader", reader, store).invoke({"question": "What do we know?"})
    found = runs_in(recording).contaminated_by(key_of(recording, "acme", 1))

    assert sorted(told(found)) == [
        ("analyst", False),
        ("publisher", True),
        ("reader", True),
        ("writer", False),
    ]
    assert found.runs[0].name == "writer"
    assert {version.key.rpartition("/")[2] for version in found.versions} == {"acme", "report"}
    assert {step.kind for step in found.readers} == {"memory_read"}
    assert {entry.how for spread in found.runs[1:] for entry in spread.entries} == {"memory"}


def key_of(recording: Recording, key: str, version: int) -> str:
    events = runs_in(recording).store.memory_events()
    event = next(event for event in events if event.key.endswith(key))
    return f"{event.memory}/{event.key}@{version}"


async def test_what_was_added_to_a_memory_of_autogen_is_followed_to_the_runs_whose_models_were_shown_it(
    recording: Recording,
) -> None:
    memory = ListMemory("facts")
    await memory.add(MemoryContent(content=WRONG, mime_type=MemoryMimeType.TEXT))

    async def ask(name: str, *memories: ListMemory) -> None:
        agent = speaker(name, lambda messages: " / ".join(map(text_of, messages)), memory=list(memories))
        await RoundRobinGroupChat([agent], max_turns=1).run(task="What do we know of it?")

    await ask("first", memory)
    await ask("second", memory)
    await ask("third")
    runs = runs_in(recording)
    event = next(event for event in runs.store.memory_events() if event.payload is not None)
    found = runs.contaminated_by(f"{event.memory}/{event.key}@{event.version}")

    assert sorted(found.agents) == ["first", "second"]
    assert len(found.outputs) == 2


def test_a_memory_of_becausal_s_own_is_followed_too(recording: Recording) -> None:
    memory = becausal.Memory("shared")
    with becausal.chain("writing"), becausal.agent("writer"):
        memory.write("acme", WRONG)
    for name in ("one", "two"):
        with becausal.chain(name) as chain, becausal.agent(name) as turn:
            said = f"It seems that {memory.read('acme')}"
            turn.returned(said)
            chain.returned(said)
    found = runs_in(recording).contaminated_by("shared/acme@1")

    assert [name for name, is_wrong in told(found) if is_wrong] == ["one", "two"]


@tool
def revenue(company: str) -> str:
    """Look it up."""
    return WRONG


def test_the_same_result_of_a_tool_in_other_runs_is_found_by_its_content(recording: Recording) -> None:
    def node(state: Talk) -> Talk:
        return {"answer": f"I looked: {revenue.invoke({'company': 'Acme'})}!"}

    graph_of("first", node).invoke({"question": "Acme?"})
    graph_of("second", node).invoke({"question": "Acme, please?"})
    graph_of("other", lambda s: {"answer": "I did not look."}).invoke({"question": "Acme?"})
    runs = runs_in(recording)
    first = next(runs.get(info.chain_id) for info in runs.list() if info.name == "first")

    found = first.contamination(first.tool_calls[0])
    assert told(found) == [("first", True), ("second", True)]
    assert [entry.how for entry in found.runs[1].entries] == ["content"]
    assert found.runs[1].entries[0].step.kind == "tool"
    assert WRONG in found.texts


def test_a_conversation_that_goes_on_takes_it_along(recording: Recording) -> None:
    class Chat(TypedDict, total=False):
        said: Annotated[list[str], lambda a, b: [*a, *b]]

    def node(state: Chat) -> Chat:
        known = [one for one in state["said"] if one == WRONG]
        return {"said": known[:1] or [revenue.invoke({"company": "Acme"})]}

    graph: Any = StateGraph(Chat)
    graph.add_node("clerk", node)
    graph.add_edge(START, "clerk")
    app = graph.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    app.invoke({"said": ["What is it?"]}, config)
    app.invoke({"said": ["Say that again."]}, config)
    runs = runs_in(recording)
    first = runs.get(runs.list()[-1].chain_id)
    assert [info.name for info in runs.list()] == ["LangGraph", "LangGraph"]
    found = first.contamination(first.tool_calls[0])

    assert len(found.outputs) == 2


# Records without a framework


def writing(
    memory: str, key: str, version: int, content: str, *, name: str, number: int, read: int | None = None
) -> Record:
    """Return a run that writes a version, after it read one of the key `source` if it is to."""
    record = Record(f"{number:032x}", started_ns=10**9 * number)
    with record.step("workflow", name, received="q") as team:
        with record.step("agent", name, received="q", produced=content):
            if read is not None:
                with record.step("memory_read", "get", received="source", produced=content) as step:
                    step.step.attributes |= {
                        semconv.MEMORY_STORE: memory,
                        semconv.MEMORY_RECORD: "source",
                        semconv.MEMORY_VERSION: read,
                        semconv.MEMORY_EVENT: "e",
                    }
            with record.step("memory_write", "put", received=content) as step:
                step.step.attributes |= {
                    semconv.MEMORY_STORE: memory,
                    semconv.MEMORY_RECORD: key,
                    semconv.MEMORY_VERSION: version,
                }
        team.produces(content)
    return record


def stored(kept: Store, readers: int, others: int) -> Runs:
    kept.write(writing("m", "source", 1, WRONG, name="origin", number=1).made)
    for number in range(readers):
        kept.write(
            writing("m", f"key {number}", 1, f"So {WRONG}", name="reader", number=2 + number, read=1).made
        )
    for number in range(others):
        kept.write(
            writing("m", f"other {number}", 1, "Fine weather.", name="other", number=10_000 + number).made
        )
    return Runs(kept)


class Counting:
    """A store that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store, self.loaded, self.asked = store, 0, 0

    def load(self, chain_id: str, ids: Any = None) -> Any:
        self.loaded += 1
        return self._store.load(chain_id, ids)

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        return getattr(self._store, name)


def test_only_the_runs_that_it_came_to_are_loaded_however_many_there_are(kept: Store) -> None:
    stored(kept, readers=3, others=400)
    found = Runs(counting := Counting(kept)).contaminated_by("m/source@1")

    assert len(found.runs) == 4
    assert counting.loaded == 4


def test_the_work_grows_with_the_runs_that_it_came_to(tmp_path_factory: pytest.TempPathFactory) -> None:
    calls = {}
    for size in (20, 40, 80):
        store = becausal.store.open_store(f"sqlite:///{tmp_path_factory.mktemp('runs')}/runs.db")
        runs = stored(store, readers=size, others=0)
        calls[size] = _calls(lambda runs=runs: runs.contaminated_by("m/source@1"))
        store.close()

    assert calls[40] / calls[20] < 2.3
    assert calls[80] / calls[40] < 2.3


def _calls(work: Any) -> int:
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def test_what_only_depends_on_it_passes_it_on_if_that_is_asked_for(kept: Store) -> None:
    kept.write(writing("m", "source", 1, WRONG, name="origin", number=1).made)
    kept.write(writing("m", "source", 2, "It is a secret.", name="vague", number=2, read=1).made)
    kept.write(writing("m", "end", 1, "It is a secret!", name="last", number=3, read=2).made)
    runs = Runs(kept)

    assert [spread.name for spread in runs.contaminated_by("m/source@1").runs] == ["origin", "vague"]
    wide = runs.contaminated_by("m/source@1", possible=True)
    assert [(spread.name, spread.is_output_wrong) for spread in wide.runs] == [
        ("origin", True),
        ("vague", False),
        ("last", False),
    ]


def test_a_finding_is_followed_by_what_it_quotes(kept: Store) -> None:
    record = Record("a" * 32)
    with record.step("workflow", "team", received="How much?") as team:
        record.did("tool", "lookup", {"q": "x"}, "Sold 1,480 tables and 2,950 chairs.")
        with record.step("agent", "one", received="q", produced="We sold 1480 tables."):
            pass
        with record.step("agent", "two", received="q", produced="We sold 2950 chairs."):
            pass
        team.produces("Done.")
    kept.write(record.made)
    run = Runs(kept).last()
    finding = becausal.finding.Finding(
        "tool.stale", "error", 1.0, run.tool_calls[0].step, "the number of chairs is old", evidence=("2,950",)
    )

    found = run.contamination(finding)
    assert found.texts == ("2,950",)
    assert run.contamination(run.tool_calls[0]).texts != found.texts


def test_a_result_that_went_on_as_another_run_s_request_is_found(kept: Store) -> None:
    first, second = Record("a" * 32), Record("b" * 32, started_ns=10**9)
    with first.step("workflow", "first", received="q") as team:
        record_tool = first.did("tool", "lookup", {"q": "x"}, WRONG)
        team.produces(f"The answer is that {WRONG}.")
    with second.step("workflow", "second", received=f"The answer is that {WRONG}.", produced="Thank you."):
        pass
    for record in (first, second):
        kept.write(record.made)

    found = Runs(kept).contaminated_by(record_tool.id, run="a" * 32)
    assert [spread.name for spread in found.runs] == ["first", "second"]


def test_a_step_of_another_run_that_goes_on_from_it_is_found_by_its_cause(kept: Store) -> None:
    first, second = Record("a" * 32), Record("b" * 32, started_ns=10**9)
    bad = first.did("agent", "first", "q", WRONG)
    with second.step("workflow", "second", received="go on", produced=f"As I said: {WRONG}") as team:
        team.step.causes.append(Cause(bad.id, "resume", "declared", "thread 1"))
    for record in (first, second):
        kept.write(record.made)

    found = Runs(kept).get("a" * 32).contamination(bad.id)
    assert [(spread.name, [e.how for e in spread.entries]) for spread in found.runs] == [
        ("first", ["origin"]),
        ("second", ["continued"]),
    ]


# Asked wrongly, and shown


def test_what_nobody_wrote_and_what_two_memories_have_is_refused_in_words(kept: Store) -> None:
    for number, memory in enumerate(("m", "n"), 1):
        kept.write(writing(memory, "source", 1, WRONG, name="origin", number=number).made)
    runs = Runs(kept)

    with pytest.raises(MemoryKeyError, match="name the one that you mean"):
        runs.contaminated_by("source@1")
    with pytest.raises(StepNotFoundError, match=r"m/source has no version 7; it has: 1$"):
        runs.contaminated_by("m/source@7")
    with pytest.raises(
        StepNotFoundError, match=r"no memory has a key m/sauce.* there are: m/source, n/source$"
    ):
        runs.contaminated_by("m/sauce@1")
    with pytest.raises(StepNotFoundError, match="this run has no step 'nobody'"):
        runs.contaminated_by("nobody")


def test_a_version_of_a_state_s_channel_is_followed_in_its_run(kept: Store) -> None:
    record = Record()
    with record.step("workflow", "team", received="q") as team:
        with record.step("agent", "finder", received="q") as finder:
            finder.step.attributes[semconv.STATE_WRITTEN] = ("messages@4",)
            finder.produces(WRONG)
        team.produces(WRONG)
    kept.write(record.made)
    runs = Runs(kept)
    (name,) = runs.last().memory.keys()

    found = runs.contaminated_by(f"{name}@4")

    assert found.texts
    assert finder.step.id in {step.id for step in found.runs[0].carrying}
    assert runs.contaminated_by(name).runs == found.runs
    with pytest.raises(StepNotFoundError, match="has no version 9 in this run; it has: 4"):
        runs.contaminated_by(f"{name}@9")


@pytest.fixture
def on_disk(store: str) -> str:
    made = becausal.store.open_store(store)
    stored(made, readers=2, others=1)
    made.close()
    return store


def test_the_commands_show_where_it_came_to_and_what_lost_its_link(
    on_disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["contaminated", "m/source", "--store", on_disk]) == 1
    words = capsys.readouterr().out
    assert main(["contaminated", "m/source@1", "--store", on_disk, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert main(["orphans", "--store", on_disk]) == 0
    assert "Nothing lost its link" in capsys.readouterr().out

    assert "3 runs reached, 3 answers say it" in words
    assert "memory_read get of reader read m/source@1" in words
    assert [run["is_output_wrong"] for run in data["runs"]] == [True, True, True]
    assert data["versions"][0] == "m/source@1"


def test_a_run_that_came_from_no_store_says_so() -> None:
    record = Record()
    bad = record.did("tool", "lookup", "q", WRONG)

    with pytest.raises(becausal.errors.BecausalError, match="came from no store"):
        Run(record.chain_id, record.steps()).contamination(bad.id)
