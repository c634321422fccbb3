"""What a leader does with each request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from daft_protocol import messages
from daft_protocol.jobs import Job
from daft_protocol.messages import (
    Ack,
    CancelAll,
    CancelJob,
    Cancelled,
    CancelMatching,
    CancelResult,
    Error,
    Evict,
    Evicted,
    Hello,
    JobEntry,
    Jobs,
    ListJobs,
    Reconcile,
    Request,
    Response,
    Retry,
    Shutdown,
    StreamEnd,
    StreamFrame,
    Submit,
    TailLogs,
    Wait,
    Welcome,
)
from daft_protocol.status import JobStatus

from . import intake
from .domain.cancel import Selection
from .domain.targets import KnownJob, resolve
from .errors import AmbiguousAddress, CoordinatorError, JobNotFound, StoreUnavailable
from .joblog import LogCursor
from .ports import JobQuery
from .reactor import Timer
from .server import Connection, Operation

if TYPE_CHECKING:
    from .leader import Leader

PAGE = 500
CAPABILITIES = ("submit", "retry", "wait", "tail", "cancel-wait", "reconcile", "evict")

# Jobs that another process runs change without a word to us. While somebody waits for such a
# job, the row is read again this often; with nobody waiting, nothing is.
_FOREIGN_LOOK_S = 0.1


def handle(leader: Leader, request: Request) -> Operation | Response:
    """Answer `request`. Trouble becomes an `Error` answer; it never ends the leader."""
    try:
        return _dispatch(leader, request)
    except AmbiguousAddress as error:
        return Error(code=messages.AMBIGUOUS, message=str(error))
    except JobNotFound as error:
        return Error(code=messages.JOB_NOT_FOUND, message=str(error))
    except StoreUnavailable as error:
        return Error(code=messages.BUSY, message=str(error))
    except CoordinatorError as error:
        return Error(code=messages.INTERNAL, message=str(error))
    except (ValueError, OverflowError) as error:
        # JSON has half characters and numbers beyond any column; the store has neither.
        return Error(code=messages.BAD_PAYLOAD, message=f"a value cannot be used: {error}")


def _dispatch(leader: Leader, request: Request) -> Operation | Response:
    match request:
        case Hello():
            return _Greeting(leader)
        case Submit():
            return intake.submit(leader, request)
        case Retry():
            return intake.retry(leader, request)
        case ListJobs():
            return _list(leader, request)
        case CancelJob():
            return _cancel_named(leader, request)
        case CancelMatching():
            return _cancel_matching(leader, request)
        case CancelAll():
            return _cancel_all(leader, request)
        case TailLogs():
            return _tail(leader, request)
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
    return Evicted(done=leader.history.evict(request.departures))


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
    return Jobs(jobs=tuple(entry(leader, job) for job in jobs), cursor=after)


def entry(leader: Leader, job: Job) -> JobEntry:
    """Return `job` as it goes over the wire."""
    elapsed = None
    if job.status is JobStatus.RUNNING and job.started_at is not None:
        now = leader.coordinator.clock.now()
        elapsed = max(0.0, (now - job.started_at).total_seconds())
    return JobEntry(
        name=job.name,
        hook_type=job.hook_type,
        worktree=job.worktree,
        status=job.status.value,
        elapsed_secs=elapsed,
        exit_code=job.exit_code,
        job_uid=job.uid,
        invocation_id=job.invocation_id,
        tags=job.spec.tags,
        started_at=None if job.started_at is None else job.started_at.isoformat(),
        finished_at=None if job.finished_at is None else job.finished_at.isoformat(),
        background=job.spec.background,
        end_reason=None if job.end_reason is None else job.end_reason.value,
        end_detail=job.end_detail,
        term_signal=job.term_signal,
    )


def _cancel_named(leader: Leader, request: CancelJob) -> Response:
    results = leader.coordinator.cancel(Selection(job_name=request.name))
    if not results:
        return Error(
            code=messages.JOB_NOT_FOUND,
            message=f"no unfinished job is called {request.name!r}",
        )
    return Ack(message=f"Cancelled job: {request.name}")


def _cancel_all(leader: Leader, request: CancelAll) -> Operation | Response:
    results = leader.coordinator.cancel(Selection(), kill=request.kill)
    if not request.wait:
        return Ack(message=f"Cancelled {len(results)} job(s)")
    return _Cancelling(leader, results, request.grace_ms)


def _cancel_matching(leader: Leader, request: CancelMatching) -> Operation | Response:
    if not request.has_predicate:
        return Error(
            code=messages.BAD_PAYLOAD,
            message="CancelMatching needs at least one predicate; CancelAll stops everything",
        )
    selection = Selection(
        job_uids=request.job_uids,
        job_name=request.job_name,
        worktree=request.worktree,
        hook_type=request.hook,
        tag=request.tag,
        invocation=request.invocation_prefix,
        older_than_s=request.older_than_secs,
    )
    results = leader.coordinator.cancel(selection, kill=request.kill)
    if request.wait and results:
        return _Cancelling(leader, results, request.grace_ms)
    return _cancelled(results)


def _cancelled(results: tuple[CancelResult, ...]) -> Cancelled:
    return Cancelled(
        count=len(results), names=tuple(result.name for result in results), results=results
    )


def _tail(leader: Leader, request: TailLogs) -> Operation | Response:
    store = leader.coordinator.store
    uid = request.job_uid
    if uid is None:
        if request.job is None or not request.job.job_name:
            return Error(code=messages.BAD_PAYLOAD, message="TailLogs names no job")
        jobs, after = store.find_jobs(JobQuery(name=request.job.job_name))
        while after is not None:
            more, after = store.find_jobs(JobQuery(name=request.job.job_name, after=after))
            jobs += more
        known = [
            KnownJob(
                uid=job.uid,
                name=job.name,
                invocation_id=job.invocation_id,
                worktree=job.worktree,
                order=order,
            )
            for order, job in enumerate(jobs)
        ]
        target = resolve(
            "",
            known,
            worktree=request.job.worktree,
            invocation=request.job.invocation_prefix,
            job=request.job.job_name,
        )
        uid = target.job_uid
    job = None if uid is None else store.job(uid)
    if job is None:
        return Error(code=messages.JOB_NOT_FOUND, message=f"no job {uid!r} is recorded")
    return _Tail(leader, job, follow=request.follow, since_seq=request.since_seq or 0)


def _wait(leader: Leader, request: Wait) -> Operation | Response:
    store = leader.coordinator.store
    uids = list(request.job_uids)
    for invocation_id in request.invocation_ids:
        uids += [job.uid for job in store.jobs_of(invocation_id)]
    missing = [uid for uid in uids if store.job(uid) is None]
    if missing or not (request.job_uids or request.invocation_ids):
        what = ", ".join(missing) or "nothing to wait for was named"
        return Error(code=messages.JOB_NOT_FOUND, message=f"cannot wait: {what}")
    return _Waiting(leader, uids, request.timeout_ms)


class _Greeting:
    """Answers `Hello` once the record agrees with the world."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader

    def poll(self, connection: Connection) -> bool:
        if not self._leader.recovery.is_settled:
            return False
        connection.send(
            Welcome(
                server_version=self._leader.version,
                capabilities=CAPABILITIES,
                pid=os.getpid(),
                repo_id=self._leader.station.repository,
            )
        )
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Reconciling:
    """Runs a pass, and answers when the orphans it found are gone."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._repairs = leader.recovery.run()

    def poll(self, connection: Connection) -> bool:
        if not self._leader.recovery.is_settled:
            return False
        repairs = self._repairs
        count = len(repairs.crashed) + len(repairs.repaired) + len(repairs.stopped)
        connection.send(Ack(message=f"{count} job(s) repaired" if repairs else "all is well"))
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Watching:
    """What waits for jobs has in common: a deadline, and a look at jobs others run."""

    def __init__(self, leader: Leader, uids: list[str], limit_s: float | None) -> None:
        self._leader = leader
        self._pending = uids
        self._timers: list[Timer] = []
        self._over = False
        if limit_s is not None:
            self._timers.append(leader.coordinator.reactor.call_after(limit_s, self._time_up))
        self._foreign: Timer | None = None

    def _time_up(self) -> None:
        self._over = True
        self._leader.poll_soon()

    def _still_pending(self) -> bool:
        store = self._leader.coordinator.store
        owner = self._leader.coordinator.owner.id
        # One question for all of them: a wait for hundreds must not ask hundreds of times.
        unfinished = {job.uid: job.owner for job in store.unfinished()}
        self._pending = [uid for uid in self._pending if uid in unfinished]
        foreign = any(unfinished[uid] != owner for uid in self._pending)
        if foreign and (self._foreign is None or self._foreign.callback is None):
            self._foreign = self._leader.coordinator.reactor.call_after(
                _FOREIGN_LOOK_S, self._look_again
            )
        return bool(self._pending) and not self._over

    def _look_again(self) -> None:
        self._foreign = None
        self._leader.poll_soon()

    def close(self) -> None:
        """Let go of the timers."""
        for timer in (*self._timers, self._foreign):
            if timer is not None:
                timer.cancel()


class _Waiting(_Watching):
    """Answers `Wait`."""

    def __init__(self, leader: Leader, uids: list[str], timeout_ms: int | None) -> None:
        super().__init__(leader, uids, None if timeout_ms is None else timeout_ms / 1000)
        self._all = tuple(uids)

    def poll(self, connection: Connection) -> bool:
        if self._still_pending():
            return False
        store = self._leader.coordinator.store
        jobs = [job for uid in self._all if (job := store.job(uid)) is not None]
        connection.send(Jobs(jobs=tuple(entry(self._leader, job) for job in jobs)))
        return True


class _Cancelling(_Watching):
    """Answers a cancel that waits: when all are final, or when nothing more will help."""

    def __init__(
        self, leader: Leader, results: tuple[CancelResult, ...], grace_ms: int | None
    ) -> None:
        policy = leader.coordinator.policy
        grace_s = policy.grace_s if grace_ms is None else grace_ms / 1000
        limit_s = grace_s + policy.give_up_s + policy.drain_s + 1.0
        super().__init__(leader, [result.job_uid for result in results], limit_s)
        self._results = results
        # Our own runs are killed after the policy's grace anyway; nobody else's are.
        reactor = leader.coordinator.reactor
        self._timers.append(reactor.call_after(grace_s, self._escalate))

    def _escalate(self) -> None:
        self._leader.coordinator.cancel(Selection(job_uids=frozenset(self._pending)), kill=True)

    def poll(self, connection: Connection) -> bool:
        if self._still_pending():
            return False
        store = self._leader.coordinator.store
        final: list[CancelResult] = []
        for result in self._results:
            job = store.job(result.job_uid)
            status = result.status if job is None else job.status.value
            survived = job is not None and not job.status.is_final
            final.append(
                CancelResult(
                    job_uid=result.job_uid,
                    name=result.name,
                    outcome="survived" if survived else result.outcome,
                    status=status,
                    invocation_id=result.invocation_id,
                    worktree=result.worktree,
                )
            )
        connection.send(_cancelled(tuple(final)))
        return True


class _Tail:
    """Streams a log. It reads from the file, so a slow reader costs no memory."""

    def __init__(self, leader: Leader, job: Job, *, follow: bool, since_seq: int) -> None:
        self._leader = leader
        self._job = job
        self._follow = follow
        directory = leader.coordinator.store.log_directory(job)
        self._cursor = None if directory is None else LogCursor(directory, since_seq=since_seq)
        self._foreign: Timer | None = None
        self._final_seen = False
        if follow:
            leader.followers.setdefault(job.uid, 0)
            leader.followers[job.uid] += 1

    def poll(self, connection: Connection) -> bool:
        while connection.has_room:
            records = [] if self._cursor is None else self._cursor.read(64 * 1024)
            for record in records:
                connection.send(StreamFrame(record=record.as_json()))
            if records:
                continue
            if not self._follow or self._final_seen:
                connection.send(StreamEnd())
                return True
            job = self._leader.coordinator.store.job(self._job.uid)
            if job is None or job.status.is_final:
                # The last record is on disk before the row is final: one more look gets it.
                self._final_seen = True
                continue
            if job.owner != self._leader.coordinator.owner.id and self._foreign is None:
                self._foreign = self._leader.coordinator.reactor.call_after(
                    _FOREIGN_LOOK_S, self._look_again
                )
            return False
        return False

    def _look_again(self) -> None:
        self._foreign = None
        self._leader.poll_soon()

    def close(self) -> None:
        """Let go of the file."""
        if self._cursor is not None:
            self._cursor.close()
        if self._foreign is not None:
            self._foreign.cancel()
        if self._follow:
            self._leader.followers[self._job.uid] -= 1
            if not self._leader.followers[self._job.uid]:
                del self._leader.followers[self._job.uid]
