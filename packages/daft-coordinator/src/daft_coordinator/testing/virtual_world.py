"""Real coordinators in made-up time: nothing waits, and everything goes the same way each time."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ..coordinator import Coordinator
from ..errors import CoordinatorError
from ..ports import JobStore
from .virtual_clock import VirtualClock
from .virtual_host import VirtualHost
from .virtual_processes import VirtualProcessControl


class NothingWillHappen(CoordinatorError):
    """Somebody waits, and nothing is left that could ever wake them: a lost wake-up."""

    def __str__(self) -> str:
        return "a coordinator waits for something that will never come"


class VirtualSelector(selectors.DefaultSelector):
    """Waits by letting virtual time pass until the next thing happens."""

    def __init__(self, host: VirtualHost) -> None:
        super().__init__()
        self._host = host

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready at the first moment at which anything is.

        timeout: virtual seconds; None waits for ever. Raises: NothingWillHappen.
        """
        clock = self._host.clock
        until = None if timeout is None else clock.monotonic() + max(0.0, timeout)
        while True:
            self._host.settle()
            ready = super().select(0)
            if ready or (until is not None and until <= clock.monotonic()):
                return ready
            coming = [when for when in (until, self._host.next_event()) if when is not None]
            if not coming:
                raise NothingWillHappen
            clock.move_to(min(coming))


class VirtualWorld:
    """A virtual machine and the coordinators that run on it.

    Say with `script` what commands do, make coordinators, and use them as ever: their `wait`,
    `tail` and `close` let virtual time pass instead of waiting. With more than one of them, `run`
    and `run_until` drive all. As a context manager it kills what is left at the end.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.host = VirtualHost(self.clock)
        self._alive: list[Coordinator] = []

    def script(self, command: str, **fields: Any) -> str:
        """Say what `command` does; `fields` are those of `Script`. Returns `command`."""
        return self.host.script(command, **fields)

    def coordinator(
        self, store: JobStore | None = None, *, watches: bool = True, **options: Any
    ) -> Coordinator:
        """Make a coordinator that is a program of this machine.

        watches: False for a system without descriptors for the end of a process.
        options: as for `Coordinator`.
        """
        made = Coordinator(
            store,
            processes=VirtualProcessControl(self.host, watches=watches),
            clock=self.clock,
            selector=VirtualSelector(self.host),
            **options,
        )
        self._alive.append(made)
        return made

    def crash(self, coordinator: Coordinator) -> None:
        """End a coordinator as SIGKILL would: nothing more is recorded, its children live on."""
        self._alive.remove(coordinator)
        program = coordinator.processes
        assert isinstance(program, VirtualProcessControl)
        coordinator.reactor.close()
        program.die()
        for run in coordinator._runs.values():
            # The kernel closes logs as they are; nobody is left to finish them.
            if run.log._fd is not None:
                os.close(run.log._fd)
        self.host.settle()

    def lose_power(self, *, boot_id: str) -> None:
        """Kill everything at once, and come up with another boot id."""
        for coordinator in list(self._alive):
            self.crash(coordinator)
        self.host.shut_down()
        self.clock.reboot(boot_id)

    def run(self, for_s: float) -> None:
        """Let `for_s` virtual seconds pass, with every coordinator doing its work."""
        until = self.clock.monotonic() + for_s
        while self._step(until):
            pass

    def run_until(self, holds: Callable[[], bool], *, limit_s: float = 86_400.0) -> None:
        """Let time pass until `holds` says so.

        Raises: NothingWillHappen when nothing is left that could bring it about, or it has not
        come about within `limit_s`.
        """
        until = self.clock.monotonic() + limit_s
        while not holds():
            if not self._step(until):
                raise NothingWillHappen

    def _step(self, until: float) -> bool:
        """Do what is ready now, or go to the next moment; False when `until` has come."""
        turned = [one.turn() for one in self._alive]  # every one of them, not up to the first
        if any(turned):
            return True
        deadlines = [one.deadline() for one in self._alive]
        coming = [
            when
            for when in (self.host.next_event(), *deadlines)
            if when is not None and when < until
        ]
        if not coming:
            self.clock.move_to(until)
            return False
        self.clock.move_to(min(coming))
        self.host.settle()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lose_power(boot_id="none")
