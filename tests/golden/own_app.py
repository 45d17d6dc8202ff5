"""The app of `own-1.becausal`: a planner asks a calendar, remembers the deadline, and hands over to a writer."""

from __future__ import annotations

import becausal

PLANS = "golden plans"


@becausal.tool
def calendar(project: str) -> dict[str, object]:
    return {"project": project, "deadline": "Friday 14 March 2026", "rooms": ("Aula", "B2"), "seats": 120}


@becausal.tool(name="price list")
def prices(items: list[str]) -> list[dict[str, object]]:
    return []


def announce(request: str) -> str:
    with becausal.chain(request) as chain:
        with becausal.agent("planner", received=request) as planner:
            found = calendar(project="relaunch")
            planner.decide("one page", because=[found], reason="a page is read", confidence=0.8)
            offers = prices(["banner", "coffee"])
            brief = {"task": "announce", "deadline": found["deadline"], "offers": offers, "pages": 1}
            planner.returned(brief)
            envelope = becausal.handoff("planner", "writer", brief)
        with becausal.receive("writer", envelope) as given:
            text = f"The relaunch is due on {given['deadline']}; {len(given['offers'])} offers were found."
            becausal.returned(text)
        chain.returned(text)
    return text
