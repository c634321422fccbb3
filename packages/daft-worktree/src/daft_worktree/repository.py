"""Finding the repository one stands in, and what is known of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .errors import GitFailed, GitMissing, InsideSubmodule, MovedByHand, NotARepository
from .finding import containing
from .records import read_text
from .settings import Settings, read_settings
from .worktrees import Worktree, list_worktrees, same_path


class Repository(NamedTuple):
    """A repository as seen from a directory.

    common_dir: the git directory all worktrees share, links resolved.
    project_root: the directory that carries the repository.
    current: the worktree the caller stands in; None at the root of a bare layout.
    top: the top of the working tree the caller stands in, by its own word.
    """

    common_dir: str
    project_root: str
    is_bare: bool
    worktrees: tuple[Worktree, ...]
    current: Worktree | None
    settings: Settings
    cwd: str
    top: str | None = None

    @property
    def state_dir(self) -> str:
        """Where daft keeps small things of this repository."""
        return os.path.join(self.common_dir, ".daft")

    @property
    def remote(self) -> str | None:
        """The remote worked with: the configured one, or the only one there is."""
        remotes = self.settings.remotes
        if self.settings.remote in remotes:
            return self.settings.remote
        return remotes[0] if len(remotes) == 1 else None

    @property
    def main(self) -> Worktree | None:
        """The main working tree, None in a bare repository."""
        first = self.worktrees[0] if self.worktrees else None
        return first if first is not None and first.is_main else None

    def worktree_of(self, branch: str) -> Worktree | None:
        """Return the worktree that has `branch`, attached or in a paused operation."""
        for worktree in self.worktrees:
            if worktree.branch == branch:
                return worktree
        for worktree in self.worktrees:
            if worktree.paused_branch == branch:
                return worktree
        return None

    def refreshed(self) -> Repository:
        """Return the same repository with its worktrees listed again."""
        worktrees = _listed(self.common_dir, self.settings, self.top)
        return self._replace(worktrees=worktrees, current=containing(list(worktrees), self.cwd))


def discover(start: str) -> Repository:
    """Return the repository that `start` is in.

    Raises: NotARepository; GitFailed with git's own words when it refuses (another user's
    repository); GitMissing.
    """
    start = os.path.abspath(start)
    common_dir, top = _look_up(start)
    if common_dir is None:
        common_dir = _ask(start)
    settings = read_settings(common_dir)
    worktrees = _listed(common_dir, settings, top)
    first = worktrees[0] if worktrees else None
    return Repository(
        common_dir=common_dir,
        project_root=_project_root(common_dir, worktrees),
        is_bare=first is not None and first.is_bare,
        worktrees=worktrees,
        current=containing(list(worktrees), start),
        settings=settings,
        cwd=start,
        top=top,
    )


def _listed(common_dir: str, settings: Settings, top: str | None) -> tuple[Worktree, ...]:
    worktrees = tuple(list_worktrees(common_dir, settings))
    first = worktrees[0] if worktrees else None
    if top is None or first is None or not first.is_main or not _is_separate(first.path):
        return worktrees
    if any(same_path(one.path, top) for one in worktrees[1:]):
        return worktrees
    # With a separate git directory git takes that for the main working tree.
    return (first._replace(path=top, missing=False), *worktrees[1:])


def refuse_odd_places(repository: Repository) -> None:
    """Refuse to change worktrees from where that would go wrong.

    Raises: InsideSubmodule; MovedByHand in a worktree that git has on record elsewhere.
    """
    _refuse_submodule(repository)
    top, here = repository.top, repository.current
    if top is None or (here is not None and same_path(here.path, top)):
        return
    pointer = read_text(os.path.join(top, ".git"))
    if pointer is None:
        return
    own_dir = os.path.join(top, pointer.removeprefix("gitdir: "))
    for worktree in repository.worktrees:
        if worktree.worktree_id and same_path(worktree.private_dir, own_dir):
            raise MovedByHand(top, worktree.path)


def superproject_git_dir(repository: Repository) -> str | None:
    """Return the git directory of the repository, or of its worktree, that this is a submodule of.

    None for a repository of its own.
    """
    head, found, _ = repository.common_dir.rpartition(f"{os.sep}modules{os.sep}")
    return head if found and os.path.exists(os.path.join(head, "HEAD")) else None


def _refuse_submodule(repository: Repository) -> None:
    head = superproject_git_dir(repository)
    if head is None:
        return
    pointer = read_text(os.path.join(head, "gitdir"))
    raise InsideSubmodule(os.path.dirname(pointer if pointer is not None else head))


def _look_up(start: str) -> tuple[str | None, str | None]:
    """Return the common directory as files tell it, and the top of the working tree.

    (None, None) for anything but a working tree with a `.git` that git would take: git is asked
    then.
    """
    here = os.path.realpath(start)
    while True:
        dot_git = os.path.join(here, ".git")
        if os.path.isdir(dot_git):
            return (os.path.realpath(dot_git), here) if _is_git_dir(dot_git) else (None, None)
        pointer = read_text(dot_git)
        if pointer is not None and pointer.startswith("gitdir: "):
            own_dir = os.path.join(here, pointer.removeprefix("gitdir: "))
            common = read_text(os.path.join(own_dir, "commondir"))
            if common is not None:
                found = os.path.realpath(os.path.join(own_dir, common))
                return (found, here) if _is_git_dir(found) else (None, None)
            return (os.path.realpath(own_dir), here) if _is_git_dir(own_dir) else (None, None)
        parent = os.path.dirname(here)
        if parent == here or os.path.exists(os.path.join(here, "HEAD")):
            return None, None
        here = parent


def _is_git_dir(path: str) -> bool:
    return all(os.path.exists(os.path.join(path, name)) for name in ("HEAD", "objects", "refs"))


def _is_separate(path: str) -> bool:
    return not os.path.lexists(os.path.join(path, ".git")) and _is_git_dir(path)


def _ask(start: str) -> str:
    """Return the common directory as git tells it."""
    found = git.attempt(
        start, "rev-parse", "--path-format=absolute", "--git-common-dir", named=False
    )
    if not found.ok:
        if "not a git repository" in found.err:
            raise NotARepository(start)
        raise GitFailed("looking for the repository", found.err, found.code)
    if found.out.startswith("--path-format"):
        raise GitMissing("an older one")
    return os.path.realpath(found.out)


def _project_root(common_dir: str, worktrees: tuple[Worktree, ...]) -> str:
    first = worktrees[0] if worktrees else None
    if first is not None and first.is_main and os.path.exists(os.path.join(first.path, ".git")):
        return first.path
    name = os.path.basename(common_dir)
    # `.git` and hidden names such as `.bare` are carried by their parent; a plain `foo.git` is
    # a place of its own.
    if name.startswith("."):
        return os.path.dirname(common_dir)
    return common_dir
