"""`daft shared sync`: the links that are missing, in all worktrees."""

from __future__ import annotations

import click

from daft_worktree import sharing
from daft_worktree.sharing import Outcome, Row, is_stored

from ..declaring import declared
from ..place import discover
from ..terminal import harmless, warn
from .shared_words import command_for, reachable, say, say_rows, speaker


@click.command(name="sync")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(quiet: bool) -> int:
    """Make the missing links in all worktrees.

    They lead to what the daft.yml of this worktree declares. Copies that a worktree was given stay.
    Exits 1 when another file is in the place of a link.
    """
    repository = discover(to_change=True)
    names = declared(speaker(repository)).names
    for name in names:
        if not is_stored(repository.common_dir, name):
            todo = command_for("add", name)
            warn(harmless(f"{name} is declared, and nobody has shared it: {todo}"))
    rows: list[Row] = []
    for tree in reachable(repository):
        rows += sharing.link(repository, tree, names)
    done = [row for row in rows if row.outcome is not Outcome.AS_IT_WAS]
    ok = say_rows([row for row in done if row.outcome is not Outcome.KEPT], quiet=quiet)
    if ok and not any(row.outcome is Outcome.LINKED for row in rows):
        say("nothing to link" if rows else "nothing is shared", quiet=quiet)
    return 0 if ok else 1
