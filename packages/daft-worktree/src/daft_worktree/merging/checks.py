"""Whether a merge may be made now: everything as planned, and as the repository wants it."""

from __future__ import annotations

from ..branches import read_refs
from ..changes import read_status
from ..errors import MergeOutdated, MergeRefused, MissingAndLocked
from ..repository import Repository
from ..worktrees import Worktree, same_path
from .rules import Merging, Policy


def check(plan: Merging) -> None:
    """Look whether everything is as planned, and as the policy wants it; touch nothing.

    Raises: MergeOutdated for what has moved, MergeRefused.
    """
    repository = plan.repository.refreshed()
    refs = read_refs(repository)
    for name, oid in [
        (plan.target.name, plan.target.oid),
        *((one.name, one.oid) for one in plan.sources if one.is_branch),
    ]:
        now = refs.heads.get(name)
        if now is None or now.oid != oid:
            raise MergeOutdated(f"'{name}' has {'moved' if now is not None else 'gone'}")
    holder = checked_out(repository, plan.target.name)
    if (holder is None) != (plan.worktree is None) or (
        holder is not None
        and plan.worktree is not None
        and not same_path(holder.path, plan.worktree.path)
    ):
        raise MergeOutdated(f"'{plan.target.name}' is checked out elsewhere")
    if holder is not None:
        _check_target(plan.target.name, holder)
    check_sources(plan, repository)


def check_sources(plan: Merging, repository: Repository) -> None:
    """Look whether the worktrees of the sources are as the policy wants them.

    Raises: MergeRefused.
    """
    if plan.policy.clean_source:
        for source in plan.sources:
            _check_source(source.name, repository.worktree_of(source.name), plan.policy)


def checked_out(repository: Repository, branch: str) -> Worktree | None:
    """Return where a branch is checked out. Raises: MergeRefused, MissingAndLocked."""
    trees = [one for one in repository.worktrees if one.branch == branch and not one.is_bare]
    if len(trees) > 1:
        paths = ", ".join(one.path for one in trees)
        raise MergeRefused(f"'{branch}' is checked out in {len(trees)} worktrees: {paths}")
    found = trees[0] if trees else repository.worktree_of(branch)
    if found is None or found.is_bare:
        return None
    if found.missing:
        if found.locked is not None:
            raise MissingAndLocked(found.label, found.path, found.locked)
        return None
    return found


def _check_target(name: str, tree: Worktree) -> None:
    if tree.operation is not None:
        raise MergeRefused(
            f"'{name}' is in the middle of a {tree.operation}, in {tree.path}",
            tips=("finish that first; a merge of daft's: `daft merge --continue` or `--abort`",),
        )
    status = read_status(tree.path)
    if status.tracked:
        raise MergeRefused(
            f"'{name}' has uncommitted changes in {tree.path}: {some(status.tracked)}",
            tips=("commit or stash them; left by a merge that was killed: `daft merge --abort`",),
        )


def _check_source(name: str, tree: Worktree | None, policy: Policy) -> None:
    if tree is None or tree.missing or tree.is_bare:
        return
    wants = "`merge: {source_worktree: clean}` in daft.yml"
    if tree.operation is not None:
        raise MergeRefused(f"{wants}: '{name}' is in the middle of a {tree.operation}")
    status = read_status(tree.path)
    untracked = [one for one in status.untracked if one not in policy.overlooked]
    if status.tracked or untracked:
        raise MergeRefused(
            f"{wants}: {tree.path} holds what is not committed: "
            f"{some((*status.tracked, *untracked))}",
            tips=("commit, stash or ignore it: gates should see what is merged",),
        )


def some(names: tuple[str, ...]) -> str:
    """Return the first of some paths, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
