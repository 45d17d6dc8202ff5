"""What an app says comes to the sink as it said it, however odd; and no word of it unless that was asked for."""

from __future__ import annotations

import json

import pytest
from tests.core.builders import Record, open_step
from tests.core.sinks import OFFER, counts, cut_off, filled, opened, remember, text_of_all

from becausal.sink import Copied, copy_all
from becausal.store import Store
from becausal.store.encoding import encodable

NANOSECONDS_OF_A_MONTH = 31 * 86_400 * 10**9

HOSTILE = "x'\"`\\\n\0; DROP TABLE steps --{n:Int8}\u202e\ud800☃\U0001f600"


def test_odd_names_and_contents_stay_what_they_are(kept: Store, sink_url: str) -> None:
    record = Record(started_ns=1_790_000_000 * 10**9)
    with record.step("tool", HOSTILE, received=HOSTILE, produced={HOSTILE: HOSTILE}) as draft:
        draft.step.agent = HOSTILE
        draft.step.error = HOSTILE
        draft.step.attributes |= {HOSTILE: HOSTILE, "list": (HOSTILE, "b"), "n": float("nan")}
        draft.decides(HOSTILE, reason=HOSTILE)
    record.made[0].chain_id = HOSTILE
    filled(kept, record)
    remember(kept, HOSTILE, HOSTILE, memory=HOSTILE)
    kept.add_gaps({HOSTILE: 1})
    with opened(sink_url) as sink:
        copy_all(kept, sink, contents=True)
        assert copy_all(kept, sink, contents=True) == Copied()

        name = encodable(HOSTILE)
        assert sink.rows("SELECT chain_id, name, agent, error, attributes, choices.reason FROM steps") == [
            (name, name, name, name, {name: name, "list": json.dumps([HOSTILE, "b"]), "n": "nan"}, [name])
        ]
        assert sink.rows("SELECT chain_id, name, agents FROM runs") == [(name, name, [name])]
        assert sink.rows("SELECT memory, key FROM memory_events") == [(name, name)]
        assert sink.rows("SELECT reason FROM gaps") == [(name,)]
        assert (name,) in sink.rows("SELECT text FROM contents")


@pytest.mark.parametrize("tokens", [-1, 1 << 64, 10**30, True, 1.5, "many", float("inf")])
def test_figures_that_are_none_are_none_in_the_sink(tokens: object, kept: Store, sink_url: str) -> None:
    step = open_step(1)
    step.attributes["gen_ai.usage.input_tokens"] = tokens  # type: ignore[assignment]
    step.attributes["gen_ai.usage.output_tokens"] = (1 << 64) - 1
    kept.write([step])
    with opened(sink_url) as sink:
        copy_all(kept, sink)

        assert sink.rows("SELECT tokens_in, tokens_out FROM steps") == [(0, (1 << 64) - 1)]


def test_times_that_cannot_be_are_kept_as_numbers_and_in_few_partitions(kept: Store, sink_url: str) -> None:
    times = [-(1 << 63), -1, 0, (1 << 63) - 1]
    months = [1_600_000_000 * 10**9 + n * NANOSECONDS_OF_A_MONTH for n in range(150)]
    centuries = [n * 10**18 for n in range(-9, 9)]
    steps = [open_step(n + 1, started_ns=at) for n, at in enumerate([*times, *months, *centuries])]
    for step in steps:
        step.ended_ns, step.seq, step.hop = step.started_ns, (1 << 63) - 1, (1 << 31) - 1
    kept.write(steps)
    with opened(sink_url) as sink:
        copy_all(kept, sink)

        assert sink.rows("SELECT count() FROM steps FINAL") == [(len(steps),)]
        told = sink.rows(
            "SELECT started_ns, toString(started) FROM steps WHERE step_id <= '0000000000000004' ORDER BY step_id"
        )
        assert [row[0] for row in told] == times
        assert [row[1][:19] for row in told] == [
            "1900-01-01 00:00:00",
            "1969-12-31 23:59:59",
            "1970-01-01 00:00:00",
            "2262-04-11 23:47:16",
        ]
        partitions = sink.rows(
            "SELECT uniqExact(partition) FROM system.parts WHERE active AND table = 'steps'"
        )
        assert partitions[0][0] <= 160


def test_no_word_is_sent_unless_contents_are_asked_for(kept: Store, sink_url: str) -> None:
    words = [f"secretword{n}" for n in range(13)]
    record = cut_off()
    with record.step("request", words[0], received=words[1], produced=words[2]) as draft:
        draft.step.error = f"{words[3]}: {words[12]}"  # an app's own words may look like a type
        draft.step.attributes |= {
            "error.type": "ValueError",
            "gen_ai.input.messages": words[4],
            "app.own": words[5],
            "becausal.checks": words[6],
        }
        draft.decides(f"call tool(q={words[7]})", reason=words[8])
        draft.caused_by(draft)
    draft.step.causes[0] = type(draft.step.causes[0])(draft.id, "memory", "observed", f"memory {words[9]}@1")
    filled(kept, record)
    remember(kept, words[10], words[11])
    with opened(sink_url) as sink:
        copy_all(kept, sink)
        said = text_of_all(sink)
        assert [word for word in words if word in said] == []
        assert OFFER[:20] not in said
        assert counts(sink)["contents"] == 0
        assert sink.rows("SELECT name, error, choices.conclusion FROM steps WHERE kind = 'request'") == [
            ("request", "ValueError", ["call tool"])
        ]
        assert sink.rows("SELECT count() FROM findings WHERE kind = 'handoff.truncated'") == [(1,)]

        assert copy_all(kept, sink, contents=True).runs == 1  # asked for later, they come
        said = text_of_all(sink)
        assert [word for word in words if word not in said] == []
        assert copy_all(kept, sink) == Copied()  # and stay
