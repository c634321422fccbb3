"""Cancelling where nobody leads: what waits is taken off the queue before anybody starts it.

A leader that is started takes over whatever a dead one left in the queue. Told to cancel only
then, it would already have begun.
"""

from __future__ import annotations

from daft_protocol import messages
from daft_protocol.messages import CancelAll, CancelMatching, CancelResult

from . import stops
from .coordinator import Coordinator
from .errors import RequestRefused
from .ports import Clock, JobStore, ProcessControl
from .station import LeaderLock, Station


def cancel(
    station: Station,
    store: JobStore,
    request: CancelMatching | CancelAll,
    *,
    processes: ProcessControl | None,
    clock: Clock | None,
) -> tuple[CancelResult, ...] | None:
    """Stop the jobs of `request` as a leader does, for a moment in its place.

    Queued jobs are cancelled; running ones are `cancelling` and signalled: their own process, or
    the next leader, records how they end.
    Returns: None when somebody leads after all. Raises: RequestRefused, StoreUnavailable.
    """
    if isinstance(request, CancelMatching) and not request.has_predicate:
        raise RequestRefused(messages.BAD_PAYLOAD, "a cancel needs at least one predicate")
    try:
        manner = stops.manner_of(request)
    except ValueError as error:
        raise RequestRefused(messages.BAD_PAYLOAD, str(error)) from error
    lock = LeaderLock.try_acquire(station.lock_path)
    if lock is None:
        return None
    try:
        with Coordinator(store, kind="command", processes=processes, clock=clock) as here:
            done = here.cancel(stops.selection_of(request), manner=manner)
    finally:
        lock.release()
    if isinstance(request, CancelMatching) and request.strict and not done:
        raise RequestRefused(messages.NO_MATCH, stops.NO_MATCH)
    if isinstance(request, CancelMatching) and request.strict and stops.is_refused(done):
        raise RequestRefused(messages.KILL_FAILED, stops.refusal(store, done))
    return done
