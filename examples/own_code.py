"""Code of one's own, in two processes: a planner hands a brief to a writer over a wire of text.

Run this file, then ask `becausal show last` and `becausal blame last "Friday"`.
"""

from __future__ import annotations

import json
import subprocess
import sys

import becausal

becausal.instrument()


@becausal.tool
def calendar(project: str) -> dict[str, str]:
    """Look a deadline up."""
    return {"project": project, "deadline": "Friday"}


def plan(request: str) -> dict[str, object]:
    with becausal.agent("planner", received=request) as turn:
        deadline = calendar("relaunch")["deadline"]
        turn.decide("ask the writer for one page", because=[request], reason="a page is read", confidence=0.8)
        brief = {"task": "announce the relaunch", "deadline": deadline, "pages": 1}
        turn.returned(brief)
        return becausal.handoff("planner", "writer", brief)


def write(wire: str) -> str:
    with becausal.receive("writer", json.loads(wire)) as brief:
        becausal.decide("keep it to one page", because=[brief])
        text = f"The relaunch is due on {brief['deadline']}."
        becausal.returned(text)
        return text


def main() -> None:
    if sys.argv[1:] == ["writer"]:  # the other process
        print(write(sys.stdin.read()))
        return
    with becausal.chain("Announce our relaunch") as request:
        wire = json.dumps(plan("Announce our relaunch"))
        other = [sys.executable, __file__, "writer"]
        text = subprocess.run(other, input=wire, text=True, capture_output=True, check=True).stdout.strip()
        request.returned(text)
    print(text)


if __name__ == "__main__":
    main()
