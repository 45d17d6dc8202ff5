"""Log lines join in: `logging`, structlog and loguru, inside real graphs and in own code."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.handlers
import queue
import threading
from collections.abc import Iterator
from typing import Any

import loguru
import pytest
import structlog
from langgraph.graph import END, START, StateGraph
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tests.conftest import Recording
from typing_extensions import TypedDict

import becausal
from becausal import guard, logs
from becausal.cli import main
from becausal.logline import MAX_LINES, MAX_TEXT

# Below no other: pytest's handlers word every record, and the app's alone are to.
log = logging.Logger("tests.app", logging.INFO)


class Told(TypedDict):
    text: str


@pytest.fixture
def written() -> Iterator[list[logging.LogRecord]]:
    """The records that reached a handler of the app's."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment,method-assign]
    log.addHandler(handler)
    yield records
    log.removeHandler(handler)


def graph() -> Any:
    def search(state: Told) -> Told:
        log.info("searching for %r", state["text"])
        return {"text": "found"}

    async def write(state: Told) -> Told:
        await asyncio.to_thread(log.warning, "nothing but %d hit", 1)
        return {"text": "done"}

    built = StateGraph(Told)
    built.add_node("search", search)
    built.add_node("write", write)
    built.add_edge(START, "search")
    built.add_edge("search", "write")
    built.add_edge("write", END)
    return built.compile()


async def test_a_record_written_in_a_node_says_its_chain_its_agent_and_its_span(
    store: str, written: list[logging.LogRecord]
) -> None:
    becausal.instrument(store=store, tracer_provider=TracerProvider())
    try:
        await graph().ainvoke({"text": "hats"})
        run = becausal.last_run()
    finally:
        becausal.uninstrument()
    said = [
        (vars(record)["becausal_agent"], vars(record)["becausal_chain_id"], vars(record)["becausal_trace_id"])
        for record in written
    ]
    nodes = {step.agent: step for step in run.steps if step.kind == "agent"}
    assert said == [(name, run.chain_id, nodes[name].trace_id) for name in ("search", "write")]
    assert [vars(record)["becausal_span_id"] for record in written] == [
        nodes[name].span_id for name in ("search", "write")
    ]


async def test_a_steps_lines_are_its_evidence(recording: Recording, written: list[logging.LogRecord]) -> None:
    await graph().ainvoke({"text": "hats"})
    lines = becausal.last_run().logs
    assert [(line.step.agent, line.level, line.logger, line.text) for line in lines] == [
        ("search", "INFO", "tests.app", "searching for 'hats'"),
        ("write", "WARNING", "tests.app", "nothing but 1 hit"),
    ]
    assert [line.time_ns for line in lines] == sorted(line.time_ns for line in lines)


def test_a_span_of_the_apps_own_inside_the_step_is_the_one_that_a_record_names(
    store: str, written: list[logging.LogRecord]
) -> None:
    provider = TracerProvider()
    becausal.instrument(store=store, tracer_provider=provider)
    try:
        with (
            becausal.agent("planner"),
            trace.get_tracer("app", tracer_provider=provider).start_as_current_span("inner") as span,
        ):
            log.info("here")
    finally:
        becausal.uninstrument()
    assert vars(written[0])["becausal_span_id"] == f"{span.get_span_context().span_id:016x}"


def test_outside_every_step_the_fields_are_empty_so_that_a_format_may_name_them(
    recording: Recording,
) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("[%(becausal_chain_id)s|%(becausal_agent)s] %(message)s"))
    log.addHandler(handler)
    try:
        log.warning("nowhere")
        with becausal.chain("q", id="chain-1"), becausal.agent("planner"):
            log.warning("somewhere")
    finally:
        log.removeHandler(handler)
    assert out.getvalue() == "[|] nowhere\n[chain-1|planner] somewhere\n"


