"""Taking over what was changed in another worktree's configuration that git does not track."""

from __future__ import annotations

import os

from attrs import frozen

from daft_hooks.consolidation import Merged, merge_files
from daft_worktree.worktrees import Worktree

from .context import Session
from .failures import Trouble
from .terminal import show_path
from .visitors import NAMES, Visitors, is_tracked, read


@frozen(kw_only=True)
class Change:
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


def changes_between(session: Session, here: Worktree, there: Worktree) -> list[Change]:
    """Return what each file here is to hold so that nothing changed there is lost.

    Raises: Trouble for a file here that is a link.
    """
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
            Change(
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


def trouble_with(change: Change, *, rewrite: bool = False) -> Trouble | None:
    """Return why a file must not be written, None when it may. rewrite: comments may be lost."""
    if change.merged.conflicts:
        return Trouble(
            f"{show_path(change.path)} and {show_path(change.other)} both changed "
            f"{', '.join(change.merged.conflicts)}; nothing was written",
            tips=("make them the same in one of both, then try again",),
        )
    if change.merged.loses_comments and not rewrite:
        return Trouble(
            f"{show_path(change.path)} would lose comments, its own or those of "
            f"{show_path(change.other)}; nothing was written",
            tips=("take the changes over by hand, or use --rewrite",),
        )
    return None


def write(change: Change) -> None:
    """Put the file in its place in one step: whoever reads it sees all of it or what was.

    Raises: Trouble.
    """
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
