"""becausal: causal tracing for multi-agent AI apps. Logs say what happened; becausal says why.

import becausal

becausal.instrument()          # hooks LangGraph, LangChain and AutoGen
...                            # run the app, unchanged
print(becausal.last_run().why())
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# Before the function of the same name: a module imported later would take its place.
import becausal.handoff as _module_of_handoffs  # noqa: F401
from becausal.callback import callback
from becausal.contracts import contract
from becausal.errors import (
    AdapterError,
    BecausalError,
    BecausalWarning,
    CassetteError,
    ContractError,
    EnvelopeError,
    MemoryConflictError,
    MemoryKeyError,
    MemoryValueError,
    ReplayError,
    RunNotFoundError,
    SettingsError,
    StepNotFoundError,
    StoreError,
    StoreFormatError,
)
from becausal.instrument import flush, instrument, uninstrument
from becausal.own import agent, chain, decide, handoff, receive, returned, tool
from becausal.propagation import extract, inject
from becausal.validators import validator

if TYPE_CHECKING:
    from becausal.memory import Memory
    from becausal.redaction import Redaction
    from becausal.replay.edit import edit
    from becausal.runs import last_run, open

__all__ = [
    "AdapterError",
    "BecausalError",
    "BecausalWarning",
    "CassetteError",
    "ContractError",
    "EnvelopeError",
    "Memory",
    "MemoryConflictError",
    "MemoryKeyError",
    "MemoryValueError",
    "Redaction",
    "ReplayError",
    "RunNotFoundError",
    "SettingsError",
    "StepNotFoundError",
    "StoreError",
    "StoreFormatError",
    "agent",
    "callback",
    "chain",
    "contract",
    "decide",
    "edit",
    "extract",
    "flush",
    "handoff",
    "inject",
    "instrument",
    "last_run",
    "open",
    "receive",
    "returned",
    "tool",
    "uninstrument",
    "validator",
]

_LOOKING = {
    "Memory": "becausal.memory",
    "Redaction": "becausal.redaction",
    "edit": "becausal.replay.edit",
    "last_run": "becausal.runs",
    "open": "becausal.runs",
}


def __getattr__(name: str) -> object:
    """Import what looks at runs when it is first asked for: an app that only records never pays for it."""
    if name in _LOOKING:
        return getattr(importlib.import_module(_LOOKING[name]), name)
    raise AttributeError(f"module 'becausal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
