"""`daft hooks consolidate`: take over what was changed in another worktree's configuration."""

from __future__ import annotations

import os

import click
from attrs import frozen

from daft_hooks.consolidation import Merged, merge_files
from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..place import discover
from ..terminal import show_path
from ..visitors import NAMES, Visitors, is_tracked, read
from .hooks_shared import standing_in


@frozen(kw_only=True)
class _Change:
    """A file of this worktree, what it is to hold, and what the other worktree has.

    path: of the file here. other: of the file there.
    """

    name: str
    path: str
    other: str
    theirs: bytes
    merged: Merged
    is_new: bool
    is_other: bool


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
        changes = _changes(session, here, there)
        _refuse(changes, rewrite=rewrite)
        for change in changes:
            doing = "would change" if dry_run else "changed"
            if change.is_other and not dry_run:
                _write(change)
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


def _changes(session: Session, here: Worktree, there: Worktree) -> list[_Change]:
    visitors = Visitors(session)
    seeds = {**visitors.seeds(here), **visitors.seeds(there)}
    changes = []
    for name in NAMES:
        other = os.path.join(there.path, name)
        theirs = read(other)
        if theirs is None or is_tracked(there, name):
            continue
        path = os.path.join(here.path, name)
        if os.path.islink(path):
            raise Trouble(f"{show_path(path)} is a link; nothing was written")
        ours = read(path)
        merged = (
            Merged(content=theirs)
            if ours is None
            else merge_files(
                ours,
                theirs,
                base=seeds.get(name),
                names=(show_path(path), show_path(other)),
            )
        )
        changes.append(
            _Change(
                name=name,
                path=path,
                other=other,
                theirs=theirs,
                merged=merged,
                is_new=ours is None,
                is_other=merged.content != ours,
            )
        )
    return changes


def _refuse(changes: list[_Change], *, rewrite: bool) -> None:
    """Raise Trouble where one of the files must not be written, before any is."""
    for change in changes:
        if change.merged.conflicts:
            raise Trouble(
                f"{show_path(change.path)} and {show_path(change.other)} both changed "
                f"{', '.join(change.merged.conflicts)}; nothing was written",
                tips=("make them the same in one of both, then try again",),
            )
        if change.merged.loses_comments and not rewrite:
            raise Trouble(
                f"{show_path(change.path)} would lose comments, its own or those of "
                f"{show_path(change.other)}; nothing was written",
                tips=("take the changes over by hand, or use --rewrite",),
            )


def _write(change: _Change) -> None:
    """Put the file in its place in one step: whoever reads it sees all of it or what was."""
    beside = f"{change.path}.{os.getpid()}"
    mode = 0o644 if change.is_new else os.stat(change.path).st_mode & 0o777
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(change.merged.content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, change.path)
    except OSError as error:
        if os.path.exists(beside):
            os.unlink(beside)
        raise Trouble(f"{show_path(change.path)} cannot be written: {error.strerror}") from error
