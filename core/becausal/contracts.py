"""What a handoff must carry, and what may get lost on the way: `becausal.contract(...)`.

    becausal.contract("planner", "writer", model=Brief, must_carry=["order_id"], allow=["drop:notes", "trim:messages"])

A contract is checked at the receiving end, after the handoff has ended and on another thread: it costs the app nothing
and stops nothing. What is broken stands on the handoff, and is a finding `contract.broken`. What it allows is none when
it happens. A handoff whose content is not kept is counted as a gap (`not checked`), and breaks nothing.

A payload is what the framework hands over: a LangGraph state, an AutoGen message. A model or a schema fits if it fits
that, or the content of a message, or JSON that such a content is.
"""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from becausal import semconv
from becausal.afterwards import MOST_SAID, WIDEST, Afterwards, Check
from becausal.errors import ContractError
from becausal.observation import NOTHING
from becausal.payload import Payload, text_of
from becausal.step import Attribute, OpenStep

__all__ = ["ALLOWED", "Contract", "Contracts", "contract", "declare", "declared"]

ALLOWED = ("drop", "trim", "redact", "summarise", "reorder")
"""What a contract may allow; each with a path behind a colon, or with `*` for everywhere."""

log: logging.Logger = logging.getLogger("becausal")

ANYBODY = "*"
MOST_PAIRS = 1_000
"""So many pairs of agents are remembered."""

DEEPEST = 40
"""Levels of a payload that are searched for what it must carry."""

Value = Callable[[Payload], object]
"""Gives a payload's value; raises LookupError where its body was not kept."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What one sender owes one receiver."""

    sender: str
    receiver: str
    checks: tuple[Check, ...] = ()
    """Of what was received; the app's predicate, its model and its schema."""
    must_carry: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    def is_between(self, sender: str, receiver: str) -> bool:
        """Return whether a handoff falls under this contract."""
        return self.sender in (sender, ANYBODY) and self.receiver in (receiver, ANYBODY)


declared: list[Contract] = []


def contract(
    sender: str,
    receiver: str,
    *,
    model: object = None,
    schema: Mapping[str, Any] | None = None,
    must_carry: Iterable[str] = (),
    check: Check | None = None,
    allow: Iterable[str] = (),
) -> Contract:
    """Declare what every handoff from one agent to another must carry, from now on. Declaring it again changes nothing.

    Args:
        sender: an agent's name, or `*` for any.
        receiver: an agent's name, or `*` for any.
        model: a pydantic model that what is received must fit.
        schema: a JSON schema that what is received must fit (needs `becausal[contracts]`).
        must_carry: fields that must be there, at any depth, with the value that was sent; in a text, that value must
            stand. A path names a field within another one: `brief.order_id`. `id:*` means all identifiers that were
            sent, and `money:*`, `date:*`, `limit:*` and so on all facts of that kind (`becausal.facts.kinds`). A word
            that is none of these must stand in what is received.
        check: takes what was received as plain data; says what is wrong as a validator does.
        allow: what may happen on the way, as `kind:path`: `drop:notes`, `trim:messages`, `redact:*`.

    Raises:
        ContractError: an argument is none that can be checked.
    """
    checks = [check] if check is not None else []
    if model is not None:
        checks.append(_model_check(model))
    if schema is not None:
        checks.append(_schema_check(schema))
    if isinstance(must_carry, str) or isinstance(allow, str):
        raise ContractError("must_carry and allow are lists of texts, such as must_carry=['order_id']")
    made = Contract(sender, receiver, tuple(checks), tuple(must_carry), tuple(map(_allowance, allow)))
    declare(made)
    return made


def declare(made: Contract) -> None:
    """Put a contract in force, if it is not.

    Raises:
        ContractError: this is no contract.
    """
    if not isinstance(made, Contract):
        raise ContractError(f"contracts are what becausal.contract(...) returns, not {made!r}")
    if made not in declared:
        declared.append(made)


