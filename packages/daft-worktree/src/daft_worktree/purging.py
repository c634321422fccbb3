"""Deleting a whole repository: what that takes away for good is found out first.

A plan touches nothing. The linked worktrees go as any removal takes them; then what is left, the
main working tree and the git directory, leaves its place in one step and is deleted there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from . import git
from .branches import is_on_a_ref, local_branches
from .clearance import plan_removal
from .errors import RemoveFailed
from .guards import IsNoLoss, Refusal, check_contents
from .lock import worktree_lock
from .places import clear_debris, delete_tree, is_debris, mounts_below
from .records import is_absent, read_text
from .removal import Target
from .repository import Repository, refuse_odd_places
from .worktrees import Worktree, is_below, list_worktrees, same_path


class Purge(NamedTuple):
    """What is to go with a repository.

    targets: its linked worktrees. main: its main working tree, None for a bare one. losses: what
    exists nowhere else, as far as the remotes were fetched, a line each for people.
    """

    repository: Repository
    targets: tuple[Target, ...]
    main: Worktree | None
    losses: tuple[str, ...]


def plan_purge(
    repository: Repository,
    *,
    spared: Sequence[str] = (),
    replaceable: tuple[str, ...] = (),
    is_no_loss: IsNoLoss | None = None,
) -> Purge:
    """Find out what deleting a repository would take away. No network, nothing is touched.

    spared: places that must not go with it, such as the user's home. replaceable, is_no_loss: as
    for a removal.
    Raises: Refused, InsideSubmodule, MovedByHand, RemoveFailed for what must not be deleted, also
    when all that is lost may be.
    """
    refuse_odd_places(repository)
    linked = [one for one in repository.worktrees if not one.is_bare and not one.is_main]
    targets = plan_removal(
        repository, tuple(one.path for one in linked), force=True, keep_branch=True
    )
    main = repository.main
    _refuse(repository, [one.path for one in linked], spared)
    losses = [
        *_lost_files(repository, replaceable, is_no_loss),
        *_lost_commits(repository),
        *_lost_shared(repository.common_dir),
    ]
    return Purge(repository, targets, main, tuple(losses))


def delete_rest(purge: Purge) -> tuple[str, ...]:
    """Delete the main working tree and the git directory, when the linked worktrees are gone.

    Returns: a line for whatever is left, and why.
    Raises: RemoveFailed, with nothing deleted here; LockTimeout.
    """
    repository, main = purge.repository, purge.main
    with worktree_lock(repository.common_dir):
        left = [
            one.path
            for one in list_worktrees(repository.common_dir)
            if not one.is_bare and not one.is_main
        ]
        if left:
            raise RemoveFailed(f"{repository.common_dir} was kept: it has the worktree {left[0]}")
        doomed = [repository.common_dir]
        if main is not None:
            # The git directory last, if it is elsewhere: without it nobody knew what the tree is.
            is_inside = is_below(repository.common_dir, main.path)
            doomed = [main.path] if is_inside else [main.path, repository.common_dir]
        aside = _move_aside([path for path in doomed if not is_absent(path)])
    notes = [
        f"{path} could not be deleted completely; delete it by hand"
        for path in aside
        if not delete_tree(path)
    ]
    root = repository.project_root
    if os.path.isdir(root):
        if is_debris(root):
            clear_debris(root)
        else:
            notes.append(f"{root} was kept: it holds other files")
    return tuple(notes)


# --- what forbids it ----------------------------------------------------------------------------


def _refuse(repository: Repository, linked: Sequence[str], spared: Sequence[str]) -> None:
    for path in _places(repository):
        if os.path.islink(path):
            raise RemoveFailed(f"{path} is a symbolic link; nothing was deleted")
        mounted = mounts_below(path)
        if mounted:
            raise RemoveFailed(f"another file system is mounted at {mounted[0]}: unmount it first")
    for path in (*linked, *_places(repository)):
        for place in spared:
            if same_path(place, path) or is_below(place, path):
                raise RemoveFailed(f"{place} would be deleted with {path}; nothing was deleted")


def _places(repository: Repository) -> list[str]:
    main = repository.main
    return [repository.common_dir, *([] if main is None else [main.path])]


def _move_aside(paths: Sequence[str]) -> list[str]:
    """Take directories out of their places, each in one step; return where they are now.

    Raises: RemoveFailed, with all of them where they were.
    """
    moved: list[tuple[str, str]] = []
    for path in paths:
        parent, name = os.path.split(path.rstrip(os.sep))
        aside = os.path.join(parent, f".{name[:100]}.deleted-{os.urandom(4).hex()}")
        try:
            os.rename(path, aside)
        except OSError as error:
            for origin, place in reversed(moved):
                os.rename(place, origin)
            raise RemoveFailed(f"{path} cannot be deleted: {error.strerror}") from error
        moved.append((path, aside))
    return [aside for _, aside in moved]


# --- what is lost -------------------------------------------------------------------------------


def _lost_files(
    repository: Repository, replaceable: tuple[str, ...], is_no_loss: IsNoLoss | None
) -> Iterator[str]:
    there = [one for one in repository.worktrees if not one.is_bare]
    for tree in there:
        if tree.branch is None and tree.head is not None:
            if not is_on_a_ref(repository, tree.head):
                yield f"{tree.label}: its commit {tree.head[:12]} is on no branch"
            tree = tree._replace(branch=tree.label)
        try:
            check_contents(repository, tree, replaceable=replaceable, is_no_loss=is_no_loss)
        except Refusal as refusal:
            yield f"{tree.label}: {refusal.reason}"
        for inner in _other_repositories(repository, tree):
            yield f"{tree.label}: another repository is in it, {inner}"


def _other_repositories(repository: Repository, tree: Worktree) -> Iterator[str]:
    """Yield repositories inside of a worktree that are neither its worktrees nor submodules."""
    own = {os.path.realpath(one.path) for one in repository.worktrees}
    for directory, names, files in os.walk(tree.path):
        if directory == tree.path:
            names[:] = [name for name in names if name != ".git"]
            continue
        if os.path.realpath(directory) in own:
            names.clear()  # looked at as a worktree
        elif ".git" in names:
            names.clear()
            yield directory
        elif ".git" in files:
            pointer = read_text(os.path.join(directory, ".git")) or ""
            target = os.path.join(directory, pointer.removeprefix("gitdir: "))
            if not is_below(target, repository.common_dir):
                names.clear()
                yield directory


def _lost_commits(repository: Repository) -> Iterator[str]:
    here = repository.common_dir
    for name in sorted(local_branches(repository)):
        count = _count(here, f"refs/heads/{name}", "--not", "--remotes")
        if count:
            yield f"branch {name}: {_commits(count)} that no remote has"
    tagged = _count(here, "--tags", "--not", "--remotes", "--branches")
    if tagged:
        yield f"tags: {_commits(tagged)} that no branch and no remote has"
    stash = git.attempt(here, "rev-list", "--walk-reflogs", "--count", "refs/stash", "--")
    if stash.ok and stash.out not in ("", "0"):
        yield f"stash: {stash.out} set(s) of changes"


def _count(here: str, *what: str) -> int:
    return int(git.run(here, "rev-list", "--count", *what, "--", doing="counting commits"))


def _commits(count: int) -> str:
    return "1 commit" if count == 1 else f"{count} commits"


def _lost_shared(common_dir: str) -> Iterator[str]:
    shared = os.path.join(common_dir, ".daft", "shared")
    names = sorted(
        os.path.relpath(os.path.join(directory, name), shared)
        for directory, _, files in os.walk(shared)
        for name in files
    )
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"shared by all worktrees: {shown}"
