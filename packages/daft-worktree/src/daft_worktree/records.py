"""What git has on record of linked worktrees, read without asking git.

Source: gitrepository-layout(5).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .stored_refs import is_object_id

_ATTACHED = "ref: refs/heads/"
# What HEAD says where references are kept in tables instead of files.
REFS_ELSEWHERE = "ref: refs/heads/.invalid"


class Record(NamedTuple):
    """A linked worktree on record.

    head: content of its HEAD. locked: the reason, None when it is not locked.
    """

    private_dir: str
    path: str
    head: str
    locked: str | None

    @property
    def branch(self) -> str | None:
        """The branch it has, None when detached."""
        return attached_branch(self.head)

    @property
    def is_missing(self) -> bool:
        """True when the worktree is certainly no longer where git wrote it down."""
        return is_absent(os.path.join(self.path, ".git"))


def records(common_dir: str) -> list[Record]:
    """Return the linked worktrees on record, in the order of their paths."""
    base = os.path.join(common_dir, "worktrees")
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return []
    found: list[Record] = []
    for name in names:
        own_dir = os.path.join(base, name)
        pointer = read_text(os.path.join(own_dir, "gitdir"))
        head = read_text(os.path.join(own_dir, "HEAD"))
        if not pointer or head is None:
            continue  # half made, half removed, or broken; git passes over it as well
        if head == REFS_ELSEWHERE:
            named = git.attempt(own_dir, "symbolic-ref", "-q", "HEAD")
            head = f"ref: {named.out}" if named.ok else ""
        found.append(
            Record(
                private_dir=own_dir,
                path=os.path.dirname(os.path.normpath(os.path.join(own_dir, pointer))),
                head=head,
                locked=read_text(os.path.join(own_dir, "locked")),
            )
        )
    return sorted(found, key=lambda record: os.fsencode(record.path))


def attached_branch(head: str) -> str | None:
    """Return the branch that the content of a HEAD names, None when it is detached."""
    return head.removeprefix(_ATTACHED) if head.startswith(_ATTACHED) else None


def read_text(path: str) -> str | None:
    """Return a small file without its last newline, None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read().removesuffix("\n")
    except OSError:
        return None  # gone, or not ours to read: the caller has another answer


def is_absent(path: str) -> bool:
    """True when nothing is there for certain; not when we may just not look."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # a directory that is closed to us may hold anything
    return False


def paused_operation(private_dir: str) -> tuple[str | None, str | None]:
    """Return the operation that is paused in a worktree, and the branch it works on if known."""

    def has(name: str) -> bool:
        return os.path.exists(os.path.join(private_dir, name))

    for directory in ("rebase-merge", "rebase-apply"):
        if has(directory):
            head = read_text(os.path.join(private_dir, directory, "head-name"))
            kind = "am" if has("rebase-apply/applying") else "rebase"
            branch = None
            if head is not None and head.startswith("refs/heads/"):
                branch = head.removeprefix("refs/heads/")
            return kind, branch
    for name, kind in (
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
    ):
        if has(name):
            return kind, None
    # Between two commits of a sequence neither of the heads above is there.
    todo = read_text(os.path.join(private_dir, "sequencer", "todo"))
    if todo is not None:
        return "revert" if todo.startswith("revert") else "cherry-pick", None
    if has("BISECT_LOG"):
        start = read_text(os.path.join(private_dir, "BISECT_START"))
        began_detached = start is not None and is_object_id(start)
        return "bisect", None if began_detached else start
    return None, None
