"""Replay: an app runs again, answered from the record; one thing is changed, and only what depends on it runs anew.

    replay = run.replay(graph)                  # or "module:graph", a team, a function that takes the input
    replay.reproduced, replay.divergence, replay.run
    run.replay(graph, edit=becausal.edit(step).message(2).text("…"), live=True)

The app itself runs: its nodes, agents, edges and callbacks, as usual. What it asks of the outside is answered from the
record, by `session.Session`: models, tools, retrievers, reads of memory. The question is matched by its content and the
place where it is asked (`answers`), not by order of arrival. A question that the record does not know ends the replay
with a `Divergence`, unless a live call or a stand-in is allowed. A tool runs only if it is named. The network is shut.

The replay is recorded as any run is, in a chain of its own whose id begins with `replay` and whose first step says in
`becausal.replay.of` which run it is of. `becausal.last_run()` passes it over.

How an adapter joins
--------------------
*Calls that pass the recorder's seam* (`call`, `acall`, `stream`, `astream`): give the `Observation` a function
`answers`. It takes a `becausal.observation.Answer` and returns what the call returns; of a stream the list of its
items. `answer.value()` is what the step produced, made again as objects of the app's classes; `answer.kept(name)` what
`Recorder.keep(step, name, value)` kept beside it. An exception that a model, a tool or a read of memory ended with is
kept and raised again by the seam. Where dicts may be turned into text, keep the value in its order:
`recorder.keep(step, "answer", result, unless_sorted=True)`; `answer.value()` prefers that.

*Calls that a framework makes elsewhere than where their step is told*: the adapter has a method `replaying`, which
returns a `ReplayAdapter`. Its `install` hooks the place where the call is made (with `becausal_integrations.patch`),
for the time of a replay only. The hook asks `recall(step)` and, unless that is None, returns `result_of(…)`.

*To run an app of the framework's*, the same object has `drives`, `run`, `roots`, `classes` and `problems`; see
`adapter.ReplayAdapter`. What `run` needs beside the recorded input is kept when recording, on the outermost step.

*What is not answered* is the app's own code: a node or an agent runs again, with whatever it does by itself. What is to
be answered must be a tool. So is what is left to chance: `now = becausal.tool(name="now")(time.time)`.

*What the framework itself leaves to chance* is not replayed: message ids and times differ, unless the app fixes them.
Requests are matched by their meaning then, which leaves those aside.

*Several steps of one name that run side by side on equal content* are told apart by the attribute `semconv.BRANCH`.
"""

from __future__ import annotations

from becausal.observation import Answer
from becausal.replay.adapter import Entry, ReplayAdapter
from becausal.replay.divergence import Divergence, DivergenceError
from becausal.replay.edit import Edit, edit
from becausal.replay.network import reaches_out
from becausal.replay.outcome import Outcome, Replay
from becausal.replay.recalled import Asked, Recalled
from becausal.replay.replaying import answering, replay
from becausal.replay.seam import recall, result_of
from becausal.replay.session import Session, in_force

__all__ = [
    "Answer",
    "Asked",
    "Divergence",
    "DivergenceError",
    "Edit",
    "Entry",
    "Outcome",
    "Recalled",
    "Replay",
    "ReplayAdapter",
    "Session",
    "answering",
    "edit",
    "in_force",
    "reaches_out",
    "recall",
    "replay",
    "result_of",
]
