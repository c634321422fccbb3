"""The socket a leader is met at: opened under another name, and made anew when it vanishes.

Somebody may clear the directory it lies in. Where the system tells of that (Linux does, by a
signal; nothing here looks by itself), the door is put back, and the lock is made sure of again: a
lock file that was deleted locks nobody out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal as signals
import socket
from collections.abc import Callable

from .reactor import READ, Reactor, Timer

SIGNAL = signals.SIGIO
"""Sent to this process when a watched directory changes; it must be handled before `open`."""
_ACCEPT_AGAIN_S = 0.2
_SETTLE_S = 0.2  # whoever clears a directory is let finish before something is put there again
_QUEUE = 1024  # callers that may wait to be taken; the system may allow fewer


class Door:
    """A listening socket at `path`.

    admit: given each caller. vanished: called when the socket was replaced or removed, or what
    `is_sound` looks at; it decides whether to `open` again.
    directories: watched for that.
    """

    def __init__(
        self,
        path: str,
        *,
        directories: tuple[str, ...],
        reactor: Reactor,
        admit: Callable[[socket.socket], None],
        vanished: Callable[[], None],
        is_sound: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        self._path = path
        self._directories = tuple(dict.fromkeys(directories))
        self._reactor = reactor
        self._admit = admit
        self._vanished = vanished
        self._is_sound = is_sound
        self._report = report
        self._listener: socket.socket | None = None
        self._inode: int | None = None
        self._watched: list[int] = []
        self._settling: Timer | None = None

    def open(self) -> None:
        """Listen, in place of whatever is there. Raises: OSError."""
        self._let_go()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Under another name, then renamed over: clients never meet a half-made socket.
        temporary = f"{self._path}.{os.urandom(3).hex()}"
        try:
            listener.bind(temporary)
            os.chmod(temporary, 0o600)
            listener.listen(_QUEUE)
            listener.setblocking(False)
            self._inode = os.stat(temporary).st_ino
            os.rename(temporary, self._path)
        except OSError:
            listener.close()
            with contextlib.suppress(OSError):  # the other error is the one that matters
                os.unlink(temporary)
            raise
        self._listener = listener
        self.resume()
        self._watch_directories()

    def pause(self) -> None:
        """Let nobody in until `resume`: whoever knocks meanwhile waits."""
        if self._listener is not None:
            self._reactor.unwatch(self._listener.fileno())

    def resume(self) -> None:
        """Let in whoever waits, and whoever comes."""
        if self._listener is not None:
            self._reactor.watch(self._listener.fileno(), READ, lambda _: self._accept())

    def close(self) -> None:
        """Listen no more, and take the socket away if it is still ours."""
        if self._settling is not None:
            self._settling.cancel()
        if self._listener is not None and self._is_in_place():
            os.unlink(self._path)
        self._let_go()

    def look(self) -> None:
        """See whether all is still in its place; called when a directory has changed."""
        if self._listener is None or (self._is_in_place() and self._is_sound()):
            return
        if self._settling is None or self._settling.callback is None:
            self._settling = self._reactor.call_after(_SETTLE_S, self._settled)

    def _settled(self) -> None:
        if self._listener is not None and not (self._is_in_place() and self._is_sound()):
            self._vanished()

    def _is_in_place(self) -> bool:
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def _let_go(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._reactor.unwatch(listener.fileno())
            listener.close()
        for fd in self._watched:
            os.close(fd)
        self._watched.clear()

    def _watch_directories(self) -> None:
        if not hasattr(fcntl, "F_NOTIFY"):
            return  # this system does not tell; a leader does not last long
        events = fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT
        for path in self._directories:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._watched.append(fd)
                fcntl.fcntl(fd, fcntl.F_NOTIFY, events)
            except OSError as error:
                # Nothing is worse than without it, but that nobody puts a lost socket back.
                self._report(f"{path} cannot be watched: {error.strerror}")

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors, most likely. Waiting costs the clients a moment; going on at
            # once would spin.
            self._report(f"cannot accept a connection: {error.strerror}")
            self.pause()
            self._reactor.call_after(_ACCEPT_AGAIN_S, self.resume)
            return
        self._admit(sock)
