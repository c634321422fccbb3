"""The place of a worktree: whether it is free, made ready, and put back as it was."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence

from . import git
from .errors import BadPath, CannotWrite, GitFailed, PathTaken
from .records import read_text
from .repository import Repository
from .worktrees import Worktree, is_below, same_path

_DEBRIS = frozenset({".DS_Store"})
_MAX_NAME_BYTES = 255
MOUNTS = "/proc/self/mountinfo"
_MOUNT_POINT = 4
_OCTAL = re.compile(r"\\([0-7]{3})")
_SPECIAL = re.compile(r"[\\*?\[ ]")  # gitignore(5): patterns, and blanks at the end
_MAX_PATH_BYTES = 4000  # below PATH_MAX of 4096, with room for the names git adds


def check_place(repository: Repository, path: str, *, chosen: bool) -> str:
    """Return `path` if a worktree can be made there.

    chosen: the user named it; a layout may place worktrees inside the main one, a user not.
    Raises: PathTaken, BadPath.
    """
    check_length(path)
    refuse_taken(path, repository.worktrees)
    _refuse_inside(repository, path, chosen=chosen)
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        raise BadPath(
            f"{parent} is not a directory; a worktree cannot go below it",
            tips=("place the worktree elsewhere with `--at <path>`",),
        )
    return path


def check_length(path: str) -> None:
    """Refuse a path that the system, or git below it, could not handle. Raises: BadPath."""
    if len(os.fsencode(os.path.basename(path))) > _MAX_NAME_BYTES or (
        len(os.fsencode(path)) > _MAX_PATH_BYTES
    ):
        raise BadPath(
            f"the path is too long: {path}", tips=("place the worktree with `--at <path>`",)
        )


def refuse_taken(path: str, worktrees: Iterable[Worktree]) -> None:
    """Refuse a path that holds something. Raises: PathTaken, with the branch that is there."""
    if not os.path.lexists(path):
        return
    for worktree in worktrees:
        if same_path(worktree.path, path) and not worktree.missing:
            raise PathTaken(path, worktree.label)
    if not is_debris(path):
        raise PathTaken(path)


def make_parents(parent: str) -> list[str]:
    """Create missing directories; return those made, the innermost first.

    Raises: BadPath, with what was made removed again.
    """
    missing: list[str] = []
    while not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    made: list[str] = []
    for directory in reversed(missing):
        try:
            os.mkdir(directory)
        except FileExistsError:
            continue  # another creation below the same parent was faster
        except OSError as error:
            remove_empty(made)
            raise BadPath(f"{directory} cannot be made: {error.strerror}") from error
        made.insert(0, directory)
    return made


def remove_empty(directories: Iterable[str]) -> None:
    """Remove directories, the innermost first, up to one that somebody uses."""
    for directory in directories:
        try:
            os.rmdir(directory)
        except OSError:
            return  # in use by now, which is as good


def remove_empty_between(inner: str, outer: str) -> None:
    """Remove `inner` and what is above it, up to `outer` and with that, as far as empty."""
    empty = []
    while is_below(inner, outer) or same_path(inner, outer):
        empty.append(inner)
        inner = os.path.dirname(inner)
    remove_empty(empty)


def remove_empty_parents(repository: Repository, parent: str) -> None:
    """Remove `parent` and what is above it while empty: below the project root, never that."""
    root = os.path.realpath(repository.project_root)
    empty: list[str] = []
    while os.path.realpath(parent).startswith(root + os.sep):
        empty.append(parent)
        parent = os.path.dirname(parent)
    remove_empty(empty)


def clear_debris(path: str) -> None:
    """Remove a directory that holds nothing; a file in it makes this fail and stays."""
    for directory, _, files in os.walk(path, topdown=False):
        try:
            for name in _DEBRIS & set(files):
                os.unlink(os.path.join(directory, name))
            os.rmdir(directory)
        except OSError as error:
            raise PathTaken(path) from error


def keep_out_of_status(repository: Repository, path: str) -> None:
    """Keep a worktree inside the main one out of its status, without touching tracked files.

    Raises: CannotWrite.
    """
    main = repository.main
    if main is None:
        return
    root, real = os.path.realpath(main.path), os.path.realpath(path)
    if not real.startswith(root + os.sep):
        return
    first = os.path.relpath(real, root).split(os.sep)[0]
    if f"/{first}/" in _excluded(repository.common_dir):
        return
    if not git.attempt(main.path, "check-ignore", "-q", f"{first}/").ok:
        _exclude(repository.common_dir, [f"/{first}/"])


def ignore(common_dir: str, top: str, names: Sequence[str]) -> None:
    """Let git overlook `names` in all worktrees, without touching tracked files.

    top: a worktree in which they are; what git ignores there already is left out.
    Raises: CannotWrite, GitFailed.
    """
    known = _excluded(common_dir)
    patterns = {name: _SPECIAL.sub(r"\\\g<0>", f"/{name}") for name in names}
    unsure = [name for name, pattern in patterns.items() if pattern not in known]
    if not unsure:
        return
    asked = "".join(f"{name}\0" for name in unsure)
    found = git.attempt(top, "check-ignore", "-z", "--stdin", stdin=asked)
    if found.code not in (0, 1):  # 1: none of them is
        raise GitFailed(f"looking at what is ignored in {top}", found.err, found.code)
    ignored = set(git.fields(found.out))
    _exclude(common_dir, [patterns[name] for name in unsure if name not in ignored])


def _excluded(common_dir: str) -> list[str]:
    return (read_text(_exclude_file(common_dir)) or "").split("\n")


def _exclude(common_dir: str, patterns: Sequence[str]) -> None:
    """Add lines to the ignore file that no worktree shows. Raises: CannotWrite."""
    path = _exclude_file(common_dir)
    if not patterns:
        return
    text = read_text(path)
    lines = "".join(f"{pattern}\n" for pattern in patterns)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+b") as file:
            if text and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                lines = f"\n{lines}"
            file.write(os.fsencode(lines))
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error


def _exclude_file(common_dir: str) -> str:
    return os.path.join(common_dir, "info", "exclude")


def delete_tree(path: str) -> bool:
    """Delete a directory and all below it; False when something would not go.

    Directories that refuse to be written, as some package caches are, are opened first.
    """
    import shutil

    if os.path.islink(path) or not os.path.isdir(path):
        _unlink(path)
        return not os.path.lexists(path)
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return True
    for directory, _, _ in os.walk(path):
        try:
            os.chmod(directory, stat.S_IRWXU)
        except OSError:
            continue  # not ours; the answer below tells
    shutil.rmtree(path, ignore_errors=True)
    return not os.path.lexists(path)


def mounts_below(path: str) -> list[str]:
    """Return where other file systems are mounted inside a directory, as far as the system tells.

    Whoever deletes the directory would delete what is in them. Source: proc(5), mountinfo; a
    system without that file is not asked.
    """
    root = os.path.realpath(path).rstrip(os.sep) + os.sep
    found: list[str] = []
    for line in (read_text(MOUNTS) or "").split("\n"):
        fields = line.split(" ")
        if len(fields) > _MOUNT_POINT:
            # Blanks, line ends and backslashes are written as three octal digits.
            place = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[_MOUNT_POINT])
            if place.startswith(root):
                found.append(place)
    return found


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # the caller looks whether it is there


def is_debris(path: str) -> bool:
    """True for a directory with nothing in it but empty directories."""
    if os.path.islink(path) or not os.path.isdir(path):
        return False
    unreadable: list[OSError] = []
    for directory, names, files in os.walk(path, onerror=unreadable.append):
        if set(files) - _DEBRIS or ".git" in names:
            return False
        if any(os.path.islink(os.path.join(directory, name)) for name in names):
            return False
    return not unreadable


def _refuse_inside(repository: Repository, path: str, *, chosen: bool) -> None:
    real = os.path.realpath(path)
    git_dir = os.path.realpath(repository.common_dir)
    if real == git_dir or real.startswith(git_dir + os.sep):
        raise BadPath(
            f"{path} is inside the git directory {git_dir}",
            tips=("choose another layout, such as `--layout sibling`",),
        )
    if not chosen:
        return
    for worktree in repository.worktrees:
        root = os.path.realpath(worktree.path)
        if worktree.is_bare or not real.startswith(root + os.sep):
            continue
        if worktree.is_main and git.attempt(root, "check-ignore", "-q", "--", real).ok:
            continue
        raise BadPath(
            f"{path} is inside the worktree {worktree.path}",
            tips=("place it outside, or where git ignores files of the main working tree",),
        )
