"""Worktrees for the time of a merge, where nobody sees them; gone afterwards, also after a crash.

Each has a note beside it, locked by whoever uses it and by its git. A note that nobody holds is a
crash: what it tells of goes. A tree that is brought to light loses its note, and is the user's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import git, held_notes, places
from .errors import BadPath, CannotWrite, GitFailed, LockTimeout, PathTaken
from .lock import worktree_lock
from .records import records
from .repository import Repository
from .worktrees import is_below, same_path

_NOTE = ".note"


class HiddenTree:
    """A worktree without a branch that goes away unless it is brought to light.

    path: where it is now. note, fd: what keeps it, and the lock on that; its git holds it as well.
    """

    def __init__(self, common_dir: str, path: str, note: str, fd: int) -> None:
        self._common_dir = common_dir
        self.note = note
        self.path = path
        self.fd = fd
        self.is_kept = False

    @property
    def private_dir(self) -> str:
        """Its own git directory."""
        for record in records(self._common_dir):
            if same_path(record.path, self.path):
                return record.private_dir
        raise BadPath(f"git has no worktree at {self.path} any more")

    def bring_to_light(self, repository: Repository, path: str, branch: str | None) -> None:
        """Move it to `path`, on `branch` if one is given, and leave it to the user.

        The branch must be where its HEAD is. Where `path` is taken it stays where it is.
        """
        with worktree_lock(self._common_dir):
            if branch is not None:
                git.run(
                    self.path,
                    *("symbolic-ref", "HEAD", f"refs/heads/{branch}"),
                    doing=f"putting {self.path} on '{branch}'",
                )
            self.is_kept = True
            home = os.path.dirname(self.path)
            self._move(repository, path)
            if not is_below(self.path, home):
                os.rmdir(home)
            os.unlink(self.note)

    def _move(self, repository: Repository, path: str) -> None:
        try:
            places.check_place(repository, path, chosen=False)
            if os.path.isdir(path):
                places.clear_debris(path)
            made = places.make_parents(os.path.dirname(path))
        except (PathTaken, BadPath):
            return  # not a failure of the merge: whoever is told where it is finds it there
        moved = git.attempt(self._common_dir, "worktree", "move", "--", self.path, path)
        if not moved.ok:  # submodules, or another file system
            places.remove_empty(made)
            return
        self.path = path
        try:
            places.keep_out_of_status(repository, path)
        except CannotWrite:
            return  # the status of the main worktree shows it, which does no harm


@contextmanager
def hidden_worktree(common_dir: str, commit: str, name: str) -> Iterator[HiddenTree]:
    """Make a worktree at `commit` for the body. name: of its directory, wherever it will be.

    Raises: GitFailed, CannotWrite, LockTimeout.
    """
    home = held_notes.fresh_path(_directory(common_dir))
    path = os.path.join(home, name)
    note = home + _NOTE
    # One lock for both: a note that is not locked yet would be a crash for another run.
    with worktree_lock(common_dir):
        fd = held_notes.make(note)
        try:
            tree = HiddenTree(common_dir, path, note, fd)
            _add(common_dir, path, commit, fd)
        except BaseException:
            _remove(common_dir, home)
            _let_go(fd, note)
            raise
    try:
        yield tree
    finally:
        _end(common_dir, home, tree)


def has_unfinished(common_dir: str) -> bool:
    """True when one is in use, or was when its run died."""
    return bool(_notes(common_dir))


def recover(common_dir: str) -> int:
    """Remove what dead runs have left; return how many. With the worktree lock held."""
    gone = 0
    for note, _ in held_notes.of_the_dead(_notes(common_dir)):
        _remove(common_dir, note.removesuffix(_NOTE))
        os.unlink(note)
        gone += 1
    return gone


def _directory(common_dir: str) -> str:
    return os.path.join(common_dir, ".daft", "merging")


def _notes(common_dir: str) -> list[str]:
    return held_notes.paths(_directory(common_dir), _NOTE)


def _add(common_dir: str, path: str, commit: str, fd: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Without git's own hooks: they set up worktrees for people.
    added = git.attempt(
        common_dir,
        *("-c", f"core.hooksPath={os.devnull}"),
        *("worktree", "add", "--quiet", "--detach", "--", path, commit),
        inherited=(fd,),
    )
    if not added.ok:
        raise GitFailed("making a worktree for the merge", added.err, added.code)


def _end(common_dir: str, home: str, tree: HiddenTree) -> None:
    """Take the tree away, unless it is the user's by now."""
    if tree.is_kept:
        os.close(tree.fd)
        return
    try:
        with worktree_lock(common_dir):
            _remove(common_dir, home)
            _let_go(tree.fd, tree.note)
    except LockTimeout:
        os.close(tree.fd)  # nobody holds its note now: the next run takes both away


def _let_go(fd: int, note: str) -> None:
    os.close(fd)
    os.unlink(note)


def _remove(common_dir: str, home: str) -> None:
    for record in records(common_dir):
        if is_below(record.path, home):
            # Twice: git locks a worktree while it makes it.
            words = ("worktree", "remove", "--force", "--force", "--", record.path)
            git.attempt(common_dir, *words)
    places.delete_tree(home)
