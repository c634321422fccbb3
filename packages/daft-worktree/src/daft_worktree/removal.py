"""Taking away worktrees and branches that were planned to go, and nothing that came since."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git, trash
from .branches import Branch, drop_branch
from .changes import has_submodules, read_status
from .errors import RemoveFailed
from .lock import worktree_lock
from .places import clear_debris, delete_tree, is_debris, mounts_below, remove_empty_parents
from .records import is_absent, records
from .repository import Repository
from .worktrees import Worktree, holds_worktree, is_below, same_path


class Target(NamedTuple):
    """One thing to remove, and why that loses nothing.

    worktree: None for a branch without one. branch: None for a worktree without one.
    delete_branch: False keeps the branch. proof: one line for people. forced: what is in the
    worktree may be lost. remote_oid: where the branch of the remote was last seen.
    untouched: untracked files of the worktree that are no loss.
    """

    word: str
    worktree: Worktree | None
    branch: Branch | None
    delete_branch: bool
    proof: str
    forced: bool = False
    delete_remote: bool = False
    remote_oid: str | None = None
    untouched: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name its jobs go by."""
        if self.worktree is not None:
            return self.worktree.label
        return self.branch.name if self.branch is not None else self.word


class Removed(NamedTuple):
    """What was done to one target.

    oid: where the branch, or the detached worktree, was. notes: sentences worth telling.
    """

    label: str
    path: str | None
    parts: tuple[str, ...]
    oid: str | None
    notes: tuple[str, ...] = ()


def remove(repository: Repository, target: Target) -> Removed:
    """Remove one planned target.

    What has changed since the plan is looked at again, where nobody can change it any more.
    Raises: RemoveFailed telling what is left; GitFailed; LockTimeout; CannotWrite.
    """
    notes: list[str] = []
    parts: list[str] = []
    if target.delete_remote and target.branch is not None:
        # First, because it is the hardest to make again: when the remote says no, all is kept.
        if _delete_remote_branch(repository, target.branch, target.remote_oid):
            parts.append("remote branch")
        else:
            notes.append(f"'{target.branch.remote_ref}' was already gone on the remote")
    with worktree_lock(repository.common_dir):
        trash.recover(repository.common_dir)
        if target.worktree is not None:
            _remove_worktree(repository, target.worktree, target)
            remove_empty_parents(repository, os.path.dirname(target.worktree.path))
        if target.delete_branch and target.branch is not None:
            notes += _delete_branch(repository, target.branch)
    here = [] if target.worktree is None else ["worktree"]
    if target.delete_branch:
        here.append("local branch")
    oid = target.branch.oid if target.branch is not None else None
    if target.branch is None and target.worktree is not None:
        oid = target.worktree.head
    return Removed(
        label=target.label,
        path=target.worktree.path if target.worktree is not None else None,
        parts=(*here, *parts),
        oid=oid,
        notes=tuple(notes),
    )


# --- branches -----------------------------------------------------------------------------------


def _delete_remote_branch(repository: Repository, branch: Branch, seen: str | None) -> bool:
    """Delete a branch of the remote while it is where we last saw it; False when it is gone."""
    ref = f"refs/heads/{branch.remote_ref}"
    doing = f"deleting '{branch.remote_ref}' on '{branch.remote}'"
    if seen is not None:
        pushed = git.attempt(
            repository.common_dir,
            *("push", "--no-verify", f"--force-with-lease={ref}:{seen}"),
            *("--end-of-options", branch.remote, f":{ref}"),
            network=True,
        )
        if pushed.ok:
            return True
        if "stale info" not in pushed.err and "remote ref does not exist" not in pushed.err:
            raise RemoveFailed(f"{doing}: {pushed.err}; nothing was removed here")
    found = git.run(
        repository.common_dir,
        *("ls-remote", "--end-of-options", branch.remote, ref),
        doing=doing,
        network=True,
    )
    if not any(line.endswith(f"\t{ref}") for line in found.split("\n")):
        return False
    raise RemoveFailed(
        f"'{branch.remote_ref}' has moved on '{branch.remote}' since it was last fetched; "
        "nothing was removed",
        tips=(f"`git fetch {branch.remote}`, then look at it",),
    )


