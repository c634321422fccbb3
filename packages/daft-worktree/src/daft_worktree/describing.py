"""What a listing tells of each worktree: changes, distance to others, age, last commit."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import git
from .branches import read_ref
from .records import read_text
from .repository import Repository
from .worktrees import Worktree

STATUS_LIMIT_S = 10.0
# A listing of a partial clone must not begin to fetch (git 2.44 and newer know the word).
_OFFLINE = {"GIT_NO_LAZY_FETCH": "1"}


class Description(NamedTuple):
    """Facts of one worktree or branch; None where nothing could be told.

    ahead, behind: against the default branch. remote_ahead, remote_behind: against upstream.
    committed_at: Unix seconds of the last commit. created_at: of the branch's first entry in
    its log, None where no log is kept.
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
    created_at: int | None = None


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
    against = _comparable(repository, default)
    if len(worktrees) == 1:
        return [_describe(repository, worktrees[0], against, commits)]
    from concurrent.futures import ThreadPoolExecutor

    workers = max(1, min(len(worktrees), os.cpu_count() or 1, 8))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda one: _describe(repository, one, against, commits), worktrees))


def _comparable(repository: Repository, default: str | None) -> str | None:
    """Return the commit to compare with: the local default branch, else the remote's."""
    if default is None:
        return None
    oid = read_ref(repository, f"refs/heads/{default}")
    if oid is None and repository.remote is not None:
        oid = read_ref(repository, f"refs/remotes/{repository.remote}/{default}")
    return oid


def _describe(
    repository: Repository,
    worktree: Worktree,
    against: str | None,
    commits: dict[str, tuple[int, str]],
) -> Description:
    committed_at, subject = commits.get(worktree.head or "", (None, None))
    facts = Description(
        name=worktree.label,
        worktree=worktree,
        committed_at=committed_at,
        subject=subject,
        head=worktree.head,
        created_at=_created_at(repository, worktree.branch),
    )
    if worktree.missing:
        return facts
    facts = _with_status(facts, worktree)
    if against is None or worktree.head is None:
        return facts
    counted = git.attempt(
        repository.common_dir,
        "rev-list",
        "--left-right",
        "--count",
        f"{against}...{worktree.head}",
        timeout_s=STATUS_LIMIT_S,
        extra_env=_OFFLINE,
    )
    if not counted.ok:
        return facts._replace(warning=facts.warning or f"{worktree.path}: {counted.err}")
    behind, ahead = counted.out.split("\t")
    return facts._replace(ahead=int(ahead), behind=int(behind))


def _created_at(repository: Repository, branch: str | None) -> int | None:
    """Return when the oldest entry of the branch's log was written."""
    if branch is None:
        return None
    entry = read_text(os.path.join(repository.common_dir, "logs", "refs", "heads", branch))
    if not entry:
        return None
    # <old> <new> <name> <email> <seconds> <zone>\t<message>
    words = entry.split("\n", 1)[0].partition("\t")[0].split(" ")
    return int(words[-2]) if len(words) > 3 and words[-2].isdigit() else None


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
        extra_env=_OFFLINE,
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
        # What the user's configuration adds would stand between the fields.
        "--no-show-signature",
        "--encoding=UTF-8",
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
