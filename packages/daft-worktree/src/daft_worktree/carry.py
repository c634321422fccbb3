"""Taking uncommitted changes along to another worktree, without ever losing them."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from . import git
from .changes import read_status
from .errors import CannotWrite, StashLeft
from .places import remove_empty_between
from .worktrees import Worktree

_MESSAGE = "daft: carry"


class Carried(NamedTuple):
    """Changes kept in the stash under an object id.

    files: how many. untracked: those git did not track, a directory with a slash at its end.
    """

    oid: str
    source: str
    files: int
    untracked: tuple[str, ...] = ()


def stash_changes(worktree: Worktree, *, keep: Collection[str] = ()) -> Carried | None:
    """Put the changes of a worktree aside; None when there are none.

    keep: names of untracked files that stay where they are.
    Raises: GitFailed, with the changes still in place; StashLeft, with them in the stash;
    CannotWrite.
    """
    status = read_status(worktree.path)
    kept = [name for name in status.untracked if name in keep]
    if status.size == len(kept):
        return None
    # All worktrees share one stash, and others may push to it at this moment: our entry is
    # known by its words first and by its object id from then on, never by its place.
    message = f"{_MESSAGE} {os.getpid()}-{time.monotonic_ns()}"
    try:
        with _ignoring(worktree, kept) as options:
            git.run(
                worktree.path,
                *(*options, "stash", "push", "--include-untracked", "--message", message),
                doing="putting uncommitted changes aside",
            )
    except BaseException as error:
        _undo_push(worktree, message, error)
        raise
    oid = _find(worktree.path, message)
    if oid is None:
        return None  # git saw nothing to keep: commits of a submodule for one stay where they are
    untracked = tuple(name for name in status.untracked if name not in kept)
    return Carried(oid, worktree.path, status.size - len(kept), untracked)


@contextmanager
def _ignoring(worktree: Worktree, names: list[str]) -> Iterator[list[str]]:
    """Give options by which git ignores these files for the body, besides what the user ignores."""
    if not names:
        yield []
        return
    path = os.path.join(worktree.private_dir, f"daft-ignored-{os.getpid()}-{time.monotonic_ns()}")
    try:
        with open(path, "xb") as file:
            file.write(_users_ignores(worktree.path))
            file.writelines(b"\n/" + os.fsencode(name) for name in names)
            file.write(b"\n")
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error
    try:
        yield ["-c", f"core.excludesFile={path}"]
    finally:
        os.unlink(path)


def _users_ignores(path: str) -> bytes:
    # Named in the configuration, or in the place of gitignore(5).
    named = git.attempt(path, "config", "--path", "--get", "core.excludesFile")
    place = named.out if named.ok else ""
    if not place:
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        place = os.path.join(home, "git", "ignore")
    try:
        with open(os.path.join(path, place), "rb") as file:
            return file.read()
    except OSError:
        return b""  # there is none, or git could not read it either


def _undo_push(worktree: Worktree, message: str, error: BaseException) -> None:
    """Put changes back after a push that failed or was interrupted; it may have taken some."""
    oid = _find(worktree.path, message)
    if oid is None:
        return  # git makes its entry before it touches a file
    trouble = restore(Carried(oid=oid, source=worktree.path, files=0), worktree.path)
    if trouble is not None:
        raise StashLeft(worktree.path, oid) from error


def restore(carried: Carried, into: str) -> str | None:
    """Apply carried changes in `into`, staged ones staged, and drop the stash entry.

    Returns None, or git's words when they do not apply; the entry then stays in the stash.
    """
    trouble = apply(carried, into)
    if trouble is None:
        drop(carried)
    return trouble


def apply(carried: Carried, into: str) -> str | None:
    """Apply carried changes in `into`, staged ones staged; they stay in the stash as well.

    Returns None, or why they do not apply: `into` is as it was then, or, where the same lines were
    changed, has conflicts to settle. What was changed there before is never thrown away.
    """
    taken = _in_the_way(carried, into)
    if taken:
        return f"{_some(taken)} would be overwritten"
    applied = git.attempt(into, "stash", "apply", "--index", carried.oid)
    if not applied.ok and "without --index" in applied.err:
        # What was staged does not apply as such, and git has touched nothing yet.
        applied = git.attempt(into, "stash", "apply", carried.oid)
    if applied.ok:
        return None
    unmerged = git.attempt(into, "ls-files", "--unmerged", "-z")
    conflicts = dict.fromkeys(entry.partition("\t")[2] for entry in git.fields(unmerged.out))
    if conflicts:
        return f"conflicts in {_some(list(conflicts))}"
    _take_back(carried, into)
    return applied.err or applied.out


def _in_the_way(carried: Carried, into: str) -> list[str]:
    """Return what is where untracked files are to go: git sees that when the rest is there."""
    there = {name: os.path.join(into, name.rstrip("/")) for name in carried.untracked}
    shared = [name for name, path in there.items() if name.endswith("/") and os.path.isdir(path)]
    taken = [name for name, path in there.items() if os.path.lexists(path) and name not in shared]
    if shared and not taken:
        files = [name for name in _untracked(carried) if name.startswith(tuple(shared))]
        taken = [name for name in files if os.path.lexists(os.path.join(into, name))]
    return taken


def _untracked(carried: Carried) -> list[str]:
    # git keeps what was not tracked as the third parent: git-stash(1), "Discussion".
    words = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", f"{carried.oid}^3")
    return git.fields(git.run(carried.source, *words, doing="reading the stash"))


def _take_back(carried: Carried, into: str) -> None:
    """Take out untracked files that came before git saw that the rest would not.

    None of them was there before, and they would be in the way of a second try.
    """
    for name in _untracked(carried) if carried.untracked else ():
        path = os.path.join(into, name)
        try:
            os.unlink(path)
        except OSError:
            continue  # it had not come yet
        remove_empty_between(os.path.dirname(path), os.path.join(into, name.split("/")[0]))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def drop(carried: Carried) -> None:
    """Take the entry out of the stash: the changes are where they belong."""
    _drop(carried.source, carried.oid)


def _find(path: str, message: str) -> str | None:
    return next((oid for oid, words in _entries(path) if words.endswith(message)), None)


def _entries(path: str) -> list[tuple[str, str]]:
    listed = git.run(path, "stash", "list", "--format=%H%x00%gs", doing="reading the stash")
    return [
        (oid, words)
        for oid, _, words in (line.partition("\0") for line in listed.split("\n") if line)
    ]


def _drop(path: str, oid: str) -> None:
    """Drop the entry `oid`. Left where it is when it cannot be: it costs only a line."""
    for index, (found, _) in enumerate(_entries(path)):
        if found != oid:
            continue
        dropped = git.attempt(path, "stash", "drop", f"stash@{{{index}}}")
        words = dropped.out.rsplit("(", 1)
        gone = words[1].rstrip(")\n") if dropped.ok and len(words) == 2 else oid
        if gone != oid:
            # Somebody pushed in between, and the entry in our place was theirs: it goes back.
            git.run(path, "stash", "store", "-m", _MESSAGE, gone, doing="putting a stash back")
        return
