"""Starting a process of ours that outlives us, born with a connection to its starter."""

from __future__ import annotations

import fcntl
import os
import signal as signals
import socket
import sys
from collections.abc import Sequence

from attrs import frozen

from .errors import CoordinatorUnavailable
from .nesting import DEPTH
from .ports import JOB_MARK

CLIENT_FD = 3
"""Where the new process finds its end of the connection."""
LOCK_FD = 4
"""Where it finds the lock it is given, if any."""

_STRIPPED = (
    # What would make its interpreter load code from the worktree it was started in.
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "VIRTUAL_ENV"),
    # What a job is told about itself.
    *(DEPTH, "DAFT_JOB_NAME", "DAFT_INVOCATION_ID", "DAFT_JOB_LOG", "DAFT_BACKGROUND"),
)
_RESET_SIGNALS = (signals.SIGCHLD, signals.SIGTERM, signals.SIGINT, signals.SIGIO)
_ABOVE = 10
_TAKEN_S = 10
"""How long the new process may take until it reads what does not fit between us."""


@frozen(kw_only=True)
class Started:
    """A process that was started.

    sock: our end of the connection. holds_all: the kernel held everything that it was to read
    first before it lived, so we may leave at once.
    """

    pid: int
    sock: socket.socket
    holds_all: bool


def start(
    module: str, words: Sequence[str], *, lock_fd: int | None = None, first: bytes = b""
) -> Started:
    """Start `python -m module words…` in a session of its own.

    lock_fd: becomes its `LOCK_FD`; what is locked by it stays locked as long as either lives.
    first: what it reads from the connection first.
    Raises: CoordinatorUnavailable; then nothing is left behind.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    environment = {name: value for name, value in os.environ.items() if name not in _STRIPPED}
    environment["DAFT_IS_COORDINATOR"] = "1"
    # Started inside of a job, it must outlive the job; see `ProcessControl.family`.
    environment[JOB_MARK] = ""
    lent: list[int] = []
    try:
        # Before it lives: whoever is born with words to read need not wait for them.
        sent = ours.send(first) if first else 0
        actions: list[tuple[object, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        for fd, place in ((theirs.fileno(), CLIENT_FD), (lock_fd, LOCK_FD)):
            if fd is not None:
                # Out of the way of each other's places; dup2 onto itself would keep them closed.
                lent.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE))
                actions.append((os.POSIX_SPAWN_DUP2, lent[-1], place))
        pid = os.posix_spawn(
            sys.executable,
            # The paths it is sent are UTF-8, whatever the locale of its starter.
            [sys.executable, "-X", "utf8", "-P", "-m", module, *words],
            environment,
            file_actions=actions,
            # Its starter may have been told to ignore its children's ends, or to put off SIGTERM.
            setsigmask=[],
            setsigdef=_RESET_SIGNALS,
            setsid=True,
        )
    except (OSError, ValueError) as error:
        ours.close()
        raise CoordinatorUnavailable(f"it could not be started: {error}") from error
    finally:
        theirs.close()
        for fd in lent:
            os.close(fd)
    holds_all = sent == len(first)
    if not holds_all:
        _send_rest(ours, first[sent:])
    return Started(pid=pid, sock=ours, holds_all=holds_all)


def settle_in(keep_fd: int | None) -> None:
    """Hold nothing of the place we were started in: no directory, no descriptor, no mask.

    keep_fd: the last descriptor that was meant for us, if any was.
    """
    os.chdir("/")
    os.umask(0o077)
    keep = 3 if keep_fd is None else keep_fd + 1
    os.closerange(keep, os.sysconf("SC_OPEN_MAX") if keep < 1024 else keep)


def has_ended(pid: int) -> bool:
    """True when a process that we started has ended; then it is no zombie of ours any more."""
    try:
        done, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return bool(done)


def _send_rest(ours: socket.socket, rest: bytes) -> None:
    ours.settimeout(_TAKEN_S)
    try:
        ours.sendall(rest)
    except OSError:
        return  # it has ended, or hangs: whoever waits for its answer is told
