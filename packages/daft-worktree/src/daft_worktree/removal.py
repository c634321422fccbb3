"""Removing worktrees and branches: nothing is lost without having been said, and forced."""

from __future__ import annotations

import os
import shutil
import time
from typing import NamedTuple

from . import git
from .branches import Branch, default_branch, read_refs
from .carry import changes
from .errors import NoWorktree, Refused, RemoveFailed
from .finding import find
from .lock import worktree_lock
from .proofs import merged_proof, pushed_proof
from .repository import Repository, refuse_submodule
from .worktrees import Worktree, holds_worktree, list_worktrees, same_path


class Target(NamedTuple):
    """One thing to remove, and why that loses nothing.

    worktree: None for a branch without one. branch: None for a worktree without one.
    delete_branch: False keeps the branch. proof: one line for people.
    """

    word: str
    worktree: Worktree | None
    branch: Branch | None
    delete_branch: bool
    proof: str
    forced: bool = False
    delete_remote: bool = False

    @property
    def label(self) -> str:
        """The name its jobs go by."""
        if self.worktree is not None:
            return self.worktree.label
        return self.branch.name if self.branch is not None else self.word


class Removed(NamedTuple):
    """What was done to one target. `oid` is where the branch was."""

    label: str
    path: str | None
    parts: tuple[str, ...]
    oid: str | None


def plan_removal(
    repository: Repository,
    words: tuple[str, ...],
    *,
    force: bool = False,
    keep_branch: bool = False,
    delete_remote: bool = False,
) -> tuple[Target, ...]:
    """Decide what `words` (branches or worktrees) mean and that each may go. Touches nothing.

    The worktree the caller stands in comes last. Raises: Refused with every refusal at once.
    """
    refuse_submodule(repository)
    refs = read_refs(repository)
    local = refs.heads
    default = default_branch(repository, refs)
    unreachable: set[str] = set()
    refusals: list[tuple[str, str]] = []
    tips: list[str] = []
    targets: list[Target] = []
    for word in words:
        try:
            target = _target(
                repository,
                word,
                local,
                default,
                force=force,
                keep_branch=keep_branch,
                unreachable=unreachable,
            )
        except _Refusal as refusal:
            refusals.append((word, refusal.reason))
            if refusal.tip and refusal.tip not in tips:
                tips.append(refusal.tip)
            continue
        except NoWorktree as error:
            refusals.append((word, str(error)))
            continue
        if delete_remote and target.branch is not None and target.delete_branch:
            target = target._replace(delete_remote=bool(target.branch.remote_ref))
        if not any(_same_target(target, other) for other in targets):
            targets.append(target)
    if refusals:
        raise Refused(tuple(refusals), tuple(tips))
    here = repository.current
    targets.sort(
        key=lambda one: (
            one.worktree is not None
            and here is not None
            and same_path(one.worktree.path, here.path)
        )
    )
    return tuple(targets)


def remove(repository: Repository, target: Target) -> Removed:
    """Remove one planned target.

    Raises: RemoveFailed telling what is left; GitFailed; LockTimeout.
    """
    parts: list[str] = []
    if target.delete_remote and target.branch is not None:
        # First, because it is the hardest to make again: when the remote says no, all is kept.
        git.run(
            repository.common_dir,
            "push",
            "--no-verify",
            target.branch.remote,
            "--delete",
            target.branch.remote_ref,
            doing=f"deleting '{target.branch.remote_ref}' on '{target.branch.remote}'",
            network=True,
        )
        parts.append("remote branch")
    path = None
    if target.worktree is not None:
        path = target.worktree.path
        with worktree_lock(repository.common_dir):
            _remove_worktree(repository, target.worktree, force=target.forced)
        parts.insert(0, "worktree")
        _remove_empty_parents(repository, os.path.dirname(path))
    if target.delete_branch and target.branch is not None:
        git.run(
            repository.common_dir,
            "branch",
            "-D",
            "--end-of-options",
            target.branch.name,
            doing=f"deleting branch '{target.branch.name}'",
        )
        parts.insert(1 if path else 0, "local branch")
    return Removed(
        label=target.label,
        path=path,
        parts=tuple(parts),
        oid=target.branch.oid if target.branch is not None else None,
    )


def reap_trash(common_dir: str) -> int:
    """Delete the trees of removed worktrees for good; return how many.

    An entry whose `.origin` still stands belongs to a removal that has not finished.
    """
    trash = os.path.join(common_dir, ".daft", "trash")
    try:
        names = sorted(os.listdir(trash))
    except FileNotFoundError:
        return 0
    waiting = {name.removesuffix(".origin") for name in names if name.endswith(".origin")}
    reaped = 0
    for name in names:
        if name.endswith(".origin") or name in waiting:
            continue
        shutil.rmtree(os.path.join(trash, name), ignore_errors=True)
        reaped += not os.path.lexists(os.path.join(trash, name))
    return reaped


# --- deciding ---------------------------------------------------------------------------------


