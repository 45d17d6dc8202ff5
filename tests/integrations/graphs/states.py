"""What a state may be made of: schemas, reducers, channels, managed values, context, stores."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Annotated, Any

from langgraph import types
from langgraph.channels import EphemeralValue, LastValue, Topic, UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel
from tests.integrations.graphs.case import Case, line_of
from tests.integrations.graphs.wiring import ASKED, State, plan, write
from tests.integrations.having import HAS_OVERWRITE
from typing_extensions import TypedDict

__all__ = ["CASES"]


class Form(BaseModel):
    """A state of pydantic's."""

    name: str
    ages: Annotated[list[int], operator.add] = []
    note: str | None = None


def pydantic_state() -> Any:
    def older(form: Form) -> dict[str, Any]:
        return {"ages": [max(form.ages, default=0) + 1]}

    def noted(form: Form) -> Form:
        return Form(name=form.name.upper(), note=f"{form.name} is {form.ages[-1]}")

    return line_of(Form, older, noted)


@dataclass
class Record:
    """A state of dataclasses'."""

    name: str
    seen: Annotated[list[str], operator.add] = field(default_factory=list)


def dataclass_state() -> Any:
    def see(record: Record) -> dict[str, Any]:
        return {"seen": [record.name]}

    def rename(record: Record) -> Record:
        return Record(name=f"{record.name}+{len(record.seen)}")

    return line_of(Record, see, rename)


class Asked(TypedDict):
    """What goes in."""

    question: str


class Answered(TypedDict):
    """What comes out."""

    draft: str


class Private(TypedDict):
    """What one node leaves for the next."""

    secret: str


def private_channels() -> Any:
    def whisper(state: State) -> Private:
        return {"secret": f"{state['question']} between us"}

    def listen(state: Private) -> dict[str, Any]:
        return {"draft": state["secret"]}

    graph: Any = StateGraph(State, input_schema=Asked, output_schema=Answered)
    graph.add_node(whisper)
    graph.add_node(listen)
    graph.add_edge(START, "whisper")
    graph.add_edge("whisper", "listen")
    return graph.compile(checkpointer=InMemorySaver())


def newest_three(former: list[str], new: list[str]) -> list[str]:
    return [*former, *new][-3:]


class Trimmed(TypedDict):
    """A list that forgets."""

    log: Annotated[list[str], newest_three]


def a_trimming_reducer() -> Any:
    def four(_: Trimmed) -> dict[str, Any]:
        return {"log": ["a", "b", "c", "d"]}

    return line_of(Trimmed, four)


def overwritten() -> Any:
    def anew(_: State) -> dict[str, Any]:
        return {"log": types.Overwrite(["anew"])}  # type: ignore[attr-defined,unused-ignore]

    return line_of(State, plan, anew, write)


class Managed(TypedDict):
    """What LangGraph itself fills in."""

    log: Annotated[list[str], operator.add]
    remaining: RemainingSteps
    is_last: IsLastStep


def managed_values() -> Any:
    def first(state: Managed) -> dict[str, Any]:
        return {"log": [f"{state['remaining']} {state['is_last']}"]}

    def second(state: Managed) -> dict[str, Any]:
        return {"log": [f"{state['remaining']} {state['is_last']}"]}

    return line_of(Managed, first, second)


class Passing(TypedDict):
    """Values that do not stay."""

    brief: Annotated[str, EphemeralValue(str)]
    handle: Annotated[Any, UntrackedValue(Any)]
    topics: Annotated[list[str], Topic(str, accumulate=True)]


def passing_values() -> Any:
    def make(_: Passing) -> dict[str, Any]:
        return {"brief": "once", "handle": 7, "topics": ["a"]}

    def use(state: Passing) -> dict[str, Any]:
        return {"topics": [state.get("brief", "none"), str(state.get("handle"))]}

    def late(state: Passing) -> dict[str, Any]:
        return {"topics": [state.get("brief", "gone")]}

    return line_of(Passing, make, use, late)


@dataclass
class Context:
    """What a run is given beside its input."""

    user: str = "nobody"


