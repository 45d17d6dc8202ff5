"""Times, ids and the logical clock: the one place that asks the machine for them.

The logical clock is Lamport's: every step that starts takes the next number, and a number that
arrives from another process pushes ours past it. So `seq` orders the steps of one process as they
started, and never puts a message's receipt before its sending, whatever the wall clocks say.

Source: Lamport 1978, "Time, Clocks, and the Ordering of Events in a Distributed System", rules IR1, IR2.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time

__all__ = [
    "OUTSIDE",
    "REPLAYS",
    "is_aside",
    "is_outside",
    "is_replay",
    "new_chain_id",
    "new_step_id",
    "now_ns",
    "stamp",
    "tick",
    "witness",
]

now_ns = time.time_ns
"""Wall-clock nanoseconds since the epoch, as OpenTelemetry counts them."""

# A generator of our own: an app that seeds `random` must neither fix our ids nor lose a number to us.
_random = random.Random()
# Reentrant: the garbage collector or a signal may run code of the app, and so ours, while this thread holds it.
_lock = threading.RLock()
_seq = 0


REPLAYS = "replay"
"""How the id of the chain begins into which a replay, or a counterfactual, is recorded."""

OUTSIDE = "memory"
"""How the id of the chain begins that a process's memory accesses outside every request belong to: a store that is
filled before the first request is no hundred runs."""

_ASIDE = re.compile(
    f"(?:{OUTSIDE}|{REPLAYS})(?:[0-9a-f]{{{32 - len(REPLAYS)}}}"
    # Digits may be all that somebody wanted erased.
    r"|[0-9a-f]*(?:\[erased [0-9a-f]{8}\][0-9a-f]*)+(?: #\d+)?)"
)


def new_step_id() -> str:
    """Return 16 random hexadecimal digits, never all zero."""
    return f"{_random.getrandbits(64) or 1:016x}"


def new_chain_id(beginning: str = "") -> str:
    """Return 32 random hexadecimal digits from the operating system, the first of them replaced by a beginning."""
    return (beginning + os.urandom(16).hex())[:32]


def is_replay(chain_id: str) -> bool:
    """Return whether a chain is one into which a replay was recorded.

    An app may call its runs what it likes, `replay-7` among others: ours have digits to the end.
    """
    return chain_id.startswith(REPLAYS) and is_aside(chain_id)


def is_outside(chain_id: str) -> bool:
    """Return whether a chain is one of what a process's memories did outside every request."""
    return chain_id.startswith(OUTSIDE) and is_aside(chain_id)


def is_aside(chain_id: str) -> bool:
    """Return whether a chain is no run of the app's: such are neither listed nor counted among them."""
    return _ASIDE.fullmatch(chain_id) is not None


def tick() -> int:
    """Return the next number of the logical clock."""
    global _seq
    with _lock:
        _seq += 1
        return _seq


def stamp() -> tuple[str, int, int]:
    """Return a new step's id, its number on the logical clock and the time: what each step takes, in one call."""
    global _seq
    with _lock:
        _seq += 1
        seq = _seq
    return f"{_random.getrandbits(64) or 1:016x}", seq, now_ns()


def witness(seq: int) -> None:
    """Move the logical clock past a number that came from another process."""
    global _seq
    with _lock:
        _seq = max(_seq, seq)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    _random.seed()


os.register_at_fork(after_in_child=_after_fork)
