"""A case: a run's agents, tools and request, what is planted in it, and how its agents write. Knows no framework."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.provenance.plants import KINDS, LABELS, Plant, PlantKind, SourceKind, plant

__all__ = ["Case", "case_of"]

STYLES: Final = ("prose", "list", "json")
QUOTES: Final = (
    "As the register puts it, {text}, so we plan for that.", 'They wrote "{text}" and we take them at their word.',
    "It is known that {text}, which matters here.",
)  # fmt: skip
SENTENCES: Final = (
    "The {label} is {form}.",
    "We noted a {label} of {form}.",
    "For the {label}, {form} was told.",
)


@dataclass
class Case:
    """One run to be."""

    seed: int
    agents: tuple[str, ...]
    styles: tuple[str, ...]
    """How each agent writes."""
    tools: dict[str, dict[str, Any]]
    """What each tool gives."""
    in_prose: frozenset[str]
    """The tools that give it as sentences."""
    called_by: dict[str, int]
    """Which agent calls a tool."""
    request: str
    memory: dict[str, Any]
    plants: list[Plant] = field(default_factory=list)
    is_model: tuple[bool, ...] = ()
    """Whether an agent has a model, or is code alone."""

    def given_by(self, tool: str) -> str | dict[str, Any]:
        """Return what a tool gives."""
        record = self.tools[tool]
        if tool not in self.in_prose:
            return dict(record)
        told = [
            text if isinstance(text, str) and text.startswith("The ") else f"The {name} stands at {text}."
            for name, text in record.items()
        ]
        return " ".join(told)

    def note(self, agent: int, heard: str) -> str:
        """Return what an agent writes, given all that it heard: a pure function of that."""
        random = Random(f"{self.seed} {agent}")
        pieces: list[tuple[str, str]] = []
        for one in self.plants:
            if agent < one.first or (agent == one.first and not self._is_there(one, heard)):
                continue
            if (
                agent > one.first
                and one.form(agent - 1) not in heard
                and json.dumps(one.form(agent - 1))[1:-1] not in heard
            ):
                continue
            pieces.append((one.label, self._worded(one, agent, random)))
        return self._written(pieces, self.styles[agent])

    def _is_there(self, one: Plant, heard: str) -> bool:
        if one.kind in ("invented", "computed"):
            return True
        needed = one.operands or ((one.given if isinstance(one.given, str) else str(one.given)).rstrip("."),)
        return all(text in heard for text in needed)

    def _worded(self, one: Plant, agent: int, random: Random) -> str:
        form = one.form(agent)
        if self.styles[agent] == "json":
            return form
        if one.kind == "quoted":
            return random.choice(QUOTES).format(text=form)
        if one.is_sentence:
            return form if form.endswith(("…", "...")) else f"{form}." if one.kind != "truncated" else form
        return random.choice(SENTENCES).format(label=one.label, form=form)

    @staticmethod
    def _written(pieces: list[tuple[str, str]], style: str) -> str:
        match style:
            case "json":
                return json.dumps(dict(pieces), ensure_ascii=False)
            case "list":
                return "\n".join(f"- {text}" for _, text in pieces)
            case _:
                return "\n".join(text for _, text in pieces)


def case_of(seed: int, *, with_memory: bool, may_be_code: bool) -> Case:
    """Return the case of a seed.

    Args:
        seed: every seed another case.
        with_memory: whether a memory may give something.
        may_be_code: whether an agent may be code alone.
    """
    random = Random(seed)
    count = random.randrange(2, 5)
    agents = tuple(random.sample(("ada", "bo", "cleo", "dan", "eve", "finn"), count))
    is_model = tuple(not may_be_code or random.random() < 0.6 for _ in agents)
    tools = [
        f"get_{name}"
        for name in random.sample(("prices", "stock", "routes", "rules", "people"), random.randrange(2, 5))
    ]
    sources: list[tuple[SourceKind, str]] = [("tool", name) for name in tools] + [("user", "user")]
    if with_memory:
        sources.append(("memory", "notes"))
    case = Case(
        seed, agents, tuple(random.choice(STYLES) for _ in agents), {}, frozenset(), {}, "", {}, [], is_model
    )
    case.called_by = {name: random.randrange(count) for name in tools}
    labels = random.sample(LABELS, len(LABELS))
    kinds: list[PlantKind] = [*random.sample(KINDS, random.randrange(4, 8)), *random.choices(KINDS, k=3)]
    for kind in kinds:
        if kind == "computed" and all(is_model):
            continue
        given = [
            source for source in sources if kind not in ("derived", "two sources") or source[0] == "tool"
        ]
        one = plant(kind, random, labels.pop(), given, count)
        if one.kind in ("invented", "computed"):
            able = [n for n, is_one in enumerate(is_model) if is_one == (kind == "invented")]
            if not able:
                continue
            one.first = random.choice(able)
            one.origin = agents[one.first]
        if one.is_sentence and any(one.given == other.given for other in case.plants):
            continue
        case.plants.append(one)
    _give(case, random, tools, labels)
    return case


def _give(case: Case, random: Random, tools: list[str], labels: list[str]) -> None:
    """Let the sources give what is planted, beside what has nothing to do with it."""
    last = len(case.agents) - 1
    case.tools = {name: {"status": "ok", labels.pop(): random.randrange(10**6, 10**7)} for name in tools}
    said: list[str] = ["Write a report."]
    for one in case.plants:
        match one.source:
            case "tool":
                at = case.called_by[one.origin]
                one.first = max(one.first, at) if one.kind == "derived" else at
                case.tools[one.origin][one.label] = one.given
                if one.kind == "two sources":
                    other = random.choice([name for name in tools if name != one.origin])
                    case.tools[other][labels.pop()] = one.given
                    if case.called_by[other] < at:
                        one.first = at
            case "user":
                said.append(one.given if one.is_sentence else f"The {one.label} is {one.given}.")
                one.first = 0
            case "memory":
                case.memory[one.label] = one.given
                one.first = 0
        if one.decoy is not None:
            tool = random.choice(tools)
            case.tools[tool][one.label] = one.decoy
    records = {one.origin for one in case.plants if one.kind == "derived"}
    case.in_prose = frozenset(name for name in tools if name not in records and random.random() < 0.3)
    # A figure that is made late must be made of what the last agents still know: whoever calls the tool makes it.
    for one in case.plants:
        if one.kind == "derived":
            one.first = case.called_by[one.origin]
        one.first = min(one.first, last)
        if one.kind == "truncated":
            whole, cut = one.forms[0], one.forms[-1]
            one.forms = [whole] * random.randrange(last - one.first + 1) + [cut]
    case.request = " ".join(said)
