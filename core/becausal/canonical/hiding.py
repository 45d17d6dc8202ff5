"""Names without their words: what stands for a record of a memory where no content may be kept."""

from __future__ import annotations

import hashlib

__all__ = ["hidden_name"]


def hidden_name(name: str) -> str:
    """Return a record's name without its words: labels and keys are the app's data, such as a user's id.

    Each part between slashes has twelve hexadecimal digits, the same in every process: `#3f0c… / #91be…`.
    """
    labels = (hashlib.blake2s(part.encode("utf-8", "replace"), digest_size=6) for part in name.split("/"))
    return "/".join(f"#{label.hexdigest()}" for label in labels)
