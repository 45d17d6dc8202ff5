"""LangGraph's stores: every operation is a step of whoever asked, every read knows which write it saw."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.config import get_store
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedStore, ToolNode
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore, GetOp, PutOp, SearchOp
from langgraph.store.base.batch import AsyncBatchedBaseStore
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from tests.integrations.fakes_langchain import State, chain_of, tool_call
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal.recorder import Recorder
from becausal.step import OpenStep, Step
from becausal_integrations.langgraph.records import digest_of, record_name

FACTS = ("facts", "market")


class Behind(AsyncBatchedBaseStore):
    """A store that works in a task of its own, through another store."""

    def __init__(self) -> None:
        super().__init__()
        self.behind = InMemoryStore()
        self.batches: list[int] = []

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        ops = list(ops)
        self.batches.append(len(ops))
        return await self.behind.abatch(ops)


async def called(store: BaseStore, how: str, door: str, *args: Any, **kwargs: Any) -> Any:
    if how == "sync":
        return getattr(store, door)(*args, **kwargs)
    return await getattr(store, f"a{door}")(*args, **kwargs)


def all_steps(recording: Recording) -> Kinds:
    steps = [step for run in recording.runs() for step in run]
    return Kinds(sorted(steps, key=lambda step: step.seq))


def value(payload: Any) -> Any:
    return None if payload is None else payload.value()


def versions(steps: Iterable[Step]) -> list[Any]:
    return [step.attributes.get(semconv.MEMORY_VERSION) for step in steps]


def memory_causes(step: Step) -> list[tuple[str, str]]:
    return [(cause.source_id, cause.evidence) for cause in step.causes if cause.kind == "memory"]


# One operation, one step


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_put_is_one_step_that_writes(recording: Recording, how: str) -> None:
    await called(InMemoryStore(), how, "put", FACTS, "size", {"usd": 20})

    (step,) = recording.last()
    assert (step.kind, step.name, step.status) == ("memory_write", "InMemoryStore", "ok")
    assert step.attributes[semconv.MEMORY_STORE] == "InMemoryStore"
    assert step.attributes[semconv.MEMORY_RECORD] == "facts/market/size"
    assert step.attributes[semconv.MEMORY_VERSION] == 1
    assert value(step.received) == {"usd": 20}


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_get_is_led_back_to_the_write_that_it_saw(recording: Recording, how: str) -> None:
    store = InMemoryStore()
    for usd in (1, 2):
        await called(store, how, "put", FACTS, "size", {"usd": usd})
    assert (await called(store, how, "get", FACTS, "size")).value == {"usd": 2}

    steps = all_steps(recording)
    write, read = steps.all("memory_write")[1], steps.one("memory_read")
    assert (value(read.received), value(read.produced)) == (
        {"namespace": FACTS, "key": "size"},
        {"usd": 2},
    )
    assert versions([*steps.all("memory_write"), read]) == [1, 2, 2]
    assert memory_causes(read) == [(write.id, "memory facts/market/size@2")]
    assert semconv.MEMORY_LATEST not in read.attributes


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_deletion_is_a_version_and_its_reader_saw_it(recording: Recording, how: str) -> None:
    store = InMemoryStore()
    await called(store, how, "put", FACTS, "size", {"usd": 1})
    await called(store, how, "delete", FACTS, "size")
    assert await called(store, how, "get", FACTS, "size") is None

    steps = all_steps(recording)
    deletion, read = steps.all("memory_write")[1], steps.one("memory_read")
    assert deletion.attributes[semconv.OPERATION_NAME] == "delete_memory"
    assert (deletion.received, read.attributes[semconv.MEMORY_VERSION]) == (None, 2)
    assert memory_causes(read) == [(deletion.id, "memory facts/market/size@2")]


async def test_putting_none_deletes(recording: Recording) -> None:
    store: Any = InMemoryStore()
    store.put(FACTS, "size", None)

    assert recording.last()[0].attributes[semconv.OPERATION_NAME] == "delete_memory"


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_search_is_led_back_to_the_writes_of_all_its_hits(recording: Recording, how: str) -> None:
    store = InMemoryStore()
    await called(store, how, "put", FACTS, "size", {"usd": 1})
    await called(store, how, "put", FACTS, "size", {"usd": 2})
    await called(store, how, "put", FACTS, "growth", {"percent": 3})
    found = await called(store, how, "search", ("facts",), limit=5)
    assert [item.key for item in found] == ["size", "growth"]

    steps = all_steps(recording)
    _, size, growth = steps.all("memory_write")
    read = steps.one("memory_read")
    assert value(read.received) == {"namespace_prefix": ("facts",), "limit": 5}
    assert read.attributes[semconv.MEMORY_SEEN] == ("facts/market/size@2", "facts/market/growth@1")
    assert [source for source, _ in memory_causes(read)] == [size.id, growth.id]
    assert [hit["value"] for hit in value(read.produced)] == [{"usd": 2}, {"percent": 3}]


async def test_a_search_names_its_first_sixty_four_writers_and_all_that_it_saw(recording: Recording) -> None:
    store = InMemoryStore()
    for index in range(70):
        store.put(("many",), str(index), {"index": index})
    store.search(("many",), limit=100)

    read = all_steps(recording).one("memory_read")
    assert (len(read.attributes[semconv.MEMORY_SEEN]), len(memory_causes(read))) == (70, 64)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_a_search_notes_grows_no_faster_than_what_it_finds(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, is_changed: bool
) -> None:
    noted: list[int] = []

    class Weighed(dict[str, Any]):
        def __setitem__(self, name: str, said: Any) -> None:
            noted.append(len(said) if isinstance(said, tuple) else 1)
            super().__setitem__(name, said)

    begin = Recorder.begin

    def weighing(self: Recorder, opening: Any) -> OpenStep | None:
        step = begin(self, opening)
        if step is not None and step.kind == "memory_read":
            step.attributes = Weighed(step.attributes)
        return step

    monkeypatch.setattr(Recorder, "begin", weighing)
    store = InMemoryStore()
    for index in range(400):
        store.put(("many",), str(index), {"index": index})
    for item in store.search(("many",), limit=400) if is_changed else ():
        item.value["index"] = -1
    noted.clear()
    store.search(("many",), limit=400)

    assert 400 < sum(noted) < 4 * 400
    assert len(all_steps(recording).all("memory_read")[-1].attributes[semconv.MEMORY_WRITERS]) in (336, 400)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_list_of_namespaces_is_a_read(recording: Recording, how: str) -> None:
    store = InMemoryStore()
    await called(store, how, "put", FACTS, "size", {"usd": 1})
    await called(store, how, "list_namespaces", prefix=("facts",))

    read = all_steps(recording).one("memory_read")
    assert (value(read.received), value(read.produced)) == ({"prefix": ("facts",)}, [FACTS])


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("given", [list, iter])
async def test_each_operation_of_a_batch_is_a_step(
    recording: Recording, how: str, given: Callable[[list[Any]], Any]
) -> None:
    store = InMemoryStore()
    store.put(FACTS, "size", {"usd": 1})
    ops = [
        PutOp(FACTS, "size", {"usd": 2}),
        GetOp(FACTS, "size"),
        SearchOp(("facts",)),
        PutOp(FACTS, "x", None),
    ]
    results = await called(store, how, "batch", given(ops))
    assert results[1].value == {"usd": 1}  # a batch reads what stood before it

    steps = all_steps(recording)
    first, put, read, search, delete = steps.steps
    assert [step.kind for step in steps.steps[1:]] == [
        "memory_write",
        "memory_read",
        "memory_read",
        "memory_write",
    ]
    assert versions([put, read, delete]) == [2, 1, 1]
    assert memory_causes(read) == [(first.id, "memory facts/market/size@1")]
    assert semconv.MEMORY_LATEST not in read.attributes
    assert value(read.produced) == {"usd": 1}
    assert search.attributes[semconv.MEMORY_SEEN] == ("facts/market/size@1",)


def test_a_batch_of_nothing_is_no_step(recording: Recording) -> None:
    assert InMemoryStore().batch([]) == []
    assert recording.runs() == []


# What was seen


def test_a_stale_read_names_the_latest_version(recording: Recording) -> None:
    class Caching(InMemoryStore):
        """Serves what it served once."""

        served: Any = None

        def get(self, *args: Any, **kwargs: Any) -> Any:
            self.served = self.served or super().get(*args, **kwargs)
            return self.served

    store = Caching()
    store.put(FACTS, "size", {"usd": 1})
    store.get(FACTS, "size")
    store.put(FACTS, "size", {"usd": 2})
    assert store.get(FACTS, "size").value == {"usd": 1}

    steps = all_steps(recording)
    fresh, stale = steps.all("memory_read")
    assert semconv.MEMORY_LATEST not in fresh.attributes
    assert (versions([stale]), stale.attributes[semconv.MEMORY_LATEST]) == ([1], 2)
    assert memory_causes(stale) == [(steps.all("memory_write")[0].id, "memory facts/market/size@1")]


@pytest.mark.parametrize("door", ["get", "search"])
def test_a_value_changed_in_place_is_a_content_that_nobody_wrote(recording: Recording, door: str) -> None:
    store = InMemoryStore()
    store.put(FACTS, "size", {"usd": 1})
    item = store.get(FACTS, "size")
    assert item is not None
    item.value["usd"] = 9
    assert store.get(FACTS, "size").value == {"usd": 9}  # type: ignore[union-attr]
    store.search(FACTS)

    _, got, found = all_steps(recording).all("memory_read")
    read = got if door == "get" else found
    assert read.attributes[semconv.MEMORY_SEEN] == ("facts/market/size@?",)
    assert (versions([read]), memory_causes(read)) == ([None], [])


def test_what_is_gone_without_a_deletion_is_a_content_that_nobody_wrote(recording: Recording) -> None:
    store = InMemoryStore()
    store.put(FACTS, "size", {"usd": 1})
    store._data.clear()
    store.get(FACTS, "size")
    store.get(FACTS, "never heard of")

    gone, unknown = all_steps(recording).all("memory_read")
    assert gone.attributes[semconv.MEMORY_SEEN] == ("facts/market/size@?",)
    assert semconv.MEMORY_SEEN not in unknown.attributes


def test_a_database_s_lists_in_the_place_of_tuples_are_the_same_content() -> None:
    assert digest_of({"range": (1, 2), "by": {2026: "x"}}) == digest_of(
        {"range": [1, 2], "by": {"2026": "x"}}
    )
    assert digest_of({"range": (1, 2)}) != digest_of({"range": (2, 1)})


def test_what_one_thread_reads_of_another_s_unfinished_write_is_that_write(recording: Recording) -> None:
    class Slow(InMemoryStore):
        """Has stored before it returns."""

        def put(self, *args: Any, **kwargs: Any) -> None:
            super().put(*args, **kwargs)
            elsewhere = contextvars.Context()
            reader = threading.Thread(target=lambda: elsewhere.run(self.get, FACTS, "size"))
            reader.start()
            reader.join()

    Slow().put(FACTS, "size", {"usd": 1})

    steps = all_steps(recording)
    write, read = steps.one("memory_write"), steps.one("memory_read")
    assert memory_causes(read) == [(write.id, "memory facts/market/size@1")]
    assert versions([write, read]) == [1, 1]


def test_a_slash_in_a_name_is_no_border() -> None:
    assert record_name(("a/b",), "c") != record_name(("a",), "b/c")


# Who asked


def test_an_operation_stands_under_the_node_that_asked(recording: Recording) -> None:
    def writer(_: State, *, store: BaseStore) -> dict[str, str]:
        store.put(FACTS, "size", {"usd": 1})
        return {"findings": "written"}

    def reader(_: State, *, store: BaseStore) -> dict[str, str]:
        return {"draft": str(store.get(FACTS, "size").value)}  # type: ignore[union-attr]

    result = chain_of(writer, reader, store=InMemoryStore()).invoke({"question": "?", "log": []})
    assert result["draft"] == "{'usd': 1}"

    steps = Kinds(recording.last())
    write, read = steps.one("memory_write"), steps.one("memory_read")
    assert write.parent_id == steps.one("agent", "writer").id
    assert read.parent_id == steps.one("agent", "reader").id
    assert (write.agent, read.agent) == ("writer", "reader")
    assert steps.causes(read, "memory") == [write]


@pytest.mark.parametrize("through", ["runtime", "get_store"])
async def test_the_store_is_seen_whichever_way_a_node_comes_by_it(recording: Recording, through: str) -> None:
    def by_runtime(_: State, runtime: Runtime[None]) -> dict[str, str]:
        assert runtime.store is not None
        runtime.store.put(FACTS, "size", {"usd": 1})
        return {"draft": "written"}

    def by_get_store(_: State) -> dict[str, str]:
        get_store().put(FACTS, "size", {"usd": 1})
        return {"draft": "written"}

    node = by_runtime if through == "runtime" else by_get_store
    graph = chain_of(node, store=InMemoryStore())
    graph.invoke({"question": "?", "log": []})
    await graph.ainvoke({"question": "?", "log": []})

    for run in map(Kinds, recording.runs()):
        assert run.one("memory_write").parent_id == run.one("agent", f"by_{through}").id


def test_a_tool_s_injected_store_is_seen(recording: Recording) -> None:
    @tool
    def remember(fact: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
        """Remember a fact."""
        store.put(FACTS, "fact", {"text": fact})
        return "noted"

    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([remember]))
    graph.add_edge(START, "tools")
    asked = AIMessage("", tool_calls=[tool_call("remember", fact="20 million")])
    answer = graph.compile(store=InMemoryStore()).invoke({"messages": [asked]})
    assert answer["messages"][-1].content == "noted"

    steps = Kinds(recording.last())
    assert steps.one("memory_write").parent_id == steps.one("tool", "remember").id


async def test_of_a_store_with_a_task_of_its_own_each_asker_has_one_step(recording: Recording) -> None:
    store = Behind()

    async def asker(name: str) -> None:
        with becausal.agent(name):
            await store.aput(FACTS, name, {"by": name})
            await store.aget(FACTS, name)

    with becausal.chain("two at once"):
        await asyncio.gather(asker("a"), asker("b"))
    assert max(store.batches) == 2  # they were asked as one

    steps = Kinds(recording.last())
    for name in "ab":
        (write,) = [step for step in steps.all("memory_write") if step.agent == name]
        (read,) = [step for step in steps.all("memory_read") if step.agent == name]
        assert write.parent_id == read.parent_id == steps.one("agent", name).id
        assert steps.causes(read, "memory") == [write]


async def test_a_store_with_a_task_of_its_own_that_was_there_before_us_tells_no_more(store: str) -> None:
    before = Behind()
    await asyncio.create_task(before.aput(FACTS, "size", {"usd": 1}))
    becausal.instrument(store=store)
    try:
        await before.aget(FACTS, "size")
        recording = Recording(store)
        (step,) = recording.last()
    finally:
        becausal.uninstrument()
    assert (step.kind, step.attributes[semconv.MEMORY_SEEN]) == ("memory_read", ("facts/market/size@?",))


async def test_the_sync_doors_of_such_a_store_are_one_step_too(recording: Recording) -> None:
    store = Behind()

    def in_a_thread() -> None:
        with becausal.chain("from a thread"):
            store.put(FACTS, "size", {"usd": 1})
            assert store.get(FACTS, "size").value == {"usd": 1}  # type: ignore[union-attr]

    await asyncio.to_thread(in_a_thread)

    steps = Kinds(recording.last())
    assert [step.kind for step in steps.steps] == ["request", "memory_write", "memory_read"]
    assert steps.causes(steps.one("memory_read"), "memory") == [steps.one("memory_write")]


async def test_a_direct_batch_of_such_a_store_is_the_caller_s(recording: Recording) -> None:
    await Behind().abatch([PutOp(FACTS, "size", {"usd": 1})])

    assert [step.kind for step in recording.last()] == ["memory_write"]


# The app notices nothing


class Refusing(InMemoryStore):
    def batch(self, ops: Iterable[Any]) -> list[Any]:
        raise TROUBLE

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        raise TROUBLE


TROUBLE = OSError("disk full")


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_failed_write_is_an_error_and_no_version(recording: Recording, how: str) -> None:
    store = Refusing()
    with pytest.raises(OSError, match="disk full") as caught:
        await called(store, how, "put", FACTS, "size", {"usd": 1})
    with pytest.raises(OSError, match="disk full"):
        await called(store, how, "batch", [GetOp(FACTS, "size"), PutOp(FACTS, "size", {"usd": 1})])

    assert caught.value is TROUBLE
    steps = all_steps(recording).steps
    assert {step.error for step in steps} == {"OSError: disk full"}
    assert len(steps) == 3
    assert versions(steps) == [None] * 3


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_wrong_arguments_fail_as_without_us(recording: Recording, how: str) -> None:
    store: Any = InMemoryStore()
    with pytest.raises(TypeError):
        await called(store, how, "get")
    with pytest.raises(TypeError):
        await called(store, how, "search", ("facts",), no_such_option=1)
    with pytest.raises(ValueError, match="Namespace"):
        await called(store, how, "put", (), "size", {"usd": 1})


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("make", [InMemoryStore, Behind])
async def test_results_are_the_same_with_and_without(store: str, how: str, make: type[BaseStore]) -> None:
    if make is Behind and how == "sync":
        pytest.skip("its sync doors are for other threads")

    async def session() -> list[Any]:
        kept = make()
        told = [await called(kept, how, "put", FACTS, "size", {"usd": 1})]
        item = await called(kept, how, "get", FACTS, "size")
        told += [(type(item), item.value, item.key, item.namespace)]
        told += [[(type(hit), hit.value) for hit in await called(kept, how, "search", FACTS)]]
        told += [await called(kept, how, "list_namespaces"), await called(kept, how, "delete", FACTS, "size")]
        told += [await called(kept, how, "batch", [GetOp(FACTS, "size"), PutOp(FACTS, "y", {"z": 1})])]
        return told

    without = await session()
    becausal.instrument(store=store)
    with_us = await session()
    becausal.uninstrument()
    assert with_us == without


def test_a_store_defined_later_is_seen_and_all_are_as_before_in_the_end(store: str) -> None:
    before = {name: vars(cls)[name] for cls in (BaseStore,) for name in ("get", "put", "aget", "batch")}
    memory = (InMemoryStore.batch, InMemoryStore.abatch)
    becausal.instrument(store=store)

    class Later(InMemoryStore):
        def get(self, *args: Any, **kwargs: Any) -> Any:
            return super().get(*args, **kwargs)

    Later().get(FACTS, "size")
    steps = Recording(store).last()
    becausal.uninstrument()

    assert [step.name for step in steps] == ["Later"]
    assert all(vars(BaseStore)[name] is method for name, method in before.items())
    assert (InMemoryStore.batch, InMemoryStore.abatch) == memory
    assert not hasattr(vars(Later)["get"], "_self_becausal")


def test_at_the_boundaries_level_stores_are_not_touched(store: str) -> None:
    before = vars(BaseStore)["put"]
    becausal.instrument(store=store, level="boundaries")
    try:
        assert vars(BaseStore)["put"] is before
        InMemoryStore().put(FACTS, "size", {"usd": 1})
        assert Recording(store).runs() == []
    finally:
        becausal.uninstrument()


def test_no_store_is_kept_alive(recording: Recording) -> None:
    store = InMemoryStore()
    store.put(FACTS, "size", {"usd": 1})
    store.get(FACTS, "size")
    gone = weakref.ref(store)
    del store
    gc.collect()

    assert gone() is None


@pytest.fixture(autouse=True)
def _no_failure_of_ours() -> Iterator[None]:
    becausal.guard.failures.clear()
    yield
    assert not becausal.guard.failures


def test_what_is_put_before_the_first_request_is_one_chain_and_no_run(recording: Recording) -> None:
    store = InMemoryStore()
    for number in range(5):
        store.put(("facts",), f"fact {number}", {"n": number})
    assert becausal.flush()

    assert len(recording.runs()) == 1
    with pytest.raises(becausal.RunNotFoundError):
        becausal.last_run()
    with becausal.chain("a request"):
        assert store.get(("facts",), "fact 3") is not None
    (read,) = [step for step in becausal.last_run().steps if step.kind == "memory_read"]
    (put,) = [
        step for step in recording.runs()[1] if step.attributes[semconv.MEMORY_RECORD] == "facts/fact 3"
    ]
    assert [(cause.source_id, cause.kind) for cause in read.causes] == [(put.id, "memory")]
