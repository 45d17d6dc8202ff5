"""Work in threads that all run at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["at_once"]


def at_once(works: Sequence[Callable[[], object]], *, seconds: float = 60) -> None:
    """Do each work in a thread of its own and wait until all are done; the first failure of one is raised."""
    failures: list[BaseException] = []

    def done(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=done, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "a thread never comes back"
