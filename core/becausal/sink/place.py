"""A connection to the ClickHouse that the sink is in: how it is opened, and what is said when it fails.

`clickhouse://USER:PASSWORD@HOST:PORT/DATABASE?secure=true` is a server, by its HTTP interface; `chdb:///PATH` the same
engine in this process (the package `chdb`), for trying out and for tests: one process at a time has its folder open.
`source=NAME` in the query is what the store is called in the sink; other parameters are clickhouse-connect's.

Needs the extra `clickhouse` (clickhouse-connect); only this module imports it, and only once one is opened.
"""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from becausal.errors import StoreError, StoreFormatError
from becausal.settings import HIDDEN, ON, shown_url
from becausal.sink.schema import COLUMNS, FORMAT, MIGRATIONS, ORDER
from becausal.store import Store
from becausal.store.encoding import encodable
from becausal.store.exposure import file_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["Row", "Sink", "source_of"]

Row = tuple[object, ...]

SCHEMES: Final = ("clickhouse", "chdb")

DATABASE: Final = "becausal"
"""Where the URL names none."""

VALUES_AT_ONCE: Final = 2_000
"""Values in one condition."""

LEAST_SECRET: Final = 6
"""Characters: what is shorter would take words of an error away that are none."""

INSERTING: Final = {
    "async_insert": 0,  # a batch is large, and is there once the insert has returned
    "max_partitions_per_insert_block": 0,  # an import of old runs has many months
}

# What the client says of a failure is told by us, with what to do; not by logging's last resort as well.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

ADVICE: Final = (
    (
        ("Code: 516", "Code: 194", "Code: 192"),
        "see that user and password are right (in the URL, odd characters as %40)",
    ),
    (
        ("Code: 497", "Code: 164"),
        "the user needs SELECT, INSERT, CREATE TABLE, CREATE VIEW and ALTER DELETE on the database",
    ),
    (("Code: 252",), "the server has too many parts that wait to be merged; export less often"),
    (("Code: 241", "Code: 243"), "the server lacks disk or memory"),
    (
        ("HTTPConnection", "HTTPSConnection", "timed out"),
        "see that the server is running, and its host and HTTP port",
    ),
    (
        ("EmbeddedServer",),
        "see that the folder can be written, and that no other process has it open: one may",
    ),
    (("unexpected keyword argument",), "the URL has a parameter that clickhouse-connect does not know"),
)
"""What to do, by what a failure says."""


