"""Prints the SQL that makes the tables: `python -m becausal.sink | clickhouse-client --database becausal`."""

from becausal.sink.schema import script

if __name__ == "__main__":
    print(script())  # noqa: T201
