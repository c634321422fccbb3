"""From a specification to rows: the one way invocations and jobs come into being."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from daft_protocol.jobs import BootMoment, Invocation, InvocationSpec, Job
from daft_protocol.names import directory_name, new_job_uid
from daft_protocol.status import EndReason, InvocationStatus, JobStatus, SkipKind

from . import defaults, leases
from .domain import graph
from .domain.elapsed import ClockReading
from .domain.schedule import InvocationFacts, JobFacts, Snapshot, schedule
from .errors import StoreUnavailable, WorktreeLeased
from .ports import Clock, JobStore, ProcessControl
from .reading import reading

_REASONS = {
    SkipKind.DEP_FAILED: EndReason.DEP_FAILED,
    SkipKind.CANCELLED: EndReason.CANCEL,
}
"""Skips that no condition of the job's own decided."""


def record(
    store: JobStore,
    spec: InvocationSpec,
    *,
    owner: str | None,
    clock: Clock,
    processes: ProcessControl | None = None,
) -> tuple[Job, ...]:
    """Commit an invocation and its jobs in one transaction, before anything of it runs.

    An invocation that is recorded already gets further jobs; these may need jobs recorded
    before. A job whose `skip` is set, or that needs one that ended badly, is recorded as
    skipped, and so is whatever needs it.
    processes: tells whether whoever is alone with the worktree still lives; None: this system's.
    Returns: the new jobs with their full specification, also what the store left out.
    Raises: DuplicateJob, UnknownDependency, DependencyCycle, WorktreeLeased, StoreUnavailable;
    then nothing was recorded.
    """
    now = reading(clock)
    known = store.invocation(spec.invocation_id)
    earlier = store.jobs_of(spec.invocation_id) if known is not None else ()
    names = [job.name for job in spec.jobs]
    here = set(names)
    # Whoever waits for its own end would wait for ever, whatever kind of waiting it is.
    needs = {
        job.name: (*job.needs, *(name for name in job.after if name in here)) for job in spec.jobs
    }
    graph.check(names, needs, known={job.name for job in earlier})
    jobs = _queued(spec, owner=owner, now=now, first_position=len(earlier))
    jobs = _skip_hopeless(spec, jobs, earlier, now.wall_at)
    invocation = None if known is not None else _invocation(spec, owner, now.wall_at)
    try:
        stored = store.record(invocation, jobs)
    except WorktreeLeased:
        looked_up = processes or defaults.posix_processes()
        stored = leases.record(store, invocation, jobs, processes=looked_up, now=now.wall_at)
    return tuple(
        job if job.removed_env == kept.removed_env else evolve(job, removed_env=kept.removed_env)
        for job, kept in zip(jobs, stored, strict=True)
    )


def note_skips(store: JobStore, jobs: Sequence[Job], clock: Clock) -> None:
    """Leave in the log of each job that was recorded as skipped why it was."""
    skipped = [job for job in jobs if job.status is JobStatus.SKIPPED]
    if not skipped:
        return
    from .joblog import leave_note  # hardly ever needed

    ts = int(clock.now().timestamp() * 1000)
    for job in skipped:
        try:
            directory = store.log_directory(job)
        except StoreUnavailable:
            continue  # the row says it, too
        leave_note(directory, job.end_detail or "skipped", ts=ts)


def secrets_of(jobs: Sequence[Job]) -> dict[str, dict[str, str]]:
    """Return job name -> the variables that the store left out, for those that have any."""
    return {
        job.name: {name: job.spec.env[name] for name in job.removed_env if name in job.spec.env}
        for job in jobs
        if job.removed_env
    }


def _invocation(spec: InvocationSpec, owner: str | None, now: datetime) -> Invocation:
    skipped = spec.skip_reason is not None
    return Invocation(
        invocation_id=spec.invocation_id,
        hook_type=spec.hook_type,
        trigger_command=spec.trigger_command,
        worktree=spec.worktree,
        worktree_id=spec.worktree_id,
        worktree_path=spec.worktree_path,
        source=spec.source,
        created_at=now,
        status=InvocationStatus.SKIPPED if skipped else InvocationStatus.COMPLETED,
        skip_reason=spec.skip_reason,
        coordinator_id=owner,
    )


def _queued(
    spec: InvocationSpec, *, owner: str | None, now: ClockReading, first_position: int
) -> list[Job]:
    boot = BootMoment(boot_id=now.boot_id, since_boot_s=now.since_boot_s)
    return [
        Job(
            uid=new_job_uid(),
            invocation_id=spec.invocation_id,
            hook_type=spec.hook_type,
            worktree=spec.worktree,
            position=position,
            spec=job if job.full_needs or not job.needs else evolve(job, full_needs=job.needs),
            status=JobStatus.QUEUED,
            updated_at=now.wall_at,
            queued_at=now.wall_at,
            queued_boot=boot,
            owner=owner,
            dir_name=directory_name(job.name),
            mode=spec.mode,
            max_parallel=spec.max_parallel,
            spec_version=job.version,
            retry_of=None if spec.retry_of is None else (spec.retry_of, job.name),
        )
        for position, job in enumerate(spec.jobs, first_position)
    ]


def _skip_hopeless(
    spec: InvocationSpec, jobs: list[Job], earlier: Sequence[Job], now: datetime
) -> list[Job]:
    skipped = {
        job.uid: (_REASONS.get(job.spec.skip.kind, EndReason.CONDITION), job.spec.skip.reason)
        for job in jobs
        if job.spec.skip is not None
    }
    statuses = {
        job.uid: JobStatus.SKIPPED if job.uid in skipped else job.status
        for job in (*earlier, *jobs)
    }
    facts = [
        JobFacts(uid=job.uid, name=job.name, status=statuses[job.uid], needs=job.needs)
        for job in (*earlier, *jobs)
    ]
    invocation = InvocationFacts(invocation_id=spec.invocation_id, jobs=facts, mode=spec.mode)
    for skip in schedule(Snapshot(invocations=[invocation], workers=1)).skip:
        skipped[skip.uid] = (EndReason.DEP_FAILED, skip.detail)
    return [
        evolve(
            job,
            status=JobStatus.SKIPPED,
            owner=None,
            started_at=now,
            end_reason=skipped[job.uid][0],
            end_detail=skipped[job.uid][1],
        )
        if job.uid in skipped
        else job
        for job in jobs
    ]
