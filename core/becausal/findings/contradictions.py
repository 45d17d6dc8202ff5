"""A turn that says something else of the same thing than it was told, though nothing that it was told says so.

Three ways to tell without knowing what the app is about:

    under one label     `Deposit: $2,441.36` was told, `Deposit: $2,441.00` is said. A label that the request or a
                        source (a tool, a memory) used; a value that follows by reckoning from what was told is none.
    exchanged           `Oslo: $12, Turin: $14` was told, `Oslo: $14, Turin: $12` is said.
    shortened           a list that the request or a source gave comes back under its label with fewer entries.

What changes by its nature (a status, a draft, a round) is not judged, nor a value that is told beside the old one.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from becausal.facts import Fact, facts, missing
from becausal.facts.growing import Growing
from becausal.findings.grounding import follows_from
from becausal.findings.labels import Labels, is_message
from becausal.findings.odd import Odd
from becausal.findings.scene import Scene
from becausal.findings.turns import Turn
from becausal.payload import Payload

__all__ = ["agree", "clauses", "contradictions", "exchanges", "shortened"]

CHANGING: Final = re.compile(
    r"\b(?:status|state|phase|stage|step|decision|verdict|round|version|score|rating|priority|progress|result|answer|"
    r"summary|note|draft|title|feedback|comment|reason|next|date|time|today|now|count|number of \w+|action|plan|"
    r"question|task|goal|query|input|output|request|response|message|text|content|agent|role|from|to|subject|type|"
    r"name|id|remaining|left|current|attempt|confidence|page|index|total|sum|subtotal|average|mean|warning|error)\b"
)
"""Labels of what changes by its nature, or is said of something else each time."""

KINDS: Final = frozenset(("money", "number", "percent", "quantity", "duration", "date", "time", "id"))
_CLAUSES: Final = re.compile(r"\n|(?<=[.!?;])\s|,\s(?=[A-Z])")
LONGEST: Final = 60
"""Characters of a field; a longer one is a text."""
MOST_TEXT: Final = 20_000
_FIGURE: Final = re.compile(r"[-\u2212]?[$€£¥]?\s?\d[\d,]*(?:\.\d+)?")
_SIGNS: Final = re.compile(r"[A-Za-z]+|[$€£¥%]")
_SAME: Final = {
    "$": "usd",
    "dollars": "usd",
    "dollar": "usd",
    "€": "eur",
    "euros": "eur",
    "euro": "eur",
    "£": "gbp",
}
MOST_VALUES: Final = 20
"""A label of more values is a column of a table: which of them one took the place of is not known."""
MOST_WORDS: Final = 5
"""A value of more words is a text, and may be said otherwise."""


def contradictions(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield values that stand under a label of the request's or a source's in place of the one that was told."""
    sourced = turn.sourced
    for label, said in turn.said_labels.items():
        told = turn.heard_labels.get(label, [])
        if not told or label not in sourced or CHANGING.search(label):
            continue
        if max(len(told), len(said), len(sourced[label])) > MOST_VALUES:
            continue
        for new in said:
            if any(agree(old, new) for old in told):
                continue
            old = next((old for old in told if any(agree(old, one) for one in sourced[label])), None)
            if old is None or any(agree(old, one) for one in said) or not _replaces(turn, label, old, new):
                continue
            yield Odd(
                turn.step,
                f"{turn.step.agent or turn.step.name} says {label}: {new!r}, and was told {old!r}",
                (f"told: {label}: {old}", f"said: {label}: {new}"),
                0.75,
                wrong=new,
                right=old,
            )


def _replaces(turn: Turn, label: str, old: str, new: str) -> bool:
    """Return whether a value took the other's place, and was neither reckoned nor told beside it."""
    before, after = _figures(old), _figures(new)
    if _is_exchanged(turn, label, old):
        return True
    if not before and not after:
        return _is_name(old) and _is_name(new) and old.casefold() not in turn.said_text.casefold()
    if bool(before) != bool(after):
        return not after and old not in turn.said_text  # a word in place of a figure: n/a, unknown
    if len(before) != len(after):
        return False
    if old in turn.said_text:
        return False
    if _decimals(new) < _decimals(old) and abs(before[0] - after[0]) < 1:
        return False  # rounded, and told so
    return not _is_reckoned(turn, old, new)


