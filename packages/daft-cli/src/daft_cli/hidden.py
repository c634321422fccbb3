"""`daft __dirs` and `daft __dump-store`: what tests and reports of trouble ask. Creates nothing."""

from __future__ import annotations

import json
import os
import sys

from daft_cli.failures import FAILED, OK, STORE_UNUSABLE, USAGE
from daft_cli.whereabouts import find_repository, recorded_identity, state_directory


def directories() -> int:
    """Print the directories this program uses, as `name<tab>path`."""
    from daft_store.roots import config_root, data_root, state_root

    for name, root in (("config", config_root), ("data", data_root), ("state", state_root)):
        sys.stdout.write(f"{name}\t{root(os.environ)}\n")
    return OK


def dump_store(args: list[str]) -> int:
    """Print one table of the store of the repository one stands in, an object per row."""
    from daft_store import dump, listing

    if len(args) != 1:
        sys.stderr.write("usage: daft __dump-store <table>\n")
        return USAGE
    if args[0] not in dump.TABLES:
        sys.stderr.write(f"error: no table '{args[0]}' (tables: {', '.join(dump.TABLES)})\n")
        return FAILED
    here = find_repository(os.getcwd())
    repository = recorded_identity(here[0]) if here is not None else ""
    if not repository:
        sys.stderr.write("error: no job was ever recorded here\n")
        return FAILED
    try:
        db = listing.open_jobs(state_directory(), repository)
    except listing.ListingError as error:
        sys.stderr.write(f"error: {error}\n")
        return STORE_UNUSABLE
    indent = 2 if args[0].endswith("policy") else None
    for row in dump.rows(db, repository, args[0]) if db is not None else ():
        sys.stdout.write(json.dumps(row, indent=indent, default=repr) + "\n")
    return OK
