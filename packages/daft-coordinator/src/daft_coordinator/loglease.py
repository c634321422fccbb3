"""Who uses a log holds a lock on it, and clean-up leaves it alone.

The kernel gives the lock back when the file is closed, or its holder dies; reading writes nothing.
"""

from __future__ import annotations

import fcntl
import os

from .logfiles import FILE_NAME, SEGMENT_NAMES


def hold(fd: int) -> None:
    """Say that a file of a log is in use, for as long as `fd` is open."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass  # clean-up looks at it right now, or there are no locks here: open, it stays usable


def is_used(directory: str) -> bool:
    """True while somebody reads or writes the log in `directory`."""
    return any(_is_held(os.path.join(directory, name)) for name in (FILE_NAME, *SEGMENT_NAMES))


def _is_held(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False  # no such file, or none that anybody could use
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
