"""What is odd about a text by itself, whatever it is about: damaged letters, places left to be filled in, the same over
and over, an end at the model's limit, another language; and a turn through which nothing came.

Each is told where it entered: what stood already in what a turn was told is not its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from becausal import semconv
from becausal.facts import Fact, missing
from becausal.findings.odd import Odd
from becausal.findings.scene import Scene
from becausal.findings.turns import Turn
from becausal.step import Step

__all__ = ["breaks", "foreign", "odd_texts", "stopped"]

_DAMAGED: Final = re.compile("(?:[ÂÃÄÅâãÎÏÐÑØÙà-ï][\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u2013-\u2122]+)+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\ufffd]")
_SLOT: Final = re.compile(
    r"\{\{\s*[\w. ]+\s*\}\}|\[(?:INSERT|YOUR|ADD|ENTER|FILL|PLACEHOLDER)[A-Z ,'/_-]*\]"
    r"|\[(?:insert|your|enter) [\w ,'-]+\]"
    r"|<(?:INSERT|YOUR|PLACEHOLDER)[A-Z _-]*>|\blorem ipsum\b|(?::\s*|^\s*)(?:TODO|TBD|TBC|FIXME|XXX+)\s*[.!]?\s*$",
    re.MULTILINE,
)
_CODE: Final = re.compile(r"```.*?(?:```|$)|`[^`]*`", re.DOTALL)
_SENTENCES: Final = re.compile(r"(?<=[.!?])\s+|\n+")
FEWEST_TIMES: Final = 4
SHORTEST_REPEATED: Final = 20
LIMITS: Final = frozenset(("length", "max_tokens", "model_length", "content_filter"))
"""Why a model says that it stopped, if not because it was done."""

_SMALL: Final = {
    "en": "the of and to in is that for it with as was on are this be by have not you we your our will",
    "de": "der die das und ist nicht mit für auf den von zu ein eine wir sie ihre werden wurde auch wie",
    "fr": "le la les des et est une dans pour pas vous nous avec sur votre que qui sont ce cette",
    "es": "el los las y es una para por con que del se su sus no como está son este hemos",
    "it": "il gli e è una per con che del della non sono questo nel abbiamo la vostra le di",
    "pt": "o os as e é uma para por com que do da não são este nós seu sua em foi",
    "nl": "de het een en is niet met voor op van te wij uw zijn dat deze hebben aan",
}
"""The small words of languages, which any text of some length has."""
_WORDS: Final = {code: frozenset(words.split()) for code, words in _SMALL.items()}
_LANGUAGES: Final = re.compile(
    r"translat|language|übersetz|traduc|tradui|locali[sz]|multiling|"
    r"\b(?:english|german|french|spanish|italian|portuguese|dutch|deutsch\w*|français\w*|español|italiano|nederlands)\b",
    re.IGNORECASE,
)


def odd_texts(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield what is odd about the texts of a turn's models, its tools and its own."""
    for step, before, text in _spoken(scene, turn):
        for told, found, sure in _oddities(text, before, is_tool=step.kind == "tool"):
            who = step.name if step.kind == "tool" else turn.step.agent or turn.step.name
            at = step if step.kind == "tool" else turn.step
            yield Odd(at, f"{who} {told}", (found,), sure, wrong=found)
            return


def _spoken(scene: Scene, turn: Turn) -> Iterator[tuple[Step, str, str]]:
    """Yield each step that says something in a turn, what it was told, and what it says."""
    for step in turn.inner:
        if step.kind in ("model", "tool") and step.produced is not None:
            before = scene.stated(step.received)[1] if step.kind == "model" else ""
            yield step, before, scene.stated(step.produced)[1]
    yield turn.step, turn.heard_text, turn.said_text


def _oddities(text: str, before: str, *, is_tool: bool) -> Iterator[tuple[str, str, float]]:
    for found in _DAMAGED.finditer(text):
        if found[0] not in before and _is_damaged(found[0]):
            yield "says letters that were damaged in another encoding", _around(text, found), 0.9
            break
    signs = _CONTROL.search(text)
    if signs is not None and signs[0] not in before:
        yield "says signs that no text has", repr(_around(text, signs)), 0.8
    if is_tool:
        return
    slot = _SLOT.search(_CODE.sub(" ", text))
    if slot is not None and slot[0].strip() not in before:
        yield "left a place to be filled in", slot[0].strip(), 0.8
    said, times = _most_repeated(text)
    if times >= FEWEST_TIMES and _most_repeated(before)[1] < FEWEST_TIMES:
        yield f"says the same {times} times on end", said[:160], 0.8


def _is_damaged(text: str) -> bool:
    for encoding in ("cp1252", "latin-1"):
        try:
            mended = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if mended != text and len(mended) < len(text):
            return True
    return False


