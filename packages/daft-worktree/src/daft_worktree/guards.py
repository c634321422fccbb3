"""What keeps a worktree from being removed: whatever in it exists nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable

from .branches import is_on_a_ref
from .changes import Status, hidden_changes, read_index, read_status, unpushed_submodules
from .places import is_debris, mounts_below
from .records import is_absent
from .repository import Repository
from .worktrees import Worktree, holds_worktree, is_below, same_path

FORCE = "`--force` overrides this, and the work is lost"


IsNoLoss = Callable[[Worktree, str], bool]
"""Tells whether a file of a worktree that git does not track is no loss, by its name."""


class Refusal(Exception):
    """Why one target must stay, and what helps; collected into one error for all of them."""

    def __init__(self, reason: str, tip: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.tip = tip


def check_worktree(
    repository: Repository,
    worktree: Worktree,
    *,
    force: bool,
    replaceable: tuple[str, ...],
    is_no_loss: IsNoLoss | None = None,
) -> tuple[str, ...]:
    """Refuse a worktree that must stay; return the untracked files in it that are no loss.

    force: what would be lost may be. replaceable: names of files that count as no loss while
    another worktree has the same, or `is_no_loss` says so; as a loss otherwise, also where git
    ignores them. Raises: Refusal; GitFailed when git cannot tell.
    """
    _check_place(repository, worktree)
    if force:
        return ()
    return check_contents(repository, worktree, replaceable=replaceable, is_no_loss=is_no_loss)


def check_contents(
    repository: Repository,
    worktree: Worktree,
    *,
    replaceable: tuple[str, ...] = (),
    is_no_loss: IsNoLoss | None = None,
) -> tuple[str, ...]:
    """Refuse a worktree for what would be lost with it; else as `check_worktree`."""
    if is_absent(worktree.path) or is_debris(worktree.path):
        _check_vanished(repository, worktree)
        return ()
    if worktree.operation is not None:
        raise Refusal(f"it is in the middle of a {worktree.operation}", FORCE)
    if worktree.branch is None and worktree.head is not None:
        raise Refusal("it has a detached HEAD; specify a branch name", FORCE)
    status = read_status(worktree.path, with_ignored=True)
    untouched = tuple(
        name
        for name in status.untracked
        if _is_worktree(repository, worktree, name)
        or _is_shared(repository, worktree, name)
        or (name in replaceable and _is_elsewhere(repository, worktree, name, is_no_loss))
    )
    _check_changes(status, untouched)
    _check_hidden(worktree)
    for name in status.ignored:
        if name in replaceable and not _is_elsewhere(repository, worktree, name, is_no_loss):
            raise Refusal(f"its {name} was changed here, and git ignores it", FORCE)
    _check_ignored(repository, worktree, status.ignored)
    return untouched


def _check_place(repository: Repository, worktree: Worktree) -> None:
    """Refuse what no force overrides."""
    if worktree.is_main:
        raise Refusal("it is the main working tree, which git cannot remove")
    if worktree.locked is not None:
        raise Refusal(*_locked(worktree))
    if is_absent(worktree.path) or is_debris(worktree.path):
        return
    if os.path.islink(worktree.path):
        real = os.path.realpath(worktree.path)
        raise Refusal(
            f"{worktree.path} is a symbolic link to {real}",
            f"tell git where it is, then try again: `git worktree repair {real}`",
        )
    if not holds_worktree(worktree, repository.common_dir):
        raise Refusal(f"{worktree.path} does not hold this worktree; something else is there")
    if is_below(repository.common_dir, worktree.path):
        raise Refusal(f"it holds the repository itself, {repository.common_dir}")
    mounted = mounts_below(worktree.path)
    if mounted:
        raise Refusal(f"another file system is mounted in it: {mounted[0]}", "unmount it first")


def _check_vanished(repository: Repository, worktree: Worktree) -> None:
    if worktree.operation is not None:
        raise Refusal(f"it is gone, in the middle of a {worktree.operation}", FORCE)
    if worktree.branch is not None or worktree.head is None:
        return
    if not is_on_a_ref(repository, worktree.head):
        short = worktree.head[:12]
        raise Refusal(
            f"it is gone, and its commit {short} is on no branch",
            f"keep it with `git branch <name> {short}`, or lose it with `--force`",
        )


def _check_changes(status: Status, untouched: tuple[str, ...]) -> None:
    untracked = [name for name in status.untracked if name not in untouched]
    if status.tracked or untracked:
        raise Refusal(
            f"it has uncommitted changes ({len(status.tracked)} changed, "
            f"{len(untracked)} untracked)",
            "commit them, or lose them with `--force`",
        )


def _check_hidden(worktree: Worktree) -> None:
    index = read_index(worktree.path)
    hidden = hidden_changes(worktree.path, index)
    if hidden:
        raise Refusal(
            f"it has changes that git was told to overlook: {_some(hidden)}",
            "save them, or lose them with `--force`",
        )
    alone = unpushed_submodules(worktree.path, worktree.private_dir, index)
    if alone:
        names = _some(tuple(os.path.basename(one.removesuffix("/.git")) for one in alone))
        raise Refusal(
            f"its submodules have commits that no remote has: {names}",
            "push them, or lose them with `--force`",
        )


def _check_ignored(repository: Repository, worktree: Worktree, ignored: tuple[str, ...]) -> None:
    precious = tuple(name for name in ignored if _is_precious(repository, worktree, name))
    if precious:
        raise Refusal(
            f"it has ignored files that are nowhere else: {_some(precious)}",
            "save them, or lose them with `--force`; `git config daft.protect` says which count",
        )


def _is_precious(repository: Repository, worktree: Worktree, name: str) -> bool:
    path = os.path.join(worktree.path, name)
    if name.endswith("/"):
        is_repository = os.path.lexists(os.path.join(path, ".git"))
        return is_repository and not _is_worktree(repository, worktree, name)
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    from fnmatch import fnmatchcase  # here: only few removals come this far

    base = os.path.basename(name)
    if not any(fnmatchcase(base, pattern) for pattern in repository.settings.protect):
        return False
    return not _has_copy(repository, worktree, name)


def _is_worktree(repository: Repository, worktree: Worktree, name: str) -> bool:
    """True for another worktree of the repository, which is guarded as such."""
    if not name.endswith("/"):
        return False
    path = os.path.join(worktree.path, name)
    return any(same_path(one.path, path) for one in repository.worktrees if not one.is_bare)


def _is_shared(repository: Repository, worktree: Worktree, name: str) -> bool:
    from .sharing.files import is_link_to_shared  # here: only few removals come this far

    return is_link_to_shared(repository.common_dir, worktree, name)


def _is_elsewhere(
    repository: Repository, worktree: Worktree, name: str, is_no_loss: IsNoLoss | None
) -> bool:
    if _has_copy(repository, worktree, name):
        return True
    return is_no_loss is not None and is_no_loss(worktree, name)


def _has_copy(repository: Repository, worktree: Worktree, name: str) -> bool:
    """True when another worktree holds the same file, or the worktrees share it."""
    import filecmp  # here: only few removals come this far

    from .sharing.files import is_same, stored_path

    mine = os.path.join(worktree.path, name)
    if is_same(mine, stored_path(repository.common_dir, name)):
        return True
    for other in repository.worktrees:
        if other.is_bare or other.missing or other.path == worktree.path:
            continue
        theirs = os.path.join(other.path, name)
        try:
            if os.path.isfile(theirs) and filecmp.cmp(mine, theirs, shallow=False):
                return True
        except OSError:
            continue  # cannot be read: no proof
    return False


def _locked(worktree: Worktree) -> tuple[str, str]:
    unlock = f"`git worktree unlock {worktree.path}` first"
    if worktree.locked == "initializing":
        return "git is still making it, or was stopped half way", f"if it was stopped: {unlock}"
    return f"it is locked{f': {worktree.locked}' if worktree.locked else ''}", unlock


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
