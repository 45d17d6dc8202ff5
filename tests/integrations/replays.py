"""What tests of replays share: the outside made unusable, and a whole conversation played again from its record."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from langchain_core.language_models import FakeListLLM
from langchain_core.tools import StructuredTool
from tests.integrations.fakes_langchain import PureModel, StreamingModel

import becausal
from becausal.run import Run

__all__ = ["OutsideError", "conversation", "without_the_outside"]

DOORS: tuple[tuple[Any, str], ...] = (
    (PureModel, "_generate"),
    (PureModel, "_agenerate"),
    (StreamingModel, "_stream"),
    (StreamingModel, "_astream"),
    (FakeListLLM, "_call"),
    (FakeListLLM, "_acall"),
    (StructuredTool, "_run"),
    (StructuredTool, "_arun"),
)


class OutsideError(BaseException):
    """A model or a tool was really asked."""


@contextmanager
def without_the_outside(but: str | None = None) -> Iterator[None]:
    """Make every model and every tool unusable, one tool excepted."""
    with ExitStack() as stack:
        for owner, name in DOORS:
            refusing = _refusing(f"{owner.__name__}.{name}", getattr(owner, name), but)
            stack.enter_context(patch.object(owner, name, refusing))
        yield


def conversation(store: Any) -> Run:
    """Return all runs of a store as one: the turns of a conversation, each of which is a run of its own."""
    runs = becausal.open(store)
    infos = [info for info in runs.list() if not info.chain_id.startswith("replay")]
    steps = [step for info in infos for step in runs.get(info.chain_id).steps]
    return Run("all", sorted(steps, key=lambda step: step.seq))


def _refusing(name: str, original: Callable[..., Any], but: str | None) -> Callable[..., Any]:
    """Return a function of the same sort that refuses."""
    if inspect.isasyncgenfunction(original):

        async def refuse_pieces(*_: Any, **__: Any) -> Any:
            raise OutsideError(name)
            yield

        return refuse_pieces
    if inspect.isgeneratorfunction(original):

        def refuse_items(*_: Any, **__: Any) -> Any:
            raise OutsideError(name)
            yield

        return refuse_items
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def refuse_async(asked: Any, *args: Any, **kwargs: Any) -> Any:
            if asked.name != but or but is None:
                raise OutsideError(name)
            return await original(asked, *args, **kwargs)

        return refuse_async

    @functools.wraps(original)
    def refuse(asked: Any, *args: Any, **kwargs: Any) -> Any:
        if asked.name != but or but is None:
            raise OutsideError(name)
        return original(asked, *args, **kwargs)

    return refuse
