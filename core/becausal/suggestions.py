"""Contracts that good runs kept without having any: a beginning for those that an app is to declare.

A field is suggested as one that must be carried if every handoff between two agents sent it and it always arrived, at
whatever depth it stands; as one that may be dropped if every handoff sent it and it never did. Of texts a kind of fact
is suggested if every one stated some, and all of them always arrived: `id:*`. Runs with an error or another finding
teach nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from becausal import facts as stating
from becausal.facts import Fact
from becausal.finding import Finding
from becausal.findings import find
from becausal.handoff import Handoff
from becausal.payload import Payload, is_message, text_of
from becausal.run import Run

__all__ = ["Suggestion", "suggest"]

FEWEST = 3
"""Handoffs between two agents, before anything is suggested of them."""

BOOKKEEPING = frozenset(
    ("id", "created_at", "timestamp", "metadata", "models_usage", "usage", "type", "source")
)
"""Fields of messages that frameworks fill; nobody owes them."""


DEEPEST = 4
"""Levels of a payload that are looked into for fields."""

LARGEST = 200_000
"""Bytes of a payload that is read for facts."""

KINDS = ("id", "money", "date", "limit", "percent", "quantity", "email", "url")
"""Kinds of facts that somebody may owe."""

WIDEST = 79
"""Characters of a line of code."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What one sender has always brought one receiver."""

    sender: str
    receiver: str
    must_carry: tuple[str, ...]
    allow: tuple[str, ...]
    seen: int
    """In how many handoffs."""

    def __str__(self) -> str:
        """Return it as code that can be pasted."""
        arguments = [repr(self.sender), repr(self.receiver)]
        arguments += [f"must_carry={list(self.must_carry)!r}"] if self.must_carry else []
        arguments += [f"allow={list(self.allow)!r}"] if self.allow else []
        code = f"becausal.contract({', '.join(arguments)})"
        if len(code) > WIDEST:
            inner = "".join(f"    {_wrapped(argument)},\n" for argument in arguments)
            code = f"becausal.contract(\n{inner})"
        note = f"# kept in {self.seen} handoffs"
        last = len(code.rpartition("\n")[2])
        return f"{code}  {note}" if last + 2 + len(note) <= WIDEST else f"{code}\n{note}"


def _wrapped(argument: str) -> str:
    """Return an argument over several lines, where one does not hold it."""
    if len(argument) + 5 <= WIDEST or "=[" not in argument:
        return argument
    name, _, row = argument.partition("=[")
    items = "".join(f"        {item},\n" for item in row.removesuffix("]").split(", "))
    return f"{name}=[\n{items}    ]"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one handoff sent and brought."""

    sent: frozenset[str]
    received: frozenset[str]
    kept_kinds: frozenset[str]
    """Kinds of facts of which something was stated, and all of it arrived."""


def suggest(runs: Iterable[Run]) -> list[Suggestion]:
    """Return what the handoffs of good runs have in common, by sender and receiver, the most often seen first."""
    between: dict[tuple[str, str], list[_Seen]] = {}
    for run in runs:
        if run.status != "ok" or any(_is_bad(finding) for finding in find(run.graph, run.handoffs)):
            continue
        for handoff in run.handoffs:
            seen = _seen(handoff)
            if seen is not None and handoff.sender and handoff.receiver:
                between.setdefault((handoff.sender, handoff.receiver), []).append(seen)
    found = [_suggestion(*pair, seen) for pair, seen in between.items() if len(seen) >= FEWEST]
    return sorted((one for one in found if one.must_carry or one.allow), key=lambda one: -one.seen)


def _is_bad(finding: Finding) -> bool:
    # What gets lost every time is what a contract may allow: a field, or all that it held.
    return finding.severity != "note" and finding.kind not in ("handoff.dropped", "handoff.truncated")


def _suggestion(sender: str, receiver: str, seen: list[_Seen]) -> Suggestion:
    always_sent = frozenset.intersection(*(one.sent for one in seen))
    always_came = frozenset.intersection(*(one.received for one in seen))
    ever_came = frozenset.union(*(one.received for one in seen))
    kinds = frozenset.intersection(*(one.kept_kinds for one in seen))
    carried = _innermost(always_sent & always_came)
    dropped = always_sent - ever_came
    return Suggestion(
        sender,
        receiver,
        (*sorted(_shortest(carried)), *(f"{kind}:*" for kind in KINDS if kind in kinds)),
        tuple(f"drop:{path}" for path in sorted(dropped) if _above(path) not in dropped),
        len(seen),
    )


def _above(path: str) -> str:
    return path.rpartition(".")[0]


def _innermost(paths: frozenset[str]) -> frozenset[str]:
    """Return the fields that hold no other one: what must be carried is compared whole."""
    return paths - {_above(path) for path in paths}


def _shortest(paths: frozenset[str]) -> Iterator[str]:
    """Yield each field by its name alone, or by its path where several have that name."""
    named = Counter(path.rpartition(".")[2] for path in paths)
    for path in paths:
        name = path.rpartition(".")[2]
        yield name if named[name] == 1 else path


def _seen(handoff: Handoff) -> _Seen | None:
    sent, received = _value(handoff.sent), _value(handoff.received)
    if sent is None or received is None:
        return None
    return _Seen(
        frozenset(_fields(sent)), frozenset(_fields(received)), frozenset(_kept_kinds(sent, received))
    )


def _value(payload: Payload | None) -> object:
    return payload.value() if payload is not None and payload.is_kept and payload.size <= LARGEST else None


def _fields(value: object, depth: int = 0) -> Iterator[str]:
    """Yield the fields that hold something, by their path: `brief`, `brief.order_id`."""
    if not isinstance(value, Mapping) or depth >= DEEPEST:
        return
    for key, item in value.items():
        if not isinstance(key, str) or key in BOOKKEEPING or "." in key or item in (None, "", [], {}):
            continue
        # Every message has a text, another one each time; what it owes are its facts.
        if not (isinstance(item, str) and is_message(value)):
            yield key
        yield from (f"{key}.{inner}" for inner in _fields(item, depth + 1))


def _kept_kinds(sent: object, received: object) -> Iterator[str]:
    """Yield the kinds of facts that the texts of a payload stated, and that all arrived."""
    stated = [fact for fact in stating.facts(sent) if fact.kind in KINDS and fact.near]
    there, text = stating.facts(received), text_of(received)
    for kind in {fact.kind for fact in stated if _is_of_text(fact)}:
        if not stating.missing([fact for fact in stated if fact.kind == kind], there, text=text):
            yield kind


def _is_of_text(fact: Fact) -> bool:
    """Return whether a fact stands in what a message says, and is no field of its own."""
    return not fact.path or "content" in fact.path
