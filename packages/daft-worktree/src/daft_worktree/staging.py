"""Making something beside its place, and putting it there in one step: all of it, or nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .errors import CannotWrite
from .places import delete_tree

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
_LIST = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
_UNKNOWN = (errno.ENOSYS, errno.EINVAL)
_BESIDE = ".daft-copying-"
_COPIES = "copies"
_ATTEMPTS = 10


@contextmanager
def staging(common_dir: str, root: str) -> Iterator[str]:
    """Give an empty directory for the body, from which things can be moved into `root`.

    It is in the git directory, where nobody sees it; inside of `root`, hidden from git, when that
    is on another file system. It is gone afterwards; `clear_leftovers` finds those of runs that
    were killed. Raises: CannotWrite.
    """
    try:
        place, fd = _claimed(_home(common_dir), root)
    except OSError as error:
        raise CannotWrite(_home(common_dir), error.strerror or str(error)) from error
    try:
        yield os.path.join(place, _COPIES)
    finally:
        delete_tree(place)
        os.close(fd)


def _claimed(home: str, root: str) -> tuple[str, int]:
    """Return a new directory, and a descriptor that holds the lock on it."""
    for _ in range(_ATTEMPTS):
        # Until it is locked, another run may take it for a leftover.
        with suppress(FileNotFoundError):
            place = _made(home, root)
            fd = os.open(place, _LIST)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.isdir(os.path.join(place, _COPIES)):
                return place, fd
            os.close(fd)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), root)


def _made(home: str, root: str) -> str:
    place = os.path.join(home, f"{os.getpid()}-{time.monotonic_ns()}")
    os.makedirs(place, mode=0o700)
    try:
        if not _moves_into(place, root):
            os.rmdir(place)
            place = os.path.join(root, f"{_BESIDE}{os.path.basename(place)}")
            os.mkdir(place, 0o700)
            with open(os.path.join(place, ".gitignore"), "x", encoding="ascii") as file:
                file.write("*\n")  # so that git shows nothing of what is in here
        os.mkdir(os.path.join(place, _COPIES), 0o700)
    except OSError:
        delete_tree(place)
        raise
    return place


def _home(common_dir: str) -> str:
    return os.path.join(common_dir, ".daft", "copying")


def _moves_into(place: str, root: str) -> bool:
    """True when what is made in `place` can be moved into the worktree at `root`."""
    if os.stat(place).st_dev != os.stat(root).st_dev:
        return False
    taken = os.path.join(root, ".git")
    if not os.path.lexists(taken):
        return True
    # The same file system may be mounted twice, and only trying tells: nothing ever takes the
    # place of a file, or of a directory that is not empty, but the reason for that differs.
    probe = os.path.join(place, "probe")
    os.mkdir(probe)
    try:
        os.rename(probe, taken)
    except OSError as error:
        os.rmdir(probe)
        return error.errno != errno.EXDEV
    os.rmdir(taken)  # an empty one, which is what we have put there
    return True


def has_leftovers(common_dir: str) -> bool:
    """True when there is something of runs that were killed, or are at work."""
    return bool(_names(_home(common_dir)))


def clear_leftovers(common_dir: str, root: str | None = None) -> None:
    """Delete what runs that were killed have left; with `root` also in that worktree."""
    home = _home(common_dir)
    places = [os.path.join(home, name) for name in _names(home)]
    if root is not None:
        beside = (name for name in _names(root) if name.startswith(_BESIDE))
        places += [os.path.join(root, name) for name in beside]
    for place in places:
        try:
            fd = os.open(place, _LIST)
        except OSError:
            continue  # gone meanwhile, or nothing of ours
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            delete_tree(place)
        except BlockingIOError:
            continue  # its run is at work
        finally:
            os.close(fd)


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


@contextmanager
def parent_of(root: str, path: str) -> Iterator[int]:
    """Open the directory that `path` is, or will be, in; make those that are missing.

    No link is gone through on the way from `root`. When the body fails, what was made goes again.
    Raises: OSError.
    """
    fd = os.open(root, _LIST)
    made: list[tuple[int, str]] = []
    opened = [fd]
    try:
        for part in path.split("/")[:-1]:
            try:
                os.mkdir(part, dir_fd=fd)
                made.append((fd, part))
            except FileExistsError:
                pass  # as it should be; whether it is a directory shows next
            fd = os.open(part, _LIST, dir_fd=fd)
            opened.append(fd)
        yield fd
    except BaseException:
        for parent, part in reversed(made):
            _remove_if_empty(parent, part)
        raise
    finally:
        for one in reversed(opened):
            os.close(one)


def _remove_if_empty(parent: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        return  # in use by now, which is as good


def put(made: str, parent: int, name: str) -> None:
    """Move `made` to `name` in the open directory `parent`, where nothing is.

    Raises: FileExistsError, and nothing has changed; OSError.
    """
    if not _rename(made, parent, name, _NOREPLACE):
        # Only between these two lines could somebody else's be replaced, on old systems.
        if _exists(parent, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        os.rename(made, name, dst_dir_fd=parent)


def swap(made: str, parent: int, name: str) -> str:
    """Move `made` to `name` in `parent`, and what was there out of the way; return where it is.

    There is no moment without one of both, where the system can do that. Raises: OSError, and
    what was there is there.
    """
    if _rename(made, parent, name, _EXCHANGE):
        return made
    old = f"{made}.old"
    os.rename(name, old, src_dir_fd=parent)
    try:
        os.rename(made, name, dst_dir_fd=parent)
    except BaseException:
        os.rename(old, name, dst_dir_fd=parent)
        raise
    return old


def clear_scaffold(parent: int, name: str) -> None:
    """Remove an empty directory where something is to be put. Raises: OSError for another."""
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        raise


def _exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _rename(made: str, parent: int, name: str, flags: int) -> bool:
    """Rename as renameat2(2) does; False where that does not exist."""
    import ctypes  # a few milliseconds, which only those who copy pay

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(made), parent, os.fsencode(name), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), name)


def give_mode(parent: int, name: str, mode: int) -> None:
    """Give a directory of ours the mode that would have kept it from being moved."""
    fd = os.open(name, _LIST, dir_fd=parent)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
