"""Making repositories: a clone, or a new one, in the shape a layout asks for."""

from __future__ import annotations

import os
import shutil
from typing import NamedTuple
from urllib.parse import urlsplit

from . import git, layouts
from .branches import default_branch, remote_branches
from .creation import Creation, create
from .errors import BadPath, CloneFailed, PathTaken
from .layouts import Layout
from .names import check_branch_name
from .repository import Repository, discover
from .worktrees import Worktree

_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Cloned(NamedTuple):
    """A fresh clone without files yet. `default`: its default branch, None when empty."""

    directory: str
    common_dir: str
    default: str | None
    is_empty: bool
    made_parents: tuple[str, ...]


def directory_name(url: str) -> str:
    """Return the directory a clone of `url` goes to. Raises: BadPath when none can be derived."""
    text = url
    if "://" in url:
        text = urlsplit(url).path
    elif ":" in url and not os.path.exists(url):
        text = url.split(":", 1)[1]
    text = text.split("?")[0].split("#")[0].rstrip("/").removesuffix("/.git")
    name = text.rsplit("/", 1)[-1].removesuffix(".git")
    name = "".join(char for char in name if char in _NAME_CHARS)
    if not name or name.startswith("."):
        raise BadPath(
            f"cannot derive a directory name from {url!r}",
            tips=("name it: `daft clone <url> <directory>`",),
        )
    return name


def fetch_clone(
    url: str,
    directory: str,
    *,
    cwd: str,
    remote: str = "origin",
    depth: int | None = None,
    filter_spec: str | None = None,
    single_branch: bool = False,
) -> Cloned:
    """Clone `url` without checking anything out. On failure nothing stays behind.

    Raises: PathTaken, GitFailed with git's own words.
    """
    path = os.path.normpath(os.path.join(cwd, directory))
    refuse_occupied(path)
    parents = _make_parents(os.path.dirname(path))
    args = ["clone", "--no-checkout", "--origin", remote]
    if depth is not None:
        args += ["--depth", str(depth)]
    if filter_spec is not None:
        args += ["--filter", filter_spec]
    if single_branch:
        args.append("--single-branch")
    elif depth is not None:
        args.append("--no-single-branch")
    try:
        git.run(cwd, *args, "--", url, path, doing=f"cloning {url}", network=True)
    except BaseException:
        discard(path, parents)
        raise
    common_dir = os.path.join(os.path.realpath(path), ".git")
    head = git.attempt(common_dir, "symbolic-ref", "--short", f"refs/remotes/{remote}/HEAD")
    refs = git.attempt(common_dir, "for-each-ref", "--count=1", f"refs/remotes/{remote}/")
    default = head.out.removeprefix(f"{remote}/") if head.ok and head.out else None
    if default is None:
        own = git.attempt(common_dir, "symbolic-ref", "--short", "HEAD")
        default = own.out if own.ok and own.out else None
    return Cloned(path, common_dir, default, not refs.out, tuple(parents))


def first_worktree(
    cloned: Cloned, branch: str, layout: Layout, *, data_dir: str, url: str
) -> Repository:
    """Give a clone its shape and its first worktree; return it as seen from there.

    Raises: CloneFailed, GitFailed; then the clone has been removed.
    """
    try:
        if layout.is_bare:
            path = _bare_worktree(cloned, branch, layout, data_dir)
        else:
            path = cloned.directory
            _checkout(cloned, branch)
        git.run(cloned.common_dir, "config", "daft.layout", layout.name)
        return discover(path)
    except BaseException:
        discard(cloned.directory, list(cloned.made_parents))
        raise


def without_worktree(cloned: Cloned, layout: Layout) -> None:
    """Give a clone the shape of a bare layout and no worktree. Raises: CloneFailed."""
    if not layout.is_bare:
        discard(cloned.directory, list(cloned.made_parents))
        raise CloneFailed(f"--no-checkout requires a bare layout; '{layout.name}' is not one")
    _make_bare(cloned.common_dir)
    git.run(cloned.common_dir, "config", "daft.layout", layout.name)


def discard(path: str, made_parents: list[str]) -> None:
    """Remove a clone that is not wanted after all, and the parents made for it."""
    shutil.rmtree(path, ignore_errors=True)
    for parent in made_parents:
        try:
            os.rmdir(parent)
        except OSError:
            return


