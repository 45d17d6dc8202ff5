"""Values that never change, and take no longer to make than those that may.

A frozen dataclass sets each of its fields by a call of `object.__setattr__`, which takes longer than to set an
attribute; and each step is made of some. So those that come with every step have an `__init__` of their own: the
instance becomes one of its class's twin, which has the same slots and lets them be set, and at last what it was.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["become", "twin"]

become: Final = object.__setattr__
"""Gives an instance a class, `become(made, "__class__", twin)`: a frozen one does not let itself be told so."""


def twin(kind: type[Any]) -> type[Any]:
    """Return a class of the same slots, whose instances may change."""
    return type(kind.__name__, (), {"__slots__": kind.__slots__})
