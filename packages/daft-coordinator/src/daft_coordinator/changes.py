"""The changes of rows that anybody asks for, each with the states it may start from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from daft_protocol.jobs import Job, ProcessIdentity
from daft_protocol.status import HAS_PROCESS, EndReason, JobStatus

from .ports import JobChange

if TYPE_CHECKING:  # adapters ask for changes too, and need nothing that runs jobs
    from .domain.lifecycle import Ending
    from .runner import JobRun


def started(uid: str, process: ProcessIdentity, now: datetime, *, owner: str) -> JobChange:
    """A job's process waits behind its gate. Only the job's owner may say so."""
    return JobChange(
        job_uid=uid,
        allowed=(JobStatus.QUEUED,),
        to=JobStatus.RUNNING,
        at=now,
        only_of=owner,
        started_at=now,
        process=process,
    )


def not_started(job: Job, ending: Ending, now: datetime) -> JobChange:
    """A job could not be started, or was refused at its gate."""
    return JobChange(
        job_uid=job.uid,
        allowed=(job.status,),
        to=ending.status,
        at=now,
        started_at=now,
        finished_at=now,
        duration_ms=0,
        exit_code=ending.exit_code,
        end_reason=ending.reason,
        end_detail=ending.detail,
    )


def skipped(
    uid: str, why: str, now: datetime, *, reason: EndReason = EndReason.DEP_FAILED
) -> JobChange:
    """A job will never start; unless another reason is given, because another one has ended.

    `started_at` is the time of the decision, as it is of a job that was skipped from the start.
    """
    return JobChange(
        job_uid=uid,
        allowed=(JobStatus.QUEUED,),
        to=JobStatus.SKIPPED,
        at=now,
        started_at=now,
        end_reason=reason,
        end_detail=why,
    )


def dequeued(uid: str, why: str, now: datetime) -> JobChange:
    """A job was cancelled while it waited."""
    return JobChange(
        job_uid=uid,
        allowed=(JobStatus.QUEUED,),
        to=JobStatus.CANCELLED,
        at=now,
        finished_at=now,
        end_reason=EndReason.CANCEL,
        end_detail=why,
    )


def cancelling(uid: str, now: datetime) -> JobChange:
    """A running job is asked to end."""
    return JobChange(job_uid=uid, allowed=(JobStatus.RUNNING,), to=JobStatus.CANCELLING, at=now)


def taken_over(uid: str, status: JobStatus, owner: str, now: datetime) -> JobChange:
    """Somebody else answers for a job, which stays what it is: `status`."""
    return JobChange(job_uid=uid, allowed=(status,), to=status, at=now, set_owner=True, owner=owner)


def found_ended(job: Job, ending: Ending, now: datetime) -> JobChange:
    """A job whose owner has died has ended; how long it ran nobody measured."""
    return JobChange(
        job_uid=job.uid,
        allowed=(job.status,),
        to=ending.status,
        at=now,
        finished_at=now,
        exit_code=ending.exit_code,
        term_signal=ending.term_signal,
        end_reason=ending.reason,
        end_detail=ending.detail,
    )


def given_up(uid: str, now: datetime) -> JobChange:
    """Clean-up found nobody who answers for a running job, and no process of it."""
    return JobChange(
        job_uid=uid,
        allowed=(JobStatus.RUNNING,),
        to=JobStatus.CANCELLED,
        at=now,
        finished_at=now,
        end_reason=EndReason.STALE,
        end_detail="given up by clean-up: nobody answers for it and its process is gone",
    )


def ended(run: JobRun, ending: Ending, now: datetime) -> JobChange:
    """A job's processes are gone and its log is complete."""
    return JobChange(
        job_uid=run.job.uid,
        allowed=_may_end_as(ending.status),
        to=ending.status,
        at=now,
        finished_at=now,
        duration_ms=run.elapsed_ms,
        exit_code=ending.exit_code,
        term_signal=ending.term_signal,
        end_reason=ending.reason,
        end_detail=ending.detail,
        log_bytes=run.log.bytes_written,
        log_records=run.log.records_written,
        log_dropped=run.log.dropped,
    )


def _may_end_as(status: JobStatus) -> tuple[JobStatus, ...]:
    """A stop that was asked for by another process must not be recorded as anything else."""
    if status in (JobStatus.CANCELLED, JobStatus.CRASHED):
        return tuple(HAS_PROCESS)
    return (JobStatus.RUNNING,)
