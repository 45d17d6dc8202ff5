"""What one answer shows beside the tool's other calls: failed, stale, done twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from becausal import semconv
from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import Calls, Reading, text_at

__all__ = ["failed", "repeated", "stale"]


def failed(reading: Reading, _: Calls, __: Graph) -> Breach | None:
    """The tool raised, and nothing was answered in its place."""
    step = reading.call.step
    if step.status != "error" or step.produced is not None:
        return None
    return reading.breach(
        "tool.failed", f"{reading.call.name} failed", 1.0, step.error or "no error was kept"
    )


# -- an older answer after a newer one

VERSION = ("version", "revision", "rev", "etag_version", "generation", "seq", "sequence", "schema_version")
UPDATED = ("as_of", "asof", "updated_at", "last_updated", "last_modified", "modified_at", "updated", "timestamp",
           "generated_at", "fetched_at", "retrieved_at", "date")  # fmt: skip
EXPIRES = ("expires_at", "expires", "valid_until", "expiry", "valid_to")
AGE = ("age", "age_seconds", "cache_age", "cache_age_seconds")
LIFE = ("ttl", "ttl_seconds", "max_age", "max_age_seconds")


def stale(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """An answer past its own expiry, or older than one that the same call gave before."""
    if not reading.is_answered or reading.call.step.status == "error":
        return None
    return _past_its_end(reading) or _behind_an_earlier(reading, calls)


def _past_its_end(reading: Reading) -> Breach | None:
    data = reading.data
    if not isinstance(data, Mapping):
        return None
    end, age, life = text_at(data, *EXPIRES), text_at(data, *AGE), text_at(data, *LIFE)
    ends_at = None if end is None else _instant(end[1])
    now = reading.call.step.ended_ns
    if end is not None and ends_at is not None and now is not None and ends_at < now / 1e9:
        said = f"the answer of {reading.call.name} had expired when it came"
        return reading.breach("tool.stale", said, 0.9, f"{end[0]}: {end[1]}")
    if (
        age
        and life
        and _is_number(age[1])
        and _is_number(life[1])
        and float(str(age[1])) > float(str(life[1])) > 0
    ):
        said = f"the answer of {reading.call.name} is older than it may be"
        return reading.breach("tool.stale", said, 0.9, f"{age[0]}: {age[1]}, {life[0]}: {life[1]}")
    return None


def _behind_an_earlier(reading: Reading, calls: Calls) -> Breach | None:
    mine = reading.call.step
    earlier = [
        other
        for other in calls.asking_the_same(reading)
        if other.is_answered and other.call.step.seq < mine.seq
    ]
    for other in reversed(earlier):
        shown = _older(reading.data, other.data)
        if shown is not None:
            said = f"{reading.call.name} answered with something older than it had before"
            return reading.breach("tool.stale", said, 0.95, *shown)
    return _went_back(reading, earlier)


def _older(now: object, before: object) -> tuple[str, str] | None:
    """Return the fields by which an answer is older than an earlier one."""
    if not isinstance(now, Mapping) or not isinstance(before, Mapping):
        return None
    for names, order in ((VERSION, _count), (UPDATED, _instant)):
        mine, its = text_at(now, *names), text_at(before, *names)
        if mine is None or its is None or mine[0] != its[0]:
            continue
        here, there = order(mine[1]), order(its[1])
        if here is not None and there is not None and here < there:
            return f"{mine[0]}: {mine[1]}", f"before: {its[1]}"
    return None


def _went_back(reading: Reading, earlier: Sequence[Reading]) -> Breach | None:
    """One answer, then another, then the first again: whoever gave it had kept the first."""
    beliefs = [other.call.step.produced.belief for other in earlier if other.call.step.produced is not None]
    produced = reading.call.step.produced
    if (
        produced is None
        or len(beliefs) < 2
        or beliefs[-1] == produced.belief
        or produced.belief not in beliefs
    ):
        return None
    # Something that goes to and fro by itself (a sensor, a turn) is no cache: it must have been steady before.
    if len(set(beliefs)) != 2 or beliefs.index(beliefs[-1]) < beliefs.index(produced.belief):
        return None
    said = f"{reading.call.name} answered again what it had answered before something else"
    return reading.breach(
        "tool.stale", said, 0.7, reading.text[:120], f"in between: {earlier[-1].text[:120]}"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> float | None:
    if _is_number(value):
        return float(str(value))
    matched = re.fullmatch(r"[vr]?(\d+)", value) if isinstance(value, str) else None
    return None if matched is None else float(matched[1])


def _instant(value: object) -> float | None:
    """Return a moment in seconds since the epoch: of ISO 8601 with a date, or a number that can only be one."""
    if _is_number(value):
        number = float(str(value))
        return number / 1000 if 1e12 < number < 1e13 else number if 1e9 < number < 1e10 else None
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()


# -- done twice, with effects

KEYS_OF_ONCE = re.compile(r"idempoten|request_id|dedup|client_token|transaction_id", re.IGNORECASE)
SAYS_SO = re.compile(r"already|duplicate|exists|no change|unchanged|skipped", re.IGNORECASE)


def repeated(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """The same call made again, of a tool that does something each time; or one decision executed twice."""
    mine = reading.call.step
    for other in calls.asking_the_same(reading):
        its = other.call.step
        if its.seq >= mine.seq:
            continue
        if mine.attributes.get(semconv.CACHED) is True or any(map(KEYS_OF_ONCE.search, reading.arguments)):
            continue
        is_same_decision = _decision(reading) is not None and _decision(reading) == _decision(other)
        if reading.has_effects and SAYS_SO.search(reading.text[:500]) is None:
            # One that had raised may have done its work before it did.
            sure = 0.9 if its.status == "ok" else 0.7
        elif is_same_decision and its.status == "ok" and not reading.is_query:
            sure = 0.7
        else:
            continue
        said = f"{reading.call.name} was executed again with the same arguments"
        return reading.breach("tool.repeated", said, sure, f"first: {its.id}", f"again: {mine.id}")
    return None


def _decision(reading: Reading) -> str | None:
    said = reading.call.step.attributes.get(semconv.TOOL_CALL_ID)
    return said if isinstance(said, str) else None
