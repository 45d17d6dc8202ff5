"""The fixture `replay`: a recorded run as a test.

    def test_refund(replay):
        replay("refund.becausal", graph).reproduces()

A relative path is looked for beside the test's file. The replay needs no network and writes to a store of the test's
own, unless the app's own code records already. `becausal test RUN` writes such a test from a run.

pytest loads this module by itself, since becausal is installed; nothing else of becausal knows pytest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from becausal.regression import Replayed

__all__ = ["replay"]


@pytest.fixture
def replay(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Replayed]]:
    """Replay a cassette with an app; see `becausal.regression`.

    Takes the path of the cassette, the app (a graph, a team, a function, or `module:name`), and what else `Run.replay`
    takes: `edit`, `live`, `standin`, `network`.
    """
    # Here: a test run that replays nothing pays for nothing.
    from becausal.instrument import active_recorder, instrument, uninstrument
    from becausal.regression import replayed

    is_ours = active_recorder() is None
    if is_ours:
        instrument(store=tmp_path_factory.mktemp("becausal") / "replays.db")

    def play(path: str | os.PathLike[str], app: object, **options: Any) -> Replayed:
        __tracebackhide__ = True
        return replayed(request.path.parent / Path(path).expanduser(), app, **options)

    yield play
    if is_ours:
        uninstrument()
