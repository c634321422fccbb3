"""Which worktree a user's word means."""

from __future__ import annotations

import os

from .errors import NoWorktree
from .worktrees import Worktree


def is_path(word: str) -> bool:
    """True when a user's word is plainly a path, and can mean no branch."""
    return word in (".", "..", "~") or word.startswith(("/", "./", "../", "~/"))


def find(worktrees: list[Worktree], word: str, *, cwd: str, project_root: str) -> Worktree | None:
    """Return the worktree a user's word means.

    A plain path means just that. Other words: the branch, the branch of a paused operation, a
    path below `cwd` or the project root, a directory name; the first that fits. Of several
    worktrees with one branch it is the one that holds `cwd`.
    Raises: NoWorktree when the word is a directory name that several share.
    """
    if not word:
        return None  # joined to a directory it would be that directory
    live = [worktree for worktree in worktrees if not worktree.is_bare]
    if is_path(word):
        return _at(live, os.path.join(cwd, os.path.expanduser(word)))
    attached = [worktree for worktree in live if worktree.branch == word]
    if attached:
        return containing(attached, cwd) or attached[0]
    for worktree in live:
        if worktree.paused_branch == word:
            return worktree
    for base in (cwd, project_root):
        found = _at(live, os.path.join(base, word))
        if found is not None:
            return found
    named = [worktree for worktree in live if os.path.basename(worktree.path) == word]
    if len(named) > 1:
        paths = ", ".join(worktree.path for worktree in named)
        raise NoWorktree(f"'{word}' is ambiguous: {paths}", tips=("give the whole path",))
    return named[0] if named else None


def _at(worktrees: list[Worktree], path: str) -> Worktree | None:
    real = os.path.realpath(path)
    return next((one for one in worktrees if os.path.realpath(one.path) == real), None)


def containing(worktrees: list[Worktree], path: str) -> Worktree | None:
    """Return the worktree that `path` is in, the innermost one."""
    real = os.path.realpath(path)
    best: Worktree | None = None
    for worktree in worktrees:
        if worktree.is_bare:
            continue
        root = os.path.realpath(worktree.path)
        if (real == root or real.startswith(root + os.sep)) and (
            best is None or len(root) > len(os.path.realpath(best.path))
        ):
            best = worktree
    return best
