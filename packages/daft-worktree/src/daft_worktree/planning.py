"""Deciding where a branch's worktree is, or how to make it. Nothing is touched here."""

from __future__ import annotations

import os

from . import git, layouts, places
from .branches import Refs, default_branch, read_refs, resolve_commit
from .creation import Creation, Existing
from .errors import (
    BadPath,
    BaseNotFound,
    BranchExists,
    BranchNotFound,
    MissingAndLocked,
    NoCommits,
)
from .finding import find, is_path
from .layouts import Layout
from .names import check_branch_name, check_no_conflict, similar
from .repository import Repository, refuse_odd_places


def plan_start(
    repository: Repository,
    branch: str,
    *,
    base: str | None = None,
    at: str | None = None,
    layout: Layout,
    data_dir: str,
) -> Creation:
    """Decide how to make a worktree for a new branch.

    base: any commit-ish, as the worktree one stands in understands it; None: the current branch,
    at the container root the default one.
    at: a place of the user's choice, relative to where they stand.
    Raises: BadBranchName, BranchExists, BranchConflict, CaseConflict, BaseNotFound, NoCommits,
    PathTaken, BadPath, BadLayout, InsideSubmodule.
    """
    refuse_odd_places(repository)
    check_branch_name(branch)
    refs = read_refs(repository)
    if branch in refs.heads:
        raise BranchExists(branch)
    check_no_conflict(branch, refs.heads, ignore_case=repository.settings.ignore_case)
    shown, oid = _base(repository, base, refs)
    return Creation(
        repository=repository,
        branch=branch,
        path=_place(repository, branch, at=at, layout=layout, data_dir=data_dir),
        new_branch=True,
        start=oid,
        base=shown,
        record_origin=True,
    )


def plan_visit(
    repository: Repository,
    name: str,
    *,
    at: str | None = None,
    layout: Layout,
    data_dir: str,
    asked_remote: str = "",
) -> Existing | Creation:
    """Decide how to get to the worktree that `name` means, making it if there is none.

    The first that answers wins: the path of a worktree, a worktree that has the branch or is
    paused while working on it, a local branch, a branch of the remote, the name of a worktree's
    directory. A directory deleted by hand counts as none.
    asked_remote: added to "not found", to say whether the remote was looked at.
    Raises: BranchNotFound, MissingAndLocked, NoWorktree (ambiguous), PathTaken, BadPath, …
    """
    found = _existing(repository, name)
    if found is not None and (is_path(name) or _has(found, name)):
        return _unless_placed(found, name, at)
    refuse_odd_places(repository)
    refs = read_refs(repository)
    remote = repository.remote
    remotes = refs.of(remote)
    short, note = name, ""
    if name not in refs.heads and name.removeprefix(f"{remote}/") in remotes:
        short = name.removeprefix(f"{remote}/")
        note = f"'{name}' is taken for branch '{short}' of '{remote}'" if short != name else ""
    if short not in refs.heads and short not in remotes:
        if found is not None:
            return _unless_placed(found, name, at)
        raise BranchNotFound(name, similar(name, [*refs.heads, *remotes]), asked_remote)
    if short != name:
        followed = _existing(repository, short)
        if followed is not None and _has(followed, short):
            return _unless_placed(followed._replace(note=followed.note or note), short, at)
    check_branch_name(short)
    path = _place(repository, short, at=at, layout=layout, data_dir=data_dir)
    local = refs.heads.get(short)
    upstream = None
    if short in remotes and repository.settings.upstream and not (local and local.upstream):
        upstream = f"{remote}/{short}"
    if local is not None:
        return Creation(
            repository, short, path, new_branch=False, start=local.oid, upstream=upstream
        )
    check_no_conflict(short, refs.heads, ignore_case=repository.settings.ignore_case)
    return Creation(
        repository,
        short,
        path,
        new_branch=True,
        start=remotes[short],
        base=f"{remote}/{short}",
        upstream=upstream,
    )


def _existing(repository: Repository, name: str) -> Existing | None:
    """Return the worktree that `name` means, None when there is none any more."""
    found = find(
        list(repository.worktrees), name, cwd=repository.cwd, project_root=repository.project_root
    )
    if found is None:
        return None
    if found.missing:
        if found.locked is not None:
            raise MissingAndLocked(found.label, found.path, found.locked)
        return None
    if found.locked == "initializing":
        return Existing(found, "git is still making it, or was stopped half way")
    if found.branch is None and found.paused_branch is not None:
        return Existing(found, f"a {found.operation} is paused there")
    twins = sum(one.branch is not None and one.branch == name for one in repository.worktrees)
    if twins > 1:
        return Existing(found, f"'{name}' is checked out in {twins} worktrees; this is one of them")
    return Existing(found)


def _has(found: Existing, branch: str) -> bool:
    return branch in (found.worktree.branch, found.worktree.paused_branch)


def _unless_placed(found: Existing, name: str, at: str | None) -> Existing:
    if at is not None:
        raise BadPath(
            f"--at cannot be used: '{name}' has a worktree at {found.worktree.path}",
            tips=(f"leave out --at, or remove that worktree first: `daft remove {name}`",),
        )
    return found


def _base(repository: Repository, base: str | None, refs: Refs) -> tuple[str, str]:
    """Return what the base is called, and its commit."""
    current = repository.current
    if base is None:
        if current is not None and current.head is None:
            raise NoCommits
        if current is not None and current.branch is None:
            assert current.head is not None
            return current.head[:12], current.head
        base = current.branch if current is not None else default_branch(repository, refs)
        if not refs.heads and not refs.remotes:
            raise NoCommits
        if base is None:
            raise BaseNotFound("HEAD")
    local = refs.heads.get(base)
    tracked = refs.of(repository.remote).get(base)
    if local is not None:
        if tracked is None or tracked == local.oid:
            return base, local.oid
        # The local branch when it has something of its own, else the fresher remote one.
        own = git.attempt(
            repository.common_dir, "rev-list", "--max-count=1", f"{tracked}..{local.oid}"
        )
        return base, tracked if own.ok and not own.out else local.oid
    where = current.path if current is not None else None
    oid = resolve_commit(repository, base, where=where) or tracked
    if oid is None:
        raise BaseNotFound(base, similar(base, [*refs.heads, *refs.of(repository.remote)]))
    return base, oid


def _place(
    repository: Repository, branch: str, *, at: str | None, layout: Layout, data_dir: str
) -> str:
    if at is not None:
        path = os.path.normpath(os.path.join(repository.cwd, os.path.expanduser(at)))
    else:
        path = layouts.path_for(layout, branch, root=repository.project_root, data_dir=data_dir)
    return places.check_place(repository, path, chosen=at is not None)
