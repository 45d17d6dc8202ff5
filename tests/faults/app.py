"""What an app of the benchmark is made of, whichever framework it runs on, and where it may be meddled with.

A meddler stands where faults of real apps stand: around a tool, between a decision and its execution, in a model, in a
channel. becausal's own names are used nowhere in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Protocol

from tests.faults.case import Framework
from tests.faults.plan import Plan
from tests.faults.world import Values, World, read, write

__all__ = ["App", "Asks", "Meddler", "Payload", "Role", "answer", "note", "open_note", "told"]

Payload = str | dict[str, Any]
"""What agents hand on: a text, or a record."""

Tool = Callable[..., Any]


@dataclass(frozen=True)
class Asks:
    """A model's wish to have a tool called."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass
class Role:
    """How an agent works: how it writes, what it calls, whether it reckons."""

    style: str
    form: int
    calls: Sequence[str] = ()
    """The tools that it asks for, in this order, one after the other: `get_offer`, or `get_offer:north`."""
    reckons: bool = False
    drops: frozenset[str] = frozenset()
    """Values that it does not pass on."""


def _as_is(_: str, given: Any) -> Any:
    return given


@dataclass
class Meddler:
    """Where an app is meddled with; by itself it changes nothing."""

    said: Callable[[str, str], str] = _as_is
    """Takes an agent and what its model answered; returns what it answers."""
    executed: Callable[[str, dict[str, Any]], dict[str, Any]] = _as_is
    """Takes a tool and the arguments decided on; returns those that it is called with."""
    sent: Callable[[str, Any], Any] = _as_is
    """Takes a sender and what it sent; returns what arrives. A tuple is several messages, an empty one is none."""
    ran: Callable[[str], int] = lambda _: 1
    """Takes a tool; returns how often its executor runs it for one decision."""


@dataclass
class App:
    """One app, ready to be run."""

    world: World
    plan: Plan
    roles: dict[str, Role]
    tools: dict[str, Tool]
    meddler: Meddler = field(default_factory=Meddler)
    is_record: bool = False
    """Whether agents hand on records, not texts."""
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What agents of a graph return beside what they hand on."""
    declared: frozenset[str] = frozenset()
    """Further fields of a graph's state."""
    twice: frozenset[str] = frozenset()
    """Senders whose messages AutoGen's transport delivers twice."""
    hasty: frozenset[str] = frozenset()
    """Agents that go on with the first that they hear, and do not wait for the others."""
    heartbeats: int = 0
    """How often each worker of AutoGen's says that it is still there."""
    retries: int = 0
    """How often a tool that raised is asked again; after that its model is told of the error."""
    is_awaited: bool = True
    """Whether the user waits for the answer; else AutoGen's runtime tells him at once that it is under way."""

    @classmethod
    def of(cls, world: World, plan: Plan, *, asker: str | None = None, is_record: bool | None = None) -> App:
        """Return an app whose agents write each in a way of its own; one of them calls the price tool and reckons."""
        rng = world.rng
        roles = {
            name: Role(rng.choice(("lines", "prose", "bullets", "table", "json")), rng.randrange(3))
            for name in plan.agents
        }
        asking = asker or rng.choice(plan.agents[:-1])
        roles[asking].calls = ("get_offer",)
        roles[asking].reckons = True
        made = cls(world, plan, roles, {}, is_record=rng.random() < 0.4 if is_record is None else is_record)
        made.is_awaited = rng.random() < 0.6
        made.tools["get_offer"] = made.get_offer
        return made

    def get_offer(self, item: str, region: str = "all") -> Any:
        """Return what an item costs and how many there are."""
        return {
            "item": item,
            "region": region,
            "unit_price": str(self.world.price),
            "in_stock": self.world.stock,
            "currency": "USD",
        }

    def run(self, framework: Framework) -> None:
        """Run it on the real framework."""
        from tests.faults import on_autogen, on_langgraph

        if PASSING is not None:
            self._let_pass(PASSING)
        answer = (on_langgraph if framework == "langgraph" else on_autogen).run(self)
        if PASSING is not None:
            PASSING.answer = answer

    def _let_pass(self, passing: Passing) -> None:
        """Let everything that passes a place of this app pass somebody who may put it right."""
        said, sent = self.meddler.said, self.meddler.sent
        self.meddler.said = lambda who, text: passing.passing(("agent", who), said(who, text))
        self.meddler.sent = lambda who, payload: passing.passing(("channel", who), sent(who, payload))
        for name, tool in self.tools.items():
            self.tools[name] = _passed(tool, name, passing)

    @property
    def asker(self) -> str:
        """The agent that calls a tool."""
        return next(name for name, role in self.roles.items() if role.calls)


