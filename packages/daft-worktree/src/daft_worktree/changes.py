"""What a worktree holds that exists nowhere else, as far as git and a look at the files tell."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from . import git

_BATCH = 200


class Status(NamedTuple):
    """The state of a worktree at one moment.

    head: object id, None without commits. branch: None when detached. tracked: paths with
    changes, staged or not, conflicts among them. untracked, ignored: paths, a directory with a
    slash at its end standing for all below it.
    """

    head: str | None
    branch: str | None
    tracked: tuple[str, ...]
    untracked: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of changes; ignored files are none."""
        return len(self.tracked) + len(self.untracked)


def read_status(
    path: str, *, with_ignored: bool = False, extra_env: Mapping[str, str] | None = None
) -> Status:
    """Return the state of the worktree at `path`, whatever the user's configuration hides.

    Raises: GitFailed.
    """
    text = git.run(
        path,
        "--no-optional-locks",
        # A monitor that is wrong, or watches another place, could hide a change.
        "-c",
        "core.fsmonitor=false",
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=normal",
        "--ignore-submodules=none",
        f"--ignored={'traditional' if with_ignored else 'no'}",
        doing=f"looking for changes in {path}",
        extra_env=extra_env,
    )
    facts: dict[str, str] = {}
    tracked: list[str] = []
    others: dict[str, list[str]] = {"?": [], "!": []}
    entries = iter(git.fields(text))
    for entry in entries:
        kind, _, rest = entry.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            facts[name] = value
        elif kind in others:
            others[kind].append(rest)
        else:
            tracked.append(_path_of(kind, rest))
            if kind == "2":
                next(entries)  # the old name of a rename, a field of its own
    head, branch = facts.get("branch.oid"), facts.get("branch.head")
    return Status(
        head=None if head == "(initial)" else head,
        branch=None if branch == "(detached)" else branch,
        tracked=tuple(tracked),
        untracked=tuple(others["?"]),
        ignored=tuple(others["!"]),
    )


def _path_of(kind: str, rest: str) -> str:
    # Fields before the path: git-status(1), "Changed Tracked Entries" and the two below.
    return rest.split(" ", {"1": 7, "2": 8, "u": 9}[kind])[-1]


class Index(NamedTuple):
    """What the index knows and a status does not tell.

    unwatched: path -> object id of files git was told not to look at. submodules: paths.
    """

    unwatched: dict[str, str]
    submodules: tuple[str, ...]


def read_index(path: str) -> Index:
    """Return what is special in the index of the worktree at `path`. Raises: GitFailed."""
    text = git.run(path, "ls-files", "-v", "-s", "-z", doing=f"reading the index of {path}")
    unwatched: dict[str, str] = {}
    submodules: list[str] = []
    for entry in git.fields(text):
        facts, _, name = entry.partition("\t")
        tag, mode, oid, _ = facts.split(" ")
        if mode == "160000":
            submodules.append(name)
        elif tag in "Ss" or tag.islower():
            unwatched[name] = oid
    return Index(unwatched=unwatched, submodules=tuple(submodules))


def hidden_changes(path: str, index: Index) -> tuple[str, ...]:
    """Return the files whose changes git was told to overlook (`assume-unchanged` and the like).

    Raises: GitFailed.
    """
    there = [name for name in index.unwatched if _is_file(os.path.join(path, name))]
    changed: list[str] = []
    for begin in range(0, len(there), _BATCH):
        names = there[begin : begin + _BATCH]
        # With the names, so that line ends and filters apply as they would on `git add`.
        oids = git.run(path, "hash-object", "--", *names, doing=f"comparing files of {path}")
        pairs = zip(names, oids.split("\n"), strict=True)
        changed += [name for name, oid in pairs if oid != index.unwatched[name]]
    return tuple(changed)


def unpushed_submodules(path: str, private_dir: str, index: Index) -> tuple[str, ...]:
    """Return the git directories of submodules with commits, or stashes, that no remote has.

    They are deleted together with the worktree.
    """
    found: list[str] = []
    for directory, names, _ in os.walk(os.path.join(private_dir, "modules")):
        if os.path.isfile(os.path.join(directory, "HEAD")):
            found.append(directory)
            names[:] = [name for name in names if name == "modules"]
    within = (os.path.join(path, name, ".git") for name in index.submodules)
    found += [directory for directory in within if os.path.isdir(directory)]
    return tuple(directory for directory in found if not _is_pushed(directory))


def has_submodules(private_dir: str) -> bool:
    """True when git keeps repositories of submodules beside the record of a worktree."""
    try:
        return bool(os.listdir(os.path.join(private_dir, "modules")))
    except OSError:
        return False  # none


def _is_pushed(git_dir: str) -> bool:
    found = git.attempt(
        git_dir, "--git-dir=.", "rev-list", "--max-count=1", "--all", "--not", "--remotes"
    )
    return found.ok and not found.out


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False  # not there: nothing of it can be lost
