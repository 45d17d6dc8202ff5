"""What a turn left out of what it was given and passed on anew: a field of a record, the end of a text, its types.

On its way nothing was lost; the turn itself wrote the record again without a part of it. That is told where most of a
record stands in what the turn produced, as it was, and one of its fields does not: neither there, nor in what the
turn gave to a tool or kept in a memory, nor in anything that a later step was given. Otherwise it made something else
of the record, took its part out to use it, or left it where others find it.

A turn may well leave something out on purpose. So it is a warning where a fact was left out (an amount, a date, an
identifier, a rule), a note where mere words were, and a note where a contract allows it: `allow=["drop:brief.notes"]`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from becausal import facts as stating
from becausal import semconv
from becausal.canonical.belief import is_message
from becausal.canonical.decoded import Record
from becausal.facts import Fact
from becausal.facts.compare import WEAK
from becausal.facts.kept import kept
from becausal.finding import Finding, Severity
from becausal.findings.handoff import KIND, is_allowed
from becausal.findings.loss import Loss, shown
from becausal.findings.scene import Scene
from becausal.findings.texts import normal
from becausal.findings.way import way_to_output
from becausal.payload import text_of
from becausal.step import Step

__all__ = ["of_rewriting"]

LARGEST: Final = 2_000_000
"""Bytes of what a turn received or produced beyond which it is not looked into."""
MOST_RECORDS: Final = 500
MOST_TURNS: Final = 5_000
MOST_OF_A_TURN: Final = 10
MOST_AFTER: Final = 1_000
"""So many steps after a turn are looked at for what it left out."""
MOST_TOLD: Final = 50
DEEPEST: Final = 12
SHALLOW: Final = 4
"""A list that lies no deeper is looked through once, however often it comes again with more behind it."""
UNSURE: Final = 0.4
"""A list that became shorter may have been worked off, or filtered: that is never more than a note."""
LEAST_TEXT: Final = 40
"""Characters of a text whose end may have been cut off."""

PASSING: Final = frozenset(
    ("step", "status", "state", "stage", "phase", "pending", "current", "next", "todo", "todos", "error", "errors",
     "retry", "retries", "attempt", "attempts", "draft", "scratch", "scratchpad", "tmp", "temp", "cursor", "cache",
     "debug", "raw", "trace", "history", "done", "remaining", "queue", "feedback", "critique")
)  # fmt: skip
"""Fields that come and go as work goes on."""

At = tuple[object, ...]
Rows = dict[At, Mapping[Any, Any]]
"""Records by where they stand."""


def of_rewriting(scene: Scene) -> Iterator[Finding]:
    """Yield what turns left out of what they passed on."""
    turns = [row for row in enumerate(scene.graph.nodes) if row[1].kind == "agent" and row[1].status == "ok"]
    told = 0
    for place, step in turns[:MOST_TURNS]:
        after = scene.graph.nodes[place + 1 : place + 1 + MOST_AFTER]
        for loss in islice(_losses(scene, step), MOST_OF_A_TURN):
            if not _is_elsewhere(scene, step, loss, after):
                yield _finding(scene, step, loss)
                told += 1
        if told >= MOST_TOLD:
            return


def _losses(scene: Scene, step: Step) -> Iterator[Loss]:
    """Yield what is missing from the records of a turn that it had been given."""
    received, produced = step.received, step.produced
    if received is None or produced is None or max(received.size, produced.size) > LARGEST:
        return
    if not received.is_kept or not produced.is_kept or received.digest == produced.digest:
        return
    # Of a graph's state a node writes some fields, so the state itself is no record that was written again.
    is_state = semconv.STATE_READ in step.attributes or semconv.STATE_WRITTEN in step.attributes
    # A record that holds nothing was not written from another one.
    made = {at: record for at, record in _records(scene.value(produced)).items() if record}
    alone = is_state and made.keys() <= {()}
    given = dict(_records_in((), scene.value(received), 1 if alone else MOST_RECORDS))
    if is_state:
        state, update = given.pop((), {}), made.pop((), {})
        # A field that is emptied was done with.
        again = {key: state[key] for key, item in update.items() if key in state and item is not None}
        yield from _left_out((), again, update)
    known = [given[at] for at in given]
    for at, record in made.items():
        if any(record == other for other in known):
            continue
        former = _former(at, record, given)
        if former is not None:
            yield from _left_out(at, former, record)


def _records(value: object) -> Rows:
    """Return the records within a value, those in texts of JSON too; messages are not records, what they say may be."""
    return dict(_records_in((), value, MOST_RECORDS))


def _records_in(start: At, value: object, most: int) -> Iterator[tuple[At, Mapping[Any, Any]]]:
    """Yield the records of a value that stands somewhere, at most so many."""
    todo: list[tuple[At, Any]] = [(start, value)]
    while todo and most > 0:
        at, item = todo.pop()
        if len(at) > DEEPEST:
            continue
        if isinstance(item, str):
            item = _decoded(item)
        if isinstance(item, Mapping):
            if not (type(item) is Record or is_message(item)):
                most -= 1
                yield at, item
            todo.extend(((*at, key), part) for key, part in item.items())
        elif isinstance(item, list | tuple):
            rows = _records_of(at, item[:MOST_RECORDS])
            if rows is None or len(rows) > most:
                todo.extend(((*at, place), part) for place, part in enumerate(item[:MOST_RECORDS]))
            else:
                most -= len(rows)
                yield from reversed(rows)


def _records_of(at: At, items: Sequence[Any]) -> list[tuple[At, Mapping[Any, Any]]] | None:
    """Return the records of a list, the last one first to be looked at; None where nothing is kept in mind."""
    known = kept()
    if known is None or len(at) > SHALLOW:
        return None

    def extend(rows: list[tuple[At, Mapping[Any, Any]]], new: Sequence[Any], start: int) -> None:
        for place, item in enumerate(new, start):
            if len(rows) <= MOST_RECORDS:
                rows += reversed(list(_records_in((*at, place), item, MOST_RECORDS)))

    rows: list[tuple[At, Mapping[Any, Any]]] = known.grown.of(("records", at), items, list, extend)
    return rows


def _decoded(text: str) -> object:
    if text.lstrip()[:1] not in ("{", "[") or len(text) > LARGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _former(at: At, record: Mapping[Any, Any], given: Rows) -> Mapping[Any, Any] | None:
    """Return the record that one was written from: the one that stood there, else the one that has most of it."""
    there = given.get(at)
    if there is not None and not any(isinstance(key, int) for key in at) and _kept(there, record):
        return there if _is_rest(there, record, least=1) else None
    likely = Counter({place: _kept(other, record) for place, other in given.items()})
    place, count = max(likely.items(), key=lambda row: row[1], default=((), 0))
    if not count or not _is_rest(given[place], record, least=2):
        return None
    return given[place]


def _kept(former: Mapping[Any, Any], record: Mapping[Any, Any]) -> int:
    return sum(key in former and former[key] == value for key, value in record.items())


def _is_rest(former: Mapping[Any, Any], record: Mapping[Any, Any], *, least: int) -> bool:
    """Return whether a record is most of another one, and neither a choice of its fields nor made of it."""
    kept = _kept(former, record)
    gone = sum(key not in record for key in former)
    return kept >= (least if gone < 2 else 2 * gone) and 2 * kept >= len(record)


def _left_out(at: At, former: Mapping[Any, Any], record: Mapping[Any, Any]) -> Iterator[Loss]:
    new = [key for key in record if key not in former]
    for key, value in former.items():
        if str(key).lower() in PASSING or str(key).startswith("_") or _says_nothing(value):
            continue
        now = record.get(key)
        if key not in record or now is None:
            facts = stating.facts({key: value})
            # Beside a new field it may have become that one.
            if not new or any(_is_hard(fact) for fact in facts):
                yield Loss("dropped", (*at, key), value, None, 0.7, facts)
        elif isinstance(value, str) and isinstance(now, str):
            if _is_cut(value, now):
                cut = normal(value)[len(normal(now)) :]
                gone = _no_longer({key: value}, {key: now}, now)
                yield Loss("truncated", (*at, key), value, now, 0.8, gone, why=f"gone: {cut}")
        elif isinstance(value, list) and isinstance(now, list):
            if 0 < len(now) < len(value) <= MOST_RECORDS and all(item in value for item in now):
                rest = stating.facts([item for item in value if item not in now])
                why = f"{len(value) - len(now)} of {len(value)} items are gone"
                yield Loss("truncated", (*at, key), value, now, UNSURE, rest, why=why)
        elif isinstance(value, Mapping | list | tuple) and isinstance(now, str):
            gone = _no_longer({key: value}, now, now)
            if gone and _decoded(now) is None:
                why = f"{type(value).__name__} became text"
                yield Loss("flattened", (*at, key), value, now, 0.7, gone, why=why)


def _no_longer(before: object, after: object, text: str) -> tuple[Fact, ...]:
    return stating.missing(stating.facts(before), stating.facts(after), text=text)


def _is_cut(before: str, after: str) -> bool:
    """Return whether a text is the beginning of another one that breaks off within a sentence."""
    whole, rest = normal(before), normal(after).rstrip(" .…")
    if len(whole) < LEAST_TEXT or not 20 <= len(rest) < len(whole):
        return False
    return whole.startswith(rest) and whole[len(rest)] not in ".!?;:\n" and after.rstrip()[-1:] not in ".!?;:"


def _says_nothing(value: object) -> bool:
    return value is None or isinstance(value, bool) or value in ("", 0, [], {}, ())


def _is_hard(fact: Fact) -> bool:
    return fact.kind not in WEAK or fact.kind in ("id", "email", "url")


def _is_elsewhere(scene: Scene, step: Step, loss: Loss, after: Sequence[Step]) -> bool:
    """Return whether what was left out is still there for others: said otherwise, put to use, kept, or found later."""
    lost = [fact for fact in loss.facts if _is_hard(fact)] or list(loss.facts)
    words = "" if lost else " ".join(text_of(loss.before).split())
    places = [step.produced]
    for other in after:
        is_later = step.ended_ns is not None and other.started_ns >= step.ended_ns and other.kind != "handoff"
        if is_later or (other.kind in ("tool", "memory_write") and _is_within(scene, other, step)):
            places.append(other.received)
    if scene.graph.output_step is not None:
        places.append(scene.graph.output_step.produced)
    for payload in places:
        facts, text = scene.stated(payload)
        if not text:
            continue
        if lost and not stating.missing(lost, facts, text=text):
            return True
        if words and words in " ".join(text.split()):
            return True
    return False


def _is_within(scene: Scene, step: Step, turn: Step) -> bool:
    around = scene.graph.parent(step)
    while around is not None and around.id != turn.id:
        around = scene.graph.parent(around)
    return around is not None


def _finding(scene: Scene, step: Step, loss: Loss) -> Finding:
    is_told = any(map(_is_hard, loss.facts)) or loss.kind == "truncated"
    severity: Severity = "warning" if is_told and loss.confidence > UNSURE else "note"
    if any(is_allowed(loss, handoff) for handoff in scene.sent_by.get(step.id, ())):
        severity = "note"
    done = {"dropped": "left out", "truncated": "cut off", "flattened": "made text of"}[loss.kind]
    named = ", ".join(dict.fromkeys(" ".join(fact.text.split()) for fact in loss.facts[:5]))
    told = f"{step.agent or step.name} {done} {loss.path} of what it was given and passed on"
    evidence = [*([shown(loss.why)] if loss.why else []), f"before: {shown(text_of(loss.before))}"]
    if loss.after is not None:
        evidence.append(f"after: {shown(text_of(loss.after))}")
    return Finding(
        kind=KIND[loss.kind],
        severity=severity,
        confidence=loss.confidence,
        step=step,
        message=told + (f": {named}" if named else ""),
        evidence=tuple(evidence),
        agent=step.agent,
        key=loss.path,
        path=way_to_output(scene.graph, step),
        right=tuple(fact.text for fact in loss.facts if _is_hard(fact)),
    )
