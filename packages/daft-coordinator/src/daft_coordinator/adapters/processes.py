"""Processes of a POSIX system: the one place that starts them and the one that signals them.

Linux answers from `/proc` and with pidfds; elsewhere psutil answers, more slowly.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import signal as signals
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from daft_protocol.jobs import ProcessIdentity

from ..errors import SpawnFailed
from ..ports import JOB_MARK, Delivery, ExitStatus, Spawned
from .clock import read_boot_id
from .reserve import with_reserve

SHELL = "/bin/sh"
_HAS_PROC = sys.platform.startswith("linux")
if TYPE_CHECKING or not _HAS_PROC:
    # As long as the rest of a command needs to load, and Linux never asks it.
    import psutil
_HAS_PIDFD = hasattr(os, "pidfd_open")

# The gate stands in front of the job's command, in the same shell and on the same line, so that
# the shell counts its lines as the user does. It waits for one line on descriptor 3 and ends
# without running anything when there is none: whoever started it died before the job's row was
# committed. 125 and 126 never reach a row: a closed gate means nobody recorded a start, and the
# directory was looked at before. A second shell would cost as much as the first.
_GATE = (
    "read -r DAFT_GATE <&3 || exit 125; exec 3<&-; unset DAFT_GATE; "
    '{mask}CDPATH= cd -- "$1" || exit 126; unset OLDPWD; shift; '
)

# What an interpreter or a shell may have changed and a job must not inherit.
_RESET_SIGNALS = [
    number
    for name in ("SIGPIPE", "SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGCHLD", "SIGXFSZ")
    if (number := getattr(signals, name, None)) is not None
]


_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


class PosixProcessControl:
    """Starts jobs behind a gate, and signals only processes it has just recognised."""

    def __init__(self) -> None:
        self._boot_id = read_boot_id()

    def spawn(
        self,
        command: str,
        *,
        working_dir: str,
        environment: Mapping[str, str],
        terminal: bool = False,
        umask: int | None = None,
    ) -> Spawned:
        """Start `sh -c command` behind a gate, in a process group of its own."""
        _check_directory(working_dir)
        gate = _GATE.format(mask="" if umask is None else f"umask {umask:04o}; ")
        argv = [SHELL, "-c", gate + command, SHELL, working_dir]
        opened: list[int] = []
        try:
            gate_read, gate_write = _pipe(opened)
            actions: list[tuple[Any, ...]] = []
            stdout = stderr = None
            if not terminal:
                stdout, out_write = _pipe(opened)
                stderr, err_write = _pipe(opened)
                actions += [
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, out_write, 1),
                    (os.POSIX_SPAWN_DUP2, err_write, 2),
                ]
            actions.append((os.POSIX_SPAWN_DUP2, gate_read, 3))
            group: dict[str, Any] = {} if terminal else {"setpgroup": 0}
            pid = os.posix_spawn(
                SHELL,
                argv,
                environment,
                file_actions=actions,
                setsigmask=[],
                setsigdef=_RESET_SIGNALS,
                **group,
            )
        except OSError as error:
            for fd in opened:
                os.close(fd)
            raise SpawnFailed(
                f"{SHELL} could not be started: {error.strerror or error}",
                127 if error.errno == errno.ENOENT else 126,
                is_shortage=error.errno in _SHORTAGES,
            ) from error
        except ValueError as error:  # a NUL byte in the command or the environment
            for fd in opened:
                os.close(fd)
            raise SpawnFailed(f"the process could not be started: {error}") from error
        for fd in opened:
            if fd not in (gate_write, stdout, stderr):
                os.close(fd)
        for reader in (stdout, stderr):
            if reader is not None:
                os.set_blocking(reader, False)
        pgid = os.getpgrp() if terminal else pid
        start = _start_of(pid) or ""
        identity = ProcessIdentity(pid=pid, pgid=pgid, start=start, boot_id=self._boot_id)
        return Spawned(
            identity=identity,
            gate=gate_write,
            stdout=stdout,
            stderr=stderr,
            exit_fd=_pidfd(pid),
        )

    def reap(self, identity: ProcessIdentity) -> ExitStatus | None:
        """Return how our child ended and forget it, or None while it lives."""
        try:
            pid, status = os.waitpid(identity.pid, os.WNOHANG)
        except ChildProcessError:
            # Somebody else waited for it: an embedder with a catch-all SIGCHLD handler. Its end
            # is certain, its code is lost; 255 is what is said when nobody knows.
            return ExitStatus(code=255, signal=None)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return ExitStatus(code=None, signal=-code)
        return ExitStatus(code=code, signal=None)

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity of a living process, or None when there is none (or a zombie)."""
        found = _look(pid)
        if found is None or found.is_zombie:
            return None
        return ProcessIdentity(pid=pid, pgid=found.pgid, start=found.start, boot_id=self._boot_id)

    def is_alive(self, who: ProcessIdentity) -> bool | None:
        """True or False when certain; None when the system will not say."""
        if who.boot_id != self._boot_id:
            return False
        try:
            found = _look(who.pid)
        except PermissionError:
            return None
        return found is not None and not found.is_zombie and found.start == who.start

    def group_members(self, who: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
        """Return the living members of the group of `who` that started no earlier than it."""
        # Mostly nobody is left, and that is the cheaper question.
        if not who.leads_group or not _group_exists(who.pgid) or self._group_of(who) is None:
            return ()
        return tuple(
            member
            for member in self._everybody()
            if member.pgid == who.pgid and _not_before(member.start, who.start)
        )

    def family(self, who: ProcessIdentity, job_uid: str) -> tuple[ProcessIdentity, ...]:
        """Return group members, descendants and whoever carries the job's mark."""
        leader = self._group_of(who)
        if leader is None and who.boot_id != self._boot_id:
            return ()
        parents = {identity.pid: (identity, parent) for identity, parent in self._with_parents()}
        wanted = f"{JOB_MARK}={job_uid}"
        found: list[ProcessIdentity] = []
        own = os.getpid()
        for identity, _ in parents.values():
            if identity.pid == own or not _not_before(identity.start, who.start):
                continue
            # With the leader alive, its group and its children are the job's beyond doubt. Once
            # it is gone its number may have had other owners since: then only the mark counts.
            is_ours = leader is _Leader.LIVES and (
                (who.leads_group and identity.pgid == who.pgid)
                or _descends(identity.pid, who.pid, parents)
            )
            if is_ours or _carries(identity.pid, wanted):
                found.append(identity)
        return tuple(found)

    def _group_of(self, who: ProcessIdentity) -> _Leader | None:
        """Return whether the leader of a group lives; None when the group is another one by now.

        The kernel gives a number out again only once no group has it, so a process of that
        number with another start means another group.
        """
        if who.boot_id != self._boot_id:
            return None
        try:
            found = _look(who.pid)
        except PermissionError:
            return None
        if found is None:
            return _Leader.GONE
        if found.start != who.start:
            return None
        return _Leader.GONE if found.is_zombie else _Leader.LIVES

    def watch(self, who: ProcessIdentity) -> int | None:
        """Return a descriptor that is readable once `who` is gone."""
        fd = _pidfd(who.pid)
        if fd is not None and self.is_alive(who) is False:
            os.close(fd)  # the number belongs to somebody else already
            return None
        return fd

    def signal_group(self, who: ProcessIdentity, signal: int) -> Delivery:
        """Signal the group of `who` if it still is that group."""
        if who.pgid <= 1:
            # No job's group has such a number, and to the system it means "mine" or "everybody".
            return Delivery.GONE
        if not who.leads_group or who.pgid == os.getpgrp():
            # A job that shares a terminal shares the group of the command it runs for, and of
            # what else runs beside that: a pipe, a whole script.
            return self.signal(who, signal)
        if not self.is_alive(who) and not self.group_members(who):
            return Delivery.GONE
        try:
            os.killpg(who.pgid, signal)
        except ProcessLookupError:
            return Delivery.GONE
        except PermissionError:
            return Delivery.REFUSED
        return Delivery.SENT

    def signal(self, who: ProcessIdentity, signal: int) -> Delivery:
        """Signal one process after checking that it still is `who`."""
        fd = _pidfd(who.pid)
        try:
            if not self.is_alive(who):
                return Delivery.GONE
            # Through the pidfd the number cannot change hands between the look and the signal.
            if fd is not None:
                signals.pidfd_send_signal(fd, signal)
            else:
                os.kill(who.pid, signal)
        except ProcessLookupError:
            return Delivery.GONE
        except PermissionError:
            return Delivery.REFUSED
        finally:
            if fd is not None:
                os.close(fd)
        return Delivery.SENT

    def _everybody(self) -> Iterable[ProcessIdentity]:
        for identity, _ in self._with_parents():
            yield identity

    def _with_parents(self) -> Iterable[tuple[ProcessIdentity, int]]:
        """Yield every living process of this user with its parent's number."""
        pids = None
        if _HAS_PROC:
            names = with_reserve(lambda: os.listdir("/proc"))
            pids = [int(name) for name in names if name.isdigit()]
        for pid in psutil.pids() if pids is None else pids:
            try:
                found = _look(pid)
            except PermissionError:
                continue  # another user's: never a job of ours
            if found is not None and not found.is_zombie:
                identity = ProcessIdentity(
                    pid=pid, pgid=found.pgid, start=found.start, boot_id=self._boot_id
                )
                yield identity, found.parent


class _Leader(enum.Enum):
    """What has become of a group's leader."""

    LIVES = "lives"
    GONE = "gone"


class _Look:
    """What one glance at a process tells."""

    __slots__ = ("is_zombie", "parent", "pgid", "start")

    def __init__(self, start: str, pgid: int, parent: int, is_zombie: bool) -> None:
        self.start = start
        self.pgid = pgid
        self.parent = parent
        self.is_zombie = is_zombie


def _look(pid: int) -> _Look | None:
    if _HAS_PROC:
        try:
            text = with_reserve(lambda: _read_proc_stat(pid))
        except (FileNotFoundError, ProcessLookupError):
            return None
        # Fields after the name, which may itself hold blanks and parentheses; proc(5).
        fields = text[text.rindex(b")") + 2 :].split()
        return _Look(fields[19].decode(), int(fields[2]), int(fields[1]), fields[0] in (b"Z", b"X"))
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return _Look(
                f"{process.create_time():.6f}",
                os.getpgid(pid),
                process.ppid(),
                process.status() == psutil.STATUS_ZOMBIE,
            )
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except psutil.AccessDenied as error:
        raise PermissionError(f"no access to process {pid}") from error


def _read_proc_stat(pid: int) -> bytes:
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)  # it is one line, and given out whole
    finally:
        os.close(fd)


