"""`python -m becausal` is the command `becausal`."""

from __future__ import annotations

import sys

from becausal.cli import main

sys.exit(main())
