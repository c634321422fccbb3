"""What runs that died half way have left, and how it is put right.

A creation notes down what it is about to make and removes the note when it is done. Its git holds
a lock on the note as well, so that one which outlives us is left to finish.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from . import ephemeral, git, held_notes, relocation, rename_notes, staging, trash
from .branches import drop_branch
from .errors import CannotWrite, LockTimeout
from .lock import worktree_lock
from .records import read_text, records
from .relocation import Interrupted
from .repository import Repository
from .worktrees import same_path


class Note(NamedTuple):
    """What a creation is about to make. start: where a new branch begins, "" for an old one."""

    path: str
    branch: str
    start: str


@contextmanager
def noted(common_dir: str, note: Note) -> Iterator[int]:
    """Keep a note for the body; give a descriptor that whoever works on it holds open.

    Raises: CannotWrite.
    """
    path = held_notes.fresh_path(_directory(common_dir))
    fd = held_notes.make(path)
    try:
        try:
            os.write(fd, os.fsencode("\0".join(note)))
        except OSError as error:
            raise CannotWrite(path, error.strerror or str(error)) from error
        yield fd
    finally:
        os.close(fd)
        os.unlink(path)


def put_right(
    repository: Repository,
    tell: Callable[[str], None],
    follow: Callable[[Interrupted], None] = lambda _: None,
) -> Repository:
    """Finish or undo what dead runs have left; return the repository as it is then.

    tell: gets a sentence for each thing that was put right. follow: does what else belongs to a
    rename that died. Costs five looks at directories when there is nothing, and nothing is done
    while another run changes worktrees.
    Raises: CannotWrite, RemoveFailed.
    """
    common_dir = repository.common_dir
    if staging.has_leftovers(common_dir):
        staging.clear_leftovers(common_dir)
    kept = (_notes, rename_notes.left, trash.has_unfinished, ephemeral.has_unfinished)
    if not any(has_some(common_dir) for has_some in kept):
        return repository
    try:
        with worktree_lock(common_dir, timeout_s=0):
            for path in trash.recover(common_dir):
                tell(f"a removal had been interrupted: {path} is back")
            undo_creations(repository, tell)
            relocation.settle(repository, tell, follow)
            if ephemeral.recover(common_dir):
                tell("a merge had been interrupted; its temporary worktree was removed")
    except LockTimeout:
        return repository  # whoever works there puts it right, or is what we have seen
    return repository.refreshed()


def undo_creations(repository: Repository, tell: Callable[[str], None]) -> None:
    """Undo creations that died half way. To be called with the worktree lock held."""
    for path, _ in held_notes.of_the_dead(_notes(repository.common_dir)):
        words = (read_text(path) or "").split("\0")
        if len(words) == len(Note._fields) and _undo(repository, Note(*words)):
            tell(f"making the worktree of '{words[1]}' had been interrupted; it was undone")
        os.unlink(path)


def _undo(repository: Repository, note: Note) -> bool:
    """Remove what is half made; False when there is nothing of it, or all of it."""
    common_dir = repository.common_dir
    found = [one for one in records(common_dir) if same_path(one.path, note.path)]
    if any(one.locked is None for one in found):
        return False  # git unlocks it when it is complete
    for record in found:
        # Twice: git locks a worktree while it makes it.
        git.attempt(common_dir, "worktree", "remove", "--force", "--force", "--", record.path)
    dropped = note.start != "" and drop_branch(repository, note.branch, note.start) is None
    return bool(found) or dropped


def _directory(common_dir: str) -> str:
    return os.path.join(common_dir, ".daft", "creating")


def _notes(common_dir: str) -> list[str]:
    return held_notes.paths(_directory(common_dir))
