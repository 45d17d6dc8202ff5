"""Attributes are kept under short names in a file, and come back under their own."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import open_step

from becausal import semconv
from becausal.errors import StoreFormatError
from becausal.step import Attribute
from becausal.store import encoding, open_store
from becausal.store.encoding import json_text
from becausal.store.sqlite.attributes import NAMES, attributes_of, attributes_text, rewritten
from becausal.store.upkeep import SAYS_WRONG, Erasure, upkeep_of

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMED = st.one_of(st.sampled_from(NAMES), TEXTS, st.integers(0, 300).map(lambda number: f"~{number:x}"))
ATTRIBUTES: st.SearchStrategy[dict[str, Attribute]] = st.dictionaries(
    NAMED, st.one_of(TEXTS, st.booleans(), st.integers(), st.lists(TEXTS, max_size=3).map(tuple)), max_size=6
)


@given(ATTRIBUTES)
def test_whatever_attributes_are_called_they_come_back(attributes: dict[str, Attribute]) -> None:
    assert attributes_of(attributes_text(attributes)) == attributes


@given(ATTRIBUTES)
def test_what_an_earlier_release_wrote_is_read_as_it_was(attributes: dict[str, Attribute]) -> None:
    named = {name: value for name, value in attributes.items() if not name.startswith("~")}
    assert attributes_of(json_text(named)) == named


def test_the_numbers_of_names_never_change() -> None:
    # Files hold them. Another name goes to the end, under another format.
    assert len(NAMES) == 122
    assert len(set(NAMES)) == len(NAMES)
    assert hashlib.sha256("\n".join(NAMES).encode()).hexdigest()[:16] == "e4fb07050b4af0ec"


def test_names_that_queries_look_for_are_written_out() -> None:
    names = (*SAYS_WRONG, semconv.KEPT + "given")
    written = attributes_text(dict.fromkeys(names, "x"))
    assert written is not None
    assert tuple(json.loads(written)) == names


def test_a_usual_name_takes_no_room() -> None:
    written = attributes_text({"gen_ai.request.model": "m", "langgraph.checkpoint_ns": "n"})
    assert written is not None
    assert len(written) < 24


def test_two_processes_words_on_a_step_are_joined_whichever_release_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = open_store(f"sqlite:///{path}")
    first = open_step(id="1" * 16, chain_id="c")
    first.attributes = {semconv.ROUTE_BY: "before", semconv.HOP: 1, "own": "kept"}
    store.write([first])
    with sqlite3.connect(path) as connection:  # as it was before names had numbers
        connection.execute("UPDATE steps SET attributes = ?", (json_text(first.attributes),))
    connection.close()
    second = open_step(id="1" * 16, chain_id="c")
    second.attributes = {semconv.ROUTE_BY: "after", "~0": "mine"}
    store.write([second])

    (kept,) = store.load("c")
    assert kept.attributes == {semconv.ROUTE_BY: "after", semconv.HOP: 1, "own": "kept", "~0": "mine"}
    store.close()


def test_names_like_numbers_in_a_file_of_before_they_were_given_stay_what_they_were(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = open_store(f"sqlite:///{path}")
    names: dict[str, Attribute] = {"~0": "mine", "~~x": ("a", "b"), semconv.HOP: 1, "own": 'says "~1": 2'}
    said: list[dict[str, Attribute]] = [names, {"own": "~2"}, {}, {"~0": "unreadable"}]
    for number, attributes in enumerate(said):
        made = open_step(id=f"{number + 1:016x}", chain_id=f"c{number}")
        made.attributes = attributes
        store.write([made])
    store.close()
    with sqlite3.connect(path) as connection:  # as the sixth format was
        for number, attributes in enumerate(said):
            text = json_text(attributes) if number < 3 else '{"~0"'
            connection.execute("UPDATE steps SET attributes = ? WHERE step_id = ?", (text, number + 1))
        connection.execute("UPDATE meta SET value = '6' WHERE key = 'format'")
        connection.execute("DROP TABLE packs")
    connection.close()

    former = open_store(f"sqlite:///{path}", read_only=True)
    assert [former.load(f"c{number}")[0].attributes for number in range(3)] == said[:3]
    store = open_store(f"sqlite:///{path}")
    for one in (store, former):  # the latter found it as it was, and sees it as it is
        assert [one.load(f"c{number}")[0].attributes for number in range(3)] == said[:3]
        with pytest.raises(StoreFormatError, match="loading the chain c3"):
            one.load("c3")
    store.close()
    former.close()


def test_erasing_a_number_leaves_the_numbers_of_names_alone(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'runs.db'}")
    made = open_step(id="1" * 16, chain_id="c")
    number = f"~{NAMES.index(semconv.MEMORY_LATEST):x}"
    assert len(number) == 3
    made.attributes = {semconv.MEMORY_LATEST: f"it was {number}", "own": f"{number}!"}
    store.write([made])
    upkeep = upkeep_of(store)
    assert upkeep is not None

    upkeep.erase(Erasure(texts=(number, "gen_ai.memory")))

    (kept,) = store.load("c")
    assert list(kept.attributes) == [semconv.MEMORY_LATEST, "own"]
    assert all("[erased" in str(value) for value in kept.attributes.values())
    store.close()


def test_what_is_rewritten_is_rewritten_with_all_names_in_it() -> None:
    seen = []

    def rewrite(text: str | None) -> str | None:
        seen.append(text)
        return text if text is None else text.replace("secret", "[erased]")

    plain: dict[str, Attribute] = {semconv.HOP: 1, "~x": "secret"}
    new = rewritten(attributes_text(plain), rewrite)

    assert seen == [encoding.json_text(plain)]
    assert attributes_of(new) == {semconv.HOP: 1, "~x": "[erased]"}
    assert rewritten(attributes_text({semconv.HOP: 1}), lambda _: None) is None
