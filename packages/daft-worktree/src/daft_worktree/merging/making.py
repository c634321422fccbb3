"""Making a merge that was planned: the target moves in one step, or not at all.

Where the target is checked out git merges there, as its user would. Elsewhere, and for commits
that are made anew, a hidden worktree takes the work, and only its result reaches the target. What
conflicts stays for the user to resolve, see `ending`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from .. import git
from ..branches import read_ref
from ..ephemeral import HiddenTree, hidden_worktree
from ..errors import GitFailed, MergeLeft, MergeOutdated, MergeRefused
from ..lock import worktree_lock
from . import notes, steps
from .checks import check, checked_out
from .rules import Merging, Style
from .steps import Made, Tree

Place = Callable[[str], str]
"""Where the worktree of a branch, or of a name like one, would be put."""


class MergeResult(Enum):
    """How a merge ended; a conflict is only a stop."""

    SUCCESS = "success"
    CONFLICT = "conflict"
    UP_TO_DATE = "already-up-to-date"
    ABORTED = "aborted"


class Merged(NamedTuple):
    """What became of a merge.

    commit: what the target is at. conflicts: paths, in the worktree at `path`. promoted: that
    was made for the merge, and is the user's now. said: git's words, where something went wrong.
    """

    result: MergeResult
    commit: str = ""
    conflicts: tuple[str, ...] = ()
    path: str | None = None
    promoted: bool = False
    said: str = ""


def merge(plan: Merging, place: Place) -> Merged:
    """Merge as planned, if everything still is as planned. To be called with the merge lock held.

    Raises: MergeOutdated, MergeRefused; GitFailed, and then nothing was changed.
    """
    if plan.only_moves:
        return land(plan, plan.sources[0].oid)
    check(plan)
    if plan.worktree is None or plan.style in (Style.REBASE, Style.REBASE_MERGE):
        return _merge_apart(plan, place)
    return _merge_in_place(plan, Tree(plan.worktree.path, plan.worktree.private_dir))


def _merge_in_place(plan: Merging, tree: Tree) -> Merged:
    message = steps.usual_message(plan)
    # Before anything changes: whoever finds half a merge finds out what it was, and how to end it.
    notes.write(tree.private_dir, plan)
    try:
        made = _step(plan)(tree, plan, message)
    except GitFailed:
        notes.remove(tree.private_dir)
        raise
    except BaseException:
        _take_back(plan, tree)
        raise
    if made.conflicts:
        notes.write(tree.private_dir, plan, stopped=True)
        return Merged(MergeResult.CONFLICT, plan.target.oid, made.conflicts, tree.path)
    if made.commit is None:
        _take_back_or_tell(plan, tree, made)
        return Merged(MergeResult.ABORTED, plan.target.oid, said=made.said)
    notes.remove(tree.private_dir)
    if made.commit == plan.target.oid:
        return Merged(MergeResult.UP_TO_DATE, made.commit)
    _refuse_stowaway(plan, tree)
    return Merged(MergeResult.SUCCESS, made.commit)


def _step(plan: Merging) -> Callable[[Tree, Merging, str], Made]:
    is_squash = plan.style is Style.SQUASH
    return steps.squash_sources if is_squash else steps.merge_sources


def _take_back(plan: Merging, tree: Tree) -> None:
    """Put a worktree that was clean back to the target. Its note stays where that fails."""
    if tree.head == plan.target.oid and not steps.undo(tree):
        notes.remove(tree.private_dir)


def _take_back_or_tell(plan: Merging, tree: Tree, made: Made) -> None:
    try:
        _take_back(plan, tree)
    except GitFailed as error:
        raise MergeLeft(tree.path, made.said, error.stderr) from error


def _refuse_stowaway(plan: Merging, tree: Tree) -> None:
    """Take back a merge on top of a commit that came in the moment git began.

    Raises: MergeOutdated.
    """
    below = git.run(tree.path, "rev-parse", "--verify", "HEAD^1", doing="looking at the merge")
    if below == plan.target.oid:
        return
    git.run(tree.path, "reset", "--quiet", "--keep", below, doing="taking the merge back")
    raise MergeOutdated(f"'{plan.target.name}' has moved")


# --- apart --------------------------------------------------------------------------------------


def _merge_apart(plan: Merging, place: Place) -> Merged:
    path = place(place_name(plan))
    replays = plan.style in (Style.REBASE, Style.REBASE_MERGE) and not plan.is_forward
    start = plan.sources[0].oid if replays else plan.target.oid
    common_dir = plan.repository.common_dir
    with hidden_worktree(common_dir, start, os.path.basename(path)) as hidden:
        tree = Tree(hidden.path, hidden.private_dir, (hidden.fd,))
        if replays:
            made = steps.rebase(tree, plan)
        elif plan.style is Style.REBASE_MERGE:
            made = Made(commit=plan.sources[0].oid)
        else:
            made = _step(plan)(tree, plan, steps.usual_message(plan))
        if made.conflicts:
            return _stay(plan, hidden, path, made)
        return finish(plan, tree, made)


def place_name(plan: Merging) -> str:
    """Return the name, as of a branch, that the worktree of a conflict is placed by."""
    if plan.style in (Style.REBASE, Style.REBASE_MERGE):
        source = plan.sources[0]
        # Whatever else names a commit (`:/fix`, `HEAD~2`) is no name for a directory.
        return f"{source.name if source.is_branch else source.oid[:12]}-onto-{plan.target.name}"
    return plan.target.name


def finish(plan: Merging, tree: Tree, made: Made) -> Merged:
    """Bring what was made in a hidden tree to the target. The tree moves on."""
    target = plan.target.oid
    if made.commit is not None and made.commit != target and plan.style is Style.REBASE_MERGE:
        git.run(tree.path, "checkout", "--quiet", "--detach", target, doing="merging")
        message = steps.usual_message(plan)
        made = steps.merge_commits(tree, plan, [made.commit], message)
    if made.commit is None:
        return Merged(MergeResult.ABORTED, target, said=made.said)
    if made.commit == target:
        return Merged(MergeResult.UP_TO_DATE, target)
    return land(plan, made.commit)


def _stay(plan: Merging, hidden: HiddenTree, path: str, made: Made) -> Merged:
    """Leave a conflict, and the worktree made for it, to the user."""
    notes.write(hidden.private_dir, plan, promoted=True, stopped=True)
    is_on_target = plan.style in (Style.MERGE, Style.SQUASH)
    hidden.bring_to_light(plan.repository, path, plan.target.name if is_on_target else None)
    return Merged(MergeResult.CONFLICT, plan.target.oid, made.conflicts, hidden.path, promoted=True)


def land(plan: Merging, commit: str) -> Merged:
    """Move the target to a commit that has all of it, if it is where it was.

    Raises: MergeOutdated; GitFailed in git's words when a file is in the way.
    """
    repository, target = plan.repository, plan.target
    check(plan)
    with worktree_lock(repository.common_dir):
        holder = checked_out(repository.refreshed(), target.name)
        if holder is None:
            moved = git.attempt(
                repository.common_dir,
                *("update-ref", "--no-deref", "-m", f"merge: {plan.mode}"),
                *(f"refs/heads/{target.name}", commit, target.oid),
            )
            if moved.ok:
                return Merged(MergeResult.SUCCESS, commit)
            if read_ref(repository, f"refs/heads/{target.name}") != target.oid:
                raise MergeOutdated(f"'{target.name}' has moved")
            raise MergeRefused(f"'{target.name}' cannot be moved: {moved.err}")
    # Not under the lock: git's own hooks run, and may come back to us.
    steps.move_forward(holder.path, commit)
    return Merged(MergeResult.SUCCESS, commit)