def initialise(
    path: str, *, branch: str, layout: Layout, data_dir: str, with_worktree: bool = True
) -> Repository:
    """Make a new repository in the shape of `layout`, its first branch unborn.

    Raises: PathTaken, BadBranchName, BadPath, GitFailed; then nothing stays behind.
    """
    check_branch_name(branch)
    refuse_occupied(path)
    if not with_worktree and not layout.is_bare:
        raise BadPath(f"--bare requires a bare layout; '{layout.name}' is not one")
    was_there = os.path.isdir(path)
    parents = _make_parents(os.path.dirname(path))
    parent = os.path.dirname(path)
    try:
        if not layout.is_bare:
            git.run(parent, "init", "--quiet", f"--initial-branch={branch}", "--", path)
            common_dir = os.path.join(path, ".git")
            landing = path
        else:
            common_dir = os.path.join(path, ".git")
            git.run(
                parent, "init", "--quiet", "--bare", f"--initial-branch={branch}", "--", common_dir
            )
            landing = path
            if with_worktree:
                landing = layouts.path_for(
                    layout, branch, root=os.path.realpath(path), data_dir=data_dir
                )
                add_orphan(common_dir, landing, branch)
        git.run(common_dir, "config", "daft.layout", layout.name)
        return discover(landing)
    except BaseException:
        if was_there:
            for name in os.listdir(path):
                shutil.rmtree(os.path.join(path, name), ignore_errors=True)
        else:
            discard(path, parents)
        raise


def add_orphan(common_dir: str, path: str, branch: str) -> None:
    """Add a worktree on a branch without commits."""
    made = git.attempt(common_dir, "worktree", "add", "--orphan", "-b", branch, "--", path)
    if made.ok:
        return
    # git before 2.42 cannot; what it would write is small and documented
    # (gitrepository-layout(5)).
    own_dir = os.path.join(common_dir, "worktrees", os.path.basename(path))
    os.makedirs(own_dir)
    os.makedirs(path, exist_ok=True)
    for where, text in (
        (os.path.join(own_dir, "HEAD"), f"ref: refs/heads/{branch}\n"),
        (os.path.join(own_dir, "commondir"), "../..\n"),
        (os.path.join(own_dir, "gitdir"), f"{os.path.join(path, '.git')}\n"),
        (os.path.join(path, ".git"), f"gitdir: {own_dir}\n"),
    ):
        with open(where, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    listed = git.run(common_dir, "worktree", "list", "--porcelain", doing="checking the worktree")
    if f"branch refs/heads/{branch}" not in listed:
        raise CloneFailed(f"git did not accept a worktree without commits: {made.err}")


def missing_branches(repository: Repository, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of `wanted` that the remote does not have."""
    remote = repository.remote
    known = remote_branches(repository, remote) if remote is not None else {}
    return tuple(name for name in wanted if name not in known)


def _bare_worktree(cloned: Cloned, branch: str, layout: Layout, data_dir: str) -> str:
    _make_bare(cloned.common_dir)
    repository = discover(cloned.directory)
    path = layouts.path_for(
        layout, branch, root=os.path.realpath(cloned.directory), data_dir=data_dir
    )
    if cloned.is_empty:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        add_orphan(cloned.common_dir, path, branch)
        return path
    remote = repository.remote or "origin"
    oid = remote_branches(repository, remote).get(branch)
    upstream = f"{remote}/{branch}" if oid and repository.settings.upstream else None
    worktree: Worktree
    if branch == cloned.default:
        worktree = create(Creation(repository, branch, path, False, upstream=upstream))
    else:
        worktree = create(
            Creation(repository, branch, path, True, start=oid or "", upstream=upstream)
        )
    return worktree.path


def _make_bare(common_dir: str) -> None:
    git.run(common_dir, "config", "core.bare", "true")
    index = os.path.join(common_dir, "index")
    if os.path.exists(index):
        os.unlink(index)


def _checkout(cloned: Cloned, branch: str) -> None:
    if cloned.is_empty:
        return
    here = cloned.directory
    if branch == cloned.default:
        git.run(here, "checkout", "--quiet", branch, "--", doing=f"checking out '{branch}'")
        return
    remotes = git.run(here, "remote").split("\n")
    git.run(
        here,
        "checkout",
        "--quiet",
        "--track",
        "-b",
        branch,
        f"{remotes[0]}/{branch}",
        doing=f"checking out '{branch}'",
    )


def refuse_occupied(path: str) -> None:
    """Refuse a target that holds something. Raises: PathTaken."""
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise PathTaken(path)


def _make_parents(parent: str) -> list[str]:
    missing: list[str] = []
    while not os.path.isdir(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for directory in reversed(missing):
        os.mkdir(directory)
    return missing


__all__ = [
    "Cloned",
    "add_orphan",
    "default_branch",
    "directory_name",
    "discard",
    "fetch_clone",
    "first_worktree",
    "initialise",
    "missing_branches",
    "without_worktree",
]
