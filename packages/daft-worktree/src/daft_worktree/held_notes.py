"""Notes of what is under way, each locked by whoever is at work on it.

A lock ends with the last process that has it, git included where it inherits the descriptor. So a
note that nobody holds tells of a death, and of what there is to put right.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator

from .errors import CannotWrite


def fresh_path(directory: str) -> str:
    """Return a path in `directory` that no other run has."""
    return os.path.join(directory, f"{os.getpid()}-{time.monotonic_ns()}")


def make(path: str) -> int:
    """Make an empty note, and its directory; return the descriptor that holds it.

    Raises: CannotWrite.
    """
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotWrite(directory, error.strerror or str(error)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        os.close(fd)
        os.unlink(path)
        raise CannotWrite(path, error.strerror or str(error)) from error
    return fd


def paths(directory: str, suffix: str = "") -> list[str]:
    """Return the notes in `directory`, the held ones too."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [os.path.join(directory, name) for name in names if name.endswith(suffix)]


def of_the_dead(found: list[str]) -> Iterator[tuple[str, int]]:
    """Yield those of the notes that nobody holds, each held by us until the next is asked for.

    Whoever takes one up drops it: `os.unlink`. To be called with the worktree lock held, as a
    note is not held yet in the moment in which it is made.
    """
    for path in found:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path, fd
        except BlockingIOError:
            continue  # its command, or its git, is still at work
        finally:
            os.close(fd)
