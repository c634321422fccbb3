"""The right to take rows out: the leader's lock, or the leader's own hand. Never both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from daft_protocol import messages
from daft_protocol.departures import Departure

from .client import CoordinatorClient
from .domain.retention import StaleJob
from .errors import CoordinatorUnavailable, RequestRefused
from .history import JobHistory
from .ports import JobStore
from .station import LeaderLock, Station

# A leader that starts or leaves has the lock but no door. It is through in a moment.
_PAUSES_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_PASSING = (messages.NOT_LEADER, messages.SHUTTING_DOWN)


class HeldEvictor:
    """Evicts as whoever holds the leader's lock already."""

    def __init__(self, history: JobHistory) -> None:
        self._history = history

    def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
        """Delete rows, see `JobHistory.evict`. Raises: StoreUnavailable, StoreFull."""
        return self._history.evict(departures)

    def give_up(self, jobs: Sequence[StaleJob], at: datetime) -> int:
        """Record that nobody answers for running jobs; return how many that were."""
        return self._history.give_up([job.uid for job in jobs], at)


class RepositoryEvictor:
    """Evicts from one repository, whether somebody leads it or not.

    The lock is held for one transaction at a time: whoever wants to lead meanwhile is turned
    away once at most, and asks again.
    """

    def __init__(self, station: Station, store: JobStore, history: JobHistory) -> None:
        self._station = station
        self._store = store
        self._held = HeldEvictor(history)

    def evict(self, departures: Sequence[Departure]) -> Sequence[bool]:
        """Delete rows, see `JobHistory.evict`.

        Raises: StoreUnavailable, StoreFull; RequestRefused when the leader's store is held;
        CoordinatorUnavailable when the leader is too old to know how, or nobody answers.
        """
        reason = "somebody holds its lock and does not answer"
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            lock = LeaderLock.try_acquire(self._station.lock_path)
            if lock is not None:
                try:
                    return self._held.evict(departures)
                finally:
                    lock.release()
            # Not the usual way in, which waits for a leader that leaves: then the lock is ours.
            client = CoordinatorClient.connect(self._station, self._store)
            if client is None:
                continue
            try:
                with client:
                    return client.evict(departures)
            except RequestRefused as refused:
                if refused.code == messages.UNKNOWN_REQUEST:
                    raise CoordinatorUnavailable(
                        "it is of an older version, which cannot clean up; "
                        "try again when its jobs are done"
                    ) from refused
                if refused.code not in _PASSING:
                    raise
                reason = refused.message
            except CoordinatorUnavailable as error:
                reason = error.reason
            except OSError as error:
                reason = str(error)
        raise CoordinatorUnavailable(reason)

    def give_up(self, jobs: Sequence[StaleJob], at: datetime) -> int:
        """Record that nobody answers for running jobs; return how many that were.

        A leader does so by itself when it compares the record with the world. Raises as `evict`.
        """
        lock = LeaderLock.try_acquire(self._station.lock_path)
        if lock is not None:
            try:
                return self._held.give_up(jobs, at)
            finally:
                lock.release()
        client = CoordinatorClient.connect(self._station, self._store)
        if client is not None:
            with client:
                client.reconcile()
        return 0
