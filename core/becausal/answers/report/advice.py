"""What to change, by the kind of what went wrong: a sentence each, for those who own the app."""

from __future__ import annotations

from typing import Final

from becausal.finding import FindingKind

__all__ = ["ADVICE", "advice_on"]

ADVICE: Final[dict[FindingKind, str]] = {
    "handoff.truncated": (
        "Find what limits the length on this way, and raise it or refuse what is longer. A contract with "
        "`must_carry` makes the loss an error where it happens."
    ),
    "handoff.dropped": (
        "Declare the field in the receiver's schema or the graph's state, and name it in a contract's "
        "`must_carry`."
    ),
    "handoff.flattened": "Hand on the data itself, not its text; give the handoff a contract with a model.",
    "handoff.reordered": (
        "Let the receiver order messages by what they say of their version, or the transport keep the "
        "order of one sender."
    ),
    "handoff.duplicated": "Let the receiver know a message again by its id, and pass over the second one.",
    "handoff.injected": (
        "Find what adds to messages on this way. What arrives beside the message is not the sender's and "
        "must not be read as such."
    ),
    "handoff.mutated": (
        "Find what changes messages on this way: an intervention handler, a reducer, a shared object."
    ),
    "handoff.lost": (
        "See that somebody subscribes to what is sent, and that whoever sends is told when nobody does."
    ),
    "handoff.misrouted": (
        "Let the routing follow the decision: take the target from the call, and refuse one that was not "
        "asked for."
    ),
    "contract.broken": "Mend the sender, or the contract where it asks for too much.",
    "tool.cut_off": (
        "Raise the tool's limit, or let it say that its answer is cut; refuse an answer that does not parse."
    ),
    "tool.partial": "Fetch all pages before the model answers, or tell it that there are more.",
    "tool.error_as_data": (
        "Raise an error instead of returning its text, and retry or stop; do not hand the text to the "
        "model as a result."
    ),
    "tool.empty": (
        "Decide what an empty answer means: ask again, ask otherwise, or say that nothing was found."
    ),
    "tool.stale": "Let the cache look at the version, or shorten its time.",
    "tool.irrelevant": "Check in a validator that the answer is about what was asked.",
    "tool.schema": (
        "Pin the tool's schema and check the answer against it; a default must not stand in for a field "
        "that is gone."
    ),
    "tool.failed": "Retry what may be retried, and stop where the answer cannot be given without the tool.",
    "tool.not_as_decided": "Find what changes the arguments between the model's call and the tool.",
    "tool.repeated": "Give the call an idempotency key, and let retries pass it on.",
    "tool.invalid": "The app's own validator refused this answer: let a refusal stop or retry the step.",
    "memory.stale_read": (
        "Read the memory again before use, or let the reader name the version that it relies on."
    ),
    "memory.lost_update": (
        "Give the key a reducer that keeps every writer's part, or write with the version that was read."
    ),
    "memory.conflict": "Let one agent own the key, or merge the two writes.",
    "memory.retracted_read": "Let readers of this key look for a withdrawal before they go on.",
    "memory.aliased": "Copy what is received before changing it, and return the change as an update.",
    "memory.contaminated": "Retract the version, and run again whatever read it.",
    "drift.lost_fact": (
        "Pin the request's conditions: hand them on as data beside the summary, or name them in a "
        "contract's `must_carry`."
    ),
    "drift.changed_fact": (
        "Hand figures and identifiers on as data, not retold by a model; check them against the request "
        "before they are used."
    ),
    "drift.moved": "Hand the request itself on beside what is made of it.",
    "model.ungrounded": (
        "Let the model cite what it was given, and check figures and identifiers against that before "
        "they go on."
    ),
    "context.evicted": (
        "Keep what the answer needs within the window: a larger one, or a summary that keeps it."
    ),
    "confidence.inflated": "Hand the hedge on with the statement, as data where it can be lost.",
    "chain.orphaned": "Collect what every branch brings where they are joined, and count them.",
    "path.deviated": "See why the run left its usual path.",
    "path.novel": "See whether this path is meant to be taken.",
    "path.loop": "Bound the loop, and let it end when a round changes nothing.",
    "path.skipped": "Let nothing go round this step.",
    "run.anomaly": "Look at this step: it is out of the ordinary, of no kind that is known.",
}


def advice_on(kind: FindingKind) -> str:
    """Return what to change where something of a kind went wrong."""
    return ADVICE.get(kind, "Look at this step.")
