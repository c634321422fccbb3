"""Taking uncommitted changes along to another worktree, without ever losing them."""

from __future__ import annotations

from typing import NamedTuple

from . import git
from .worktrees import Worktree

_MESSAGE = "daft: carry"


class Carried(NamedTuple):
    """Changes kept in the stash under an object id. `files` counts them."""

    oid: str
    source: str
    files: int


def changes(path: str) -> list[str]:
    """Return the status entries of a worktree: tracked changes and untracked files."""
    text = git.run(
        path,
        "--no-optional-locks",
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=normal",
        doing=f"looking for changes in {path}",
    )
    entries = git.fields(text)
    found: list[str] = []
    skip = False
    for entry in entries:
        if skip:
            skip = False  # the old name of a rename, a field of its own
            continue
        skip = entry.startswith("2 ")
        if not entry.startswith("#"):
            found.append(entry)
    return found


def stash_changes(worktree: Worktree) -> Carried | None:
    """Put the changes of a worktree aside; None when there are none.

    The stash is shared by all worktrees, so the entry is known by its object id, never by its
    place in the list. Raises: GitFailed, with the changes still in place.
    """
    found = changes(worktree.path)
    if not found:
        return None
    git.run(
        worktree.path,
        "stash",
        "push",
        "--include-untracked",
        "--message",
        _MESSAGE,
        doing="putting uncommitted changes aside",
    )
    oid = git.run(worktree.path, "rev-parse", "refs/stash")
    return Carried(oid=oid, source=worktree.path, files=len(found))


def restore(carried: Carried, into: str) -> str | None:
    """Apply carried changes in `into`, staged ones staged, and drop the stash entry.

    Returns None, or git's words when they do not apply; the entry then stays in the stash.
    """
    applied = git.attempt(into, "stash", "apply", "--index", carried.oid)
    if not applied.ok:
        git.attempt(into, "checkout", "--", ".")
        applied = git.attempt(into, "stash", "apply", carried.oid)
        if not applied.ok:
            return applied.err or applied.out
    listed = git.attempt(into, "stash", "list", "--format=%H")
    for index, oid in enumerate(listed.out.split("\n")):
        if oid == carried.oid:
            git.attempt(into, "stash", "drop", f"stash@{{{index}}}")
            break
    return None
