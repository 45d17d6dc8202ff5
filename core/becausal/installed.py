"""Which version of a distribution is installed.

`importlib.metadata.version` parses all of a distribution's metadata as an e-mail, its README included: a millisecond
for each framework, at every start of an app.
"""

from __future__ import annotations

import re

__all__ = ["installed_version"]

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