def test_what_the_app_calls_its_own_extra_fields_never_collides(
    recording: Recording, written: list[logging.LogRecord]
) -> None:
    names = ("agent", "chain_id", "trace_id", "span_id", "step", "otelTraceID")
    with becausal.agent("planner"):
        log.info("mine", extra=dict.fromkeys(names, "the app's"))
    assert {vars(written[0])[name] for name in names} == {"the app's"}


def test_basic_config_still_sets_up_logging_after_instrument(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "root", logging.RootLogger(logging.WARNING))
    logging.basicConfig(stream=io.StringIO())
    assert len(logging.root.handlers) == 1


def test_the_former_factory_is_called_and_is_put_back(store: str) -> None:
    def former(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.mine = True
        return record

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(former)
    try:
        becausal.instrument("threads", store=store)
        assert vars(log.makeRecord("n", 20, "f", 1, "m", (), None))["mine"] is True
        becausal.uninstrument()
        assert logging.getLogRecordFactory() is former
    finally:
        logging.setLogRecordFactory(before)


def test_a_factory_set_on_top_of_ours_is_left_and_ours_falls_silent(store: str) -> None:
    before = logging.getLogRecordFactory()
    becausal.instrument("threads", store=store)
    ours = logging.getLogRecordFactory()

    def later(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return ours(*args, **kwargs)

    logging.setLogRecordFactory(later)
    try:
        becausal.uninstrument()
        assert logging.getLogRecordFactory() is later
        assert not hasattr(log.makeRecord("n", 20, "f", 1, "m", (), None), "becausal_agent")
    finally:
        logging.setLogRecordFactory(before)


def test_no_code_of_the_apps_runs_to_word_a_line(
    recording: Recording, written: list[logging.LogRecord]
) -> None:
    class Lazy:
        asked = 0

        def __str__(self) -> str:
            Lazy.asked += 1
            return "expensive"

        __repr__ = __str__

    with becausal.agent("planner"):
        log.info("rows: %s of %s", Lazy(), {"a": 1})
        log.info(Lazy())
        log.info("count %d", Lazy())
        log.info("failed: %s", ValueError("no such row"))
    assert Lazy.asked == 0
    assert [line.text for line in becausal.last_run().logs] == [
        f"rows: <{Lazy.__qualname__}> of {{'a': 1}}",
        f"<{Lazy.__qualname__}>",
        f"count %d ('<{Lazy.__qualname__}>',)",
        "failed: ValueError: no such row",
    ]


@pytest.mark.parametrize(
    ("message", "arguments", "worded"),
    [
        ("50 % of it", None, "50 % of it"),
        ("%s and %s", ("one",), "%s and %s ('one',)"),
        ("%(name)s", {"name": "x"}, "x"),
        ("%s", ([*range(100)],), "<list>"),
    ],
)
def test_a_slip_in_a_format_is_no_failure(message: str, arguments: Any, worded: str) -> None:
    assert logs.wording(message, arguments) == worded


def test_a_step_keeps_its_first_lines_and_counts_the_rest(recording: Recording) -> None:
    with becausal.agent("planner"):
        for number in range(MAX_LINES + 30):
            log.warning("%d %s", number, "x" * 2 * MAX_TEXT)
    run = becausal.last_run()
    assert len(run.logs) == MAX_LINES
    assert all(len(line.text) == MAX_TEXT for line in run.logs)
    assert next(step.attributes["log.count"] for step in run.steps if step.agent == "planner") == (
        MAX_LINES + 30
    )


def test_at_capture_digest_not_a_word_is_kept(store: str) -> None:
    becausal.instrument("threads", store=store, capture="digest")
    try:
        with becausal.agent("planner"):
            log.warning("the secret is %s", "hunter2")
        lines = becausal.last_run().logs
    finally:
        becausal.uninstrument()
    assert [(line.level, line.text) for line in lines] == [("WARNING", "")]


def test_lines_stay_off_the_spans(store: str) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("threads", store=store, tracer_provider=provider)
    try:
        with becausal.agent("planner"):
            log.warning("the secret is %s", "hunter2")
    finally:
        becausal.uninstrument()
    assert exporter.get_finished_spans()
    assert "hunter2" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_a_queue_handlers_records_keep_their_fields_in_the_listeners_thread(recording: Recording) -> None:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = logging.handlers.QueueHandler(waiting)
    log.addHandler(handler)
    try:
        with becausal.chain("q", id="chain-1"):
            log.warning("over there")
    finally:
        log.removeHandler(handler)
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(vars(waiting.get())["becausal_chain_id"]))
    thread.start()
    thread.join()
    assert seen == ["chain-1"]


def test_the_filter_gives_the_fields_where_nothing_is_instrumented() -> None:
    record = logging.LogRecord("n", 20, "f", 1, "m", (), None)
    assert logs.LogFilter().filter(record)
    assert [vars(record)[name] for name in logs.FIELDS] == ["", "", "", ""]


def test_a_record_that_names_its_step_already_is_left_so_by_the_filter(recording: Recording) -> None:
    with becausal.chain("q", id="chain-1"):
        record = log.makeRecord("n", 30, "f", 1, "m", (), None)
    logs.LogFilter().filter(record)
    assert vars(record)["becausal_chain_id"] == "chain-1"


def test_structlog_says_the_fields_and_its_event_is_kept_once(recording: Recording) -> None:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[logs.structlog_processor, structlog.processors.JSONRenderer()]
    )
    with becausal.chain("q", id="chain-1"), becausal.agent("planner"):
        logger.warning("few hits", count=3)
    said = json.loads(out.getvalue())
    assert (said["becausal_chain_id"], said["becausal_agent"], said["count"]) == ("chain-1", "planner", 3)
    assert [(line.level, line.text) for line in becausal.last_run().logs] == [("WARNING", "few hits count=3")]


