"""The log directories of one repository, and how they are taken away.

Everything happens below one open descriptor of the repository's directory, and every component
is opened without following links. So a planted link leads nowhere: what it points to is neither
measured nor deleted, only the link itself goes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import field, frozen

from .errors import NotOurs, PathOutsideState
from .places import RepositoryPlaces, check_private_directory

DELETING = ".deleting-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HEX = frozenset("0123456789abcdef")


@frozen(kw_only=True)
class ShelvedJob:
    """One job's directory. modified_at: Unix seconds."""

    bytes: int
    modified_at: float


@frozen(kw_only=True)
class ShelvedInvocation:
    """One invocation's directory: directory name of a job -> what it holds.

    bytes: of all files below it. modified_at: Unix seconds.
    """

    invocation_id: str
    modified_at: float
    bytes: int
    jobs: dict[str, ShelvedJob] = field(factory=dict)


class LogShelf:
    """The log directories of one repository. Reading it creates nothing."""

    def __init__(self, places: RepositoryPlaces) -> None:
        self._places = places

    def survey(self) -> Iterator[ShelvedInvocation]:
        """Yield every invocation's directory, measured. Other names are not ours to judge.

        Raises: NotOurs, OSError.
        """
        with self._opened() as base:
            if base is None:
                return
            with os.scandir(base) as entries:
                names = [entry.name for entry in entries if is_invocation_id(entry.name)]
            for name in names:
                found = _measured(base, name)
                if found is not None:
                    yield found

    def leftovers(self) -> tuple[str, ...]:
        """Return the names of directories that somebody set aside and did not live to delete."""
        with self._opened() as base:
            if base is None:
                return ()
            with os.scandir(base) as entries:
                return tuple(entry.name for entry in entries if entry.name.startswith(DELETING))

    def set_aside(self, invocation_id: str, dir_name: str) -> str | None:
        """Rename an invocation's directory, or with `dir_name` one job's; return its new name.

        From then on nobody who goes by a row finds it. None: there is no such directory.
        Raises: PathOutsideState for a name that is none, NotOurs, OSError.
        """
        if not is_invocation_id(invocation_id):
            raise PathOutsideState(invocation_id)
        _check_name(dir_name)
        aside = f"{DELETING}{invocation_id}-{os.urandom(4).hex()}"
        with self._opened() as base:
            if base is None:
                return None
            try:
                if not dir_name:
                    os.rename(invocation_id, aside, src_dir_fd=base, dst_dir_fd=base)
                    return aside
                holder = os.open(invocation_id, _DIRECTORY, dir_fd=base)
                try:
                    os.rename(dir_name, aside, src_dir_fd=holder, dst_dir_fd=base)
                finally:
                    os.close(holder)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    return None  # nothing there, or nothing that could be one of ours
                raise
            return aside

    def clear(self, name: str) -> int:
        """Delete what was set aside under `name`; return the bytes of the files deleted.

        A file that cannot be deleted is left to the next pass, after everything else has gone.
        Raises: PathOutsideState for any other name; NotOurs, OSError.
        """
        if not name.startswith(DELETING) or "/" in name or "\0" in name:
            raise PathOutsideState(name)
        with self._opened() as base:
            return 0 if base is None else _delete(base, name)

    def is_in_use(self, invocation_id: str, dir_name: str) -> bool:
        """True while somebody holds a shared lock on a file of a job, as who uses its log does.

        dir_name: empty for any job of the invocation.
        """
        if not is_invocation_id(invocation_id):
            raise PathOutsideState(invocation_id)
        _check_name(dir_name)
        with self._opened() as base:
            if base is None:
                return False
            try:
                fd = os.open(os.path.join(invocation_id, dir_name), _DIRECTORY, dir_fd=base)
            except OSError:
                return False  # gone, or nothing that could be one of ours
            try:
                return _holds_lock(fd)
            finally:
                os.close(fd)

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Give a descriptor of the repository's directory, None when there is none."""
        places = self._places
        for path in (places.root, os.path.join(places.root, "jobs"), places.directory):
            check_private_directory(path)
        try:
            base = os.open(places.directory, _DIRECTORY)
        except FileNotFoundError:
            yield None
            return
        try:
            if os.fstat(base).st_uid != os.geteuid():
                raise NotOurs(places.directory, "belongs to another user")
            yield base
        finally:
            os.close(base)


