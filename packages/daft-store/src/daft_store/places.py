"""Where things are kept, and the one way to a path below it.

Every component below the state directory is checked to be a real directory of ours before
anything in it is used; names come in checked forms only. So no id, no job name and no planted
link leads anywhere else.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from .errors import NotOurs, PathOutsideState, PermissionsTooOpen, WritableByOthers

_HEX_DIGITS = frozenset("0123456789abcdef")

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
Closed = Callable[[str, int], None]
"""Told of each place of ours that others could open, and the mode it had till now."""
SOCKET_PATH_LIMIT_BYTES = 100
"""The shortest limit of the systems we run on is 104 bytes, and a temporary name is longer."""

BADGE_DIGITS = 8
"""Of an invocation's id, in the names of what its own leader has."""


@frozen
class RepositoryPlaces:
    """The paths of one repository below a state directory. Asking creates nothing.

    root: absolute. repository: its id; checked to be a UUID.
    """

    root: str
    repository: str

    def __attrs_post_init__(self) -> None:
        check_repository_id(self.repository)

    @property
    def directory(self) -> str:
        """The repository's own directory."""
        return os.path.join(self.root, "jobs", self.repository)

    @property
    def database(self) -> str:
        """The store."""
        return os.path.join(self.directory, "coordinator.db")

    @property
    def journal(self) -> str:
        """The leader's own messages."""
        return os.path.join(self.directory, "coordinator.log")

    @property
    def lock(self) -> str:
        """The leader's lock."""
        return self._leading(None, "lock")

    def own_lock(self, invocation_id: str) -> str:
        """Return the lock of a leader that one invocation has of its own."""
        return self._leading(invocation_id, "lock")

    def socket(self, environ: Mapping[str, str], invocation_id: str | None = None) -> str:
        """Return the leader's socket: in the state directory, or at a short path if that is long.

        The short path is in `$XDG_RUNTIME_DIR`, else in a private directory of `/tmp`, and the
        same for every process of this user.
        invocation_id: that of the leader which this invocation has of its own.
        """
        usual = self._leading(invocation_id, "sock")
        if len(os.fsencode(usual)) <= SOCKET_PATH_LIMIT_BYTES:
            return usual
        # The state directory takes part: two of them must not meet at one socket.
        name = f"{self.root}\0{self.repository}{_suffix(invocation_id)}"
        mark = uuid.uuid5(uuid.NAMESPACE_URL, name).hex[:12]
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        if os.path.isabs(runtime) and len(os.fsencode(runtime)) < 60:
            return os.path.join(runtime, f"daft-{mark}.sock")
        return os.path.join(f"/tmp/daft-{os.getuid()}", f"daft-{mark}.sock")  # noqa: S108

    def _leading(self, invocation_id: str | None, kind: str) -> str:
        name = f"coordinator-{self.repository}{_suffix(invocation_id)}.{kind}"
        return os.path.join(self.root, name)

    def make(self, environ: Mapping[str, str], *, closed: Closed | None = None) -> None:
        """Create the directories, private from the first moment; close those that are not.

        Raises: NotOurs, PermissionsTooOpen.
        """
        private_directory(self.root, closed=closed)
        private_directory(os.path.join(self.root, "jobs"), closed=closed)
        private_directory(self.directory, closed=closed)
        # The path of an invocation's own leader is the longer one.
        holder = os.path.dirname(self.socket(environ, "0" * BADGE_DIGITS))
        if holder.startswith("/tmp/daft-"):  # noqa: S108
            private_directory(holder, closed=closed)

    def job_directory(
        self, invocation_id: str, dir_name: str, *, create: bool, closed: Closed | None = None
    ) -> str:
        """Return a job's directory; with `create`, make it. Without, it need not be there.

        closed: told of what was open to others on the way, which is closed with `create`.
        Raises: PathOutsideState for a name that is none, NotOurs for a planted link.
        """
        _check_job_names(invocation_id, dir_name)
        invocation = os.path.join(self.directory, invocation_id)
        path = os.path.join(invocation, dir_name)
        above = (self.root, os.path.join(self.root, "jobs"), self.directory, invocation)
        if not create:
            for component in (*above, path):
                check_private_directory(component)
            return path
        for component in above:
            _ensure_private_directory(component, closed)
        private_directory(path, closed=closed)
        return path

    def further_job_directory(self, invocation_id: str, dir_name: str) -> str:
        """Make the directory of a further job of an invocation that has one; return it.

        What is above it was checked for the first one. Raises: as `job_directory`.
        """
        _check_job_names(invocation_id, dir_name)
        path = os.path.join(self.root, "jobs", self.repository, invocation_id, dir_name)
        private_directory(path)
        return path


def _suffix(invocation_id: str | None) -> str:
    """Return what tells the leaders of invocations apart; short, as paths of sockets must be."""
    if invocation_id is None:
        return ""
    short = invocation_id[:BADGE_DIGITS]
    if not is_badge(short):
        raise PathOutsideState(invocation_id)
    return f"-{short}"


