"""Looking a store over for damage once an app records to it: damage that no write meets goes on unseen for months.

Done by the writer's thread, after its first batch: a thread and a connection of its own would outlive the store's, and
leave its WAL behind. So it is short: what is not looked at by then is left to `becausal doctor`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Final

from becausal.errors import StoreError, StoreFormatError
from becausal.store import Store
from becausal.store.upkeep import upkeep_of

__all__ = ["FOUND_DAMAGED", "Inspecting"]

log: logging.Logger = logging.getLogger("becausal")

LOOKS_S: Final = 0.1
"""Half of what a step waits for others of its batch; some 150 MB of a file that the system has at hand."""

FOUND_DAMAGED: Final = "store found damaged"
"""The gap of a store that is not whole: of what it lost, nobody knows how much."""


class Inspecting:
    """Looks one store over, once."""

    def __init__(self, store: Store, count_gap: Callable[[str], object]) -> None:
        self._store, self._count_gap = store, count_gap
        self._is_done = False

    def occasion(self) -> None:
        """Look, unless it was done; warns of what is found."""
        if self._is_done:
            return
        self._is_done = True
        found = self._found()
        if found:
            self._count_gap(FOUND_DAMAGED)
            with contextlib.suppress(Exception):  # a filter of the app's may fail
                log.warning(
                    "becausal: %s is damaged: %s. The app goes on, and what it records is kept as far as the store "
                    "can; `becausal doctor` says more, and what to do",
                    self._store.url,
                    "; ".join(found),
                )

    def _found(self) -> list[str]:
        upkeep = upkeep_of(self._store)
        try:
            return [] if upkeep is None else upkeep.damages(LOOKS_S, pages_alone=True)
        except StoreFormatError as refusal:
            return [str(refusal).partition(" is damaged: ")[2].partition(". ")[0] or str(refusal)]
        except StoreError:  # locked, or gone: nothing is known of it
            return []