class Sink:
    """The tables of one database."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Open it.

        Args:
            url: see above.
            create: make the tables, or bring them up to date; else they are only read.

        Raises:
            StoreError: it cannot be reached, or there is none and none may be made.
            StoreFormatError: it is of a newer becausal.
        """
        self._address = _Address(url)
        self.shown = self._address.shown
        """Its URL without the password."""
        self.source = self._address.source
        """What the URL says that a store is called here; None: by its place."""
        self._client = self._connected(create=create)
        try:
            self._migrate(create=create)
        except BaseException:
            self.close()
            raise

    def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds; values stand in it as `{name:Type}`."""
        with self._told("asking it"):
            return [tuple(row) for row in self._client.query(query, parameters=values).result_rows]

    def each(self, query: str) -> Iterator[Sequence[Any]]:
        """Yield what a query finds, never all of it in memory."""
        with self._told("reading it"), self._client.query_rows_stream(query) as stream:
            yield from stream

    def insert(self, table: str, rows: Sequence[Row], copied_ns: int) -> None:
        """Insert rows; when it has returned, they are there."""
        if rows:
            with self._told(f"writing {len(rows)} rows to {table}"):
                whole = [(*row, copied_ns) for row in rows]
                self._client.insert(
                    table, whole, column_names=(*COLUMNS[table], "copied_ns"), settings=INSERTING
                )

    def delete(self, table: str, column: str, values: Sequence[str], *, source: str | None = None) -> None:
        """Delete the rows that have one of some values, also from the disk, and wait for that.

        Args:
            table: where.
            column: which has the values.
            values: any number.
            source: only those of the store that is called so.
        """
        only, of = ("", {}) if source is None else (" AND source = {source:String}", {"source": source})
        for few in _few(values):
            with self._told(f"deleting from {table}"):
                # Not `command`, which puts values into the address, however many they are; servers bound its length.
                self._client.raw_query(
                    f"ALTER TABLE {table} DELETE WHERE {column} IN {{values:Array(String)}}{only}",
                    parameters={"values": few, **of},
                    settings={"mutations_sync": 2},
                )

    def among(self, query: str, values: Sequence[str]) -> set[str]:
        """Return the texts that a query finds whose condition has `{values:Array(String)}`, however many they are."""
        return {found for few in _few(values) for (found,) in self.rows(query, values=few)}

    def latest_ns(self) -> int:
        """Return the highest `copied_ns` there is, in whatever table: of a copy that was killed, not all have it."""
        of_each = " UNION ALL ".join(f"SELECT max(copied_ns) AS last_ns FROM {table}" for table in ORDER)
        return max(int(row[0]) for row in self.rows(f"SELECT max(last_ns) FROM ({of_each})"))

    def name_of(self, store: Store) -> str:
        """Return what a store is called in the sink: what the sink's URL says, else its place."""
        return encodable(self.source or source_of(store.url))

    def close(self) -> None:
        """Let go of the connection. Closing twice is harmless."""
        self._client.close()

    # Inside

    def _connected(self, *, create: bool) -> Client:
        database = self._address.database
        _needs_client()
        from clickhouse_connect.driver.exceptions import ClickHouseError

        with self._told("connecting to it"):
            try:
                return self._address.connected(database)
            except ClickHouseError as failure:
                if "UNKNOWN_DATABASE" not in str(failure):
                    raise
                if not create:
                    raise _nothing(self.shown) from None
            first = self._address.connected("default")
            try:
                first.command(
                    "CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": database}
                )
            finally:
                first.close()
            return self._address.connected(database)

    def _migrate(self, *, create: bool) -> None:
        found = self._found()
        if found > FORMAT:
            raise StoreFormatError(
                f"{self.shown} was filled by a newer becausal (format {found}; this one knows {FORMAT}): "
                "pip install -U becausal"
            )
        if found < FORMAT and not create:
            raise _nothing(self.shown)
        for migration in MIGRATIONS[found:]:
            for statement in migration:
                with self._told("making its tables"):
                    self._client.command(statement)
        if found < FORMAT:
            self.insert("meta", [("format", str(FORMAT))], FORMAT)

    def _found(self) -> int:
        there = self.rows(
            "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'meta'"
        )
        if not there[0][0]:
            return 0
        return max(
            (int(row[0]) for row in self.rows("SELECT value FROM meta WHERE key = 'format'")), default=0
        )

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Say what was being done, where, why it failed, and what to do about it."""
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            yield
        except (ClickHouseError, ImportError, TypeError, ValueError) as failure:
            raise self._address.explained(failure, doing) from None  # it may quote the password


class _Address:
    """What a URL says."""

    def __init__(self, url: str) -> None:
        self.shown = shown_url(url)
        parts = urlsplit(url)
        said = dict(parse_qsl(parts.query, keep_blank_values=True))
        # A password with a / or ? in it goes on behind what should be the host; nothing of that may be quoted.
        beyond = (parts.path, parts.fragment, *said)
        if parts.scheme not in SCHEMES or not _has_port(parts) or any("@" in one for one in beyond):
            raise StoreError(
                f"{self.shown} is no URL of a ClickHouse: write clickhouse://USER:PASSWORD@HOST:8123/DATABASE, "
                "odd characters of a password as %40"
            )
        self.source = said.pop("source", None)
        self._is_secure = said.pop("secure", "").lower() in ON
        self._dsn = urlunsplit(parts._replace(query=urlencode(said)))
        given = [parts.password, said.get("password"), *_secrets_of(said.values())]
        self.secrets = {
            form for one in given if one for form in (one, unquote(one), quote(unquote(one), safe=""))
        }
        self._is_server = parts.scheme == "clickhouse"
        self.database = (unquote(parts.path.strip("/")) if self._is_server else "") or DATABASE
        if not re.fullmatch(r"[A-Za-z_]\w*", self.database, re.ASCII):
            raise StoreError(f"{self.shown} names no database: its name has letters, digits and _")

    def connected(self, database: str) -> Client:
        """Return a connection."""
        import clickhouse_connect

        if not self._is_server:
            return clickhouse_connect.get_client(dsn=self._dsn, database=database)
        return clickhouse_connect.get_client(
            dsn=self._dsn, database=database, secure=self._is_secure, autogenerate_session_id=False
        )

    def explained(self, failure: Exception, doing: str) -> StoreError:
        """Return the error that says what was being done, where, why it failed, and what to do about it."""
        text = " ".join(str(failure).split("Stack trace")[0].split())[:400]
        advice = next((advice for words, advice in ADVICE if any(word in text for word in words)), "")
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return StoreError(f"{self.shown}: {doing} failed ({text})" + (f"; {advice}" if advice else ""))


def source_of(url: str) -> str:
    """Return what a store is called in the sink: of a file, its machine and path; else its URL without the login."""
    path = file_of(url)
    if path is not None:
        return f"{platform.node()}:{path}"
    scheme, _, place = shown_url(url).partition("://")
    return f"{scheme}://{place.rpartition('@')[2]}"


def _needs_client() -> None:
    try:
        import clickhouse_connect  # noqa: F401
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "clickhouse_connect":
            raise
        raise StoreError("ClickHouse needs its client: pip install 'becausal[clickhouse]'") from missing


def _secrets_of(values: Iterable[str]) -> Iterator[str]:
    """Yield what may be a secret of a URL's parameters: a token, a proxy's password; no figure, and no switch."""
    for value in values:
        if len(value) >= LEAST_SECRET and not value.isdecimal():
            yield value
            yield from re.findall(r"://[^/@]*:([^/]+)@", value)


def _has_port(parts: SplitResult) -> bool:
    """Return whether the port, where there is one, is a number."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _nothing(shown: str) -> StoreError:
    return StoreError(f"{shown}: nothing has been exported to it yet; becausal export all --to URL does it")


def _few(values: Sequence[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    return (ordered[start : start + VALUES_AT_ONCE] for start in range(0, len(ordered), VALUES_AT_ONCE))
