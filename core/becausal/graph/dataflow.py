"""Data edges: whose output reached whose input, found by content where the record names no cause.

For each step we ask which of the content that it received is not yet explained: it stands neither in what
its caller received nor in anything that a recorded cause received or produced. Only that is looked up, and
it is led to the latest earlier step that produced it, the outermost one where several enclose each other.
An edge explains all that its source received too, since that is upstream already; so a conversation of n
turns gets about n edges and not n².

Time is used to refuse a producer that had not finished yet, never to choose a cause without equal content.
Every lookup is by hash, so the work grows with the content and not with the pairs of steps.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import becausal.canonical as canonical
from becausal import semconv
from becausal.graph.content import Content, Contents
from becausal.graph.edge import Edge
from becausal.graph.order import Nesting
from becausal.graph.parts import Known, Part, Said, figures, latest, sentences, shown_as
from becausal.payload import Payload
from becausal.step import Grade, Step

__all__ = ["data_edges"]

SHORTEST_TEXT = 8
"""A shorter text is shared by accident; it counts only where it is all that was said, on both sides."""

SMALLEST_PAYLOAD = 12
"""Bytes. Smaller payloads (`None`, `{}`, `True`) are equal by accident."""

MOST_SAYING = 4
"""A figure that more steps than this produced says nothing of who was heard."""

MOST_TRIES = 32
"""So many producers of one content, or contents with one beginning, are tried before giving up."""


MOST_REACHES = 256
"""So many payloads' and lists' parts are remembered: those of the last turns."""
DEEPEST_REACH = 3
"""A list in a field of a payload, and the list that it begins with, are remembered by themselves."""

_Key = tuple[str, str | bytes]
"""By what content is recognised: what it is, and its text, digest or id."""

_Beginning = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Find:
    producer: int
    key: _Key
    text: str | None  # the produced text, where it was found inside a longer one
    grade: Grade
    within: str | None = None  # the text in which a sentence stands as a part

    @property
    def evidence(self) -> str:
        """What shows it. Asked for of edges alone: most finds are explained, and become none."""
        if self.within is None:
            return _evidence(self.key)
        return _evidence(("text", shown_as(str(self.key[1]), self.within)))


def data_edges(
    steps: Sequence[Step], recorded: Sequence[Edge], nesting: Nesting, contents: Contents
) -> list[Edge]:
    """Return the data edges of a chain.

    Args:
        steps: in `seq` order.
        recorded: the causes that the record holds.
        nesting: of the same steps.
        contents: reads payloads.
    """
    at = {step.id: i for i, step in enumerate(steps)}
    causes: dict[str, list[tuple[Step, bool]]] = {}
    for edge in recorded:
        encloses = nesting.encloses(at[edge.source.id], at[edge.target.id])
        causes.setdefault(edge.target.id, []).append((edge.source, encloses))
    keys = _Keys(contents)
    index = _Index(steps, nesting, keys)
    found: list[Edge] = []
    for i, step in enumerate(steps):
        carriers = _Carriers(keys)
        for source, encloses in causes.get(step.id, ()):
            # What an enclosing step will produce was not there yet.
            carriers.add_payload(source.received) if encloses else carriers.add(source)
        parent = nesting.parents[i]
        if parent is not None:
            carriers.add_payload(steps[parent].received)
        # A cause in another run (a conversation that goes on) may have brought anything: equal content here is chance.
        if all(cause.source_id in at for cause in step.causes):
            found += _edges_into(i, steps, index, carriers)
        index.add(i)
    return found


def _edges_into(i: int, steps: Sequence[Step], index: _Index, carriers: _Carriers) -> list[Edge]:
    edges = []
    # First the turn before in the same conversation: it explains the history, which then need not be looked up.
    if (turn := index.turn_before(i, carriers)) is not None:
        edges.append(Edge(steps[turn.producer], steps[i], "data", turn.grade, turn.evidence))
        carriers.add(steps[turn.producer])
    by_producer: dict[int, list[_Find]] = {}
    for find in index.finds(i, carriers):
        by_producer.setdefault(find.producer, []).append(find)
    for producer in sorted(by_producer, reverse=True):
        finds = [find for find in by_producer[producer] if not carriers.carry(find)]
        if finds and not carriers.has_step(steps[producer]):
            best = next((find for find in finds if find.grade == "observed"), finds[0])
            edges.append(Edge(steps[producer], steps[i], "data", best.grade, best.evidence))
            carriers.add(steps[producer])
    return edges


class _Keys:
    """The keys of payloads, worked out once for each part that they are made of."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self._own: dict[bytes, frozenset[_Key]] = {}
        self._said = Said()
        self._holders: dict[_Key, list[bytes]] = {}
        self._reaches: OrderedDict[bytes, frozenset[bytes]] = OrderedDict()

    def shows(self, payload: Payload | None, text: str) -> bool:
        """Return whether a text stands in a payload."""
        return any(text in shown for shown in self.contents.texts(payload))

    def say(self, payload: Payload | None, part: Part) -> bool:
        """Return whether a payload says a sentence or a figure, in whichever markup."""
        nodes = ((node, self.contents.at(node)) for node in self.reach(payload))
        return any(
            content is not None and self._said.says(node, content.leaves, part) for node, content in nodes
        )

    def of(self, payload: Payload | None) -> frozenset[_Key]:
        """Return the keys of a payload and of what it says."""
        return self.within(payload, self.reach(payload))

    def within(self, payload: Payload | None, nodes: Iterable[bytes]) -> frozenset[_Key]:
        """Return the keys of some parts of a payload, and its own."""
        if payload is None:
            return frozenset()
        keys = frozenset[_Key]().union(*(self._own[node] for node in nodes))
        return keys if payload.size < SMALLEST_PAYLOAD else keys | {("payload", payload.digest)}

    def reach(self, payload: Payload | None) -> frozenset[bytes]:
        """Return the digests of a payload and of the parts that say something in it."""
        if self.contents.of(payload) is None or payload is None:
            return frozenset()
        return self._reach(canonical.parse_digest(payload.digest), DEEPEST_REACH)

    def is_among(self, key: _Key, nodes: set[bytes]) -> bool:
        """Return whether one of some parts has a key of its own; what every part has is not looked for in all."""
        holders = self._holders.get(key, ())
        if len(holders) <= len(nodes):
            return not nodes.isdisjoint(holders)
        return any(key in self._own[node] for node in nodes)

    def _reach(self, node: bytes, deep: int) -> frozenset[bytes]:
        known = self._reaches.get(node)
        if known is not None:
            self._reaches.move_to_end(node)
            return known
        found: set[bytes] = set()
        left = [node]
        while left:
            part = left.pop()
            content = self.contents.at(part)
            if content is None or part in found:
                continue
            if part != node and content.said_parts and (deep or part in self._reaches):
                # Most likely the list that this one begins with, which was sent the turn before.
                found |= self._reach(part, deep - 1)
                continue
            found.add(part)
            self._take_in(part, content)
            left.extend(content.said_parts)
        reach = self._reaches[node] = frozenset(found)
        if len(self._reaches) > MOST_REACHES:
            self._reaches.popitem(last=False)
        return reach

    def _take_in(self, node: bytes, content: Content) -> None:
        if node not in self._own:
            self._own[node] = frozenset(_keys(content))
            for key in self._own[node]:
                self._holders.setdefault(key, []).append(node)


