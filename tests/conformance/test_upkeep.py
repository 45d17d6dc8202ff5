"""What keeps a store within bounds, run against each that can be: the same runs go, the same contents stay."""

from __future__ import annotations

import json
import os
import time

import pytest
import zstandard
from tests.at_once import at_once
from tests.conformance.carrying import carried
from tests.conformance.test_store import payload, step

import becausal
from becausal import canonical, semconv
from becausal.bounds import Retention
from becausal.cli import main
from becausal.clock import OUTSIDE, REPLAYS
from becausal.errors import StoreError
from becausal.memory_event import NewEvent
from becausal.payload import Payload
from becausal.runs import Runs
from becausal.step import Cause, OpenStep
from becausal.store import Store, open_store
from becausal.store.retention import prune
from becausal.store.sweeping import Begun
from becausal.store.upkeep import SWEPT, Erasure, Upkeep, silent, upkeep_of

DAY_NS = 86_400 * 10**9
NAME = "José Müller-Nobody"


def upkeep(store: Store) -> Upkeep:
    found = upkeep_of(store)
    assert found is not None
    return found


def aged(number: int, days: float, **changes: object) -> OpenStep:
    """Return the only step of a chain that is so many days old, with a content of its own and one that all share."""
    made = step(number, chain=f"run {number}", **changes)  # type: ignore[arg-type]
    made.started_ns = time.time_ns() - int(days * DAY_NS)
    made.ended_ns = None if made.status == "open" else made.started_ns + 1
    made.received, made.produced = payload(number), payload(200)
    own, shared = b"own %d" % number, b"shared by all"
    made.bodies = [(bytes([number]) * 16, own), (bytes([200]) * 16, shared)]
    return made


def test_a_run_whose_app_calls_it_a_memory_or_a_replay_is_a_run_like_others(store: Store) -> None:
    named = ["memory-report-7", "replay-2026", "replay", f"memory{0:027}"]
    replayed, outside = (f"{begins}{0xF00:026x}" for begins in (REPLAYS, OUTSIDE))
    steps = [aged(number, number) for number in range(1, 7)]
    for made, chain_id in zip(steps, (*named, replayed, outside), strict=True):
        made.chain_id = chain_id
    store.write(steps)

    assert [info.chain_id for info in Runs(store).list(replays=False)] == named
    assert [info.chain_id for info in Runs(store).list()] == [*named, replayed, outside]
    assert Runs(store).count(replays=False) == 4
    assert {age.chain_id for age in upkeep(store).ages() if age.is_listed} == {*named}
    done = prune(store, Retention(keep_last=1), dry_run=True)
    assert (sorted(done.chain_ids), {*done.aside}) == (sorted(named[1:]), {replayed, outside})


def test_what_is_no_run_is_none_once_some_of_its_id_is_erased(store: Store) -> None:
    steps = [aged(number, number) for number in range(1, 4)]
    for made, chain_id in zip(
        steps, ("run", f"{REPLAYS}{44711111:026}", f"{REPLAYS}{4471:026}"), strict=True
    ):
        made.chain_id = chain_id
    store.write(steps)

    upkeep(store).erase(Erasure(("4471",)))

    assert [info.chain_id for info in Runs(store).list(replays=False)] == ["run"]
    assert "erased" in Runs(store).list()[1].chain_id


def test_runs_go_by_age_and_bodies_that_are_in_use_stay(store: Store) -> None:
    wrong = aged(3, 10)
    wrong.attributes = {semconv.CHECKS: "[]"}
    caused = aged(4, 10, status="error")
    caused.causes = [Cause(f"{5:016x}", "data", "observed")]
    pinned = aged(6, 100)
    store.write([aged(1, 10), aged(2, 1), wrong, caused, aged(5, 10), pinned, aged(7, 10, status="open")])
    upkeep(store).mark("run 6", "pinned")

    done = prune(store, Retention(max_age_ns=5 * DAY_NS))

    assert set(done.chain_ids) == {"run 1", "run 7"}
    assert {info.chain_id for info in store.chains()} == {f"run {n}" for n in (2, 3, 4, 5, 6)}
    assert done.bodies == 2
    assert [store.body(bytes([n]) * 16) is None for n in (1, 2, 7, 200)] == [True, False, True, False]
    assert store.load("run 1") == []


