"""What stands in a secret's place: `[redacted:api_key:9f3a61c2]`.

The eight digits are of an HMAC-SHA256 under a key of this installation: one secret has one marker, so that content can
be followed without it, and nobody without the key can try guesses against it. The key is `BECAUSAL_REDACTION_KEY`, else
a file beside the store that its owner alone can read, made when the first secret is met. What such a file says, 64
hexadecimal digits, the variable may say as well, and is the same key; any other text is one of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from becausal.settings import DEFAULT_STORE

__all__ = ["KEY_FILE", "KEY_VARIABLE", "MARKER", "Marking", "markers_in"]

KEY_FILE: Final = "redaction.key"
KEY_VARIABLE: Final = "BECAUSAL_REDACTION_KEY"
MARKER: Final = re.compile(r"\[redacted:([a-z_]{1,32}):([0-9a-f]{8})\]")


class Marking:
    """Makes markers."""

    def __init__(self, folder: Path | None, environ: Mapping[str, str] = os.environ) -> None:
        """Make one.

        Args:
            folder: where the key's file is or will be; None: a key of this process's own.
        """
        self._folder = folder
        self._making = threading.Lock()
        given = environ.get(KEY_VARIABLE)
        self._key = (_key_in(given) or given.encode("utf-8", "surrogateescape")) if given else None

    def marker(self, kind: str, secret: bytes) -> str:
        """Return what stands for a secret."""
        # A key of several lines is the same in JSON, where its ends of lines are written out.
        said = secret.replace(b"\\n", b"\n").replace(b"\\r", b"").replace(b"\r", b"")
        return f"[redacted:{kind}:{hmac.new(self.key, said, hashlib.sha256).hexdigest()[:8]}]"

    @property
    def key_id(self) -> str | None:
        """What tells this key from others, and nothing of it; None while no secret was met."""
        if self._key is None:
            return None
        return hmac.new(self._key, b"becausal: which key this is", hashlib.sha256).hexdigest()[:8]

    @property
    def key(self) -> bytes:
        """The key, made if there is none yet."""
        if self._key is None:
            with self._making:  # else of two threads each would mark with a key of its own
                if self._key is None:
                    self._key = secrets.token_bytes(32) if self._folder is None else _kept_key(self._folder)
        return self._key

    @property
    def known_key(self) -> bytes | None:
        """The key, if there is one by now; none is made."""
        if self._key is None and self._folder is not None:
            self._key = _read_key(self._folder / KEY_FILE)
        return self._key


def markers_in(text: str) -> list[str]:
    """Return the markers in a text, in its order, each as often as it stands there."""
    return [found.group() for found in MARKER.finditer(text)]


def _kept_key(folder: Path) -> bytes:
    """Return the key of an installation; where no file can be made or read, one of this process's own."""
    fresh = secrets.token_bytes(32)
    path = folder / KEY_FILE
    with contextlib.suppress(OSError):
        if not folder.exists():  # as a store's file makes it
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.name == Path(DEFAULT_STORE.removeprefix("sqlite:///")).parent.name:
                (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        # Written whole under a name of its own, then linked: whoever reads the file sees all of a key.
        made = folder / f".{KEY_FILE}.{secrets.token_hex(8)}"
        try:
            with open(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(fresh.hex().encode())
            with contextlib.suppress(FileExistsError):
                os.link(made, path)
        finally:
            made.unlink(missing_ok=True)
    return _read_key(path) or fresh


def _read_key(path: Path) -> bytes | None:
    with contextlib.suppress(OSError, ValueError):
        return _key_in(path.read_text("ascii"))
    return None


def _key_in(text: str) -> bytes | None:
    """Return the key that a file's text says; None where it is no such text."""
    said = text.strip()
    return bytes.fromhex(said) if re.fullmatch(r"[0-9A-Fa-f]{64}", said) else None