def discard(places: RepositoryPlaces) -> None:
    """Set a whole repository's directory aside, store and logs; `clear_discarded` deletes it.

    The caller holds the leader's lock. Raises: NotOurs, OSError.
    """
    jobs = os.path.join(places.root, "jobs")
    for path in (places.root, jobs, places.directory):
        check_private_directory(path)
    aside = f"{DELETING}{places.repository}-{os.urandom(4).hex()}"
    os.rename(places.directory, os.path.join(jobs, aside))


def clear_discarded(root: str) -> int:
    """Delete every repository's directory that was set aside; return the bytes of its files.

    Raises: NotOurs, OSError; what could be deleted is gone.
    """
    jobs = os.path.join(root, "jobs")
    for path in (root, jobs):
        check_private_directory(path)
    try:
        base = os.open(jobs, _DIRECTORY)
    except FileNotFoundError:
        return 0
    try:
        names = [name for name in os.listdir(base) if name.startswith(DELETING)]
        return sum(_delete(base, name) for name in names)
    finally:
        os.close(base)


def is_invocation_id(name: str) -> bool:
    """True for 16 lower-case hex digits."""
    return len(name) == 16 and _HEX.issuperset(name)


def _check_name(dir_name: str) -> None:
    if dir_name.startswith(".") or "/" in dir_name or "\0" in dir_name:
        raise PathOutsideState(dir_name)


def _holds_lock(directory: int) -> bool:
    """True when some file in or below `directory` is locked by somebody."""
    with os.scandir(directory) as entries:
        for entry in entries:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                fd = os.open(entry.name, flags, dir_fd=directory)
            except OSError:
                continue  # gone, a link, or nothing we could read: nobody uses it as a log
            try:
                if entry.is_dir(follow_symlinks=False):
                    if _holds_lock(fd):
                        return True
                    continue
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
            finally:
                os.close(fd)
    return False


def _measured(base: int, name: str) -> ShelvedInvocation | None:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=base)
    except OSError:
        return None  # deleted meanwhile, or a file or link of that name: nothing to measure
    try:
        jobs: dict[str, ShelvedJob] = {}
        total = 0
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    size = _size(fd, entry.name)
                    modified_at = entry.stat(follow_symlinks=False).st_mtime
                    jobs[entry.name] = ShelvedJob(bytes=size, modified_at=modified_at)
                    total += size
                else:
                    total += _file_size(entry)
        return ShelvedInvocation(
            invocation_id=name, modified_at=os.fstat(fd).st_mtime, bytes=total, jobs=jobs
        )
    except FileNotFoundError:
        return None  # somebody deletes it as we look
    finally:
        os.close(fd)


def _size(parent: int, name: str) -> int:
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        with os.scandir(fd) as entries:
            return sum(
                _size(fd, entry.name) if entry.is_dir(follow_symlinks=False) else _file_size(entry)
                for entry in entries
            )
    finally:
        os.close(fd)


def _file_size(entry: os.DirEntry[str]) -> int:
    found = entry.stat(follow_symlinks=False)
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _delete(parent: int, name: str) -> int:
    """Delete `name` below `parent`, whatever it is; links are removed, never followed.

    Returns: bytes of the files deleted.
    """
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=parent)
            return found.st_size if stat.S_ISREG(found.st_mode) else 0
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return 0  # another pass was faster
    freed = 0
    trouble: OSError | None = None
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries]
        for child in names:
            try:
                freed += _delete(fd, child)
            except OSError as error:
                trouble = error
    finally:
        os.close(fd)
    if trouble is not None:
        raise trouble
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        pass  # another pass was faster
    return freed
