"""Plays cases and prints how many there were, and those that were wrong."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import tests.fuzz
from tests.fuzz.strangers import FIXTURES, READERS

CORPUS = Path(__file__).parent / "corpus"
LARGEST = 4_096
"""Bytes of an input."""
SLOWEST_S = 30


def main() -> int:
    """Play; returns 1 if anything was wrong."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(
        description=tests.fuzz.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=(*READERS, *TARGETS))
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60, help="of the coverage-guided engine")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    if asked.target in READERS:
        wrong = READERS[asked.target](asked.cases, asked.seed)
        for number, what in wrong[:20]:
            print(f"seed {asked.seed}, case {number}: {what}", file=sys.stderr)
        print(f"{asked.cases} cases, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
        return int(bool(wrong))
    if asked.engine == "atheris":
        return guided(asked.target, asked.seconds, asked.seed)
    played = by_chance(asked.target, asked.cases, asked.seed)
    print(f"{asked.target}: {played} cases by hypothesis, none wrong, {time.monotonic() - began:.0f} s")
    return 0


def by_chance(target: str, cases: int, seed: int) -> int:
    """Play a target with inputs of hypothesis, and return how many; raises what the smallest wrong one raises."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st
    from tests.fuzz.targets import TARGETS

    played = 0
    beginnings = st.sampled_from([b"", *islice(seeds(target), 40)])

    @seeded(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(beginnings, st.integers(0, LARGEST), st.binary(max_size=600))
    def play(beginning: bytes, at: int, data: bytes) -> None:
        nonlocal played
        played += 1
        TARGETS[target](beginning[:at] + data + beginning[at:])

    play()
    return played


def guided(target: str, seconds: int, seed: int) -> int:
    """Play a target in a process of its own, led by coverage; returns 1 if an input was wrong, and keeps it."""
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(seeds(target)):
            (Path(folder) / str(number)).write_bytes(data)
        options = (
            f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LARGEST}", f"-timeout={SLOWEST_S}",
            "-rss_limit_mb=4096", "-len_control=0", "-print_final_stats=1", "-verbosity=1",
            f"-artifact_prefix={folder}/wrong-",
        )  # fmt: skip
        command = [sys.executable, "-m", "tests.fuzz.guided", target, folder, *options]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        said = ended.stdout + ended.stderr
        counts = dict(re.findall(r"stat::(\w+):\s+(\d+)", said))
        reached = re.findall(r"cov: (\d+) ft: (\d+)", said)
        print(
            f"{target}: {counts.get('number_of_executed_units', '?')} cases led by coverage, {seconds} s, "
            f"{reached[-1][0] if reached else '?'} edges reached ({reached[0][0] if reached else '?'} by the seeds), "
            f"{'none' if ended.returncode == 0 else 'one'} wrong"
        )
        for found in sorted(Path(folder).glob("wrong-*")):
            kept = CORPUS / target / found.name.removeprefix("wrong-")
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(found.read_bytes())
            print(f"kept as {kept}")
        if ended.returncode:
            print(said[max(0, said.find("Uncaught Python exception")) :][:8_000], file=sys.stderr)
        return int(bool(ended.returncode))


def seeds(target: str) -> Iterator[bytes]:
    """Yield inputs to begin with: what was found before, and what is valid."""
    yield from (path.read_bytes() for path in sorted((CORPUS / target).glob("*")))
    dice = random.Random(target)
    yield from (dice.randbytes(size) for size in (40, 200, 800))
    if target == "files":
        yield from (path.read_bytes()[: 4 * LARGEST] for path in sorted(FIXTURES.glob("*.json*")))
    elif target == "cassettes":
        golden = FIXTURES.parent.parent / "golden"
        yield from (path.read_bytes() for path in sorted(golden.glob("*.becausal")))
    elif target == "carriers":
        trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        yield (
            f"00-{trace}-{span}-01\nother=1,becausal={'c' * 32}/{span}/7/2\n"
            f"becausal.chain.id={'c' * 32},becausal.node.id={span}\n{'c' * 32}/{span}/7/2"
        ).encode()
    elif target in ("facts", "redaction"):
        texts = FIXTURES.parent.parent / "core" / "facts_corpus"
        yield from (path.read_bytes()[:LARGEST] for path in sorted(texts.glob("*.*")))


if __name__ == "__main__":
    raise SystemExit(main())
