"""One change of worktrees, and one merge, at a time in one repository."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import CannotWrite, LockTimeout

LOCK_TIMEOUT_S = 30.0
_PAUSE_S = 0.01


@contextmanager
def worktree_lock(common_dir: str, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the repository's worktree lock for the body. Never held while hooks run.

    The kernel takes it back when we die. Raises: LockTimeout, CannotWrite.
    """
    with _held(common_dir, "worktree.lock", timeout_s, "changing worktrees of"):
        yield


@contextmanager
def merge_lock(
    common_dir: str,
    *,
    timeout_s: float = LOCK_TIMEOUT_S,
    waiting: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Hold the repository's merge lock for the body, hooks before the merge included.

    So what one gate has let through is not merged into what another gate has just changed.
    waiting: called once, when somebody else holds it. Raises: LockTimeout, CannotWrite.
    """
    with _held(common_dir, "merge.lock", timeout_s, "merging in", waiting):
        yield


@contextmanager
def _held(
    common_dir: str,
    name: str,
    timeout_s: float,
    doing: str,
    waiting: Callable[[], None] | None = None,
) -> Iterator[None]:
    directory = os.path.join(common_dir, ".daft", "locks")
    path = os.path.join(directory, name)
    try:
        os.makedirs(directory, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotWrite(directory, error.strerror or str(error)) from error
    try:
        _wait_for(fd, path, timeout_s, doing, waiting)
        _sign(fd)
        yield
    finally:
        os.close(fd)


def _sign(fd: int) -> None:
    """Write down who holds the lock, for the message of those who wait."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        return  # a full disk: the lock is held all the same, only the message says less


def _wait_for(
    fd: int, path: str, timeout_s: float, doing: str, waiting: Callable[[], None] | None
) -> None:
    # flock has no time limit of its own, and a library may neither start threads nor take
    # SIGALRM from its host; so it asks again, at ever longer distances.
    deadline = time.monotonic() + timeout_s
    pause = _PAUSE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise CannotWrite(path, error.strerror or str(error)) from error
        if time.monotonic() >= deadline:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            raise LockTimeout(f" (pid {owner})" if owner else "", doing)
        if waiting is not None:
            waiting()
            waiting = None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
