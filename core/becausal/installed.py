"""Which version of a distribution is installed.

`importlib.metadata.version` parses all of a distribution's metadata as an e-mail, its README included: a millisecond
for each framework, at every start of an app.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["installed_version", "name_of", "own_version"]

_NAME = re.compile(r"^Name:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_VERSION = re.compile(r"^Version:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)


def installed_version(name: str) -> str | None:
    """Return the version of a distribution; None where it is not installed."""
    # Here: it brings zipfile, email and socket, which `import becausal` need not wait for.
    from importlib import metadata

    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    said = _VERSION.search(found.read_text("METADATA") or "")
    return found.version if said is None else said[1]


@functools.cache
def own_version() -> str | None:
    """Return the version of becausal; None where it is run from its source, without being installed."""
    return installed_version("becausal")


def name_of(distribution: Distribution) -> str | None:
    """Return the name of a distribution; None where it says none."""
    said = _NAME.search(distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "")
    return None if said is None else said[1]
