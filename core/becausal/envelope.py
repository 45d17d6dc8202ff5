"""What `handoff` puts beside a payload so that `receive` can join the two ends, in whichever process they are.

Both ends write to the same handoff step: the sender what was sent, the receiver what arrived. The store merges the
two by the step's id, so it does not matter which end is written first, or by which process.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from becausal import clock, semconv
from becausal.canonical import parse_digest
from becausal.context import StepScope, current
from becausal.errors import BecausalWarning, EnvelopeError
from becausal.payload import Payload
from becausal.propagation import inject, remote_step
from becausal.recorder import Opening, Recorder
from becausal.step import Cause, OpenStep, RemoteStep, StepRef

__all__ = ["Sent", "payload_of", "send", "told"]

log: logging.Logger = logging.getLogger("becausal")

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """The sender's end of a handoff, as its envelope tells it."""

    handoff: RemoteStep
    sender: str
    receiver: str
    parent_id: str | None
    started_ns: int
    payload: Payload
    redaction: str | None = None
    """What tells the key under which it was redacted from others; None: nothing in it was."""

    @classmethod
    def read(cls, context: object) -> Sent | None:
        """Return what an envelope's context says; None, with a warning, where it is missing or damaged."""
        try:
            if not isinstance(context, Mapping):
                raise ValueError("its 'becausal' part is missing, or no mapping")
            if context["format"] != FORMAT:
                raise ValueError(f"its format is {context['format']!r}; this becausal reads {FORMAT}")
            step = remote_step(context)
            if step is None:
                raise ValueError("its tracestate names no step")
            return cls(
                handoff=step,
                sender=_text(context, "sender"),
                receiver=_text(context, "receiver"),
                parent_id=_step_id(context),
                started_ns=_number(context, "started_ns"),
                payload=Payload(
                    _digest(context, "digest"),
                    _digest(context, "belief"),
                    _number(context, "size"),
                    _text(context, "type"),
                ),
                redaction=_redaction(context),
            )
        except (ValueError, LookupError, TypeError) as flaw:
            why = f"it has no {flaw}" if isinstance(flaw, KeyError) else flaw
            _warn(
                f"an envelope cannot be joined to its sender ({why}); its payload is given all the same, and the "
                "receiver's turn starts without a cause. Send what becausal.handoff() returned, whole."
            )
            return None

    def join(self, opening: Opening) -> None:
        """Make a receiver's turn part of the sender's chain, caused by this handoff."""
        clock.witness(self.handoff.seq)
        here = current()
        if here is None or here.chain_id != self.handoff.chain_id:
            opening.chain_id = self.handoff.chain_id
            parent_id = self.parent_id or self.handoff.id
            opening.parent = RemoteStep(
                parent_id, self.handoff.chain_id, self.handoff.seq, self.handoff.hop,
                span_context=self.handoff.span_context,
            )  # fmt: skip
        opening.causes = (
            *opening.causes,
            Cause(self.handoff.id, "transfer", "declared", "envelope", self.handoff.span_context),
        )
        opening.attributes |= {semconv.TRANSFER_SOURCE: self.sender}

    def arrived(self, recorder: Recorder, receiver: OpenStep) -> None:
        """Write the receiver's end of the handoff."""
        receiver.hop = max(receiver.hop, self.handoff.hop)
        step = self.half()
        step.produced = receiver.received
        step.attributes[semconv.TRANSFER_RECEIVED_BY] = receiver.id
        if receiver.received is not None:
            step.attributes[semconv.TRANSFER_EQUAL] = self.payload.digest == receiver.received.digest
        step.ended_ns, step.status = receiver.started_ns, "ok"
        recorder.write(step)

    def half(self) -> OpenStep:
        """Return the receiver's half of the handoff, still open; the store joins it to the sender's by its id."""
        step = OpenStep(
            id=self.handoff.id,
            chain_id=self.handoff.chain_id,
            kind="handoff",
            name=f"{self.sender} to {self.receiver}",
            agent=self.sender,
            parent_id=None,  # the sender's end knows it
            hop=self.handoff.hop,
            seq=self.handoff.seq,
            started_ns=self.started_ns,
        )
        step.span_context = self.handoff.span_context
        step.received = self.payload
        step.attributes = _attributes(self.sender, self.receiver)
        if self.redaction is not None and _redaction_key() not in (None, self.redaction):
            step.attributes[semconv.TRANSFER_KEYS] = True
        return step