def _is_reckoned(turn: Turn, old: str, new: str) -> bool:
    """Return whether a figure follows from others that were told; the same figure of something else does not."""
    stated = [
        fact for fact in facts(new) if fact.kind in ("money", "number", "percent", "quantity", "duration")
    ]
    if len(stated) != 1 or _figures(old) == _figures(new) or _figures(old) == [-one for one in _figures(new)]:
        return False
    if _decimals(old) == _decimals(new) and abs(_figures(old)[0] - _figures(new)[0]) < 1:
        return False  # so exact, and yet another one
    figures = [figure for text in _values(turn.heard_labels) for figure in _figures(text) if text != old]
    return len(figures) < 2 or follows_from(_figures(new)[0], figures)


def _is_exchanged(turn: Turn, label: str, old: str) -> bool:
    """Return whether the old value stands under a label that it was not told under: values changed their places."""
    return any(
        other != label
        and any(_plain(old) == _plain(one) for one in said)
        and other in turn.heard_labels
        and not any(agree(old, one) for one in turn.heard_labels[other])
        for other, said in turn.said_labels.items()
    )


def exchanges(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield two things of which each was told with a value and is said with the other's."""
    said = _bound(scene, turn.said)
    told = _bound(scene, turn.heard, said)
    moved = {word: (told[word], said[word]) for word in told if _size(told[word]) != _size(said[word])}
    done: set[str] = set()
    rows = sorted(moved.items(), key=lambda row: (row[1][1].span, row[0]))
    for word, (old, new) in rows:
        for other, (its_old, its_new) in rows:
            is_swap = _size(old) == _size(its_new) and _size(new) == _size(its_old)
            if not is_swap or {word[1], other[1]} <= done or word[1] == other[1]:
                continue
            done.update((word[1], other[1]))
            yield Odd(
                turn.step,
                f"{turn.step.agent or turn.step.name} gives {word[1]!r} what was told of {other[1]!r}, and the "
                f"other way round: {old.text!r} and {new.text!r}",
                (f"told: {word[1]}: {old.text}; {other[1]}: {its_old.text}",
                 f"said: {word[1]}: {new.text}; {other[1]}: {its_new.text}"),
                0.85,
            )  # fmt: skip
            break


Bound = tuple[str, str]
"""A kind of value, and a word beside it."""
Beside = dict[Bound, Fact | None]
"""The one value that each word stands beside; None where it stands beside several."""


def _bound(
    scene: Scene, payloads: Iterable[Payload], but: Mapping[Bound, Fact] | None = None
) -> dict[Bound, Fact]:
    """Return the one value that each word stands beside, by kind; a word beside several tells nothing.

    Args:
        scene: the run.
        payloads: where to look.
        but: the only ones that are asked for; None for all.
    """
    found: dict[Bound, Fact | None] = {}
    for payload in payloads:
        for beside in _beside_in(scene, scene.value(payload), scene.graph.kept.grown):
            _put(found, beside, beside if but is None else [key for key in but if key in beside])
    return {key: fact for key, fact in found.items() if fact is not None}


def _beside_in(scene: Scene, value: object, lists: Growing[Any] | None) -> Iterator[Beside]:
    """Yield the values that words stand beside: of a list all of them, else clause by clause.

    Args:
        scene: the run.
        value: where to look, as `Scene.value` gives it.
        lists: those that were read before: a turn of a conversation hears what the turns before it heard.
    """
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if lists is not None and isinstance(item, list):
            yield lists.of("beside", item, dict, lambda found, items, _: _put_items(scene, found, items))
            continue
        said, inner = _clauses_of(item)
        for clause in said:
            beside = scene.clauses.get(clause)
            if beside is None:
                beside = scene.clauses[clause] = _beside(clause)
            yield beside
        waiting += inner


def _put_items(scene: Scene, found: Beside, items: Sequence[object]) -> None:
    """Put what words stand beside in further items before what they stand beside in those that came first."""
    for item in items:
        own: Beside = {}
        for beside in _beside_in(scene, item, None):
            _put(own, beside, beside)
        for key, fact in own.items():
            found[key] = _one(fact, found.get(key, fact))


def _put(found: Beside, beside: Beside, keys: Iterable[Bound]) -> None:
    for key in keys:
        found[key] = _one(found.get(key, beside[key]), beside[key])


def _one(fact: Fact | None, other: Fact | None) -> Fact | None:
    """Return the value that both are; None where they are several."""
    return fact if fact is not None and other is not None and _size(fact) == _size(other) else None


def _beside(clause: str) -> Beside:
    """Return the value that each word of a clause stands beside, by kind; None where it is several."""
    stated = [fact for fact in facts(clause) if fact.kind in KINDS]
    words = {word.casefold() for word in re.findall(r"[^\W\d_]{3,}", clause)} if stated else ()
    found: dict[Bound, Fact | None] = {}
    for fact in stated:
        for word in words:
            key = (_sort(fact), word)
            found[key] = _one(found.get(key, fact), fact)
    return found


def _sort(fact: Fact) -> str:
    """Return as what a fact may be told again: money as a number."""
    return "amount" if fact.kind in ("money", "number") else fact.kind


def _size(fact: Fact) -> Hashable:
    value: Any = fact.value
    size: Hashable = value[0] if fact.kind == "money" else value
    return size


def clauses(value: object) -> Iterator[str]:
    """Yield what belongs together: the short fields of a record, the lines and sentences of a text."""
    waiting: list[Any] = [value]
    while waiting:
        said, inner = _clauses_of(waiting.pop())
        yield from said
        waiting += inner


def _clauses_of(item: Any) -> tuple[Sequence[str], Sequence[Any]]:
    """Return the clauses of a value, and what it holds that has others; of that the last comes first."""
    if isinstance(item, str):
        return _CLAUSES.split(item[:MOST_TEXT]), ()
    if is_message(item):
        return (), (item["content"],)
    if isinstance(item, Mapping):
        short = [key for key, inner in item.items() if _is_short(inner)]
        long = [inner for key, inner in item.items() if key not in short]
        return (", ".join(f"{key}: {item[key]}" for key in short),), long
    return (), item if isinstance(item, list | tuple) else ()


def _is_short(value: object) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, str) and len(value) < LONGEST and "\n" not in value
    )


