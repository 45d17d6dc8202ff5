"""Index: which payloads of a chain hold a text, without a search through all of them.

Every text is kept once, however many payloads it stands in: a conversation's message is a part of each turn
after it. A text can stand only where its words stand, so from the rarest of its words we know the few texts
that must be searched. The index only rules out; whether a text stands in another is for `Wording` to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import becausal.canonical as canonical
from becausal.facts import Fact
from becausal.graph.content import LONGEST_KEYED, Contents
from becausal.graph.stating import Statements, forms
from becausal.graph.wording import Wording, normal, telling_words, whole_words, words
from becausal.payload import Payload
from becausal.step import Grade, Step

__all__ = ["Found", "Index", "Postings"]

FEW = 4
"""So few candidates are searched sooner than ruled out."""

MOST_STATING = 200
"""So many texts that may state a fact are read."""

MOST_READ = 1_000_000
"""Of texts of so many characters it is remembered what their pieces state."""

LONGEST_BESIDE = 2_000
"""Characters of a text whose words stand beside what is found in it."""

MOST_WORDS = 8
"""So many of a text's words, rarest first, are asked for who has them."""


@dataclass(frozen=True, slots=True)
class Found:
    """The texts, by number, that a wording stands in."""

    exactly: frozenset[int]
    normally: frozenset[int]


