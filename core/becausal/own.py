"""For code of one's own, and frameworks that becausal does not know.

Everything here works the same before `becausal.instrument()`: it runs the app's code and records nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from becausal import canonical, clock, context, guard, semconv
from becausal.afterwards import Check
from becausal.envelope import Sent, payload_of, send
from becausal.instrument import active_recorder
from becausal.observation import Answer
from becausal.payload import text_of
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Choice, OpenStep
from becausal.validators import validator

__all__ = ["OpenTurn", "agent", "chain", "decide", "handoff", "receive", "returned", "tool"]

F = TypeVar("F", bound=Callable[..., Any])

Naming = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]
"""Gives a call's arguments by name."""


class OpenTurn:
    """A request or a turn that is going on."""

    def __init__(self, recorder: Recorder | None, step: OpenStep | None) -> None:
        self._recorder, self.step = recorder, step

    @property
    def id(self) -> str | None:
        """The step's id; None where nothing is recorded."""
        return None if self.step is None else self.step.id

    @property
    def chain_id(self) -> str | None:
        """The chain that it belongs to; None where nothing is recorded."""
        return None if self.step is None else self.step.chain_id

    def decide(
        self,
        conclusion: str,
        *,
        because: Iterable[object] = (),
        reason: str | None = None,
        confidence: float | None = None,
    ) -> None:
        """Note a decision of this turn; see `becausal.decide`."""
        if self.step is not None:
            _note_decision(self._recorder, self.step, conclusion, because, reason, confidence)

    def returned(self, value: object) -> None:
        """Say what the turn produced; it is sealed as it is now. The last one counts."""
        if self.step is not None:
            _produce(self._recorder, self.step, value)


@contextmanager
def chain(request: str, *, id: str | None = None, received: object = NOTHING) -> Iterator[OpenTurn]:
    """Open a chain: everything inside stems from this request, in whichever thread, task or process it runs.

    Args:
        request: what was asked, in words.
        id: the chain's id, where the app has one of its own; else 32 random hexadecimal digits.
        received: the request's content, where it is more than its words.
    """

    def opening() -> Opening:
        return Opening(
            "request",
            request,
            received=request if received is NOTHING else received,
            chain_id=id or clock.new_chain_id(),
            attributes={semconv.OWN_CODE: True},
        )

    with _turn(opening) as turn:
        yield turn


@contextmanager
def agent(name: str, *, received: object = NOTHING) -> Iterator[OpenTurn]:
    """Open an agent's turn; it ends with the block.

    Args:
        name: the agent's name.
        received: what it was given to work with, sealed as it is now.
    """

    def opening() -> Opening:
        return Opening("agent", name, agent=name, received=received, attributes={semconv.OWN_CODE: True})

    with _turn(opening) as turn:
        yield turn


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(*, name: str | None = None, validate: Iterable[Check] = ()) -> Callable[[F], F]: ...
def tool(
    function: F | None = None, /, *, name: str | None = None, validate: Iterable[Check] = ()
) -> F | Callable[[F], F]:
    """Record every call of a function as a tool call: a function, a coroutine, a generator or an async generator.

    The function stays what it is under `inspect`. Arguments are kept by name, as they were given.

    Args:
        name: what its calls are to be called; else the function's name.
        validate: checks of what it answers; see `becausal.validator`.
    """
    if function is None:
        return lambda undecorated: tool_named(undecorated, name, validate)
    return tool_named(function, name, validate)


def tool_named(function: F, name: str | None, validate: Iterable[Check] = ()) -> F:
    """Return a function that records its calls under a tool name."""
    called = str(name or getattr(function, "__name__", type(function).__name__))
    for check in validate:
        validator(called)(check)
    stand_in = _stood_for(function, called)
    return function if stand_in is None else stand_in