class _Refusal(Exception):
    def __init__(self, reason: str, tip: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.tip = tip


_FORCE = "`--force` overrides this, and the work is lost"


def _target(
    repository: Repository,
    word: str,
    local: dict[str, Branch],
    default: str | None,
    *,
    force: bool,
    keep_branch: bool,
    unreachable: set[str],
) -> Target:
    worktree = find(
        list(repository.worktrees), word, cwd=repository.cwd, project_root=repository.project_root
    )
    name = word if worktree is None else worktree.branch or worktree.paused_branch
    branch = local.get(name) if name is not None else None
    if worktree is None and branch is None:
        looks = "/" in word and word.startswith((".", "/", "~"))
        raise _Refusal("no worktree at that path" if looks else "branch not found")
    delete_branch = branch is not None and not keep_branch
    if worktree is not None:
        if branch is None and not worktree.missing and not force and worktree.head is not None:
            raise _Refusal("it has a detached HEAD; specify a branch name", _FORCE)
        _check_worktree(repository, worktree, force=force)
    if branch is not None and branch.name == default:
        if not force:
            raise _Refusal(
                "refusing to delete the default branch",
                "`--force` removes its worktree and keeps the branch",
            )
        if worktree is None:
            raise _Refusal("it is the default branch, and has no worktree to remove")
        delete_branch = False
    proof = "kept"
    if delete_branch and branch is not None:
        proof = _branch_proof(repository, branch, default, unreachable, force=force)
    return Target(
        word=word,
        worktree=worktree,
        branch=branch,
        delete_branch=delete_branch,
        proof=proof,
        forced=force,
    )


def _check_worktree(repository: Repository, worktree: Worktree, *, force: bool) -> None:
    if worktree.is_main:
        raise _Refusal("it is the main working tree, which git cannot remove")
    if worktree.locked is not None:
        reason = f": {worktree.locked}" if worktree.locked else ""
        raise _Refusal(f"it is locked{reason}", f"`git worktree unlock {worktree.path}` first")
    if worktree.missing and not os.path.lexists(worktree.path):
        return
    if not holds_worktree(worktree, repository.common_dir):
        raise _Refusal(f"{worktree.path} does not hold this worktree; something else is there")
    if force:
        return
    if worktree.operation is not None:
        raise _Refusal(f"it is in the middle of a {worktree.operation}", _FORCE)
    found = changes(worktree.path)
    if found:
        untracked = sum(entry.startswith("?") for entry in found)
        tracked = len(found) - untracked
        raise _Refusal(
            f"it has uncommitted changes ({tracked} changed, {untracked} untracked)",
            f"commit them, or {_FORCE}",
        )


def _branch_proof(
    repository: Repository,
    branch: Branch,
    default: str | None,
    unreachable: set[str],
    *,
    force: bool,
) -> str:
    if default is not None:
        merged = merged_proof(repository, branch, default)
        if merged.safe:
            return merged.reason
        reason = merged.reason
    else:
        reason = "the default branch is not known"
    if force:
        return f"forced: {reason}"
    pushed = pushed_proof(repository, branch, unreachable)
    if pushed.safe:
        return pushed.reason
    raise _Refusal(f"{reason}; {pushed.reason}", f"merge or push it, or {_FORCE}")


def _same_target(one: Target, other: Target) -> bool:
    if one.worktree is not None and other.worktree is not None:
        return one.worktree.path == other.worktree.path
    return one.label == other.label


# --- doing ------------------------------------------------------------------------------------


def _remove_worktree(repository: Repository, worktree: Worktree, *, force: bool) -> None:
    common_dir = repository.common_dir
    if not os.path.lexists(worktree.path):
        git.run(
            common_dir,
            "worktree",
            "remove",
            worktree.path,
            doing=f"forgetting the vanished worktree {worktree.path}",
        )
        return
    if not holds_worktree(worktree, common_dir):
        raise RemoveFailed(f"{worktree.path} does not hold this worktree; it was not touched")
    if _has_submodules(worktree) or not _move_to_trash(common_dir, worktree):
        args = ["worktree", "remove"]
        if force or _has_submodules(worktree):
            args.append("--force")
        git.run(common_dir, *args, "--", worktree.path, doing=f"removing worktree {worktree.path}")
    if os.path.lexists(worktree.path):
        # git let go of it although something still wrote there.
        shutil.rmtree(worktree.path, ignore_errors=True)
        if os.path.lexists(worktree.path):
            raise RemoveFailed(
                f"{worktree.path} could not be deleted completely; delete it by hand"
            )


def _has_submodules(worktree: Worktree) -> bool:
    modules = os.path.join(worktree.private_dir, "modules")
    try:
        return bool(os.listdir(modules))
    except OSError:
        return False


def _move_to_trash(common_dir: str, worktree: Worktree) -> bool:
    """Rename the tree away and drop its record: quick, however large the tree is.

    False when it cannot be renamed (another file system); then nothing was changed.
    """
    trash = os.path.join(common_dir, ".daft", "trash")
    entry = os.path.join(
        trash, f"{os.path.basename(worktree.path)}-{os.getpid()}-{time.monotonic_ns()}"
    )
    origin = f"{entry}.origin"
    try:
        os.makedirs(trash, exist_ok=True)
        with open(origin, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(worktree.path)
        os.rename(worktree.path, entry)
    except OSError:
        _unlink_quietly(origin)
        return False
    dropped = git.attempt(common_dir, "worktree", "remove", "--force", worktree.path)
    listed = any(one.path == worktree.path for one in list_worktrees(common_dir))
    if listed:
        os.rename(entry, worktree.path)
        _unlink_quietly(origin)
        raise RemoveFailed(f"git keeps the worktree {worktree.path}: {dropped.err}")
    _unlink_quietly(origin)
    return True


def _unlink_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _remove_empty_parents(repository: Repository, parent: str) -> None:
    root = os.path.realpath(repository.project_root)
    # Below the project root only, and never the root itself.
    while os.path.realpath(parent).startswith(root + os.sep):
        try:
            os.rmdir(parent)
        except OSError:
            return  # not empty: in use
        parent = os.path.dirname(parent)
