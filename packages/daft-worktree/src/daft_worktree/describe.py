"""What a listing tells of each worktree: changes, distance to others, age, last commit."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .repository import Repository
from .worktrees import Worktree

STATUS_LIMIT_S = 10.0


class Description(NamedTuple):
    """Facts of one worktree or branch; None where nothing could be told.

    ahead, behind: against the default branch. remote_ahead, remote_behind: against upstream.
    committed_at: Unix seconds of the last commit.
    """

    name: str
    worktree: Worktree | None = None
    staged: int | None = None
    unstaged: int | None = None
    untracked: int | None = None
    conflicted: int | None = None
    ahead: int | None = None
    behind: int | None = None
    remote_ahead: int | None = None
    remote_behind: int | None = None
    committed_at: int | None = None
    subject: str | None = None
    head: str | None = None
    warning: str | None = None


def describe(
    repository: Repository, worktrees: tuple[Worktree, ...], default: str | None
) -> list[Description]:
    """Return a description of each worktree, in the order given.

    git runs for several at once; one that takes longer than 10 s, or fails, yields empty fields
    and a warning, never a failed listing. No network.
    """
    if not worktrees:
        return []
    commits = _last_commits(repository, worktrees)
    from concurrent.futures import ThreadPoolExecutor

    workers = max(1, min(len(worktrees), os.cpu_count() or 1, 8))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda one: _describe(repository, one, default, commits), worktrees))


def _describe(
    repository: Repository,
    worktree: Worktree,
    default: str | None,
    commits: dict[str, tuple[int, str]],
) -> Description:
    committed_at, subject = commits.get(worktree.head or "", (None, None))
    facts = Description(
        name=worktree.label,
        worktree=worktree,
        committed_at=committed_at,
        subject=subject,
        head=worktree.head,
    )
    if worktree.missing:
        return facts
    facts = _with_status(facts, worktree)
    if default is None or worktree.head is None:
        return facts
    counted = git.attempt(
        repository.common_dir,
        "rev-list",
        "--left-right",
        "--count",
        f"refs/heads/{default}...{worktree.head}",
        timeout_s=STATUS_LIMIT_S,
    )
    if counted.ok and "\t" in counted.out:
        behind, ahead = counted.out.split("\t")
        facts = facts._replace(ahead=int(ahead), behind=int(behind))
    return facts


def _with_status(facts: Description, worktree: Worktree) -> Description:
    found = git.attempt(
        worktree.path,
        "--no-optional-locks",
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=normal",
        timeout_s=STATUS_LIMIT_S,
    )
    if not found.ok:
        return facts._replace(warning=f"{worktree.path}: {found.err}")
    staged = unstaged = untracked = conflicted = 0
    remote_ahead = remote_behind = None
    skip = False
    for entry in git.fields(found.out):
        if skip:
            skip = False  # the old name of a rename
            continue
        kind = entry[:2]
        if kind == "? ":
            untracked += 1
        elif kind == "u ":
            conflicted += 1
        elif kind in ("1 ", "2 "):
            staged += entry[2] != "."
            unstaged += entry[3] != "."
            skip = kind == "2 "
        elif entry.startswith("# branch.ab "):
            ahead, behind = entry.removeprefix("# branch.ab ").split()
            remote_ahead, remote_behind = int(ahead), -int(behind)
    return facts._replace(
        staged=staged,
        unstaged=unstaged,
        untracked=untracked,
        conflicted=conflicted,
        remote_ahead=remote_ahead,
        remote_behind=remote_behind,
    )


def _last_commits(
    repository: Repository, worktrees: tuple[Worktree, ...]
) -> dict[str, tuple[int, str]]:
    heads = {worktree.head for worktree in worktrees if worktree.head}
    if not heads:
        return {}
    shown = git.attempt(
        repository.common_dir,
        "log",
        "--no-walk=unsorted",
        "-z",
        "--format=%H%x01%ct%x01%s",
        "--stdin",
        stdin="\n".join(sorted(heads)) + "\n",
        timeout_s=STATUS_LIMIT_S,
    )
    found: dict[str, tuple[int, str]] = {}
    for entry in git.fields(shown.out):
        oid, seconds, subject = entry.split("\x01", 2)
        found[oid] = (int(seconds), subject)
    return found
