"""Types sealed under other names than their own, for as long as a replay lasts.

The classes of a script were recorded as `__main__`'s. Where the same file is imported to be run again, they are those
of a module, and without this nothing that holds one would have the digest that it had.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from becausal.canonical.leaves import OTHER_NAMES
from becausal.canonical.readers import READERS

__all__ = ["known_as"]

_lock = threading.Lock()
_times: Counter[int] = Counter()
"""By a type's identity: how many blocks have it under another name."""


@contextmanager
def known_as(types: Mapping[str, type]) -> Iterator[None]:
    """Seal types under the names that are given for them, in a block and beside it."""
    with _lock:
        for name, kind in types.items():
            _times[id(kind)] += 1
            OTHER_NAMES[id(kind)] = kind, name
            READERS.pop(id(kind), None)
    try:
        yield
    finally:
        with _lock:
            for kind in types.values():
                _times[id(kind)] -= 1
                if not _times[id(kind)]:
                    del _times[id(kind)], OTHER_NAMES[id(kind)]
                    READERS.pop(id(kind), None)
