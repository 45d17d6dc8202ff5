"""ormsgpack where it calls us back: what ends the call-back and is no failure gets out as it is.

In the place of whatever a call-back raises ormsgpack raises an error of its own, with no trace of the other
(ormsgpack 1.x: a TypeError from `packb`, a ValueError from `unpackb`). A Ctrl-C that happens to arrive in there would
be taken for a value that cannot be written, and be lost to the app.

A hook that is called for every object remembers it by itself, and does without the call in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ormsgpack

__all__ = ["let_out", "packed", "unpacked"]


def packed(value: object, hook: Callable[[Any], Any], options: int) -> bytes:
    """Do as `ormsgpack.packb`."""
    stopped: list[BaseException] = []
    try:
        return ormsgpack.packb(value, _minding(hook, stopped), options)
    except Exception:
        let_out(stopped)
        raise


def unpacked(body: bytes | bytearray, hook: Callable[[int, bytes], Any]) -> Any:
    """Do as `ormsgpack.unpackb`."""
    stopped: list[BaseException] = []
    try:
        return ormsgpack.unpackb(body, ext_hook=_minding(hook, stopped))
    except Exception:
        let_out(stopped)
        raise


def _minding(hook: Callable[..., Any], stopped: list[BaseException]) -> Callable[..., Any]:
    def minded(*args: Any) -> Any:
        try:
            return hook(*args)
        except Exception:
            raise
        except BaseException as stop:
            stopped.append(stop)
            raise

    return minded


def let_out(stopped: list[BaseException]) -> None:
    """Raise what ended a call-back, if something did."""
    if stopped:
        raise stopped[-1] from None
