"""What every store of ours writes the same way: ids, texts, JSON and bodies, to and fro; pure, and without a database.

Ids of 16 hexadecimal digits become signed 64-bit integers. Attributes and choices are JSON, which a database's shell
can read too; None when there are none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import zstandard

from becausal import canonical
from becausal.payload import Bodies, Payload
from becausal.step import Attribute, Cause, Choice

__all__ = [
    "BLOCK",
    "BLOCKS",
    "PACKED",
    "PLAIN",
    "SHAPED",
    "ZSTD",
    "Packed",
    "Packer",
    "attributes_of",
    "cause_of",
    "choices_of",
    "choices_text",
    "encodable",
    "json_text",
    "number_of",
    "payload_of",
    "shapes",
    "signed",
    "step_id_of",
    "unpack",
]

DIGEST_SIZE = 16
"""Bytes of a content's digest."""

PLAIN = 0
"""Codec: the bytes as they are."""
ZSTD = 1
"""Codec: one zstandard frame."""
BLOCKS = 2
"""Codec: the digests of the blocks that a large body is made of (see `becausal.store.blocks`)."""
SHAPED = 3
"""Codec: one zstandard frame by the dictionary of `shapes`."""
PACKED = 4
"""Codec: where in which pack the body is, in a file (see `becausal.store.sqlite.packs`)."""
BLOCK = 16
"""What is added to the codec of a block, so that nobody takes it for a body."""

WORTH_COMPRESSING = 100
"""Below this, the call costs more than it saves."""

LEVEL = 3

MOST_TIMES = 128 << 10
"""No frame holds so many times its own bytes: a block, of 128 KB at most, takes more than one."""

SHAPED_BELOW = 2 << 10
"""A body of so many bytes has more to learn from than a dictionary."""

Packed = tuple[int, int, bytes]
"""A body as it is stored: size, codec, data."""

LONG = 64 << 10
"""In so many bytes matches of four are as often chance as not; it takes no longer not to look for them."""

_LONG = zstandard.ZstdCompressionParameters.from_level(LEVEL, source_size=256 << 10, min_match=5)

# Attributes should be of the types in `Attribute`. One that is not becomes its text, rather than costing
# the batch that it is in. ASCII, so that lone surrogates and NUL pass. No NaN: that is Python's own word, and
# what joins two processes' words on a step reads the JSON of everybody else.
_strict: Callable[[object], str] = json.JSONEncoder(
    separators=(",", ":"), default=str, allow_nan=False
).encode

# `encode` makes the C encoder anew at each call, which takes longer than its work on a few attributes.
_make = getattr(json.encoder, "c_make_encoder", None)
_encode = _make and _make(
    None, str, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
)


_read = json.JSONDecoder().raw_decode


def json_text(value: object) -> str:
    """Return data as JSON; what JSON has no word for becomes its text."""
    try:
        return _strict(value) if _encode is None else "".join(_encode(value, 0))
    except ValueError:
        return _strict(_finite(value))


def _finite(value: object) -> object:
    """Return data in which a number that is none (`nan`, `inf`) is its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def number_of(step_id: str) -> int:
    """Return a step id as a signed 64-bit integer."""
    number = int(step_id, 16)
    return number - (1 << 64) if number >> 63 else number  # as `signed`, which every step would have to call


def step_id_of(number: int) -> str:
    """Return the step id that a signed 64-bit integer stands for."""
    return f"{number & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def encodable(text: str) -> str:
    """Return a text with its lone surrogates escaped; a database's texts are UTF-8, which has none."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def shapes() -> zstandard.ZstdCompressionDict:
    """Return what small bodies have in common: the words of messages, and how often letters come.

    By it they take half the time and three quarters of the space. It holds nothing of any user's, and never changes:
    stores hold what was compressed by it. `python -m benchmarks.shapes` made it.
    """
    made = zstandard.ZstdCompressionDict(Path(__file__).with_name("shapes.zdict").read_bytes())
    made.precompute_compress(level=LEVEL)
    return made


class Packer:
    """Compresses bodies; for one thread at a time."""

    def __init__(self) -> None:
        self._whole = zstandard.ZstdCompressor(level=LEVEL)
        self._long = zstandard.ZstdCompressor(compression_params=_LONG)
        self._shaped = zstandard.ZstdCompressor(level=LEVEL, dict_data=shapes(), write_dict_id=False)

    def pack(self, body: bytes) -> Packed:
        """Return a body's size, codec and data."""
        size = len(body)
        if size >= WORTH_COMPRESSING:
            codec, compressor = (SHAPED, self._shaped) if size < SHAPED_BELOW else (ZSTD, self._whole)
            packed = (compressor if size < LONG else self._long).compress(body)
            if len(packed) < size:
                return size, codec, packed
        return size, PLAIN, body


def unpack(codec: int, data: bytes) -> bytes:
    """Return a body that is no list of blocks, or a block.

    Raises:
        zstandard.ZstdError: the data is damaged.
    """
    kind = codec % BLOCK
    if kind not in (SHAPED, ZSTD):
        return data
    if zstandard.frame_content_size(data) > MOST_TIMES * len(data):  # else so much memory would be asked for
        raise zstandard.ZstdError("it says that it holds more than it can")
    if kind == SHAPED:
        return zstandard.ZstdDecompressor(dict_data=shapes()).decompress(data)
    return zstandard.ZstdDecompressor().decompress(data)


def cause_of(source: int, kind: str, grade: str, evidence: str) -> Cause:
    """Return the cause of a row of the table `causes`."""
    return Cause(step_id_of(source), kind, grade, evidence)  # type: ignore[arg-type]


def payload_of(
    digest: bytes,
    belief: bytes | None,
    size: int | None,
    type_name: str | None,
    lossy: str | None,
    bodies: Bodies,
) -> Payload:
    """Return the payload of a row of the table `blobs`.

    Raises:
        ValueError: it is not what was written.
    """
    if len(digest) != DIGEST_SIZE or size is None or type_name is None:
        raise ValueError("nothing is said of a content")
    text = canonical.digest_text(digest)
    return Payload(
        digest=text,
        belief=text if belief is None else canonical.digest_text(belief),
        size=size,
        type_name=type_name,
        lossy=tuple((path, why) for path, why in json.loads(lossy)) if lossy else (),
        bodies=bodies,
    )


def attributes_of(text: str | None) -> dict[str, Attribute]:
    """Return attributes as they were written: JSON's lists were tuples."""
    if text is None:
        return {}
    # As `json.loads`, but for the white space that nobody wrote around it: each step of a run is read by this.
    attributes, end = _read(text)
    if end != len(text):
        raise ValueError(f"attributes followed by {text[end : end + 20]!r}")
    if "[" in text:
        for key, value in attributes.items():
            if isinstance(value, list):
                attributes[key] = tuple(value)
    found: dict[str, Attribute] = attributes
    return found


def choices_of(text: str | None) -> tuple[Choice, ...]:
    """Return choices as they were written."""
    if text is None:
        return ()
    return tuple(
        Choice(conclusion, tuple(premises), reason, score, method)
        for conclusion, premises, reason, score, method in json.loads(text)
    )


def choices_text(choices: Sequence[Choice]) -> str | None:
    """Return choices as they are written; None where there are none."""
    if not choices:
        return None
    return json_text([(c.conclusion, c.premises, c.reason, c.score, c.method) for c in choices])


def signed(number: int) -> int:
    """Return an unsigned 64-bit integer as the signed one of the same bits."""
    return number - (1 << 64) if number >> 63 else number
