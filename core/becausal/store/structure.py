"""Which attributes of a step say what happened, and not what was said: these stay when a run's contents are erased."""

from __future__ import annotations

import json
from typing import Any

from becausal import semconv
from becausal.logline import COUNT
from becausal.store.encoding import json_text

__all__ = ["is_structure", "structure_of"]

STRUCTURE = (
    *("gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.workflow.name", "gen_ai.provider.name"),
    *("gen_ai.request.model", "gen_ai.response.model", "gen_ai.tool.name", "gen_ai.memory.store.id"),
    *("gen_ai.transfer.", "becausal.", "replay.", "place.", semconv.KEPT, COUNT),
)
"""How attributes begin that stay when a run's contents go: they say what happened, not what was said."""

NOT_STRUCTURE = (
    semconv.CHECKS,
    semconv.CONTRACT_BREACHES,
    semconv.MEMORY_SEEN,
    semconv.MEMORY_WRITERS,
    semconv.CONTEXT_SEEN,
)


def is_structure(name: str) -> bool:
    """Return whether an attribute says no more than what happened."""
    return name.startswith(STRUCTURE) and name not in NOT_STRUCTURE and not name.startswith(semconv.KEPT)


def structure_of(attributes: str | None) -> str | None:
    """Return attributes, as JSON, without what says more than what happened; None where nothing is left."""
    if attributes is None:
        return None
    said: dict[str, Any] = json.loads(attributes)
    kept = {name: value for name, value in said.items() if is_structure(name)}
    return json_text(kept) if kept else None
