"""One thing that is wrong with one tool call."""

from __future__ import annotations

from dataclasses import dataclass

from becausal.finding import FindingKind
from becausal.toolcall import ToolCall

__all__ = ["Breach"]


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that is wrong with one tool call."""

    kind: FindingKind
    call: ToolCall
    message: str
    """A sentence for people."""
    evidence: tuple[str, ...]
    """The words that show it, as they stand in the arguments or in the answer."""
    confidence: float
    """0 to 1: how sure it is that this is no proper answer."""
    is_mended: bool = False
    """A later call of the same tool brought what this one did not."""
