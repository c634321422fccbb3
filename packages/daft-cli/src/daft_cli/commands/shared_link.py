"""`daft shared link`: a link in place of a copy."""

from __future__ import annotations

import click

from daft_worktree import sharing
from daft_worktree.sharing import stored_names

from ..place import discover
from .shared_words import name_of, refuse_unknown, say_rows, worktree_of


@click.command(name="link")
@click.argument("path")
@click.argument("worktree", required=False)
@click.option("--override", is_flag=True, help="Also in place of another file, which is kept.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(path: str, worktree: str | None, override: bool, quiet: bool) -> int:
    """Put the link to PATH into WORKTREE (this one)."""
    repository = discover(to_change=True)
    tree = worktree_of(repository, worktree)
    name = name_of(repository, path)
    refuse_unknown(name, stored_names(repository.common_dir))
    rows = sharing.link(repository, tree, (name,), asked=True, override=override)
    return 0 if say_rows(rows, quiet=quiet) else 1