def test_of_a_number_of_runs_those_that_are_listed_are_counted_and_replays_go_with_theirs(
    store: Store,
) -> None:
    def beside(number: int, days: float, chain: str, of: str | None = None) -> OpenStep:
        made = aged(number, days)
        made.chain_id = chain
        made.attributes = {} if of is None else {semconv.REPLAY_OF: of}
        return made

    replays = [f"{REPLAYS}{number:026x}" for number in range(3)]
    memories = [f"{OUTSIDE}{number:026x}" for number in range(2)]
    store.write([aged(number, 10 - number) for number in range(1, 5)])
    store.write([beside(11, 1, replays[0], "run 1"), beside(12, 1, replays[1], "run 4")])
    store.write(
        [beside(13, 9.5, memories[0]), beside(14, 1, memories[1]), beside(15, 9.5, replays[2], "elsewhere")]
    )

    done = prune(store, Retention(keep_last=2))

    assert [info.chain_id for info in Runs(store).list(replays=False)] == ["run 4", "run 3"]
    assert {info.chain_id for info in store.chains()} == {"run 4", "run 3", replays[1], memories[1]}
    assert (set(done.chain_ids), done.kept, done.is_within) == ({"run 1", "run 2"}, 2, True)
    assert set(done.aside) == {replays[0], replays[2], memories[0]}


def test_the_same_ages_are_told_by_either_store(recorded: str, store: Store) -> None:
    source = open_store(recorded)
    carried(source, store)

    assert upkeep(store).ages() == upkeep(source).ages()
    source.close()


def test_what_a_kept_run_follows_from_stays_however_far_back_it_lies(store: Store) -> None:
    last, middle = aged(1, 10), aged(2, 10)
    last.causes = [Cause(f"{2:016x}", "data", "observed")]
    middle.causes = [Cause(f"{3:016x}", "data", "observed")]
    first, beside = aged(3, 10), aged(4, 10)
    first.causes = [Cause(f"{1:016x}", "data", "observed")]  # and round again
    store.write([last, middle, first, beside])
    upkeep(store).mark("run 1", "pinned")

    assert prune(store, Retention(max_age_ns=DAY_NS)).chain_ids == ("run 4",)
    assert {age.chain_id: age.sources for age in upkeep(store).ages()} == {
        "run 1": ("run 2",), "run 2": ("run 3",), "run 3": ("run 1",),
    }  # fmt: skip


def test_a_pinned_run_is_let_go_once_it_is_unpinned(store: Store) -> None:
    store.write([aged(1, 10)])
    for _ in range(2):
        upkeep(store).mark("run 1", "pinned")
    assert prune(store, Retention(max_age_ns=DAY_NS)).chain_ids == ()

    upkeep(store).mark("run 1", "pinned", remove=True)

    assert prune(store, Retention(max_age_ns=DAY_NS)).chain_ids == ("run 1",)
    assert store.chains() == []


def test_who_wrote_before_a_deletion_learns_of_it_and_a_part_that_is_missing_is_counted(
    url: str, store: Store
) -> None:
    store.write([aged(1, 10)])
    tended = upkeep(store)
    before = tended.generation
    other = open_store(url)
    prune(other, Retention(max_age_ns=DAY_NS))
    other.close()

    late = aged(2, 0)
    whole = canonical.encode({"a": "x" * 5_000, "b": ["y" * 5_000]})
    assert len(canonical.part_digests(whole.body)) > 0
    late.bodies = [(bytes([2]) * 16, whole.body)]
    store.write([late])

    assert tended.generation != before
    assert store.gaps()[SWEPT] >= 1


def deep(word: str) -> canonical.Encoded:
    """Return a content whose part has a part."""
    message = {"role": "user", "content": word * 200, "type": "human"}
    made = canonical.encode({"task": {"messages": [message], "pad": "x" * 600}, "n": 1})
    assert any(canonical.part_digests(part) for _, part in made.parts)
    return made


