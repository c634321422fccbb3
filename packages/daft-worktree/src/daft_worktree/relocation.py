"""Giving a branch another name and its worktree another place: all of it, or nothing of it.

Undoing looks at what is there instead of trusting what was done, so it serves a rename that
failed, one that was interrupted, and, by its note, one that was killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from . import git, places, trash
from .branches import read_ref
from .errors import (
    BadPath,
    BranchExists,
    CannotRename,
    CannotWrite,
    GitFailed,
    RenameFailed,
    WorktreeError,
)
from .lock import worktree_lock
from .previous import move_previous
from .records import Record, read_text, records
from .rename_notes import Keeper, RenameNote, Stage, keeping, of_the_dead
from .renaming import Renaming
from .repository import Repository
from .worktrees import Worktree, holds_worktree, is_below, same_path


class Interrupted(NamedTuple):
    """A rename that died, and how it was settled.

    is_new: the branch has its new name. text: a sentence for people. path: of its worktree now,
    "" without one; old_path: where that was before. remote, remote_old: the branch that may be
    left over there, both "" for none.
    """

    old: str
    new: str
    is_new: bool
    text: str
    path: str = ""
    old_path: str = ""
    remote: str = ""
    remote_old: str = ""


class UnderWay:
    """A rename that has begun. Nothing is changed before `carry_out`."""

    def __init__(self, planned: Renaming, note: RenameNote, keeper: Keeper) -> None:
        self._planned = planned
        self._note = note
        self._keeper = keeper

    def carry_out(self) -> Worktree | None:
        """Rename the branch, move its worktree; return that, None for a branch without one.

        What has changed since the plan is looked at again first.
        Raises: with nothing changed: CannotRename, BranchExists, PathTaken, BadPath, GitFailed,
        LockTimeout, CannotWrite; RenameFailed when that cannot be had, telling what is left.
        """
        repository = self._planned.repository
        common_dir = repository.common_dir
        with worktree_lock(common_dir):
            trash.recover(common_dir)
            self._look_again()
            self._keeper.write(Stage.MIDWAY, self._note)
            try:
                self._rename()
                self._move()
            except BaseException as error:
                self._undo(error)
                raise
            # Whoever dies before that word is found complete, and tidied up after, again.
            _tidy(repository, self._note)
            self._keeper.write(Stage.BEHIND, self._note)
        return self._planned.renamed

    def _undo(self, error: BaseException) -> None:
        try:
            undo(self._planned.repository, self._note)
        except RenameFailed as failed:
            why = f"{error}\n" if isinstance(error, WorktreeError) else ""
            raise RenameFailed(f"{why}{failed}", tips=failed.tips) from error
        self._keeper.write(Stage.BEFORE, self._note)

    def _look_again(self) -> None:
        planned, note = self._planned, self._note
        oid = read_ref(planned.repository, f"refs/heads/{note.old}")
        if oid is None:
            raise CannotRename(note.old, "it is not there any more")
        if read_ref(planned.repository, f"refs/heads/{note.new}") is not None:
            raise BranchExists(note.new)
        self._note = note._replace(oid=oid)
        worktree = planned.worktree
        if worktree is None or worktree.is_main:
            return
        record = _record(planned.repository.common_dir, note.private_dir)
        if record is None or record.branch != note.old:
            raise CannotRename(note.old, f"{worktree.path} is no longer its worktree")
        if not same_path(record.path, worktree.path):
            raise CannotRename(note.old, f"its worktree is at {record.path} by now")
        if note.moves and record.locked is not None:
            raise CannotRename(note.old, f"{worktree.path} has been locked meanwhile")
        if note.moves and not holds_worktree(worktree, planned.repository.common_dir):
            raise CannotRename(note.old, f"{worktree.path} does not hold this worktree any more")

    def _rename(self) -> None:
        git_words = ("branch", "-m", "--", self._note.old, self._note.new)
        self._git(*git_words, doing=f"renaming branch '{self._note.old}'")

    def _move(self) -> None:
        note, repository = self._note, self._planned.repository
        if not note.moves:
            return
        places.keep_out_of_status(repository, note.new_path)
        source = note.old_path
        if note.aside:
            self._git_move(source, note.aside)
            source = note.aside
            places.remove_empty_between(os.path.dirname(note.old_path), note.new_path)
        places.refuse_taken(note.new_path, ())
        if os.path.isdir(note.new_path):
            places.clear_debris(note.new_path)  # git would put the worktree into it
        places.make_parents(os.path.dirname(note.new_path))
        self._git_move(source, note.new_path)

    def _git_move(self, source: str, target: str) -> None:
        words = ("worktree", "move", "--", source, target)
        self._git(*words, doing=f"moving the worktree to {target}")

    def _git(self, *words: str, doing: str) -> None:
        common_dir = self._planned.repository.common_dir
        done = git.attempt(common_dir, *words, inherited=(self._keeper.fd,))
        if not done.ok:
            raise GitFailed(doing, done.err or done.out, done.code)


@contextmanager
def under_way(planned: Renaming) -> Iterator[UnderWay]:
    """Begin a rename: until the body ends there is a note of it, for the next run if we die.

    The body does what belongs to it before and after. Raises: CannotWrite.
    """
    note = _note_of(planned)
    with keeping(planned.repository.common_dir, note) as keeper:
        yield UnderWay(planned, note, keeper)


def _note_of(planned: Renaming) -> RenameNote:
    worktree, path = planned.worktree, planned.path
    old_path = worktree.path if worktree is not None and path is not None else ""
    aside = ""
    if path is not None and (is_below(path, old_path) or is_below(old_path, path)):
        # git cannot move a directory into itself; beside the outer one there is room.
        outer = path if is_below(old_path, path) else old_path
        name = f".daft-{os.path.basename(outer)[:100]}-{os.getpid()}"
        aside = os.path.join(os.path.dirname(outer), name)
    remote = planned.remote
    return RenameNote(
        old=planned.branch.name,
        new=planned.new,
        oid=planned.branch.oid,
        private_dir=worktree.private_dir if worktree is not None else "",
        old_path=old_path,
        new_path=path or "",
        aside=aside,
        remote=remote.remote if remote is not None else "",
        remote_old=remote.old if remote is not None else "",
    )


# --- undoing ------------------------------------------------------------------------------------


def undo(repository: Repository, note: RenameNote) -> None:
    """Give branch and worktree their old name and place back, wherever they are by now.

    To be called with the worktree lock held. Raises: RenameFailed telling what is left.
    """
    troubles = [_bring_back(repository, note)] if note.moves else []
    troubles.append(_name_back(repository, note))
    told = "; ".join(text for text in troubles if text is not None)
    if told:
        raise RenameFailed(
            f"renaming '{note.old}' to '{note.new}' stopped half way: {told}",
            tips=("put that right, and the next `daft go` undoes the rest",),
        )


def _bring_back(repository: Repository, note: RenameNote) -> str | None:
    """Move the worktree back; return what is in the way, None when it is where it was."""
    at = _whereabouts(note)
    if at is None:
        return f"the worktree is neither at {note.old_path} nor at {note.new_path}"
    try:
        if at != note.old_path:
            if note.aside and at != note.aside:
                os.rename(at, note.aside)
                at = note.aside
            places.remove_empty_between(os.path.dirname(note.new_path), note.old_path)
            places.make_parents(os.path.dirname(note.old_path))
            os.rename(at, note.old_path)
        places.remove_empty_parents(repository, os.path.dirname(note.new_path))
    except (OSError, BadPath) as error:
        return f"{at} cannot be moved back to {note.old_path}: {error}"
    return _repair(repository.common_dir, note, note.old_path)


def _whereabouts(note: RenameNote) -> str | None:
    """Return where the worktree is: of the three places the one whose `.git` says so."""
    end = os.path.join("worktrees", os.path.basename(note.private_dir))
    for place in (note.old_path, note.new_path, note.aside):
        pointer = read_text(os.path.join(place, ".git")) if place else None
        # Its end is enough, and holds for a relative one too: all three were free, or ours.
        if pointer is not None and pointer.startswith("gitdir: ") and pointer.endswith(end):
            return place
    return None


def _repair(common_dir: str, note: RenameNote, path: str) -> str | None:
    """Have git write down where the worktree is; return its words when it does not."""
    record = _record(common_dir, note.private_dir)
    if record is not None and record.path == path and not record.is_missing:
        return None
    done = git.attempt(common_dir, "worktree", "repair", "--", path)
    record = _record(common_dir, note.private_dir)
    if record is not None and same_path(record.path, path):
        return None
    return f"git does not know that the worktree is at {path}: {done.err}"


def _name_back(repository: Repository, note: RenameNote) -> str | None:
    """Give the branch its old name; return what is in the way, None when it has it."""
    common_dir = repository.common_dir
    old, new = f"refs/heads/{note.old}", f"refs/heads/{note.new}"
    has_old, has_new = (read_ref(repository, ref) is not None for ref in (old, new))
    if has_old and has_new:
        return f"there are both branches, '{note.old}' and '{note.new}'"
    if has_new:
        done = git.attempt(common_dir, "branch", "-m", "--", note.new, note.old)
    elif not has_old:
        # git deletes the old name first, and was stopped then.
        done = git.attempt(common_dir, "update-ref", old, note.oid, "0" * len(note.oid))
    else:
        return None
    return None if done.ok else f"the branch is not '{note.old}' again: {done.err}"


# --- what the dead have left --------------------------------------------------------------------


def settle(
    repository: Repository, tell: Callable[[str], None], follow: Callable[[Interrupted], None]
) -> None:
    """Undo, or complete, renames that died. To be called with the worktree lock held.

    tell: gets a sentence for each. follow: does what belongs to it besides; if that is killed as
    well, the next run does it again.
    """
    for keeper, note in of_the_dead(repository.common_dir):
        try:
            settled = _settled(repository, keeper.stage, note)
        except RenameFailed as error:
            tell(f"{error}; {error.tips[0]}")
            continue  # the note stays, for when that was done
        tell(settled.text)
        follow(settled)
        keeper.drop()


def _settled(repository: Repository, stage: Stage, note: RenameNote) -> Interrupted:
    begun = f"renaming '{note.old}' to '{note.new}' had been interrupted"
    is_new = stage is Stage.BEHIND
    if stage is Stage.MIDWAY and _somebody_went_on(repository.common_dir, note):
        return Interrupted(note.old, note.new, False, f"{begun}; it was changed by hand since")
    if stage is Stage.MIDWAY:
        is_new = _is_complete(repository, note)
        if is_new:
            _tidy(repository, note)
        else:
            undo(repository, note)
    record = _record(repository.common_dir, note.private_dir)
    path = record.path if record is not None else ""
    if not is_new:
        return Interrupted(note.old, note.new, False, f"{begun}; it has its old name", path, path)
    return Interrupted(
        note.old,
        note.new,
        True,
        f"{begun}; it has its new name",
        path,
        note.old_path or path,
        note.remote,
        note.remote_old,
    )


def _somebody_went_on(common_dir: str, note: RenameNote) -> bool:
    """True when the worktree is gone, or has another branch than either."""
    if note.private_dir in ("", common_dir):
        return False
    record = _record(common_dir, note.private_dir)
    return record is None or record.branch not in (note.old, note.new)


def _is_complete(repository: Repository, note: RenameNote) -> bool:
    """True when nothing was missing but the word that it is done."""
    if read_ref(repository, f"refs/heads/{note.old}") is not None:
        return False
    if read_ref(repository, f"refs/heads/{note.new}") is None:
        return False
    if not note.moves:
        # git ends with its configuration; where the branch has none nothing can be missing.
        left = git.attempt(
            repository.common_dir, "config", "--get-regexp", f"^branch\\.{re.escape(note.old)}\\."
        )
        head = read_text(os.path.join(note.private_dir, "HEAD")) if note.private_dir else None
        return left.code == 1 and head != f"ref: refs/heads/{note.old}"
    record = _record(repository.common_dir, note.private_dir)
    if record is None or record.branch != note.new:
        return False
    return _whereabouts(note) == note.new_path and same_path(record.path, note.new_path)


def _tidy(repository: Repository, note: RenameNote) -> None:
    """Leave nothing of the old place behind, and nothing that leads there."""
    if not note.moves:
        return
    places.remove_empty_parents(repository, os.path.dirname(note.old_path))
    move_previous(repository, note.old_path, note.new_path)
    from . import sharing  # here: only few worktrees are moved

    moved = Worktree(note.new_path, head=None, branch=note.new, private_dir=note.private_dir)
    try:
        sharing.mend(repository.common_dir, moved)
    except CannotWrite:
        return  # the rename is complete; `daft shared` shows such links, and `sync` mends them


def _record(common_dir: str, private_dir: str) -> Record | None:
    return next((one for one in records(common_dir) if one.private_dir == private_dir), None)
