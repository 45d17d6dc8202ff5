"""Prints the SQL that makes a store's tables, for those who make tables themselves.

python -m becausal.store.postgres --schema becausal | psql DATABASE
python -m becausal.store.postgres --citus | psql DATABASE        # spread over a Citus cluster
"""

from __future__ import annotations

import argparse
import sys

from becausal.store.postgres.connecting import DEFAULT_SCHEMA
from becausal.store.postgres.schema import script

form = argparse.RawDescriptionHelpFormatter
parser = argparse.ArgumentParser(
    prog="python -m becausal.store.postgres", description=__doc__, formatter_class=form
)
parser.add_argument("--schema", default=DEFAULT_SCHEMA, help=f"the schema (default: {DEFAULT_SCHEMA})")
parser.add_argument(
    "--citus", action="store_true", help="spread the tables over the workers of a Citus cluster"
)
options = parser.parse_args()
sys.stdout.write(script(options.schema, citus=options.citus) + "\n")
