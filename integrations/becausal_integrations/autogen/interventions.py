"""Intervention handlers: which of them changed a message, dropped it, or refused it.

`SingleThreadedAgentRuntime._process_next` (autogen-core 0.7) takes a message from the queue and shows it to each
handler, in a task in which no sender's context is left; one that a handler drops never gets to what would deliver it.
So what the handlers do is gathered around that method, and put on the message that gets through, or told of its loss.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal.canonical import digest_text, encode
from becausal.context import context_now
from becausal.recorder import Recorder
from becausal_integrations.autogen.carrier import Carrier, carrier_of
from becausal_integrations.autogen.protobuf import plain
from becausal_integrations.patch import Make, Notice, noticing

__all__ = ["INTERVENTION", "UNDONE", "Interventions"]

INTERVENTION = "autogen.intervention"
"""The classes of the intervention handlers that changed, dropped or refused a message."""

UNDONE = "autogen.intervention.undone"
"""Those whose changed copy was not delivered: a later handler is given the original again, and its result counts
(autogen-core 0.7, `_process_next`)."""

_HANDLERS = operator.attrgetter("_intervention_handlers")
"""Returns a runtime's intervention handlers; None where it has none, as nearly all."""

_JUDGING = otel_context.create_key("becausal-autogen-judging")


class Verdict(NamedTuple):
    """What one intervention handler did to a message."""

    handler: str
    at: int
    """Its place among the handlers that ran."""
    what: str
    """`edited` in place, `replaced` by another, `dropped`, or `raised` and the exception's type."""


class Judging:
    """A message that intervention handlers are looking at."""

    def __init__(self) -> None:
        self.envelope: Any = None
        self.verdicts: list[Verdict] = []
        self.ran = 0


class Interventions:
    """Tells what intervention handlers did to messages."""

    def __init__(self, lost: Callable[[Carrier, str, object], None]) -> None:
        self._lost = lost
        self.next = Notice(self._judging, self._judged, within=_with_judging, when=_HANDLERS)
        self.handler = Notice(self._shown, self._decided)
        self.at_work = 0
        """How many messages handlers are looking at."""

    def taking(self, recorder: Recorder) -> Make:
        """Return what makes the hook of a runtime's queue, which is asked for every message."""

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            looked_at = noticing(recorder, original, Notice(after=_taken))

            @functools.wraps(original)
            def taken(*args: Any, **kwargs: Any) -> Any:
                return (looked_at if self.at_work else original)(*args, **kwargs)

            return taken

        return make

    def _judging(self, _: Any) -> Judging:
        self.at_work += 1
        return Judging()

    def _shown(self, handler: Any, message: Any, *_: Any, **__: Any) -> tuple[str, Any, str] | None:
        judging = _judging_here()
        if judging is None:
            return None
        judging.ran += 1
        return type(handler).__name__, message, _digest(message)

    def _decided(self, shown: tuple[str, Any, str] | None, result: Any, error: BaseException | None) -> None:
        judging = _judging_here()
        if shown is None or judging is None:
            return
        what = self._what(shown[1], shown[2], result, error)
        if what:
            judging.verdicts.append(Verdict(shown[0], judging.ran, what))

    def _what(self, message: Any, digest: str, result: Any, error: BaseException | None) -> str:
        from autogen_core import DropMessage

        if error is not None:
            return f"raised {type(error).__qualname__}"
        if result is DropMessage or isinstance(result, DropMessage):
            return "dropped"
        if _digest(message) != digest:
            return "edited"
        replaced = result is not message and _digest(result) != digest
        return "replaced" if replaced else ""

    def _judged(self, judging: Judging | None, _: None, error: BaseException | None) -> None:
        """Tell of a message that no handler let through: it never gets to what would deliver it."""
        if judging is None:
            return
        self.at_work -= 1
        if judging.envelope is None or not judging.verdicts:
            return
        last = judging.verdicts[-1]
        if last.what == "dropped" or last.what.startswith("raised"):
            carrier = carrier_of(judging.envelope)
            if carrier is not None and carrier.step is not None:
                carrier.note(INTERVENTION, (last.handler,))
                self._lost(carrier, f"{last.what} by an intervention handler", judging.envelope.message)

    def passed(self, carrier: Carrier, envelope: Any) -> None:
        """Note on a message what the handlers that let it through did to it."""
        judging = _judging_here()
        if judging is None or judging.envelope is not envelope or not judging.verdicts:
            return
        undone = [v.handler for v in judging.verdicts if v.what == "replaced" and v.at < judging.ran]
        done = [v.handler for v in judging.verdicts if v.what == "edited" or v.at == judging.ran]
        for name, handlers in ((INTERVENTION, done), (UNDONE, undone)):
            if handlers:
                carrier.note(name, tuple(dict.fromkeys(handlers)))
        carrier.as_it_left = None


def _judging_here() -> Judging | None:
    return context_now().get(_JUDGING)  # type: ignore[return-value]


def _with_judging(judging: Judging | None) -> Context | None:
    return None if judging is None else otel_context.set_value(_JUDGING, judging)


def _taken(_: None, envelope: Any, error: BaseException | None) -> None:
    """Note which message the handlers are about to look at: the runtime takes it from its queue and tells nobody."""
    judging = _judging_here()
    if judging is not None and error is None:
        judging.envelope = envelope


def _digest(message: object) -> str:
    """Return a message's digest. Not by the recorder's seal, which gives a body once, to whoever keeps it."""
    return digest_text(encode(plain(message)).digest)
