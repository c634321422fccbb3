"""The worktrees of a repository, as git lists them and as their own files tell."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .errors import NoWorktree

ZERO_OID = "0" * 40
_HEX = frozenset("0123456789abcdef")
_ATTACHED = "ref: refs/heads/"
# What HEAD says where references are kept in tables instead of files.
_REFS_ELSEWHERE = "ref: refs/heads/.invalid"


class Worktree(NamedTuple):
    """One entry of the listing.

    path: as git knows it. branch: short name, None when detached (a paused rebase keeps the
    branch it works on in `paused_branch`). head: object id, None while there is no commit.
    worktree_id: git's name for it, stable across renames; "" for the main working tree.
    operation: "rebase", "merge", …, None when nothing is paused.
    """

    path: str
    head: str | None
    branch: str | None
    is_bare: bool = False
    is_main: bool = False
    locked: str | None = None
    missing: bool = False
    private_dir: str = ""
    worktree_id: str = ""
    operation: str | None = None
    paused_branch: str | None = None

    @property
    def label(self) -> str:
        """The name its jobs go by: the branch, or the directory name without one."""
        return self.branch or self.paused_branch or os.path.basename(self.path)


def list_worktrees(common_dir: str) -> list[Worktree]:
    """Return every worktree of the repository, the main one (or the bare entry) first."""
    found = git.attempt(common_dir, "worktree", "list", "--porcelain", "-z")
    separator = "\0"
    if not found.ok:
        # Before git 2.36 there is no -z.
        text = git.run(common_dir, "worktree", "list", "--porcelain", doing="listing worktrees")
        separator = "\n"
    else:
        text = found.out
    private = {record.path: record.private_dir for record in records(common_dir)}
    entries: list[Worktree] = []
    for block in (text + separator).split(separator * 2):
        lines = [line for line in block.split(separator) if line]
        if lines:
            entries.append(_entry(lines, common_dir, private, is_first=not entries))
    return entries


def _entry(
    lines: list[str], common_dir: str, private: dict[str, str], *, is_first: bool
) -> Worktree:
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(" ")
        facts[key] = value
    path = facts["worktree"]
    is_bare = "bare" in facts
    branch = facts.get("branch")
    head = facts.get("HEAD")
    is_main = is_first and not is_bare
    own_dir = common_dir if is_first else private.get(path, "")
    operation, paused_branch = paused_operation(own_dir) if own_dir else (None, None)
    return Worktree(
        path=path,
        head=None if head in (None, ZERO_OID) else head,
        branch=None if branch is None else branch.removeprefix("refs/heads/"),
        is_bare=is_bare,
        is_main=is_main,
        locked=facts.get("locked"),
        missing="prunable" in facts or not os.path.isdir(path),
        private_dir=own_dir,
        worktree_id="" if is_first else os.path.basename(own_dir),
        operation=operation,
        paused_branch=paused_branch if branch is None else None,
    )


class Record(NamedTuple):
    """git's own note of a linked worktree, read without asking git.

    branch: None when detached. locked: the reason, None when it is not locked.
    """

    private_dir: str
    path: str
    branch: str | None
    locked: str | None

    @property
    def is_missing(self) -> bool:
        """True when the worktree is no longer where git wrote it down."""
        return not os.path.lexists(os.path.join(self.path, ".git"))


def records(common_dir: str) -> list[Record]:
    """Return the linked worktrees on record. Source: gitrepository-layout(5)."""
    base = os.path.join(common_dir, "worktrees")
    try:
        names = sorted(os.listdir(base))
    except FileNotFoundError:
        return []
    found: list[Record] = []
    for name in names:
        own_dir = os.path.join(base, name)
        pointer = read_text(os.path.join(own_dir, "gitdir"))
        if pointer is None:
            continue
        head = read_text(os.path.join(own_dir, "HEAD")) or ""
        if head == _REFS_ELSEWHERE:
            head = f"ref: {git.attempt(own_dir, 'symbolic-ref', '-q', 'HEAD').out}"
        branch = head.removeprefix(_ATTACHED) if head.startswith(_ATTACHED) else None
        found.append(
            Record(
                private_dir=own_dir,
                path=os.path.dirname(os.path.normpath(os.path.join(own_dir, pointer))),
                branch=branch,
                locked=read_text(os.path.join(own_dir, "locked")),
            )
        )
    return found


def read_text(path: str) -> str | None:
    """Return a small file without its last newline, None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read().removesuffix("\n")
    except OSError:
        return None  # gone, or not ours to read: the caller has another answer


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
    if has("BISECT_LOG"):
        start = read_text(os.path.join(private_dir, "BISECT_START"))
        began_detached = start is not None and len(start) >= 40 and set(start) <= _HEX
        return "bisect", None if began_detached else start
    return None, None


