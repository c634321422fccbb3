"""Deciding how a branch gets another name, and its worktree another place. Nothing is touched."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import layouts, places
from .branches import Branch, Refs, default_branch, read_refs, resolve_commit
from .changes import has_submodules
from .errors import BadPath, BranchExists, CannotRename, NoCommits, NoWorktree, PathTaken
from .finding import find, is_path
from .git import attempt
from .layouts import Layout
from .names import check_branch_name, check_no_conflict, similar
from .repository import Repository, refuse_odd_places
from .worktrees import Worktree, holds_worktree, is_below, same_path


class RemoteRename(NamedTuple):
    """What happens to the branch of the same work on a remote.

    old, new: its names there. seen: where it was last seen. has_news: commits go there with it
    that it does not have.
    """

    remote: str
    old: str
    new: str
    seen: str
    has_news: bool


class Renaming(NamedTuple):
    """A branch that can be renamed.

    worktree: the one that has it, None for none. path: where that goes, None when it stays;
    then `stays` says why, or is empty where that is no wonder. remote: None when nothing happens
    there; then `remote_stays` says why, or is empty.
    """

    repository: Repository
    branch: Branch
    new: str
    worktree: Worktree | None
    path: str | None = None
    stays: str = ""
    remote: RemoteRename | None = None
    remote_stays: str = ""

    @property
    def renamed(self) -> Worktree | None:
        """The worktree as it will be."""
        if self.worktree is None:
            return None
        return self.worktree._replace(branch=self.new, path=self.path or self.worktree.path)


def plan_rename(
    repository: Repository,
    word: str,
    new: str,
    *,
    layout: Layout,
    data_dir: str,
    force: bool = False,
    remote: bool = True,
) -> Renaming:
    """Decide how the branch that `word` means (its name, or its worktree's path) becomes `new`.

    Its worktree goes where the layout places `new`, if it is where the layout places it now; a
    place of the user's choice stays. force: also the default branch, here only. remote: also the
    branch it follows, where that goes by the same name.
    Raises: CannotRename, NoWorktree, BadBranchName, BranchExists, BranchConflict, CaseConflict,
    NoCommits, PathTaken, BadPath, BadLayout, InsideSubmodule.
    """
    refuse_odd_places(repository)
    check_branch_name(new)
    refs = read_refs(repository)
    name, worktree = _meaning(repository, word, refs)
    if name == new:
        raise CannotRename(name, "it has that name already")
    branch = refs.heads.get(name)
    if branch is None:
        raise NoCommits
    if new in refs.heads:
        raise BranchExists(new)
    others = [one for one in refs.heads if one != name]
    check_no_conflict(new, others, ignore_case=repository.settings.ignore_case)
    is_default = name == default_branch(repository, refs)
    if is_default and not force:
        raise CannotRename(
            name, "it is the default branch", "`--force` renames it here, and only here"
        )
    _check_free(repository, name, worktree)
    planned = Renaming(repository, branch, new, worktree)
    if worktree is not None:
        planned = _placed(planned, worktree, layout, data_dir)
    if not remote or not branch.remote or branch.gone or branch.upstream not in refs.remotes:
        return planned
    if is_default:
        stays = f"the default branch of '{branch.remote}' keeps its name"
        return planned._replace(remote_stays=stays)
    return _with_remote(planned, refs)


def _meaning(repository: Repository, word: str, refs: Refs) -> tuple[str, Worktree | None]:
    """Return the branch that is meant, and the worktree that has it. Raises: CannotRename, …"""
    worktree = find(
        list(repository.worktrees), word, cwd=repository.cwd, project_root=repository.project_root
    )
    if worktree is not None and not is_path(word):
        has_it = word in (worktree.branch, worktree.paused_branch)
        if word in refs.heads and not has_it:
            return word, None  # a directory of that name has another branch by now
    if worktree is None:
        if word in refs.heads:
            return word, None
        if is_path(word):
            raise NoWorktree(f"no worktree at {word}", tips=("`daft list` shows them",))
        near = ", ".join(similar(word, refs.heads))
        raise NoWorktree(f"branch '{word}' not found", tips=(f"similar: {near}",) if near else ())
    if worktree.operation is not None:
        raise CannotRename(
            worktree.label,
            f"it is in the middle of a {worktree.operation}",
            f"finish or abort that first, in {worktree.path}",
        )
    if worktree.branch is None:
        raise CannotRename(
            worktree.label,
            "it has a detached HEAD, so there is no branch to rename",
            f"give it one: `git -C {worktree.path} switch -c <branch>`",
        )
    return worktree.branch, worktree


def _check_free(repository: Repository, name: str, mine: Worktree | None) -> None:
    """Refuse a branch that somebody else works on. Raises: CannotRename."""
    for one in repository.worktrees:
        if one.is_bare or one == mine:
            continue
        if one.branch == name:
            raise CannotRename(name, f"it is checked out at {one.path} as well")
        if one.paused_branch == name:
            raise CannotRename(name, f"a {one.operation} works on it at {one.path}")


# --- where the worktree goes --------------------------------------------------------------------


def _placed(planned: Renaming, worktree: Worktree, layout: Layout, data_dir: str) -> Renaming:
    """Return the plan with a place for the worktree. Raises: CannotRename, PathTaken, BadPath."""
    repository, name = planned.repository, planned.branch.name
    if worktree.missing:
        raise CannotRename(
            name,
            f"its worktree is not at {worktree.path} any more",
            f"make it anew with `daft go {name}`, or `git worktree repair <path>` if it was moved",
        )
    if worktree.is_main:
        return planned._replace(stays="the main working tree stays where it is")
    root = repository.project_root
    home = layouts.path_for(layout, name, root=root, data_dir=data_dir)
    if not same_path(home, worktree.path):
        return planned._replace(stays="it is not where the layout would place it")
    path = layouts.path_for(layout, planned.new, root=root, data_dir=data_dir)
    if same_path(path, worktree.path):
        return planned
    _check_movable(repository, worktree)
    try:
        _check_place(repository, worktree, path)
    except (PathTaken, BadPath) as error:
        error.tips = ("choose another name, or clear the place first",)
        raise
    return planned._replace(path=path)


def _check_movable(repository: Repository, worktree: Worktree) -> None:
    """Refuse to move what must not be, or what git would not. Raises: CannotRename."""
    name, path = worktree.label, worktree.path
    if worktree.locked is not None:
        because = f": {worktree.locked}" if worktree.locked else ""
        raise CannotRename(
            name, f"its worktree is locked{because}", f"`git worktree unlock {path}` first"
        )
    if os.path.islink(path) or not holds_worktree(worktree, repository.common_dir):
        raise CannotRename(name, f"{path} does not hold this worktree; it was not touched")
    if os.path.ismount(path):
        raise CannotRename(name, f"another file system is mounted at {path}")
    for other in repository.worktrees:
        if not other.is_bare and not other.missing and is_below(other.path, path):
            raise CannotRename(name, f"its worktree holds the one of '{other.label}'")
    if has_submodules(worktree.private_dir):
        modules = os.path.join(worktree.private_dir, "modules")
        names = ", ".join(sorted(_submodules(path))) or "see `git submodule status`"
        raise CannotRename(
            name,
            f"git moves no worktree with submodules: {names}",
            f"`git -C {path} submodule deinit --all`, then delete {modules} "
            "when nothing in it is needed",
        )


def _submodules(path: str) -> list[str]:
    listed = attempt(path, "ls-files", "-s", "-z")
    entries = (one.partition("\t") for one in listed.out.split("\0"))
    return [name for facts, _, name in entries if facts.startswith("160000 ")]


def _check_place(repository: Repository, worktree: Worktree, path: str) -> None:
    """Refuse a place that is not free. Raises: PathTaken, BadPath, CannotRename."""
    if is_below(path, worktree.path):
        # What is there now is the worktree's own, and moves with it.
        places.check_length(path)
        return
    if is_below(worktree.path, path):
        _refuse_neighbours(path, worktree.path)
    else:
        places.check_place(repository, path, chosen=False)
    for other in repository.worktrees:
        outside = other.is_bare or other.is_main or other.missing or other == worktree
        if not outside and is_below(path, other.path):
            raise BadPath(f"{path} is inside the worktree of '{other.label}'")
    if os.stat(worktree.path).st_dev != os.stat(_existing(path)).st_dev:
        raise CannotRename(
            worktree.label,
            f"{path} is on another file system",
            "make a new worktree there instead: `daft start`, and `daft remove` the old one",
        )


def _refuse_neighbours(path: str, inner: str) -> None:
    """Refuse a directory that holds anything besides the way to `inner`. Raises: PathTaken."""
    here = os.path.realpath(inner)
    while not same_path(here, path):
        directory, name = os.path.split(here)
        if set(os.listdir(directory)) - {name}:
            raise PathTaken(path)
        here = directory


def _existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


# --- the branch on the remote -------------------------------------------------------------------


def _with_remote(planned: Renaming, refs: Refs) -> Renaming:
    """Return the plan with what happens on the remote. Raises: CannotRename."""
    branch, new = planned.branch, planned.new
    there = _name_there(branch, new)
    if there is None:
        followed = f"{branch.remote}/{branch.remote_ref}"
        return planned._replace(remote_stays=f"{followed} has a name of its own, and keeps it")
    alone = "leave the remote alone with `--no-remote`"
    prefix = branch.upstream.removesuffix(branch.remote_ref)
    if f"{prefix}{there}" in refs.remotes:
        raise CannotRename(branch.name, f"'{branch.remote}' has a branch '{there}' already", alone)
    seen = refs.remotes[branch.upstream]
    if seen != branch.oid and not _contains(planned.repository, branch.oid, seen):
        raise CannotRename(
            branch.name,
            f"{branch.remote}/{branch.remote_ref} has commits that it has not",
            f"pull them first, or {alone}",
        )
    remote = RemoteRename(
        branch.remote, branch.remote_ref, there, seen, has_news=seen != branch.oid
    )
    return planned._replace(remote=remote)


def _name_there(branch: Branch, new: str) -> str | None:
    """Return the new name on the remote: as here, or below the same prefix; None for another."""
    if branch.remote_ref == branch.name:
        return new
    if branch.remote_ref.endswith(f"/{branch.name}"):
        return f"{branch.remote_ref.removesuffix(branch.name)}{new}"
    return None


def _contains(repository: Repository, oid: str, other: str) -> bool:
    if resolve_commit(repository, other) is None:
        return False
    return attempt(repository.common_dir, "merge-base", "--is-ancestor", other, oid).ok
