"""A process that records runs and writes to memories until it is killed, and tells what was acknowledged to it.

What `flush()` and a memory's `write()` have returned for is told through a pipe, a line each, the moment it is known:
so whoever kills the process knows what may not be lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from tests.integrations.growth import a_graph, run_once

import becausal
from becausal.store import open_store
from becausal.store.upkeep import Erasure, upkeep_of

__all__ = ["ENDED", "MEMORY", "live", "no_traceback", "warm_up"]

MEMORY = "facts"
ENDED = "ended"
"""Told when a process that was asked to stop has let go of everything."""

KEPT_RUNS = 6
"""So many of the newest runs are never let go."""

Line = tuple[str, Any]


def live(store: str, seed: int, out: int, stop: int) -> None:
    """Record until somebody kills this process, or closes the other end of `stop`; never returns.

    Args:
        store: the URL of the store.
        seed: of what it does.
        out: a pipe's end, for what is acknowledged.
        stop: a pipe's end, read without waiting.
    """
    chance = random.Random(seed)
    becausal.instrument("langgraph", "threads", store=store)
    memory = becausal.Memory(MEMORY)
    graph = a_graph().compile(checkpointer=InMemorySaver())
    os.set_blocking(stop, False)
    number = 0
    while not _asked_to_stop(stop):
        number += 1
        done = [_request(chance, memory, out, number) for _ in range(chance.randint(1, 5))]
        if chance.random() < 0.2:
            run_once(number, graph)
        if chance.random() < 0.7 and becausal.flush(30):
            _tell(out, "flushed", [step for steps in done for step in steps])
        if chance.random() < 0.3:
            _clear_away(chance, store, out)
    becausal.uninstrument()
    _tell(out, ENDED, [])
    os._exit(0)


def warm_up() -> None:
    """Import all that a victim will need: it lives too short to do so itself."""
    becausal.instrument("langgraph", "threads", store="sqlite:///:memory:")
    run_once(1, a_graph().compile(checkpointer=InMemorySaver()))
    becausal.Memory(MEMORY).write("key", "value")
    becausal.uninstrument()


def no_traceback() -> None:
    """Keep a dying process quiet: its end is what is wanted."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _request(chance: random.Random, memory: Any, out: int, number: int) -> list[tuple[str, str]]:
    """Do what a small app does for one request; returns its steps, each with its chain."""
    steps = []
    text = f"What of {number}? " + "x" * int(chance.paretovariate(1) * 50 % 20_000)
    with becausal.chain(text) as question:
        with becausal.agent("writer", received={"text": text, "n": number}) as writer:
            writer.decide("look it up", because=[text], confidence=0.9)
            answer = _look_up(text)
            event = memory.write(f"key {chance.randrange(20)}", {"found": answer, "by": os.getpid()})
            _tell(out, "appended", [event.key, event.version, event.hash])
            writer.returned({"answer": answer})
        with becausal.receive("reader", becausal.handoff("writer", "reader", {"answer": answer})) as given:
            becausal.returned(str(given))
        steps += [(str(turn.chain_id), str(turn.id)) for turn in (question, writer)]
    return steps


def _clear_away(chance: random.Random, store: str, out: int) -> None:
    """Let runs go as an app does that keeps its store small, or have one of them erased."""
    with contextlib.closing(open_store(store)) as opened:
        tended = upkeep_of(opened)
        assert tended is not None
        going = [info.chain_id for info in opened.chains()][KEPT_RUNS:]
        if chance.random() < 0.7:
            _tell_all(
                out, "going", going
            )  # before it is done: it may be half done when this process is killed
            tended.forget(going)
            tended.sweep()
        elif going:
            _tell_all(out, "going", going[:1])
            tended.erase(Erasure(chain_id=going[0]))


@becausal.tool
def _look_up(text: str) -> str:
    return f"{len(text)} letters: {text[:40]}"


def _asked_to_stop(stop: int) -> bool:
    try:
        return os.read(stop, 1) == b""
    except BlockingIOError:
        return False


def _tell_all(out: int, what: str, said: list[str]) -> None:
    for one in said:
        _tell(out, what, [one])


def _tell(out: int, what: str, said: list[Any]) -> None:
    for start in range(
        0, max(1, len(said)), 40
    ):  # a line that fits into a pipe is written whole, or not at all
        whole = said if what != "flushed" else said[start : start + 40]
        os.write(out, json.dumps([what, whole]).encode() + b"\n")
        if whole is said:
            return