def _delete_branch(repository: Repository, branch: Branch) -> list[str]:
    """Delete a local branch that is still where it was; return what went wrong harmlessly."""
    kept = drop_branch(repository, branch.name, branch.oid)
    if kept is not None:
        raise RemoveFailed(f"branch '{branch.name}' was kept: {kept}")
    cleaned = git.attempt(
        repository.common_dir, "config", "--remove-section", f"branch.{branch.name}"
    )
    if cleaned.ok or "no such section" in cleaned.err.lower():
        return []
    return [f"the configuration of '{branch.name}' could not be removed: {cleaned.err}"]


# --- worktrees ----------------------------------------------------------------------------------


def _remove_worktree(repository: Repository, worktree: Worktree, target: Target) -> None:
    common_dir = repository.common_dir
    _look_again(common_dir, worktree)
    if is_absent(worktree.path) or is_debris(worktree.path):
        if not is_absent(worktree.path):
            clear_debris(worktree.path)
        _drop_record(common_dir, worktree.path)
        return
    if not holds_worktree(worktree, common_dir) or os.path.islink(worktree.path):
        raise RemoveFailed(f"{worktree.path} does not hold this worktree; it was not touched")
    # The repositories of submodules have paths back into the tree: git deletes those itself.
    entry = None
    if not has_submodules(worktree.private_dir):
        entry = trash.take(common_dir, worktree.path)
    if entry is None:
        _remove_in_place(common_dir, worktree, target)
        return
    try:
        # Not before the move: nobody who writes by the path can change it any more.
        _refuse_changes(worktree, target, entry)
        _drop_record(common_dir, worktree.path)
    except BaseException:
        if any(same_path(one.path, worktree.path) for one in records(common_dir)):
            trash.put_back(entry, worktree.path)
        raise
    trash.finish(entry)


def _look_again(common_dir: str, worktree: Worktree) -> None:
    """Look under the lock at what may have changed since the plan."""
    found = [one for one in records(common_dir) if one.private_dir == worktree.private_dir]
    if not found or not same_path(found[0].path, worktree.path):
        raise RemoveFailed(f"{worktree.path} is no longer the worktree of '{worktree.label}'")
    if found[0].locked is not None:
        raise RemoveFailed(f"{worktree.path} has been locked; it was not touched")
    mounted = mounts_below(worktree.path)
    if mounted:
        raise RemoveFailed(f"another file system is mounted at {mounted[0]}; nothing was removed")
    for other in records(common_dir):
        if not other.is_missing and is_below(other.path, worktree.path):
            raise RemoveFailed(
                f"{worktree.path} holds another worktree, {other.path}; it was not touched"
            )


def _refuse_changes(worktree: Worktree, target: Target, where: str) -> None:
    """Refuse what has come since the plan. Raises: RemoveFailed."""
    if target.forced:
        return
    told = {"GIT_DIR": worktree.private_dir, "GIT_WORK_TREE": where}
    status = read_status(where, extra_env=told)
    untracked = [name for name in status.untracked if name not in target.untouched]
    if status.tracked or untracked:
        what = f"{len(status.tracked)} changed, {len(untracked)} untracked"
        raise RemoveFailed(f"{worktree.path} was kept: it has changed meanwhile ({what})")
    head = worktree.head if target.branch is None else target.branch.oid
    if status.branch != worktree.branch or (worktree.branch is None and status.head != head):
        raise RemoveFailed(f"{worktree.path} was kept: it is on another branch or commit by now")
    if target.delete_branch and status.head != head:
        raise RemoveFailed(f"{worktree.path} was kept: there is a new commit")


def _remove_in_place(common_dir: str, worktree: Worktree, target: Target) -> None:
    _refuse_changes(worktree, target, worktree.path)
    words = ["worktree", "remove"]
    if target.forced or target.untouched or has_submodules(worktree.private_dir):
        words.append("--force")
    removed = git.attempt(common_dir, *words, "--", worktree.path)
    if any(one.private_dir == worktree.private_dir for one in records(common_dir)):
        raise RemoveFailed(f"git keeps the worktree {worktree.path}: {removed.err}")
    # git may let go of it although something still writes there.
    if not is_absent(worktree.path) and not delete_tree(worktree.path):
        raise RemoveFailed(f"{worktree.path} could not be deleted completely; delete it by hand")


def _drop_record(common_dir: str, path: str) -> None:
    """Make git forget a worktree whose directory is not there. Raises: RemoveFailed."""
    dropped = git.attempt(common_dir, "worktree", "remove", "--force", "--", path)
    if any(same_path(one.path, path) for one in records(common_dir)):
        raise RemoveFailed(f"git keeps the worktree {path}: {dropped.err}")