def holds_worktree(worktree: Worktree, common_dir: str) -> bool:
    """True when `worktree.path` still is that worktree: both pointers agree.

    Must hold before anything there is removed or moved, by force too: git goes on listing a
    stale path even when another repository sits on it.
    """
    pointer = read_text(os.path.join(worktree.path, ".git"))
    if pointer is None or not pointer.startswith("gitdir: "):
        return False
    own_dir = os.path.join(worktree.path, pointer.removeprefix("gitdir: "))
    if not worktree.private_dir or not same_path(own_dir, worktree.private_dir):
        return False
    back = read_text(os.path.join(worktree.private_dir, "gitdir"))
    if back is None:
        return False
    return same_path(
        os.path.dirname(os.path.join(worktree.private_dir, back)), worktree.path
    ) and same_path(os.path.dirname(os.path.dirname(worktree.private_dir)), common_dir)


def same_path(one: str, other: str) -> bool:
    """True when both spell the same place, links resolved."""
    return os.path.realpath(one) == os.path.realpath(other)


def is_path(word: str) -> bool:
    """True when a user's word is plainly a path, and can mean no branch."""
    return word in (".", "..", "~") or word.startswith(("/", "./", "../", "~/"))


def find(worktrees: list[Worktree], word: str, *, cwd: str, project_root: str) -> Worktree | None:
    """Return the worktree a user's word means.

    A plain path means just that. Other words: the branch, the branch of a paused operation, a
    path below `cwd` or the project root, a directory name; the first that fits. Of several
    worktrees with one branch it is the one that holds `cwd`.
    Raises: NoWorktree when the word is a directory name that several share.
    """
    live = [worktree for worktree in worktrees if not worktree.is_bare]
    if is_path(word):
        return _at(live, os.path.join(cwd, os.path.expanduser(word)))
    attached = [worktree for worktree in live if worktree.branch == word]
    if attached:
        return containing(attached, cwd) or attached[0]
    for worktree in live:
        if worktree.paused_branch == word:
            return worktree
    for base in (cwd, project_root):
        found = _at(live, os.path.join(base, word))
        if found is not None:
            return found
    named = [worktree for worktree in live if os.path.basename(worktree.path) == word]
    if len(named) > 1:
        paths = ", ".join(worktree.path for worktree in named)
        raise NoWorktree(f"'{word}' is ambiguous: {paths}", tips=("give the whole path",))
    return named[0] if named else None


def _at(worktrees: list[Worktree], path: str) -> Worktree | None:
    real = os.path.realpath(path)
    return next((one for one in worktrees if os.path.realpath(one.path) == real), None)


def containing(worktrees: list[Worktree], path: str) -> Worktree | None:
    """Return the worktree that `path` is in, the innermost one."""
    real = os.path.realpath(path)
    best: Worktree | None = None
    for worktree in worktrees:
        if worktree.is_bare:
            continue
        root = os.path.realpath(worktree.path)
        if (real == root or real.startswith(root + os.sep)) and (
            best is None or len(root) > len(os.path.realpath(best.path))
        ):
            best = worktree
    return best
