"""What several threads add to a step at once is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from tests.core.builders import open_step

from becausal.step import Choice, OpenStep

ADDED: dict[str, Callable[[OpenStep, str], None]] = {
    "choices": lambda step, name: step.chose(Choice(name)),
    "anchors": OpenStep.anchor,
}


@pytest.mark.parametrize("part", ADDED)
def test_of_two_threads_that_add_the_first_of_their_sort_none_is_lost(part: str) -> None:
    step = open_step()
    other = threading.Thread(target=ADDED[part], args=(step, "second"), daemon=True)

    class Read(tuple[str, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[str]:
            """Have the other thread come in the middle; or wait, where it may not."""
            other.start()
            other.join(0.05)
            return iter(())

    setattr(step, part, Read())
    ADDED[part](step, "first")
    other.join()

    assert {getattr(one, "conclusion", one) for one in getattr(step, part)} == {"first", "second"}