class Passing(Protocol):
    """Somebody whom everything passes that tools answer, models say and channels carry."""

    answer: str | None

    def passing(self, place: Any, value: Any) -> Any:
        """Take what passes a place; return what goes on."""


PASSING: Passing | None = None
"""Whom it passes; nobody but where a case is proved."""


def _passed(tool: Tool, name: str, passing: Passing) -> Tool:
    def called(item: str, region: str = "all") -> Any:
        """Return what an item costs and how many there are."""
        try:
            found = tool(item, region)
        except ConnectionError:
            if (right := passing.passing(("tool", name), None)) is None:
                raise
            return right
        return passing.passing(("tool", name), found)

    return called


# -- what models do: a pure function of what they are told

_OPENINGS: Final = (
    "Here is what I have.",
    "My part is done; the state of things:",
    "Noted. To be passed on:",
)


def answer(role: Role, heard: str, results: Sequence[str]) -> Asks | str:
    """Return what a model says of what it heard and of what its tools answered."""
    values = read(heard)
    if len(results) < len(role.calls) and "item" in values:
        tool, _, region = role.calls[len(results)].partition(":")
        return Asks(tool, {"item": values["item"]} | ({"region": region} if region else {}))
    remarks = [remark for result in results if (remark := _learn(result, values))]
    if role.reckons and isinstance(values.get("price"), Decimal) and isinstance(values.get("quantity"), int):
        values["total"] = values["price"] * values["quantity"]  # type: ignore[operator]
    kept = {name: value for name, value in values.items() if name not in role.drops}
    opening = _OPENINGS[role.form % len(_OPENINGS)]
    return "\n".join([opening, *remarks, write(kept, role.style, role.form)])


def _learn(result: str, values: Values) -> str:
    """Take over what a tool answered; return what is no data."""
    try:
        data = json.loads(result)
    except ValueError:
        values["price"] = Decimal(0)
        return f"The tool says: {re.sub('<[^>]*>', ' ', result)[:120].strip()}" if result.strip() else ""
    if isinstance(data, dict) and isinstance(data.get("items"), list):
        prices = [Decimal(str(row.get("unit_price", 0))) for row in data["items"]]
        values["price"] = min(prices, default=Decimal(0))
    elif isinstance(data, dict) and "item" in data:
        values["price"] = Decimal(str(data.get("unit_price", 0)))
        if "in_stock" in data:
            values["stock"] = int(data["in_stock"])
    elif not data:
        values["price"] = Decimal(0)
    return ""


# -- what agents hand on


def note(text: str, is_record: bool) -> Payload:
    """Return what an agent hands on: its text, or a record of it."""
    if not is_record:
        return text
    values = read(text)
    data: dict[str, Any] = json.loads(write(values, "json", 0))
    for name in ("quantity", "in_stock"):
        if name in data:
            data[name] = int(re.sub(r"\D", "", data[name]))
    if "sizes" in values and isinstance(values["sizes"], tuple):
        data["sizes"] = list(values["sizes"])
    return {"note": text, "data": data}


def open_note(payload: Payload) -> str:
    """Return what a model is told of a payload."""
    if isinstance(payload, str):
        return payload
    data = payload.get("data")
    if isinstance(data, Mapping):
        flat = {k: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in data.items()}
        return f"{payload.get('note', '')}\n{json.dumps(flat)}"
    return f"{payload.get('note', '')}\n{data if data is not None else ''}"


def told(heard: Sequence[tuple[str, Payload]]) -> str:
    """Return a prompt of what others handed on."""
    return "\n\n".join(f"From {sender}:\n{open_note(payload)}" for sender, payload in heard)