def is_badge(text: str) -> bool:
    """True for as much of an invocation's id as names of files have of it."""
    return len(text) == BADGE_DIGITS and _HEX_DIGITS.issuperset(text)


def _check_job_names(invocation_id: str, dir_name: str) -> None:
    if not (len(invocation_id) == 16 and _HEX_DIGITS.issuperset(invocation_id)):
        raise PathOutsideState(invocation_id)
    if not dir_name or dir_name.startswith(".") or "/" in dir_name or "\0" in dir_name:
        raise PathOutsideState(dir_name)


def known_repositories(root: str) -> tuple[str, ...]:
    """Return the ids of all repositories with a directory below a state directory, sorted.

    Directories of other names are not ours to judge.
    """
    try:
        names = os.listdir(os.path.join(root, "jobs"))
    except FileNotFoundError:
        return ()
    return tuple(sorted(name for name in names if is_repository_id(name)))


def is_repository_id(text: str) -> bool:
    """True for a UUID in canonical form."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def check_repository_id(text: str) -> str:
    """Return `text` if it is a UUID in canonical form. Raises: PathOutsideState."""
    if is_repository_id(text):
        return text
    raise PathOutsideState(text)


def closing(places: Sequence[tuple[str, int]]) -> str:
    """Return what to tell of places, with their modes, that were open to others till now."""
    path, mode = places[0]
    more = f" (and {len(places) - 1} more in it)" if len(places) > 1 else ""
    return f"{path} was open to other users (mode {mode:04o}){more}; it is closed to them now"


def private_directory(path: str, *, closed: Closed | None = None) -> None:
    """Make `path` a directory that only we can enter; parents are created like `mkdir -p`.

    A directory of ours that is too open is tightened.
    Raises: NotOurs for a link, a file, or another user's directory; PermissionsTooOpen.
    """
    try:
        os.mkdir(path, DIRECTORY_MODE)
        return
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), DIRECTORY_MODE, exist_ok=True)
        private_directory(path)
        return
    _tightened(path, _checked_directory(path), DIRECTORY_MODE, closed)


def _ensure_private_directory(path: str, closed: Closed | None) -> None:
    """Do the same for one that most likely exists: a look is cheaper than an attempt."""
    try:
        _tightened(path, _checked_directory(path), DIRECTORY_MODE, closed)
    except FileNotFoundError:
        private_directory(path)


def check_private_directory(path: str) -> None:
    """Refuse a directory in the way that is not ours. One that is missing is fine.

    Creates and tightens nothing. Raises: NotOurs for a link, a file, or another user's.
    """
    try:
        _checked_directory(path)
    except FileNotFoundError:
        pass  # nothing is there to lead anybody astray


def private_file(path: str) -> bool:
    """Make sure `path` is a regular file of ours; create it empty, and private, if missing.

    One that exists is neither opened nor changed: closing any descriptor of a database would
    drop the locks of every other connection this process has to it.
    Returns: True when it was created. Raises: NotOurs.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(path, flags, FILE_MODE))
        return True
    except FileExistsError:
        check_private_file(path, tighten=False)
        return False


def check_private_file(path: str, *, tighten: bool, closed: Closed | None = None) -> None:
    """Refuse a path that is no regular file of ours; with `tighten`, close it to others.

    Raises: NotOurs; PermissionsTooOpen; FileNotFoundError.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise NotOurs(path, "is not a regular file")
    if found.st_uid != os.geteuid():
        raise NotOurs(path, "belongs to another user")
    if tighten:
        _tightened(path, found, FILE_MODE, closed)


def check_only_ours_to_write(path: str) -> None:
    """Refuse a database, or the directory it is in, that others may write.

    What is missing is fine. Changes nothing. Raises: WritableByOthers, NotOurs.
    """
    for place in (os.path.dirname(path), path, f"{path}-wal", f"{path}-shm"):
        try:
            found = os.stat(place)
        except FileNotFoundError:
            continue
        if found.st_uid != os.geteuid():
            raise NotOurs(place, "belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o022:
            raise WritableByOthers(place, stat.S_IMODE(found.st_mode))


def _checked_directory(path: str) -> os.stat_result:
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotOurs(path, "is not a directory")
    if found.st_uid != os.geteuid():
        raise NotOurs(path, "belongs to another user")
    return found


def _tightened(path: str, found: os.stat_result, mode: int, closed: Closed | None = None) -> None:
    if not stat.S_IMODE(found.st_mode) & 0o077:
        return
    try:
        os.chmod(path, mode)
    except OSError as error:
        raise PermissionsTooOpen(path, stat.S_IMODE(found.st_mode)) from error
    # Some file systems take the request and keep the mode.
    now = stat.S_IMODE(os.lstat(path).st_mode)
    if now & 0o077:
        raise PermissionsTooOpen(path, now)
    if closed is not None:
        closed(path, stat.S_IMODE(found.st_mode))
