"""A text as it was sent against the text that arrived: wrapped, cut, reworded, or saying something else.

Equal is not the question. A wrapper around the text, other marks of emphasis, other blanks, another wording of the same
facts are no loss. A loss is shown by its words: what was cut off, which fact became which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from becausal import facts as stating
from becausal.facts import Fact
from becausal.facts.compare import WEAK, comparable
from becausal.facts.kept import OVERHEAD, kept
from becausal.facts.language import language
from becausal.facts.running import alike
from becausal.findings.loss import Loss, LossKind

__all__ = ["lost_words", "normal", "text_losses"]

LEAST_PIECE: Final = 20
"""Characters of a text's head that make its being cut, and not rewritten, certain."""

LONGEST_FIELD: Final = 4
"""Words of a text that is a field's value and no prose."""

LONGEST_PIECE: Final = 400
"""Characters of a piece of a text that may have been exchanged for another."""

MOST_WORDS: Final = 20_000
"""Longer texts are compared by their facts and by being cut; not word by word."""

_BLANKS: Final = re.compile(r"\s+")
_MARKS: Final = re.compile(r"[*`]+|^\s*(?:#+|>|[-•])\s+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)", re.MULTILINE)
_ENDING: Final = re.compile(
    r"\s*(?:…|\.{3}|\[?(?:…|\.{3})?\s*\(?(?:truncated|cut|omitted)[^\n]{0,30})[\])]?\s*$", re.IGNORECASE
)
_WORD: Final = re.compile(r"\w+")

At = tuple[object, ...]


def normal(text: str) -> str:
    """Return a text without what carries no meaning: blanks, marks of emphasis, bullets."""
    known = kept()
    found = None if known is None else known.normal.get(text)
    if found is None:
        found = _BLANKS.sub(" ", _MARKS.sub("", text)).strip()
        # A message of a conversation is sent with each turn after it.
        if known is not None:
            known.normal.put(text, found, len(text) + OVERHEAD)
    return found


def text_losses(
    at: At, before: str, after: str, *, locale: str = "en", is_field: bool = False
) -> Iterator[Loss]:
    """Yield what a text lost on its way; at most one loss.

    Args:
        at: where it stands.
        before: as it was sent.
        after: as it arrived.
        locale: whose words it has.
        is_field: it is the value of a field, so that a few other words are another value.
    """
    sent, received = normal(before), normal(after)
    if sent == received or not any(map(str.isalnum, sent)):
        return
    if sent.casefold() in received.casefold():
        yield from _wrapped(at, before, after, sent, received, locale)
        return
    stated, now = stating.facts(before, locale=locale), stating.facts(after, locale=locale)
    gone = stating.missing(stated, now, text=after)
    cut = _cut(sent, received)
    if cut is not None:
        if not _is_redundant(cut, received, gone):
            sure = 0.95 if gone else 0.8
            yield Loss("truncated", at, before, after, sure, gone, why=f"gone: {cut}")
        return
    loss = _rewritten(at, before, after, stated, now, gone, locale)
    if loss is None:
        # A field that states what it stated is the same in another format.
        other = is_field and not (stated and not stating.added(stated, now, text=before))
        if _denials(stated) == _denials(now):  # else the opposite may be denied, which is the same
            loss = _reworded(at, before, after, sent, received, locale=locale, is_field=other)
    if loss is not None:
        yield loss


def lost_words(before: str, after: str) -> frozenset[str]:
    """Return the words of the first text that the second has not, in lower case."""
    return frozenset(map(str.lower, _WORD.findall(before))) - frozenset(map(str.lower, _WORD.findall(after)))


def _wrapped(at: At, before: str, after: str, sent: str, received: str, locale: str) -> Iterator[Loss]:
    """Yield what stands around a text that arrived whole, if it states anything: a template says nothing of its own."""
    place = received.casefold().find(sent.casefold())
    around = f"{received[:place]}\n\n{received[place + len(sent) :]}".strip()
    if not around:
        return
    known = stating.facts(before, locale=locale)
    new = tuple(
        f for f in stating.added(known, stating.facts(around, locale=locale), text=before) if _counts(f)
    )
    if new:
        yield Loss("injected", at, None, around, 0.6, new)


def _counts(fact: Fact) -> bool:
    """Say whether a fact is more than what templates say by themselves: a step's number, a date, a speaker's name."""
    return fact.kind not in ("name", "term", "quote", "time", "date", "number", "version", "duration")