def test_structlog_over_logging_is_kept_once(recording: Recording) -> None:
    logger = structlog.wrap_logger(
        log, processors=[logs.structlog_processor, structlog.processors.KeyValueRenderer()]
    )
    with becausal.agent("planner"):
        logger.warning("few hits")
    assert len(becausal.last_run().logs) == 1


def test_loguru_says_the_fields_and_its_message_is_kept(recording: Recording) -> None:
    out = io.StringIO()
    logger = loguru.logger.patch(logs.loguru_patcher)
    sink = logger.add(out, format="{extra[becausal_agent]} {message}")
    try:
        with becausal.agent("planner"):
            logger.warning("{} hits", 3)
    finally:
        logger.remove(sink)
    assert "planner 3 hits" in out.getvalue()
    assert [(line.level, line.text) for line in becausal.last_run().logs] == [("WARNING", "3 hits")]


def test_our_own_lines_are_no_evidence_and_a_failure_of_ours_costs_the_app_nothing(
    store: str, written: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    becausal.instrument("threads", store=store)

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    try:
        with becausal.agent("planner"):
            monkeypatch.setattr(logs, "kept", fail)
            log.warning("the app's")
            monkeypatch.undo()
            logging.getLogger("becausal.x").warning("ours")
    finally:
        becausal.uninstrument()
    assert [record.getMessage() for record in written] == ["the app's"]
    guard.failures.clear()


def test_the_command_lists_lines_for_people_and_for_programs(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    with becausal.chain("q"):
        with becausal.agent("planner"):
            log.warning("plan\x1b[31m made")
        with becausal.agent("writer"):
            log.error("no hits")
    becausal.flush()
    assert main(["logs", "last", "--store", recording.store]) == 0
    shown = capsys.readouterr().out
    assert "WARNING planner tests.app plan[31m made" in shown
    assert "ERROR writer tests.app no hits" in shown
    assert main(["logs", "last", "--agent", "writer", "--json", "--store", recording.store]) == 0
    [line] = json.loads(capsys.readouterr().out)
    assert (line["agent"], line["level"], line["text"]) == ("writer", "ERROR", "no hits")