WAYS = ("received, handed out whole", "received, its parts handed out before", "kept", "memory")


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_to_be_used_while_a_sweep_runs_stays_with_all_its_parts(store: Store, way: str) -> None:
    wanted, dead = deep("wanted"), deep("dead")
    bodies = {wanted.digest: wanted.body, **dict(wanted.parts)}
    text = canonical.digest_text(wanted.digest)
    said = Payload(text, text, wanted.size, wanted.type_name)
    old = aged(1, 10)
    old.bodies += [*bodies.items(), (dead.digest, dead.body), *dead.parts]
    store.write([old])
    upkeep(store).forget(["run 1"])
    written: list[str] = []

    def write(doing: str, done: int, total: int) -> None:
        if doing != "sweeping" or written:
            return
        written.append(way)
        new = aged(2, 0)
        new.bodies = [*bodies.items()]
        if way == "memory":
            store.append(NewEvent("notes", "key", "write", seq=1, at_ns=1, payload=said), bodies)
            return
        if way == "kept":
            new.attributes = {semconv.KEPT + "answer": text}
            new.bodies = []
        else:
            new.received = said
        if way == "received, its parts handed out before":
            new.bodies = [(wanted.digest, wanted.body)]
        store.write([new])

    swept = upkeep(store).sweep(write)

    assert written == [way]
    # The dead one, what was the old run's own, and what the new run has as well, if there is one.
    assert swept == 1 + len(dead.parts) + (2 if way == "memory" else 1)
    assert [store.body(digest) for digest in bodies] == [*bodies.values()]
    assert store.body(dead.digest) is None
    assert upkeep(store).sweep() == 0
    assert store.gaps() == {}


def test_a_sweep_that_was_killed_is_forgotten_by_the_next_one_and_one_that_goes_on_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, hours = time.time_ns, [0.0]
    monkeypatch.setattr(time, "time_ns", lambda: now() + int(hours[0] * 3600 * 10**9))
    for module in ("sqlite.sweep", "postgres.sweep"):
        monkeypatch.setattr(f"becausal.store.{module}.BODIES_AT_ONCE", 1)
    store.write([aged(number, 1) for number in range(1, 9)])
    tended = upkeep(store)
    tended.forget([f"run {number}" for number in range(1, 9)])
    goes_on, killed = (tended._sweep(silent) for _ in range(2))  # type: ignore[attr-defined]
    next(goes_on)
    next(killed)

    hours[0] = 1.5
    next(goes_on)
    hours[0] = 3
    tended.sweep()

    next(goes_on)
    with pytest.raises(Begun):
        next(killed)


def large(number: int, *, says: str = "") -> canonical.Encoded:
    """Return one of many large contents that are nearly the same."""
    pieces = [f"{nth}: {nth * 7919 % 104729:07d} is what was found there" for nth in range(12_000)]
    pieces[6_000] += says
    return canonical.encode({"all": {"found": "; ".join(pieces), "round": number}})


def holding(number: int, encoded: canonical.Encoded) -> OpenStep:
    """Return the only step of a chain, which received a content."""
    made = step(number, chain=f"run {number}")
    text = canonical.digest_text(encoded.digest)
    made.received = Payload(text, text, encoded.size, encoded.type_name)
    made.bodies = [*encoded.parts, (encoded.digest, encoded.body)]
    return made


def test_large_contents_that_share_nearly_all_are_read_forgotten_and_written_again_one_by_one(
    store: Store,
) -> None:
    contents = [large(number) for number in range(4)]
    bodies = [dict([*one.parts, (one.digest, one.body)]) for one in contents]
    for number, one in enumerate(contents):
        store.write([holding(number, one)])
    assert store.describe().bodies == len({digest for one in bodies for digest in one})

    upkeep(store).forget(["run 0", "run 2"])

    assert upkeep(store).sweep() == 4
    for number in (1, 3):
        assert {digest: store.body(digest) for digest in bodies[number]} == bodies[number]
    assert [store.body(digest) for digest in bodies[0]] == [None, None]
    store.write([holding(0, contents[0])])
    assert {digest: store.body(digest) for digest in bodies[0]} == bodies[0]
    upkeep(store).forget(["run 0", "run 1", "run 3"])
    assert upkeep(store).sweep() == 6
    assert store.describe().bodies == 0
    assert store.gaps() == {}


@pytest.mark.parametrize("way", ["received", "memory"])
def test_a_large_content_that_comes_to_be_used_while_a_sweep_runs_stays_whole(store: Store, way: str) -> None:
    wanted, alike = large(1), large(2)
    store.write([holding(1, wanted)])
    upkeep(store).forget(["run 1"])
    written: list[str] = []

    def write(doing: str, done: int, total: int) -> None:
        if doing == "sweeping" and not written:
            written.append(doing)
            new = holding(2, alike)
            if way == "memory":
                event = NewEvent("notes", "key", "write", seq=1, at_ns=1, payload=new.received)
                store.append(event, dict(new.bodies))
            else:
                store.write([new])

    upkeep(store).sweep(write)

    assert written
    assert [store.body(digest) for digest, _ in alike.parts] == [body for _, body in alike.parts]
    assert [store.body(digest) for digest, _ in wanted.parts] == [None]
    assert upkeep(store).sweep() == 0
    assert store.gaps() == {}


