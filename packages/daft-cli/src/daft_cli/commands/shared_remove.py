"""`daft shared remove`: share files no more."""

from __future__ import annotations

import click

from daft_worktree import sharing
from daft_worktree.repository import Repository
from daft_worktree.sharing import Has, Outcome, Row, is_stored, look, stored_names

from ..declaring import declared, undeclare
from ..place import discover
from ..terminal import harmless, warn
from .shared_words import name_of, reachable, refuse_unknown, say, say_rows, standing_in


@click.command(name="remove")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--delete", is_flag=True, help="No copies: the shared files are deleted.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def command(paths: tuple[str, ...], delete: bool, dry_run: bool, quiet: bool) -> int:
    """Share PATHs no more: a copy for each worktree.

    It takes the place of the link, and PATHs are taken out of `shared:` in daft.yml. Files that are
    no links are left alone, also with --delete.
    """
    repository = discover(to_change=True)
    here = standing_in(repository)
    known = declared(here).names
    names = tuple(dict.fromkeys(name_of(repository, word) for word in paths))
    for name in names:
        refuse_unknown(name, (*known, *stored_names(repository.common_dir)))
    if dry_run:
        for name in names:
            say(_plan(repository, name, delete=delete), quiet=False)
        return 0
    rows: list[Row] = []
    for name in names:
        rows += sharing.unshare(repository, reachable(repository), name, delete=delete)
    shown = [row for row in rows if row.outcome is not Outcome.KEPT]
    ok = say_rows(shown, quiet=quiet)
    left = [name for name in names if is_stored(repository.common_dir, name)]
    for name in left:
        warn(f"{harmless(name)} stays shared: not every worktree could be given a copy")
    file = undeclare(repository, here, [name for name in names if name not in left])
    if file is not None:
        say(f"removed from {file}", quiet=quiet)
    for tree in repository.worktrees:
        if tree.missing:
            warn(f"'{tree.label}' is not there now; its links lead nowhere when it comes back")
    return 0 if ok else 1


def _plan(repository: Repository, name: str, *, delete: bool) -> str:
    spots = [look(repository.common_dir, tree, (name,))[0] for tree in reachable(repository)]
    linked = [one.worktree.label for one in spots if one.has in (Has.LINK, Has.STALE)]
    doing = "delete the links and the shared file" if delete else "put a copy in place of the link"
    where = f" in {', '.join(linked)}" if linked else ", which no worktree links to"
    return harmless(f"{name}: would {doing}{where}")