class Index:
    """The texts of one chain, by their words, and the payloads that they stand in."""

    def __init__(self, steps: Sequence[Step], contents: Contents) -> None:
        self._steps, self._contents = steps, contents
        self._numbers: dict[str, int] = {}
        self._exact, self._normal = Postings(), Postings()
        self._said_in: dict[int, list[bytes]] = {}  # as a leaf
        self._shown_in: dict[int, list[bytes]] = {}
        self._holders: dict[bytes, list[bytes]] = {}  # of a part: what it is a part of
        self._sayers: dict[bytes, list[bytes]] = {}  # and where its leaves are leaves
        self._payloads: dict[bytes, str] = {}
        self._unread: dict[str, Grade] = {}
        self._producers: dict[str, list[int]] = {}
        self._failed: list[int] = []
        self._statements: dict[int, Statements] = {}  # by text
        self._room = MOST_READ
        self._inside: dict[str, frozenset[int]] = {}  # of a payload: its texts
        seen: set[bytes] = set()
        for i, step in enumerate(steps):
            self._add_step(i, step, seen)

    def wording(self, text: str, payload: Payload) -> Wording:
        """Return how a text stands in a payload of the chain: as whole words wherever it does in any of its texts."""
        if payload.digest not in self._inside:
            said = self._contents.texts(payload)
            self._inside[payload.digest] = frozenset(
                i for t in said if (i := self._numbers.get(t)) is not None
            )
            if len(self._inside) > FEW:
                del self._inside[next(iter(self._inside))]
        bare, inside = text.strip(), self._inside[payload.digest]
        for number in self._exact.candidates(whole_words(bare, bordered=True)):
            holder = self._exact.texts[number]
            if number in inside and bare in holder:
                found = Wording(text, (holder,))
                if found.whole_words:
                    return found
        return Wording(text, self._contents.texts(payload))

    def find(self, wording: Wording) -> Found:
        """Return the texts that a wording stands in, exactly and in its normal form."""
        exact = self._exact.candidates(whole_words(wording.text, bordered=wording.whole_words))
        loose = self._normal.candidates(whole_words(wording.normal, bordered=wording.whole_words))
        return Found(
            frozenset(i for i in exact if wording.is_in(self._exact.texts[i])),
            frozenset(i for i in loose if wording.is_in_normal(self._normal.texts[i])),
        )

    def find_fact(self, fact: Fact, wording: Wording) -> Found:
        """Return the texts that state a fact, in its own wording or in whichever form."""
        worded = self.find(wording)
        numbers = {
            number
            for needed in forms(fact)
            for number in islice(self._normal.candidates(needed), MOST_STATING)
            if self._states(number, fact, needed)
        }
        return Found(worded.exactly, worded.normally | numbers)

    def text(self, number: int) -> str:
        """Return a text by its number."""
        return self._exact.texts[number]

    def grades(self, found: Found) -> dict[str, Grade]:
        """Return the digests of the payloads that hold what was found, each with how surely."""
        exact = [
            digest
            for i in found.exactly
            for of in (self._said_in, self._shown_in)
            for digest in of.get(i, ())
        ]
        loose = [digest for i in found.normally for digest in self._said_in.get(i, ())]
        grades = dict(self._unread)
        grades |= dict.fromkeys(self._around(loose, self._sayers), "matched")
        grades |= dict.fromkeys(self._around(exact, self._holders), "observed")
        return grades

    def beside(self, found: Found, payload: Payload) -> frozenset[str]:
        """Return the words that stand beside what was found in a payload: of keys, and of the same sentence."""
        words: set[str] = set()
        for content in self._contents.within(payload, said=True).values():
            for leaf in content.leaves:
                number = self._numbers.get(leaf)
                if number is None or (number not in found.exactly and number not in found.normally):
                    continue
                for key in content.keyed.get(leaf, ()):
                    words |= telling_words(key)
                if len(leaf) > LONGEST_KEYED or leaf not in content.keyed:
                    words |= telling_words(leaf[:LONGEST_BESIDE])
        return frozenset(words)

    def makers(self, found: Found, grades: Mapping[str, Grade]) -> list[Step]:
        """Return the steps that produced what was found, latest first; handoffs make nothing."""
        made = {i for digest in grades for i in self._producers.get(digest, ())}
        made.update(i for i in self._failed if self._is_in_error(found, self._steps[i]))
        return [self._steps[i] for i in sorted(made, reverse=True)]

    def in_errors(self, found: Found) -> frozenset[str]:
        """Return the ids of the tools that produced nothing but an error in which stands what was found."""
        failed = (self._steps[i] for i in self._failed)
        return frozenset(step.id for step in failed if self._is_in_error(found, step))

    def _is_in_error(self, found: Found, step: Step) -> bool:
        return self._numbers.get(step.error or "") in found.exactly

    def is_in_leaf(self, found: Found, leaf: str) -> bool:
        """Return whether what was found stands in a text or number that some payload says."""
        number = self._numbers.get(leaf)
        return number in found.exactly or number in found.normally

    def _states(self, number: int, fact: Fact, needed: frozenset[str]) -> bool:
        statements = self._statements.get(number)
        if statements is None:
            text = self._exact.texts[number]
            statements = self._statements[number] = Statements(text)
            self._room -= len(text)
            while self._room < 0:
                oldest = next(iter(self._statements))
                del self._statements[oldest]
                self._room += len(self._exact.texts[oldest])
        return statements.hold(fact, needed)

    def _add_step(self, i: int, step: Step, seen: set[bytes]) -> None:
        for payload in (step.received, step.produced):
            if payload is None:
                continue
            content = self._contents.of(payload)
            if content is None or not content.is_whole:
                self._unread[payload.digest] = "inferred"
            digest = canonical.parse_digest(payload.digest)
            self._payloads[digest] = payload.digest
            if digest not in seen:
                self._add_parts(payload, seen)
        if step.produced is not None and step.kind != "handoff":
            self._producers.setdefault(step.produced.digest, []).append(i)
        if _is_failed_tool(step):
            self._failed.append(i)
            self._number(step.error or "")

    def _add_parts(self, payload: Payload, seen: set[bytes]) -> None:
        for digest, content in self._contents.within(payload, but=seen).items():
            seen.add(digest)
            for leaf in content.leaves:
                number = self._number(leaf)
                self._said_in.setdefault(number, []).append(digest)
                if number not in self._normal.texts:
                    self._normal.add(number, normal(leaf))
            self._shown_in.setdefault(self._number(content.shown), []).append(digest)
            for part in content.parts:
                self._holders.setdefault(part, []).append(digest)
            for part in content.said_parts:
                self._sayers.setdefault(part, []).append(digest)

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._numbers))
        if number not in self._exact.texts:
            self._exact.add(number, text)
        return number

    def _around(self, digests: Iterable[bytes], outer: Mapping[bytes, Sequence[bytes]]) -> Iterable[str]:
        """Return the digests of the payloads that are among some, or made of them."""
        seen = set(digests)
        left = list(seen)
        while left:
            for digest in outer.get(left.pop(), ()):
                if digest not in seen:
                    seen.add(digest)
                    left.append(digest)
        return [self._payloads[digest] for digest in seen if digest in self._payloads]


class Postings:
    """Texts by number, and each word's texts."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self._having: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, number: int, text: str) -> None:
        """Take in a text, once."""
        self.texts[number] = text
        for word in words(text):
            self._having[word].append(number)

    def candidates(self, asked: Collection[str]) -> Collection[int]:
        """Return the texts that have every word that is asked for, and maybe some that have not; all for none."""
        if not asked:
            return self.texts
        rarest = sorted((self._having.get(word, []) for word in asked), key=len)
        left = set(rarest[0])
        for having in rarest[1:MOST_WORDS]:
            if len(left) <= FEW:
                break
            left.intersection_update(having)
        return left


def _is_failed_tool(step: Step) -> bool:
    return step.kind == "tool" and step.produced is None and bool(step.error)
