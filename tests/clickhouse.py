"""ClickHouse's HTTP interface, as far as its client uses it, before the engine in this process (chDB).

No server can be had as a package. So this stands between the real client and the real engine: logins, databases,
parameters, settings, compressed inserts and errors go over a socket as they do to a server.

Source: clickhouse.com/docs/interfaces/http.
"""

from __future__ import annotations

import base64
import email
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

__all__ = ["PASSWORD", "serving"]

PASSWORD = "p@ss:w/rd?%"
"""With what a URL holds only in a roundabout way."""

TRANSPORT = {
    "database",
    "query",
    "query_id",
    "wait_end_of_query",
    "client_protocol_version",
    "enable_http_compression",
}
TRANSPORT |= {"send_progress_in_http_headers", "http_headers_progress_interval_ms"}
"""Parameters that are no settings of the engine."""


class _Refused(Exception):
    def __init__(self, code: int, says: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {says}")
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Any
    lock: threading.Lock
    asked: list[dict[str, str]]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") != "chunked":
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            return
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        self._answer(b"".join(pieces))

    def _answer(self, body: bytes) -> None:
        import chdb

        try:
            login = self.headers.get("Authorization", "").removeprefix("Basic ")
            if base64.b64decode(login).decode() != f"recorder:{PASSWORD}":
                raise _Refused(516, "recorder: Authentication failed (AUTHENTICATION_FAILED)")
            if self.headers.get("Content-Encoding") == "lz4":
                import lz4.frame

                body = lz4.frame.decompress(body)
            with self.lock:
                said = self._asked(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)), body)
            self._send(200, said, {})
        except (_Refused, chdb.ChdbError, RuntimeError) as failure:
            code = re.search(r"Code: (\d+)", str(failure))
            self._send(
                500, str(failure).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1000"}
            )

    def _asked(self, told: dict[str, str], body: bytes) -> bytes:
        self.asked.append(told)
        if "multipart/form-data" in (kind := self.headers.get("Content-Type", "")):
            told |= dict(_fields(kind, body))
            body = b""
        values = {
            name.removeprefix("param_"): value for name, value in told.items() if name.startswith("param_")
        }
        settings = {
            name: value
            for name, value in told.items()
            if name not in TRANSPORT and not name.startswith("param_")
        }
        database = told.get("database", "default")
        self.engine.query(f"USE {database}")
        for name, value in settings.items():
            self.engine.query(f"SET {name} = '{value}'")
        statement, _, block = body.partition(b" FORMAT Native\n")
        if statement.upper().startswith(b"INSERT INTO") and block:
            with tempfile.NamedTemporaryFile(suffix=".native") as file:
                file.write(block)
                file.flush()
                self.engine.query(f"{statement.decode()} FROM INFILE '{file.name}' FORMAT Native")
            return b""
        query = (told.get("query", "") + body.decode()).rstrip()
        found = re.search(r"\s+FORMAT\s+(\w+)$", query)
        asked = told["statement"] = query[: found.start()] if found else query
        return bytes(
            self.engine.query(asked, found[1] if found else "TabSeparated", params=values).bytes() or b""
        )

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "X-ClickHouse-Format": "TabSeparated",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _fields(kind: str, body: bytes) -> Iterator[tuple[str, str]]:
    for part in email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            said = part.get_payload(decode=True)
            yield name, said.decode() if isinstance(said, bytes) else ""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Give the URL of a server over a folder, without a database, and what it was asked: the parameters of each."""
    import chdb

    connect: Any = chdb.connect
    engine, asked = connect(str(folder)), list[dict[str, str]]()
    made = type("Handler", (_Handler,), {"engine": engine, "lock": threading.Lock(), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"clickhouse://recorder:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        engine.close()
