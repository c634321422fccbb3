"""Where one was before: what `-` goes back to."""

from __future__ import annotations

import os

from .errors import NoWorktree
from .records import read_text
from .repository import Repository
from .worktrees import Worktree, same_path


def remember_previous(repository: Repository, path: str) -> None:
    """Make `path` what `-` goes back to."""
    target = _pointer(repository)
    draft = f"{target}.{os.getpid()}"
    try:
        os.makedirs(repository.state_dir, exist_ok=True)
        with open(draft, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(path)
        os.replace(draft, target)
    except OSError:
        # A convenience; a git directory that cannot be written must not stop a visit.
        return


def move_previous(repository: Repository, path: str, to: str) -> None:
    """Make `-` go on meaning a worktree that was moved."""
    if read_text(_pointer(repository)) == path:
        remember_previous(repository, to)


def previous_worktree(repository: Repository) -> Worktree:
    """Return the worktree `-` means.

    Raises: NoWorktree when there is none yet, or it is gone; then it is forgotten.
    """
    path = read_text(_pointer(repository))
    if not path:
        raise NoWorktree(
            "No previous worktree", tips=("`daft go <branch>` makes the present one previous",)
        )
    for worktree in repository.worktrees:
        if same_path(worktree.path, path) and not worktree.missing:
            return worktree
    try:
        os.unlink(_pointer(repository))
    except OSError:
        pass  # forgotten by somebody else, or not ours to forget; the answer is the same
    raise NoWorktree(
        f"the previous worktree {path} no longer exists", tips=("`daft list` shows those there",)
    )


def _pointer(repository: Repository) -> str:
    return os.path.join(repository.state_dir, "previous-worktree")
