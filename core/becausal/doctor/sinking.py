"""The sink: whether it answers, and how far it is behind the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from becausal.counted import counted
from becausal.doctor.check import Figure, Line, advice, trouble, well
from becausal.errors import StoreError, StoreFormatError
from becausal.settings import shown_url, sink_named

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient
    from becausal.sink import Sink
    from becausal.store import Store
    from becausal.store.upkeep import ChainAge

__all__ = ["look_at_sink"]

LATE_S: Final = 86_400
"""A sink that is filled once a day is not late."""


def look_at_sink(patient: Patient) -> Iterator[Line]:
    """Say what the sink that the environment names lacks, and since when; and what of it was erased from the store."""
    url = sink_named()
    if not url or patient.store is None:
        return
    try:
        from becausal.sink import Sink

        sink = Sink(url, create=False)
    except StoreError as refusal:
        yield _silent(url, refusal)
        return
    with closing(sink):
        try:
            late, waiting = _asked(sink, patient.store)
        except StoreFormatError:  # it is the store that is damaged
            raise
        except StoreError as refusal:
            yield _silent(url, refusal)
            return
    lag_s = max((time.time_ns() - age.touched_ns for age in late), default=0) / 1e9
    figures: dict[str, Figure] = {
        "sink": shown_url(url),
        "runs_behind": len(late),
        "lag_s": round(lag_s),
        "erasures_waiting": waiting,
    }
    if waiting:
        yield advice(
            f"the sink {shown_url(url)} may still hold what was erased from the store: no copy has followed "
            f"{counted(waiting, 'erasure')}",
            "becausal export all --to",
            **figures,
        )
        return
    if not late:
        yield well(f"the sink {shown_url(url)} has every run", **figures)
        return
    says = f"the sink {shown_url(url)} lacks {counted(len(late), 'run')}, the oldest for {lag_s / 3600:,.1f} hours"
    if lag_s < LATE_S:
        yield well(says, **figures)
    else:
        yield advice(says, "becausal export all --to, from cron or with --every 60", **figures)


def _asked(sink: Sink, store: Store) -> tuple[list[ChainAge], int]:
    """Return the runs that the sink does not have as they are, and how many erasures no copy has followed."""
    from becausal.sink import behind, unfollowed, upkeep_in

    return behind(store, sink), len(unfollowed(sink, store, upkeep_in(store).erasures()))


def _silent(url: str, refusal: StoreError) -> Line:
    says, _, do = str(refusal).rpartition("; ")
    return trouble(
        f"the sink cannot be asked: {says or do}",
        f"{do if says else 'see what is wrong there'}; until then the store keeps what the sink lacks",
        sink=shown_url(url),
    )
