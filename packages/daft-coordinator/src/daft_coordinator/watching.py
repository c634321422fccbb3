"""Waiting for jobs on behalf of a client: a deadline, and a look at jobs that others run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .reactor import Timer

if TYPE_CHECKING:
    from .leader import Leader

# Jobs that another process runs change without a word to us. While somebody waits for such a
# job, the row is read again this often; with nobody waiting, nothing is.
FOREIGN_LOOK_S = 0.1
_LOOKS_PER_REPAIR = 10


class ForeignLook:
    """Looks again at jobs that another process runs, for as long as somebody asks it to.

    That process may die: every so often the record is compared with the world, so that what it
    left behind ends, too.
    """

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._timer: Timer | None = None
        self._looks = 0

    def arm(self, owners: Iterable[str | None]) -> None:
        """Look again soon if a job is not ours. owners: of the jobs waited for."""
        if all(owner == self._leader.coordinator.owner.id for owner in owners):
            return
        if self._timer is None or self._timer.callback is None:
            self._timer = self._leader.coordinator.reactor.call_after(FOREIGN_LOOK_S, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        self._looks += 1
        if self._looks % _LOOKS_PER_REPAIR == 0:
            self._leader.recovery.run()
        self._leader.poll_soon()


class Watching:
    """What waits for jobs has in common."""

    def __init__(self, leader: Leader, uids: list[str], limit_s: float | None) -> None:
        self.leader = leader
        self.pending = uids
        self._timers: list[Timer] = []
        self._over = False
        self._foreign = ForeignLook(leader)
        if limit_s is not None:
            self.after(limit_s, self._time_up)

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` later, unless the client is gone by then."""
        self._timers.append(self.leader.coordinator.reactor.call_after(delay_s, callback))

    def still_pending(self) -> bool:
        """True while a job has not ended and time is left."""
        # One question for all of them: a wait for hundreds must not ask hundreds of times.
        unfinished = {job.uid: job.owner for job in self.leader.coordinator.store.unfinished()}
        self.pending = [uid for uid in self.pending if uid in unfinished]
        self._foreign.arm(unfinished[uid] for uid in self.pending)
        return bool(self.pending) and not self._over

    def close(self) -> None:
        """Let go of the timers."""
        self._foreign.close()
        for timer in self._timers:
            timer.cancel()

    def _time_up(self) -> None:
        self._over = True
        self.leader.poll_soon()
