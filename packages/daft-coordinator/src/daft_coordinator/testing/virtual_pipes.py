"""Real pipes between a coordinator and processes that exist only on paper."""

from __future__ import annotations

import os


class Outlet:
    """The writing end of a pipe, shared by the scripted processes that hold it.

    What does not fit is kept until the reader has made room, as a real writer would be held up.
    """

    def __init__(self) -> None:
        self.reader, self._fd = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._fd, False)
        self._holders = 0
        self._waiting = b""

    @property
    def is_blocked(self) -> bool:
        """True while something waits for room."""
        return bool(self._waiting)

    def hold(self) -> None:
        """One process more has this end open."""
        self._holders += 1

    def release(self) -> None:
        """One process less has it open; with the last one it is closed."""
        self._holders -= 1
        if self._holders == 0:
            os.close(self._fd)
            self._waiting = b""

    def write(self, data: bytes) -> None:
        """Write, keeping what does not fit. Raises: BrokenPipeError when nobody reads."""
        self._waiting += data
        self.flush()

    def flush(self) -> None:
        """Write what waits. Raises: BrokenPipeError when nobody reads."""
        if not self._holders:
            return
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(self._fd, self._waiting) :]
        except BlockingIOError:
            return  # the reader is behind; the next look goes on
        except BrokenPipeError:
            self._waiting = b""
            raise


class Bell:
    """A descriptor that becomes readable once, for good: the end of a process."""

    def __init__(self) -> None:
        self.reader, fd = os.pipe()
        self._fd: int | None = fd

    def ring(self) -> None:
        """Make it readable. Again does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Gate:
    """The end of a gate that a scripted process waits at."""

    def __init__(self) -> None:
        self._fd, self.writer = os.pipe()
        os.set_blocking(self._fd, False)

    def look(self) -> bool | None:
        """True: it was opened. False: it was closed. None: neither yet."""
        try:
            return bool(os.read(self._fd, 64))
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Nobody waits here any more."""
        os.close(self._fd)


class Lent:
    """Descriptors given to a program, to be taken back when it is killed.

    A number may have been closed and belong to something else by then; its pipe tells.
    """

    def __init__(self) -> None:
        self._pipes: dict[int, int] = {}

    def add(self, fd: int) -> int:
        """Remember `fd`, and return it."""
        self._pipes[fd] = os.fstat(fd).st_ino
        return fd

    def take_back(self) -> None:
        """Close what is still open, as the kernel does for a process that died."""
        for fd, inode in self._pipes.items():
            try:
                if os.fstat(fd).st_ino == inode:
                    os.close(fd)
            except OSError:
                continue  # closed long ago, as it should be
        self._pipes.clear()