def _keys(content: Content) -> Iterator[_Key]:
    yield from (("part", part) for part in content.parts)
    yield from (("text", text) for text in content.leaves if len(text) >= SHORTEST_TEXT)
    yield from (("whole", text) for text in content.wholes if len(text) < SHORTEST_TEXT)
    yield from (("answer", call) for call in content.answers)


class _Carriers:
    """What already explains a step's content."""

    def __init__(self, keys: _Keys) -> None:
        self._of = keys
        self._steps: set[str] = set()
        self._nodes: set[bytes] = set()
        self._keys: set[_Key] = set()
        self._payloads: list[Payload | None] = []

    def add(self, step: Step) -> None:
        """Let a step explain what it received and produced."""
        self._steps.add(step.id)
        self.add_payload(step.received)
        self.add_payload(step.produced)
        self._keys |= {("ask", call) for call in self._of.contents.asks(step.produced)}
        if (call := _call_of(step)) is not None:
            self._keys.add(("answer", call))

    def add_payload(self, payload: Payload | None) -> None:
        """Let a payload explain what is in it."""
        if payload is None:
            return
        self._nodes |= self._of.reach(payload)
        self._keys.add(("payload", payload.digest))
        self._payloads.append(payload)

    def has_step(self, step: Step) -> bool:
        """Return whether a step is among the causes."""
        return step.id in self._steps

    def carry(self, find: _Find) -> bool:
        """Return whether a find is explained."""
        kind, part = find.key
        if kind in ("piece", "figure"):
            return any(self._of.say(payload, (kind, str(part))) for payload in self._payloads)
        return self.has(find.key) or (
            find.text is not None and any(self._of.shows(payload, find.text) for payload in self._payloads)
        )

    def has(self, key: _Key) -> bool:
        """Return whether a key is explained."""
        return key in self._keys or self._of.is_among(key, self._nodes)

    def unexplained(self, payload: Payload | None) -> set[_Key]:
        """Return the keys of a payload that nothing explains."""
        new = self._of.reach(payload) - self._nodes
        return {key for key in self._of.within(payload, new) if not self.has(key)}


