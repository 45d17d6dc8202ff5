"""Which of AutoGen's places is hooked with what; the package's docstring says why these."""

from __future__ import annotations

from becausal.adapter import Hooks
from becausal.recorder import Recorder
from becausal_integrations.autogen import doors
from becausal_integrations.autogen.chat import Chat
from becausal_integrations.autogen.contexts import Contexts
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.memories import Memories
from becausal_integrations.autogen.models import Models
from becausal_integrations.autogen.orchestrator import Orchestrator
from becausal_integrations.autogen.selection import Selection
from becausal_integrations.autogen.state import States
from becausal_integrations.autogen.teams import Teams
from becausal_integrations.autogen.tools import Tools

__all__ = ["hook_all", "ledger_at_work"]


_at_work: list[Ledger] = []
"""The ledger of the hooks that are in: what replays run again is told by these."""


def hook_all(recorder: Recorder, hooks: Hooks) -> None:
    """Hook every place, each noted in `hooks` with what undoes it."""
    ledger = Ledger(recorder)
    _at_work.append(ledger)
    hooks.undos.append(_at_work.clear)
    states = States(recorder)
    doors.install(recorder, hooks, ledger, states)
    teams = Teams(recorder, ledger, states)
    selection = Selection(recorder, ledger, teams)
    teams.hook(hooks)
    selection.hook(hooks)
    Orchestrator(recorder, ledger, teams, selection).hook(hooks)
    Chat(recorder, ledger, states).hook(hooks)
    for part in (Models, Contexts, Tools, Memories):
        part(recorder, ledger).hook(hooks)


def ledger_at_work() -> Ledger | None:
    """Return the ledger of the hooks that are in, for replays; None where none are."""
    return _at_work[0] if _at_work else None
