"""What is wrong with a handoff: the payload that was sent against the one that arrived.

Digests first: equal means done. Else what was sent is looked for in what arrived (`becausal.findings.values`), then
what its texts state (`becausal.findings.texts`), then what the app declared, then what the record says of the way:

    a graph's state     what a node wrote is merged with what others wrote by rules of the app's; a field is judged only
                        where its version shows that nobody else wrote it. A field that is in the state and that the
                        receiver's schema leaves out was left out on purpose; one that never came into it was dropped.
    a message           arrives as it was sent, and nothing is merged with it: what came in beside it is told as well,
                        if it states anything that the run had not said before.

The culprit is the step that the record names (an edit in place), else the way itself: then `agent` is None and the step
is the handoff's own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from becausal import facts as stating
from becausal import semconv
from becausal.facts import Fact
from becausal.facts.compare import WEAK
from becausal.finding import Finding, FindingKind, Severity
from becausal.findings.loss import Loss, LossKind, shown
from becausal.findings.scene import LARGEST, Scene, noted, versions
from becausal.findings.values import Budget, losses, mark_of
from becausal.handoff import Handoff
from becausal.payload import text_of
from becausal.redaction.alike import alike
from becausal.step import Step

__all__ = ["KIND", "LARGEST", "Scene", "is_allowed", "judged", "of_handoffs"]

DROPPED_KEYS: Final = "dropped_keys"
EDITED_BY: Final = "edited_by"
MOST_HANDOFFS: Final = 5_000
"""So many handoffs of a run are compared."""
MOST_LOSSES: Final = 20
"""So many losses of one handoff are told."""
MOST_QUOTED: Final = 10
"""So many facts of one loss are quoted."""

KIND: Final[dict[str, FindingKind]] = {
    "truncated": "handoff.truncated",
    "dropped": "handoff.dropped",
    "flattened": "handoff.flattened",
    "reordered": "handoff.reordered",
    "duplicated": "handoff.duplicated",
    "injected": "handoff.injected",
    "mutated": "handoff.mutated",
}


def of_handoffs(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with what a run's handoffs brought."""
    for handoff in scene.handoffs[:MOST_HANDOFFS]:
        yield from judged(handoff, scene)


ALLOWS: Final[Mapping[str, frozenset[LossKind]]] = {
    "drop": frozenset(("dropped",)),
    "trim": frozenset(("truncated", "dropped")),
    "redact": frozenset(("mutated", "truncated", "dropped")),
    "summarise": frozenset(("mutated", "truncated", "dropped", "flattened", "reordered")),
    "reorder": frozenset(("reordered",)),
}
"""What each word of a contract lets happen."""


def judged(handoff: Handoff, scene: Scene) -> list[Finding]:
    """Return what is wrong with what a handoff brought; nothing where it is as it should be or cannot be told."""
    sent, received = handoff.sent, handoff.received
    if sent is None or received is None or handoff.intended:
        return []
    if sent.digest == received.digest or sent.belief == received.belief:
        return []
    if not sent.is_kept or not received.is_kept:
        return []
    if max(sent.size, received.size) > LARGEST:
        return [_not_judged(handoff, f"{max(sent.size, received.size)} bytes")]
    budget = Budget()
    given, got = alike(scene.value(sent), scene.value(received), two_keys=handoff.has_two_keys)
    found = list(_Judge(handoff, scene, budget).losses(given, got))
    findings = [_finding(loss, handoff, scene) for loss in found[:MOST_LOSSES]]
    if budget.is_spent:
        findings.append(_not_judged(handoff, "more values than are compared"))
    return findings


