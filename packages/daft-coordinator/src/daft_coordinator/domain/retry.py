"""What a retry runs again: from the recorded jobs of one invocation to specifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from daft_protocol.jobs import Job, JobSpec, RunMode
from daft_protocol.status import EndReason, JobStatus, SkipKind

from ..errors import AlreadyRunning, MissingValues, NothingRecorded, NotRetryable, StillRunning

_BAD_ENDS = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.CRASHED, JobStatus.UNKNOWN})


def _names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


@frozen(kw_only=True)
class RetryRequest:
    """Which recorded jobs to run again, and how.

    invocation_id: the recorded invocation, whole id.
    jobs: only these of its jobs; None: every one that did not end well, and what was skipped
        because of it.
    skipped: also jobs that their own condition skipped.
    working_dir: absolute path in which all of them run; None: where each ran before.
    exclusive: refuse while another invocation runs a job of the same name for the same worktree.
    current: name -> specification to run instead of the recorded one, which may say that it is
        skipped now; None runs what is recorded.
    trigger: what is recorded as the trigger of the new invocation.
    """

    invocation_id: str
    jobs: tuple[str, ...] | None = field(default=None, converter=_names)
    skipped: bool = False
    working_dir: str | None = None
    exclusive: bool = False
    current: Mapping[str, JobSpec] | None = field(default=None, repr=False)
    trigger: str = "hooks jobs retry"


@frozen(kw_only=True)
class RetryPlan:
    """What a retry runs.

    specs: in the order of the first run, needing only each other; empty: nothing to retry.
    overlapping: unfinished jobs of other invocations with the same name and worktree.
    left_out: jobs that were skipped because of a retried one, and are not retried with it.
    """

    specs: tuple[JobSpec, ...] = ()
    overlapping: tuple[Job, ...] = ()
    left_out: tuple[str, ...] = ()


def is_retryable(job: Job) -> bool:
    """True when a retry of the job's invocation includes the job, or may include it."""
    return _ended_badly(job) or _dependency_failed(job)


def plan_retry(
    request: RetryRequest,
    jobs: Sequence[Job],
    *,
    unfinished: Sequence[Job] = (),
    values: Mapping[str, Mapping[str, str]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> RetryPlan:
    """Return what a retry of an invocation runs.

    jobs: all jobs of the invocation, as recorded. unfinished: those of the repository.
    values: job -> its variables that were not stored, where they are known otherwise; what is
        missing there is looked for in `environment`, the caller's.
    Raises: StillRunning, NotRetryable, NothingRecorded, MissingValues, AlreadyRunning.
    """
    running = [job for job in jobs if not job.status.is_final]
    if running:
        raise StillRunning(tuple(job.name for job in running))
    chosen = _chosen(request, jobs)
    overlapping = tuple(
        job
        for job in unfinished
        if job.name in chosen
        and job.worktree == jobs[0].worktree
        and job.invocation_id != request.invocation_id
    )
    if overlapping and request.exclusive:
        raise AlreadyRunning(tuple(job.name for job in overlapping))
    again = [job for job in jobs if job.name in chosen]
    specs = [_spec(request, job, values or {}, environment or {}) for job in again]
    empty = tuple(spec.name for spec in specs if spec.skip is None and not spec.command.strip())
    if empty:
        raise NothingRecorded(empty)
    return RetryPlan(
        specs=tuple(_pruned(spec, chosen) for spec in specs),
        overlapping=overlapping,
        left_out=_left_out(jobs, chosen),
    )


def for_background(specs: Sequence[JobSpec]) -> frozenset[str]:
    """Return the names of jobs that were meant for the background, or ran there."""
    return frozenset(
        spec.name
        for spec in specs
        if (spec.declared_background or spec.background) and not spec.interactive
    )


def _chosen(request: RetryRequest, jobs: Sequence[Job]) -> frozenset[str]:
    by_name = {job.name: job for job in jobs}
    if request.jobs is not None:
        for name in request.jobs:
            job = by_name.get(name)
            if job is None:
                raise NotRetryable(name, None)
            skipped = request.skipped and job.status is JobStatus.SKIPPED
            if not (is_retryable(job) or skipped):
                raise NotRetryable(name, job.status.value)
        return frozenset(request.jobs)
    found = {
        job.name
        for job in jobs
        if _ended_badly(job) or (request.skipped and job.status is JobStatus.SKIPPED)
    }
    waiting = [job for job in jobs if _dependency_failed(job) and job.name not in found]
    changed = True
    while changed:
        more = {job.name for job in waiting if _depends_on(job, found)} - found
        found |= more
        changed = bool(more)
    return frozenset(found)


def _ended_badly(job: Job) -> bool:
    if job.status in _BAD_ENDS:
        return True
    # Never started, and not by its own condition: a cancel or a crash came first.
    stopped = job.end_reason in (EndReason.CRASH, EndReason.CANCEL) or (
        job.spec.skip is not None and job.spec.skip.kind is SkipKind.CANCELLED
    )
    return job.status is JobStatus.SKIPPED and stopped


def _dependency_failed(job: Job) -> bool:
    because = job.end_reason is EndReason.DEP_FAILED or (
        job.spec.skip is not None and job.spec.skip.kind is SkipKind.DEP_FAILED
    )
    return job.status is JobStatus.SKIPPED and because


def _depends_on(job: Job, names: set[str] | frozenset[str]) -> bool:
    if job.mode is RunMode.PIPED:
        return bool(names)  # in a pipe everything behind a failure was skipped because of it
    return any(wanted in names for wanted in _all_needs(job.spec))


def _all_needs(spec: JobSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*spec.full_needs, *spec.needs)))


def _left_out(jobs: Sequence[Job], chosen: frozenset[str]) -> tuple[str, ...]:
    return tuple(
        job.name
        for job in jobs
        if job.name not in chosen and _dependency_failed(job) and _depends_on(job, chosen)
    )


def _spec(
    request: RetryRequest,
    job: Job,
    values: Mapping[str, Mapping[str, str]],
    environment: Mapping[str, str],
) -> JobSpec:
    if request.current is not None:
        found = request.current.get(job.name)
        if found is None:
            raise NothingRecorded((job.name,), is_current=True)
        skip = None if request.skipped else found.skip
        spec = evolve(found, full_needs=_all_needs(found), skip=skip)
    else:
        known = {**environment, **values.get(job.name, {})}
        missing = tuple(name for name in job.removed_env if name not in known)
        if missing:
            raise MissingValues(job.name, missing)
        restored = {name: known[name] for name in job.removed_env}
        spec = evolve(job.spec, env={**job.spec.env, **restored}, skip=None)
    return evolve(spec, working_dir=request.working_dir or spec.working_dir)


def _pruned(spec: JobSpec, chosen: frozenset[str]) -> JobSpec:
    """Keep the needs that run again: the others have been completed, or were not asked for."""
    needs = tuple(name for name in _all_needs(spec) if name in chosen)
    after = tuple(name for name in spec.after if name in chosen)
    return evolve(spec, needs=needs, full_needs=needs, after=after)
