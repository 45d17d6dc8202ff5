"""A store whose tables are partitioned by hash over three PostgreSQL servers, by what PostgreSQL brings with it.

The first server is asked; each table that Citus would spread is partitioned there, one partition its own and two of
them foreign tables on the others (postgres_fdw). It stands in for Citus, which is in no package: rows with one key
lie on one server, nothing is unique over all, and `ON CONFLICT` knows no target.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql
from tests.postgres import PASSWORD, Server

from becausal.store.postgres import schema

__all__ = ["make_store", "rows_by_server"]

SPREAD: Final = dict(re.findall(r"create_distributed_table\('(\w+)', '(\w+)'", schema.CITUS))
"""The tables that are spread, and by which column."""


def make_store(servers: Sequence[Server]) -> str:
    """Return the URL of a new store, at the first of the servers."""
    name = f"spread_{uuid.uuid4().hex[:12]}"
    statements = [one for migration in schema.MIGRATIONS for one in migration]
    plain = [one.removesuffix(schema.BY_DAY) for one in statements if " PARTITION OF " not in one]
    first, *others = servers
    for server in others:
        with _connected(server, "app", name) as connection:
            for statement in plain:
                connection.execute(statement)
    with _connected(first, "postgres", name) as root:
        root.execute("CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA public")
        for nth, server in enumerate(others, 1):
            _link(root, f"{name}_{nth}", server)
    with _connected(first, "app", name) as connection:
        for statement in plain:
            _make(connection, statement, name, len(servers))
        connection.execute("INSERT INTO meta VALUES ('format', %s)", (str(schema.FORMAT),))
    return first.url(schema=name)


def rows_by_server(server: Server, url: str, table: str) -> list[int]:
    """Return how many rows of a table lie on each server."""
    with _connected(server, "app", url.rpartition("=")[2]) as connection:
        query = sql.SQL("SELECT count(*) FROM {} GROUP BY tableoid").format(sql.Identifier(table))
        return [count for (count,) in connection.execute(query)]


def _make(connection: psycopg.Connection, statement: str, name: str, servers: int) -> None:
    """Run a statement that makes a table or an index, spread where it is to be."""
    made = re.match(r"CREATE TABLE (\w+)\(", statement)
    table = made[1] if made else ""
    if table not in SPREAD:
        indexed = re.match(r"CREATE INDEX \w+ ON (\w+)\(|ALTER TABLE (\w+) ", statement)
        if indexed is None or (indexed[1] or indexed[2]) not in SPREAD:
            connection.execute(statement.encode())
        return  # an index of a spread table is its servers' own
    keys = re.findall(r"(?:PRIMARY KEY|UNIQUE) \([^)]*\)", statement)
    inline = re.findall(r"(\w+) \w+(?: COLLATE \"C\")? PRIMARY KEY", statement)
    bare = re.sub(
        r",\s*(?:PRIMARY KEY|UNIQUE) \([^)]*\)|(?<! \()\bPRIMARY KEY\b(?! \()|\)\s*WITH \(.*", "", statement
    )
    bare = bare if bare.count("(") == bare.count(")") else f"{bare})"
    connection.execute(f"{bare} PARTITION BY HASH ({SPREAD[table]})".encode())
    for nth in range(servers):
        values = f"FOR VALUES WITH (MODULUS {servers}, REMAINDER {nth})"
        if nth:
            options = f"SERVER {name}_{nth} OPTIONS (schema_name '{name}', table_name '{table}')"
            connection.execute(
                f"CREATE FOREIGN TABLE {table}_{nth} PARTITION OF {table} {values} {options}".encode()
            )
        else:
            connection.execute(f"CREATE TABLE {table}_0 PARTITION OF {table} {values}".encode())
            for key in [*keys, *(f"PRIMARY KEY ({column})" for column in inline)]:
                connection.execute(f"ALTER TABLE {table}_0 ADD {key}".encode())


def _link(root: psycopg.Connection, name: str, server: Server) -> None:
    place = f"host '127.0.0.1', port '{server.port}', dbname 'postgres'"
    root.execute(f"CREATE SERVER {name} FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({place})".encode())
    mapping = sql.SQL("CREATE USER MAPPING FOR app SERVER {} OPTIONS (user 'app', password {})")
    root.execute(mapping.format(sql.Identifier(name), sql.Literal(PASSWORD)))
    root.execute(f"GRANT USAGE ON FOREIGN SERVER {name} TO app".encode())


def _connected(server: Server, user: str, name: str) -> psycopg.Connection:
    path = quote(f"-csearch_path={name},public")
    connection = psycopg.connect(f"{server.url(user=user)}?options={path}", autocommit=True)
    if user == "app":
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    return connection
