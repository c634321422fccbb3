"""Where the verbs of `daft hooks` stand: which repository, which worktree speaks for it."""

from __future__ import annotations

import os

from daft_worktree.worktrees import Worktree

from ..context import Session
from ..failures import Trouble
from ..place import discover


def session_at(path: str) -> Session:
    """Return a session of the repository at `path`. Raises: Trouble, WorktreeError."""
    if not os.path.isdir(path):
        raise Trouble(f"{path} does not exist or is no directory")
    os.chdir(path)
    return Session(discover())


def standing_in(session: Session) -> Worktree:
    """Return the worktree one stands in. Raises: Trouble."""
    here = session.repository.current
    if here is None:
        raise Trouble(
            "Not in a Git worktree: this is the root of the repository",
            tips=("go into a worktree, or use `daft -C <worktree> …`",),
        )
    return here


def any_worktree(session: Session) -> str:
    """Return a worktree whose configuration speaks for the repository."""
    here = session.repository.current
    if here is not None:
        return here.path
    live = (one.path for one in session.repository.worktrees if not one.is_bare and not one.missing)
    return next(live, session.repository.project_root)
