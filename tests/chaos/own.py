"""An app of its own code, in every form that becausal has for one, with and without it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import becausal

__all__ = ["WAYS"]


@becausal.tool
def search(query: str) -> str:
    return f"{query} is 42"


@becausal.tool
def words(text: str) -> Iterator[str]:
    yield from text.split()


@becausal.tool
async def lookup(query: str) -> str:
    await asyncio.sleep(0)
    return f"{query} was 41"


@becausal.tool
async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


@becausal.tool
def refuses(query: str) -> str:
    raise LookupError(query)


def pipeline() -> Any:
    seen: list[Any] = []

    @becausal.tool  # in the middle of the work, too
    def adds(one: int, other: int) -> int:
        return one + other

    with becausal.chain("how many?") as question, becausal.agent("planner", received="how many?") as planner:
        seen.append(search("it"))
        seen.append(adds(1, 2))
        seen.append(all(isinstance(said, str | None) for said in (question.id, planner.chain_id)))
        seen.extend(words("one two three"))
        planner.decide("go on", because=["it is 42"], confidence=0.5)
        becausal.decide("hand over", reason="done")
        logging.getLogger("app").warning("in the middle")
        envelope = becausal.handoff("planner", "writer", {"found": seen[:]})
        try:
            refuses("x")
        except LookupError as refusal:
            seen.append(refusal.args)
        carrier: dict[str, Any] = {}
        becausal.inject(carrier)
        question.returned("done")
    with becausal.receive("writer", envelope) as payload:
        becausal.returned(payload)
        seen.append(payload)
    with becausal.extract(carrier), becausal.agent("elsewhere"), ThreadPoolExecutor(1) as pool:
        seen.append(pool.submit(search, "that").result())
        thread = threading.Thread(target=lambda: seen.append(search("there")))
        thread.start()
        thread.join()
    return seen


async def apipeline() -> Any:
    with becausal.chain("how many?"), becausal.agent("planner"):
        both = await asyncio.gather(lookup("a"), lookup("b"))
        spelt = [letter async for letter in letters("abc")]
        left = letters("left")
        spelt.append(await anext(left))
        await left.aclose()  # type: ignore[attr-defined]
    return [*both, *spelt, await asyncio.to_thread(pipeline)]


WAYS = {"own code": pipeline, "own async code": lambda: asyncio.run(apipeline())}