def test_a_text_is_erased_from_one_large_content_and_what_is_like_it_stands(store: Store) -> None:
    spoken, alike = large(1, says=" by Jane Doe"), large(2)
    store.write([holding(1, spoken)])
    store.write([holding(2, alike)])

    erased = upkeep(store).erase(Erasure(texts=("Jane Doe",)))

    assert erased.places == {"contents": 1}
    [read] = store.load("run 1")
    assert read.received is not None
    assert read.received.text().count("[erased ") == 1
    assert "Jane" not in read.received.text()
    assert [store.body(digest) for digest, _ in alike.parts] == [body for _, body in alike.parts]


def test_a_sweep_that_contents_were_rewritten_under_begins_anew(store: Store) -> None:
    store.write([aged(1, 10), aged(2, 1)])
    upkeep(store).forget(["run 1"])
    heard: list[int] = []

    def told(doing: str, done: int, total: int) -> None:
        if doing == "sweeping" and not heard:
            upkeep(store).erase(Erasure(texts=("own 2",)))
        if doing == "sweeping":
            heard.append(done)

    assert upkeep(store).sweep(told) == 1
    assert heard == [0, 0, 1]
    assert store.body(bytes([1]) * 16) is None


def test_a_size_that_what_memories_hold_alone_goes_beyond_is_refused_and_nothing_goes(store: Store) -> None:
    store.write([aged(number, number) for number in range(1, 6)])
    large = canonical.encode([os.urandom(200_000).hex(), "held by a memory"])
    text = canonical.digest_text(large.digest)
    content = Payload(text, text, large.size, large.type_name)
    store.append(
        NewEvent("notes", "k", "write", 1, 2, content), {large.digest: large.body, **dict(large.parts)}
    )

    for dry_run in (True, False):
        with pytest.raises(StoreError, match=r"nothing was let go.*what memories hold"):
            prune(store, Retention(max_bytes=150_000), dry_run=dry_run)

    assert len(store.chains()) == 5


