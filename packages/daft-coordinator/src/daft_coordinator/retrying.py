"""Preparing a retry: look at the record and the directories, ask the core, name what is new."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import evolve, frozen

from daft_protocol.jobs import Invocation, InvocationSpec, Job
from daft_protocol.names import new_invocation_id
from daft_protocol.status import Source

from .domain.retry import RetryPlan, RetryRequest, plan_retry
from .errors import CoordinatorError, DirectoryGone, JobNotFound
from .ports import JobStore


@frozen(kw_only=True)
class Retrial:
    """A retry that may be submitted; nothing of it is recorded yet.

    source: what is retried. invocation: what to submit; without jobs there is nothing to retry.
    """

    source: Invocation
    invocation: InvocationSpec
    plan: RetryPlan


def prepare(
    store: JobStore,
    request: RetryRequest,
    *,
    environment: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]] | None = None,
    as_invocation: str | None = None,
) -> Retrial:
    """Return what a retry submits.

    environment: the caller's; jobs inherit it, and variables that were never stored are looked
        for in it. values: job -> such variables, where they are known better.
    Raises: JobNotFound, DirectoryGone, and as `plan_retry`; nothing was recorded.
    """
    source = store.invocation(request.invocation_id)
    jobs = store.jobs_of(request.invocation_id)
    if source is None or not jobs:
        why = "it is not recorded" if source is None else "it has no jobs"
        raise JobNotFound(request.invocation_id, why)
    plan = plan_retry(
        request, jobs, unfinished=store.unfinished(), values=values, environment=environment
    )
    _check_directories(plan)
    invocation = _invocation(request, source, jobs, plan)
    if as_invocation is not None:
        invocation = evolve(invocation, invocation_id=as_invocation)
    return Retrial(source=source, plan=plan, invocation=invocation)


def detached(retrial: Retrial) -> InvocationSpec:
    """Return the retry as a leader runs it: no job has a terminal or anybody who watches.

    Raises: CoordinatorError for a job that needs a terminal.
    """
    attached = [spec.name for spec in retrial.invocation.jobs if spec.interactive]
    if attached:
        raise CoordinatorError(
            f"{', '.join(attached)} needs a terminal; retry it from one, not through a coordinator"
        )
    specs = tuple(evolve(spec, background=True) for spec in retrial.invocation.jobs)
    return evolve(retrial.invocation, jobs=specs)


def _check_directories(plan: RetryPlan) -> None:
    gone: dict[str, list[str]] = {}
    for spec in plan.specs:
        if spec.skip is None and not os.path.isdir(spec.working_dir):
            gone.setdefault(spec.working_dir, []).append(spec.name)
    for path, names in gone.items():
        raise DirectoryGone(path, tuple(names))


def _invocation(
    request: RetryRequest, source: Invocation, jobs: tuple[Job, ...], plan: RetryPlan
) -> InvocationSpec:
    last = jobs[-1]  # of several submits the latest says how jobs may overlap
    return InvocationSpec(
        invocation_id=new_invocation_id(),
        hook_type=source.hook_type,
        trigger_command=request.trigger,
        worktree=source.worktree,
        worktree_id=source.worktree_id,
        worktree_path=source.worktree_path,
        source=Source.RETRY,
        mode=last.mode,
        max_parallel=last.max_parallel,
        jobs=plan.specs,
        retry_of=source.invocation_id,
    )
