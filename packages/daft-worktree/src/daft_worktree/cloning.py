"""Making repositories: a clone, or a new one, in the shape a layout asks for."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from . import git, layouts, places
from .branches import remote_branches
from .creation import Creation, create
from .errors import BadPath, CloneFailed, PathTaken
from .layouts import Layout
from .names import check_branch_name
from .repository import Repository, discover
from .worktrees import Worktree

_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Cloned(NamedTuple):
    """A fresh clone without files yet.

    default: its default branch, None when the remote does not tell. made: directories made for
    it, the innermost first; its own is not among them when it was there, empty, before.
    """

    directory: str
    common_dir: str
    default: str | None
    is_empty: bool
    made: tuple[str, ...]


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


def harmless_url(url: str) -> str:
    """Return `url` without a password in it, to be shown."""
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    name, has_password, _ = user.partition(":")
    return f"{scheme}://{name}{':***' if has_password else ''}{at}{host}{slash}{path}"


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
    args = ["clone", "--no-checkout", "--origin", remote]
    if depth is not None:
        args += ["--depth", str(depth)]
    if filter_spec is not None:
        args += ["--filter", filter_spec]
    if single_branch:
        args.append("--single-branch")
    elif depth is not None:
        args.append("--no-single-branch")
    doing = f"cloning {harmless_url(url)}"
    with _claimed(path) as made:
        try:
            git.run(cwd, *args, "--", url, path, doing=doing, network=True)
        except BaseException:
            # git has taken back what it made; what is there now is somebody else's.
            places.remove_empty(made)
            raise
    common_dir = os.path.join(os.path.realpath(path), ".git")
    head = git.attempt(common_dir, "symbolic-ref", "--short", f"refs/remotes/{remote}/HEAD")
    refs = git.attempt(common_dir, "for-each-ref", "--count=1", f"refs/remotes/{remote}/")
    default = head.out.removeprefix(f"{remote}/") if head.ok and head.out else None
    if default is None:
        own = git.attempt(common_dir, "symbolic-ref", "--short", "HEAD")
        default = own.out if own.ok and own.out else None
    return Cloned(path, common_dir, default, not refs.out, tuple(made))


def first_worktree(cloned: Cloned, branch: str, layout: Layout, *, data_dir: str) -> Repository:
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
        discard(cloned)
        raise


def without_worktree(cloned: Cloned, layout: Layout) -> None:
    """Give a clone the shape of a bare layout and no worktree. Raises: CloneFailed."""
    if not layout.is_bare:
        discard(cloned)
        raise CloneFailed(f"--no-checkout requires a bare layout; '{layout.name}' is not one")
    _make_bare(cloned.common_dir)
    git.run(cloned.common_dir, "config", "daft.layout", layout.name)


def discard(cloned: Cloned) -> None:
    """Remove a clone that is not wanted after all, and the directories made for it."""
    _clear(cloned.directory, cloned.made)


def _clear(directory: str, made: Iterable[str]) -> None:
    for name in os.listdir(directory):
        places.delete_tree(os.path.join(directory, name))
    places.remove_empty(made)


@contextmanager
def _claimed(path: str) -> Iterator[list[str]]:
    """Hold a directory that was made, or was empty, for the body.

    Gives the directories made, innermost first. Raises: PathTaken, BadPath.
    """
    refuse_occupied(path)
    was_there = os.path.lexists(path)
    made = places.make_parents(path)
    if not was_there and path not in made:
        # Another clone to the same place was faster, and must not be undone with ours.
        places.remove_empty(made)
        raise PathTaken(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The kernel takes it back when we die. Two gits in one directory that is still empty
        # would each take back the work of the other.
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PathTaken(path) from error
        refuse_occupied(path)
        yield made
    finally:
        os.close(fd)


def initialise(
    path: str, *, branch: str, layout: Layout, data_dir: str, with_worktree: bool = True
) -> Repository:
    """Make a new repository in the shape of `layout`, its first branch unborn.

    Raises: PathTaken, BadBranchName, BadPath, GitFailed; then nothing stays behind.
    """
    check_branch_name(branch)
    if not with_worktree and not layout.is_bare:
        raise BadPath(f"--bare requires a bare layout; '{layout.name}' is not one")
    with _claimed(path) as made:
        try:
            return _initialise(path, branch, layout, data_dir, with_worktree=with_worktree)
        except BaseException:
            _clear(path, made)
            raise


def _initialise(
    path: str, branch: str, layout: Layout, data_dir: str, *, with_worktree: bool
) -> Repository:
    common_dir = os.path.join(path, ".git")
    first = f"--initial-branch={branch}"
    landing = path
    if not layout.is_bare:
        git.run(path, "init", "--quiet", first, "--", path, doing=f"making {path}")
    else:
        git.run(path, "init", "--quiet", "--bare", first, "--", common_dir, doing=f"making {path}")
        if with_worktree:
            root = os.path.realpath(path)
            landing = layouts.path_for(layout, branch, root=root, data_dir=data_dir)
            add_orphan(common_dir, landing, branch)
    git.run(common_dir, "config", "daft.layout", layout.name, doing="noting the layout")
    return discover(landing)


def add_orphan(common_dir: str, path: str, branch: str) -> None:
    """Add a worktree on a branch without commits. Raises: PathTaken, CloneFailed."""
    refuse_occupied(path)
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
        with open(where, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    listed = git.run(common_dir, "worktree", "list", "--porcelain", doing="checking the worktree")
    if f"branch refs/heads/{branch}" not in listed:
        raise CloneFailed(f"git did not accept a worktree without commits: {made.err}")


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
