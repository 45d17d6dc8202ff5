"""How long it takes to load a run and to answer, as it grows: `run.blame()`, `run.why()`, the findings.

    PYTHONPATH=. python -m benchmarks.answers --steps 100 1000 10000 100000

Two shapes of runs. In `team`, agents hand on what tools gave them: payloads of 1 KB, every 20th of 20 KB, every 200th
of 100 KB. In `chat`, agents hold long conversations, each of up to 300 messages, and every turn receives the whole
conversation. Each size is written to a store of its own and answered in a process of its own; CPU time counts. The last
lines of a table give the exponents of growth between the first and the last size, and between the last two.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.quick import parsed
from benchmarks.timing import exponent, in_own_process, peak_mib

import becausal
from becausal import canonical, semconv
from becausal.payload import Payload
from becausal.step import Cause, OpenStep, StepKind
from becausal.store import Store, open_store

LONGEST_CHAT = 300
"""Messages of one conversation."""
BATCH = 512
TIMED = ("load", "edges", "blame", "why", "findings", "all")
WORDS = [
    "harbour",
    "ledger",
    "invoice",
    "carrier",
    "quota",
    "cargo",
    "route",
    "audit",
    "supplier",
    "parcel",
    "weather",
    "policy",
    "vendor",
    "margin",
    "terminal",
    "customs",
    "report",
    "station",
    "signal",
    "reserve",
    "engine",
    "meadow",
    "lantern",
    "copper",
    "orchard",
    "ribbon",
    "granite",
    "voyage",
]


class Writer:
    """Writes steps as the recorder would, without a framework."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.random = store, random.Random(seed)
        self.encoder = canonical.Encoder()
        self.made, self.now, self.number = [], 1_000_000_000, 0  # type: list[OpenStep], int, int
        self.open: list[OpenStep] = []

    @contextmanager
    def step(
        self, kind: StepKind, name: str, received: object, *, by: OpenStep | None = None
    ) -> Iterator[OpenStep]:
        """Write a step around what is written inside."""
        step = self._new(kind, name, received)
        if by is not None:
            step.causes.append(Cause(by.id, "transfer", "declared", "received"))
        self.open.append(step)
        yield step
        self.open.pop()
        self._end(step)

    def did(
        self, kind: StepKind, name: str, received: object, produced: object, call: str | None = None
    ) -> OpenStep:
        """Write a step with nothing inside."""
        with self.step(kind, name, received) as step:
            self.produces(step, produced)
            if call is not None:
                step.attributes[semconv.TOOL_CALL_ID] = call
        return step

    def handoff(self, sender: OpenStep, receiver: str, sent: object, received: object) -> OpenStep:
        """Write a handoff."""
        step = self._new("handoff", f"{sender.agent} to {receiver}", sent)
        step.attributes = {semconv.TRANSFER_SOURCE: sender.agent or "", semconv.TRANSFER_TARGET_OWN: receiver}
        step.causes.append(Cause(sender.id, "transfer", "declared", "sent"))
        self.produces(step, received)
        self._end(step)
        return step

    def produces(self, step: OpenStep, value: object) -> None:
        """Say what a step produced."""
        step.produced = self._seal(step, value)

    def words(self, size: int) -> str:
        """Return a text of about so many characters, in sentences."""
        text: list[str] = []
        length = 0
        while length < size:
            sentence = " ".join(self.random.choices(WORDS, k=9)).capitalize()
            text.append(f"{sentence} {self.random.randrange(10_000, 10_000_000)}.")
            length += len(text[-1]) + 1
        return " ".join(text)

    def flush(self, *, least: int = 0) -> None:
        """Give the store what has ended."""
        if len(self.made) > least:
            self.store.write(self.made)
            self.made = []

    def _new(self, kind: StepKind, name: str, received: object) -> OpenStep:
        outer = self.open[-1] if self.open else None
        self.number += 1
        self.now += 1_000_000
        step = OpenStep(
            id=f"{self.number:016x}",
            chain_id="c" * 32,
            kind=kind,
            name=name,
            agent=name if kind == "agent" else (None if outer is None else outer.agent),
            parent_id=None if outer is None else outer.id,
            hop=0,
            seq=self.number,
            started_ns=self.now,
        )
        step.received = self._seal(step, received)
        return step

    def _end(self, step: OpenStep) -> None:
        self.now += 1_000_000
        step.ended_ns, step.status = self.now, "ok"
        self.made.append(step)
        self.flush(least=BATCH)

    def _seal(self, step: OpenStep, value: object) -> Payload:
        encoded = self.encoder.encode(value)
        step.bodies += [*encoded.parts, (encoded.digest, encoded.body)]
        digest, belief = canonical.digest_text(encoded.digest), canonical.digest_text(encoded.belief)
        return Payload(digest, belief, encoded.size, encoded.type_name, encoded.lossy)


