"""What one program on a virtual host can do with processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from daft_protocol.jobs import ProcessIdentity

from ..errors import SpawnFailed
from ..ports import JOB_MARK, Delivery, ExitStatus, Spawned
from .scripts import NEVER, Script
from .virtual_host import INIT, Process, VirtualHost
from .virtual_pipes import Bell, Lent, Outlet


class VirtualProcessControl:
    """A `ProcessControl` whose processes follow scripts. It is one program of a virtual host.

    host: the machine it runs on.
    watches: False for a system that has no descriptor for the end of a process.
    hides: whether somebody lives is not told for identities in this set.
    forbids: identities in this set may not be signalled.
    """

    def __init__(self, host: VirtualHost, *, watches: bool = True) -> None:
        self.host = host
        self.watches = watches
        self.hides: set[ProcessIdentity] = set()
        self.forbids: set[ProcessIdentity] = set()
        self.program = host.add(Script(lasts_s=NEVER), parent=INIT)
        self._lent = Lent()

    def die(self) -> None:
        """Kill this program: its descriptors are closed, its children are orphans."""
        self._lent.take_back()
        self.host.end(self.program, ExitStatus(code=None, signal=9))

    def spawn(
        self,
        command: str,
        *,
        working_dir: str,
        environment: Mapping[str, str],
        terminal: bool = False,
        umask: int | None = None,
    ) -> Spawned:
        """Make a process that follows the script of `command`, behind a gate."""
        script = self.host.script_of(command)
        if script.refused is not None:
            raise SpawnFailed(script.refused)
        me = self.program.identity
        process = self.host.add(script, parent=me.pid, pgid=me.pgid if terminal else None)
        process.mark = environment.get(JOB_MARK)
        if not terminal:
            process.outlets = {"stdout": Outlet(), "stderr": Outlet()}
            for outlet in process.outlets.values():
                outlet.hold()
        readers = {kind: outlet.reader for kind, outlet in process.outlets.items()}
        self.host.wait_at_gate(process, command)
        assert process.gate is not None
        for fd in (process.gate.writer, *readers.values()):
            self._lent.add(fd)
        return Spawned(
            identity=process.identity,
            gate=process.gate.writer,
            stdout=readers.get("stdout"),
            stderr=readers.get("stderr"),
            exit_fd=self._bell(process),
        )

    def reap(self, identity: ProcessIdentity) -> ExitStatus | None:
        """Return how our child ended and forget it, or None while it lives."""
        process = self.host.find(identity)
        if process is None or process.parent != self.program.identity.pid:
            return ExitStatus(code=255, signal=None)
        if process.status is not None:
            self.host.forget(process)
        return process.status

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity of a living process. Our own number is this program's."""
        if pid == os.getpid():
            return self.program.identity
        process = self.host.processes.get(pid)
        return process.identity if process is not None and process.lives else None

    def is_alive(self, who: ProcessIdentity) -> bool | None:
        """True or False; None for who is hidden."""
        if who in self.hides:
            return None
        process = self.host.find(who)
        return process is not None and process.lives

    def group_members(self, who: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
        """Return the living members of the group of `who` that started no earlier than it."""
        if not (who.leads_group and self._is_still_that_group(who)):
            return ()
        return tuple(
            process.identity
            for process in self.host.living()
            if process.identity.pgid == who.pgid and _not_before(process, who)
        )

    def family(self, who: ProcessIdentity, job_uid: str) -> tuple[ProcessIdentity, ...]:
        """Return group members, descendants and whoever carries the job's mark."""
        if who.boot_id != self.host.clock.boot_id():
            return ()
        lives = self.is_alive(who) is True
        return tuple(
            process.identity
            for process in self.host.living()
            if process is not self.program
            and _not_before(process, who)
            and (
                process.mark == job_uid
                or (lives and (_is_led(process, who) or self._descends(process, who)))
            )
        )

    def watch(self, who: ProcessIdentity) -> int | None:
        """Return a descriptor that is readable once `who` is gone."""
        process = self.host.find(who)
        return None if process is None or not process.lives else self._bell(process)

    def signal_group(self, who: ProcessIdentity, signal: int) -> Delivery:
        """Signal the group of `who` if it still is that group."""
        if not who.leads_group:
            return self.signal(who, signal)
        members = self.group_members(who)
        return self._deliver(members, signal)

    def signal(self, who: ProcessIdentity, signal: int) -> Delivery:
        """Signal one process after checking that it still is `who`."""
        return self._deliver([who] if self.is_alive(who) else [], signal)

    def _deliver(self, to: Iterable[ProcessIdentity], signal: int) -> Delivery:
        found = [process for who in to if (process := self.host.find(who)) is not None]
        allowed = [process for process in found if process.identity not in self.forbids]
        for process in allowed:
            self.host.deliver(process, signal)
        if found and not allowed:
            return Delivery.REFUSED
        return Delivery.SENT if allowed else Delivery.GONE

    def _bell(self, process: Process) -> int | None:
        if not self.watches:
            return None
        bell = Bell()
        process.bells.append(bell)
        return self._lent.add(bell.reader)

    def _is_still_that_group(self, who: ProcessIdentity) -> bool:
        holder = self.host.processes.get(who.pid)
        return who.boot_id == self.host.clock.boot_id() and (
            holder is None or holder.identity == who
        )

    def _descends(self, process: Process, ancestor: ProcessIdentity) -> bool:
        pid = process.identity.pid
        while pid != INIT and pid in self.host.processes:
            if pid == ancestor.pid:
                return True
            if self.host.processes[pid].mark == "":
                return False
            pid = self.host.processes[pid].parent
        return False


def _is_led(process: Process, who: ProcessIdentity) -> bool:
    return who.leads_group and process.identity.pgid == who.pgid


def _not_before(process: Process, who: ProcessIdentity) -> bool:
    return int(process.identity.start) >= int(who.start)
