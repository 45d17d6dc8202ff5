"""An answer that breaks off."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import MOST_TEXT, Calls, Reading, text_at

__all__ = ["cut_off"]

CUT_MARK = re.compile(
    r"""(?: [\[(<]\s*(?:\.\.\.|…)?\s*(?:output\ |content\ |text\ |response\ |result\ )?truncated\b[^\])>]{0,80}[\])>]
      | (?:\.\.\.|…)\s*[\[(]?\s*(?:output\ )?truncated[^\n]{0,40}
      | (?:\.\.\.|…)\s*[\[(]?\s*\d[\d,]*\ more\ (?:char|byte|line|token|item|row)[^\n]{0,40}
      | [\[(]\s*(?:\.\.\.|…)\s*[\])]
    )\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
DOTS = re.compile(r"\w\s?(?:\.\.\.|…)\s*$")
HANGING = re.compile(
    r"(?:,|;|:|\s[-–(]|\b(?:a|an|the|of|to|in|on|at|by|for|with|from|and|or|but|that|which|is|are|was|were|has|have|"  # noqa: RUF001
    r"as|than|its|their|our|this|these|not|will|would|can|may))\s*$"
)
HALF_CODE = re.compile(r"\\u[0-9a-fA-F]{0,3}$")
HALF_WORD = re.compile(r"[\w.+-]+$")
FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
SENTENCE = re.compile(r"[.!?][\"')\]]*\s")
LIMITS = frozenset(
    (500, 512, 1000, 1024, 1500, 2000, 2048, 3000, 4000, 4096, 5000, 8000, 8192, 10_000, 16_000, 16_384, 20_000,
     32_000, 32_768, 50_000, 65_535, 65_536, 100_000)
)  # fmt: skip
ENDED = ".!?\"'`]})>…*|_\n"


def cut_off(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """A text or JSON that breaks off: JSON that wants its end, a mark, a size that is a limit, half a sentence."""
    if not reading.is_answered or reading.call.step.status == "error":
        return None
    shown = _cut(reading) or _prefix_of_another(reading, calls)
    if shown is None:
        return None
    how, sure, words = shown
    return reading.breach("tool.cut_off", f"the answer of {reading.call.name} is cut off: {how}", sure, words)


def _cut(reading: Reading) -> tuple[str, float, str] | None:
    data, raw = reading.data, reading.raw
    if isinstance(data, Mapping):
        said = text_at(data, "truncated", "is_truncated", "was_truncated")
        if said is not None and said[1] is True:
            return "it says so itself", 0.95, f"{said[0]}: true"
        ended = text_at(data, "finish_reason", "stop_reason")
        if ended is not None and str(ended[1]).lower() in ("length", "max_tokens"):
            return "it ended at a limit", 0.9, f"{ended[0]}: {ended[1]}"
    if not isinstance(raw, str) or not raw.strip():
        return None
    tail = raw[-200:]
    if (
        isinstance(data, str)
        and raw.lstrip()[0] in "{["
        and len(raw) <= MOST_TEXT
        and _is_half_json(raw.strip())
    ):
        return "its JSON has no end", 0.97, tail[-80:]
    if isinstance(data, str) and CUT_MARK.search(tail):
        return "it says so itself", 0.9, tail[-80:]
    return _half_text(raw, tail) if isinstance(data, str) else None


def _half_text(raw: str, tail: str) -> tuple[str, float, str] | None:
    end = raw.rstrip()
    if len(raw) <= MOST_TEXT and len(FENCE.findall(raw)) % 2:
        return "a block of code is not closed", 0.8, tail[-80:]
    if len(raw) in LIMITS and raw[-1] not in ENDED:
        return f"it ends in the middle, after exactly {len(raw):,} characters", 0.85, tail[-80:]
    if len(raw) > 400 and DOTS.search(tail):
        return "it ends in dots", 0.6, tail[-80:]
    is_prose = len(end) >= 60 and SENTENCE.search(end) is not None and "\n" not in end[-40:]
    if is_prose and HANGING.search(end[-40:]):
        return "its last sentence has no end", 0.75, tail[-80:]
    return None


def _is_half_json(text: str) -> bool:
    """Return whether a text is the beginning of JSON: it reads once its strings and brackets are closed."""
    closers: list[str] = []
    in_string = is_escaped = False
    for char in text:
        if in_string:
            in_string = is_escaped or char != '"'
            is_escaped = char == "\\" and not is_escaped
        elif char == '"':
            in_string = True
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
        elif char in "}]" and (not closers or closers.pop() != char):
            return False
    if not closers and not in_string:
        return False
    # A text in brackets, such as "[see above", is no JSON.
    if text[0] == "[" and text[1:].lstrip()[:1] not in ('"', "{", "[", "-", *"0123456789"):
        return False
    end = "".join(reversed(closers))
    base = text[:-1] if is_escaped else HALF_CODE.sub("", text)
    tries = (base + '"' + end, base + '": null' + end) if in_string else _closings(base, end)
    return any(_reads(attempt) for attempt in tries)


def _closings(text: str, end: str) -> list[str]:
    shorter = HALF_WORD.sub("", text).rstrip().rstrip(",")
    return [shorter + end, f"{shorter} null{end}", f"{shorter}: null{end}", shorter.rpartition(",")[0] + end]


def _reads(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _prefix_of_another(reading: Reading, calls: Calls) -> tuple[str, float, str] | None:
    mine = reading.text.rstrip(" .…\n")
    if len(mine) < 20:
        return None
    for other in calls.asking_the_same(reading):
        whole = other.text if other.is_answered else ""
        if len(whole) > len(reading.text) + 1 and whole.startswith(mine):
            return "the same call answered more at another time", 0.95, reading.text[-80:]
    return None
