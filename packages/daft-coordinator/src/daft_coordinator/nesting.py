"""Jobs that run daft: how deep that may go, and whom such a job can wait for.

A job may create worktrees, whose hooks fire, whose jobs wait for a worker of the same coordinator.
A job that waits for them gives its own worker back meanwhile, or nobody would ever start them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping

from daft_protocol.jobs import Job

from .errors import NestedTooDeep

DEPTH = "DAFT_HOOK_DEPTH"
"""The variable that tells a job how many jobs it is inside of, itself counted."""
MAX_DEPTH = 8


def depth_of(environment: Mapping[str, str]) -> int:
    """Return how many jobs a process with this environment runs inside of; 0 outside of any."""
    text = environment.get(DEPTH, "")
    # Few digits: what somebody else put there is no reason to fail.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def check_depth(environment: Mapping[str, str]) -> None:
    """Refuse jobs inside of jobs beyond `MAX_DEPTH`. Raises: NestedTooDeep."""
    depth = depth_of(environment)
    if depth >= MAX_DEPTH:
        raise NestedTooDeep(depth, MAX_DEPTH)


def cannot_end_before(waiter: Job, jobs: Iterable[Job]) -> frozenset[str]:
    """Return the uids that `waiter` would wait for for ever: its own, and of what needs it.

    jobs: those of its invocation.
    """
    behind = {waiter.name: waiter.uid}
    rest = {job.name: job for job in jobs if job.name != waiter.name}
    found = True
    while found:
        found = False
        for name in [name for name, job in rest.items() if behind.keys() & set(job.needs)]:
            behind[name] = rest.pop(name).uid
            found = True
    return frozenset(behind.values())


class Loans:
    """Workers given back by running jobs that wait for other jobs.

    changed: called when there are more of them.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._waits: Counter[str] = Counter()

    def lend(self, uid: str) -> None:
        """A job begins to wait. It may wait for several things at once."""
        self._waits[uid] += 1
        self._changed()

    def take_back(self, uid: str) -> None:
        """One of its waits is over."""
        self._waits[uid] -= 1
        if not self._waits[uid]:
            del self._waits[uid]

    def among(self, running: Container[str]) -> int:
        """Return how many of the running jobs wait."""
        return sum(uid in running for uid in self._waits)


class Loan:
    """The worker of one job that waits, for as long as it does.

    waiter: None when nobody's worker is given back: whoever waits is no job.
    """

    def __init__(self, loans: Loans, waiter: str | None) -> None:
        self._loans = loans
        self._waiter = waiter
        if waiter is not None:
            loans.lend(waiter)

    def end(self) -> None:
        """The wait is over. Calling it again does nothing."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._loans.take_back(waiter)
