"""What a leader of one invocation does about a record that does not agree with the world."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from daft_protocol.status import JobStatus

from . import detaching
from .domain.reconcile import led_apart
from .errors import CoordinatorUnavailable, StoreUnavailable
from .ports import OWN_LEADER
from .reactor import READ
from .recovery import Repairs
from .station import Station, leader_lives

if TYPE_CHECKING:
    from .coordinator import Coordinator


class Referral:
    """In the place of `Recovery` where it is not ours: only who leads the repository repairs.

    When somebody has died, the repository's leader is started; nobody waits for it.
    station: where that one is met.
    """

    is_settled = True
    has_adopted = False
    has_given_up = False

    def __init__(self, coordinator: Coordinator, station: Station) -> None:
        self._coordinator = coordinator
        self._station = station

    def run(self) -> Repairs:
        """See whether somebody has died, and who repairs that. Nothing is repaired by us."""
        try:
            needed = self._is_needed()
        except StoreUnavailable:
            return Repairs()  # whoever looks at the record next asks the same
        if needed and not leader_lives(self._station.lock_path):
            self._start()
        return Repairs()

    def take_untold(self) -> Repairs:
        """Nothing was repaired by us; whoever did it tells."""
        return Repairs()

    def stop_adopted(self) -> None:
        """Nothing was adopted."""

    def _is_needed(self) -> bool:
        """True when an unfinished job has nobody who answers for it, and it can be judged now."""
        coordinator = self._coordinator
        jobs = coordinator.store.unfinished()
        if all(job.owner == coordinator.owner.id for job in jobs):
            return False
        living = {
            owner.id: owner.kind
            for owner in coordinator.store.owners()
            if coordinator.processes.is_alive(owner.process) is not False
        }
        apart = led_apart(jobs, [one for one, kind in living.items() if kind == OWN_LEADER])
        return any(
            job.owner not in living
            and not (job.status is JobStatus.QUEUED and job.invocation_id in apart)
            for job in jobs
        )

    def _start(self) -> None:
        try:
            started = detaching.start("daft_coordinator", self._station.words)
        except CoordinatorUnavailable:
            return  # whoever looks at the record next tries again, and is told
        started.sock.close()
        self._see_off(started.pid)

    def _see_off(self, pid: int) -> None:
        """Let go of the process once it has left: it must not stay behind as a zombie of ours."""
        identity = self._coordinator.processes.identify(pid)
        fd = None if identity is None else self._coordinator.processes.watch(identity)
        if fd is None:
            detaching.has_ended(pid)
            return
        self._coordinator.reactor.watch(fd, READ, lambda _: self._gone(pid, fd))

    def _gone(self, pid: int, fd: int) -> None:
        self._coordinator.reactor.unwatch(fd)
        os.close(fd)
        detaching.has_ended(pid)
