"""The promise: a step that was given a part of what another said is linked to it, and to nobody by chance."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.core.builders import Record, message

from becausal.graph.parts import shown_as

NAMES = ("mayor", "keeper", "warden", "pilot", "owner", "clerk")

SAID = "The harbour closes at nine in the evening. Ships may wait outside, as they do in winter."


def sources_of(
    given: object, *, said: object = SAID, beside: object = "nothing of the kind"
) -> set[tuple[str, str]]:
    record = Record()
    with record.step("workflow", "team", received="q"):
        record.did("tool", "port", {}, said)
        record.did("tool", "other", {}, beside)
        record.did("model", "m", given, "ok")
    return {
        (edge.source.name, edge.grade)
        for edge in record.graph().edges
        if edge.kind == "data" and edge.target.name == "m"
    }


@pytest.mark.parametrize(
    "given",
    [
        "Please note: ships may wait outside, as they do in winter. So be brief.",
        "**The harbour closes at nine in the evening**",
        'They wrote "the harbour closes at nine in the evening", and so on.',
        "It is said that the harbour closes at nine in the ev…",
        [message("system", "Be brief."), message("human", "THE HARBOUR CLOSES AT NINE IN THE EVENING!")],
    ],
)
def test_a_sentence_is_known_again_quoted_cut_and_in_other_markup(given: object) -> None:
    assert sources_of(given) == {("port", "matched")}


@pytest.mark.parametrize("given", ["we owe 48,213.50 in all", "we owe **48213.5**", "total: USD 48,213.50"])
def test_a_figure_is_known_again_however_it_is_written(given: str) -> None:
    assert sources_of(given, said={"rows": [{"eur": 48213.5}]}) == {("port", "matched")}


def test_a_row_of_a_table_is_known_again_in_a_prompt() -> None:
    rows = "| Acme | 20 crates | Lisbon |\n| Initech | 30 crates | Turku |"

    assert sources_of("Only this row matters: Initech | 30 crates | Turku", said=rows) == {
        ("port", "matched")
    }


@pytest.mark.parametrize(
    "given",
    ["In 2025 there were 20 of them", "The harbour closes at noon, they say", "nothing at all was said"],
)
def test_few_words_and_short_figures_link_nobody(given: str) -> None:
    assert sources_of(given, said={"year": 2025, "count": 20, "note": SAID}) == set()


def test_a_figure_that_many_said_tells_nothing() -> None:
    record = Record()
    with record.step("workflow", "team", received="q"):
        for number in range(6):
            record.did("tool", f"t{number}", {}, {f"k{number}": 4_821_350})
        model = record.did("model", "m", "we owe 4,821,350 in all", "ok")

    assert [edge for edge in record.graph().in_edges(model.id) if edge.kind == "data"] == []


def test_a_message_in_a_state_is_the_same_message_in_a_prompt() -> None:
    # A state's list is a part of its own, so its messages are two levels down; a model's list has them at the top.
    record = Record()
    talk = [message("human", f"turn {n}: {'words and more words ' * 20}") for n in range(12)]
    with record.step("workflow", "team", received="q"):
        record.did("agent", "first", "q", {"messages": talk})
        with record.step("agent", "second", received={"messages": talk}) as second:
            model = record.did("model", "m", [message("system", "Be brief, and do not repeat."), *talk], "ok")
        second.produces("ok")

    assert [edge for edge in record.graph().in_edges(model.id) if edge.kind == "data"] == []


def test_what_shows_an_edge_is_worded_for_edges_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # A prompt of one tool's result has each of its sentences; one edge explains them all.
    worded: list[str] = []

    def counted(sentence: str, text: str) -> str:
        worded.append(sentence)
        return shown_as(sentence, text)

    monkeypatch.setattr("becausal.graph.dataflow.shown_as", counted)
    record = Record()
    lines = [f"The {name} of the harbour is {name} and stays so for good" for name in NAMES]
    with record.step("workflow", "team", received="q"):
        record.did("tool", "db", {}, "\n".join(lines))
        model = record.did("model", "m", "We were told:\n\n> " + "\n> ".join(lines), "ok")

    edges = [edge for edge in record.graph().in_edges(model.id) if edge.kind == "data"]
    assert len(edges) == 1
    assert len(worded) <= len(edges)


ASK = """
import json
from tests.core.builders import Record, message
from becausal.blame import blame
record = Record()
with record.step("workflow", "team", received="q") as team:
    talk = [message("ai", f"Ship {n} brings copper to port {n}. {'It sails on. ' * 40}") for n in range(12)]
    with record.step("agent", "a", received={"messages": talk}) as agent:
        record.did("model", "m", talk, message("ai", "We hear of COPPER"))
        agent.produces({"messages": talk})
    team.produces({"said": "COPPER"})
print(json.dumps([[part.text, part.grade, [change.before for change in part.changes]]
                  for part in blame(record.graph(), "Copper").segments + blame(record.graph()).segments]))
"""


def test_an_answer_is_the_same_in_every_process() -> None:
    # The order of sets differs from process to process.
    told = {
        subprocess.run(
            [sys.executable, "-c", ASK],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(told) == 1
