"""Finding the repository one stands in, and what is known of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .errors import GitFailed, InsideSubmodule, NotARepository
from .settings import Settings, read_settings
from .worktrees import Worktree, containing, list_worktrees


class Repository(NamedTuple):
    """A repository as seen from a directory.

    common_dir: the git directory all worktrees share, links resolved.
    project_root: the directory that carries the repository.
    current: the worktree the caller stands in; None at the root of a bare layout.
    """

    common_dir: str
    project_root: str
    is_bare: bool
    worktrees: tuple[Worktree, ...]
    current: Worktree | None
    settings: Settings
    cwd: str

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
        worktrees = tuple(list_worktrees(self.common_dir))
        return self._replace(worktrees=worktrees, current=containing(list(worktrees), self.cwd))


def discover(start: str) -> Repository:
    """Return the repository that `start` is in.

    Raises: NotARepository; GitFailed with git's own words when it refuses (another user's
    repository); GitMissing.
    """
    start = os.path.abspath(start)
    found = git.attempt(start, "rev-parse", "--path-format=absolute", "--git-common-dir")
    if not found.ok:
        if "not a git repository" in found.err:
            raise NotARepository(start)
        raise GitFailed("looking for the repository", found.err, found.code)
    common_dir = os.path.realpath(found.out)
    worktrees = tuple(list_worktrees(common_dir))
    is_bare = bool(worktrees) and worktrees[0].is_bare
    return Repository(
        common_dir=common_dir,
        project_root=_project_root(common_dir, worktrees),
        is_bare=is_bare,
        worktrees=worktrees,
        current=containing(list(worktrees), start),
        settings=read_settings(common_dir),
        cwd=start,
    )


def refuse_submodule(repository: Repository) -> None:
    """Refuse to change worktrees of a submodule. Raises: InsideSubmodule."""
    head, found, _ = repository.common_dir.partition("/.git/modules/")
    if found:
        raise InsideSubmodule(head)


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
