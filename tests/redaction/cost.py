"""What looking for secrets costs: `python -m tests.redaction.cost`.

CPU time of sealing a value with and without, interleaved in one process, the best of many turns each. First: a value of
which nothing was seen before. Again: the same once more, as the next step receives what the one before produced.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer

SAID = """the agent reads what the search found and writes a short plan of the order for 42 boxes by 3 May 2027 to
Hamburg with a limit of 500 EUR because the customer asked for it in the last message of the conversation"""
WORDS = SAID.split()


def text(chance: random.Random, size: int) -> str:
    """Return ordinary text of so many characters."""
    return " ".join(chance.choice(WORDS) for _ in range(size // 5 + 1))[:size]


def records(chance: random.Random, size: int) -> dict[str, object]:
    """Return a dict of small records."""
    return {
        f"k{index}": {"id": chance.randrange(10**6), "name": text(chance, 40), "score": chance.random()}
        for index in range(max(1, size // 80))
    }


def strings(chance: random.Random, size: int) -> dict[str, object]:
    """Return four long texts."""
    return {f"f{index}": text(chance, size // 4) for index in range(4)}


def messages(chance: random.Random, size: int) -> dict[str, object]:
    """Return a conversation of messages of a kilobyte, or of ten messages."""
    count = max(10, size // 1000)
    kinds: tuple[type[BaseMessage], ...] = (HumanMessage, AIMessage)
    return {
        "messages": [
            kinds[index % 2](content=text(chance, size // count), id=f"m-{index}") for index in range(count)
        ]
    }


def microseconds(sealer: Sealer, values: Sequence[object]) -> float:
    """Return the CPU time of sealing values, for each of them."""
    before = time.process_time_ns()
    for value in values:
        sealer.seal(value)
    return (time.process_time_ns() - before) / len(values) / 1e3


def measure(make: Callable[[random.Random, int], object], size: int) -> tuple[float, float, float, float]:
    """Return microseconds: first without, first with, again without, again with."""
    best = [float("inf")] * 4
    sealers = [
        Sealer(keeps_bodies=True, holds_whole=False),
        Sealer(keeps_bodies=True, holds_whole=False, redact=Redactor()),
    ]
    for turn in range(min(max(3, 250_000 // size), 60)):
        fresh = [make(random.Random(turn * 1000 + number), size) for number in range(max(1, 16_000 // size))]
        for which, sealer in enumerate(sealers):
            best[which] = min(best[which], microseconds(sealer, fresh))
            again = [fresh[-1]] * max(1, 64_000 // size)
            best[which + 2] = min(best[which + 2], microseconds(sealer, again))
    return best[0], best[1], best[2], best[3]


def main() -> None:
    """Print the table."""
    sys.stdout.write(f"{'':24}{'first sight':>30}{'seen before':>30}\n")
    for size, name in ((1_000, "1 KB"), (32_000, "32 KB"), (256_000, "256 KB"), (1_000_000, "1 MB")):
        for make in (records, strings, messages):
            first, looked, again, relooked = measure(make, size)
            sys.stdout.write(
                f"{name:8}{make.__name__:16}"
                f"{first:10.1f} +{looked - first:7.1f} us x{looked / first:5.2f}"
                f"{again:10.1f} +{relooked - again:7.1f} us x{relooked / again:5.2f}\n"
            )


if __name__ == "__main__":
    main()
