"""Starting a process of ours that outlives us, born with a connection to its starter."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

from .errors import CoordinatorUnavailable
from .nesting import DEPTH
from .ports import JOB_MARK

CLIENT_FD = 3
"""Where the new process finds its end of the connection."""

_STRIPPED = (
    # What would make its interpreter load code from the worktree it was started in.
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "VIRTUAL_ENV"),
    # What a job is told about itself.
    *(DEPTH, "DAFT_JOB_NAME", "DAFT_INVOCATION_ID", "DAFT_JOB_LOG", "DAFT_BACKGROUND"),
)


def start(module: str, words: Sequence[str]) -> tuple[int, socket.socket]:
    """Start `python -m module words…` in a session of its own; return its pid and our end.

    Raises: CoordinatorUnavailable; then nothing is left behind.
    """
    ours, theirs = socket.socketpair()
    environment = {name: value for name, value in os.environ.items() if name not in _STRIPPED}
    environment["DAFT_IS_COORDINATOR"] = "1"
    # Started inside of a job, it must outlive the job; see `ProcessControl.family`.
    environment[JOB_MARK] = ""
    try:
        pid = os.posix_spawn(
            sys.executable,
            # The paths it is sent are UTF-8, whatever the locale of its starter.
            [sys.executable, "-X", "utf8", "-P", "-m", module, *words],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, _above(theirs), CLIENT_FD),
            ],
            setsid=True,
        )
    except (OSError, ValueError) as error:
        ours.close()
        raise CoordinatorUnavailable(f"it could not be started: {error}") from error
    finally:
        theirs.close()
    return pid, ours


def settle_in(keep_fd: int | None) -> None:
    """Hold nothing of the place we were started in: no directory, no descriptor, no mask.

    keep_fd: the connection to our starter, if there is one.
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


def _above(sock: socket.socket) -> int:
    """Return the socket's descriptor, moved out of the way of the one the child expects."""
    if sock.fileno() == CLIENT_FD:
        # dup2 onto itself would leave close-on-exec set.
        os.set_inheritable(sock.fileno(), True)
    return sock.fileno()
