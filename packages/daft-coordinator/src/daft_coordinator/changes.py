"""The changes of rows that a coordinator asks for, each with the states it may start from."""

from __future__ import annotations

from datetime import datetime

from daft_protocol.jobs import Job, ProcessIdentity
from daft_protocol.status import HAS_PROCESS, EndReason, JobStatus

from .domain.lifecycle import Ending
from .ports import JobChange
from .runner import JobRun


def started(uid: str, process: ProcessIdentity, now: datetime) -> JobChange:
    """A job's process waits behind its gate."""
    return JobChange(
        job_uid=uid,
        allowed=(JobStatus.QUEUED,),
        to=JobStatus.RUNNING,
        at=now,
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


def skipped(uid: str, why: str, now: datetime) -> JobChange:
    """A job will never start, because of the end of another one."""
    return JobChange(
        job_uid=uid,
        allowed=(JobStatus.QUEUED,),
        to=JobStatus.SKIPPED,
        at=now,
        end_reason=EndReason.DEP_FAILED,
        end_detail=why,
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
