"""The hooks of a replay: what a model, a tool, a retriever or a cache of answers is asked is answered from the record.

Each takes the function that stands in a place and returns what is to stand there while somebody replays. A call in
whose context nothing is replayed goes through untouched.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING
from becausal.replay import DivergenceError, Recalled, Session, in_force, recall, result_of
from becausal.step import OpenStep
from becausal_integrations.langchain.rebuilt import chat_result, documents, pieces_of

__all__ = ["cache", "chat", "limiter", "recalled", "retriever", "streaming", "tool"]

Original = Callable[..., Any]


def recalled(step: OpenStep) -> tuple[Session, Recalled] | None:
    """Return a step's answer, the same however often it is asked for: the cache of answers is asked first."""
    session = in_force()
    if session is None:
        return None
    key = "langchain", step.id
    if key not in session.kept_for:
        session.kept_for[key] = recall(step)
    return session.kept_for[key]  # type: ignore[no-any-return]


def _edited(step: OpenStep, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a call that is made live: its messages are the edited ones, if they were edited."""
    session = in_force()
    edit = None if session is None else session.request_edit(step)
    return args if edit is None or len(args) < 2 else (args[0], edit(args[1]), *args[2:])


def chat(step_of: Callable[[], OpenStep | None], original: Original) -> Original:
    """Hook what asks a chat model for a whole answer; `step_of` returns the step of the call."""
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asked_async(*args: Any, **kwargs: Any) -> Any:
            step = None if in_force() is None else step_of()
            if step is None:
                return await original(*args, **kwargs)
            found = recalled(step)
            if found is None:
                return await original(*_edited(step, args), **kwargs)
            return result_of(found, chat_result)

        return asked_async

    @functools.wraps(original)
    def asked(*args: Any, **kwargs: Any) -> Any:
        step = None if in_force() is None else step_of()
        if step is None:
            return original(*args, **kwargs)
        found = recalled(step)
        return original(*_edited(step, args), **kwargs) if found is None else result_of(found, chat_result)

    return asked


def stopping(original: Original) -> Original:
    """Hook `BaseChatModel.agenerate`: it takes what is no `Exception` for a result, of which it then asks too much."""

    @functools.wraps(original)
    async def generated(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        except AttributeError:
            session = in_force()
            if session is not None and session.divergence is not None:
                raise DivergenceError(session.divergence) from None
            raise

    return generated


def streaming(step_of: Callable[[], OpenStep | None], original: Original) -> Original:
    """Hook what asks a model for a stream; `step_of` returns the step of the call."""
    if inspect.isasyncgenfunction(original):

        @functools.wraps(original)
        async def asked_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            step = None if in_force() is None else step_of()
            found = None if step is None else recalled(step)
            if found is None:
                given = args if step is None else _edited(step, args)
                async for piece in original(*given, **kwargs):
                    yield piece
                return
            for piece in pieces_of(found):
                yield piece
            result_of(found, _nothing)

        return asked_async

    @functools.wraps(original)
    def asked(*args: Any, **kwargs: Any) -> Iterator[Any]:
        step = None if in_force() is None else step_of()
        found = None if step is None else recalled(step)
        if found is None:
            yield from original(*(args if step is None else _edited(step, args)), **kwargs)
            return
        yield from pieces_of(found)
        result_of(found, _nothing)

    return asked


def _nothing(_: Recalled) -> None:
    return None


def cache(original: Original) -> Original:
    """Hook a cache of answers: in a replay it holds what the record says came from it, and keeps nothing."""

    def found(name: str) -> Any:
        step = current()
        if name.endswith("update") or not isinstance(step, OpenStep) or step.kind != "model":
            return None
        answer = recalled(step)
        if answer is None or not answer[1].step.attributes.get(semconv.CACHED):
            return None
        return result_of(answer, chat_result).generations

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asked_async(*args: Any, **kwargs: Any) -> Any:
            return await original(*args, **kwargs) if in_force() is None else found(original.__name__)

        return asked_async

    @functools.wraps(original)
    def asked(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if in_force() is None else found(original.__name__)

    return asked


def limiter(original: Original) -> Original:
    """Hook what waits until a provider may be asked again: nobody is asked."""
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asked_async(*args: Any, **kwargs: Any) -> Any:
            return await original(*args, **kwargs) if in_force() is None else True

        return asked_async

    @functools.wraps(original)
    def asked(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if in_force() is None else True

    return asked


def tool(original: Original) -> Original:
    """Hook a tool's own code."""
    return _answering(original, "tool", _tool_result)


def retriever(original: Original) -> Original:
    """Hook a retriever's own code."""
    return _answering(original, "tool", lambda _: documents)


def _answering(
    original: Original, kind: str, make_of: Callable[[Any], Callable[[Recalled], Any]]
) -> Original:
    def found() -> tuple[Session, Recalled] | None:
        step = current()
        is_asked = in_force() is not None and isinstance(step, OpenStep) and step.kind == kind
        return recalled(step) if is_asked and isinstance(step, OpenStep) else None

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asked_async(owner: Any, *args: Any, **kwargs: Any) -> Any:
            answer = found()
            if answer is None:
                return await original(owner, *args, **_edited_arguments(kwargs))
            return result_of(answer, make_of(owner))

        return asked_async

    @functools.wraps(original)
    def asked(owner: Any, *args: Any, **kwargs: Any) -> Any:
        answer = found()
        if answer is None:
            return original(owner, *args, **_edited_arguments(kwargs))
        return result_of(answer, make_of(owner))

    return asked


def _edited_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    session, step = in_force(), current()
    edit = None if session is None or not isinstance(step, OpenStep) else session.request_edit(step)
    return kwargs if edit is None else {**kwargs, **edit(kwargs)}


def _tool_result(tool: Any) -> Callable[[Recalled], Any]:
    def result(answer: Recalled) -> Any:
        content = answer.value()
        content = None if content is NOTHING else content
        if tool.response_format != "content_and_artifact":
            return content
        has_both = answer.is_other or answer.step.attributes.get(semconv.TOOL_ARTIFACT)
        return content if has_both and isinstance(content, tuple) else (content, None)

    return result
