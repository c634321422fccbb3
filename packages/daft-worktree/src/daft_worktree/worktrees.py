"""The worktrees of a repository, as git lists them and as their own files tell."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .records import attached_branch, is_absent, paused_operation, read_text, records
from .settings import Settings
from .stored_refs import NotPlain, StoredRefs, is_object_id


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


def list_worktrees(common_dir: str, settings: Settings | None = None) -> list[Worktree]:
    """Return every worktree of the repository, the main one (or the bare entry) first.

    settings: those of the repository; with them no git is started where files tell everything.
    Raises: GitFailed with git's own words when it refuses the repository.
    """
    if settings is not None and settings.is_bare is not None and settings.has_ref_files:
        try:
            return _read_files(common_dir, is_bare=settings.is_bare)
        except NotPlain:
            pass  # git knows how to read what we do not
    return _ask_git(common_dir)


def _read_files(common_dir: str, *, is_bare: bool) -> list[Worktree]:
    refs = StoredRefs(common_dir)
    head = read_text(os.path.join(common_dir, "HEAD"))
    if not head:
        raise NotPlain("HEAD")
    path = common_dir.removesuffix(f"{os.sep}.git") or os.sep
    found = [Worktree(path=path, head=None, branch=None, is_bare=True, private_dir=common_dir)]
    if not is_bare:
        found = [_from_files(path, head, common_dir, refs)._replace(is_main=True, worktree_id="")]
    for record in records(common_dir):
        linked = _from_files(record.path, record.head, record.private_dir, refs)
        found.append(linked._replace(locked=record.locked, missing=record.is_missing))
    return found


def _from_files(path: str, head: str, private_dir: str, refs: StoredRefs) -> Worktree:
    branch = attached_branch(head)
    if branch is not None:
        oid = refs.resolve(f"refs/heads/{branch}")
    elif is_object_id(head):
        oid = head
    else:
        raise NotPlain(f"{private_dir}/HEAD")
    operation, paused_branch = paused_operation(private_dir)
    return Worktree(
        path=path,
        head=oid,
        branch=branch,
        missing=not os.path.isdir(path),
        private_dir=private_dir,
        worktree_id=os.path.basename(private_dir),
        operation=operation,
        paused_branch=paused_branch if branch is None else None,
    )


def _ask_git(common_dir: str) -> list[Worktree]:
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
    branch = facts.get("branch")
    head = facts.get("HEAD")
    own_dir = common_dir if is_first else private.get(path, "")
    operation, paused_branch = paused_operation(own_dir) if own_dir else (None, None)
    is_missing = is_absent(os.path.join(path, ".git")) if not is_first else not os.path.isdir(path)
    return Worktree(
        path=path,
        head=None if head is None or set(head) == {"0"} else head,
        branch=None if branch is None else branch.removeprefix("refs/heads/"),
        is_bare="bare" in facts,
        is_main=is_first and "bare" not in facts,
        locked=facts.get("locked"),
        missing=is_missing,
        private_dir=own_dir,
        worktree_id="" if is_first else os.path.basename(own_dir),
        operation=operation,
        paused_branch=paused_branch if branch is None else None,
    )


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


def is_below(path: str, directory: str) -> bool:
    """True when `path` lies inside `directory`, links resolved."""
    return os.path.realpath(path).startswith(os.path.realpath(directory).rstrip(os.sep) + os.sep)
