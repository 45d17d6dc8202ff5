"""What the small bodies of runs have in common: makes the dictionary by which stores compress them.

    python -m benchmarks.shapes STORE... --out core/becausal/store/shapes.zdict

It is trained on the bodies of the stores that are named (the examples' runs) and on messages of the frameworks that say
what this project's documents say. No benchmark's payload is among them. A dictionary that is in use is never made anew:
stores hold what was compressed by it. A better one gets another name and another codec.
"""

from __future__ import annotations

import argparse
import random
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import zstandard

from becausal import canonical
from becausal.store import open_store

ROOT = Path(__file__).parent.parent
BYTES = 4_096
LONGEST = 4_000
MESSAGES = 3_000
NAMES = ("planner", "researcher", "writer", "critic", "supervisor", "agent", "search", "assistant")


def kept(path: str) -> Iterator[bytes]:
    """Yield the bodies of a store."""
    store = open_store(f"sqlite:///{path}", read_only=True)
    with sqlite3.connect(path) as connection:
        for (digest,) in connection.execute("SELECT digest FROM blobs WHERE codec IS NOT NULL"):
            body = store.body(digest)
            if body is not None:
                yield body
    connection.close()
    store.close()


def sayings(chance: random.Random) -> Iterator[str]:
    """Yield texts of common words, in no order: what is to be learned is how often letters and words come."""
    prose = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    words = re.findall(r"(?<= )[A-Za-z]{1,9}[.,]?(?= )", prose)
    while True:
        yield " ".join(chance.choices(words, k=int(chance.lognormvariate(4.0, 1.0)) + 4))


def messages(chance: random.Random) -> Iterator[object]:
    """Yield messages as the frameworks make them, and states that hold such."""
    from autogen_agentchat.messages import TextMessage, ToolCallExecutionEvent, ToolCallRequestEvent
    from autogen_core import FunctionCall
    from autogen_core.models import FunctionExecutionResult, RequestUsage
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    for nth, text in zip(range(MESSAGES), sayings(chance), strict=False):
        name, number = chance.choice(NAMES), chance.randrange(10_000)
        call_id, usage = f"call_{chance.randbytes(12).hex()}", {"input_tokens": number, "output_tokens": nth}
        arguments = {"query": text[:60], "limit": number % 50}
        told = RequestUsage(prompt_tokens=number, completion_tokens=nth)
        yield from (
            HumanMessage(text, id=str(chance.randbytes(8).hex())),
            AIMessage(
                text,
                id=f"run--{chance.randbytes(16).hex()}",
                name=name,
                response_metadata={"model_name": "gpt-4o", "finish_reason": "stop", "token_usage": usage},
                usage_metadata={**usage, "total_tokens": number + nth},
            ),
            AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id}]),
            ToolMessage(text, tool_call_id=call_id, name=name),
            SystemMessage(text),
            {"role": chance.choice(("user", "assistant", "system", "tool")), "content": text},
            TextMessage(content=text, source=name, models_usage=told),
            ToolCallRequestEvent(
                content=[FunctionCall(id=call_id, name=name, arguments=str(arguments))], source=name
            ),
            ToolCallExecutionEvent(
                content=[FunctionExecutionResult(call_id=call_id, content=text, name=name, is_error=False)],
                source=name,
            ),
            {
                "question": text,
                "answer": None,
                "step": nth,
                "results": [{"id": number, "score": chance.random()}],
            },
        )


def samples(stores: Sequence[str]) -> list[bytes | bytearray | memoryview]:
    """Return the bodies to learn from, each once."""
    chance = random.Random(1)
    bodies = [body for path in stores for body in kept(path)]
    for message in messages(chance):
        encoded = canonical.encode(message)
        bodies += [encoded.body, *(body for _, body in encoded.parts)]
    return [body for body in dict.fromkeys(bodies) if len(body) <= LONGEST]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stores", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    bodies = samples(options.stores)
    made = zstandard.train_dictionary(BYTES, bodies, level=3).as_bytes()
    options.out.write_bytes(made)
    print(f"{len(made):,} bytes from {len(bodies):,} bodies")
    return 0


if __name__ == "__main__":
    sys.exit(main())
