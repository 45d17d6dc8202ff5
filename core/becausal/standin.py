"""Stand-ins for functions that record their calls and stay what they stand for.

They are `wrapt` proxies, so that a generator function is one under `inspect` too, and a method binds. Unlike plain
proxies they can be pickled and copied where the function could be: by name.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import wrapt

__all__ = ["FunctionStandIn"]


if TYPE_CHECKING:  # generic in the stubs alone
    _Function = wrapt.FunctionWrapper[Any, Any]
    _BoundFunction = wrapt.BoundFunctionWrapper[Any, Any]
else:
    _Function = wrapt.FunctionWrapper
    _BoundFunction = wrapt.BoundFunctionWrapper


class _BoundStandIn(_BoundFunction):
    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._self_instance is None:  # taken from its class
            return _named, (self.__module__, self.__qualname__)
        return getattr, (self._self_instance, self.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class FunctionStandIn(_Function):
    """Calls `through(wrapped, instance, args, kwargs)` in the place of a function."""

    __bound_function_wrapper__ = _BoundStandIn

    def __init__(self, wrapped: Any, through: Callable[..., Any]) -> None:
        super().__init__(wrapped, through)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return str(self.__qualname__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def _named(module: str, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), importlib.import_module(module))
