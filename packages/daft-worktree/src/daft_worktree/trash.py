"""Where removed worktrees wait to be deleted: taken in an instant, brought back if need be.

An entry is a directory of the trash. As long as a file with its name and `.origin` stands beside
it, its removal has not finished; the file tells where it was.
"""

from __future__ import annotations

import errno
import os
import time

from .errors import RemoveFailed
from .places import delete_tree
from .records import is_absent, read_text, records
from .worktrees import same_path

_ORIGIN = ".origin"
# Another file system; or no room for even a name, which a removal is there to make.
_IN_PLACE = (errno.EXDEV, errno.ENOSPC, errno.EDQUOT)


def directory(common_dir: str) -> str:
    """Return where a repository keeps them."""
    return os.path.join(common_dir, ".daft", "trash")


def take(common_dir: str, path: str) -> str | None:
    """Move the tree at `path` into the trash; return its entry there, to be settled or put back.

    None when it must be deleted where it is: on another file system, or a full one. Then nothing
    was changed.
    Raises: RemoveFailed when it cannot be moved; then nothing was changed either.
    """
    trash = directory(common_dir)
    name = f"{os.path.basename(path)[:100]}-{os.getpid()}-{time.monotonic_ns()}"
    entry = os.path.join(trash, name)
    try:
        os.makedirs(trash, exist_ok=True)
        _write_durably(entry + _ORIGIN, path)
        os.rename(path, entry)
    except OSError as error:
        settle(entry)
        if error.errno in _IN_PLACE:
            return None
        raise RemoveFailed(
            f"{path} cannot be moved to {trash}: {error.strerror}; nothing was removed"
        ) from error
    return entry


def put_back(entry: str, path: str) -> None:
    """Undo `take`. Raises: RemoveFailed, the tree then stays in the trash and is not deleted."""
    try:
        if not is_absent(path):
            raise FileExistsError(errno.EEXIST, "something else is there by now")
        os.rename(entry, path)
    except OSError as error:
        raise RemoveFailed(
            f"{path} was not removed, but cannot be put back: {error.strerror}; it is at {entry}"
        ) from error
    settle(entry)


def finish(entry: str) -> None:
    """Say that a removal has ended and its entry may be deleted."""
    pointer = os.path.join(entry, ".git")
    if not is_absent(pointer):
        # A shell that still stands in it must reach neither a later worktree of the same name
        # nor, without the file, the repository that the trash is in.
        with open(pointer, "w", encoding="utf-8") as file:
            file.write("gitdir: of-a-removed-worktree\n")
    settle(entry)


def settle(entry: str) -> None:
    """Say that nothing is under way any more."""
    try:
        os.unlink(entry + _ORIGIN)
    except FileNotFoundError:
        return  # it never began


def has_unfinished(common_dir: str) -> bool:
    """True when a removal is under way, or has died half way."""
    try:
        return any(name.endswith(_ORIGIN) for name in os.listdir(directory(common_dir)))
    except FileNotFoundError:
        return False


def recover(common_dir: str) -> list[str]:
    """Put back what removals that died half way have taken; return the paths.

    To be called with the worktree lock held: then whoever wrote an `.origin` is dead.
    """
    trash = directory(common_dir)
    try:
        names = [name for name in os.listdir(trash) if name.endswith(_ORIGIN)]
    except FileNotFoundError:
        return []
    listed = records(common_dir) if names else []
    back: list[str] = []
    for name in names:
        entry = os.path.join(trash, name.removesuffix(_ORIGIN))
        path = read_text(entry + _ORIGIN)
        if is_absent(entry) or not path:
            settle(entry)
        elif not any(same_path(record.path, path) for record in listed):
            finish(entry)  # git has let go of it: only the last step was missing
        elif is_absent(path):
            put_back(entry, path)
            back.append(path)
    return back


def reap_trash(common_dir: str) -> int:
    """Delete the trees of finished removals for good; return how many."""
    trash = directory(common_dir)
    try:
        names = sorted(os.listdir(trash))
    except FileNotFoundError:
        return 0
    reaped = 0
    for name in names:
        entry = os.path.join(trash, name)
        # Looked for one by one: the origin is older than its entry, a listing may miss it.
        if name.endswith(_ORIGIN) or not is_absent(entry + _ORIGIN):
            continue
        reaped += delete_tree(entry)
    return reaped


def _write_durably(path: str, text: str) -> None:
    # On disk before the tree moves: without it the tree would count as removed.
    with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
