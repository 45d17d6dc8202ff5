"""Conversation logs as runs: who said what, in which order, and what each could have read before speaking.

A log of turns tells less than a trace: no model calls, often no tool arguments, no times. Each turn becomes an agent's
step that received all that was visible to it and produced what it said; a tool's or a terminal's turn becomes a tool
step; the question is the request. An instruction that the log addresses to somebody is a handoff, since the log
declares it. Everything else is left to the graph, which links by content.

Forms: Who&When (`history` of role, name, content; roles as Magentic-One writes them: `Orchestrator (thought)`,
`Orchestrator (-> WebSurfer)`), OpenAI's chat messages (`messages`, with `tool_calls` and role `tool`), AutoGen's
(`source`, events of tool calls), tau-bench (`traj`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from becausal import semconv
from becausal.errors import ImportFormatError
from becausal.foreign.draft import Drafts, choices_of, note, step_id
from becausal.foreign.otlp import nanoseconds
from becausal.foreign.value import MISSING, calls_of, plain, read
from becausal.redaction import shown
from becausal.sealing import Sealer
from becausal.step import Cause, OpenStep, StepKind

__all__ = ["is_message", "messages_of", "of_conversation"]

LISTS = ("history", "messages", "traj", "trajectory", "conversation", "chat_history")
QUESTIONS = ("question", "task", "query", "instruction", "input")
USERS = ("user", "human", "user_proxy", "userproxy")
INSTRUCTIONS = ("system", "developer")

MILLISECOND = 1_000_000

_TOOLS = re.compile(r"computer_?terminal|code_?executor|(?:code_?)?interpreter|terminal", re.IGNORECASE)
# Magentic-One's console: `Orchestrator (thought)`, `Orchestrator (-> WebSurfer)`.
_ASIDE = re.compile(r"(?P<name>[^()]+?) \((?:-> (?P<to>[^()]+)|(?P<aside>[^()]+))\)")
_FAILED = re.compile(r"exitcode: (?!0\b)-?\d+")


MOST_TURNS = 20_000
"""Each turn knows all before it; a longer log is no conversation."""


@dataclass(slots=True)
class _Turn:
    index: int
    """Where it stands in the log."""
    speaker: str
    message: Mapping[str, object]
    said: object
    """The message as data, in the forms that the graph reads."""
    to: str | None = None
    is_private: bool = False


@dataclass(slots=True)
class _Call:
    """The call of a tool: as somebody asked for it, and with its result."""

    tool: str
    arguments: object = MISSING
    agent: str | None = None
    id: str | None = None
    result: object = MISSING


def messages_of(record: object) -> list[Mapping[str, object]] | None:
    """Return the turns of a record; None where it is no conversation."""
    found: object = record
    if isinstance(record, Mapping):
        found = next((record[name] for name in LISTS if isinstance(record.get(name), list)), None)
    if not isinstance(found, list) or not found or not all(is_message(item) for item in found):
        return None
    return found


def is_message(record: object) -> bool:
    """Return whether a record is one turn of a conversation."""
    return (
        isinstance(record, Mapping)
        and ("content" in record or "tool_calls" in record)
        and any(isinstance(record.get(name), str) for name in ("role", "source", "name"))
    )


def of_conversation(record: object, at_ns: int, sealer: Sealer) -> list[OpenStep]:
    """Return a conversation's steps.

    Args:
        record: a list of messages, or what has one.
        at_ns: when it began, where the log itself does not say.

    Raises:
        ImportFormatError: it is too long to be one conversation.
    """
    messages = messages_of(record) or []
    if len(messages) > MOST_TURNS:
        raise ImportFormatError(f"a conversation of {len(messages):,} turns; at most {MOST_TURNS:,} are read")
    # What the run is found by must not give away what is in it.
    said = shown(json.dumps(messages, sort_keys=True, default=str)).encode("utf-8", "replace")
    drafts = Drafts(hashlib.blake2b(said, digest_size=16).hexdigest(), sealer)
    turns = [_turn(index, message) for index, message in enumerate(messages)]
    return _Log(drafts, record, turns, at_ns).steps()


class _Log:
    """A conversation on its way to steps."""

    def __init__(self, drafts: Drafts, record: object, turns: Sequence[_Turn], at_ns: int) -> None:
        self._drafts, self._turns, self._now = drafts, turns, at_ns
        self._question = _question(record)
        self._has_times = False
        self._asked: dict[str, _Call] = {}  # by the call's id
        self._handed: dict[str, OpenStep] = {}  # by the receiver
        self._heard: list[object] = []
        self._thought: dict[str, list[object]] = {}  # with what each alone knows
        self._before: _Turn | None = None

    def steps(self) -> list[OpenStep]:
        """Return its steps."""
        spoken = [turn for turn in self._turns if turn.speaker not in INSTRUCTIONS]
        opens = spoken[0] if spoken and spoken[0].speaker.lower() in USERS else None
        question = self._question
        if question is None and spoken:
            question = spoken[0].message.get("content")
        root = self._begin("request", _title(question), None, None, opens)
        if question is not None:
            self._drafts.receive(root, question)
        for turn in self._turns:
            if turn.speaker not in INSTRUCTIONS and turn is not opens:
                self._take(turn, root)
            self._hear(turn)
        root.ended_ns = self._now
        if spoken and spoken[-1].speaker.lower() in USERS:
            # That the user thanks, or stops, is not what came out.
            answers = [turn for turn in spoken if turn.speaker.lower() not in USERS]
            if answers:
                self._drafts.produce(root, answers[-1].said)
        note(root, ("conversation log",), self._notes())
        return self._drafts.made

    def _take(self, turn: _Turn, root: OpenStep) -> None:
        calls = list(self._results(turn))
        for call in calls:
            self._tool(turn, root, call)
        if not calls:
            self._speak(turn, root)

    def _speak(self, turn: _Turn, root: OpenStep) -> None:
        step = self._begin("agent", turn.speaker, turn.speaker, root, turn)
        if (handoff := self._handed.pop(turn.speaker, None)) is not None:
            step.causes.append(Cause(handoff.id, "transfer", "declared", "addressed in the log"))
            handoff.produced = handoff.received
            handoff.attributes[semconv.TRANSFER_RECEIVED_BY] = step.id
        if turn.speaker.lower() in USERS:
            step.attributes[semconv.SAID_BY] = "user"
        else:
            self._drafts.receive(step, self._thought.get(turn.speaker, self._heard))
        self._drafts.produce(step, turn.said)
        step.choices = choices_of(calls_of(turn.said))
        if turn.to is not None:
            self._hand_over(turn, turn.to, step, root)

    def _hand_over(self, turn: _Turn, receiver: str, sender: OpenStep, root: OpenStep) -> None:
        step = self._begin("handoff", f"{turn.speaker} to {receiver}", turn.speaker, root, turn)
        step.attributes.update(
            {
                semconv.TRANSFER_SOURCE: turn.speaker,
                semconv.TRANSFER_TARGET_OWN: receiver,
                semconv.TRANSFER_SENT_BY: sender.id,
            }
        )
        step.causes.append(Cause(sender.id, "transfer", "declared", "addressed in the log"))
        self._drafts.receive(step, turn.message.get("content"))
        self._handed[receiver] = step

    def _tool(self, turn: _Turn, root: OpenStep, call: _Call) -> None:
        speaker = None if self._before is None else self._before.speaker
        step = self._begin("tool", call.tool, call.agent or speaker, root, turn, call.id or "")
        if isinstance(call.result, str) and _FAILED.match(call.result):
            step.status, step.error = "error", call.result.partition("\n")[0]
        if call.id is not None:
            step.attributes[semconv.TOOL_CALL_ID] = call.id
        if call.arguments is not MISSING:
            self._drafts.receive(step, call.arguments)
        self._drafts.produce(step, call.result)

    def _results(self, turn: _Turn) -> Iterator[_Call]:
        """Yield the tool results that a turn is made of."""
        message, content = turn.message, turn.message.get("content")
        answers: list[Mapping[str, object]] = []
        if message.get("role") in ("tool", "function"):
            answers = [message]
        elif isinstance(content, list) and content and all(_is_result(item) for item in content):
            answers = content
        elif _TOOLS.fullmatch(turn.speaker):
            before = self._before
            arguments = MISSING if before is None else before.message.get("content", MISSING)
            yield _Call(turn.speaker, arguments, None, None, content)
        for answer in answers:
            identity = str(answer.get("tool_call_id") or answer.get("call_id") or "")
            asked = self._asked.get(identity, _Call(str(answer.get("name") or "tool")))
            yield _Call(
                asked.tool, asked.arguments, asked.agent, identity or None, read(answer.get("content"))
            )

    def _hear(self, turn: _Turn) -> None:
        """Let a turn be known to those who come after it."""
        self._before = turn
        if turn.is_private:
            self._thought.setdefault(turn.speaker, list(self._heard)).append(turn.said)
        else:
            self._heard.append(turn.said)
            for known in self._thought.values():
                known.append(turn.said)
        calls, content = turn.message.get("tool_calls"), turn.message.get("content")
        for call in [
            *(calls if isinstance(calls, list) else ()),
            *(content if isinstance(content, list) else ()),
        ]:
            function = call.get("function", call) if isinstance(call, Mapping) else None
            if isinstance(function, Mapping) and "name" in function and isinstance(call.get("id"), str):
                arguments = read(function.get("arguments", function.get("args")))
                self._asked[call["id"]] = _Call(str(function["name"]), arguments, turn.speaker)

    def _begin(
        self,
        kind: StepKind,
        name: str,
        agent: str | None,
        parent: OpenStep | None,
        turn: _Turn | None,
        more: str = "",
    ) -> OpenStep:
        said = None if turn is None else turn.message.get("created_at") or turn.message.get("timestamp")
        when = nanoseconds(said)
        self._has_times |= when is not None
        self._now = max(self._now, when) if when is not None else self._now + MILLISECOND
        identity = step_id(self._drafts.chain_id, kind, "" if turn is None else str(turn.index), more)
        parent_id = None if parent is None else parent.id
        step = self._drafts.begin(identity, kind, name, agent, parent_id, self._now, self._now)
        if turn is not None:
            step.attributes[semconv.IMPORT_INDEX] = turn.index
        return step

    def _notes(self) -> tuple[str, ...]:
        notes = ["no model call recorded: a turn is what somebody said"]
        if not self._has_times:
            notes.append("no times recorded: turns stand in their order, a millisecond apart")
        unasked = sum(step.kind == "tool" and step.received is None for step in self._drafts.made)
        return (*notes, f"tools without arguments recorded: {unasked}") if unasked else tuple(notes)


def _turn(index: int, message: Mapping[str, object]) -> _Turn:
    role = str(message.get("role") or "")
    if role in INSTRUCTIONS:
        return _Turn(index, role, message, plain(message))
    who = str(message.get("name") or message.get("source") or role)
    if message.get("name") is None and (aside := _ASIDE.fullmatch(who)) is not None:
        is_private = aside["aside"] == "thought"
        return _Turn(index, aside["name"], message, plain(message), aside["to"], is_private)
    return _Turn(index, who, message, plain(message))


def _question(record: object) -> object:
    if not isinstance(record, Mapping):
        return None
    return next((record[name] for name in QUESTIONS if isinstance(record.get(name), str)), None)


def _title(question: object) -> str:
    return " ".join(str(question or "conversation").split())[:120]


def _is_result(item: object) -> bool:
    return isinstance(item, Mapping) and "call_id" in item and "content" in item
