"""`daft repo remove`: take a repository out of the catalog."""

from __future__ import annotations

import os
import sys

import click

from daft_store import registering
from daft_store.roots import data_root

from ..repositories import choose
from ..terminal import show_path, warn


@click.command(name="remove")
@click.argument("repository", required=False)
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(repository: str | None, quiet: bool) -> int:
    """Take REPOSITORY (a name, a path or an id; without, the one here) out of the catalog.

    Nothing on disk changes, its jobs are found by its name as before, and working in it takes it up
    again.
    """
    shown = choose(repository)
    out = registering.take_out(data_root(os.environ), shown.entry.uuid, report=warn)
    if not quiet:
        done = "is out of the catalog" if out else "was out of the catalog already"
        sys.stdout.write(
            f"'{shown.entry.name}' {done}; nothing was deleted at {show_path(shown.entry.path)}\n"
        )
    return 0
