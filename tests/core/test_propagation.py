"""A place in the graph crosses wires of every sort, and nothing that a wire brings can do harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import becausal
from becausal import context, propagation
from becausal.propagation import MAX_MEMBER, CausalPropagator, remote_step
from becausal.step import RemoteStep

FAR = RemoteStep("00000000000000ab", "c" * 32, seq=7, hop=2)
MEMBER = f"becausal={FAR.chain_id}/{FAR.id}/7/2"


@contextmanager
def standing(step: RemoteStep) -> Iterator[None]:
    with context.Scope(context.with_step(step)):
        yield


def carried(step: RemoteStep = FAR) -> dict[str, str]:
    headers: dict[str, str] = {}
    with standing(step):
        becausal.inject(headers)
    return headers


def test_our_member_of_tracestate_is_one_that_w3c_allows() -> None:
    headers = carried(RemoteStep("00000000000000ab", "order 7, ü=½;%\n", seq=1))
    state = TraceState.from_header([headers["tracestate"]])
    assert list(state) == ["becausal"]
    assert state["becausal"] == headers["tracestate"].removeprefix("becausal=")


def test_the_baggage_holds_nothing_of_ours_by_default() -> None:
    assert sorted(carried()) == ["traceparent", "tracestate"]


def test_baggage_is_written_where_it_is_asked_for_and_is_read_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_BAGGAGE", "1")
    headers = carried()
    monkeypatch.delenv("BECAUSAL_BAGGAGE")
    del headers["tracestate"]
    assert remote_step(headers) == FAR


def test_a_chain_id_that_no_tracestate_holds_crosses_in_the_baggage() -> None:
    long = RemoteStep("00000000000000ab", "ü" * MAX_MEMBER, seq=7)
    headers = carried(long)
    assert "tracestate" not in headers
    assert remote_step(headers) == long


def test_no_more_members_are_handed_on_than_w3c_allows_and_ours_is_the_first() -> None:
    headers = {"tracestate": ",".join(f"vendor{number}=1" for number in range(32))}
    with standing(FAR):
        becausal.inject(headers)
    members = headers["tracestate"].split(",")
    assert (len(members), members[0], members[-1]) == (32, MEMBER, "vendor30=1")


def test_a_chain_outlives_a_service_that_knows_only_opentelemetry() -> None:
    between: dict[str, str] = {}
    w3c = TraceContextTextMapPropagator()
    token = otel_context.attach(w3c.extract(carried()))
    w3c.inject(between)
    otel_context.detach(token)

    step = remote_step(between)
    assert step is not None
    assert (step.id, step.chain_id) == (FAR.id, FAR.chain_id)


# Carriers of pairs


def test_the_headers_of_a_kafka_message_carry_it() -> None:
    headers: list[tuple[str, bytes]] = [("mine", b"\xff\x00"), ("tracestate", b"vendor=1")]
    with standing(FAR):
        becausal.inject(headers)
        becausal.inject(headers)
    assert ("mine", b"\xff\x00") in headers
    assert sorted(name for name, _ in headers) == ["mine", "traceparent", "tracestate"]
    assert dict(headers)["tracestate"] == f"{MEMBER},vendor=1".encode()
    with becausal.extract(headers):
        assert context.current() == FAR


def test_the_headers_of_an_asgi_scope_carry_it() -> None:
    headers = [(name.encode(), value.encode()) for name, value in carried().items()]
    with becausal.extract(headers):
        assert context.current() == FAR


# OpenTelemetry's propagators


@pytest.fixture
def global_propagator() -> Iterator[None]:
    former = propagate.get_global_textmap()
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), CausalPropagator()]))
    yield
    propagate.set_global_textmap(former)


@pytest.mark.usefixtures("global_propagator")
def test_a_library_that_carries_by_the_global_propagator_carries_the_chain() -> None:
    headers: dict[str, str] = {}
    with standing(FAR):
        propagate.inject(headers)
    assert headers["becausal"] == MEMBER.removeprefix("becausal=")
    assert context.step_of(propagate.extract(headers, Context())) == FAR


@pytest.mark.usefixtures("global_propagator")
def test_the_nearer_place_wins_over_what_an_earlier_hop_left_in_tracestate() -> None:
    near = RemoteStep("00000000000000cd", FAR.chain_id, seq=9, hop=3)
    headers = {"tracestate": MEMBER, "becausal": f"{near.chain_id}/{near.id}/9/3"}
    assert remote_step(headers) == near


@pytest.mark.usefixtures("global_propagator")
def test_outside_every_chain_the_propagator_writes_nothing_and_reads_nothing() -> None:
    headers: dict[str, str] = {}
    propagate.inject(headers)
    assert headers == {}
    assert context.step_of(propagate.extract({"x": "1"}, Context())) is None


def test_the_propagator_is_found_by_its_name() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="opentelemetry_propagator", name="becausal")
    assert found.load() is CausalPropagator


# What a stranger sends


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="becausal=/,;%0123456789abcdef", max_size=80),
    st.builds(lambda text: MEMBER + text, st.text(max_size=20)),
    st.builds(lambda text: text + MEMBER, st.text(max_size=20)),
)


@given(
    st.dictionaries(
        st.sampled_from(["traceparent", "tracestate", "baggage", "becausal"]), HOSTILE, max_size=4
    )
)
def test_no_header_raises_and_what_is_read_is_well_formed(headers: dict[str, str]) -> None:
    with becausal.extract(headers):
        step = context.current()
    propagator = CausalPropagator().extract(headers, Context())
    for found in (step, context.step_of(propagator)):
        if found is not None:
            assert len(found.id) == 16
            assert found.chain_id
            assert 0 <= found.seq < 10**15


@pytest.mark.parametrize(
    "carrier",
    [[], [("only",)], [(b"\xff", b"\xfe")], [("tracestate", None)], [7], {"tracestate": [MEMBER]}],
    ids=str,
)
def test_a_carrier_of_another_shape_gives_no_place(carrier: Any) -> None:
    with becausal.extract(carrier):
        assert context.current() is None


def test_a_header_as_long_as_a_book_is_read_no_further_than_one_of_ours_could_be() -> None:
    assert remote_step({"tracestate": "x=1," * 1_000_000 + MEMBER}) is None
    assert remote_step({"becausal": "a/" * 1_000_000}) is None


def test_a_lone_surrogate_in_a_chain_id_is_some_chain_id_and_no_failure() -> None:
    headers = {"tracestate": f"becausal=%ED%A0%80/{FAR.id}/1/1"}
    with becausal.extract(headers):
        assert context.current() is not None
        again: dict[str, str] = {}
        becausal.inject(again)
    assert trace.get_current_span().get_span_context().is_valid is False


# What fails inside


class Failing(TextMapPropagator):
    def extract(self, *_: Any, **__: Any) -> Context:
        raise RuntimeError("the propagator's")

    def inject(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("the propagator's")

    fields = property(lambda self: set())


def test_where_the_propagator_fails_the_app_goes_on_and_the_chain_is_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(Failing())
    try:
        headers = carried()
        with becausal.extract(headers):
            assert context.current() is None
    finally:
        propagate.set_global_textmap(before)

    assert MEMBER in headers["tracestate"]


def test_where_a_place_cannot_be_read_or_written_the_app_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("chaos")

    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    headers = carried()
    for part in ("_headers", "_written", "_read_from", "_read", "step_of", "Scope"):
        with monkeypatch.context() as broken:
            broken.setattr(propagation, part, fail)
            with becausal.extract(headers), standing(FAR):
                becausal.inject({})
                becausal.inject([])
                CausalPropagator().inject({})
            base = Context()
            assert isinstance(CausalPropagator().extract({"becausal": MEMBER}, base), Context)


def test_what_is_no_carrier_is_refused_and_said_what_is_one() -> None:
    with pytest.raises(TypeError, match="reads a mapping or pairs"):
        becausal.extract(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="writes into a mapping or a list of pairs"):
        becausal.inject(())  # type: ignore[arg-type]
