"""The promise: what chains of one store have in common is found by time, by content and by cause."""

from __future__ import annotations

from tests.core.builders import Record

from becausal.step import Cause
from becausal.store import Store
from becausal.store.links import Begun, Holding, Links, Taken, links_of


def links(kept: Store, *records: Record) -> Links:
    for record in records:
        kept.write(record.made)
    found = links_of(kept)
    assert found is not None
    return found


def run(number: int, *, said: str = "Yes, it will rain.", lasts_ns: int = 0) -> Record:
    record = Record(f"{number:x}" * 32, started_ns=10**9 * number)
    with record.step("workflow", "team", received=f"question {number}", produced=said):
        record.did("tool", "look", "sky", said)
        record.now += lasts_ns
    return record


def test_chains_are_found_by_when_they_began(kept: Store) -> None:
    found = links(kept, *(run(number) for number in range(1, 6)))

    assert [one.chain_id for one in found.begun(2 * 10**9, 4 * 10**9 + 10**8, limit=9)] == [
        f"{number:x}" * 32 for number in (2, 3, 4)
    ]
    assert found.begun(0, 10**12, limit=1) == [Begun("1" * 32, "workflow", 10**9 + 10**6)]


def test_a_time_that_no_store_can_hold_is_earlier_or_later_than_all_that_it_has(kept: Store) -> None:
    still_open = run(1)
    still_open.made[0].ended_ns = None
    found = links(kept, still_open)
    far = 1 << 63  # a step that ended at the last moment there is, and a little more

    assert [one.chain_id for one in found.begun(-far - 1, far, limit=9)] == ["1" * 32]
    assert [one.chain_id for one in found.under_way(far, limit=9)] == ["1" * 32]
    assert found.under_way(-far - 1, limit=9) == []


def test_chains_are_found_by_what_was_under_way_latest_first(kept: Store) -> None:
    still_open = run(4)
    still_open.made[0].ended_ns = None
    found = links(kept, run(1, lasts_ns=10**10), run(2), still_open, run(9))

    assert [one.chain_id[-1] for one in found.under_way(5 * 10**9, limit=9)] == ["4", "1"]


def test_a_payload_is_found_in_whichever_chain_received_or_produced_it(kept: Store) -> None:
    one, other, third = run(1), run(2), run(3, said="No, it will not.")
    found = links(kept, one, other, third)
    said = one.made[1].produced
    assert said is not None

    held = found.holding([said.digest], limit=9)
    assert {(row.chain_id[-1], row.side) for row in held} == {("1", "produced"), ("2", "produced")}
    assert Holding(one.chain_id, one.made[1].id, "produced", said.digest) in held
    assert len(found.holding([said.digest], limit=3)) == 3
    assert found.holding([], limit=9) == []


def test_more_digests_than_one_query_takes_are_asked_for_in_several(kept: Store) -> None:
    records = [run(number, said=f"It is {number} degrees.") for number in range(1, 8)]
    found = links(kept, *records)
    wanted = [record.made[1].produced.digest for record in records if record.made[1].produced is not None]

    held = found.holding([f"{wanted[0].rpartition(':')[0]}:{n:032x}" for n in range(900)] + wanted, limit=99)
    assert {row.digest for row in held} == set(wanted)


def test_a_step_that_goes_on_from_another_chain_is_found_by_its_cause_and_one_of_the_same_is_not(
    kept: Store,
) -> None:
    one, other = run(1), run(2)
    source = one.made[1].id
    other.made[0].causes.append(Cause(source, "resume", "declared", "thread 1"))
    one.made[0].causes.append(Cause(source, "data", "declared", "its own"))
    found = links(kept, one, other)

    assert found.taken_from([source]) == [Taken(other.chain_id, other.made[0].id, source, "resume")]
    assert found.taken_from(["f" * 16]) == []


def test_a_store_of_one_chain_has_no_links() -> None:
    assert links_of(object()) is None
