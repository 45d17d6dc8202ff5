"""The bytes of a cassette: a signature, a header, sections, and a digest over all of it.

Format 1, numbers big-endian:

    13 bytes   signature: 89 "becausal" 0D 0A 1A 0A
     2 bytes   number of the format
     4 bytes   length of the header
     …         header: JSON, UTF-8, keys sorted
     …         the sections, one behind the other, in the order in which the header lists them
    32 bytes   SHA-256 of everything before

The header: `{"chain_id": …, "sections": [{"name", "codec", "stored", "size", "sha256"}, …], "written_by": …}`.
`codec` is `plain` or `zstd` (one frame); `stored` counts the bytes in the file, `size` those of the content, whose
SHA-256 stands beside it. A reader passes over sections that it does not know.

The signature is built like PNG's: a transfer that changes line ends or cuts off the eighth bit breaks it visibly.
Signature, number and final digest stand where they stand in every format, so that a newer file is told from a damaged
one. The digests show accidents; they do not show who wrote the file.

Nothing is believed before it is verified: first the final digest, then each declared size against what is there.
A section is unpacked up to its declared size and not a byte further, and all of them together up to `max_bytes`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zstandard

from becausal.errors import CassetteError

__all__ = [
    "FORMAT",
    "MAX_BYTES",
    "SIGNATURE",
    "SUFFIX",
    "Container",
    "is_cassette",
    "pack",
    "read",
    "replace",
]

SIGNATURE = b"\x89becausal\r\n\x1a\n"

SQLITE = b"SQLite format 3\x00"
"""How a store begins."""

FORMAT = 1
"""A file with a higher number is refused; every lower one is read for ever."""

SUFFIX = ".becausal"

MAX_BYTES = 1 << 30
"""What a cassette may hold when it is unpacked, unless its reader allows more."""

LEVEL = 9
"""Of zstandard. A cassette is written once."""

WINDOW = 1 << 27
"""Bytes that a zstandard frame may make its reader hold, at most."""

PIECE = 1 << 20

HEAD = len(SIGNATURE) + 2 + 4
DIGEST = 32


@dataclass(frozen=True, slots=True)
class Container:
    """What is in a file, unpacked and verified."""

    chain_id: str
    written_by: str
    """`becausal` and its version."""
    sections: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    codec: str
    stored: int
    size: int
    sha256: str


def pack(container: Container) -> bytes:
    """Return a file's bytes: the same for the same content, wherever zstandard is of the same version."""
    stored: list[bytes] = []
    listed: list[dict[str, str | int]] = []
    for name, content in container.sections.items():
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(content)
        codec, data = ("zstd", packed) if len(packed) < len(content) else ("plain", content)
        stored.append(data)
        digest = hashlib.sha256(content).hexdigest()
        listed.append(
            {"name": name, "codec": codec, "stored": len(data), "size": len(content), "sha256": digest}
        )
    said = {"chain_id": container.chain_id, "written_by": container.written_by, "sections": listed}
    header = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    whole = b"".join((SIGNATURE, FORMAT.to_bytes(2, "big"), len(header).to_bytes(4, "big"), header, *stored))
    return whole + hashlib.sha256(whole).digest()


