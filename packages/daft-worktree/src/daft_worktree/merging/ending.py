"""Ending a merge that has stopped at a conflict, or whose run died: on, back, or left alone."""

from __future__ import annotations

import os

from .. import git
from ..branches import read_ref
from ..changes import read_status
from ..ephemeral import hidden_worktree
from ..errors import GitFailed, MergeOutdated, NotUnderWay
from ..places import remove_empty
from ..records import is_absent
from ..repository import Repository
from ..worktrees import is_below
from . import notes, steps
from .checks import check_sources, some
from .making import Merged, MergeResult, finish
from .notes import UnderWay
from .plan import is_ancestor
from .rules import Merging, Style
from .steps import Made, Tree


def resume(under_way: UnderWay) -> Merged:
    """Go on with a merge whose conflicts are resolved. To be called with the merge lock held.

    Also where the user has committed it already. Raises: NotUnderWay when files are still in
    conflict, or nothing is left of it; MergeRefused by the policy; MergeOutdated; GitFailed.
    """
    plan = under_way.plan
    check_sources(plan, plan.repository)
    tree = Tree(under_way.tree.path, under_way.tree.private_dir)
    left = steps.unmerged(tree)
    if left:
        raise NotUnderWay(
            f"still in conflict in {tree.path}: {some(left)}",
            tips=("resolve them there and `git add` them, then `daft merge --continue`",),
        )
    if plan.style in (Style.REBASE, Style.REBASE_MERGE):
        return _resume_apart(under_way, tree)
    head = tree.head
    if head != plan.target.oid:
        return _committed(under_way, tree, head)
    if not under_way.has_stopped:
        # What is staged may be a part of the merge only: it must not become its commit.
        raise NotUnderWay(
            f"the merge in {tree.path} broke off before it was complete",
            tips=("take it back with `daft merge --abort`, then merge again",),
        )
    if not _is_going_on(under_way, tree):
        notes.remove(tree.private_dir)
        raise NotUnderWay(f"nothing is left of the merge in {tree.path}: it was taken back")
    made = steps.commit_staged(tree, plan, steps.usual_message(plan))
    if made.commit is None:
        raise GitFailed("committing the merge", made.said, 1)
    return _done(under_way, tree, made.commit)


def _is_going_on(under_way: UnderWay, tree: Tree) -> bool:
    if under_way.plan.style is Style.MERGE:
        return tree.has("MERGE_HEAD")
    return not tree.git("diff", "--cached", "--quiet").ok


def _committed(under_way: UnderWay, tree: Tree, head: str) -> Merged:
    """The target has moved: by a commit of the merge, or by something else."""
    plan = under_way.plan
    here = plan.repository.common_dir
    has_all = plan.style is Style.SQUASH or all(
        is_ancestor(here, source.oid, head) for source in plan.sources
    )
    if not has_all or not is_ancestor(here, plan.target.oid, head):
        raise MergeOutdated(f"'{plan.target.name}' has moved")
    if tree.has("MERGE_HEAD"):  # git died after the commit, and before it had cleaned up
        git.run(tree.path, "merge", "--quit", doing="ending the merge")
    return _done(under_way, tree, head)


def _done(under_way: UnderWay, tree: Tree, commit: str) -> Merged:
    notes.remove(tree.private_dir)
    promoted = under_way.was_promoted
    return Merged(MergeResult.SUCCESS, commit, path=tree.path, promoted=promoted)


def _resume_apart(under_way: UnderWay, tree: Tree) -> Merged:
    plan = under_way.plan
    made = Made(commit=tree.head)
    if tree.is_rebasing:
        made = steps.continue_rebase(tree, plan)
        if made.conflicts:
            return Merged(
                MergeResult.CONFLICT, plan.target.oid, made.conflicts, tree.path, promoted=True
            )
        if made.commit is None:
            raise GitFailed("going on with the rebase", made.said, 1)
    commit = made.commit or ""
    here = plan.repository.common_dir
    if not is_ancestor(here, plan.target.oid, commit):
        raise NotUnderWay(
            f"{tree.path} is no longer on top of '{plan.target.name}': the rebase was taken back",
            tips=("`daft merge --abort` ends it",),
        )
    now = read_ref(plan.repository, f"refs/heads/{plan.target.name}")
    if now is not None and now != plan.target.oid and is_ancestor(here, commit, now):
        merged = Merged(MergeResult.SUCCESS, now)  # an earlier run came as far as that
    else:
        merged = _bring(plan, tree, made)
    if merged.result is not MergeResult.ABORTED:
        _take_away(plan.repository, tree)
    return merged._replace(promoted=True)


def _bring(plan: Merging, tree: Tree, made: Made) -> Merged:
    """Bring what the user has resolved to the target; their worktree stays at it until then."""
    if plan.style is not Style.REBASE_MERGE:
        return finish(plan, tree, made)
    common_dir = plan.repository.common_dir
    with hidden_worktree(common_dir, plan.target.oid, os.path.basename(tree.path)) as hidden:
        return finish(plan, Tree(hidden.path, hidden.private_dir, (hidden.fd,)), made)


def abandon(under_way: UnderWay) -> tuple[str, ...]:
    """Take a merge back, with the worktree that was made for it; return what could not be.

    Raises: NotUnderWay when it is committed; GitFailed.
    """
    plan = under_way.plan
    tree = Tree(under_way.tree.path, under_way.tree.private_dir)
    left: tuple[str, ...] = ()
    if plan.style in (Style.REBASE, Style.REBASE_MERGE):
        if tree.is_rebasing:
            git.run(tree.path, "rebase", "--abort", doing="taking the rebase back")
    else:
        if tree.head != plan.target.oid:
            raise NotUnderWay(
                f"the merge into '{plan.target.name}' is committed, or that has moved",
                tips=("`daft merge --continue` ends it", "`daft merge --quit` only forgets it"),
            )
        left = steps.undo(tree)
    told = tuple(f"{os.path.join(tree.path, one)} still has changes" for one in left)
    if not under_way.was_promoted:
        notes.remove(tree.private_dir)
    elif not _take_away(plan.repository, tree):
        told = (*told, f"the worktree {tree.path} stays: you stand in it, or it holds something")
    return told


def forget(under_way: UnderWay) -> None:
    """End a merge and leave everything in its worktree as it is. Raises: GitFailed."""
    tree = Tree(under_way.tree.path, under_way.tree.private_dir)
    if tree.is_rebasing:
        git.run(tree.path, "rebase", "--quit", doing="leaving the rebase")
    elif tree.has("MERGE_HEAD"):
        git.run(tree.path, "merge", "--quit", doing="leaving the merge")
    notes.remove(tree.private_dir)


def _take_away(repository: Repository, tree: Tree) -> bool:
    """Remove a worktree, and what was noted beside it; False when it stays, because it is used.

    It does when one stands in it, or when anything in it is not committed.
    """
    now = repository.refreshed()
    is_used = now.current is not None and now.current.path == tree.path
    if not is_used and not is_absent(tree.path):
        # Ignored files as well: somebody may have put an `.env` there.
        status = read_status(tree.path, with_ignored=True)
        is_used = bool(status.size or status.ignored)
    # Its note goes with it: whoever is killed before can do the same again.
    if not is_used:
        words = ("worktree", "remove", "--", tree.path)
        is_used = not git.attempt(repository.common_dir, *words).ok
    notes.remove(tree.private_dir)
    parent = os.path.dirname(tree.path)
    if is_below(parent, repository.project_root):  # elsewhere it is the user's
        remove_empty([parent])
    return not is_used