def shortened(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield lists of the request's or a source's that come back under their label with fewer entries."""
    sourced = turn.sourced
    for label, said in turn.said_labels.items():
        for old in turn.heard_labels.get(label, ()) if label in sourced and len(said) == 1 else ():
            before, after = _entries(old), _entries(said[0])
            gone = [entry for entry in before if entry not in after]
            if len(before) < 3 or len(after) < 2 or not gone or not set(after) < set(before):
                continue
            if old not in sourced[label] and not any(_entries(one) == before for one in sourced[label]):
                continue
            if any(re.search(rf"(?<!\w){re.escape(entry)}(?!\w)", turn.said_text) for entry in gone):
                continue
            yield Odd(
                turn.step,
                f"{turn.step.agent or turn.step.name} leaves {', '.join(gone)} out of {label}",
                (f"told: {label}: {old}", f"said: {label}: {said[0]}"),
                0.7,
                right=old,
            )


def _entries(text: str) -> list[str]:
    if re.search(r"\d,\d{3}(?!\d)", text) or "," not in text:
        return []
    rows = [row.strip(" []()'\"").casefold() for row in re.split(r",|\band\b", text)]
    return list(dict.fromkeys(row for row in rows if row and len(row.split()) <= 3))


def agree(one: str, other: str) -> bool:
    """Return whether two values under one label may say the same: in other words, other units, less exactly."""
    if _plain(one) == _plain(other):
        return True
    mine, its = facts(one), facts(other)
    if _zone(mine) != _zone(its):
        return False
    if mine and its and (not missing(mine, its, text=other) or not missing(its, mine, text=one)):
        return not _loses_sign(one, other)
    if sorted(_figures(one)) == sorted(_figures(other)) and _figures(one):
        words, others = _words(one), _words(other)
        return words <= others or others <= words
    if not _figures(one) and not _figures(other):
        words, others = _words(one), _words(other)
        shared = len(words & others)
        return shared * 2 >= min(len(words), len(others)) if words and others else True
    return False


def _zone(stated: Iterable[Fact]) -> object:
    """Return the zone of a time of the day; without one, half of the world is another time."""
    times: list[Any] = [fact.value for fact in stated if fact.kind == "time"]
    return times[0][1] if len(times) == 1 else None


def _loses_sign(one: str, other: str) -> bool:
    mine, its = _figures(one), _figures(other)
    return len(mine) == len(its) == 1 and mine[0] == -its[0] != 0


def _figures(text: str) -> list[Decimal]:
    found = []
    for figure in _FIGURE.findall(text):
        digits = re.sub(r"[^\d.\-]", "", figure.replace("\u2212", "-"))
        if digits.strip("-."):
            found.append(Decimal(digits))
    return found


def _decimals(text: str) -> int:
    return max((len(part) for part in re.findall(r"\d\.(\d+)", text)), default=0)


def _words(text: str) -> set[str]:
    return {_SAME.get(word.casefold(), word.casefold()) for word in _SIGNS.findall(text)}


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w.%$€£-]+", " ", text.casefold()).split()).strip(".")


def _is_name(text: str) -> bool:
    return 0 < len(text.split()) <= MOST_WORDS and not text.endswith(("?", "!"))


def _values(rows: Labels) -> Iterator[str]:
    for said in rows.values():
        yield from said