def is_cassette(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is to be taken for a cassette's: by the file's first bytes or, damaged as it may be, by its
    name."""
    file = Path(path).expanduser()
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return False
        with file.open("rb") as opened:
            begins = opened.read(len(SQLITE))
    except FileNotFoundError:
        return file.suffix == SUFFIX
    except (OSError, ValueError):
        return False
    return begins.startswith(SIGNATURE) or (file.suffix == SUFFIX and begins != SQLITE)


def read(path: Path, max_bytes: int = MAX_BYTES) -> Container:
    """Return what is in a file.

    Raises:
        CassetteError: it cannot be read, is no cassette, is damaged, cut off, too large, or of a newer format.
    """
    data = _bytes_of(path, max_bytes)
    _check_signature(path, data)
    number = int.from_bytes(data[len(SIGNATURE) : len(SIGNATURE) + 2], "big")
    is_whole = len(data) >= HEAD + DIGEST and hashlib.sha256(data[:-DIGEST]).digest() == data[-DIGEST:]
    if number > FORMAT and is_whole:
        raise CassetteError(
            f"{path} was written by a newer becausal (format {number}); this one reads up to {FORMAT}: "
            "pip install -U becausal"
        )
    if not is_whole:
        raise CassetteError(
            f"{path} is damaged: {_damage(data, max_bytes)}. Copy it again, or export the run again"
        )
    try:
        return _unpacked(data, max_bytes)
    except _TooLargeError as failure:
        raise CassetteError(
            f"{path} holds {failure} bytes, more than the {max_bytes} that are allowed; "
            "if you trust it, allow more with max_bytes"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError, zstandard.ZstdError, MemoryError) as failure:
        # The digest is right: so this was not an accident of its way here.
        raise CassetteError(f"{path} was not written by becausal as it stands: {failure}") from failure


def replace(path: Path, data: bytes) -> None:
    """Write a file, for its owner alone; whole or not at all. A cassette that is there is replaced.

    Raises:
        CassetteError: it cannot be written, or something else is there.
    """
    if path.exists() and not is_cassette(path):
        raise CassetteError(f"{path} is there, and is no cassette; name another file")
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as failure:
        raise CassetteError(
            f"cannot write {path}: {failure.strerror}; name a file in a folder that is there"
        ) from failure
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
        os.replace(temporary, path)
    except OSError as failure:
        raise CassetteError(f"cannot write {path}: {failure.strerror}; name another file") from failure
    finally:
        with suppress(OSError):  # it is gone when all went well
            os.unlink(temporary)


# Inside


class _TooLargeError(Exception):
    pass


def _bytes_of(path: Path, max_bytes: int) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise CassetteError(f"{path} is no file; name a cassette")
        if found.st_size > max_bytes:
            raise CassetteError(
                f"{path} has {found.st_size} bytes, more than the {max_bytes} that are allowed; "
                "if you trust it, allow more with max_bytes"
            )
        with path.open("rb") as opened:
            return opened.read(found.st_size + 1)
    except FileNotFoundError as failure:
        raise CassetteError(f"{path} does not exist; `becausal export RUN -o {path}` makes one") from failure
    except OSError as failure:
        if isinstance(failure, CassetteError):
            raise
        raise CassetteError(
            f"cannot read {path}: {failure.strerror}; name a file that this user may read"
        ) from failure


def _check_signature(path: Path, data: bytes) -> None:
    begins = data[: len(SIGNATURE)]
    if begins == SIGNATURE:
        return
    if len(data) < len(SIGNATURE) and SIGNATURE.startswith(data):
        raise CassetteError(
            f"{path} is cut off: it has {len(data)} bytes. Copy it again, or export the run again"
        )
    if begins[1:9] == SIGNATURE[1:9]:
        raise CassetteError(
            f"{path} was changed on its way, as by a transfer that converts line ends; copy it as a binary file "
            f"(git: `*{SUFFIX} binary` in .gitattributes)"
        )
    if data.startswith(SQLITE):
        raise CassetteError(
            f"{path} is a database, not a cassette. If it is a store, read it with becausal.open or --store, and "
            "write a run of it to a cassette with `becausal export`"
        )
    raise CassetteError(f"{path} is no cassette of becausal; `becausal export RUN -o FILE` makes one")


def _damage(data: bytes, max_bytes: int) -> str:
    """Say what is wrong with bytes that the final digest does not fit."""
    if len(data) < HEAD + DIGEST:
        return f"it is cut off at {len(data)} bytes"
    number = int.from_bytes(data[len(SIGNATURE) : len(SIGNATURE) + 2], "big")
    if number != FORMAT:
        return f"its bytes do not fit its digest (and its format would be {number})"
    try:
        sections, start = _header(data)[1:]
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"its header is cut off, at {len(data)} bytes, or not what was written"
    whole = start + sum(section.stored for section in sections) + DIGEST
    if len(data) < whole:
        return f"it is cut off, {len(data)} of {whole} bytes are there"
    if len(data) > whole:
        return f"{len(data) - whole} bytes too many are there"
    for section in sections:
        try:
            if section.size > max_bytes:
                return "its header is not what was written"
            _content(section, data[start : start + section.stored])
        except (ValueError, zstandard.ZstdError):
            return f"its section {section.name!r} is not what was written"
        start += section.stored
    return "its bytes do not fit its digest"


def _unpacked(data: bytes, max_bytes: int) -> Container:
    header, sections, start = _header(data)
    declared = sum(section.size for section in sections)
    if declared > max_bytes:
        raise _TooLargeError(declared)
    if start + sum(section.stored for section in sections) + DIGEST != len(data):
        raise ValueError("the sections do not fill the file")
    contents: dict[str, bytes] = {}
    for section in sections:
        if section.name in contents:
            raise ValueError(f"there are two sections {section.name!r}")
        contents[section.name] = _content(section, data[start : start + section.stored])
        start += section.stored
    return Container(_text(header["chain_id"]), _text(header["written_by"]), contents)


def _header(data: bytes) -> tuple[dict[str, object], list[_Section], int]:
    """Return the header, what it lists, and where the first section begins."""
    start = HEAD + int.from_bytes(data[HEAD - 4 : HEAD], "big")
    if start + DIGEST > len(data):
        raise ValueError("the header is longer than the file")
    header = json.loads(data[HEAD:start])
    if not isinstance(header, dict) or not isinstance(header["sections"], list):
        raise ValueError("the header is no header")
    sections = [
        _Section(
            _text(one["name"]),
            _text(one["codec"]),
            _count(one["stored"]),
            _count(one["size"]),
            _text(one["sha256"]),
        )
        for one in header["sections"]
    ]
    return header, sections, start


def _content(section: _Section, data: bytes) -> bytes:
    if section.codec == "plain":
        content = data
    elif section.codec == "zstd":
        content = _unpacked_up_to(section.size, data)
    else:
        raise ValueError(f"the section {section.name!r} is packed as {section.codec!r}, which is unknown")
    if len(content) != section.size or hashlib.sha256(content).hexdigest() != section.sha256:
        raise ValueError(f"the section {section.name!r} is not what its header says")
    return content


def _unpacked_up_to(size: int, data: bytes) -> bytes:
    """Return a frame's content; of one that holds more than so many bytes, a piece that is too long."""
    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(io.BytesIO(data))
    content = bytearray()
    # In pieces: what is set aside depends on what is there, not on what a header says.
    while len(content) <= size and (piece := reader.read(PIECE)):
        content += piece
    return bytes(content)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} is no count")
    return value
