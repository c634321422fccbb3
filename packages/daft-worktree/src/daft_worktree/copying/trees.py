"""Copying a file or a tree: what files hold is shared where the file system can, else copied.

Kept are modes, times, links, which files are one, and owners where we may give them. Left out are
sockets, pipes and devices, and working trees of git inside.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from ..errors import KeepsChanging, TooLargeToCopy

FICLONE = 0x40049409
"""The request that makes a file share what another one holds. Source: ioctl_ficlone(2)."""
_NEVER = (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
_NOT_THIS_ONE = (errno.EINVAL, errno.EBADF, errno.ETXTBSY)
_ATTEMPTS = 3
_CHUNK = 1 << 20
_TELL_EVERY = 100
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LIST = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW

Progress = Callable[[int, int], None]


class _Ends(NamedTuple):
    """A directory and its copy, both open. origin_path, path: where they are."""

    origin: int
    copy: int
    origin_path: str
    path: str


class TreeCopier:
    """Copies one file, link or directory, at most `byte_limit` bytes of it byte by byte.

    without: paths that are left out, as if they were not there.
    progress: called now and then with the files and bytes there are so far.
    Afterwards: files, size_bytes of what there is now; copied_bytes of these byte by byte;
    left_out: what is not copied as it is no file, directory or link, or a working tree.
    """

    def __init__(
        self,
        *,
        byte_limit: int | None = None,
        without: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> None:
        self.files = 0
        self.size_bytes = 0
        self.copied_bytes = 0
        self.left_out = 0
        self._limit = byte_limit
        self._without = without
        self._progress = progress
        self._can_share = True
        self._twins: dict[tuple[int, int], str] = {}
        self._umask = 0o777
        self._top = ""

    def copy(self, origin: str, place: str) -> int:
        """Copy `origin` to `place`, where nothing is yet; return the mode it is to get in the end.

        A directory's copy can be written until it is given that mode: what cannot be written
        cannot be moved either. Whatever fails, something half made may be at `place`.
        Raises: TooLargeToCopy, KeepsChanging, OSError.
        """
        self._top = origin
        self._umask = _umask_in(os.path.dirname(place))
        about = os.lstat(origin)
        if stat.S_ISDIR(about.st_mode):
            self._tree(origin, place)
            return stat.S_IMODE(about.st_mode)
        ends = _Ends(
            os.open(os.path.dirname(origin), _LIST),
            os.open(os.path.dirname(place), _LIST),
            os.path.dirname(origin),
            os.path.dirname(place),
        )
        try:
            one = self._link if stat.S_ISLNK(about.st_mode) else self._file
            one(os.path.basename(origin), os.path.basename(place), ends)
        finally:
            os.close(ends.origin)
            os.close(ends.copy)
        if not self.files:
            raise KeepsChanging(origin)
        return stat.S_IMODE(about.st_mode)

    def _tree(self, origin: str, place: str) -> None:
        made: list[tuple[str, os.stat_result]] = []
        waiting = [""]
        while waiting:
            name = waiting.pop()
            there = os.path.join(place, name) if name else place
            below, about = self._directory(os.path.join(origin, name), there, is_top=not name)
            if about is not None:
                made.append((there, about))
                waiting += [f"{name}/{one}" if name else one for one in below]
        # From the inside out: one that may not be entered any more is done with by then.
        for there, about in reversed(made):
            _give_owner(there, about)
            os.utime(there, ns=(about.st_atime_ns, about.st_mtime_ns))
            if there != place:
                os.chmod(there, stat.S_IMODE(about.st_mode))

    def _directory(
        self, origin: str, place: str, *, is_top: bool
    ) -> tuple[list[str], os.stat_result | None]:
        """Make the copy of a directory with its files; return what is below it still to be made.

        No facts come with it when nothing was made: it has gone meanwhile, or stays behind.
        """
        try:
            listed = os.open(origin, _LIST)
        except (FileNotFoundError, NotADirectoryError):
            if is_top:
                raise
            return [], None  # as if we had come later
        try:
            about = os.fstat(listed)
            with os.scandir(listed) as found:
                entries = list(found)
            if any(one.name == ".git" and one.is_file(follow_symlinks=False) for one in entries):
                self.left_out += 1
                return [], None
            os.mkdir(place, 0o700)
            made = os.open(place, _LIST)
            try:
                return self._entries(entries, _Ends(listed, made, origin, place)), about
            finally:
                os.close(made)
        finally:
            os.close(listed)

    def _entries(self, entries: list[os.DirEntry[str]], ends: _Ends) -> list[str]:
        """Copy the files and links of a directory; return the names of the directories in it."""
        below: list[str] = []
        for one in entries:
            if self._without and os.path.join(ends.origin_path, one.name) in self._without:
                continue
            if one.is_dir(follow_symlinks=False):
                below.append(one.name)
            elif one.is_symlink():
                self._link(one.name, one.name, ends)
            elif one.is_file(follow_symlinks=False):
                self._file(one.name, one.name, ends)
            else:
                self.left_out += 1
        return below

    def _link(self, name: str, new_name: str, ends: _Ends) -> None:
        try:
            text = os.readlink(name, dir_fd=ends.origin)
            about = os.stat(name, dir_fd=ends.origin, follow_symlinks=False)
        except FileNotFoundError:
            return  # as if we had come later
        os.symlink(text, new_name, dir_fd=ends.copy)
        times = (about.st_atime_ns, about.st_mtime_ns)
        os.utime(new_name, ns=times, dir_fd=ends.copy, follow_symlinks=False)
        self._count(0)

    def _file(self, name: str, new_name: str, ends: _Ends) -> None:
        try:
            origin = os.open(name, _READ, dir_fd=ends.origin)
        except FileNotFoundError:
            return  # as if we had come later
        try:
            about = os.fstat(origin)
            if not stat.S_ISREG(about.st_mode):
                self.left_out += 1
                return
            if about.st_nlink > 1 and self._is_twin(about, new_name, ends):
                return
            mode = stat.S_IMODE(about.st_mode)
            copy = os.open(new_name, _MAKE, mode & 0o777, dir_fd=ends.copy)
            try:
                about = self._fill(origin, copy, about, name)
                _give_owner(copy, about)
                if mode & (self._umask | 0o7000):
                    os.fchmod(copy, mode)
                os.utime(copy, ns=(about.st_atime_ns, about.st_mtime_ns))
            finally:
                os.close(copy)
        finally:
            os.close(origin)
        self._count(about.st_size)

    def _is_twin(self, about: os.stat_result, name: str, ends: _Ends) -> bool:
        """Make another name of a file that is copied already; False for its first name."""
        twin = self._twins.get((about.st_dev, about.st_ino))
        if twin is None:
            self._twins[about.st_dev, about.st_ino] = os.path.join(ends.path, name)
            return False
        os.link(twin, name, dst_dir_fd=ends.copy, follow_symlinks=False)
        self._count(0)
        return True

    def _fill(self, origin: int, copy: int, about: os.stat_result, name: str) -> os.stat_result:
        """Make `copy` hold what `origin` holds; return the facts that are true of that."""
        if about.st_size == 0:
            return about
        if self._can_share:
            refusal = share(origin, copy)
            if refusal == 0:
                return about  # at one moment, and whoever changes it changes only one of them
            self._can_share = refusal not in _NEVER
        for _ in range(_ATTEMPTS):
            self._allow(about.st_size)
            _copy_bytes(origin, copy, about)
            after = os.fstat(origin)
            if (after.st_mtime_ns, after.st_size) == (about.st_mtime_ns, about.st_size):
                self.copied_bytes += about.st_size
                return about
            os.ftruncate(copy, 0)
            about = after
        raise KeepsChanging(name)

    def _allow(self, size_bytes: int) -> None:
        """Go on when so many bytes may be copied. Raises: TooLargeToCopy."""
        if self._limit is None:
            return
        if self.copied_bytes == 0 and not self._can_share and self._limit > 0:
            # All of it will be copied: better to know before than to give up half way.
            size_bytes = max(size_bytes, measure(self._top, self._limit))
        if self.copied_bytes + size_bytes > self._limit:
            raise TooLargeToCopy(self._top, self._limit)

    def _count(self, size_bytes: int) -> None:
        self.files += 1
        self.size_bytes += size_bytes
        if self._progress is not None and self.files % _TELL_EVERY == 0:
            self._progress(self.files, self.size_bytes)


def share(origin: int, copy: int) -> int:
    """Make the open file `copy` share what `origin` holds; 0, or the error why that cannot be.

    Raises: OSError for what is no matter of sharing, such as a full disk.
    """
    try:
        fcntl.ioctl(copy, FICLONE, origin)
    except OSError as error:
        if error.errno in _NEVER or error.errno in _NOT_THIS_ONE:
            return error.errno
        raise
    return 0


def measure(origin: str, enough: int) -> int:
    """Return the bytes in a tree, or some number above `enough` when there are more."""
    total = os.lstat(origin).st_size
    if not os.path.isdir(origin) or os.path.islink(origin):
        return total
    total = 0
    for directory, _, files in os.walk(origin):
        for name in files:
            try:
                about = os.lstat(os.path.join(directory, name))
            except FileNotFoundError:
                continue  # gone meanwhile
            total += about.st_size if stat.S_ISREG(about.st_mode) else 0
        if total > enough:
            break
    return total


def _copy_bytes(origin: int, copy: int, about: os.stat_result) -> None:
    """Copy what a file holds from its beginning; holes stay holes."""
    if about.st_blocks * 512 < about.st_size and hasattr(os, "SEEK_DATA"):
        _copy_extents(origin, copy, about.st_size)
        return
    place = 0
    while data := os.pread(origin, min(_CHUNK, about.st_size - place + 1), place):
        place += _write(copy, data, place)


def _copy_extents(origin: int, copy: int, size: int) -> None:
    end = 0
    while end < size:
        try:
            start = os.lseek(origin, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break  # nothing but a hole up to its end
        end = os.lseek(origin, start, os.SEEK_HOLE)
        while start < end:
            data = os.pread(origin, min(_CHUNK, end - start), start)
            if not data:
                break  # it has become shorter; its facts tell
            start += _write(copy, data, start)
    os.ftruncate(copy, size)


def _write(copy: int, data: bytes, place: int) -> int:
    done = os.pwrite(copy, data, place)
    while done < len(data):
        done += os.pwrite(copy, data[done:], place + done)
    return done


def _give_owner(copy: int | str, about: os.stat_result) -> None:
    if (about.st_uid, about.st_gid) == (os.geteuid(), os.getegid()):
        return
    try:
        os.chown(copy, about.st_uid, about.st_gid)
    except PermissionError:
        return  # only root gives files away; the copy is ours, as with any program that copies


def _umask_in(directory: str) -> int:
    """Return which bits of a mode new files lose. It cannot be asked for without changing it."""
    probe = os.path.join(directory, "probe")
    os.mkdir(probe, 0o777)
    try:
        return 0o777 & ~os.lstat(probe).st_mode
    finally:
        os.rmdir(probe)