def _read_proc(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while data := os.read(fd, 65536):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)


def _start_of(pid: int) -> str | None:
    found = _look(pid)
    return None if found is None else found.start


def _not_before(start: str, other: str) -> bool:
    try:
        return float(start) >= float(other)
    except ValueError:
        return False


def _descends(pid: int, ancestor: int, parents: Mapping[int, tuple[object, int]]) -> bool:
    """True for a descendant, unless it or somebody in between has declared to be no job's."""
    seen: list[int] = []
    while pid in parents and pid not in seen:
        if pid == ancestor:
            return not any(_carries(one, f"{JOB_MARK}=") for one in seen)
        seen.append(pid)
        pid = parents[pid][1]
    return False


def _carries(pid: int, mark: str) -> bool:
    try:
        if _HAS_PROC:
            environ = with_reserve(lambda: _read_proc(f"/proc/{pid}/environ"))
            return mark.encode() in environ.split(b"\0")
        name, _, value = mark.partition("=")
        return _environment_of(pid).get(name) == value
    except OSError:
        return False  # gone, or not ours to read: then it is no job of ours either


def _environment_of(pid: int) -> Mapping[str, str]:
    try:
        found: Mapping[str, str] = psutil.Process(pid).environ()
    except psutil.Error as error:
        raise ProcessLookupError(f"process {pid}: {error}") from error
    return found


def _group_exists(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pidfd(pid: int) -> int | None:
    if not _HAS_PIDFD:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None  # gone already, or a kernel without pidfds


def _pipe(opened: list[int]) -> tuple[int, int]:
    """Return a pipe whose ends are above the descriptors that a job's shell will use."""
    ends = os.pipe()
    opened.extend(ends)
    safe: list[int] = []
    for fd in ends:
        if fd > 3:
            safe.append(fd)
            continue
        higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 4)
        os.close(fd)
        opened.remove(fd)
        opened.append(higher)
        safe.append(higher)
    return safe[0], safe[1]


def _check_directory(path: str) -> None:
    try:
        if os.path.isdir(path):
            return
        os.stat(path)
    except FileNotFoundError as error:
        raise SpawnFailed(f"working directory {path} no longer exists") from error
    except OSError as error:
        raise SpawnFailed(f"working directory {path}: {error.strerror}") from error
    except ValueError as error:
        raise SpawnFailed(f"working directory {path!r}: {error}") from error
    raise SpawnFailed(f"working directory {path} is not a directory")