class Contracts:
    """Has handoffs checked against the contracts that they fall under."""

    def __init__(self, afterwards: Afterwards, value: Value, count_gap: Callable[[str], None]) -> None:
        self._afterwards, self._value, self._count_gap = afterwards, value, count_gap
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Who handed over to whom."""
        self._told: set[int] = set()
        """Contracts that were said to have nobody to hold, by identity."""

    def ended(self, handoff: OpenStep) -> None:
        """Have a handoff checked; what is found is saved with it."""
        if not declared:
            return
        sender = str(handoff.attributes.get(semconv.TRANSFER_SOURCE, ""))
        receiver = str(handoff.attributes.get(semconv.TRANSFER_TARGET_OWN, ""))
        owed = [one for one in declared if one.is_between(sender, receiver)]
        self._seen[sender, receiver] = None
        while len(self._seen) > MOST_PAIRS:
            self._seen.popitem(last=False)
        if owed and handoff.produced is not None:  # else nobody received it; that is a finding of its own
            self._afterwards.put(handoff, lambda: self._found(handoff, owed))

    def tell_unused(self) -> None:
        """Log each contract that no handoff has fallen under, once, where there were handoffs at all."""
        pairs = list(self._seen)
        for one in declared if pairs else ():
            if id(one) in self._told or any(one.is_between(*pair) for pair in pairs):
                continue
            self._told.add(id(one))
            there = ", ".join(f"{sender} to {receiver}" for sender, receiver in pairs[:MOST_SAID])
            likely = [
                f"{name} may mean {near[0]}"
                for name, names in (
                    (one.sender, {s for s, _ in pairs}),
                    (one.receiver, {r for _, r in pairs}),
                )
                if name not in names and (near := difflib.get_close_matches(name, names, 1))
            ]
            log.warning(
                "becausal: the contract from %s to %s has held nobody so far: these handed over: %s%s",
                *(one.sender, one.receiver, there, "".join(f"; {said}" for said in likely)),
            )

    def _found(self, handoff: OpenStep, owed: Sequence[Contract]) -> Mapping[str, Attribute]:
        allowed = tuple(dict.fromkeys(text for one in owed for text in one.allow))
        found: dict[str, Attribute] = {semconv.CONTRACT_ALLOWS: allowed} if allowed else {}
        if not any(one.checks or one.must_carry for one in owed):
            return found  # they allow, and ask for nothing
        sent, received = self._kept(handoff.received), self._kept(handoff.produced)
        if received is NOTHING:
            self._count_gap("not checked")  # nobody broke what nobody could look at
            return found
        said = [said for one in owed for said in self._breaches(one, sent, received)]
        return {**found, semconv.CONTRACT_BREACHES: tuple(said[:MOST_SAID])}

    def _kept(self, payload: Payload | None) -> object:
        try:
            return NOTHING if payload is None else self._value(payload)
        except LookupError:
            return NOTHING  # of another process, or of none that keeps it

    def _breaches(self, owed: Contract, sent: object, received: object) -> Iterator[str]:
        told = []
        for name in owed.must_carry:
            for said in _not_carried(name, sent, received):
                told.append(name)
                yield said
        for check in owed.checks:
            # What a model misses as well has been told, with the value that was sent.
            yield from (s for s in self._afterwards.asked(check, received) if not _is_about(s, told))


# What must be carried


def _not_carried(name: str, sent: object, received: object) -> Iterator[str]:
    kind, colon, every = name.partition(":")
    if colon and every == ANYBODY:
        yield from _facts_not_carried(kind, sent, received)
        return
    was, now = list(_fields(sent, name)), list(_fields(received, name))
    if now:
        if was and not any(_alike(one, other) for one in was for other in now):
            yield f"{name} was {_shown(was[-1])} when it was sent and is {_shown(now[-1])}"[:WIDEST]
    elif was:
        text = text_of(received)
        if not any(_stands_in(value, text) for value in was):
            yield f"{name} ({_shown(was[-1])}) did not arrive"[:WIDEST]
    elif name.lower() not in text_of(received).lower():
        yield f"{name} was neither sent nor received"[:WIDEST]


def _facts_not_carried(kind: str, sent: object, received: object) -> Iterator[str]:
    """Yield the facts of a kind that were sent and did not arrive."""
    from becausal.facts import facts, missing  # brings registers of units with it, which few apps need

    owed = [fact for fact in facts(sent) if fact.kind == kind]
    gone = missing(owed, facts(received), text=text_of(received)) if owed else ()
    if not owed and not any(fact.kind == kind for fact in facts(received)):
        yield f"no {kind} was sent or received"
    for fact in gone[:MOST_SAID]:
        yield f"{kind} {_shown(fact.text)} did not arrive"[:WIDEST]


def _is_about(refusal: str, names: Sequence[str]) -> bool:
    """Return whether a model or a schema misses one of these fields."""
    return any(
        re.search(rf"(?:[ .]{re.escape(name)}: Field required|'{re.escape(name)}' is a required)", refusal)
        for name in names
    )


def _fields(value: object, name: str, depth: int = 0) -> Iterator[object]:
    """Yield what stands under a name or a path, at any depth, also in JSON that is a text."""
    if depth > DEEPEST:
        return
    first, dot, rest = name.partition(".")
    if dot:
        for item in _fields(value, first, depth):
            yield from _fields(item, rest, depth + 1)
    match value:
        case Mapping():
            for key, item in value.items():
                if key == name and item not in (None, "", [], {}):
                    yield item
                yield from _fields(item, name, depth + 1)
        case list() | tuple():
            for item in value:
                yield from _fields(item, name, depth + 1)
        case str() if value.lstrip()[:1] in ("{", "["):
            try:
                yield from _fields(json.loads(value), name, depth + 1)
            except (ValueError, RecursionError):
                return


def _alike(one: object, other: object) -> bool:
    return one == other or text_of(one).strip().lower() == text_of(other).strip().lower()


def _stands_in(value: object, text: str) -> bool:
    return all(line.strip().lower() in text.lower() for line in text_of(value).split("\n") if line.strip())


def _shown(value: object) -> str:
    return repr(value)[:80]


# Models, schemas, allowances


def _model_check(model: object) -> Check:
    validate = getattr(model, "model_validate", None)
    if not isinstance(model, type) or validate is None:
        raise ContractError(f"model is to be a class derived from pydantic.BaseModel, not {model!r}")

    def fits(received: object) -> object:
        return _refusals(received, lambda one: validate(one))

    fits.__name__ = model.__name__
    return fits


def _schema_check(schema: Mapping[str, Any]) -> Check:
    try:
        import jsonschema
    except ImportError:
        raise ContractError("a JSON schema needs jsonschema: pip install 'becausal[contracts]'") from None
    try:
        jsonschema.validators.validator_for(schema).check_schema(dict(schema))
    except jsonschema.SchemaError as refusal:
        raise ContractError(f"this is no JSON schema: {refusal.message}") from None

    def validate(one: object) -> None:
        try:
            jsonschema.validate(one, schema)
        except jsonschema.ValidationError as refusal:
            raise ValueError(f"{refusal.json_path}: {refusal.message}") from None

    def fits(received: object) -> object:
        return _refusals(received, validate)

    fits.__name__ = str(schema.get("title", "schema"))
    return fits


def _refusals(received: object, validate: Callable[[object], object]) -> list[str] | None:
    """Return why a value does not fit, nor anything that it may stand for; None where one of them does."""
    refused: list[str] = []
    for candidate in _candidates(received):
        try:
            validate(candidate)
        except ValueError as refusal:  # pydantic's too
            refused = _in_short(refusal)
        else:
            return None
    return refused or ["nothing was received"]


def _in_short(refusal: ValueError) -> list[str]:
    errors = getattr(refusal, "errors", None)
    if errors is None:
        return [str(refusal)]
    model = getattr(refusal, "title", "model")
    return [f"{model}: {'.'.join(map(str, error['loc'])) or 'value'}: {error['msg']}" for error in errors()]


def _candidates(received: object) -> Iterator[object]:
    """Yield what a payload may stand for: itself, the content of its last message, JSON that such a content is."""
    yield received
    inner = received
    if isinstance(inner, Mapping) and isinstance(inner.get("messages"), list | tuple) and inner["messages"]:
        inner = inner["messages"][-1]
    elif isinstance(inner, list | tuple) and inner:
        inner = inner[-1]
    if isinstance(inner, Mapping) and "content" in inner:
        inner = inner["content"]
    if inner is not received and not isinstance(inner, str):
        yield inner
    if isinstance(inner, str) and inner.lstrip()[:1] in ("{", "["):
        try:
            yield json.loads(inner)
        except (ValueError, RecursionError):
            return


def _allowance(text: str) -> str:
    kind, colon, path = str(text).partition(":")
    if kind not in ALLOWED:
        raise ContractError(
            f"allow={text!r}: {kind!r} is none of {', '.join(ALLOWED)}; write drop:notes, or trim:*"
        )
    return f"{kind}:{path if colon and path else ANYBODY}"
