"""Everything of ours may fail, and no app notices: `python -m tests.chaos`, in small."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from tests.chaos.faults import Fault, Release, armed
from tests.chaos.seams import functions

from becausal import canonical, clock

CHECKOUT = Path(__file__).parents[2]


def test_no_app_notices_what_fails_blocks_lies_or_dies_in_twenty_plays() -> None:
    # In a process of its own: a play puts faults into functions that other tests stand on.
    command = [sys.executable, "-m", "tests.chaos", "--plays", "20", "--subjects", "6", "--seed", "21"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 plays differ" in ended.stdout


def test_a_fault_strikes_whoever_holds_the_function_and_is_gone_afterwards() -> None:
    held, former = canonical.digest_text, canonical.digest_text.__code__
    fault = Fault("becausal.canonical:digest_text", "lies", random.Random(1), Release())
    fault._every, fault._skipped = 1, 0

    with armed([fault]):
        held(b"1" * 16)
        assert fault.met == 1
    assert held.__code__ is former
    assert held(b"1" * 16).endswith((b"1" * 16).hex())
    assert fault.met == 1


def test_a_function_inside_of_another_is_a_seam_too() -> None:
    there = functions()

    assert "becausal.clock:tick" in there
    assert clock.tick in there["becausal.clock:tick"]
    assert any("<locals>" in seam for seam in there)
