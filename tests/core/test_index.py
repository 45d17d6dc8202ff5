"""The promise: the index rules out only what does not hold a text, and what is searched does not grow with the run."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.builders import Record, message, research_team

from becausal.blame import Blame, blame
from becausal.graph import Graph
from becausal.graph.index import Postings
from becausal.graph.wording import Wording, whole_words

WORDS = ["20", "2", "20.5", "20,000,000", "20 million", "QX-7781", "QX", "revenue", "venue", "Venue"]
WORDS += ["在2025年", "½", "*a*", "_", "x²", "²"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).flatmap(
    lambda words: st.sampled_from(["", " ", ". ", "\n", ","]).map(lambda between: between.join(words))
)


def every_text(postings: Postings, asked: Collection[str]) -> Collection[int]:
    return postings.texts


def told(found: Blame) -> list[tuple[object, ...]]:
    return [
        (part.text, part.origin and part.origin.id, part.source, [step.id for step in part.path], part.grade)
        for part in found.segments
    ]


def same_without_index(record: Record, *asked: str | None) -> bool:
    with_index = [told(blame(record.graph(), text)) for text in asked]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Postings, "candidates", every_text)
        return with_index == [told(blame(record.graph(), text)) for text in asked]


@settings(max_examples=100, deadline=None)
@given(
    said=st.lists(texts, min_size=2, max_size=5),
    asked=texts,
    cut=st.tuples(st.integers(0, 3), st.integers(1, 9)),
)
def test_with_and_without_the_index_blame_is_the_same(
    said: list[str], asked: str, cut: tuple[int, int]
) -> None:
    record = Record()
    with record.step("workflow", "team", received=said[0]) as team:
        record.did("tool", "db", "q", {"found": said[0], "more": said[-1]})
        record.did("model", "m", [message("human", text) for text in said], message("ai", said[1]))
        team.produces("\n".join(said))

    assert same_without_index(record, None, asked, said[0][cut[0] : cut[1]])


def test_the_index_leaves_a_whole_teams_blame_as_it_is() -> None:
    assert same_without_index(research_team(), None, "20 million", "evenue", "$20,000,000", "500", "")


@settings(max_examples=300, deadline=None)
@given(text=texts, begin=st.integers(0, 12), length=st.integers(1, 12), other=texts)
def test_a_text_is_a_candidate_wherever_it_is_in(text: str, begin: int, length: int, other: str) -> None:
    wording = Wording(text[begin : begin + length], [text])
    postings = Postings()
    for number, held in enumerate([text, other, f"{text} {other}", other + text]):
        postings.add(number, held)

    candidates = postings.candidates(whole_words(wording.text, bordered=wording.whole_words))

    assert {number for number, held in postings.texts.items() if wording.is_in(held)} <= set(candidates)


def long_run(agents: int) -> Graph:
    record, notes = Record(), ["let us begin"]
    with record.step("workflow", "team", received=notes[0]) as team:
        for i in range(agents):
            with record.step(
                "agent", f"agent {i}", received=[message("human", note) for note in notes[-3:]]
            ) as agent:
                record.did("tool", "db", f"question {i}", f"the harbour of town {i} has {i + 5000} berths")
                agent.produces(f"Town {i} has {i + 5000} berths.")
            notes.append(f"Town {i} has {i + 5000} berths.")
        team.produces("\n".join(notes))
    return record.graph()


def searches_per_piece(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> float:
    searched = 0
    for name in ("is_in", "is_in_normal"):
        look = getattr(Wording, name)

        def counted(wording: Wording, text: str, look: object = look) -> bool:
            nonlocal searched
            searched += 1
            return bool(look(wording, text))  # type: ignore[operator]

        monkeypatch.setattr(Wording, name, counted)
    pieces = len(blame(graph).segments)
    monkeypatch.undo()
    return searched / pieces


def test_what_is_searched_for_a_piece_does_not_grow_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = (searches_per_piece(long_run(agents), monkeypatch) for agents in (20, 160))

    assert long < 1.5 * short
    assert long < 20
