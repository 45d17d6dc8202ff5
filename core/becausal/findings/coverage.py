"""What the request lists and was looked up for all but one of the list, though somebody speaks of that one too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from becausal.findings.odd import Odd
from becausal.findings.scene import Scene
from becausal.findings.turns import Turn

__all__ = ["uncovered"]

FEWEST: Final = 2
"""So many entries of a list must have been looked up before it is odd that another one was not."""


def uncovered(scene: Scene, turns: Sequence[Turn]) -> Iterator[Odd]:
    """Yield who speaks of an entry of the request's list that no tool was asked for, as the others were."""
    root = next(iter(scene.graph.roots), None)
    asked = scene.stated(root.received)[1] if root is not None else ""
    for tool, values in _arguments(scene).items():
        listed = _list_with(asked, values)
        left = [entry for entry in listed if entry.casefold() not in values]
        if len(left) != 1 or len(listed) - 1 < FEWEST:
            continue
        for turn in turns:
            uses = any(step.kind == "tool" and step.name == tool for step in turn.inner)
            if not uses and _speaks_of(turn, left[0], listed):
                yield Odd(
                    turn.step,
                    f"{turn.step.agent or turn.step.name} speaks of {left[0]} without having asked {tool}, which was "
                    f"asked for the other {len(listed) - 1}",
                    (f"asked for: {', '.join(listed)}", f"said: {turn.said_text[:160]}"),
                    0.65,
                )
                break


def _arguments(scene: Scene) -> dict[str, set[str]]:
    """Return the words that each tool was called with, of tools that were called with several."""
    found: dict[str, dict[str, set[str]]] = {}
    for step in scene.graph.nodes:
        given: Any = (
            step.received.value() if step.kind == "tool" and step.received and step.received.is_kept else None
        )
        for name, value in given.items() if isinstance(given, dict) else ():
            if isinstance(value, str) and value:
                found.setdefault(step.name, {}).setdefault(str(name), set()).add(value.casefold())
    many = {tool: max(by_name.values(), key=len) for tool, by_name in found.items() if by_name}
    return {tool: values for tool, values in many.items() if len(values) >= FEWEST}


def _list_with(text: str, values: set[str]) -> list[str]:
    """Return the entries of the list in a text that has all of some values; nothing if there is none.

    The words before the first entry and after the last one are not theirs: both are as long as the second.
    """
    for line in re.split(r"[\n?!;:]|\.\s", text):
        entries = [entry.split() for entry in re.split(r",\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+", line)]
        if len(entries) <= FEWEST or not entries[1]:
            continue
        width = len(entries[1])
        entries[0], entries[-1] = entries[0][-width:], entries[-1][:width]
        listed = [" ".join(entry).strip(".'\"") for entry in entries]
        if values <= {entry.casefold() for entry in listed}:
            return listed
    return []


def _speaks_of(turn: Turn, entry: str, listed: Sequence[str]) -> bool:
    """Return whether a turn speaks of one entry and of no other."""
    said = turn.said_text.casefold()
    return entry.casefold() in said and not any(
        other.casefold() in said for other in listed if other != entry
    )
