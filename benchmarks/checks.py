"""What the checks cost: on the app's thread, and aside, by the size of what is handed over.

    PYTHONPATH=. python -m benchmarks.checks                     # payloads of 1 KB, 32 KB and 1 MB
    PYTHONPATH=. python -m benchmarks.checks --sizes 1,1024 --rounds 9

An app of two agents and a tool hands over an offer of many lines, as a record with a text. First, the same app with and
without contracts and validators, in turn: the processor time of its own thread, and how many calls into the modules
that judge it makes (none). Then what is done elsewhere: facts, the verdict on a handoff that came as it was sent, came
wrapped, and came with one figure changed, a contract, all findings of the run. Medians of processor time, in one
process; the last column is how often the time of the smallest payload that is, against how often its size.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.quick import parsed
from benchmarks.timing import median

import becausal
from becausal import contracts, validators
from becausal.facts import facts
from becausal.findings import find
from becausal.findings.handoff import judged
from becausal.findings.scene import Scene
from becausal.run import Run

JUDGING = ("becausal.facts", "becausal.findings", "becausal.toolchecks", "becausal.delta", "becausal.blame")
"""Packages that judge."""

KB = 1024


def offer(size: int, price: str = "$12.50") -> dict[str, Any]:
    """Return a record of about so many bytes: half of it lines with figures, half of it a report in words."""
    line = "item AX-{0} costs {1}, at most {0} units, delivery by 3 May 2026\n"
    words = "The supplier was asked again and said that nothing had changed since the last talk in spring.\n"
    rows = [line.format(number, price) for number in range(max(1, size // 2 // len(line)))]
    report = "".join(rows) + words * (size // 2 // len(words))
    return {"order_id": "A-17", "report": report, "customer": {"name": "Ada Byron", "id": 7}}


@becausal.tool(name="look_up")
def look_up(question: str) -> dict[str, Any]:
    """Answer with the offer that is under way."""
    return CURRENT[-1]


CURRENT: list[dict[str, Any]] = [{}]


def play(sent: dict[str, Any], received: dict[str, Any] | None = None) -> None:
    """Have a planner ask a tool and hand over to a writer."""
    CURRENT[-1] = sent
    with becausal.chain("what does it cost?") as chain:
        with becausal.agent("planner"):
            look_up("offer")
            envelope = becausal.handoff("planner", "writer", sent)
        if received is not None:
            envelope["payload"] = received
        with becausal.receive("writer", envelope) as step:
            del step
        chain.returned("about $12.50")


def checked(is_on: bool) -> None:
    """Put a contract and a validator in force, or neither."""
    contracts.declared.clear()
    validators.registered.clear()
    if is_on:
        becausal.contract(
            "planner", "writer", must_carry=["order_id", "money:*"], check=lambda got: "report" in got
        )
        becausal.validator("look_up")(lambda answer: len(answer["report"]) > 0)


def side_by_side(rounds: int, sent: dict[str, Any]) -> tuple[float, float]:
    """Return the medians of the app's thread's processor time without and with checks; the rounds take turns."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * rounds):
        is_on = number % 2 == 1
        checked(is_on)
        began = time.thread_time()
        play(sent)
        taken[is_on].append((time.thread_time() - began) * 1e3)
        becausal.flush(60)  # what is done aside is done before the next round
    return statistics.median(taken[False]), statistics.median(taken[True])


def calls_on_this_thread(work: Callable[[], object]) -> int:
    """Return how many functions of the packages that judge the app's thread calls."""
    count = 0

    def seen(frame: Any, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and str(frame.f_globals.get("__name__", "")).startswith(JUDGING)

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def recorded(sent: dict[str, Any], received: dict[str, Any] | None) -> Run:
    """Return a run in which something was handed over."""
    checked(False)
    play(sent, received)
    return becausal.last_run()


def verdict(run: Run) -> Callable[[], object]:
    """Return what judges the run's handoff anew, with nothing known of it."""
    return lambda: [judged(handoff, Scene(run.graph, run.handoffs)) for handoff in run.handoffs]


def measured(size: int, rounds: int) -> dict[str, float]:
    """Return milliseconds by what was done with a payload of so many bytes."""
    sent = offer(size)
    wrapped = {**sent, "report": f"The task is:\n{sent['report']}\nAnswer in one word."}
    changed = {**sent, "report": sent["report"].replace("costs $12.50", "costs $21.50", 1)}
    without, with_checks = side_by_side(rounds, sent)
    checked(True)
    calls = calls_on_this_thread(lambda: play(sent))
    becausal.flush(60)
    owed = contracts.declared[0]
    checks = contracts.Contracts(_Asked(), lambda payload: None, str)  # type: ignore[arg-type]
    rows = {"app's thread, without checks": without, "app's thread, with checks": with_checks}
    rows["judging calls on the app's thread"] = calls
    rows["facts"] = median(rounds, lambda: facts(sent))
    rows["a contract"] = median(rounds, lambda: list(checks._breaches(owed, sent, wrapped)))
    for name, received in (("as sent", None), ("wrapped", wrapped), ("one figure changed", changed)):
        run = recorded(sent, received)
        rows[f"verdict, {name}"] = median(rounds, verdict(run))
    run = recorded(sent, changed)
    rows["all findings of the run"] = median(
        rounds, lambda: find(Run(run.chain_id, list(run.steps)).graph, run.handoffs)
    )
    return rows


class _Asked:
    """Asks a check at once."""

    def asked(self, check: Callable[[Any], object], value: object) -> list[str]:
        return [] if check(value) in (None, True) else ["wrong"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1,32,1024", help="of the payloads, in KB (default: 1,32,1024)")
    parser.add_argument("--rounds", type=int, default=7, help="of each measurement (default: 7)")
    options = parsed(parser, arguments, sizes="1,32", rounds=3)
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        becausal.instrument(store=f"sqlite:///{folder}/becausal.db")
        play(offer(KB))
        becausal.last_run()
        found = [measured(size * KB, options.rounds) for size in sizes]
        becausal.uninstrument()
    head = "".join(f"{f'{size} KB':>12}" for size in sizes)
    sys.stdout.write(
        f"{'milliseconds, medians':<36}{head}{'grows':>9}  (size {sizes[-1] / sizes[0]:,.0f} x)\n"
    )
    for name in found[0]:
        cells = "".join(
            f"{row[name]:>12,.0f}" if "calls" in name else f"{row[name]:>12,.3f}" for row in found
        )
        grows = found[-1][name] / found[0][name] if found[0][name] else 0
        sys.stdout.write(f"{name:<36}{cells}{f'{grows:,.0f} x' if grows else '':>9}\n")
    return 0 if not any(row["judging calls on the app's thread"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
