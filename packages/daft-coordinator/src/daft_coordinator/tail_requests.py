"""Streams of a job's log, each at its reader's own speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from daft_protocol import messages
from daft_protocol.jobs import Job
from daft_protocol.messages import (
    Error,
    Heartbeat,
    Response,
    StreamEnd,
    StreamFrame,
    TailLogs,
    TailTarget,
)
from daft_protocol.records import LogRecord, RecordKind
from daft_protocol.status import JobStatus

from .domain.targets import KnownJob, resolve
from .logfiles import last_record
from .logreader import LogCursor
from .nesting import Loan
from .ports import JobQuery
from .reactor import Timer
from .server import Connection, Operation
from .watching import ForeignLook

if TYPE_CHECKING:
    from .leader import Leader

READ_BYTES = 64 * 1024
READS_PER_TURN = 4
"""A long log is sent piece by piece, the others having their turn in between."""


def tail(leader: Leader, request: TailLogs) -> Operation | Response:
    """Stream the log of one job."""
    uid = request.job_uid
    if uid is None:
        if request.job is None or not request.job.job_name:
            return Error(code=messages.BAD_PAYLOAD, message="TailLogs names no job")
        uid = _resolve(leader, request.job)
    job = None if uid is None else leader.coordinator.store.job(uid)
    if job is None:
        return Error(code=messages.JOB_NOT_FOUND, message=f"no job {uid!r} is recorded")
    return _Tail(leader, job, request)


def _resolve(leader: Leader, target: TailTarget) -> str | None:
    """Return the uid of a job as plain version 1 names it."""
    store = leader.coordinator.store
    query = JobQuery(name=target.job_name, worktree=target.worktree)
    jobs, after = store.find_jobs(query)
    while after is not None:
        more, after = store.find_jobs(evolve(query, after=after))
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
    found = resolve(
        "",
        known,
        worktree=target.worktree,
        invocation=target.invocation_prefix,
        job=target.job_name,
    )
    return found.job_uid


class _Tail(Operation):
    """Reads from the file as its reader takes it, so a slow reader costs no memory."""

    def __init__(self, leader: Leader, job: Job, request: TailLogs) -> None:
        self._leader = leader
        self._job = job
        self._follow = request.follow
        self._loan = Loan(leader.coordinator.loans, request.waiter if request.follow else None)
        self._kinds = None if request.kinds is None else frozenset(request.kinds)
        directory = leader.coordinator.store.log_directory(job)
        since_seq = request.since_seq or 0
        if request.from_end and directory is not None:
            last = last_record(directory)
            since_seq = max(since_seq, 0 if last is None else last.seq + 1)
        self._since_seq = since_seq
        self._cursor = None if directory is None else LogCursor(directory, since_seq=since_seq)
        self._foreign = ForeignLook(leader)
        self._final_seen = False
        self._beat_s = None
        self._beat: Timer | None = None
        self._is_due = False
        if self._follow:
            leader.followers[job.uid] = leader.followers.get(job.uid, 0) + 1
            if request.heartbeat_ms is not None:
                self._beat_s = max(1.0, request.heartbeat_ms / 1000)
                self._rearm()

    def poll(self, connection: Connection) -> bool:
        """Send what is new and fits."""
        if self._is_due and connection.has_room:
            self._is_due = False
            connection.send(Heartbeat())
        for _ in range(READS_PER_TURN):
            if not connection.has_room:
                return False  # called again when there is room
            records = [] if self._cursor is None else self._cursor.read(READ_BYTES)
            for record in records:
                if self._kinds is None or record.kind.value in self._kinds:
                    connection.send(StreamFrame(record=record.as_json()))
            if not records and self._is_over(connection):
                return True
            if not records and not self._final_seen:
                return False
        self._leader.poll_soon()
        return False

    def close(self) -> None:
        """Let go of the file, and of the worker that was lent."""
        self._loan.end()
        self._foreign.close()
        if self._beat is not None:
            self._beat.cancel()
        if self._cursor is not None:
            self._cursor.close()
        if self._follow:
            self._leader.followers[self._job.uid] -= 1
            if not self._leader.followers[self._job.uid]:
                del self._leader.followers[self._job.uid]

    def _is_over(self, connection: Connection) -> bool:
        """Nothing is there to read: end the stream unless more may come."""
        if not self._follow or self._final_seen:
            self._tell_end_without_log(connection)
            connection.send(StreamEnd())
            return True
        job = self._leader.coordinator.store.job(self._job.uid)
        if job is None or job.status.is_final:
            # The last record is on disk before the row is final: one more look gets it.
            self._final_seen = True
            self._job = job or self._job
        else:
            self._foreign.arm([job.owner])
        return False

    def _tell_end_without_log(self, connection: Connection) -> None:
        """Say how a followed job ended that left no log, as a silent one that went well."""
        if not self._follow or (self._cursor is not None and self._cursor.has_found):
            return
        data = _end_as_told(self._job)
        if data is None or (self._kinds is not None and "status" not in self._kinds):
            return
        ended = self._job.finished_at or self._job.updated_at
        record = LogRecord(
            seq=self._since_seq,
            ts=int(ended.timestamp() * 1000),
            kind=RecordKind.STATUS,
            data=data,
        )
        connection.send(StreamFrame(record=record.as_json()))

    def _rearm(self) -> None:
        assert self._beat_s is not None
        self._beat = self._leader.coordinator.reactor.call_after(self._beat_s, self._due)

    def _due(self) -> None:
        self._is_due = True
        self._rearm()
        self._leader.poll_soon()


def _end_as_told(job: Job) -> Mapping[str, Any] | None:
    """Return the data of a last record; None for a job that did not run."""
    if job.status is JobStatus.SKIPPED or not job.status.is_final:
        return None
    if job.status is JobStatus.CRASHED:
        return {"event": "crashed", "message": job.end_detail}
    if job.term_signal is not None:
        return {"event": "signaled", "signal": job.term_signal}
    return {"event": "finished", "exit_code": job.exit_code}
