"""Notes of renames that are under way: what the next run needs if this one dies.

A note is locked by whoever works on its rename, git included, so that a dead one's is told from
a living one's. It says how far the rename has come before each stage begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple

from . import held_notes
from .errors import CannotWrite
from .records import read_text


class Stage(Enum):
    """How far a rename has come. All words have one length: they are written over each other."""

    BEFORE = "before"  # hooks may have run; git knows of nothing
    MIDWAY = "midway"
    BEHIND = "behind"  # git has the new name; the rest of the work may be missing


class RenameNote(NamedTuple):
    """What a rename changes.

    oid: where the branch is. private_dir: of its worktree, "" without one. old_path, new_path:
    both "" when it stays where it is; aside: where it is for a moment in between. remote: "" when
    nothing happens there.
    """

    old: str
    new: str
    oid: str
    private_dir: str
    old_path: str
    new_path: str
    aside: str
    remote: str
    remote_old: str

    @property
    def moves(self) -> bool:
        """True when the worktree goes to another place."""
        return self.new_path != ""


class Keeper:
    """A note that is kept, and the lock on it. fd: to be held open by what works on the rename."""

    def __init__(self, path: str, fd: int) -> None:
        self._path = path
        self.fd = fd
        self.stage = Stage.BEFORE

    def write(self, stage: Stage, note: RenameNote) -> None:
        """Note how far it has come. Raises: CannotWrite."""
        data = os.fsencode("\0".join((stage.value, *note)))
        try:
            # One write of one length: whoever is killed leaves the old words or the new ones.
            os.pwrite(self.fd, data, 0)
            os.fsync(self.fd)
        except OSError as error:
            raise CannotWrite(self._path, error.strerror or str(error)) from error
        self.stage = stage

    def drop(self) -> None:
        """Remove the note: nothing is left to be done about it."""
        os.unlink(self._path)


@contextmanager
def keeping(common_dir: str, note: RenameNote) -> Iterator[Keeper]:
    """Keep a note for the body, and after it when the body ended midway. Raises: CannotWrite."""
    path = held_notes.fresh_path(_directory(common_dir))
    fd = held_notes.make(path)
    keeper = Keeper(path, fd)
    try:
        keeper.write(Stage.BEFORE, note)
        yield keeper
    finally:
        if keeper.stage is not Stage.MIDWAY:
            keeper.drop()
        os.close(fd)


def left(common_dir: str) -> bool:
    """True when a rename is under way, or has died."""
    return bool(held_notes.paths(_directory(common_dir)))


def of_the_dead(common_dir: str) -> Iterator[tuple[Keeper, RenameNote]]:
    """Yield the notes of renames nobody works on, to be settled and dropped.

    To be called with the worktree lock held. A note that says nothing is removed: it was being
    made, or is none of ours.
    """
    for path, fd in held_notes.of_the_dead(held_notes.paths(_directory(common_dir))):
        keeper = Keeper(path, fd)
        note = _read(path, keeper)
        if note is None:
            keeper.drop()
        else:
            yield keeper, note


def _read(path: str, keeper: Keeper) -> RenameNote | None:
    stage, *words = (read_text(path) or "").split("\0")
    if len(words) != len(RenameNote._fields) or stage not in [one.value for one in Stage]:
        return None
    keeper.stage = Stage(stage)
    return RenameNote(*words)


def _directory(common_dir: str) -> str:
    return os.path.join(common_dir, ".daft", "renaming")