def test_for_the_sake_of_a_size_the_newest_run_stays_and_it_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size cannot be foreseen to the byte."""
    store.write([aged(number, number) for number in range(1, 6)])
    monkeypatch.setattr(type(upkeep(store)), "least", lambda _: 0)

    done = prune(store, Retention(max_bytes=1))

    assert [info.chain_id for info in store.chains()] == ["run 1"]
    assert (done.kept, done.is_within, done.more_may_go) == (1, False, False)


def test_a_damaged_content_stops_no_sweep(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write([aged(1, 10), aged(2, 1)])
    upkeep(store).forget(["run 1"])

    def damaged(codec: int, data: bytes) -> bytes:
        raise zstandard.ZstdError("damaged")

    for module in ("sweeping", "sqlite.bodies"):
        monkeypatch.setattr(f"becausal.store.{module}.unpack", damaged)

    assert upkeep(store).sweep() == 1


def test_a_turn_to_prune_is_one_caller_s(store: Store) -> None:
    turns: list[bool] = []
    at_once([lambda: turns.append(upkeep(store).take_turn(3600 * 10**9))] * 4)

    assert sorted(turns) == [False, False, False, True]
    assert upkeep(store).take_turn(0)


# Erasing


@pytest.fixture
def told(url: str) -> str:
    """The URL of a store with a run that told a name in many places."""
    becausal.instrument(store=url)
    memory = becausal.Memory("people", store=url)
    long = "The report is long enough to be kept as a part of its own. " * 20
    with (
        becausal.chain(f"who is {NAME}", id=f"for-{NAME}"),
        becausal.agent("finder", received={"question": f"who is {NAME}?", "note": long}) as finder,
    ):
        finder.decide(f"call find({NAME})", because=[NAME], reason=f"{NAME} was asked for")
        memory.write(NAME, {"name": NAME, "file": long + NAME}, reason=f"{NAME} said so")
        memory.write("city", "Bern")
        memory.read(NAME)
        with pytest.raises(ValueError, match="unknown"), becausal.agent(NAME, received=[NAME, long]):
            raise ValueError(f"{NAME.upper()} is unknown")
        finder.returned({"answer": f"{NAME} lives in Bern", "note": long})
    memory.close()
    assert becausal.flush()
    becausal.uninstrument()
    return url


def everything(store: Store) -> str:
    """Return all that a store tells, as a text."""
    steps = [one for info in store.chains() for one in store.load(info.chain_id)]
    payloads = [p for one in steps for p in (one.received, one.produced) if p is not None]
    events = store.memory_events()
    payloads += [event.payload for event in events if event.payload is not None]
    told = [repr(store.chains()), repr(events), repr(store.memory_reads()), repr(upkeep(store).erasures())]
    told += [f"{s.name} {s.agent} {s.error} {s.attributes} {s.causes} {s.choices}" for s in steps]
    told += [f"{p.digest} {p.type_name} {p.lossy} {p.text()}" for p in payloads]
    return "\n".join(told)


def test_an_erased_text_is_told_nowhere_any_more_and_the_rest_stands(told: str) -> None:
    store = open_store(told)
    before = everything(store)
    shape = [(s.id, s.kind, s.parent_id, s.status) for i in store.chains() for s in store.load(i.chain_id)]
    assert before.count(NAME) > 8

    would = upkeep(store).erase(Erasure(texts=(NAME,), reason="ticket 7"), dry_run=True)
    assert everything(store) == before
    done = upkeep(store).erase(Erasure(texts=(NAME,), reason="ticket 7"))

    assert done.places == would.places
    assert {"contents", "names", "errors", "decisions", "keys", "runs", "memory"} <= set(done.places)
    after = everything(store)
    assert NAME not in after
    assert NAME.upper() not in after
    assert "lives in Bern" in after
    [info] = store.chains()
    assert done.chain_ids == (info.chain_id,)
    assert [(s.id, s.kind, s.parent_id, s.status) for s in store.load(info.chain_id)] == shape
    assert (info.steps, info.errors) == (len(shape), sum(s[3] == "error" for s in shape))
    assert store.broken_link("people") is None
    assert [one.reason for one in upkeep(store).erasures()] == ["ticket 7"]
    assert Runs(store).last().why().steps
    store.close()


def test_a_memory_s_key_is_erased_and_its_log_verifies_and_goes_on(told: str) -> None:
    store = open_store(told)
    store.erase("people", "city")

    assert "Bern" not in "".join(
        event.payload.text() for event in store.memory_events("people") if event.payload is not None
    )
    assert store.broken_link("people") is None
    memory = becausal.Memory("people", store=store.url if "***" in store.url else told)
    memory.write("city", "Basel")
    assert memory.read("city") == "Basel"
    assert memory.verify() is None
    memory.close()
    store.close()


def test_a_run_s_contents_are_erased_and_its_steps_stay(told: str) -> None:
    store = open_store(told)
    [info] = store.chains()

    done = upkeep(store).erase(Erasure(chain_id=info.chain_id))

    assert done.chain_ids == (info.chain_id,)
    steps = store.load(info.chain_id)
    assert len(steps) == info.steps
    assert not any(p.is_kept for s in steps for p in (s.received, s.produced) if p is not None)
    assert store.broken_link("people") is None
    assert store.describe().bodies == 0
    store.close()


def test_what_a_run_asked_and_wrote_to_memories_goes_with_its_contents(told: str) -> None:
    store = open_store(told)
    [info] = store.chains()
    memory = becausal.Memory("people", store=told)
    memory.write("city", "Basel")

    upkeep(store).erase(Erasure(chain_id=info.chain_id))

    # `city` another one wrote to as well. Names of agents say who did it.
    assert NAME not in {event.key for event in store.memory_events("people")}
    assert NAME not in {read.key for read in store.memory_reads("people")}
    assert not any(NAME in (event.reason or "") for event in store.memory_events("people"))
    assert memory.read("city") == "Basel"
    assert memory.verify() is None
    assert [one.name for one in store.chains()] == ["request"]
    assert "request" in {step.name for step in store.load(info.chain_id)}
    memory.write("city", "Chur")
    assert memory.verify() is None
    memory.close()
    store.close()


def test_the_commands_prune_and_erase(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--older-than", "1d", "--json", "--store", told]) in (0, 1)
    assert json.loads(capsys.readouterr().out) is not None
    assert main(["runs", "--store", told]) == 0
    assert "finder" in capsys.readouterr().out