def _cut(sent: str, received: str) -> str | None:
    """Return what was cut off a text; None where it was not cut."""
    bare = _ENDING.sub("", received)
    if not bare:
        return sent
    if bare in sent:
        place = sent.find(bare)
        head, tail = sent[:place], sent[place + len(bare) :]
        return f"{head} … {tail}".strip() if head and tail else head or tail
    length = _longest(sent, bare)
    # In a wrapper: all that follows the piece is what every message ends with.
    if length >= max(LEAST_PIECE, len(sent) // 10) and length < len(sent):
        follows = bare[bare.find(sent[:length]) + length :]
        marked = bool(_ENDING.match(follows)) or bare != received
        if len(follows.split()) <= 3 and (marked or not any(map(str.isalnum, follows))):
            return sent[length:]
    return None


def _longest(text: str, within: str) -> int:
    """Return how long the longest beginning of a text is that stands in another."""
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        if text[:middle] in within:
            least = middle
        else:
            most = middle - 1
    return least


def _is_redundant(cut: str, received: str, gone: tuple[Fact, ...]) -> bool:
    """Say whether what was cut is still said."""
    return not gone and not lost_words(cut, received)


def _rewritten(
    at: At,
    before: str,
    after: str,
    stated: tuple[Fact, ...],
    now: tuple[Fact, ...],
    gone: tuple[Fact, ...],
    locale: str,
) -> Loss | None:
    """Return what a rewritten text no longer states, or states instead."""
    pairs = stating.changed(stated, now, text=after)
    sure = [pair for pair in pairs if pair[0].kind not in WEAK or pair[0].kind in ("id", "version", "name")]
    if sure:
        old, new = tuple(o for o, _ in sure), tuple(n for _, n in sure)
        return Loss("mutated", at, before, after, 0.9, old, new)
    strong = tuple(fact for fact in gone if fact.kind not in WEAK or fact.kind in ("id", "version"))
    new = tuple(fact for fact in stating.added(stated, now, text=before) if fact.kind not in WEAK)
    if strong:
        same = {comparable(fact) for fact in strong} & {comparable(fact) for fact in new}
        ruled = all(fact.kind == "rule" for fact in strong)
        kind: LossKind = "mutated" if same and not ruled else "dropped"
        return Loss(kind, at, before, after, 0.6 if ruled else 0.8, strong, new if same else ())
    kept = len(lost_words(before, after)) <= len(_WORD.findall(before)) // 4
    new = tuple(fact for fact in new if _counts(fact))
    if new and (exchanged := _exchanged(before, after, locale)) is not None:
        return Loss("mutated", at, before, after, 0.9, *exchanged)
    return Loss("injected", at, before, after, 0.7, new) if new and kept else None


def _exchanged(before: str, after: str, locale: str) -> tuple[tuple[Fact, ...], tuple[Fact, ...]] | None:
    """Return which fact stands in whose place, where two texts differ in one short piece.

    What was stated may be stated elsewhere too: of many lines with one price one has another price now.
    """
    head = alike(before, after)
    tail = alike(before[head:][::-1], after[head:][::-1])
    # A piece begins and ends where a word does.
    while head and not before[head - 1].isspace():
        head -= 1
    while tail and not before[len(before) - tail].isspace():
        tail -= 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if not 0 < len(old) <= LONGEST_PIECE or not 0 < len(new) <= LONGEST_PIECE:
        return None
    was = [fact for fact in stating.facts(old, locale=locale) if fact.kind not in WEAK]
    now = [fact for fact in stating.facts(new, locale=locale) if fact.kind not in WEAK]
    gone, come = stating.missing(was, now, text=new), stating.missing(now, was, text=old)
    if not gone or sorted(map(comparable, gone)) != sorted(map(comparable, come)):
        return None
    return gone, come


def _reworded(
    at: At, before: str, after: str, sent: str, received: str, *, locale: str, is_field: bool
) -> Loss | None:
    """Return what a text with the same facts says otherwise: the opposite, other signs, another value of a field."""
    if not sent.isascii() and _is_garbled(sent, received):
        return Loss("mutated", at, before, after, 0.9, why="characters were lost in another encoding")
    if len(sent) > MOST_WORDS * 6:
        return None
    was, now = sent.casefold(), received.casefold()
    if was == now:
        return None
    gone, new = lost_words(was, now), lost_words(now, was)
    for one, other in language(locale).words.opposites:
        for old, instead in ((one, other), (other, one)):
            if old in gone and instead in new:
                return Loss("mutated", at, before, after, 0.8, why=f"{old} became {instead}")
    for word in sorted(gone):
        for other in sorted(new):
            if other != word and (other in _denied(word, locale) or word in _denied(other, locale)):
                return Loss("mutated", at, before, after, 0.8, why=f"{word} became {other}")
    if is_field and len(was.split()) <= LONGEST_FIELD and gone and new:
        return Loss("mutated", at, before, after, 0.7)
    return None


def _denials(facts: tuple[Fact, ...]) -> int:
    return sum(fact.kind == "rule" and fact.key[1][0] == "not" for fact in facts)  # type: ignore[index]


def _denied(word: str, locale: str) -> list[str]:
    return [prefix + word for prefix in language(locale).words.denying] if len(word) > 2 else []


def _is_garbled(sent: str, received: str) -> bool:
    """Say whether a text lost the characters beyond ASCII, or had them replaced one by one."""
    if received.isascii() or "\ufffd" in received:
        for sign in ("?", "\ufffd", ""):
            if "".join(char if char.isascii() else sign for char in sent) == received:
                return True
        return len(sent) == len(received) and all(
            a == b or not a.isascii() for a, b in zip(sent, received, strict=True)
        )
    return False