def send(recorder: Recorder, sender: str, receiver: str, payload: object) -> dict[str, str | int] | None:
    """Record the sender's end of a handoff; returns the context for its envelope."""
    here = current()
    step = recorder.handoff(
        sender,
        receiver,
        payload,
        sent_by=here,
        parent=here,
        attributes=_attributes(sender, receiver),
    )
    if step is None or step.received is None:
        return None
    parent_id = (here.parent_id or here.id) if isinstance(here, OpenStep) else (here.id if here else "")
    context_of = told(step, step.received, sender, receiver, parent_id, step.started_ns)
    recorder.end(step)
    return context_of


def told(
    step: StepRef, sent: Payload, sender: str, receiver: str, parent_id: str, started_ns: int
) -> dict[str, str | int]:
    """Return what `Sent.read` reads: of a handoff that has not ended yet, or of the step that sends."""
    carrier: dict[str, str] = {}
    with StepScope(step):
        inject(carrier)
    return {
        "format": FORMAT,
        "sender": sender,
        "receiver": receiver,
        "parent": parent_id,
        "started_ns": started_ns,
        "digest": sent.digest,
        "belief": sent.belief,
        "size": sent.size,
        "type": sent.type_name,
        **({} if (key := _redaction_key()) is None else {"redaction": key}),
        **carrier,
    }


def payload_of(envelope: object) -> object:
    """Return the payload of an envelope.

    Raises:
        EnvelopeError: it holds none.
    """
    if isinstance(envelope, Mapping) and "payload" in envelope:
        return envelope["payload"]
    what = f"of type {type(envelope).__name__}"
    if isinstance(envelope, Mapping):
        what += f", with the keys {sorted(map(str, envelope))}"
    raise EnvelopeError(
        "receive() takes what becausal.handoff() returned, or the same dict read back from JSON: a mapping with "
        f"'payload' and 'becausal'. This one is {what}."
    )


# What a wire brings is checked before it is kept: a store refuses what is of another type or size.


def _text(context: Mapping[str, object], key: str) -> str:
    value = context[key]
    if not isinstance(value, str):
        raise TypeError(f"its {key!r} is no text")
    return value


def _number(context: Mapping[str, object], key: str) -> int:
    value = context[key]
    if not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise ValueError(f"its {key!r} is no such number")
    return value


def _redaction(context: Mapping[str, object]) -> str | None:
    key = context.get("redaction")
    return key if isinstance(key, str) and re.fullmatch("[0-9a-f]{8}", key) else None


def _redaction_key() -> str | None:
    from becausal.redaction import in_force  # here: `import becausal` need not wait for it

    redactor = in_force()
    return None if redactor is None else redactor.key_id


def _digest(context: Mapping[str, object], key: str) -> str:
    text = _text(context, key)
    parse_digest(text)
    return text


def _step_id(context: Mapping[str, object]) -> str | None:
    text = context.get("parent") or None
    if text is not None and not (isinstance(text, str) and re.fullmatch(r"[0-9a-f]{16}", text)):
        raise ValueError("its 'parent' is no step")
    return text


def _attributes(sender: str, receiver: str) -> dict[str, str | bool | int | float | tuple[str, ...]]:
    return {
        semconv.TRANSFER_SOURCE: sender,
        semconv.TRANSFER_TARGET_OWN: receiver,
        semconv.TRANSFER_TARGET: receiver,
    }


def _warn(text: str) -> None:
    """Warn; where warnings are errors, log: the payload must reach the receiver."""
    try:
        warnings.warn(text, BecausalWarning, stacklevel=7)  # who entered `receive`
    except BecausalWarning:
        log.warning(text)
