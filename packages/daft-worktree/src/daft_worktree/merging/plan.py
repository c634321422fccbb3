"""Deciding what is merged into what, and how. Nothing is touched here."""

from __future__ import annotations

from .. import git
from ..branches import Branch, Refs, read_refs, resolve_commit
from ..errors import BranchNotFound, MergeRefused, NoCommits
from ..finding import find, is_path
from ..names import similar
from ..repository import Repository, refuse_odd_places
from ..worktrees import Worktree
from .checks import checked_out
from .rules import MergeOptions, MergeSource, Merging, Policy, Style, choose_style


def plan_merge(
    repository: Repository,
    words: tuple[str, ...],
    *,
    into: str | None = None,
    options: MergeOptions | None = None,
) -> Merging:
    """Decide what `words` (branches, worktrees, commits) mean, and what they are merged into.

    into: a branch, or a worktree of one; None: the branch one stands on. Made without a policy,
    see `under_policy`.
    Raises: MergeRefused, BranchNotFound, NoCommits, MissingAndLocked, InsideSubmodule, MovedByHand.
    """
    refuse_odd_places(repository)
    refs = read_refs(repository)
    target = _target(repository, refs, into)
    worktree = checked_out(repository, target.name)
    sources: dict[str, MergeSource] = {}
    for word in words:
        source = _source(repository, refs, word)
        if source.is_branch and source.name == target.name:
            raise MergeRefused(f"'{target.name}' cannot be merged into itself")
        sources.setdefault(source.oid, source)
    here = repository.common_dir
    left = [one for one in sources.values() if not is_ancestor(here, one.oid, target.oid)]
    made = Merging(
        repository=repository,
        sources=tuple(left),
        contained=tuple(one for one in sources.values() if one not in left),
        target=target,
        worktree=worktree,
        style=Style.MERGE,
        is_forward=len(left) == 1 and is_ancestor(here, target.oid, left[0].oid),
        options=options or MergeOptions(),
    )
    return under_policy(made, Policy())


def under_policy(plan: Merging, policy: Policy) -> Merging:
    """Return the plan as `policy` has it made. Raises: MergeRefused."""
    if plan.is_up_to_date:
        return plan
    usual = plan.repository.settings.merge_style
    style = choose_style(
        plan.options.style,
        Style.MERGE if usual is None else Style(usual),
        policy,
        is_forward=plan.is_forward,
        sources=len(plan.sources),
    )
    if style is Style.FF and not plan.is_forward:
        raise _not_forward(plan)
    return plan._replace(style=style, policy=policy)


def is_ancestor(here: str, one: str, other: str) -> bool:
    """True when the commit `other` has all of `one`. Raises: GitFailed."""
    if one == other:
        return True
    found = git.attempt(here, "merge-base", "--is-ancestor", one, other)
    if found.code not in (0, 1):
        git.run(here, "merge-base", "--is-ancestor", one, other, doing="comparing commits")
    return found.ok


# --- what words mean ----------------------------------------------------------------------------


def _target(repository: Repository, refs: Refs, into: str | None) -> Branch:
    tips = ("name what is merged into: `daft merge … --into <branch>`",)
    if into is None:
        here = repository.current
        if here is None:
            raise MergeRefused("you stand in no worktree", tips=tips)
        if here.branch is None:
            doing = here.operation or "detached HEAD"
            raise MergeRefused(f"{here.path} is on no branch ({doing})", tips=tips)
        into = here.branch
        if into not in refs.heads:
            raise NoCommits
    branch = refs.heads.get(into) or _of_worktree(repository, refs, into)
    if branch is None:
        if into in refs.of(repository.remote):
            tracked = f"{repository.remote}/{into}"
            raise MergeRefused(
                f"there is no branch '{into}' here, only '{tracked}'",
                tips=(f"make it first: `git branch --track {into} {tracked}`",),
            )
        raise BranchNotFound(into, similar(into, list(refs.heads)))
    # Moving it would move, or cut off, the branch that it is only another name of.
    alias = git.attempt(
        repository.common_dir, "symbolic-ref", "--short", "-q", f"refs/heads/{branch.name}"
    )
    if alias.ok:
        raise MergeRefused(
            f"'{branch.name}' is only another name of '{alias.out}'",
            tips=(f"merge into that: `--into {alias.out}`",),
        )
    return branch


def _of_worktree(repository: Repository, refs: Refs, word: str) -> Branch | None:
    found = find(
        list(repository.worktrees), word, cwd=repository.cwd, project_root=repository.project_root
    )
    return None if found is None or found.branch is None else refs.heads.get(found.branch)


def _source(repository: Repository, refs: Refs, word: str) -> MergeSource:
    branch = None if is_path(word) else refs.heads.get(word)
    if branch is None:
        branch = _of_worktree(repository, refs, word)
    if branch is not None:
        return MergeSource(branch.name, branch.oid, True, _tree_of(repository, branch.name))
    here = repository.current
    oid = resolve_commit(repository, word, where=None if here is None else here.path)
    if oid is None:
        known = [*refs.heads, *(f"{repository.remote}/{one}" for one in refs.of(repository.remote))]
        near = similar(word, known)
        raise MergeRefused(
            f"'{word}' is no branch, worktree or commit",
            tips=(f"similar: {', '.join(near)}",) if near else (),
        )
    return MergeSource(word, oid, False)


def _tree_of(repository: Repository, branch: str) -> Worktree | None:
    found = repository.worktree_of(branch)
    return None if found is None or found.missing or found.is_bare else found


def _not_forward(plan: Merging) -> MergeRefused:
    (source,) = plan.sources
    target = plan.target.name
    tree = source.worktree
    where = f"git -C {tree.path}" if tree is not None else "git"
    behind = f"`{where} rebase {target}{'' if tree is not None else f' {source.name}'}`"
    return MergeRefused(
        f"'{target}' cannot move forward to '{source.name}', which lacks some of its commits",
        tips=(f"bring it up to date first: {behind}",),
    )