@guard.guarded
def _stood_for(function: F, called: str) -> F:
    from becausal.standin import FunctionStandIn  # here: `import becausal` need not wait for wrapt

    seam = _seam_for(function)
    answers = _items if seam.endswith("stream") else _result
    named: dict[bool, Naming] = {}  # by whether it is bound: the parameters are the same every time

    def observed(wrapped: Any, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        recorder = _recorder()
        if recorder is None:
            return wrapped(*args, **kwargs)

        def opened(*args: Any, **kwargs: Any) -> Opening:
            by_name = named.get(instance is None)
            if by_name is None:
                by_name = named[instance is None] = _naming(wrapped)
            return Opening("tool", called, received=by_name(args, kwargs))

        def closed(step: OpenStep, result: Any) -> Any:
            recorder.keep(step, "answer", result, unless_sorted=True)
            return result

        replaying = recorder.replaying  # read once: another thread's replay may end meanwhile
        if replaying is not None:
            # Not guarded: where an edit of the replay's fails, that is what it tells.
            args, kwargs = replaying.calling(opened(*args, **kwargs), recorder.seal, wrapped, args, kwargs)
        seen = Observation(opened, closed, answers=answers)
        return getattr(recorder, seam)(seen, wrapped, *args, **kwargs)

    return FunctionStandIn(function, observed)  # type: ignore[return-value]


def decide(
    conclusion: str,
    *,
    because: Iterable[object] = (),
    reason: str | None = None,
    confidence: float | None = None,
) -> None:
    """Note a decision on the step that is current; outside every step it is not noted.

    Args:
        conclusion: what was decided, in a few words.
        because: the premises: texts, or values whose content stands for itself.
        reason: the reasoning, where it is known.
        confidence: 0 to 1, where the app knows it.
    """
    _note_decision(_recorder(), None, conclusion, because, reason, confidence)


def returned(value: object) -> None:
    """Say what the current step produced, where its block gives no turn to say it on, as in `receive`."""
    _produce(_recorder(), None, value)


def handoff(sender: str, receiver: str, payload: object) -> dict[str, object]:
    """Hand a payload over; returns the envelope to send, which `receive` opens.

    The envelope is a dict: `payload` as it was given, and `becausal`, texts and numbers that carry the context. It
    is JSON-able where the payload is.
    """
    recorder = _recorder()
    context_of = None if recorder is None else _send(recorder, sender, receiver, payload)
    return {"payload": payload} if context_of is None else {"payload": payload, "becausal": context_of}


@contextmanager
def receive(receiver: str, envelope: Mapping[str, Any]) -> Iterator[Any]:
    """Open the receiver's turn with what an envelope holds; gives the payload.

    Raises:
        EnvelopeError: this is no envelope at all, so there is no payload to give. One whose context is damaged is
            warned of, and the payload is given all the same.
    """
    payload = payload_of(envelope)
    recorder = _recorder()
    sent = None if recorder is None else _read(envelope)
    opening = None if recorder is None else _arrival(receiver, payload, sent)
    replaying = None if recorder is None else recorder.replaying
    if recorder is not None and opening is not None and replaying is not None:
        # Not guarded: where an edit of the replay's fails, that is what it tells.
        opening.received = payload = replaying.arriving(opening, recorder.seal)
    with _turn(lambda: opening) as turn:
        if recorder is not None and sent is not None and turn.step is not None:
            _arrived(recorder, sent, turn.step)
        yield payload


# Inside


def _result(answer: Answer) -> Any:
    return answer.value()


def _items(answer: Answer) -> Any:
    items = answer.value()
    return items if isinstance(items, list) else []


# What an app calls holds nothing but its own code and calls of what is guarded: whatever fails below, it goes on.


@contextmanager
def _turn(opening: Callable[[], Opening | None]) -> Iterator[OpenTurn]:
    recorder = _recorder()
    step = None if recorder is None else _begin(recorder, opening)
    if recorder is None or step is None:
        yield OpenTurn(recorder, None)
        return
    try:
        with context.StepScope(step):
            yield OpenTurn(recorder, step)
    except BaseException as error:
        _end(recorder, step, error)
        raise
    _end(recorder, step, None)


@guard.guarded
def _recorder() -> Recorder | None:
    recorder = active_recorder()
    return recorder if isinstance(recorder, Recorder) else None


@guard.guarded
def _begin(recorder: Recorder, opening: Callable[[], Opening | None]) -> OpenStep | None:
    opened = opening()
    step = None if opened is None else recorder.begin(opened)
    return step if isinstance(step, OpenStep) else None


@guard.guarded
def _read(envelope: Mapping[str, Any]) -> Sent | None:
    return Sent.read(envelope.get("becausal"))


@guard.guarded
def _arrival(receiver: str, payload: object, sent: Sent | None) -> Opening:
    opening = Opening("agent", receiver, agent=receiver, received=payload)
    if sent is not None:
        sent.join(opening)
    return opening


@guard.guarded
def _end(recorder: Recorder, step: OpenStep, error: BaseException | None) -> None:
    recorder.end(step, error=error)


@guard.guarded
def _produce(recorder: Recorder | None, step: OpenStep | None, value: object) -> None:
    """Note what a step produced; None means the step that is current."""
    step = _here() if step is None else step
    if recorder is not None and step is not None:
        recorder.produce(step, value)


@guard.guarded
def _send(recorder: Recorder, sender: str, receiver: str, payload: object) -> dict[str, str | int] | None:
    return send(recorder, sender, receiver, payload)


@guard.guarded
def _arrived(recorder: Recorder, sent: Sent, receiver: OpenStep) -> None:
    sent.arrived(recorder, receiver)


@guard.guarded
def _note_decision(
    recorder: Recorder | None,
    step: OpenStep | None,
    conclusion: str,
    because: Iterable[object],
    reason: str | None,
    confidence: float | None,
) -> None:
    """Note a decision on a step; None means the step that is current."""
    step = _here() if step is None else step
    if recorder is None or step is None:
        return
    premises = (because,) if isinstance(because, str) else because
    score = None if confidence is None or confidence != confidence else min(1.0, max(0.0, float(confidence)))
    recorder.decide(
        step,
        Choice(
            str(conclusion),
            tuple(_head(premise) for premise in premises),
            reason,
            score,
            None if score is None else "declared",
        ),
    )


def _here() -> OpenStep | None:
    step = context.current()
    return step if isinstance(step, OpenStep) else None


def _head(premise: object) -> str:
    # By way of the canonical form: no code of the app's classes runs.
    from becausal.redaction import beginning  # here: as where it is started

    return beginning(text_of(canonical.plain(premise)))


def _seam_for(function: Any) -> str:
    if isinstance(function, staticmethod | classmethod):
        function = function.__func__
    # An object may be called like a function.
    for one in (function, function if inspect.isroutine(function) else type(function).__call__):
        if inspect.isasyncgenfunction(one):
            return "astream"
        if inspect.isgeneratorfunction(one):
            return "stream"
        if inspect.iscoroutinefunction(one):
            return "acall"
    return "call"


def _naming(function: Callable[..., Any]) -> Naming:
    """Return what gives a call's arguments by name."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return _numbered

    plain = all(one.kind is one.POSITIONAL_OR_KEYWORD for one in signature.parameters.values())
    names = tuple(signature.parameters) if plain else ()

    def by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if names and not kwargs and len(args) == len(names):  # as most are called
            return dict(zip(names, args, strict=True))
        try:
            return dict(signature.bind(*args, **kwargs).arguments)
        except TypeError:  # a call that does not fit: the function itself will say so
            return _numbered(args, kwargs)

    return by_name


def _numbered(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**{str(index): value for index, value in enumerate(args)}, **kwargs}
