"""What the suite of `ProcessControl` needs done: commands that behave, and time that passes."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from daft_protocol.jobs import ProcessIdentity
from daft_protocol.names import new_job_uid

from ..ports import JOB_MARK, ExitStatus, ProcessControl, Spawned

LIMIT_S = 20.0


class Bench:
    """Commands for a system with a shell. Override what is said in another way elsewhere."""

    def exits(self, code: int) -> str:
        """Return a command that ends at once with `code`."""
        return f"exit {code}"

    def prints(self, out: str, err: str) -> str:
        """Return a command that writes one line to each of its outputs."""
        return f"echo {out}; echo {err} >&2"

    def prints_umask(self) -> str | None:
        """Return a command that prints its mask as four octal digits; None: there are no masks."""
        return "umask"

    def lasts(self) -> str:
        """Return a command that says `ready` and does not end by itself, but does on SIGTERM."""
        return "echo ready; exec sleep 600"

    def lasts_with_child(self, *, leaves_group: bool) -> str:
        """Return one that lasts, with a child that does; the child says `ready`."""
        child = "setsid sh -c 'echo ready; exec sleep 600'" if leaves_group else self.lasts()
        return f"({child}) & exec sleep 600"

    def lasts_with_disowned_child(self) -> str:
        """Return one that lasts, with a child outside of its group whose `JOB_MARK` is empty.

        The child ends after some seconds: nobody would find it to stop it.
        """
        return f"({JOB_MARK}= setsid sh -c 'echo ready; exec sleep 5') & exec sleep 600"

    def ends_before_child(self, *, leaves_group: bool) -> str:
        """Return one that ends at once while its child, which says `ready`, lasts."""
        child = "setsid sh -c 'echo ready; exec sleep 600'" if leaves_group else self.lasts()
        return f"({child}) & exit 0"

    def refused(self) -> Mapping[str, Any]:
        """Return arguments of `spawn` that cannot be met."""
        return {"command": "exit 0", "working_dir": "/no such directory"}

    def unknowable(self, processes: ProcessControl) -> ProcessIdentity | None:
        """Return who the system will not tell about; None where it tells about everybody."""
        return None

    def forbidden(self, processes: ProcessControl) -> ProcessIdentity | None:
        """Return who lives and may not be signalled, nor its group; None where there is nobody."""
        for pid in psutil.pids():
            who = processes.identify(pid)
            if who is not None and who.pgid > 1 and _may_not(who):
                return who
        return None

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let time pass until `holds`; an error when it does not come about."""
        deadline = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < deadline, f"it never came about that {what}"
            # Nothing to wait on in general: the suite asks for states, not for events.
            select.select([], [], [], 0.005)


def _may_not(who: ProcessIdentity) -> bool:
    for ask, number in ((os.kill, who.pid), (os.killpg, who.pgid)):
        try:
            ask(number, 0)
        except PermissionError:
            continue
        except ProcessLookupError:
            return False
        else:
            return False
    return True


class Trials:
    """The processes of one test; ends them all and gives every descriptor back.

    uid: the job they are marked as, unless told otherwise. Tests that run beside each other must
        not share one: a mark is enough to be taken for family.
    """

    def __init__(self, processes: ProcessControl, bench: Bench) -> None:
        self.processes = processes
        self.bench = bench
        self.uid = new_job_uid()
        self._made: list[tuple[Spawned, str]] = []
        self._open_gates: set[int] = set()

    def spawn(self, command: str, *, uid: str | None = None, **given: Any) -> Spawned:
        """Start `command` behind its gate, marked as the job `uid`."""
        uid = self.uid if uid is None else uid
        environment = {"PATH": os.environ.get("PATH", os.defpath), JOB_MARK: uid}
        made = self.processes.spawn(command, working_dir="/", environment=environment, **given)
        self._made.append((made, uid))
        self._open_gates.add(made.gate)
        return made

    def close_gate(self, made: Spawned) -> None:
        """Close the gate of a process without letting it run."""
        self._open_gates.discard(made.gate)
        os.close(made.gate)

    def run(self, command: str, **given: Any) -> Spawned:
        """Start `command` and open its gate."""
        made = self.spawn(command, **given)
        os.write(made.gate, b"go\n")
        return made

    def run_ready(self, command: str, **given: Any) -> Spawned:
        """Start a command that says `ready`, and wait until it has."""
        made = self.run(command, **given)
        assert made.stdout is not None
        said = b""

        def ready() -> bool:
            nonlocal said
            said += read(made.stdout)
            return b"ready" in said

        self.bench.until(ready, f"{command!r} says that it is ready")
        return made

    def ended(self, made: Spawned) -> ExitStatus:
        """Wait for the end of a process and return how it ended."""
        status: ExitStatus | None = None

        def reaped() -> bool:
            nonlocal status
            status = self.processes.reap(made.identity)
            return status is not None

        self.bench.until(reaped, f"process {made.identity.pid} ends")
        assert status is not None
        return status

    def close(self) -> None:
        """Kill what is left of every process that was made here."""
        for made, uid in self._made:
            for member in self.processes.family(made.identity, uid):
                self.processes.signal(member, 9)
            if self.processes.is_alive(made.identity):
                self.processes.signal(made.identity, 9)
            self.ended(made)
            if made.gate in self._open_gates:
                self.close_gate(made)
            for fd in (made.stdout, made.stderr, made.exit_fd):
                if fd is not None:
                    os.close(fd)


def read(fd: int | None) -> bytes:
    """Return everything a pipe holds now, without waiting."""
    assert fd is not None
    found = b""
    try:
        while data := os.read(fd, 65536):
            found += data
    except BlockingIOError:
        return found
    return found


def is_readable(fd: int) -> bool:
    """True when a descriptor is readable now."""
    return bool(select.select([fd], [], [], 0)[0])
