"""`daft hooks consolidate`: take over what was changed in another worktree's configuration."""

from __future__ import annotations

import click

from daft_worktree.worktrees import Worktree

from ..consolidating import changes_between, trouble_with, write
from ..context import Session
from ..failures import Trouble
from ..place import discover
from ..terminal import show_path
from ..visitors import Visitors
from .hooks_shared import standing_in


@click.command()
@click.argument("worktree")
@click.option("--rewrite", is_flag=True, help="Also where comments are lost.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done.")
def consolidate(worktree: str, rewrite: bool, dry_run: bool) -> int:
    """Take over what was changed in the untracked daft.yml of WORKTREE since it came there.

    What only one of both changed counts. What both changed, each its way, is named, and then
    nothing is written.
    """
    with Session(discover()) as session:
        here = standing_in(session)
        there = _worktree(session, worktree, here)
        changes = changes_between(session, here, there)
        for change in changes:  # all of them, before any is written
            trouble = trouble_with(change, rewrite=rewrite)
            if trouble is not None:
                raise trouble
        for change in changes:
            doing = "would change" if dry_run else "changed"
            if change.is_other and not dry_run:
                write(change)
            if not dry_run:
                Visitors(session).brought(there, change.name, change.theirs)
            said = (
                f"{doing} {show_path(change.path)}" if change.is_other else "nothing to take over"
            )
            session.say(f"{change.name}: {said}")
        if not changes:
            session.say(f"'{there.label}' has no configuration that git does not track.")
    return 0


def _worktree(session: Session, name: str, here: Worktree) -> Worktree:
    trees = [one for one in session.repository.worktrees if not (one.is_bare or one.missing)]
    found = next((one for one in trees if name in (one.branch, one.label, one.path)), None)
    if found is None or found.path == here.path:
        others = ", ".join(one.label for one in trees if one.path != here.path) or "none"
        raise Trouble(f"'{name}' is no other worktree", tips=(f"other worktrees: {others}",))
    return found
