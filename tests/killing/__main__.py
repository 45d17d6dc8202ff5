"""Kills processes that record, at random moments, and looks at what is left.

    python -m tests.killing --times 1000 --seed 1

Each time one to three processes are forked that record runs to one store and write to one memory; each is killed
(`kill -9`) at a moment of its own, from before it has opened the store until well into its work; now and then one is
let go on and asked to stop. Then the store is looked at: it opens and takes another write, every step whose flush and
every event of the memory whose write returned is there and whole, the memory's log verifies, `PRAGMA integrity_check`
says ok, no edge, anchor or payload lacks its step, no gap is told that nobody counted. One store goes through several
kills. Ends with status 1 if something was wrong; each is printed with its number, which with the seed says what was
done (not when the scheduler did it).
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import select
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.killing.looking import Acknowledged, look
from tests.killing.victim import ENDED, live, no_traceback, warm_up

__all__ = ["kill", "main"]

LONGEST_S = 0.35
"""A process lives for no longer before it is killed."""

SEVERAL = (1, 1, 1, 2, 3)
"""How many processes at once, each as likely."""

STOPPING_S = 60.0
"""How long one that is asked to stop may take."""


class _Victim:
    """A forked process, and what it has told."""

    def __init__(self, store: str, seed: int) -> None:
        self.told: list[tuple[str, list[object]]] = []
        self._rest = b""
        reading, out = os.pipe()
        stop, self._stopping = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            os.close(self._stopping)
            no_traceback()
            try:
                live(store, seed, out, stop)
            finally:
                os._exit(1)
        os.close(out)
        os.close(stop)
        self.out = reading

    def read(self, timeout: float) -> bool:
        """Read what it tells; False when it has ended, or the time was up."""
        if not select.select([self.out], [], [], max(0.0, timeout))[0]:
            return False
        piece = os.read(self.out, 1 << 16)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self.told += [tuple(json.loads(line)) for line in lines]
        return piece != b""

    def kill(self) -> None:
        """Kill it, and hear the last of what it told."""
        os.kill(self.pid, signal.SIGKILL)
        self._bury()

    def stop(self) -> bool:
        """Ask it to stop; returns whether it ended as it should."""
        os.close(self._stopping)
        self._stopping = -1
        while self.read(STOPPING_S):
            pass
        return self._bury() == 0 and (ENDED, []) in self.told

    def _bury(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        while self.read(0):
            pass
        os.close(self.out)
        if self._stopping >= 0:
            os.close(self._stopping)
        return status


def kill(path: Path, told: Acknowledged, chance: random.Random, seen: Counter[str]) -> list[str]:
    """Have processes record to a store, kill them, and return what is wrong with it then."""
    url, begun = f"sqlite:///{path}", time.monotonic()
    victims = [_Victim(url, chance.getrandbits(32)) for _ in range(chance.choice(SEVERAL))]
    survivor = victims[0] if len(victims) > 1 and chance.random() < 0.5 else None
    moments = sorted((begun + _moment(chance), index) for index in range(len(victims)))
    for moment, index in moments:
        while (left := moment - time.monotonic()) > 0:
            select.select([victim.out for victim in victims[index : index + 1]], [], [], left)
            victims[index].read(0)
        if victims[index] is not survivor:
            victims[index].kill()
            seen["kills"] += 1
    wrong = [] if survivor is None or survivor.stop() else ["one that was let go on did not end well"]
    seen["ended in peace"] += survivor is not None
    for victim in victims:
        seen["killed with nothing acknowledged"] += not victim.told
        for what, said in victim.told:
            told.note(what, said)
    return [*wrong, *look(path, told, seen)]


def _moment(chance: random.Random) -> float:
    """Return after how many seconds to kill: often early, while the file is made, opened or upgraded."""
    return chance.uniform(0, 0.03 if chance.random() < 0.3 else LONGEST_S)


def run(times: int, seed: int, *, says: bool = False) -> tuple[list[str], Counter[str]]:
    """Kill so often; returns what was wrong, and counts of what was looked at."""
    warm_up()
    assert threading.active_count() == 1, "a process with threads must not fork"
    chance, seen = random.Random(seed), Counter[str]()
    wrong: list[str] = []
    gc.freeze()  # the children share what is there
    with tempfile.TemporaryDirectory() as folder:
        path, told, left = Path(folder), Acknowledged(), 0
        while seen["kills"] < times:
            if not left:
                path, told, left = Path(folder) / f"{seen['kills']}.db", Acknowledged(), chance.randint(1, 8)
                seen["stores"] += 1
            left -= 1
            found = kill(path, told, chance, seen)
            wrong += [f"{seen['kills']}: {one}" for one in found]
            if says and found:
                print(*found, sep="\n", flush=True)
            if says and not seen["kills"] % 100:
                print(f"{seen['kills']} kills", flush=True)
    gc.unfreeze()
    return wrong, seen


def main() -> int:
    """Kill as often as the command line says; returns 1 if something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.perf_counter()
    wrong, seen = run(asked.times, asked.seed, says=True)
    for what, number in seen.items():
        print(f"{number:9,}  {what}")
    print(f"{len(wrong):9,}  things wrong, in {time.perf_counter() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
