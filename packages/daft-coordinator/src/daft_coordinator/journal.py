"""What a leader has to say for itself: its standard error, in a private file of bounded size."""

from __future__ import annotations

import fcntl
import os
import sys
from datetime import UTC, datetime

LIMIT_BYTES = 1024 * 1024
_STDERR = 2


class Journal:
    """Takes this process's standard error from now on, tracebacks included.

    One earlier file is kept beside it, with `.1` behind its name.
    limit_bytes: size from which a file is put aside, looked at before every line of ours.
    """

    def __init__(self, path: str, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._redirect()

    def note(self, line: str) -> None:
        """Write a line with the time and our number."""
        if os.fstat(_STDERR).st_size > self._limit_bytes:
            self._put_aside()
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        print(f"{stamp} [{os.getpid()}] {line}", file=sys.stderr, flush=True)

    def _put_aside(self) -> None:
        try:
            # Several leaders may write it, and each renames only what it writes itself: what is
            # at the path may be the next file already, which another has begun.
            fcntl.flock(_STDERR, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_current():
                os.replace(self._path, f"{self._path}.1")
            self._redirect()
        except OSError:
            # Its directory was deleted, or the disk is full: what is open takes the line all the
            # same, and a leader has better things to do than to end for its journal.
            return

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(_STDERR), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _redirect(self) -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._path, flags, 0o600)
        os.dup2(fd, _STDERR)
        os.close(fd)
