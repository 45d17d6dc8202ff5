"""A connection to PostgreSQL: how it is opened, what texts look like there, and what is said when it fails.

PostgreSQL's texts hold every character but NUL, and the app's may hold that too. So one character of the private
use area stands for itself and for it, each followed by a digit; it is put in and taken out where texts cross the wire,
and nowhere else.

Source: postgresql.org/docs/current/libpq-connect.html; errcodes-appendix.html.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg import conninfo
from psycopg.types.string import StrBinaryDumper, StrDumper, TextBinaryLoader, TextLoader

from becausal.errors import StoreError
from becausal.settings import HIDDEN, shown_url

__all__ = ["DEFAULT_SCHEMA", "LEAST_SERVER", "Connection", "Place", "connect", "explained", "is_conflict"]

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

LEAST_SERVER: Final = 140_000
"""The oldest server, as libpq tells versions: 14.0. Older ones get no repairs any more."""

DEFAULT_SCHEMA: Final = "becausal"

PASSWORDS: dict[str, str] = {}
"""What this process has opened, by what it is shown as: a store tells its URL without the password, and whoever
opens it again by that gets there."""

UNLESS_SAID: Final = {
    "application_name": "becausal",
    "connect_timeout": "5",
    # A server that is gone without a word is noticed in half a minute, not in two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class Place:
    """Where a store is: a server, a database, and a schema in it that is becausal's alone."""

    def __init__(self, url: str) -> None:
        """Read a URL: libpq's own, and beside libpq's parameters `schema=NAME`.

        Raises:
            StoreError: it means nothing; says what is wrong with it, without the password.
        """
        self.shown = shown_url(url)
        if HIDDEN in url:
            url = PASSWORDS.get(url, url)
        PASSWORDS[self.shown] = url
        base, mark, query = url.partition("?")
        told = parse_qsl(query, keep_blank_values=True)
        self.schema: str = next((value for key, value in told if key == "schema"), DEFAULT_SCHEMA)
        rest = urlencode([(key, value) for key, value in told if key != "schema"], quote_via=quote)
        try:
            said = conninfo.conninfo_to_dict(base + (mark and rest and f"?{rest}"))
        except psycopg.ProgrammingError as failure:
            # Not chained: libpq repeats what it was given, a password too.
            why = "" if HIDDEN in self.shown else f" ({str(failure).strip()})"
            raise StoreError(
                f"{self.shown} is no URL of a PostgreSQL database{why}; write "
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, odd characters of a password as %40"
            ) from None
        self.parameters: dict[str, Any] = {**UNLESS_SAID, **said, "client_encoding": "UTF8"}
        if not self.schema or "\0" in self.schema:
            raise StoreError(f"{self.shown} names no schema; write schema=NAME, or leave it out")


def connect(place: Place, *, read_only: bool) -> Connection:
    """Return a connection in autocommit mode, whose texts may hold NUL.

    Raises:
        psycopg.Error: the server cannot be reached, or does not let us in.
        StoreError: the server is too old, or the database cannot hold every text.
    """
    connection = psycopg.connect(**place.parameters, autocommit=True)
    try:
        about = connection.info
        if about.server_version < LEAST_SERVER:
            raise StoreError(
                f"{place.shown}: the server is PostgreSQL {about.server_version // 10_000}; becausal needs "
                f"{LEAST_SERVER // 10_000} or later: upgrade the server, or use another store"
            )
        if (encoding := about.parameter_status("server_encoding")) != "UTF8":
            raise StoreError(
                f"{place.shown}: the database is encoded in {encoding}, which cannot hold every text; "
                "make one with: createdb --encoding=UTF8 --template=template0 NAME"
            )
        for dumper in (_Dumper, _BinaryDumper):  # texts in lists go as text
            connection.adapters.register_dumper(str, dumper)
        connection.adapters.register_loader("text", _Loader)
        connection.adapters.register_loader("text", _BinaryLoader)
        settings = {
            "search_path": '"' + place.schema.replace('"', '""') + '"',
            "jit": "off",  # compiling a query takes longer than any of ours
            "default_transaction_read_only": "on" if read_only else "off",
        }
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    except BaseException:
        connection.close()
        raise
    return connection


# Texts.

MARK: Final = "\uf8f0"


class _Dumper(StrDumper):
    def dump(self, obj: str) -> Any:
        return super().dump(_marked(obj))


class _BinaryDumper(StrBinaryDumper):
    def dump(self, obj: str) -> Any:
        return super().dump(_marked(obj))


class _Loader(TextLoader):
    def load(self, data: Any) -> Any:
        return _unmarked(super().load(data))


class _BinaryLoader(TextBinaryLoader):
    def load(self, data: Any) -> Any:
        return _unmarked(super().load(data))


def _marked(text: str) -> str:
    if "\0" in text or MARK in text:
        return text.replace(MARK, f"{MARK}1").replace("\0", f"{MARK}0")
    return text


def _unmarked(text: Any) -> Any:
    return text.replace(f"{MARK}0", "\0").replace(f"{MARK}1", MARK) if MARK in text else text


# Failures.

ADVICE: Final = (
    ("28", "see that user and password are right (in the URL, in PGPASSWORD, or in ~/.pgpass)"),
    ("3D000", "make the database first: createdb NAME, or CREATE DATABASE NAME"),
    (
        "42501",
        "the role needs rights: GRANT ALL ON SCHEMA {schema} and on its tables; `docs/stores.md` has the list",
    ),
    ("25006", "the server or the role may only read: connect to the primary, as a role that may write"),
    ("53100", "the server's disk is full; make room, or `becausal prune`"),
    ("53300", "the server has no connection left: raise max_connections, or put a pooler before it"),
    ("57P03", "the server is starting up or shutting down; it is tried again"),
    ("57P", "the server was stopped; it is tried again when the next batch comes"),
    ("42P01", "tables are missing: open the store once as a role that may make them"),
    ("08", "see that the server is running, and that host and port are right"),
)

# A refused login has no code, only a text.
WORDS: Final = (
    ("password", "28"),
    ("authentication", "28"),
    ("pg_hba", "28"),
    ("role", "28"),
    ("does not exist", "3D000"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("too many", "53300"),
    ("remaining connection slots", "53300"),
)


def explained(failure: Exception, place: Place, doing: str) -> StoreError:
    """Return the error that says what was being done, where, why it failed, and what to do about it."""
    code = getattr(failure, "sqlstate", None)
    text = str(failure).strip().split("\n")[0]
    if password := place.parameters.get("password"):
        text = text.replace(str(password), HIDDEN)
    if code is None and isinstance(failure, psycopg.OperationalError):
        code = next((code for word, code in WORDS if word in text), "08")
    advice = next((advice for begin, advice in ADVICE if (code or "").startswith(begin)), "")
    advice = advice.format(schema=place.schema)
    return StoreError(f"{place.shown}: {doing} failed ({text})" + (f"; {advice}" if advice else ""))


def is_conflict(failure: Exception) -> bool:
    """Return whether a transaction failed for what another one did meanwhile: it is to be tried again."""
    return isinstance(
        failure,
        psycopg.errors.SerializationFailure
        | psycopg.errors.DeadlockDetected
        | psycopg.errors.UniqueViolation,
    )
