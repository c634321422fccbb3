"""`daft shared materialize`: a copy of its own for one worktree."""

from __future__ import annotations

import click

from daft_worktree import sharing
from daft_worktree.sharing import stored_names

from ..place import discover
from .shared_words import name_of, refuse_unknown, say_rows, worktree_of


@click.command(name="materialize")
@click.argument("path")
@click.argument("worktree", required=False)
@click.option("--override", is_flag=True, help="Also in place of another file, which is kept.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(path: str, worktree: str | None, override: bool, quiet: bool) -> int:
    """Give WORKTREE (this one) its own copy of PATH.

    It is not made a link again until `daft shared link` says so. A file of its own that is there
    already stays.
    """
    repository = discover(to_change=True)
    tree = worktree_of(repository, worktree)
    name = name_of(repository, path)
    refuse_unknown(name, stored_names(repository.common_dir))
    row = sharing.materialize(repository, tree, name, override=override)
    return 0 if say_rows((row,), quiet=quiet) else 1
