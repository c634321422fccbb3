"""What a leader does with each request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from daft_protocol import messages
from daft_protocol.messages import (
    Ack,
    CancelAll,
    CancelJob,
    CancelMatching,
    Error,
    Evict,
    Evicted,
    Hello,
    Jobs,
    ListJobs,
    Reconcile,
    Request,
    Response,
    Retry,
    Shutdown,
    Submit,
    TailLogs,
    Wait,
    Welcome,
)
from daft_protocol.status import JobStatus

from . import cancel_requests, intake, tail_requests
from .entries import entry_of
from .intake import answered
from .nesting import Loan, cannot_end_before
from .ports import JobQuery
from .server import Connection, Operation
from .watching import Watching

if TYPE_CHECKING:
    from daft_protocol.jobs import Job

    from .leader import Leader

PAGE = 500
CAPABILITIES = (
    "submit",
    "retry",
    "wait",
    "tail",
    "tail-heartbeat",
    "cancel-wait",
    "cancel-signal",
    "reconcile",
    "evict",
)


_OF_THE_REPOSITORY = (Retry, Reconcile, Evict)
_OF_ONE_INVOCATION = tuple(
    one for one in CAPABILITIES if one not in ("retry", "reconcile", "evict")
)
"""What a leader of one invocation can do."""


def handle(leader: Leader, request: Request) -> Operation | Response:
    """Answer `request`. Trouble becomes an `Error` answer; it never ends the leader."""
    return answered(lambda: _dispatch(leader, request))


def _dispatch(leader: Leader, request: Request) -> Operation | Response:
    if leader.station.invocation_id is not None and isinstance(request, _OF_THE_REPOSITORY):
        what = type(request).__name__
        return Error(
            code=messages.FORBIDDEN,
            message=f"{what} is for who leads the repository; this one runs one invocation",
        )
    match request:
        case Hello():
            return _Greeting(leader)
        case Submit():
            return intake.handle(leader, request)
        case Retry():
            return intake.retry(leader, request)
        case ListJobs():
            return _list(leader, request)
        case CancelJob():
            return cancel_requests.named(leader, request)
        case CancelMatching():
            return cancel_requests.matching(leader, request)
        case CancelAll():
            return cancel_requests.everything(leader, request)
        case TailLogs():
            return tail_requests.tail(leader, request)
        case Wait():
            return _wait(leader, request)
        case Reconcile():
            return _Reconciling(leader)
        case Evict():
            return _evict(leader, request)
        case Shutdown():
            leader.shut_down()
            return Ack(message="stopping all jobs")


def _evict(leader: Leader, request: Evict) -> Response:
    if leader.history is None:
        return Error(code=messages.FORBIDDEN, message="something else looks after this record")
    return Evicted(done=leader.history().evict(request.departures))


def _list(leader: Leader, request: ListJobs) -> Response:
    statuses = None
    if request.statuses is not None:
        statuses = {JobStatus.parse(text) for text in request.statuses}
    limit = PAGE if request.limit is None else max(1, min(request.limit, PAGE))
    jobs, after = leader.coordinator.store.find_jobs(
        JobQuery(
            worktree=request.worktree,
            statuses=statuses,
            invocation_id=request.invocation_id,
            limit=limit,
            after=request.cursor,
        )
    )
    if after is not None and request == ListJobs():
        jobs, after = _newest(leader), None
    now = leader.coordinator.clock.now()
    return Jobs(jobs=tuple(entry_of(job, now) for job in jobs), cursor=after)


def _newest(leader: Leader) -> tuple[Job, ...]:
    """Return the one page that plain version 1 knows: what has not ended, behind the newest."""
    store = leader.coordinator.store
    unfinished = store.unfinished()[-PAGE:]
    ended: list[Job] = []
    for invocation in store.recent_invocations():
        more = [job for job in store.jobs_of(invocation.invocation_id) if job.status.is_final]
        if len(ended) + len(more) > PAGE - len(unfinished):
            break
        ended = [*more, *ended]
    return (*ended, *unfinished)


def _wait(leader: Leader, request: Wait) -> Operation | Response:
    store = leader.coordinator.store
    uids = list(request.job_uids)
    for invocation_id in request.invocation_ids:
        uids += [job.uid for job in store.jobs_of(invocation_id)]
    missing = [uid for uid in uids if store.job(uid) is None]
    if missing or not (request.job_uids or request.invocation_ids):
        what = ", ".join(missing) or "nothing to wait for was named"
        return Error(code=messages.JOB_NOT_FOUND, message=f"cannot wait: {what}")
    if request.waiter is not None and (waiter := store.job(request.waiter)) is not None:
        hopeless = cannot_end_before(waiter, store.jobs_of(waiter.invocation_id))
        uids = [uid for uid in uids if uid not in hopeless]
    return _Waiting(leader, uids, request.timeout_ms, waiter=request.waiter)


def _capabilities(leader: Leader) -> tuple[str, ...]:
    return CAPABILITIES if leader.station.invocation_id is None else _OF_ONE_INVOCATION


class _Greeting(Operation):
    """Answers `Hello` once the record agrees with the world."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader

    def poll(self, connection: Connection) -> bool:
        if not self._leader.recovery.is_settled:
            return False
        connection.send(
            Welcome(
                server_version=self._leader.version,
                capabilities=_capabilities(self._leader),
                pid=os.getpid(),
                repo_id=self._leader.station.repository,
            )
        )
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Reconciling(Operation):
    """Runs a pass, and answers when the orphans it found are gone."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        leader.recovery.run()

    def poll(self, connection: Connection) -> bool:
        if not self._leader.recovery.is_settled:
            return False
        connection.send(Ack(message=self._leader.recovery.take_untold().told))
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Waiting(Watching, Operation):
    """Answers `Wait`."""

    def __init__(
        self, leader: Leader, uids: list[str], timeout_ms: int | None, *, waiter: str | None
    ) -> None:
        super().__init__(leader, uids, None if timeout_ms is None else timeout_ms / 1000)
        self._all = tuple(uids)
        self._loan = Loan(leader.coordinator.loans, waiter)

    def poll(self, connection: Connection) -> bool:
        if self.still_pending():
            return False
        store = self.leader.coordinator.store
        jobs = [job for uid in self._all if (job := store.job(uid)) is not None]
        now = self.leader.coordinator.clock.now()
        connection.send(Jobs(jobs=tuple(entry_of(job, now) for job in jobs)))
        return True

    def close(self) -> None:
        """Let go of the timers, and of the worker that was lent."""
        super().close()
        self._loan.end()
