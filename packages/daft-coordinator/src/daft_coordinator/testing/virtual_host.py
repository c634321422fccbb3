"""A machine on paper: processes that follow scripts, on a clock that moves only when told."""

from __future__ import annotations

import heapq
import itertools
import signal as signals
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import field, frozen, mutable

from daft_protocol.jobs import ProcessIdentity

from ..ports import ExitStatus
from .scripts import NEVER, Child, Script
from .virtual_clock import VirtualClock
from .virtual_pipes import Bell, Gate, Outlet

INIT = 1
"""The parent of whoever lost its own."""

_ENDING = (signals.SIGTERM, signals.SIGINT, signals.SIGHUP, signals.SIGQUIT)


@frozen
class Sent:
    """A signal that reached a process."""

    to: ProcessIdentity
    signal: int
    at: float


@mutable(eq=False)
class Process:
    """One process of the machine.

    status: set once it has ended; it is then a zombie until its parent reaps it.
    """

    identity: ProcessIdentity
    script: Script
    parent: int
    mark: str | None = None
    gate: Gate | None = None
    outlets: dict[str, Outlet] = field(factory=dict)
    bells: list[Bell] = field(factory=list)
    status: ExitStatus | None = None
    is_stopped: bool = False
    held_back: list[Callable[[], None]] = field(factory=list)

    @property
    def lives(self) -> bool:
        """True until it has ended."""
        return self.status is None