def write_team(writer: Writer, steps: int) -> None:
    """Write agents in a row: each has a model, a tool and a handoff to the next; four steps each."""
    request = "Report on the harbour. Order 4711 comes first."
    brief: object = {"request": request}
    told: list[str] = []
    with writer.step("workflow", "team", brief) as team:
        arrival: OpenStep | None = None
        for turn in range(max(1, (steps - 1) // 4)):
            size = 100_000 if turn % 200 == 199 else 20_000 if turn % 20 == 19 else 1_000
            with writer.step("agent", f"agent {turn % 7}", brief, by=arrival) as agent:
                call = f"call-{turn}"
                rows = [{"no": f"R{turn}-{n}", "text": writer.words(150)} for n in range(max(1, size // 250))]
                found = {"status": "complete", "rows": rows, "total": writer.random.randrange(10**5, 10**7)}
                writer.did("tool", "search", {"query": f"harbour part {turn}"}, found, call)
                said = f"Part {turn} comes to {found['total']:,} EUR. {rows[0]['text'][:60]}"
                writer.did("model", "m", [_message("human", json.dumps(found))], _message("ai", said))
                produced = {"request": request, "note": said}
                writer.produces(agent, produced)
            told.append(said)
            brief = produced
            arrival = writer.handoff(agent, f"agent {(turn + 1) % 7}", produced, produced)
        few = [told[len(told) * i // 20] for i in range(min(20, len(told)))]
        writer.produces(
            team, {"report": "\n".join(dict.fromkeys(few)) + "\nWe recommend a full audit of it all."}
        )


def write_chat(writer: Writer, steps: int) -> None:
    """Write conversations, each turn of which receives all that was said in it before; three steps each."""
    with writer.step("workflow", "team", "Talk about the harbour and order 4711.") as team:
        messages: list[dict[str, object]] = []
        said, arrival = "", None  # type: str, OpenStep | None
        for turn in range(max(1, (steps - 1) // 3)):
            if turn % LONGEST_CHAT == 0:
                messages = [_message("human", f"Conversation {turn}: the harbour, and {writer.words(300)}")]
                arrival = None
            with writer.step("agent", f"agent {turn % 3}", {"messages": messages}, by=arrival) as agent:
                said = f"Turn {turn}: {writer.words(writer.random.choice((80, 400, 1_500)))}"
                answer = _message("ai", said)
                prompt = [
                    _message("system", "You talk about harbours and keep to what was said." * 6),
                    *messages,
                ]
                writer.did("model", "m", prompt, answer)
                writer.produces(agent, {"messages": [answer]})
            messages.append(answer)
            receiver = f"agent {(turn + 1) % 3}"
            arrival = writer.handoff(agent, receiver, {"messages": [answer]}, {"messages": messages})
        writer.produces(team, {"messages": messages[-10:], "report": said})


SHAPES: dict[str, Callable[[Writer, int], None]] = {"team": write_team, "chat": write_chat}


def _message(kind: str, content: str) -> dict[str, object]:
    return {"type": kind, "content": content, "id": f"run--{abs(hash(content)):016x}", "name": None}


def answered(url: str, *, findings: bool, last: int | None = None) -> dict[str, float]:
    """Load the run, or the last steps of it, and answer; return CPU seconds for each, and the peak memory in MiB."""
    took: dict[str, float] = {}
    before = peak_mib()

    def timed(name: str, ask: Callable[[], object]) -> object:
        started = time.process_time()
        found = ask()
        took[name] = time.process_time() - started
        return found

    runs = becausal.open(url)
    run = runs.last(last=last)
    timed("load", lambda: runs.get(run.chain_id, last=last))
    timed("edges", lambda: run.edges)
    blamed = timed("blame", run.blame)
    timed("why", run.why)
    if findings:
        timed("findings", lambda: run.findings)
    took["all"] = sum(took.values())
    took["segments"] = len(blamed.segments)  # type: ignore[attr-defined]
    took["steps"], took["MiB"] = len(run.steps), peak_mib() - before
    return took


def measured(
    shape: str, steps: int, folder: Path, *, findings: bool, last: int | None = None
) -> dict[str, float]:
    """Write a run of a shape and return what answering costs, in a process of its own."""
    url = f"sqlite:///{folder}/{shape}-{steps}.db"
    store = open_store(url)
    writer = Writer(store, seed=7)
    SHAPES[shape](writer, steps)
    writer.flush()
    store.close()
    part = [] if last is None else ["--last", str(last)]
    return in_own_process("benchmarks.answers", "--answer", url, *(["--findings"] if findings else []), *part)


def main() -> None:
    """Print a table for each shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=list(SHAPES))
    parser.add_argument("--findings", action="store_true", help="the findings, too")
    parser.add_argument("--last", type=int, metavar="N", help="load the last N steps, in place of all")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    given = parsed(parser, None, steps=[100, 1_000])
    if given.answer:
        print(json.dumps(answered(given.answer, findings=given.findings, last=given.last)))
        return
    for shape in given.shapes:
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                measured(shape, steps, Path(folder), findings=given.findings, last=given.last)
                for steps in given.steps
            ]
        print(f"\n{shape}")
        print("".join(f"{name:>10}" for name in rows[0]))
        for row in rows:
            print("".join(f"{value:>10.2f}" if value % 1 else f"{value:>10.0f}" for value in row.values()))
        for first, last in ((rows[0], rows[-1]), (rows[-2], rows[-1])) if len(rows) > 1 else ():
            sizes = (first["steps"], last["steps"])
            told = (
                f"{name} {exponent(sizes, (first[name], last[name])):.2f}" for name in TIMED if name in first
            )
            print(f"exponents from {first['steps']:.0f} to {last['steps']:.0f} steps: {', '.join(told)}")


if __name__ == "__main__":
    main()
