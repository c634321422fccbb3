"""`daft repo link`: declare that another repository belongs to this one."""

from __future__ import annotations

import sys

import click

from ..place import discover
from ..relations import Related, link
from .shared_words import standing_in


@click.command(name="link")
@click.argument("target")
@click.option("--name", metavar="NAME", help="What to call it here.")
@click.option("--kind", metavar="KIND", help="What it is to this one, such as library.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(target: str, name: str | None, kind: str | None, quiet: bool) -> int:
    """Write into daft.yml that TARGET belongs to this repository.

    TARGET is a name of the catalog, a path of a repository, or a URL. What is kept is its URL, so
    that it means the same for everybody.
    """
    repository = discover()
    made, file = link(repository, standing_in(repository), target, name=name, kind=kind)
    if not quiet:
        what = f"'{Related(made, None).name}' ({made.url})"
        done = "belongs to this repository already" if file is None else f"added to {file}"
        sys.stdout.write(f"{what} {done}\n")
    return 0