class _Index:
    """What the steps so far have produced."""

    def __init__(self, steps: Sequence[Step], nesting: Nesting, keys: _Keys) -> None:
        self._steps, self._nesting, self._keys = steps, nesting, keys
        self._producers: dict[_Key, dict[int, None]] = {}
        self._beginnings: dict[_Beginning, dict[str, None]] = {}
        self._sentences = Known()
        self._last_turns: dict[tuple[int | None, str], int] = {}  # by caller and kind

    def add(self, i: int) -> None:
        """Take in what a step produced."""
        step = self._steps[i]
        self._last_turns[self._nesting.parents[i], step.kind] = i
        if step.produced is None or step.kind == "handoff":
            return  # a handoff passes content on; its receiver is linked to it by the record
        contents = self._keys.contents
        keys: list[_Key] = [key for key in self._keys.of(step.produced) if key[0] != "answer"]
        keys += [("ask", call) for call in contents.asks(step.produced)]
        if (call := _call_of(step)) is not None:
            keys.append(("answer", call))
        for key in keys:
            self._producers.setdefault(key, {})[i] = None
        for text in contents.leaves(step.produced):
            self._add_parts(i, text)

    def _add_parts(self, i: int, text: str) -> None:
        is_short = True
        for sentence in sentences(text):
            is_short = False
            self._sentences.add(sentence)
            self._producers.setdefault(("piece", sentence), {})[i] = None
        if is_short and len(text) >= SHORTEST_TEXT and (beginning := _beginning(text)) is not None:
            self._beginnings.setdefault(beginning, {})[text] = None
        for figure in figures(text):
            self._producers.setdefault(("figure", figure), {})[i] = None

    def turn_before(self, i: int, carriers: _Carriers) -> _Find | None:
        """Return the find that the same caller's last step of this kind produced what this one received."""
        before = self._last_turns.get((self._nesting.parents[i], self._steps[i].kind))
        if before is None or carriers.has_step(self._steps[before]) or not self._had_finished(before, i):
            return None
        said = {key for key in self._keys.of(self._steps[before].produced) if key[0] != "answer"}
        shared = carriers.unexplained(self._steps[i].received) & said
        if not shared:
            return None
        key = min(shared, key=_by_strength)
        return _Find(before, key, None, "matched")

    def finds(self, i: int, carriers: _Carriers) -> Iterator[_Find]:
        """Yield what a step received that nothing explains yet, with the step that produced it."""
        step = self._steps[i]
        call = _call_of(step)
        if call is not None and (producer := self._latest(("ask", call), i)) is not None:
            yield _Find(producer, ("ask", call), None, "observed")
        left = carriers.unexplained(step.received)
        for key in sorted(left, key=_by_strength):
            if (producer := self._latest(key, i)) is not None:
                left.discard(key)
                grade: Grade = "observed" if key[0] == "answer" else "matched"
                yield _Find(producer, key, None, grade)
        yield from self._embedded(i, sorted(str(text) for name, text in left if name == "text"))

    def _embedded(self, i: int, texts: Iterable[str]) -> Iterator[_Find]:
        """Yield what was produced and stands inside longer texts: a prompt that quotes a tool's result."""
        for text in dict.fromkeys(texts):
            if len(text) <= SHORTEST_TEXT:
                continue
            for beginning in sorted(self._beginnings.keys() & _words(text), key=str):
                for produced in latest(self._beginnings[beginning], MOST_TRIES):
                    if produced in text:
                        yield from self._find(i, ("text", produced), produced)
            for sentence in self._sentences.within(text):
                yield from self._find(i, ("piece", sentence), None, text)
            for figure in sorted(figures(text)):
                if 0 < len(self._producers.get(("figure", figure), ())) <= MOST_SAYING:
                    yield from self._find(i, ("figure", figure), None)

    def _find(self, i: int, key: _Key, text: str | None, within: str | None = None) -> Iterator[_Find]:
        producer = self._latest(key, i)
        if producer is not None:
            yield _Find(producer, key, text, "matched", within)

    def _latest(self, key: _Key, i: int) -> int | None:
        """Return the latest producer that had finished when a step began."""
        producers = self._producers.get(key, {})
        for producer in islice(reversed(producers), MOST_TRIES):
            if self._had_finished(producer, i):
                return self._outermost(producer, producers, i)
        return None

    def _outermost(self, producer: int, producers: Container[int], i: int) -> int:
        outer = self._nesting.parents[producer]
        while outer is not None and outer in producers and self._had_finished(outer, i):
            producer, outer = outer, self._nesting.parents[outer]
        return producer

    def _had_finished(self, producer: int, i: int) -> bool:
        ended = self._steps[producer].ended_ns
        if ended is None or ended > self._steps[i].started_ns:
            return False
        return self._steps[producer].seq < self._steps[i].seq and not self._nesting.encloses(producer, i)