def with_context() -> Any:
    def greet(_: State, runtime: Runtime[Context]) -> dict[str, Any]:
        user = "nobody" if runtime.context is None else runtime.context.user
        return {"draft": f"hello {user}"}

    graph: Any = StateGraph(State, context_schema=Context)
    graph.add_node(greet)
    graph.add_edge(START, "greet")
    return graph.compile(checkpointer=InMemorySaver())


def with_a_store() -> Any:
    def remember(state: State) -> dict[str, Any]:
        store = get_store()
        store.put(("facts", "x"), "it", {"text": state["question"]})
        store.put(("facts", "x"), "other", {"text": "gone"})
        store.delete(("facts", "x"), "other")
        return {}

    def recall(_: State, *, store: BaseStore) -> dict[str, Any]:
        item = store.get(("facts", "x"), "it")
        assert item is not None
        found = store.search(("facts",), filter={"text": item.value["text"]})
        return {"draft": item.value["text"], "log": [hit.key for hit in found]}

    return line_of(State, remember, recall, store=InMemoryStore())


def with_an_async_store() -> Any:
    async def remember(state: State, *, store: BaseStore) -> dict[str, Any]:
        await store.aput(("facts",), "it", {"text": state["question"]})
        item = await store.aget(("facts",), "it")
        assert item is not None
        names = await store.alist_namespaces()
        return {"draft": item.value["text"], "log": ["/".join(name) for name in names]}

    return line_of(State, remember, store=InMemoryStore())


def custom_writer() -> Any:
    def tell(_: State) -> dict[str, Any]:
        told = get_stream_writer()
        told("a third")
        told({"done": 2 / 3})
        return {"draft": "told"}

    return line_of(State, tell, write)


def changed_in_place() -> Any:
    def change(state: State) -> dict[str, Any]:
        state["log"].append("behind LangGraph's back")
        return {"findings": "1"}

    return line_of(State, change, write)


def unusual_values() -> Any:
    def odd(_: State) -> dict[str, Any]:
        return {
            "findings": {"set": {1}, "bytes": b"\x00\xff", 7: ("a", 1.5), "nan": float("nan")},
            "draft": None,
        }

    return line_of(State, odd)


def plain_pregel() -> Any:
    once = NodeBuilder().subscribe_only("a").do(lambda text: text + text).write_to("b", "log")
    again = NodeBuilder().subscribe_to("b").do(lambda read: read["b"].upper()).write_to("c", log=str.lower)
    return Pregel(
        nodes={"once": once, "again": again},
        channels={
            "a": LastValue(str), "b": EphemeralValue(str), "c": LastValue(str), "log": Topic(str, accumulate=True),
        },
        input_channels="a",
        output_channels=["c", "log"],
        checkpointer=InMemorySaver(),
    )  # fmt: skip


AT_ONCE = {"durability": "sync"}
"""A `Topic` hands its live list to the saver: what is saved meanwhile is a race in LangGraph."""

CASES = (
    Case("a pydantic state", pydantic_state, ({"name": "ada"}, Form(name="bob", ages=[3]))),
    Case("a pydantic state refused", pydantic_state, ({"name": 7},), raises="ValidationError"),
    Case("a dataclass state", dataclass_state, ({"name": "ada"}, Record("bob"))),
    Case("private channels", private_channels, ({"question": "who?"},)),
    Case("a trimming reducer", a_trimming_reducer, ({"log": ["z"]},)),
    Case("an overwritten list", overwritten, (ASKED,), needs=HAS_OVERWRITE),
    Case("managed values", managed_values, ({"log": []},), config={"recursion_limit": 5}),
    Case("values that do not stay", passing_values, ({"topics": []},), options=AT_ONCE),
    Case("a context", with_context, (ASKED,), options={"context": Context("ada")}),
    Case("a store", with_a_store, (ASKED,)),
    Case("an async store", with_an_async_store, (ASKED,), is_async=True),
    Case("a writer of the app's own stream", custom_writer, (ASKED,)),
    Case("a state changed in place", changed_in_place, (ASKED,), options={"durability": "sync"}),
    Case("unusual values", unusual_values, (ASKED,)),
    Case("nodes and channels by hand", plain_pregel, ("ab",), options=AT_ONCE),
)
