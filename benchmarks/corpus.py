"""Steps as apps make them, as many as one likes: what the store's benchmark writes.

About 20 steps a run (3 to 200), one run in 50,000 steps of 2,000, one of 10,000; 64 runs under way at once, their steps
mixed. Each step receives and produces something, of which 30 % was never seen before; the rest is what was handed on
lately. Sizes follow a Pareto law, 1 to 32 KB with a mean of about 3.6 KB, in words of a Zipf law. 1.27 causes a step,
one in a hundred from another run; an anchor at every hundredth step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from becausal import canonical
from becausal.payload import Payload
from becausal.step import Cause, OpenStep, StepKind

__all__ = ["Corpus"]

BATCH = 512
UNDER_WAY = 64
LONGEST, LONG = 10_000, 2_000
FRESH = 0.3
REMEMBERED = 4_096
KINDS: tuple[StepKind, ...] = ("agent", "model", "tool", "handoff", "model", "route")


@dataclass(slots=True)
class Kept:
    """A value that was sealed, and the bodies that it handed out."""

    payload: Payload
    root: tuple[bytes, bytes]


@dataclass(slots=True)
class Chain:
    """A run under way."""

    id: str
    steps: int
    made: int = 0
    root: str = ""
    last: str = ""


@dataclass(slots=True)
class Samples:
    """What to ask the store for afterwards: ids by what they are."""

    chains: dict[int, list[str]] = field(default_factory=dict)
    """By their length."""
    anchors: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)


class Corpus:
    """Makes steps; the same ones for the same seed."""

    def __init__(self, steps: int, *, mean_bytes: int = 3_600, seed: int = 7) -> None:
        self.steps, self.seed = steps, seed
        self.random = random.Random(seed)
        self.encoder = canonical.Encoder()
        self.samples = Samples()
        self.raw_bytes = 0
        self._scale = mean_bytes / 3_600
        self._pool = self._text(4 << 20)
        self._handed_on: list[Kept] = []
        self._chains = 0
        self._now, self._last_of_another = 1_700_000_000_000_000_000, ""

    def batches(self) -> Iterator[list[OpenStep]]:
        """Yield the steps as the recorder's thread gives them to a store."""
        chains = [self._chain() for _ in range(UNDER_WAY)]
        busy: int | None = None  # a long run, which comes more often than its turn
        batch: list[OpenStep] = []
        for number in range(self.steps):
            at = self.random.randrange(UNDER_WAY) if busy is None or number % 3 else busy
            chain = chains[at]
            batch.append(self._step(chain, number))
            if chain.made == chain.steps:
                self.samples.chains.setdefault(chain.steps, []).append(chain.id)
                chains[at] = self._chain()
                busy = at if chains[at].steps >= LONG else None if at == busy else busy
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _step(self, chain: Chain, number: int) -> OpenStep:
        rand = self.random
        chain.made += 1
        self._now += 1_000_000
        step = OpenStep(
            id=f"{rand.getrandbits(64) | 1:016x}",
            chain_id=chain.id,
            kind="workflow" if chain.made == 1 else KINDS[chain.made % len(KINDS)],
            name=f"name {rand.randrange(200)}",
            agent=f"agent {rand.randrange(40)}",
            parent_id=chain.root or None,
            hop=chain.made // 4,
            seq=number + 1,
            started_ns=self._now,
        )
        step.ended_ns, step.status = self._now + 900_000, "ok"
        step.received, step.produced = self._payload(step), self._payload(step)
        step.attributes = {
            "gen_ai.request.model": "a-model",
            "gen_ai.usage.input_tokens": rand.randrange(5_000),
        }
        if chain.last:
            step.causes.append(Cause(chain.last, "transfer", "declared", "message id"))
        if rand.random() < 0.27 and chain.root:
            step.causes.append(Cause(chain.root, "data", "matched", "channel messages"))
        if rand.random() < 0.01 and self._last_of_another:
            step.causes.append(Cause(self._last_of_another, "memory", "observed", "notes/market@3"))
        if number % 100 == 0:
            step.anchor(f"checkpoint {number:x}")
            self._sample(self.samples.anchors, step.anchors[0])
        chain.root = chain.root or step.id
        chain.last = self._last_of_another = step.id
        return step

    def _payload(self, step: OpenStep) -> Payload:
        rand = self.random
        if self._handed_on and rand.random() > FRESH:
            kept = rand.choice(self._handed_on)
            step.bodies.append(kept.root)  # as the recorder does; the store knows it
            return kept.payload
        size = int(min(32_768, 1_024 * rand.paretovariate(1.2)) * self._scale)
        at = rand.randrange(len(self._pool) - size)
        said = self._pool[at : at + size]
        value = (
            said if rand.random() < 0.5 else {"type": "ai", "content": said, "id": f"m{rand.getrandbits(48)}"}
        )
        encoded = self.encoder.encode(value)
        digest = canonical.digest_text(encoded.digest)
        belief = canonical.digest_text(encoded.belief)
        kept = Kept(Payload(digest, belief, encoded.size, encoded.type_name), (encoded.digest, encoded.body))
        step.bodies += [*encoded.parts, kept.root]
        self.raw_bytes += encoded.size
        if len(self._handed_on) < REMEMBERED:
            self._handed_on.append(kept)
        else:
            self._handed_on[rand.randrange(REMEMBERED)] = kept
        self._sample(self.samples.digests, digest)
        return kept.payload

    def _chain(self) -> Chain:
        rand = self.random
        steps = min(200, int(3 + rand.expovariate(1 / 17)))
        self._chains += 1
        if self._chains == 2 * UNDER_WAY and self.steps >= 5 * LONGEST:
            steps = LONGEST
        elif self._chains % 2_500 == 1_000:  # of some 20 steps each
            steps = LONG
        return Chain(f"{rand.getrandbits(128):032x}", steps)

    def _sample(self, samples: list[str], one: str) -> None:
        if len(samples) < 500:
            samples.append(one)
        elif self.random.random() < 0.01:
            samples[self.random.randrange(500)] = one

    def _text(self, size: int) -> str:
        parts = [
            "ter",
            "in",
            "con",
            "al",
            "de",
            "ra",
            "mo",
            "sti",
            "er",
            "pla",
            "ent",
            "ou",
            "re",
            "ly",
            "ca",
            "sion",
        ]
        words = ["".join(self.random.choices(parts, k=1 + rank % 3)) for rank in range(3_000)]
        weights = list(accumulate(1 / (rank + 1) for rank in range(len(words))))
        return " ".join(self.random.choices(words, cum_weights=weights, k=size // 4))[:size]
