"""The functional API: entrypoints and tasks; and runnables that do a node's work."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.types import RetryPolicy
from tests.integrations.graphs.case import Case, line_of, tasked
from tests.integrations.graphs.wiring import ASKED, State, write

__all__ = ["CASES"]


@task
def double(number: int) -> int:
    return 2 * number


@task
async def adouble(number: int) -> int:
    return 2 * number


def tasks() -> Any:
    @entrypoint(checkpointer=InMemorySaver())
    def flow(number: int) -> int:
        return int(double(double(number).result()).result())

    return flow


def tasks_at_once() -> Any:
    @entrypoint(checkpointer=InMemorySaver())
    def flow(number: int) -> list[int]:
        futures = [double(number + index) for index in range(3)]
        return [future.result() for future in futures]

    return flow


def async_tasks() -> Any:
    @entrypoint(checkpointer=InMemorySaver())
    async def flow(number: int) -> int:
        return int(await adouble(await adouble(number)))

    return flow


def task_in_task() -> Any:
    def double_and_one(number: int) -> int:
        return int(double(number).result()) + 1

    outer: Any = tasked(name="outer")(double_and_one)

    @entrypoint(checkpointer=InMemorySaver())
    def flow(number: int) -> int:
        return int(outer(number).result())

    return flow


def failing_task() -> Any:
    tries: list[int] = []

    async def fail(number: int) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        raise KeyError(number)

    policy = RetryPolicy(initial_interval=0, jitter=False, max_attempts=2, retry_on=ValueError)
    flaky: Any = tasked(name="flaky", retry_policy=policy)(fail)

    @entrypoint(checkpointer=InMemorySaver())
    async def flow(number: int) -> Any:
        return await flaky(number)

    return flow


def what_was_before() -> Any:
    @entrypoint(checkpointer=InMemorySaver())
    def flow(number: int, *, previous: int | None = None) -> Any:
        total = (previous or 0) + number
        return entrypoint.final(value=f"was {previous}", save=total)

    return flow


def runnables() -> Any:
    def work(state: State) -> dict[str, Any]:
        parts = RunnableParallel(upper=RunnableLambda(str.upper), length=RunnableLambda(len))
        return {"findings": str(parts.invoke(state["question"]))}

    return line_of(State, work, write)


def piped() -> Any:
    pipe: Any = RunnablePassthrough() | RunnableLambda(lambda state: {"findings": state["question"][::-1]})

    def work(state: State) -> dict[str, Any]:
        return dict(pipe.invoke(state))

    return line_of(State, work, write)


def fallbacks_and_retries() -> Any:
    tries: list[int] = []

    def flaky(text: str) -> str:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("not yet")
        return text.upper()

    def broken(text: str) -> str:
        raise RuntimeError(text)

    retrying = RunnableLambda(flaky).with_retry(
        retry_if_exception_type=(ValueError,), wait_exponential_jitter=False, stop_after_attempt=2
    )
    falling = RunnableLambda(broken).with_fallbacks([RunnableLambda(lambda text: f"instead of {text}")])

    def work(state: State) -> dict[str, Any]:
        return {"findings": falling.invoke(state["question"]), "log": retrying.batch(["a"])}

    return line_of(State, work, write)


def a_batch_in_a_node() -> Any:
    inner = RunnableLambda(lambda text: text + "!")

    async def work(state: State) -> dict[str, Any]:
        return {"log": await inner.abatch([state["question"], "b"])}

    return line_of(State, work)


CASES = (
    Case("tasks one after another", tasks, (3, 4), is_parallel=True),
    Case("tasks at once", tasks_at_once, (3,), is_parallel=True),
    Case("async tasks", async_tasks, (3,), is_async=True),
    Case("a task in a task", task_in_task, (3,), is_parallel=True),
    Case("a task that fails at last", failing_task, (3,), is_async=True, is_stateful=True, raises="KeyError"),
    Case("an entrypoint that remembers", what_was_before, (3, 4)),
    Case("runnables side by side", runnables, (ASKED,), is_parallel=True),
    Case("a pipe of runnables", piped, (ASKED,)),
    Case("fallbacks and retries of runnables", fallbacks_and_retries, (ASKED,), is_stateful=True),
    Case("a batch in a node", a_batch_in_a_node, (ASKED,), is_async=True),
)
