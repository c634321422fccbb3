"""A job as it goes over the wire."""

from __future__ import annotations

from datetime import datetime

from daft_protocol.jobs import Job
from daft_protocol.messages import JobEntry
from daft_protocol.status import JobStatus


def entry_of(job: Job, now: datetime) -> JobEntry:
    """Return what a client is told of `job`."""
    elapsed = None
    if job.status is JobStatus.RUNNING and job.started_at is not None:
        # Whole seconds, as plain version 1 reads them; a clock that went back makes none negative.
        elapsed = max(0, int((now - job.started_at).total_seconds()))
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
