"""Values made again from a record: of their classes, and without a line of anybody's code being run."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import pathlib
import sys
import threading
import uuid
from decimal import Decimal
from typing import Any, NamedTuple

import ormsgpack
import pytest
from pydantic import BaseModel, field_validator

from becausal.canonical import encode, ordered
from becausal.canonical.ordered import in_order
from becausal.replay.rebuild import Classes, UnmadeError, rebuild

ran: list[str] = []


class Colour(enum.Enum):
    RED = "r"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Loud:
    name: str

    def __post_init__(self) -> None:
        ran.append("post_init")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        ran.append("new")
        return super().__new__(cls)


@dataclasses.dataclass(frozen=True)
class Frozen:
    inner: Loud
    many: tuple[int, ...] = ()


class Model(BaseModel):
    model_config = {"extra": "allow"}
    a: int
    b: list[str] = []

    @field_validator("a")
    @classmethod
    def check(cls, value: int) -> int:
        ran.append("validator")
        return value


@dataclasses.dataclass
class Finalized:
    path: str

    def __del__(self) -> None:
        ran.append("del")


class OwnError(Exception):
    def __init__(self, code: int) -> None:
        ran.append("init")
        super().__init__(f"code {code}", code)
        self.code = code


class Text(str):
    pass


@dataclasses.dataclass
class Watchful:
    path: str

    @property
    def level(self) -> int:
        return 0

    @level.setter
    def level(self, value: int) -> None:
        ran.append("setter")


def uses(value: Loud | Frozen | Watchful, model: Model, colour: Colour, point: Point) -> Finalized | Text:
    raise OwnError(1)


def nothing(_: bytes) -> bytes | None:
    return None


def made(value: object, *, ordered: bool = False, classes: Classes | None = None) -> Any:
    if classes is None:
        classes = Classes()
        classes.reach([uses])
    ran.clear()
    if ordered:
        written = in_order(value, always=True)
        if written is not None:  # else the canonical form is kept, as below
            return rebuild(written[1], nothing, classes)
    encoded = encode(value)
    ran.clear()
    return rebuild(encoded.body, dict(encoded.parts).get, classes)


VALUES = [
    1, 2.5, True, None, "text", b"\x00\xff", (1, (2,)), {1, 2}, frozenset({"a"}), {"a": [1, {"b": ()}]}, {1: "one"},
    Decimal("1.50"), dt.datetime(2026, 1, 2, tzinfo=dt.UTC), uuid.UUID(int=7), collections.deque([1]), range(3),
    pathlib.PurePosixPath("/a/b"), Colour.RED, Point(1, 2), Loud("x"), Frozen(Loud("y"), (1, 2)), Text("t"), 2**80,
    [Model(a=1), Model(a=2, b=["x"])], "x" * 5000, [{"role": "user", "content": "y" * 600}] * 4,
]  # fmt: skip


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value)[:20])
def test_a_value_is_what_it_was_and_no_code_ran(value: object, ordered: bool) -> None:
    again = made(value, ordered=ordered)

    assert again == value
    assert type(again) is type(value)
    assert ran == []


def test_a_model_knows_its_extra_fields_and_which_were_given() -> None:
    again = made(Model(a=1, c="more"))  # type: ignore[call-arg]

    assert again.model_dump() == {"a": 1, "b": [], "c": "more"}
    assert again.model_fields_set >= {"a", "c"}
    assert ran == []


def test_dicts_are_in_their_order_where_that_was_kept() -> None:
    value = {"z": 1, "a": {"c": 1, "b": 2}, "m": [{"y": 1, "x": 2}]}

    again = made(value, ordered=True)

    assert (list(again), list(again["a"]), list(again["m"][0])) == (["z", "a", "m"], ["c", "b"], ["y", "x"])
    assert in_order({"a": 1, "b": {"c": 2}}) is None  # the canonical form says it
    assert in_order(("text", {"b": 1, "a": 2})) is not None
    assert in_order([Frozen(Loud("x")), Model(a=1, b=["y"])]) is None


def test_what_is_seen_at_once_to_be_out_of_order_is_written_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []

    def packing(value: object, *rest: Any) -> bytes:
        written.append(value)
        return ormsgpack.packb(value, *rest)

    monkeypatch.setattr(ordered, "packb", packing)

    assert in_order("a text") is in_order(7) is in_order(None) is None
    assert not written, "nothing in them has an order"
    assert in_order({"state": [{"step": 1, "rows": [{"y": 1, "x": 2}] * 9}]}) is not None
    assert len(written) == 1
    assert in_order({"a": [{"b": 1}] * 9, "c": {"z": 1, "d": 2}}) is not None  # only the whole tells
    assert (
        in_order({"a": [{"b": 1}] * 9, "c": {1: 2}}) == in_order({"c": {1: 2}, "a": [{"b": 1}] * 9}) is None
    )


@pytest.mark.parametrize(
    "error",
    [OwnError(7), ValueError("no", 3), ConnectionError("gone"), KeyError("k"), FileNotFoundError(2, "none")],
)
def test_an_exception_is_made_without_its_constructor(error: Exception) -> None:
    again = made(error)

    assert (type(again), again.args, vars(again)) == (type(error), error.args, vars(error))
    assert ran == []


def test_numpy_arrays_are_arrays_again() -> None:
    numpy = pytest.importorskip("numpy")
    value = numpy.arange(6, dtype="int16").reshape(2, 3)

    again = made(value)

    assert (again == value).all()
    assert again.dtype == value.dtype


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Finalized("/etc"), "Finalized"),
        (threading.Lock(), "no more than the name"),
        (made, "no more than the name"),
        (type("Unknown", (), {})(), "Unknown"),
    ],
)
def test_what_may_not_be_made_is_refused_by_name(value: object, said: str) -> None:
    with pytest.raises(UnmadeError, match=said):
        made({"deep": [value]})


def test_a_class_that_nobody_named_is_not_made_even_if_it_is_loaded() -> None:
    classes = Classes()

    with pytest.raises(UnmadeError, match="Loud"):
        made(Loud("x"), classes=classes)
    assert "new" not in ran


def test_no_module_is_imported() -> None:
    body = encode(Loud("x")).body.replace(b"tests.core.test_rebuild.Loud"[:10], b"wave.xx.yy"[:10])
    before = set(sys.modules)

    with pytest.raises(UnmadeError):
        rebuild(body, nothing, Classes())
    assert set(sys.modules) == before


def test_a_field_that_is_named_like_a_property_runs_no_setter() -> None:
    classes = Classes()
    classes.reach([uses])
    body = encode(Watchful("x")).body
    ran.clear()

    assert rebuild(body, nothing, classes) == Watchful("x")
    hostile = rebuild(body.replace(b"\xa4path", b"\xa5level"), nothing, classes)

    assert vars(hostile) == {"level": "x"}
    assert ran == []


@pytest.mark.parametrize(("real", "claimed"), [(b"Colour", b"Frozen"), (b"Colour", b"OwnErr")])
def test_an_object_that_claims_to_be_of_another_class_is_refused(real: bytes, claimed: bytes) -> None:
    classes = Classes()
    classes.reach([uses])
    body = encode(next(iter(Colour))).body
    assert rebuild(body, nothing, classes) is next(iter(Colour))

    with pytest.raises(UnmadeError):
        rebuild(body.replace(real, claimed), nothing, classes)


def test_what_no_recorder_writes_is_told_as_such() -> None:
    classes = Classes()
    classes.reach([uses])
    body = encode(Point(1, 2)).body

    with pytest.raises(UnmadeError):
        rebuild(body.replace(b"\xa1x", b"\xa1q"), nothing, classes)
