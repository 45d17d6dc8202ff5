"""A step's own words without secrets: its name, its error, its attributes, its choices. Payloads are sealed without."""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING

from ormsgpack import packb

from becausal import semconv
from becausal.step import Attribute, Choice, OpenStep

if TYPE_CHECKING:
    from becausal.redaction.redactor import Redactor

__all__ = ["clean"]

IDS = frozenset((semconv.TRANSFER_SENT_BY, semconv.TRANSFER_RECEIVED_BY))
"""Attributes that are ids of ours, and others in each step; those of what was kept are digests."""

OURS = IDS | {semconv.REPLAY_OF, semconv.PACKAGES, semconv.RECORDED_BY, semconv.REDACTION_KEY}
"""Attributes whose words are ours alone."""

_EVIDENCE = attrgetter("evidence")

USUAL = frozenset(("handoff", "route"))
"""Kinds of steps that say the same as others of their name."""

FEW = 3
"""Attributes below which any other does; the more, the more are ids."""

MOST_SAID = 2048
"""Steps, and what shows their causes, of which it is remembered that it holds no secret."""

LONGEST_SAID = 1024
"""Bytes of what one of them says."""


def clean(step: OpenStep, redact: Redactor) -> None:
    """Replace every secret in what a step says of itself.

    Ids stay: a chain's, and the names by which a later run finds a step.
    """
    # A handoff's words come again with the next one of its agents, a plain step's with the next of its name, what shows
    # its causes with every step of the same causes. To look them up takes less than to look for secrets: RE2 lets other
    # threads run meanwhile, and they do.
    is_usual = step.kind in USUAL or len(step.attributes) < FEW
    known, words = redact.said, _words(step) if is_usual else None
    evidence = [*map(_EVIDENCE, step.causes)]
    try:
        if words in known and known.issuperset(evidence):
            return
    except TypeError:  # a list of an adapter's or of an import's, where a tuple should be
        words = None
    # All that it says is read at one go, ids included: what is found may be no secret, what is not found is nowhere.
    if redact.harmless.issuperset(step.attributes):
        said: list[object] = [step.name, step.agent, step.error, step.attributes, evidence]
        for choice in step.choices:
            said += (choice.conclusion, choice.reason, choice.premises)
        try:
            content = packb(said)
        except TypeError:  # half a surrogate pair, a number beyond 64 bits: read one by one
            content = None
        if content is not None and not redact.may_hold(content):
            if words is not None and len(content) <= LONGEST_SAID:
                if len(known) + len(evidence) >= MOST_SAID:
                    known.clear()
                # Not `redact.said`: what came to be known meanwhile is not looked for here.
                known.add(words)
                known.update(evidence)
            return
    _clean_each(step, redact)


def _words(step: OpenStep) -> tuple[object, ...] | None:
    """Return all that a step says beside what shows its causes, but for ids of ours; None where no other says it."""
    if step.error is not None:
        return None
    chosen: list[object] = []
    if step.choices:
        if step.kind != "route":  # which of a few is next: of any other choice the words are new
            return None
        for choice in step.choices:
            chosen += (choice.conclusion, choice.reason, choice.premises)
    said = step.attributes.copy()
    for name in IDS:
        said.pop(name, None)
    return step.name, step.agent, *said, *said.values(), *chosen


def _clean_each(step: OpenStep, redact: Redactor) -> None:
    for name in redact.secret_names(step.attributes):
        value = step.attributes[name]
        if type(value) is str and not _is_ours(name):
            step.attributes[name] = redact.under(name, value)
    if not redact.finds_in("\n".join(_texts(step))):  # as one text: that is read quicker than piece by piece
        return
    step.name = redact.text(step.name)
    step.agent = None if step.agent is None else redact.text(step.agent)
    step.error = None if step.error is None else redact.text(step.error)
    said = {
        redact.text(name): value if _is_ours(name) else _attribute(name, value, redact)
        for name, value in step.attributes.items()
    }
    step.attributes.clear()  # the same dict: whoever opened the step may go on writing to it
    step.attributes.update(said)
    step.choices = [_choice(choice, redact) for choice in step.choices]
    step.causes[:] = [
        dataclasses.replace(cause, evidence=redact.text(cause.evidence)) if cause.evidence else cause
        for cause in step.causes
    ]


def _texts(step: OpenStep) -> list[str]:
    """Return all that a step says, an attribute with its name in front."""
    said = [step.name]
    if step.agent is not None:
        said.append(step.agent)
    if step.error is not None:
        said.append(step.error)
    for name, value in step.attributes.items():
        if _is_ours(name):
            continue
        if type(value) is str:
            said.append(f"{name}={value}")
        elif type(value) is tuple:
            said += (name, *value)
        else:
            said.append(name)
    for choice in step.choices:
        said += (choice.conclusion, choice.reason or "", *choice.premises)
    said += [cause.evidence for cause in step.causes if cause.evidence]
    return said


def _is_ours(name: str) -> bool:
    return name in OURS or name.startswith(semconv.KEPT)


def _attribute(name: str, value: Attribute, redact: Redactor) -> Attribute:
    if isinstance(value, str):
        return redact.under(name, value)
    return tuple(map(redact.text, value)) if isinstance(value, tuple) else value


def _choice(choice: Choice, redact: Redactor) -> Choice:
    return dataclasses.replace(
        choice,
        conclusion=redact.text(choice.conclusion),
        premises=tuple(map(redact.text, choice.premises)),
        reason=None if choice.reason is None else redact.text(choice.reason),
    )