class VirtualHost:
    """Runs scripts. Everything happens in `run_due`, at moments of its clock, in a fixed order.

    sent: every signal that reached a process, in order.
    started: (command, when its gate opened), in order.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.sent: list[Sent] = []
        self.started: list[tuple[str, float]] = []
        self.processes: dict[int, Process] = {}
        self._scripts: dict[str, Script] = {}
        self._commands: dict[int, str] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pids = itertools.count(1000)
        self._starts = itertools.count(1)

    def script(self, command: str, **fields: Any) -> str:
        """Say what `command` does from now on; `fields` are those of `Script`. Returns `command`.

        A command nobody told about ends at once, with 0.
        """
        self._scripts[command] = Script(**fields)
        return command

    def script_of(self, command: str) -> Script:
        """Return what `command` does."""
        return self._scripts.get(command, Script())

    # --- processes ----------------------------------------------------------------------------

    def add(
        self, script: Script, *, parent: int, pgid: int | None = None, pid: int | None = None
    ) -> Process:
        """Make a process. pid: of one that is gone, to use its number again."""
        number = next(self._pids) if pid is None else pid
        identity = ProcessIdentity(
            pid=number,
            pgid=number if pgid is None else pgid,
            start=str(next(self._starts)),
            boot_id=self.clock.boot_id(),
        )
        made = Process(identity=identity, script=script, parent=parent)
        self.processes[number] = made
        return made

    def use_again(self, gone: ProcessIdentity, script: Script | None = None) -> ProcessIdentity:
        """Give the number of a process that is gone to a stranger; return its identity.

        Raises: ValueError while the number is taken.
        """
        holder = self.processes.get(gone.pid)
        if holder is not None and holder.lives:
            raise ValueError(f"process {gone.pid} still lives; its number cannot be used again")
        stranger = self.add(script or Script(lasts_s=NEVER), parent=INIT, pid=gone.pid)
        self._begin(stranger)
        return stranger.identity

    def wait_at_gate(self, process: Process, command: str) -> None:
        """Have a process begin once its gate is opened."""
        self._commands[process.identity.pid] = command
        process.gate = Gate()

    def find(self, who: ProcessIdentity) -> Process | None:
        """Return the process with exactly this identity, ended ones that were not reaped too."""
        found = self.processes.get(who.pid)
        return found if found is not None and found.identity == who else None

    def living(self) -> list[Process]:
        """Return every living process, the oldest first."""
        return [process for process in self.processes.values() if process.lives]

    def shut_down(self) -> None:
        """Lose every process at once, as a power cut does."""
        for process in self.living():
            self.end(process, ExitStatus(code=None, signal=signals.SIGKILL))
        self.processes.clear()
        self._due.clear()

    # --- time ---------------------------------------------------------------------------------

    def next_event(self) -> float | None:
        """Return when something happens next by itself, or None when nothing does."""
        return self._due[0][0] if self._due else None

    def settle(self) -> None:
        """Do what is due now: gates that were opened, room in pipes, and the moment's events."""
        self._look_around()
        while self._due and self._due[0][0] <= self.clock.monotonic():
            heapq.heappop(self._due)[2]()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen later; never, for `NEVER`."""
        if seconds != NEVER:
            when = self.clock.monotonic() + seconds
            heapq.heappush(self._due, (when, next(self._order), what))

    def _look_around(self) -> None:
        """See what programs did to the gates and pipes since the last look."""
        for process in self.living():
            opened = None if process.gate is None else process.gate.look()
            if opened is True:
                self._open(process)
            elif opened is False:
                self.end(process, ExitStatus(code=125, signal=None))
            for outlet in process.outlets.values():
                self._write(process, outlet, b"")

    def _open(self, process: Process) -> None:
        assert process.gate is not None
        process.gate.close()
        process.gate = None
        self.started.append((self._commands.pop(process.identity.pid), self.clock.monotonic()))
        self._begin(process)

    # --- lives --------------------------------------------------------------------------------

    def _begin(self, process: Process) -> None:
        script = process.script
        for said in script.says:
            outlet = process.outlets.get(said.kind)
            if outlet is not None:
                self._later(process, said.after_s, partial(self._write, process, outlet, said.data))
        for child in script.children:
            self._later(process, child.after_s, partial(self._fork, process, child))
        if script.stops_after_s is not None:
            self._later(process, script.stops_after_s, lambda: self._stop(process))
        ending = ExitStatus(code=script.exit_code, signal=None)
        self._later(process, script.lasts_s, lambda: self._end_by_itself(process, ending))

    def _later(self, process: Process, seconds: float, what: Callable[[], None]) -> None:
        """Have a process do something, unless it has ended; a stopped one does it afterwards."""

        def act() -> None:
            if process.is_stopped:
                process.held_back.append(act)
            elif process.lives:
                what()

        self.after(seconds, act)

    def _write(self, process: Process, outlet: Outlet, data: bytes) -> None:
        try:
            outlet.write(data)
        except BrokenPipeError:
            self.end(process, ExitStatus(code=None, signal=signals.SIGPIPE))

    def _stop(self, process: Process) -> None:
        process.is_stopped = True

    def _end_by_itself(self, process: Process, status: ExitStatus) -> None:
        if any(outlet.is_blocked for outlet in process.outlets.values()):
            # Held up in a write; it ends once the reader has made room.
            self._later(process, 0.001, lambda: self._end_by_itself(process, status))
            return
        self.end(process, status)

    def _fork(self, parent: Process, child: Child) -> None:
        made = self.add(
            child.script,
            parent=INIT if child.forks_twice else parent.identity.pid,
            pgid=None if child.leaves_group else parent.identity.pgid,
        )
        made.mark = "" if child.disowns else None if child.hides_mark else parent.mark
        if child.holds_pipes:
            made.outlets = dict(parent.outlets)
            for outlet in made.outlets.values():
                outlet.hold()
        self._begin(made)

    def end(self, process: Process, status: ExitStatus) -> None:
        """End a process, whatever it is at."""
        if not process.lives:
            return
        process.status = status
        if process.gate is not None:
            process.gate.close()
            process.gate = None
        for outlet in process.outlets.values():
            outlet.release()
        process.outlets = {}
        for bell in process.bells:
            bell.ring()
        for orphan in self.processes.values():
            if orphan.parent == process.identity.pid:
                orphan.parent = INIT
                self._bury(orphan)
        self._bury(process)

    def _bury(self, process: Process) -> None:
        """Let init reap whoever has nobody else."""
        if process.parent == INIT and not process.lives:
            self.after(0, lambda: self.forget(process))

    def forget(self, process: Process) -> None:
        """Give the number of an ended process free."""
        if self.processes.get(process.identity.pid) is process:
            del self.processes[process.identity.pid]

    # --- signals ------------------------------------------------------------------------------

    def deliver(self, process: Process, signal: int) -> None:
        """Have `signal` reach a living process."""
        self.sent.append(Sent(process.identity, signal, self.clock.monotonic()))
        script = process.script
        if signal == signals.SIGKILL and not script.ignores_kill:
            self.end(process, ExitStatus(code=None, signal=signal))
        elif signal == signals.SIGSTOP:
            self._stop(process)
        elif signal == signals.SIGCONT and process.is_stopped:
            process.is_stopped = False
            held, process.held_back = process.held_back, []
            for act in held:
                act()
        elif signal in _ENDING and process.gate is not None:
            self.end(process, ExitStatus(code=None, signal=signal))
        elif signal in _ENDING and not script.ignores_term and not script.ignores_kill:
            code = script.term_exit_code
            status = ExitStatus(code=code, signal=signal if code is None else None)
            self._later_or_now(process, script.term_takes_s, lambda: self.end(process, status))

    def _later_or_now(self, process: Process, seconds: float, what: Callable[[], None]) -> None:
        if seconds or process.is_stopped:
            self._later(process, seconds, what)
        else:
            what()