def _call_of(step: Step) -> str | None:
    """Return the id of the tool call that a step is the execution of."""
    call = step.attributes.get(semconv.TOOL_CALL_ID) if step.kind == "tool" else None
    return call if isinstance(call, str) and call else None


def _by_strength(key: _Key) -> tuple[int, str]:
    # The first that finds a producer becomes the edge's evidence.
    return ("answer", "payload", "whole", "text", "part").index(key[0]), repr(key[1])


def _evidence(key: _Key) -> str:
    match key:
        case ("text" | "whole" | "piece" | "figure", str() as text):
            head = " ".join(text.split())
            name = "figure" if key[0] == "figure" else "text"
            return f'{name} "{head[:40]}{"…" if len(head) > 40 else ""}"'
        case ("part", bytes() as part):
            return f"part {part.hex()[:8]}"
        case ("payload", str() as digest):
            return f"payload {digest.rpartition(':')[2][:8]}"
        case _:
            return f"tool call {key[1]!s}"


def _words(text: str) -> set[_Beginning]:
    words = re.findall(r"\w+", text)
    return {*words, *pairwise(words)}


def _beginning(text: str) -> _Beginning | None:
    words = re.findall(r"\w+", text[:200])
    if not words:
        return None
    return (words[0], words[1]) if len(words) > 1 else words[0]