def _around(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - 20) : found.end() + 20].replace("\n", " ").strip()


def _most_repeated(text: str) -> tuple[str, int]:
    """Return what stands there most often in a row: a sentence, or a line, of some length."""
    rows = [" ".join(row.split()) for row in _SENTENCES.split(text)]
    runs = [(row, len(list(same))) for row, same in groupby(row for row in rows if row)]
    long = [run for run in runs if len(run[0]) >= SHORTEST_REPEATED and any(c.isalpha() for c in run[0])]
    return max(long, key=lambda run: run[1], default=("", 0))


def stopped(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield model calls that stopped at a limit, by the model's own word."""
    for step in turn.inner:
        if step.kind != "model" or step.produced is None or not step.produced.is_kept:
            continue
        reasons = [
            value for key, value in step.attributes.items() if "finish_reason" in key or "stop_reason" in key
        ]
        said = scene.value(step.produced)
        if isinstance(said, dict):
            reasons.append(str(said.get("finish_reason", "")))
        flat = [one for reason in reasons for one in (reason if isinstance(reason, tuple) else (reason,))]
        why = next((str(one) for one in flat if str(one).lower() in LIMITS), None)
        if why is not None:
            text = scene.stated(step.produced)[1]
            who = turn.step.agent or turn.step.name
            told = f"the model of {who} stopped before it was done"
            yield Odd(turn.step, told, (why, text[-120:]), 0.85)
            return


def foreign(scene: Scene, all_turns: Sequence[Turn]) -> Iterator[Odd]:
    """Yield the turn from which on a run speaks another language than its user, though nobody asked for it."""
    root = next(iter(scene.graph.roots), None)
    asked = scene.stated(root.received)[1] if root is not None else ""
    its = language_of(scene.answer)
    speaking = [turn for turn in all_turns if its and turn.speaks and language_of(turn.said_text) == its]
    mine = language_of("\n".join([asked, *(turn.heard_text for turn in speaking[:1])]))
    if mine is None or its is None or mine == its:
        return
    told = "\n".join([asked, *(turn.heard_text for turn in speaking)])
    if not speaking or _LANGUAGES.search(told) or any(_LANGUAGES.search(turn.step.name) for turn in speaking):
        return
    first = speaking[0]
    if language_of(first.heard_text) == its:
        return
    yield Odd(
        first.step,
        f"{first.step.agent or first.step.name} answers in another language ({its}) than was asked in ({mine})",
        (first.said_text[:160],),
        0.6,
        wrong=scene.answer[:80],
    )


def language_of(text: str) -> str | None:
    """Return which language a text is in, by its small words; None where they do not tell."""
    words = Counter(re.findall(r"[^\W\d_]+", text[:20_000].casefold()))
    hits = sorted(
        ((sum(words[word] for word in small), code) for code, small in _WORDS.items()), reverse=True
    )
    (most, code), (second, _) = hits[0], hits[1]
    return code if most >= 4 and most >= 2 * second else None


def breaks(scene: Scene, all_turns: Sequence[Turn]) -> Iterator[Odd]:
    """Yield a turn that was told a good deal and through which nothing came, though others were to go on from it."""
    for place, turn in enumerate(all_turns[:-1]):
        told = [
            fact for fact in _request(scene) if not missing([fact], turn.heard_facts, text=turn.heard_text)
        ]
        if len(told) < 3 or not turn.said or not turn.speaks:
            continue
        if len(missing(told, turn.said_facts, text=turn.said_text)) < len(told):
            continue
        later = [
            other
            for other in all_turns[place + 1 :]
            if other.step.seq > scene.ends[turn.step.id] and other.heard
        ]
        if any(step.attributes.get(semconv.CONTEXT_EVICTED) for other in later for step in other.inner):
            continue  # it was held back from them
        if not later or any(not _lacks_all(told, other) for other in later):
            continue
        if [fact for fact in turn.said_facts if fact.kind not in ("name", "term", "quote", "rule", "number")]:
            continue  # it made something else of it
        yield Odd(
            turn.step,
            f"nothing of what {turn.step.agent or turn.step.name} was told came through: {len(told)} facts of the "
            "request are gone",
            (f"said: {turn.said_text[:160]}", *(f"lost: {fact.text}" for fact in told[:5])),
            0.7,
        )
        return


def _request(scene: Scene) -> tuple[Fact, ...]:
    root = next(iter(scene.graph.roots), None)
    kinds = ("money", "limit", "date", "id", "quantity", "percent", "email", "url", "duration", "number")
    return () if root is None else tuple(f for f in scene.stated(root.received)[0] if f.kind in kinds)


def _lacks_all(told: Sequence[Fact], turn: Turn) -> bool:
    return len(missing(told, turn.heard_facts, text=turn.heard_text)) == len(told)
