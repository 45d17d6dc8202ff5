"""What others lose does not get lost here: big and odd payloads, streams that are left, our own failures.

`tests/README.md` says for each of the complaints which test answers it.
"""

from __future__ import annotations

import enum
import gc
import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel
from tests.conftest import Recording
from tests.integrations.fakes_langchain import StreamingModel, chain_of, echo
from tests.integrations.graphs import GRAPHS
from tests.integrations.graphs.plays import played
from tests.integrations.spans import INPUT, Spans, plan, value, write

import becausal
from becausal.canonical import Encoder
from becausal.recorder import Recorder
from becausal.sealing import Sealer
from becausal.telemetry import Telemetry
from becausal.writer import Writer


@pytest.fixture
def spans(store: str) -> Iterator[Spans]:
    made = Spans()
    becausal.instrument(store=store, tracer_provider=made.provider)
    yield made
    becausal.uninstrument()


# B4: payloads


def test_a_big_answer_is_kept_whole_and_its_span_stays_small(spans: Spans, store: str) -> None:
    answer = "0123456789" * 300_000

    @tool
    def fetch(query: str) -> str:
        """Fetch."""
        return answer

    fetch.invoke({"query": "all"})

    (step,) = Recording(store).last()
    assert value(step.produced) == answer
    (span,) = spans.exporter.get_finished_spans()
    assert sum(len(str(told)) for told in (span.attributes or {}).values()) < 4000


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Form(BaseModel):
    """A model of pydantic's."""

    name: str


@dataclass
class Point:
    """A dataclass."""

    x: float


def test_a_state_of_anything_is_recorded_with_its_types_and_left_as_it_is(recording: Recording) -> None:
    lock, numbers = threading.Lock(), (number for number in range(3))
    odd = {
        "form": Form(name="ada"), "class": Form, "array": np.arange(3), "point": Point(1.5), "colour": Colour.RED,
        "id": uuid.UUID(int=7), "bytes": b"\xff", "lock": lock, "generator": numbers, 7: ("a", {1, 2}),
    }  # fmt: skip
    odd["itself"] = odd

    def look(_: Any) -> dict[str, Any]:
        return {"findings": odd}

    result = chain_of(look).invoke(INPUT)

    assert result["findings"] is odd
    assert next(numbers) == 0
    (step,) = (step for step in recording.last() if step.name == "look")
    assert step.produced is not None
    assert any("lock" in path for path, _ in step.produced.lossy)  # what cannot be kept is said
    assert "ada" in step.produced.text()


# B6: streams


def leave_by_close(stream: Any) -> None:
    stream.close()


def leave_by_forgetting(_: Any) -> None:
    pass


def leave_by_throwing(stream: Any) -> None:
    with pytest.raises(ValueError, match="enough"):
        stream.throw(ValueError("enough"))


def leave_at_the_end(stream: Any) -> None:
    assert list(stream)


@pytest.mark.parametrize(
    ("leave", "status"),
    [
        (leave_by_close, "closed"),
        (leave_by_forgetting, "closed"),
        (leave_by_throwing, "error"),
        (leave_at_the_end, "ok"),
    ],
)
def test_a_stream_that_is_left_ends_its_spans_whichever_way(
    spans: Spans, store: str, leave: Callable[[Any], None], status: str
) -> None:
    stream = chain_of(plan, write).stream(INPUT)
    next(stream)
    leave(stream)
    del stream
    gc.collect()

    assert "invoke_workflow LangGraph" in spans.all()
    assert Recording(store).last()[0].status == status


def test_what_was_known_at_the_last_piece_is_recorded_though_nobody_asks_for_more(
    recording: Recording,
) -> None:
    def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [StreamingModel(answer=echo).invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_sequence([talk])
    graph.add_edge(START, "talk")
    stream = graph.compile().stream({"messages": [HumanMessage("hi")]}, stream_mode="updates")
    next(stream)
    stream.close()

    (model,) = (step for step in recording.last() if step.kind == "model")
    (node,) = (step for step in recording.last() if step.name == "talk")
    assert value(model.produced)["content"] == value(node.produced)["messages"][0]["content"] == "you said hi"


CHAOS: dict[str, tuple[type, str]] = {
    "nothing can be opened": (Recorder, "begin"),
    "nothing can be ended": (Recorder, "end"),
    "nothing can be sealed": (Sealer, "seal"),
    "nothing can be encoded": (Encoder, "encode"),
    "nothing can be decided": (Recorder, "decide"),
    "nothing can be written": (Writer, "put"),
    "no span can be made": (Telemetry, "open"),
    "no span can be closed": (Telemetry, "close"),
}
PLAYED = (
    "a line",
    "map and reduce",
    "an interrupt and its answer",
    "an agent",
    "a node that fails",
    "a store",
)


@pytest.mark.parametrize("what", CHAOS)
@pytest.mark.filterwarnings("ignore")
def test_the_app_goes_on_when_all_that_we_do_fails(
    store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    cases = [case for case in GRAPHS if case.name in PLAYED and case.needs]
    ways = ("invoke", "ainvoke", "stream all, subgraphs", "astream all, subgraphs")
    without = [played(case, way) for case in cases for way in ways]
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    caplog.set_level(logging.CRITICAL, logger="becausal")

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("all is lost")

    monkeypatch.setattr(*CHAOS[what], fail)
    becausal.instrument(store=store)
    try:
        assert [played(case, way) for case in cases for way in ways] == without
    finally:
        monkeypatch.undo()
        becausal.uninstrument()


# B7: resources and loss

LEAVING = """
import sys
from tests.integrations.fakes_langchain import chain_of
from tests.integrations.spans import INPUT, plan, write
import becausal

becausal.instrument(store=sys.argv[1])
held = chain_of(plan, write).stream(INPUT, stream_mode="updates")
next(held)
sys.exit(0)
"""


def test_a_run_that_is_under_way_when_the_program_ends_is_in_the_store(tmp_path: Path) -> None:
    path = tmp_path / "left.db"
    subprocess.run(
        [sys.executable, "-c", LEAVING, str(path)], cwd=Path(__file__).parents[2], check=True, timeout=60
    )

    steps = Recording(f"sqlite:///{path}").last()
    assert steps[0].status in ("unfinished", "closed", "abandoned")
    assert [step.name for step in steps if step.kind == "agent"] == ["plan"]
