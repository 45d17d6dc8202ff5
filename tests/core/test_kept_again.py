"""The promise: what is kept for the order of its dicts refers to what was sealed just now, and says the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from becausal import canonical
from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer

LONG = "as was said before. " * 40


def asked(**more: Any) -> dict[str, Any]:
    """Return an input whose keys are out of order, most of it messages."""
    said = [HumanMessage(f"{number} {LONG}", id=f"m{number}") for number in range(5)]
    return {"topic": "a", "messages": said, "rows": [{"y": 1, "x": LONG}], **more}


def sealer(**options: Any) -> Sealer:
    return Sealer(keeps_bodies=True, holds_whole=False, **options)


def read(of: Sealer, sealed: Any, value: object) -> tuple[bytes, Any]:
    """Return the body that is kept of a value beside what was sealed, and the value that both give."""
    kept = of.kept(value, unless_sorted=True, sealed=sealed)
    assert kept is not None
    ((digest, body),) = kept.bodies
    assert kept.payload.digest == canonical.digest_text(digest)
    return body, canonical.decode(body, dict(sealed.bodies).get)


def test_messages_that_were_sealed_are_not_kept_a_second_time() -> None:
    of, value = sealer(), asked()

    body, again = read(of, of.seal(value), value)

    assert len(body) < 2 * len(LONG), "the rows, whose keys are out of order, and names"
    assert list(again) == ["topic", "messages", "rows"]
    assert list(again["rows"][0]) == ["y", "x"]
    assert [said["content"] for said in again["messages"]] == [said.content for said in value["messages"]]
    assert again == canonical.plain(value)


def test_a_long_text_that_was_sealed_is_not_kept_a_second_time() -> None:
    of, value = sealer(), asked(note=f"to note: {LONG}", more={"a": LONG, "b": [1, 2]})

    body, again = read(of, of.seal(value), value)

    assert body.count(LONG.encode()) == 1, "that of the rows"
    assert again == canonical.plain(value)


def test_what_was_not_sealed_is_kept_whole() -> None:
    body, again = read(sealer(), sealer().seal("nothing of it"), asked())

    assert LONG.encode() * 5 not in body
    assert body.count(LONG.encode()) == 6
    assert again == canonical.plain(asked())


@pytest.mark.parametrize("changed", ["a message", "within a message", "one more", "a row"])
def test_what_has_changed_since_it_was_sealed_is_kept_as_it_is_now(changed: str) -> None:
    of, value = sealer(), asked()
    sealed = of.seal(value)
    match changed:
        case "a message":
            value["messages"][1].content = "other"
        case "within a message":
            value["messages"][2].additional_kwargs["more"] = {"z": 1, "a": LONG}
        case "one more":
            value["messages"].append(AIMessage(LONG, id="new"))
        case _:
            value["rows"][0]["w"] = 3

    _, again = read(of, sealed, value)

    assert again == canonical.plain(value)
    if changed == "within a message":
        assert list(again["messages"][2]["additional_kwargs"]["more"]) == ["z", "a"]


def test_a_message_whose_own_dicts_are_out_of_order_is_kept_in_its_order() -> None:
    value = asked()
    value["messages"][0].additional_kwargs = {"z": 1, "a": {"d": 1, "c": 2}}
    of = sealer()

    _, again = read(of, of.seal(value), value)

    assert list(again["messages"][0]["additional_kwargs"]) == ["z", "a"]
    assert list(again["messages"][0]["additional_kwargs"]["a"]) == ["d", "c"]


def test_what_is_cut_down_where_it_is_kept_is_not_referred_to() -> None:
    of = sealer(max_bytes=8_000)
    value: dict[str, Any] = {
        "z": 1,
        "a": [HumanMessage(LONG, id="short"), HumanMessage(LONG * 11, id="long")],
    }
    sealed = of.seal(value)
    assert sealed.payload.lossy

    assert of.kept(value, unless_sorted=True, sealed=sealed) is None, "cut down it would be no answer"
    value["a"][1].content = LONG * 8
    assert of.kept(value, unless_sorted=True, sealed=of.seal(value)) is not None


def test_a_part_that_holds_what_is_known_as_a_secret_since_is_written_anew() -> None:
    of = sealer(redact=Redactor())
    value = asked(note=f"the word is hunter2!x9, {LONG}")
    sealed = of.seal(value)
    assert b"hunter2!x9" in b"".join(dict(sealed.bodies).values())

    of.seal({"password": "hunter2!x9"})
    kept = of.kept(value, unless_sorted=True, sealed=sealed)

    assert kept is not None
    body = kept.bodies[0][1]
    assert b"hunter2!x9" not in body
    assert not set(canonical.part_digests(body)) & {
        digest for digest, part in sealed.bodies if b"hunter2" in part
    }


def test_a_message_with_a_secret_is_kept_without_it() -> None:
    of, value = sealer(redact=Redactor()), asked()
    value["messages"][2].content = f"the key is AKIAIOSFODNN7EXAMPLQ, {LONG}"
    sealed = of.seal(value)

    body, again = read(of, sealed, value)

    assert b"AKIAIOSFODNN7EXAMPLQ" not in body
    assert again == canonical.decode(sealed.bodies[-1][1], dict(sealed.bodies).get)


@pytest.mark.parametrize("size", [2, 30, 90, 1200])
@pytest.mark.parametrize(
    "named",
    [
        lambda secret: {"q": {"api_key": HumanMessage(secret, id="1")}},
        lambda secret: {"q": [{"password": HumanMessage(secret, id="1")}]},
        lambda secret: {"q": {"credentials": ("u", secret)}},
        lambda secret: {"q": HumanMessage("", additional_kwargs={"api_key": (secret,)}, id="1")},
        lambda secret: {"q": [{"name": "password", "value": (secret,)}]},
    ],
    ids=["message", "message in a list", "tuple", "in a message", "name beside"],
)
def test_what_stands_below_a_secrets_name_is_referred_to_by_neither(
    named: Callable[[str], dict[str, Any]], size: int
) -> None:
    redactor, secret = Redactor(), "7Kq9" * 4 * size
    of, value = sealer(redact=redactor), asked(**named(secret))
    sealed = of.seal(value)

    body, again = read(of, sealed, value)

    assert secret.encode() not in body + b"".join(dict(sealed.bodies).values())
    assert list(again) == ["topic", "messages", "rows", "q"]
    assert again == canonical.decode(sealed.bodies[-1][1], dict(sealed.bodies).get)
    later = of.seal([f"they used {secret} again"])
    assert secret.encode() not in b"".join(dict(later.bodies).values())


def test_a_part_that_stands_below_a_secrets_name_as_well_is_written_there_once_more() -> None:
    """A plain word is not looked for elsewhere: only the name above it says that it is secret."""
    said = HumanMessage("qzwvkjx", additional_kwargs={"note": LONG}, id="1")
    of, value = sealer(redact=Redactor()), asked(first=said, q={"api_key": said})

    body, again = read(of, of.seal(value), value)

    assert body.count(b"qzwvkjx") == 1, "under the name that says nothing"
    assert again["q"]["api_key"]["content"].startswith("[redacted:api_key:")
    assert again["first"]["content"] == "qzwvkjx"


def test_a_part_that_was_lost_is_written_anew() -> None:
    of, value = sealer(), asked()
    sealed = of.seal(value)
    before = copy.deepcopy(value)

    of.encoder.forget()
    body, again = read(of, of.seal("nothing of it"), value)

    assert again == canonical.plain(before)
    assert not set(canonical.part_digests(body)) & dict(sealed.bodies).keys()
