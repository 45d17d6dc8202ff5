"""A server on loopback that takes everything that is posted to it, and counts the bytes.

    python -m benchmarks.sink PORT_FILE     binds a free port and writes it there

GET /__stats__     {"requests": n, "bytes": n, "decoded_bytes": n}
GET /__reset__     zero the counts
GET /__decode__    from now on count decompressed bytes too (it takes processor time, so not while something is timed)
GET /__nodecode__  no more
GET /info          what the LangSmith client asks before it sends in batches
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import zstandard

INFO = {
    "version": "0.10.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20971520,
    },
    "instance_flags": {"zstd_compression_enabled": True},
}


@dataclass(slots=True)
class Stats:
    """What came."""

    requests: int = 0
    bytes: int = 0
    decoded_bytes: int = 0


class Sink:
    """Takes requests, kept alive or not."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.decodes = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take requests until the client has no more."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"expect: 100-continue" in head:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                kind, out = self.answer(head, await body_of(reader, head))
                size = len(out)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, size, out)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        """Return the type and the body of what a request is answered."""
        path = head.split(b" ", 2)[1]
        kind = b"application/json"
        if path == b"/__stats__":
            return kind, json.dumps(asdict(self.stats)).encode()
        if path == b"/__reset__":
            self.stats = Stats()
        elif path in (b"/__decode__", b"/__nodecode__"):
            self.decodes = path == b"/__decode__"
        elif path.endswith(b"/info"):
            return kind, json.dumps(INFO).encode()
        else:
            self.stats.requests += 1
            self.stats.bytes += len(body)
            self.stats.decoded_bytes += decoded(head, body) if self.decodes else 0
            if b"protobuf" in head:
                return b"application/x-protobuf", b""
        return kind, b"{}"


async def body_of(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Return a request's body."""
    if b"transfer-encoding: chunked" in head:
        chunks = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            chunks.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return b"".join(chunks)
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.split(b":")[1]))
    return b""


def decoded(head: bytes, body: bytes) -> int:
    """Return how many bytes a body has when it is decompressed."""
    if b"content-encoding: gzip" in head:
        return len(gzip.decompress(body))
    if b"content-encoding: zstd" in head:
        return sum(len(chunk) for chunk in zstandard.ZstdDecompressor().read_to_iter(body))
    return len(body)


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(Sink().serve, "127.0.0.1", 0, limit=1 << 20)
    Path(sys.argv[1]).write_text(str(server.sockets[0].getsockname()[1]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