class _Judge:
    """One handoff, and what the record says of its way."""

    def __init__(self, handoff: Handoff, scene: Scene, budget: Budget) -> None:
        self.handoff, self.scene, self.budget = handoff, scene, budget
        self.written = versions(handoff.sent_by, semconv.STATE_WRITTEN)
        self.read = versions(handoff.received_by, semconv.STATE_READ)

    def losses(self, sent: Any, received: Any) -> Iterator[Loss]:
        is_state = bool(self.read) and isinstance(sent, Mapping) and isinstance(received, Mapping)
        if is_state:
            sent = self.settled(sent, received)
        for loss in losses(sent, received, self.budget, is_aligned=is_state):
            if loss.kind != "injected" or self.is_new(loss.facts, sent):
                yield loss
        if not is_state and not self.budget.is_spent:
            yield from self.came_in(sent, received)

    def settled(self, sent: Mapping[Any, Any], received: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the fields of an update that must have arrived as they were sent."""
        dropped = (
            frozenset(noted(self.handoff.sent_by, DROPPED_KEYS) or ())
            if self.handoff.sent_by
            else frozenset()
        )
        before = self.before()
        kept: dict[Any, Any] = {}
        for key, value in sent.items():
            if key not in self.written and self.written:
                if key in dropped or key not in received:
                    kept[key] = value  # it never came into the state
            elif key not in self.read:
                continue  # it is in the state; the receiver's schema leaves it out
            elif self.is_of_the_sender(str(key)) and not _is_merged(
                before.get(key), value, received.get(key)
            ):
                kept[key] = value
        return kept

    def is_of_the_sender(self, key: str) -> bool:
        """Say whether the version of a field that was read is the sender's, and nobody else's."""
        version = self.written.get(key)
        if version is None or self.read.get(key) != version:
            return False
        return self.scene.writers[key, version] == 1

    def before(self) -> Mapping[Any, Any]:
        """Return the state as the sender read it."""
        step = self.handoff.sent_by
        payload = None if step is None else step.received
        if payload is None or not payload.is_kept or payload.size > LARGEST:
            return {}
        value = self.scene.value(payload)
        return value if isinstance(value, Mapping) else {}

    def came_in(self, sent: Any, received: Any) -> Iterator[Loss]:
        """Yield what arrived beside a message and was not sent: items and fields that state something new."""
        for at, value in _beside(sent, received, self.budget):
            stated = tuple(f for f in stating.facts(value) if f.kind not in ("name", "term", "time"))
            words = len(text_of(value).split())
            if stated and self.is_new(stated, sent):
                yield Loss("injected", at, None, value, 0.8, stated)
            elif not stated and words >= 4 and not self.was_said(value):
                yield Loss("injected", at, None, value, 0.5)

    def is_new(self, facts: tuple[Fact, ...], sent: object) -> bool:
        """Say whether nobody stated these facts before they arrived."""
        step, first = self.handoff.received_by or self.handoff.step, self.scene.first_said
        if first is None:
            return False
        known = {fact.key for fact in stating.facts(sent)} | {("date", date, False) for date in _days(step)}
        # Others who read the same field beside this receiver have it from the same way.
        sender = self.handoff.sent_by
        since = step.seq if sender is None else min(step.seq, self.scene.ends[sender.id] + 1)
        return any(fact.key not in known and first.get(fact.key, since) >= since for fact in facts)

    def was_said(self, value: object) -> bool:
        """Say whether somebody had said it before it arrived."""
        text, step = " ".join(text_of(value).split()), self.handoff.received_by or self.handoff.step
        rows = self.scene.payloads
        return not rows or any(
            since < step.seq and text in " ".join(payload.text().split()) for since, payload in rows
        )


def _is_merged(before: Any, sent: Any, received: Any) -> bool:
    """Say whether a field is what a reducer made of what stood there and what was sent."""
    if before is None or received is None:
        return False
    try:
        if (
            isinstance(sent, int | float)
            and isinstance(before, int | float)
            and isinstance(received, int | float)
        ):
            return received in (
                before + sent,
                max(before, sent),
                min(before, sent),
                before - sent,
                before * sent,
            )
        if isinstance(sent, str) and isinstance(before, str) and isinstance(received, str):
            if not before.strip():
                return False  # nothing to merge with: what else arrives came in on the way
            return sent in received and before in received
        if isinstance(sent, bool):
            return received in (before or sent, before and sent)
    except (TypeError, ArithmeticError):
        return False
    return False


def _beside(sent: Any, received: Any, budget: Budget) -> Iterator[tuple[tuple[object, ...], Any]]:
    """Yield the items and fields that only the second of two values of one shape has."""
    todo: list[tuple[tuple[object, ...], Any, Any]] = [((), sent, received)]
    while todo and not budget.is_spent:
        at, a, b = todo.pop()
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            shared = [key for key in b if key in a]
            if a and not shared:
                continue
            yield from (((*at, key), b[key]) for key in b if key not in a)
            todo += [((*at, key), a[key], b[key]) for key in shared]
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            here = {mark_of(item, budget) for item in a}
            new = [place for place, item in enumerate(b) if mark_of(item, budget) not in here]
            # An item in the place of another one is that one, changed.
            yield from (
                ((*at, place), b[place]) for place in new[max(0, len(new) - max(0, len(b) - len(a))) :]
            )
        elif a is None and b is not None and at:
            yield at, b


def _days(step: Step) -> Iterator[tuple[int, int, int]]:
    """Yield the days around a step: a date of today is what templates and clocks put in."""
    day = dt.datetime.fromtimestamp(step.started_ns / 1e9, dt.UTC).date()
    for shift in (-1, 0, 1):
        other = day + dt.timedelta(days=shift) if day.year > 1 else day
        yield other.year, other.month, other.day


def _finding(loss: Loss, handoff: Handoff, scene: Scene) -> Finding:
    culprit = _culprit(handoff, loss, scene)
    step = culprit or handoff.step
    where = f"from {handoff.sender or 'outside'} to {handoff.receiver or 'nobody'}"
    return Finding(
        kind=KIND[loss.kind],
        severity=_severity(loss, handoff, scene),
        confidence=loss.confidence,
        step=step,
        message=f"{_told(loss)} on the way {where}{_by(culprit)}.",
        evidence=(*_evidence(loss), *_changed_by(handoff)),
        agent=None if culprit is None else culprit.agent,
        key=loss.path,
        path=tuple(s for s in (handoff.sent_by, handoff.step, handoff.received_by) if s is not None),
        wrong=_quoted((*loss.facts, *loss.instead) if loss.before is None else loss.instead),
        right=_quoted(() if loss.before is None else loss.facts),
    )


def _culprit(handoff: Handoff, loss: Loss, scene: Scene) -> Step | None:
    """Return who edited the payload in place, or whose output never came into the state, where the record says so."""
    editor = noted(handoff.step, EDITED_BY)
    if isinstance(editor, str) and editor in scene.graph:
        return scene.graph.step(editor)
    if loss.kind == "mutated" and loss.at and handoff.sent_by is not None and handoff.received_by is not None:
        for step in reversed(scene.graph.nodes):
            between = handoff.sent_by.seq < step.seq < handoff.received_by.seq
            if between and step.kind == "memory_write" and _edits(step, loss.at[0]):
                return scene.graph.parent(step) or step
    sender = handoff.sent_by
    if loss.kind != "dropped" or len(loss.at) != 1 or sender is None:
        return None
    return sender if loss.at[0] in (noted(sender, DROPPED_KEYS) or ()) else None


def _edits(step: Step, key: object) -> bool:
    """Say whether a step is an edit in place of a field of a state."""
    name = str(step.attributes.get(semconv.MEMORY_RECORD, "")).partition("/")[0]
    return step.attributes.get(semconv.MUTATED) is True and name == str(key)


def _changed_by(handoff: Handoff) -> Iterator[str]:
    """Yield who the framework says changed what was on its way."""
    handlers = noted(handoff.step, "intervention")
    if isinstance(handlers, tuple):
        yield f"changed on its way by: {', '.join(handlers)}"


def _by(culprit: Step | None) -> str:
    return "" if culprit is None else f", by {culprit.agent or culprit.name}"


def _told(loss: Loss) -> str:
    what = loss.path if loss.at else "the payload"
    lost, new = _named(loss.facts), _named(loss.instead)
    match loss.kind:
        case "truncated":
            return f"{what} was cut off" + (f" and lost {lost}" if lost else "")
        case "dropped":
            return f"{what} was dropped" if loss.after is None else f"{what} lost {lost}"
        case "flattened":
            return f"{what} lost its type ({loss.why})" + (f" and {lost}" if lost else "")
        case "reordered":
            return f"{what} came in another order"
        case "duplicated":
            return f"{what} came more often than it was sent"
        case "injected":
            return f"{what} came in that nobody had sent" + (f": {lost}" if lost else "")
    return f"{what} was changed" + (f": {lost} became {new}" if lost and new else "")


def _named(facts: Iterable[Fact]) -> str:
    rows = list(dict.fromkeys(" ".join(fact.text.split()) for fact in facts))
    return ", ".join(rows[:5]) + (", …" if len(rows) > 5 else "")


def _quoted(facts: Iterable[Fact]) -> tuple[str, ...]:
    return tuple(shown(fact.text) for fact in islice(facts, MOST_QUOTED))


def _evidence(loss: Loss) -> Iterator[str]:
    if loss.why:
        yield shown(loss.why)
    for fact in loss.facts[:MOST_QUOTED]:
        yield f"{'states' if loss.before is None else 'stated'}: {shown(fact.text)}"
    for fact in loss.instead[:MOST_QUOTED]:
        yield f"instead: {shown(fact.text)}"
    if loss.before is not None:
        yield f"before: {shown(loss.before)}"
    if loss.after is not None:
        yield f"after: {shown(loss.after)}"


def _severity(loss: Loss, handoff: Handoff, scene: Scene) -> Severity:
    """Return `error` where it reached the output: something false is in it, or something is missing from it."""
    if is_allowed(loss, handoff):
        return "note"
    receiver = handoff.received_by
    if receiver is None or receiver.id not in scene.leads_to_output:
        return "warning"
    if loss.kind in ("mutated", "injected"):
        false = loss.instead or (loss.facts if loss.kind == "injected" else ())
        there = {fact.key for fact in scene.output_facts}
        return "error" if any(fact.key in there for fact in false) else "warning"
    figures = [fact for fact in loss.facts if fact.kind not in WEAK and fact.kind != "rule"]
    return "error" if stating.missing(figures, scene.output_facts, text=scene.output) else "warning"


def is_allowed(loss: Loss, handoff: Handoff) -> bool:
    """Return whether a contract of the app's lets this happen: `drop:notes`, `trim:*`."""
    allowed = handoff.step.attributes.get(semconv.CONTRACT_ALLOWS, ())
    for text in allowed if isinstance(allowed, tuple) else ():
        kind, _, path = text.partition(":")
        names = [part for part in path.removeprefix("$").split(".") if part]
        keys = [str(key) for key in loss.at if not isinstance(key, int)]
        if loss.kind in ALLOWS.get(kind, ()) and (path == "*" or keys[: len(names)] == names):
            return True
    return False


def _not_judged(handoff: Handoff, why: str) -> Finding:
    return Finding(
        kind="run.anomaly",
        severity="note",
        confidence=0.0,
        step=handoff.step,
        message=f"The handoff from {handoff.sender} to {handoff.receiver} differs and was not judged: {why}.",
        evidence=(f"not judged: {why}",),
        path=tuple(s for s in (handoff.sent_by, handoff.step, handoff.received_by) if s is not None),
    )
