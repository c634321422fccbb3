"""Where the leader of a repository is met: its lock and its socket."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys

from attrs import define, frozen

from . import __version__
from .errors import CoordinatorError, PeerNotOurs

_TOLD_BYTES = 16 * 1024


@frozen(kw_only=True)
class Station:
    """The meeting place of a leader and its clients.

    state_root: passed on to a leader that is started, so that both mean the same place.
    lock_path: held for life by the leader; never deleted, but for that of an invocation's own
        leader, which goes with it.
    socket_path: exists only while a leader listens.
    journal_path: takes the leader's own messages.
    invocation_id: the one that this leader runs and nothing else; None: it leads the repository.
    """

    repository: str
    state_root: str
    lock_path: str
    socket_path: str
    journal_path: str
    invocation_id: str | None = None

    @property
    def is_met_at_home(self) -> bool:
        """True when the socket's place follows from the state directory alone."""
        return os.path.dirname(self.socket_path) == os.path.dirname(self.lock_path)

    @property
    def words(self) -> list[str]:
        """The arguments by which a process of ours finds the same place."""
        words = ["--state-root", self.state_root, "--repository", self.repository]
        if self.invocation_id is not None:
            words += ["--invocation", self.invocation_id]
        return words


def program() -> str:
    """Return what a leader that this process starts would be: which code, in which interpreter."""
    return f"{__version__} {os.path.dirname(os.path.abspath(__file__))} {sys.executable}"


@define
class LeaderLock:
    """The right to lead. The kernel takes it back when the holder dies, however it dies.

    A process that is started with its descriptor holds it as well: it is free when both have let
    go of it.
    """

    _fd: int | None

    @classmethod
    def try_acquire(cls, path: str) -> LeaderLock | None:
        """Return the lock, or None when somebody else holds it. Never waits."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    return None
                raise
            lock = cls(fd)
            if lock.is_at(path):
                return lock
            # Deleted between the two steps: it locks nobody out.
            lock.release()

    @classmethod
    def inherit(cls, fd: int, path: str) -> LeaderLock | None:
        """Return the lock this process was started with, None when it is not the one at `path`."""
        os.set_inheritable(fd, False)
        lock = cls(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its file may have been deleted meanwhile: that locks nobody out.
            if lock.renew(path):
                return lock
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        lock.release()
        return None

    def fileno(self) -> int:
        """Return the descriptor, to be handed on. Raises: ValueError when it was released."""
        if self._fd is None:
            raise ValueError("the lock was released")
        return self._fd

    @property
    def was_held_by_ours(self) -> bool:
        """True when the last who led here was the very program we would start, and led well."""
        if self._fd is None:
            return False
        return os.pread(self._fd, _TOLD_BYTES, 0).partition(b"\n")[2] == _told_program()

    def is_at(self, path: str) -> bool:
        """True while the file at `path` is the one that is locked."""
        try:
            return self._fd is not None and os.path.samestat(os.stat(path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def renew(self, path: str) -> bool:
        """Make sure of the lock where its file may have been deleted; False: another has it."""
        if self.is_at(path):
            return True
        again = None if self._fd is None else LeaderLock.try_acquire(path)
        if again is None:
            return False
        self.release()
        self._fd, again._fd = again._fd, None
        return True

    def describe(self, text: str) -> None:
        """Write who holds it, for people who look into the file, and what it is.

        text: one line. Called once its holder can do its work.
        """
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode() + b"\n" + _told_program(), 0)

    def leave(self, station: Station) -> None:
        """Let go of it; its file stays only where somebody is going to lead again."""
        if station.invocation_id is None:
            self.release()
        else:
            self.remove(station.lock_path)

    def remove(self, path: str) -> None:
        """Let go of the lock and of its file: nobody is going to lead here again."""
        if self.is_at(path):
            os.unlink(path)
        self.release()

    def release(self) -> None:
        """Let somebody else lead. Calling it again does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _told_program() -> bytes:
    return os.fsencode(program()) + b"\n"


def leader_lives(lock_path: str) -> bool:
    """True when somebody holds the leader's lock now. Creates nothing."""
    try:
        fd = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def own_leaders(lock_path: str) -> dict[str, bool]:
    """Return which invocations have a leader of their own, by the badge in its lock's name.

    lock_path: of the repository's leader. True: it lives; False: only its lock file is left.
    """
    directory, name = os.path.split(lock_path)
    before, after = name.removesuffix(".lock") + "-", ".lock"
    return {
        one[len(before) : -len(after)]: leader_lives(os.path.join(directory, one))
        for one in os.listdir(directory)
        if one.startswith(before) and one.endswith(after)
    }


def anybody_leads(lock_path: str) -> bool:
    """True when the repository, or an invocation in it, has a living leader. Creates nothing.

    lock_path: of the repository's leader.
    """
    if leader_lives(lock_path):
        return True
    try:
        return any(own_leaders(lock_path).values())
    except FileNotFoundError:
        return False  # nobody has ever led here


def wait_until_free(lock_path: str) -> None:
    """Return when nobody holds the leader's lock, for a moment at least."""
    fd = os.open(lock_path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # Shared: any number may wait, and all of them wake. Closing gives it back at once.
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def check_peer(connection: socket.socket) -> None:
    """Refuse a peer that belongs to another user.

    Raises: PeerNotOurs; CoordinatorError where the system does not tell who it is.
    """
    uid = _peer_uid(connection)
    if uid != os.geteuid():
        raise PeerNotOurs(uid, os.geteuid())


def _peer_uid(connection: socket.socket) -> int:
    if sys.platform.startswith("linux"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    # struct xucred: version, uid, … at level 0, option LOCAL_PEERCRED (1); unix(4) of the BSDs.
    try:
        raw = connection.getsockopt(0, 1, 76)
        return int(struct.unpack_from("II", raw)[1])
    except (OSError, struct.error) as error:
        raise CoordinatorError(f"this system does not tell who is at a socket: {error}") from error
