"""Names without their words: what stands for a record of a memory where no content may be kept.

Labels and keys are the app's data, such as a user's id. What stands for one is made under the key of the installation's
markers (see `becausal.redaction.marker`): the same in all its processes, and nobody without the key can try names.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from becausal.redaction.marker import Marking

__all__ = ["hidden_name", "hidden_names", "met", "name_for"]

_markings: dict[Path | None, Marking] = {None: Marking(None)}
"""By the folders of the keys; None: of what has no place for one."""
_folder: Path | None = None


def met(folder: Path | None) -> None:
    """Note where the key of a store lies that this process has opened."""
    if folder not in _markings:
        _markings[folder] = Marking(folder)


def name_for(folder: Path | None) -> None:
    """Have the names of what is recorded from now on made under the key of a folder."""
    global _folder
    met(folder)
    _folder = folder


def hidden_name(name: str) -> str:
    """Return what stands for a record's name in what this process records.

    Each part between slashes has twelve hexadecimal digits: `#3f0c… / #91be…`.
    """
    return _hidden(name, _markings[_folder].key)


def hidden_names(name: str) -> tuple[str, ...]:
    """Return what may stand for a name in the stores that this process has opened. No key is made for that."""
    keys = dict.fromkeys(marking.known_key for marking in list(_markings.values()))
    return tuple(_hidden(name, key) for key in keys if key is not None)


def _hidden(name: str, key: bytes) -> str:
    labels = (
        hmac.new(key, b"name:" + part.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:12]
        for part in name.split("/")
    )
    return "/".join(f"#{label}" for label in labels)
