"""Every kind of secret in every place: `python -m tests.redaction`. Some minutes."""

from __future__ import annotations

import os
import sys

import pytest

if __name__ == "__main__":
    os.environ["BECAUSAL_PLANT_ALL"] = "1"
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/redaction", *sys.argv[1:]]))
