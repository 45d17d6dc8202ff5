"""The promise: what is odd and of no known kind shows with its evidence; work that is done well does not."""

from __future__ import annotations

import pytest
from tests.core.builders import Record

from becausal.finding import Finding
from becausal.findings.labels import labels
from becausal.findings.oddities import language_of
from becausal.run import Run

REQUEST = (
    "Order number: AB-12345\nDeposit: $2,441.36\nPickup: 14:30 CET\n"
    "Account balance: -$120.00\nSizes: 110, 124, 138"
)


def said_of(told: str, said: str, *, then: str | None = None) -> list[Finding]:
    """Return the anomalies of a run whose middle agent was told one thing and said another."""
    record = Record()
    with record.step("workflow", "team", received=REQUEST, produced=then or said):
        with record.step("agent", "ada", received=told, produced=said) as ada:
            record.did("model", "m", [{"type": "human", "content": told}], {"type": "ai", "content": said})
        with record.step(
            "agent", "bo", received=said, produced=then or said, arrivals=[record.handoff(ada, "bo", said)]
        ):
            record.did(
                "model", "m", [{"type": "human", "content": said}], {"type": "ai", "content": then or said}
            )
    return [one for one in Run(record.chain_id, record.steps()).findings if one.kind == "run.anomaly"]


SPOILT = [
    ("a zone is lost", REQUEST.replace("14:30 CET", "14:30")),
    (
        "places are exchanged",
        REQUEST.replace("$2,441.36", "x").replace("-$120.00", "$2,441.36").replace("x", "-$120.00"),
    ),
    ("letters are damaged", f"{REQUEST}\nGr\u00c3\u00bc\u00c3\u0178e"),
    ("a slot is left", f"Dear {{{{customer_name}}}},\n{REQUEST}"),
    ("the same over and over", f"{'We are looking into it with care. ' * 5}\n{REQUEST}"),
    ("it breaks off", f"{REQUEST}\nWe will see to the delivery as soon as the"),
    ("nothing comes through", "I am sorry, but this is not something that can be done here."),
]


@pytest.mark.parametrize(("what", "said"), SPOILT, ids=[what for what, _ in SPOILT])
def test_what_is_odd_shows_where_it_entered(what: str, said: str) -> None:
    found = said_of(REQUEST, said)

    assert [(one.agent, one.severity != "note") for one in found] == [("ada", True)], what
    assert all(found[0].evidence)


FINE = [
    ("reworded", "The order number is AB-12345. The deposit is USD 2441.36. The pickup is 14:30 CET."),
    ("rounded and said so", "Deposit: about $2,441\nOrder number: AB-12345\nPickup: 14:30 CET"),
    ("another order", "\n".join(reversed(REQUEST.split("\n")))),
    ("told beside the old one", f"{REQUEST}\nThe deposit was $2,441.36."),
    (
        "a table",
        "| what | value |\n| --- | --- |\n| Order number | AB-12345 |\n| Deposit | 2441.36 dollars |",
    ),
    ("code with a note to do", f"{REQUEST}\n```python\n# TODO\npass\n```"),
    ("accents", f"{REQUEST}\nGr\u00fc\u00dfe aus K\u00f6ln"),
]


@pytest.mark.parametrize(("what", "said"), FINE, ids=[what for what, _ in FINE])
def test_what_is_said_otherwise_is_left_alone(what: str, said: str) -> None:
    assert said_of(REQUEST, said) == [], what


def test_two_things_that_got_each_others_values_are_told() -> None:
    told = "Oslo sells at $12.50\nTurin sells at $14.00\nGhent sells at $19.00"

    assert said_of(told, "- Oslo: $12.50\n- Turin: $14.00\n- Ghent: $19.00") == []
    found = said_of(told, "- Oslo: $14.00\n- Turin: $12.50\n- Ghent: $19.00")

    assert len(found) == 1
    assert "oslo" in found[0].message


def test_the_lowest_has_to_be_the_lowest_of_what_was_told() -> None:
    told = "Oslo sells at $12.50\nTurin sells at $14.00\nGhent sells at $19.00"

    assert said_of(told, "The cheapest is Oslo, at $12.50.") == []
    assert "lowest" in said_of(told, "The cheapest is Ghent, at $19.00.")[0].message


def test_labels_are_read_in_every_wording() -> None:
    for text in (
        "Unit price: $45.10",
        "- **Unit price:** $45.10",
        "| Unit price | $45.10 |",
        "The unit price is $45.10.",
    ):
        assert labels(text) == {"unit price": ["$45.10"]}
    assert labels({"unit_price": "$45.10"}) == {"unit price": ["$45.10"]}
    assert labels("See https://example.com/a: it is long.") == {}


def test_a_language_is_known_by_its_small_words() -> None:
    assert language_of("The answer is in the file that you have sent to us.") == "en"
    assert (
        language_of("Die Antwort ist in der Datei, die wir auf den Server gelegt und nicht gelesen haben.")
        == "de"
    )
    assert language_of("AB-12345") is None
