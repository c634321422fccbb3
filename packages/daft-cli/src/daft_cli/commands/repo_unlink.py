"""`daft repo unlink`: take a relation out of daft.yml."""

from __future__ import annotations

import sys

import click

from ..place import discover
from ..relations import unlink
from .shared_words import standing_in


@click.command(name="unlink")
@click.argument("target")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(target: str, quiet: bool) -> int:
    """Take TARGET, named as in `daft repo info` or as for `daft repo link`, out of daft.yml."""
    repository = discover()
    gone, file = unlink(repository, standing_in(repository), target)
    if not quiet:
        if file is None:
            sys.stdout.write(f"'{target}' does not belong to this repository; nothing changed\n")
        for url in gone if file is not None else ():
            sys.stdout.write(f"{url} taken out of {file}\n")
    return 0
