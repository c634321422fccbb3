"""Which jobs a cancel means, and what to do with each."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from datetime import datetime

from attrs import frozen

from daft_protocol.jobs import Job
from daft_protocol.status import JobStatus


@frozen(kw_only=True)
class Selection:
    """Predicates that must all hold; None does not narrow.

    invocation: a prefix of the id. older_than_s: seconds since the start, at least.
    owner: who answers for them.
    """

    job_uids: Collection[str] | None = None
    job_name: str | None = None
    worktree: str | None = None
    hook_type: str | None = None
    tag: str | None = None
    invocation: str | None = None
    older_than_s: float | None = None
    owner: str | None = None


@frozen(kw_only=True)
class Manner:
    """How running jobs are stopped: `signal` to the group, then SIGKILL.

    kill: SIGKILL at once. grace_s: seconds between the two; None: as the coordinator does it.
    """

    kill: bool = False
    signal: int = 15
    grace_s: float | None = None


class CancelAction(enum.Enum):
    """What a cancel does to one job."""

    DEQUEUE = "dequeued"
    STOP = "signalled"
    KILL = "killed"  # asked a second time, or at once
    NOTHING = "already finished"


def matches(job: Job, selection: Selection, *, now: datetime) -> bool:
    """True when every predicate of `selection` holds for `job`."""
    if selection.job_uids is not None and job.uid not in selection.job_uids:
        return False
    if selection.job_name is not None and job.name != selection.job_name:
        return False
    if selection.worktree is not None and job.worktree != selection.worktree:
        return False
    if selection.hook_type is not None and job.hook_type != selection.hook_type:
        return False
    if selection.tag is not None and selection.tag not in job.spec.tags:
        return False
    if selection.owner is not None and job.owner != selection.owner:
        return False
    prefix = selection.invocation
    if prefix is not None and not job.invocation_id.startswith(prefix.lower()):
        return False
    if selection.older_than_s is not None:
        # A start in the future says nothing about age; it never matches.
        if job.started_at is None:
            return False
        return (now - job.started_at).total_seconds() >= selection.older_than_s
    return True


def select(jobs: Iterable[Job], selection: Selection, *, now: datetime) -> tuple[Job, ...]:
    """Return the jobs that `selection` means, in the order given."""
    return tuple(job for job in jobs if matches(job, selection, now=now))


def action_for(status: JobStatus, *, kill: bool = False) -> CancelAction:
    """Return what a cancel does to a job in `status`. Asking again escalates."""
    if status is JobStatus.QUEUED:
        return CancelAction.DEQUEUE
    if status is JobStatus.CANCELLING:
        return CancelAction.KILL
    if status is JobStatus.RUNNING:
        return CancelAction.KILL if kill else CancelAction.STOP
    return CancelAction.NOTHING
