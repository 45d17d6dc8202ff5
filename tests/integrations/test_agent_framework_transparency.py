"""An app on Microsoft Agent Framework does with becausal what it does without, and again once it is taken out."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import re
import warnings
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("agent_framework")
pytest.importorskip("agent_framework_orchestrations")

from agent_framework import (
    BaseChatClient,
    ChatResponseUpdate,
    Content,
    InMemoryCheckpointStorage,
    Message,
    ResponseStream,
    WorkflowRunResult,
)
from agent_framework_orchestrations import ConcurrentBuilder, GroupChatBuilder, SequentialBuilder
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.integrations.fakes_agent_framework import PureClient, call, calls, hears_all, speaker
from tests.integrations.kinds import Kinds
from tests.integrations.test_agent_framework_workflows import (
    Adds,
    Asks,
    Ends,
    chain,
    diamond,
    switch,
    weather,
)

import becausal
from becausal.context import current
from becausal.instrument import hooks_report

IDS = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|0x[0-9a-f]+"
    r"|\d{4}-\d\d-\d\dT[\d:.+]+"
)


def shown(value: Any) -> str:
    """Return all that a value is made of, without what is made anew in each run."""
    seen: set[int] = set()

    def tell(thing: Any) -> Any:
        if isinstance(thing, str | int | float | bool | None | type):
            return repr(thing)
        if id(thing) in seen:
            return "..."
        seen.add(id(thing))
        if isinstance(thing, list | tuple):
            extra = [tell(vars(thing))] if isinstance(thing, WorkflowRunResult) else []
            return [type(thing).__name__, *map(tell, thing), *extra]
        if isinstance(thing, dict):
            return {str(key): tell(item) for key, item in thing.items()}
        return {"type": type(thing).__name__, **{key: tell(item) for key, item in vars(thing).items()}}

    return IDS.sub("_", repr(tell(value)))


def guide(**options: Any) -> Any:
    return speaker("guide", calls(call("weather", '{"city": "Oslo"}')), tools=[weather], **options)


async def one_agent() -> Any:
    return await guide().run("how warm?")


async def one_agent_streamed() -> Any:
    stream = guide().run("how warm?", stream=True)
    return [[update async for update in stream], await stream.get_final_response()]


async def a_session() -> Any:
    agent = speaker("writer", hears_all("writer"))
    session = agent.create_session(session_id="s")
    answers = [await agent.run(text, session=session) for text in ("one", "two")]
    return [answers, session.to_dict()]


async def a_line_of_agents() -> Any:
    return await chain(guide(), speaker("writer"), name="line").run("how warm?")


async def a_line_of_agents_streamed() -> Any:
    stream = chain(guide(), speaker("writer"), name="line").run("how warm?", stream=True)
    return [[event async for event in stream], await stream.get_final_response()]


async def a_join() -> Any:
    return await diamond().run("go")


async def a_choice() -> Any:
    return await switch().run("urgent!")


async def a_pause() -> Any:
    workflow = chain(Adds("one"), Asks("asks"), name="gate")
    first = await workflow.run("may I?")
    asked = first.get_request_info_events()[0]
    return [first, await workflow.run(responses={asked.request_id: "yes"})]


async def checkpoints() -> Any:
    storage = InMemoryCheckpointStorage()
    result = await chain(Adds("one"), Ends("two"), name="line", checkpoint_storage=storage).run("go")
    saved = await storage.list_checkpoints(workflow_name="line")
    return [result, [point.messages for point in saved], [point.state for point in saved]]


async def a_sequence() -> Any:
    return await SequentialBuilder(participants=[speaker("a"), speaker("b")]).build().run("go")


async def side_by_side() -> Any:
    return await ConcurrentBuilder(participants=[speaker("a"), speaker("b")]).build().run("go")


async def a_group() -> Any:
    order = iter(["a", "b"])
    return (
        await GroupChatBuilder(
            participants=[speaker("a", hears_all("a")), speaker("b", hears_all("b"))],
            selection_func=lambda state: next(order),
            max_rounds=2,
        )
        .build()
        .run("go")
    )


APPS = [
    one_agent,
    one_agent_streamed,
    a_session,
    a_line_of_agents,
    a_line_of_agents_streamed,
    a_join,
    a_choice,
    a_pause,
    checkpoints,
    a_sequence,
    side_by_side,
    a_group,
]


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
async def test_results_events_and_saved_states_are_the_same_with_without_and_after(
    app: Callable[[], Awaitable[Any]], store: str
) -> None:
    without = shown(await app())
    becausal.instrument("agent-framework", store=store)
    with_it = shown(await app())
    becausal.uninstrument()
    after = shown(await app())

    assert with_it == without
    assert after == without


PLACES = [
    ("_agents", "BaseAgent", "__init_subclass__"),
    ("_agents", "RawAgent", "run"),
    ("_agents", "Agent", "run"),
    ("_types", "ResponseStream", "__anext__"),
    ("_types", "ResponseStream", "__await__"),
    ("_types", "ResponseStream", "get_final_response"),
    ("_tools", "FunctionTool", "invoke"),
    ("_sessions", "InMemoryHistoryProvider", "get_messages"),
    ("_sessions", "ContextProvider", "before_run"),
    ("_workflows._workflow", "Workflow", "run"),
    ("_workflows._executor", "Executor", "execute"),
    ("_workflows._edge_runner", "FanInEdgeRunner", "send_message"),
    ("_workflows._runner_context", "InProcRunnerContext", "send_message"),
]


def test_taking_it_out_restores_the_very_functions(store: str) -> None:
    def held() -> list[object]:
        modules = [importlib.import_module(f"agent_framework.{module}") for module, *_ in PLACES]
        return [
            vars(getattr(module, cls)).get(name)
            for module, (_, cls, name) in zip(modules, PLACES, strict=True)
        ]

    before, own = held(), vars(PureClient)["_inner_get_response"]
    becausal.instrument("agent-framework", store=store)
    hooked = held()
    becausal.uninstrument()

    assert all(now is not then for now, then in zip(hooked, before, strict=True))
    assert all(now is then for now, then in zip(held(), before, strict=True))
    assert vars(PureClient)["_inner_get_response"] is own


def test_hooked_functions_are_of_the_same_sort(store: str) -> None:
    from agent_framework import Agent, FunctionTool, Workflow

    functions: list[Callable[[], Any]] = [
        lambda: Agent.run,
        lambda: Workflow.run,
        lambda: FunctionTool.invoke,
        lambda: ResponseStream.__anext__,
    ]

    def sorts() -> list[object]:
        return [
            (inspect.iscoroutinefunction(get()), str(inspect.signature(get())), get().__qualname__)
            for get in functions
        ]

    before = sorts()
    becausal.instrument("agent-framework", store=store)
    during = sorts()
    becausal.uninstrument()

    assert during == before


@pytest.mark.parametrize("name", ["agent-framework", "agent_framework", "Agent-Framework"])
def test_it_is_asked_for_by_the_name_of_its_package_or_its_module(store: str, name: str) -> None:
    becausal.instrument(name, store=store)
    report = next(report for report in hooks_report() if report.name == "agent_framework")
    becausal.uninstrument()

    assert report.is_supported
    assert any(hook.state == "hooked" for hook in report.hooks)


def test_every_place_is_there_in_the_installed_version(store: str) -> None:
    only_in_some = ("ResponseStream.close", "_invoke_function", "_functional:")
    becausal.instrument("agent-framework", store=store)
    report = next(report for report in hooks_report() if report.name == "agent_framework")
    becausal.uninstrument()

    gone = [hook.place for hook in report.hooks if hook.state == "gone"]
    assert [place for place in gone if not any(part in place for part in only_in_some)] == []


async def test_the_app_gets_the_very_stream_and_nothing_of_ours_on_it(store: str) -> None:
    class Client(BaseChatClient):
        made: ResponseStream[Any, Any] | None = None

        def _inner_get_response(self, *, messages: Any, stream: bool, **_: Any) -> Any:
            async def nothing() -> Any:
                yield ChatResponseUpdate(contents=[], role="assistant")

            self.made = self._build_response_stream(nothing())
            return self.made

    client = Client()
    becausal.instrument("agent-framework", store=store)
    given = client.get_response([Message("user", ["go"])], stream=True)
    names = set(vars(given))
    becausal.uninstrument()
    plain = set(vars(client.get_response([Message("user", ["go"])], stream=True)))

    assert type(given) is ResponseStream
    assert names == plain


async def test_what_is_refused_is_refused_at_once(store: str) -> None:
    becausal.instrument("agent-framework", store=store)
    try:
        with pytest.raises(ValueError, match="Must provide"):
            chain(Adds("one"), Ends("two")).run()
    finally:
        becausal.uninstrument()


async def test_a_run_that_is_closed_unawaited_leaves_its_workflow_as_it_did_before(store: str) -> None:
    async def left() -> tuple[list[str], object]:
        workflow = chain(Adds("one"), Ends("two"))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            abandoned: Any = workflow.run("go")
            abandoned.close()
            del abandoned
            gc.collect()
        told = [str(warning.message) for warning in heard if "never awaited" in str(warning.message)]
        try:
            return told, (await workflow.run("go")).get_outputs()
        except Exception as refused:  # 1.0 keeps it locked
            return told, str(refused)

    without = await left()
    becausal.instrument("agent-framework", store=store)
    with_it = await left()
    becausal.uninstrument()

    assert with_it == without


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
async def test_a_run_that_nobody_awaits_is_warned_of_by_its_own_name(store: str) -> None:
    def warned_of() -> list[str]:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            speaker("writer").run("go")
            gc.collect()
        return [str(w.message) for w in heard if "never awaited" in str(w.message)]

    without = warned_of()
    becausal.instrument("agent-framework", store=store)
    with_it = warned_of()
    becausal.uninstrument()

    assert with_it == without


async def test_nothing_of_the_app_is_kept_alive(store: str) -> None:
    becausal.instrument("agent-framework", store=store)
    try:
        workflow, agent = chain(guide(), speaker("writer")), speaker("alone")
        stream = agent.run("one two", stream=True)
        answer = await stream.get_final_response()
        left = [*map(weakref.ref, (workflow, agent, stream, answer.messages[0], agent.client))]
        await workflow.run("go")
        del workflow, agent, stream, answer
        gc.collect()

        assert [ref() for ref in left] == [None] * 5
    finally:
        becausal.uninstrument()


async def test_nothing_leaks_into_the_readers_context_between_two_pieces(store: str) -> None:
    becausal.instrument("agent-framework", store=store)
    try:
        stream = speaker("writer").run("one two three", stream=True)
        seen = {current() async for _ in stream}
        events = chain(speaker("a"), speaker("b")).run("go", stream=True)
        seen |= {current() async for _ in events}
    finally:
        becausal.uninstrument()

    assert seen == {None}


async def test_runs_side_by_side_are_chains_of_their_own(store: str) -> None:
    becausal.instrument("agent-framework", store=store)
    try:
        await asyncio.gather(*(chain(speaker("a"), speaker("b")).run(f"go {n}") for n in range(5)))
        assert becausal.flush()
        runs = becausal.open(store).list()
    finally:
        becausal.uninstrument()

    assert len(runs) == 5
    assert len({run.steps for run in runs}) == 1


async def test_a_cancelled_run_is_told_as_cancelled(store: str) -> None:
    started = asyncio.Event()

    class Waits(BaseChatClient):
        async def _inner_get_response(self, **_: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

    from agent_framework import Agent

    becausal.instrument("agent-framework", store=store)
    try:
        task = asyncio.create_task(_awaited(Agent(Waits(), name="waits").run("go")))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert becausal.flush()
        steps = becausal.last_run().steps
    finally:
        becausal.uninstrument()

    assert {step.status for step in steps} == {"cancelled"}


async def test_the_frameworks_own_spans_lie_in_ours_and_no_step_is_told_twice(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_framework import observability

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(observability, "get_tracer", lambda *_, **__: provider.get_tracer("agent_framework"))
    settings = observability.OBSERVABILITY_SETTINGS
    monkeypatch.setattr(type(settings), "ENABLED", property(lambda self: True))

    becausal.instrument("agent-framework", store=store, tracer_provider=provider)
    try:
        await guide().run("how warm?")
        assert becausal.flush()
        steps = Kinds(list(becausal.last_run().steps))
    finally:
        becausal.uninstrument()

    spans = exporter.get_finished_spans()
    ours = {f"{span.context.span_id:016x}": span for span in spans if _is_ours(span)}
    native = [span for span in spans if not _is_ours(span)]
    assert [step.kind for step in steps.steps] == ["request", "agent", "model", "tool", "model"]
    assert len(ours) == len(steps.steps)
    assert {span.name for span in native} >= {"invoke_agent guide", "execute_tool weather"}
    assert all(span.parent is not None for span in native)
    assert {span.context.trace_id for span in spans} == {spans[0].context.trace_id}


async def test_handoffs_alone_are_recorded_where_the_level_says_so(store: str) -> None:
    becausal.instrument("agent-framework", store=store, level="boundaries")
    try:
        await chain(guide(), speaker("writer")).run("how warm?")
        assert becausal.flush()
        kinds = [step.kind for step in becausal.last_run().steps]
    finally:
        becausal.uninstrument()

    assert kinds == ["workflow", "agent", "handoff", "agent"]


async def test_no_word_is_kept_where_digests_alone_are_asked_for(store: str, tmp_path: Any) -> None:
    secret = "xylophone-4711"

    def answer(messages: Sequence[Message]) -> list[Content] | str:
        return f"it is {secret}"

    becausal.instrument("agent-framework", store=store, capture="digest")
    try:
        await chain(speaker("a", answer), speaker("b")).run(f"tell me of {secret}")
        assert becausal.flush()
    finally:
        becausal.uninstrument()

    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in kept


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _is_ours(span: ReadableSpan) -> bool:
    return "becausal.step.kind" in (span.attributes or {})
