"""Changing one file into a link, and back, without a moment in which its content is nowhere.

Whoever is killed between two steps leaves the file, or the link to what holds it; at worst one
copy more than was wanted.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)
_PRIVATE = 0o700
_MARK = ".daft-"
_STAMP = re.compile(r"[0-9]+-[0-9]+")


def staging(common_dir: str) -> str:
    """Return where half made things are; whoever holds the worktree lock may `sweep` it."""
    return os.path.join(common_dir, ".daft", "sharing")


def sweep(common_dir: str) -> None:
    """Delete what runs that died have left half made. Raises: OSError."""
    directory = staging(common_dir)
    os.makedirs(directory, mode=_PRIVATE, exist_ok=True)
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))


def sweep_beside(path: str) -> None:
    """Delete what runs that died have left half made beside `path`, as `sweep`. Raises: OSError."""
    directory, start = os.path.dirname(path), _beside(path)
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.startswith(start) and is_half_made(name):
            os.unlink(os.path.join(directory, name))


def is_half_made(name: str) -> bool:
    """True for the name of a file that is made beside another."""
    _, start, stamp = name.rpartition(_MARK)
    return start != "" and _STAMP.fullmatch(stamp) is not None


def keep(path: str, target: str) -> None:
    """Make `target`, which must not be there, hold what the file at `path` holds.

    By a hard link where that can be: then not even a write at this moment is missed. Otherwise by
    a copy with the same mode, which appears complete or not at all.
    Raises: FileExistsError, OSError; then there is no `target`.
    """
    _make_private(os.path.dirname(target))
    sweep_beside(target)
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "is there", target) from error
        # Under the lock nobody else makes `target`. Beside it: it may be a file system of its own.
        half = _fresh(os.path.dirname(target), _beside(target))
        _copy_to(path, half)
        os.rename(half, target)
    _settle(os.path.dirname(target))


def put_link(path: str, text: str) -> None:
    """Make a link where nothing is. Raises: FileExistsError, OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(text, path)


def swap_in_link(path: str, text: str, common_dir: str) -> None:
    """Put a link in place of the file or link at `path`, in one step. Raises: OSError."""
    _swap_in(path, common_dir, lambda where: os.symlink(text, where))


def swap_in_copy(path: str, origin: str, common_dir: str) -> None:
    """Put a copy of the file `origin` in place of the link at `path`, or of nothing.

    Raises: OSError; `path` is as it was then.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _swap_in(path, common_dir, lambda where: _copy_to(origin, where))


def swap_in_same(path: str, origin: str) -> None:
    """Put what the file `origin` holds in place of the file at `path`, as `keep` would.

    Raises: OSError; `path` is as it was then.
    """
    sweep_beside(path)
    made = _fresh(os.path.dirname(path), _beside(path))
    keep(origin, made)
    os.replace(made, path)
    _settle(os.path.dirname(path))


def aside(path: str, folder: str, name: str) -> str:
    """Keep what is at `path` in `folder` as well, a directory there alone; return where.

    Nothing that was kept there before is replaced. Raises: OSError.
    """
    target = first = os.path.join(folder, name)
    number = 1
    while os.path.lexists(target):
        number += 1
        target = f"{first}.{number}"
    if stat.S_ISREG(os.lstat(path).st_mode):
        keep(path, target)
    else:
        _make_private(os.path.dirname(target))
        os.rename(path, target)
    return target


def _swap_in(path: str, common_dir: str, make: Callable[[str], None]) -> None:
    """Make something in the staging, or beside on another file system; let it take its place."""
    made = _fresh(staging(common_dir))
    make(made)
    try:
        os.replace(made, path)
        return
    except OSError as error:
        os.unlink(made)
        if error.errno != errno.EXDEV:
            raise
    # Whoever dies here leaves this: a link, or a copy of what is shared.
    made = _fresh(os.path.dirname(path), _beside(path))
    make(made)
    try:
        os.replace(made, path)
    except OSError:
        os.unlink(made)
        raise


def _make_private(directory: str) -> None:
    """Make a directory, and those above it that are missing, for nobody but us. Raises: OSError."""
    missing: list[str] = []
    while not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for one in reversed(missing):
        os.mkdir(one, _PRIVATE)


def _beside(path: str) -> str:
    return f".{os.path.basename(path)[:100]}{_MARK}"


def _copy_to(origin: str, target: str) -> None:
    from shutil import copyfileobj  # here: it costs more than all else that is loaded for a link

    with open(origin, "rb") as source:
        facts = os.fstat(source.fileno())
        # Nobody else may read a secret, not even while it is half written.
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as made:
                copyfileobj(source, made)
                made.flush()
                os.fchmod(made.fileno(), stat.S_IMODE(facts.st_mode) & 0o777)
                os.utime(made.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
                os.fsync(made.fileno())
        except BaseException:
            os.unlink(target)
            raise


def _fresh(directory: str, start: str = "") -> str:
    return os.path.join(directory, f"{start}{os.getpid()}-{time.monotonic_ns()}")


def _settle(directory: str) -> None:
    """Make names in a directory durable. Raises: OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
