"""Making a worktree that was planned: all of it, or nothing of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import NamedTuple

from . import git, places, trash, unfinished
from .branches import drop_branch, is_on_a_ref, read_ref
from .errors import BadPath, BranchExists, GitFailed, MissingAndLocked, PathTaken, RemovalUndone
from .lock import worktree_lock
from .records import Record, records
from .repository import Repository
from .worktrees import Worktree, same_path


class Creation(NamedTuple):
    """A worktree that can be made.

    start: the commit it begins at. base: what the user calls that. new_branch: the branch is
    made as well. upstream: "origin/x", set afterwards, or None.
    """

    repository: Repository
    branch: str
    path: str
    new_branch: bool
    start: str = ""
    base: str = ""
    upstream: str | None = None
    record_origin: bool = False


class Existing(NamedTuple):
    """A worktree that is there already. `note` tells something worth knowing."""

    worktree: Worktree
    note: str = ""


def create(creation: Creation, *, warn: Callable[[str], None] | None = None) -> Worktree:
    """Make the worktree. Whatever fails, nothing of it stays behind.

    warn: told in a sentence what went wrong without being worth the worktree: a post-checkout
    hook of git's that failed, an upstream that could not be set.
    Raises: as planning does, for what changed meanwhile; GitFailed; LockTimeout; CannotWrite.
    """
    tell = warn or _nobody
    repository = creation.repository
    # The note goes last: also whoever is killed while undoing leaves it for the next run.
    with worktree_lock(repository.common_dir), ExitStack() as last, ExitStack() as undo:
        unfinished.undo_creations(repository, tell)
        _look_again(creation)
        if os.path.isdir(creation.path):
            places.clear_debris(creation.path)
            undo.callback(os.makedirs, creation.path, exist_ok=True)
        undo.callback(places.remove_empty, places.make_parents(os.path.dirname(creation.path)))
        if creation.new_branch:
            if read_ref(repository, f"refs/heads/{creation.branch}") is not None:
                raise BranchExists(creation.branch)
            undo.push(partial(_drop_branch, creation))
        undo.callback(_unregister, creation, {one.private_dir for one in _records(creation)})
        new_at = creation.start if creation.new_branch else ""
        note = unfinished.Note(creation.path, creation.branch, new_at)
        fd = last.enter_context(unfinished.noted(repository.common_dir, note))
        worktree = _add(creation, tell, fd)
        places.keep_out_of_status(repository, creation.path)
        undo.pop_all()
        # Still under the lock: creations at the same moment would meet at git's configuration.
        _configure(creation, tell)
    return worktree


def _nobody(_: str) -> None:
    """Hear a warning nobody asked for: the worktree stands, and git shows what is missing."""


def _records(creation: Creation) -> list[Record]:
    return records(creation.repository.common_dir)


def _look_again(creation: Creation) -> None:
    """Look under the lock at what may have changed since the plan, and forget what vanished."""
    back = trash.recover(creation.repository.common_dir)
    for record in _records(creation):
        is_there = same_path(record.path, creation.path)
        if not is_there and record.branch != creation.branch:
            continue
        if record.path in back:
            raise RemovalUndone(record.branch or os.path.basename(record.path), record.path)
        if not record.is_missing:
            label = record.branch or os.path.basename(record.path)
            raise PathTaken(record.path, label)
        if record.locked is not None:
            raise MissingAndLocked(record.branch or creation.branch, record.path, record.locked)
        _refuse_orphans(creation, record)
        places.refuse_taken(record.path, ())
        if os.path.isdir(record.path):
            places.clear_debris(record.path)
        # git refuses a path, and a branch, that it still has on record; just this record goes.
        git.run(
            creation.repository.common_dir,
            "worktree",
            "remove",
            "--",
            record.path,
            doing=f"forgetting the vanished worktree {record.path}",
        )
    places.refuse_taken(creation.path, ())


def _refuse_orphans(creation: Creation, record: Record) -> None:
    """Refuse to forget a vanished worktree that is all that holds a commit."""
    if record.branch is None and not is_on_a_ref(creation.repository, record.head):
        raise BadPath(
            f"a worktree at {record.path} vanished, and its commit {record.head[:12]} is on no "
            "branch",
            tips=(
                f"keep it with `git branch <name> {record.head[:12]}`",
                f"or forget it with `git worktree remove {record.path}`",
            ),
        )


def _add(creation: Creation, tell: Callable[[str], None], fd: int) -> Worktree:
    """Add the worktree, and its branch where that is new. Raises: BranchExists, GitFailed."""
    common_dir = creation.repository.common_dir
    branch = creation.branch
    if creation.new_branch:
        # Without tracking: git would write the configuration in the middle of it, and leave the
        # branch behind when another git does so at that moment.
        words = ["--no-track", "-b", branch, "--", creation.path, creation.start]
    else:
        words = ["--", creation.path, branch]
    added = git.attempt(common_dir, "worktree", "add", "--quiet", *words, inherited=(fd,))
    made = next((one for one in _records(creation) if same_path(one.path, creation.path)), None)
    # A post-checkout hook of git's may fail although the worktree is complete.
    if made is None or not (added.ok or os.path.exists(os.path.join(made.private_dir, "index"))):
        if "a branch named" in added.err and "already exists" in added.err:
            raise BranchExists(branch)
        raise GitFailed(f"making a worktree for '{branch}'", added.err, added.code)
    if not added.ok:
        tell(f"git's post-checkout hook failed in {made.path}: {added.err}")
    return Worktree(
        path=made.path,
        head=read_ref(creation.repository, f"refs/heads/{branch}"),
        branch=branch,
        private_dir=made.private_dir,
        worktree_id=os.path.basename(made.private_dir),
    )


def _drop_branch(
    creation: Creation,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    """Drop the branch that this run made, unless somebody was faster or has moved it since."""
    if error is not None and not isinstance(error, BranchExists):
        drop_branch(creation.repository, creation.branch, creation.start)


def _unregister(creation: Creation, before: set[str]) -> None:
    """Undo a registration of this run, with its directory."""
    for record in _records(creation):
        if record.private_dir not in before and same_path(record.path, creation.path):
            # Twice: git locks a worktree while it makes it, and may have been stopped then.
            git.attempt(
                creation.repository.common_dir,
                "worktree",
                "remove",
                "--force",
                "--force",
                "--",
                record.path,
            )
    try:
        places.refuse_taken(creation.path, ())
        if os.path.isdir(creation.path):
            places.clear_debris(creation.path)
    except PathTaken:
        return  # not empty and not on record: not certainly ours


def _configure(creation: Creation, tell: Callable[[str], None]) -> None:
    common_dir = creation.repository.common_dir
    if creation.record_origin:
        noted = git.attempt(common_dir, "config", f"branch.{creation.branch}.daftOrigin", "local")
        if not noted.ok:
            tell(f"the origin of '{creation.branch}' could not be noted: {noted.err}")
    if creation.upstream is not None:
        followed = git.attempt(
            common_dir, "branch", f"--set-upstream-to={creation.upstream}", "--", creation.branch
        )
        if not followed.ok:
            tell(f"'{creation.branch}' does not follow {creation.upstream}: {followed.err}")
