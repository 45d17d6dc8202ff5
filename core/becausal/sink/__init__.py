"""A sink for analytics: what becausal recorded, in the ClickHouse that its user already runs.

    with closing(Sink("clickhouse://user:word@host:8123/becausal")) as sink:
        copy_all(store, sink)

Nothing of it runs in the app: a command copies what the store has, as often as wanted: `becausal export all --to URL`.
"""

from becausal.sink.copying import Copied, behind, copy_all, upkeep_in
from becausal.sink.erasing import erase, unfollowed
from becausal.sink.place import Sink, source_of

__all__ = ["Copied", "Sink", "behind", "copy_all", "erase", "source_of", "unfollowed", "upkeep_in"]
